"""The judge of one table in plain numbers, for where arrays of one row cost more.

One thing to know: this is `envs.clevr.rewards.judged` over again, to the last bit, for what a
single environment meets in nearly every step: goals of relations. Around a step of physics, a
hundred calls on tiny arrays would take half as long as the physics itself.
"""

from collections.abc import Sequence

import numpy as np

from envs.clevr.predicates import DIRECTION_VECTORS, PAIR_REACH, GoalKind, quadrant
from envs.clevr.rewards import DISTANCE_SCALE, KALM_POINT, PART_REWARD, SUCCESS_BONUS

PARTS = {int(GoalKind.PAIR): 1, int(GoalKind.TWO): 2, int(GoalKind.THREE): 3}  # by goal kind
_TO_POINT = (KALM_POINT * DIRECTION_VECTORS).tolist()  # (4, 2) from a target to "kalm"'s point


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


def reached_by_one(spec: Sequence[int], state: Sequence[float]) -> bool:
    """Whether a goal of one to three relations holds in a state (ten numbers)."""
    return all(_holds(spec, part, state) for part in range(PARTS[spec[0]]))


def _holds(spec: Sequence[int], part: int, state: Sequence[float]) -> bool:
    """Whether a relation of a goal holds."""
    source, target, direction = spec[1 + 3 * part : 4 + 3 * part]
    x = state[2 * source] - state[2 * target]
    y = state[2 * source + 1] - state[2 * target + 1]
    return bool(np.hypot(x, y) < PAIR_REACH) and quadrant(x, y) == direction


def _to_target(name: str, spec: Sequence[int], state: Sequence[float]) -> float:
    """Distance between a pair's source and the point it must approach."""
    _, source, target, direction = spec[:4]
    x, y = state[2 * target], state[2 * target + 1]
    if name == "kalm":
        x, y = x + _TO_POINT[direction][0], y + _TO_POINT[direction][1]
    return float(np.hypot(state[2 * source] - x, state[2 * source + 1] - y))
