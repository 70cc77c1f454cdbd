"""The judge and the relations of one table in plain numbers, for where arrays of one row cost more.

One thing to know: these are `envs.clevr.rewards.judged` and `envs.clevr.relations.relations` over
again, to the last bit, for what a single environment meets in nearly every step: goals of relations
and the "kalm" convention. Around a step of physics, a hundred calls on tiny arrays would take half
as long as the physics itself.
"""

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from envs.clevr.predicates import (
    DIRECTION_VECTORS,
    NUM_BALLS,
    PAIR_REACH,
    ZERO_BELOW,
    Direction,
    GoalKind,
)
from envs.clevr.relations import NUM_RELATIONS
from envs.clevr.rewards import DISTANCE_SCALE, KALM_POINT, PART_REWARD, SUCCESS_BONUS

PARTS = {int(GoalKind.PAIR): 1, int(GoalKind.TWO): 2, int(GoalKind.THREE): 3}  # by goal kind
_BEHIND, _LEFT, _FRONT, _RIGHT = map(int, Direction)
_TO_POINT = (KALM_POINT * DIRECTION_VECTORS).tolist()  # (4, 2) from a target to "kalm"'s point
_PLACE = {pair: place for place, pair in enumerate(permutations(range(NUM_BALLS), 2))}
_PAIRS = [  # where a state holds both balls' x, and the place of their statements, both ways
    (2 * one, 2 * other, _PLACE[one, other], _PLACE[other, one])
    for one, other in combinations(range(NUM_BALLS), 2)
]


def relations_of_one(state: Sequence[float]) -> np.ndarray:
    """Which of the 80 statements hold (80,) bool in the "kalm" convention.

    Args:
        state: ten numbers, ball centres.
    """
    hold = bytearray(NUM_RELATIONS)
    for one, other, there, back in _PAIRS:
        x, y = state[one] - state[other], state[one + 1] - state[other + 1]
        if math.sqrt(x * x + y * y) < PAIR_REACH:
            hold[len(_PLACE) * _quadrant(x, y) + there] = True
            hold[len(_PLACE) * _quadrant(-x, -y) + back] = True
    return np.frombuffer(hold, bool)


def judged_of_one(
    name: str, spec: Sequence[int], before: Sequence[float], after: Sequence[float]
) -> tuple[bool, float]:
    """Whether a step reaches its goal of one to three relations, and its reward.

    Args:
        name: one of `envs.clevr.rewards.REWARDS`.
        spec: goal numbers of a kind in `PARTS`.
        before: ten numbers, ball centres.
        after: ten numbers, ball centres.
    """
    count = PARTS[spec[0]]
    hold = [_holds(spec, part, after) for part in range(count)]
    reached = all(hold)
    if count > 1:
        shaped = PART_REWARD * sum(
            now and not _holds(spec, part, before) for part, now in enumerate(hold)
        )
    else:
        nearer = _to_target(name, spec, before) - _to_target(name, spec, after)
        shaped = DISTANCE_SCALE * nearer * (not (reached and name == "kalm"))
    return reached, float(np.float32(shaped + SUCCESS_BONUS * reached))


def _holds(spec: Sequence[int], part: int, state: Sequence[float]) -> bool:
    """Whether a relation of a goal holds."""
    source, target, direction = spec[1 + 3 * part : 4 + 3 * part]
    x = state[2 * source] - state[2 * target]
    y = state[2 * source + 1] - state[2 * target + 1]
    return bool(np.hypot(x, y) < PAIR_REACH) and _quadrant(x, y) == direction


def _to_target(name: str, spec: Sequence[int], state: Sequence[float]) -> float:
    """Distance between a pair's source and the point it must approach."""
    _, source, target, direction = spec[:4]
    x, y = state[2 * target], state[2 * target + 1]
    if name == "kalm":
        x, y = x + _TO_POINT[direction][0], y + _TO_POINT[direction][1]
    return float(np.hypot(state[2 * source] - x, state[2 * source + 1] - y))


def _quadrant(x: float, y: float) -> int:
    """The direction in which a difference of centres points, as `quadrants` has it."""
    x = 0.0 if abs(x) < ZERO_BELOW else x
    y = 0.0 if abs(y) < ZERO_BELOW else y
    if y > -x:
        return _BEHIND if y >= x else _RIGHT
    if y > x:
        return _LEFT
    return _FRONT if y < -x else _RIGHT
