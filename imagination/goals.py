"""Which goals are imagined: two protocols, and never a start state of the evaluation.

*target*: the novel goals' texts are known when imagining (the paper's use of the method).
*unseen*: sentences and combinations of the evaluation are held out of imagination too.
"""

from collections.abc import Sequence

import numpy as np

from envs.world import Goal, World

PROTOCOLS = ("target", "unseen")


def goals_to_imagine(world: World, protocol: str, *, seed: int) -> list[Goal]:
    """The distinct goals that may be imagined under a protocol, novel levels only.

    Args:
        protocol: one of `PROTOCOLS`.
        seed: of the sentences that the strict protocol makes up.

    Raises:
        ValueError: unknown protocol.
    """
    novel = [goal for level in world.levels[1:] for goal in world.goals(level)]
    if protocol == "target":
        return novel
    if protocol == "unseen":
        return list(world.unseen_goals(len(novel), seed))
    raise ValueError(
        f"Unknown protocol `{protocol}`. Known: {', '.join(PROTOCOLS)}. "
        f"`target` may know the novel goals' texts, `unseen` may not."
    )


def spread(
    goals: Sequence[Goal], shares: dict[str, float], count: int, rng: np.random.Generator
) -> list[Goal]:
    """`count` goals, divided over levels by `shares` and even over the goals of each level.

    Raises:
        ValueError: a share names no level of the goals, or shares are not positive.
    """
    levels = {goal.level for goal in goals}
    unknown = sorted(set(shares) - levels)
    if unknown:
        raise ValueError(
            f"Unknown level `{unknown[0]}` in the shares. Known: {', '.join(sorted(levels))}."
        )
    total = sum(shares.values())
    if total <= 0 or min(shares.values()) < 0:
        raise ValueError(f"Expected shares >= 0 with a sum above 0, got {shares}.")
    chosen: list[Goal] = []
    bounds = np.round(count * np.cumsum([0, *shares.values()]) / total).astype(int)
    for level, wanted in zip(shares, np.diff(bounds).tolist(), strict=True):
        pool = [goal for goal in goals if goal.level == level]
        rounds = [rng.permutation(len(pool)) for _ in range(-(-wanted // len(pool)))]
        chosen += [pool[place] for place in np.concatenate([*rounds, []])[:wanted].astype(int)]
    return chosen
