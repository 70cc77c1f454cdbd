"""Which goals are imagined: two protocols, and never a start state of the evaluation.

*target*: the novel goals' texts are known when imagining (the paper's use of the method).
*unseen*: sentences and combinations of the evaluation are held out of imagination too.
"""

from collections.abc import Sequence

import numpy as np

from envs.world import Goal, World
from kalm.decoding import goal_tokens
from kalm.engine import PROMPT_TOKENS
from kalm.model import GroundedModel

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


def refused_goals(world: World, model: GroundedModel, goals: Sequence[Goal]) -> dict[str, str]:
    """Goals that cannot be imagined, by text, with the reason; one bad goal must not stop the rest.

    Raises:
        ValueError: there is no other goal.
    """
    start = world.draw_starts(1, np.random.default_rng(0))
    shape = () if world.spaces.action_dim is None else (world.spaces.action_dim,)
    action = np.zeros((1, *shape), np.int64 if world.spaces.action_dim is None else np.float32)
    refused = {}
    for goal in goals:
        try:
            _require_words(goal.text)
            goal_tokens(model, goal.text, PROMPT_TOKENS)
            spec = np.array([goal.spec])
            world.success(spec, start, action, start)
            if not np.isfinite(world.potential(spec, start)).all():
                raise ValueError("its potential is NaN or infinite")
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            refused[goal.text] = f"{type(error).__name__}: {error}"
    if len(refused) == len({goal.text for goal in goals}):
        first = next(iter(refused.items()), ("", "there is none"))
        raise ValueError(f"No goal can be imagined. The first, `{first[0][:80]}`: {first[1]}")
    return refused


def _require_words(text: str) -> None:
    """Checks that a goal is text with something to read.

    Raises:
        ValueError: it is blank, or no Unicode text.
    """
    if not text.strip():
        raise ValueError("Expected words, got none.")
    text.encode("utf-8")
