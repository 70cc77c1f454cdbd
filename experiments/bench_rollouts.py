"""Rollouts that benchmarks work on: a few hundred real ones, and copies of them beyond that."""

from dataclasses import replace
from functools import cache

from envs import make_world
from envs.collect import collect
from envs.episode import Episode
from envs.world import World

COLLECTED = 400  # different rollouts; more of them are copies with other goals
SEED = 0


@cache
def world() -> World:
    """CLEVR-Robot."""
    return make_world("clevr_robot")


@cache
def _collected(count: int) -> tuple[Episode, ...]:
    goals = world().goals(world().levels[0])
    return tuple(collect(world(), goals, count, SEED, workers=1))


def rollouts(count: int, longest: int | None = None) -> list[Episode]:
    """`count` rollouts of the behaviour policy.

    Copies get goals of their own, so that a data set names as many goals as a real one would.

    Args:
        longest: steps after which rollouts are cut; None keeps them whole.
    """
    real = _collected(min(count, COLLECTED))
    goals = world().goals(world().levels[0])
    found = []
    for index in range(count):
        episode = real[index % len(real)]
        if index >= len(real):
            episode = replace(episode, goal=goals[7 * index % len(goals)].text)
        found.append(episode if longest is None else shortened(episode, longest))
    return found


def shortened(episode: Episode, longest: int) -> Episode:
    """The first `longest` steps of a rollout; cut ones end nowhere."""
    if len(episode) <= longest:
        return episode
    return replace(
        episode,
        observations=episode.observations[: longest + 1],
        actions=episode.actions[:longest],
        rewards=episode.rewards[:longest],
        terminated=False,
        success=False,
    )
