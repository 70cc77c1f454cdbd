"""Named rewards of CLEVR-Robot, and the potential that a look-ahead search climbs.

Source: ImagineBench's Ball environment for "imaginebench", with the +100 of its offline data given
online too and sub-goals counted after the step; the KALM training data for "kalm".
"""

import math

import numpy as np

from envs.clevr.compiled import compiled
from envs.clevr.predicates import (
    DIRECTION_VECTORS,
    GATHER_REACH,
    LINE_COSINE,
    PAIR_REACH,
    GoalKind,
    all_reached,
    centres,
    gather_distances,
    line_cosines,
    parts_hold,
    related,
)

_PAIR, _MOVE = int(GoalKind.PAIR), int(GoalKind.MOVE)
_LINE, _GATHER = int(GoalKind.LINE), int(GoalKind.GATHER)
REWARDS = ("imaginebench", "kalm")
SUCCESS_BONUS = 100.0
PART_REWARD = 10.0  # for each sub-goal of a hard goal that became true
DISTANCE_SCALE = 10.0  # reward for each metre that the source comes nearer
KALM_POINT = 0.195  # the point target lies this far from the target, on the asked side
TOUCHING = 0.26  # two balls cannot be nearer than this
_REACH = PAIR_REACH - 0.006  # aim a little inside the reach of a pair
_NEAR_GREEN = GATHER_REACH - 0.003
_EDGE = np.radians(43.0)  # aim a little inside the 45 degrees of a quadrant


def rewards(
    name: str, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """The named reward (B,) float32 of each step, success bonus included.

    Args:
        name: one of `REWARDS`; they differ in the point that a pair's source must approach.
        specs: (B, 10) goal numbers.
        before: (B, 10) states.
        actions: (B,) int.
        after: (B, 10) states.
    """
    return judged(name, specs, before, actions, after)[1]


def judged(
    name: str, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each step reaches its goal (B,) bool, and its reward, at the cost of the reward."""
    specs = np.asarray(specs)
    exist, hold = parts_hold(specs, after)
    reached = all_reached(specs, exist, hold, actions)
    kinds = specs[:, 0]
    shaped = np.zeros(len(specs))
    offset = KALM_POINT if name == "kalm" else 0.0
    _shape_pairs(specs, centres(before), centres(after), offset, shaped)
    if name == "kalm":
        shaped *= ~reached  # the bonus takes the place of the shaped part
    move, hard = kinds == _MOVE, kinds > _MOVE
    if hard.any():
        _, held = parts_hold(specs[hard], before[hard])
        shaped[hard] = PART_REWARD * (hold[hard] & ~held).sum(axis=1)
    bonus = np.where(move, 1.0, SUCCESS_BONUS) * reached
    return reached, np.asarray(shaped + bonus, np.float32)


@compiled
def _shape_pairs(
    specs: np.ndarray, before: np.ndarray, after: np.ndarray, offset: float, shaped: np.ndarray
) -> None:
    """Writes into `shaped` (B,) how much nearer each pair's source came to its point, times ten.

    Args:
        specs: (B, 10) goal numbers; those of other kinds are passed over.
        before: (B, 5, 2) centres.
        after: (B, 5, 2) centres.
        offset: m, of the point from the target towards the asked side.
    """
    for row in range(len(specs)):
        if specs[row, 0] != _PAIR:
            continue
        source, target, direction = specs[row, 1], specs[row, 2], specs[row, 3]
        x, y = offset * DIRECTION_VECTORS[direction, 0], offset * DIRECTION_VECTORS[direction, 1]
        nearer = _distance(before[row], source, target, x, y)
        shaped[row] = DISTANCE_SCALE * (nearer - _distance(after[row], source, target, x, y))


@compiled
def _distance(balls: np.ndarray, source: int, target: int, x: float, y: float) -> float:
    """Distance between a ball of (5, 2) and the point (x, y) beside another."""
    return math.hypot(
        balls[source, 0] - (balls[target, 0] + x), balls[source, 1] - (balls[target, 1] + y)
    )


def potential(specs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """How near states (B, 10) are to their goals (B,) float32; larger is nearer.

    Every sub-goal adds minus its distance from holding and 1 while it holds, so that completing
    one, and not breaking it again, outweighs any approach. Moving has potential 0: no state of
    the table says which ball was pushed.
    """
    specs, balls = np.asarray(specs), centres(states)
    exist, hold = parts_hold(specs, states)
    total = (exist & hold).sum(axis=1).astype(np.float64)
    there, differences, directions = related(specs, balls)
    missing = np.zeros(there.shape)
    missing[there] = pair_distance(differences[there], directions[there])
    total -= missing.sum(axis=1)
    line, gather = specs[:, 0] == _LINE, specs[:, 0] == _GATHER
    total[line] -= _line_distance(balls[line])
    total[gather] -= np.maximum(gather_distances(balls[gather]) - _NEAR_GREEN, 0).sum(axis=1)
    return np.asarray(total, np.float32)


def pair_distance(differences: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distance (...,) from each difference of centres (..., 2) to the nearest one that holds.

    The differences that hold form a quarter of a ring, from touching to the reach of a pair.
    """
    axis = DIRECTION_VECTORS[directions]
    along = (differences * axis).sum(axis=-1)
    across = np.abs(differences[..., 0] * axis[..., 1] - differences[..., 1] * axis[..., 0])
    length = np.hypot(along, across)
    on_edge = np.clip(along * np.cos(_EDGE) + across * np.sin(_EDGE), TOUCHING, _REACH)
    beside = np.hypot(along - on_edge * np.cos(_EDGE), across - on_edge * np.sin(_EDGE))
    inside = np.arctan2(across, along) <= _EDGE
    return np.asarray(np.where(inside, np.maximum(length - _REACH, 0.0), beside))


def _line_distance(balls: np.ndarray) -> np.ndarray:
    """How far (B,) the colour line is from holding: missing cosine, then surplus length."""
    missing = np.maximum(LINE_COSINE + 0.002 - line_cosines(balls), 0.0).sum(axis=1)
    steps = balls[:, 1:] - balls[:, :-1]
    surplus = np.maximum(np.hypot(steps[..., 0], steps[..., 1]) - TOUCHING, 0.0).sum(axis=1)
    return np.asarray(missing + 0.1 * surplus)
