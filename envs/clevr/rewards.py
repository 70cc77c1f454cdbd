"""Named rewards of CLEVR-Robot, and the potential that a look-ahead search climbs.

Source: ImagineBench's Ball environment for "imaginebench", with the +100 of its offline data given
online too and sub-goals counted after the step; the KALM training data for "kalm".
"""

import numpy as np

from envs.clevr.predicates import (
    DIRECTION_VECTORS,
    GATHER_REACH,
    LINE_COSINE,
    PAIR_REACH,
    GoalKind,
    centres,
    gather_distances,
    goals_reached,
    line_cosines,
    parts_hold,
    relations_at,
)

REWARDS = ("imaginebench", "kalm")
SUCCESS_BONUS = 100.0
PART_REWARD = 10.0  # for each sub-goal of a hard goal that became true
DISTANCE_SCALE = 10.0  # reward for each metre that the source comes nearer
KALM_POINT = 0.195  # the point target lies this far from the target, on the asked side
TOUCHING = 0.26  # two balls cannot be nearer than this
_REACH = PAIR_REACH - 0.006  # aim a little inside the reach of a pair
_GATHER = GATHER_REACH - 0.003
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
    specs = np.asarray(specs)
    reached = goals_reached(specs, before, actions, after)
    pair, move = specs[:, 0] == GoalKind.PAIR, specs[:, 0] == GoalKind.MOVE
    exist, held = parts_hold(specs, before)
    _, hold = parts_hold(specs, after)
    newly = PART_REWARD * (exist & hold & ~held).sum(axis=1)
    nearer = DISTANCE_SCALE * (_to_target(name, specs, before) - _to_target(name, specs, after))
    shaped = np.where(pair, nearer, np.where(move, 0.0, newly))
    bonus = np.where(move, 1.0, SUCCESS_BONUS) * reached
    if name == "kalm":  # the bonus replaces the shaped part of a pair's last step
        shaped = np.where(pair & reached, 0.0, shaped)
    return np.asarray(shaped + bonus, np.float32)


def _to_target(name: str, specs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Distance (B,) between a pair's source and the point it must approach."""
    balls = centres(states)
    rows = np.arange(len(balls))
    point = balls[rows, specs[:, 2]]
    if name == "kalm":
        point = point + KALM_POINT * DIRECTION_VECTORS[specs[:, 3]]
    difference = balls[rows, specs[:, 1]] - point
    return np.asarray(np.hypot(difference[:, 0], difference[:, 1]))


def potential(specs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """How near states (B, 10) are to their goals (B,) float32; larger is nearer.

    Every sub-goal adds minus its distance from holding and 1 while it holds, so that completing
    one, and not breaking it again, outweighs any approach. Moving has potential 0: no state of
    the table says which ball was pushed.
    """
    specs, balls = np.asarray(specs), centres(states)
    exist, hold = parts_hold(specs, states)
    total = (exist & hold).sum(axis=1).astype(np.float64)
    for part in range(3):
        rows, source, target, direction = relations_at(specs, part)
        total[rows] -= pair_distance(balls[rows, source] - balls[rows, target], direction)
    line = np.flatnonzero(specs[:, 0] == GoalKind.LINE)
    total[line] -= _line_distance(balls[line])
    gather = np.flatnonzero(specs[:, 0] == GoalKind.GATHER)
    total[gather] -= np.maximum(gather_distances(balls[gather]) - _GATHER, 0).sum(axis=1)
    return np.asarray(total, np.float32)


def pair_distance(differences: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distance (B,) from each difference of two centres (B, 2) to the nearest one that holds.

    The differences that hold form a quarter of a ring, from touching to the reach of a pair.
    """
    axis = DIRECTION_VECTORS[directions]
    along = (differences * axis).sum(axis=-1)
    across = np.abs(differences[:, 0] * axis[:, 1] - differences[:, 1] * axis[:, 0])
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
