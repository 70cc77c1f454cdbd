"""Labelled play as rewarded episodes: what an offline RL algorithm learns from without a solver.

A stretch of play that ends in a labelled step is an episode with reward 1 at its end. As many more
are the same stretches under another goal, cut before the end, without a reward.
"""

import numpy as np

from envs.babyai.simulator import ACTION_NAMES
from envs.babyai.states import GridShape
from envs.flat import FlatEpisodes
from offline_rl.distillation_set import DistillationSet
from offline_rl.grid_vectors import grid_vectors


def labelled_episodes(
    samples: DistillationSet, shape: GridShape, num_steps: int, seed: int
) -> FlatEpisodes:
    """Episodes with `num_steps` steps at most before the goal, and about as many without one.

    Args:
        samples: stretches of play, step after step.
    """
    rng = np.random.default_rng(seed)
    firsts = rng.permutation(np.flatnonzero(np.diff(samples.plans, prepend=-1)))
    firsts = firsts[np.cumsum(samples.steps_left[firsts]) <= num_steps]
    missed = firsts[samples.steps_left[firsts] > 1]
    if not len(missed):
        raise ValueError(
            f"Expected stretches of at most {num_steps} steps and more than one, got none. "
            "Allow more steps or collect more rows."
        )
    goals = list(dict.fromkeys(samples.goals))
    number = {goal: index for index, goal in enumerate(goals)}
    own, others = (
        np.array([number[samples.goals[first]] for first in rows.tolist()])
        for rows in (firsts, missed)
    )
    others = (others + rng.integers(1, max(len(goals), 2), size=len(missed))) % len(goals)
    reached = np.repeat([True, False], [len(firsts), len(missed)])
    starts, goal_ids = np.concatenate([firsts, missed]), np.concatenate([own, others])
    # The state after a stretch is not stored. The last step of a rewarded episode needs none, as
    # it is terminal; the other episodes end one step earlier.
    lengths = samples.steps_left[starts] - ~reached
    return _flat(samples, shape, starts, lengths, reached, goals, goal_ids)


def _flat(
    samples: DistillationSet,
    shape: GridShape,
    starts: np.ndarray,
    lengths: np.ndarray,
    reached: np.ndarray,
    goals: list[str],
    goal_ids: np.ndarray,
) -> FlatEpisodes:
    """Rows `starts` (N,) and those that follow, `lengths` (N,) steps each, as episodes."""
    acting = _runs(starts, lengths)
    seen = np.minimum(
        _runs(starts, lengths + 1), np.repeat(starts + lengths - reached, lengths + 1)
    )
    ends = np.cumsum(lengths)
    rewards = np.zeros(len(acting), np.float32)
    rewards[ends[reached] - 1] = 1.0
    actions = [ACTION_NAMES.index(samples.answers[row]) for row in acting.tolist()]
    return FlatEpisodes(
        observations=grid_vectors(samples.states[seen], shape),
        actions=np.array(actions, np.int64),
        rewards=rewards,
        starts=ends - lengths,
        lengths=lengths,
        goals=goals,
        goal_ids=goal_ids,
        levels=np.full(len(starts), "train"),
        success=reached,
        terminated=reached,
        source=np.full(len(starts), "real"),
    )


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`lengths` (N,) numbers from each of `starts` (N,) on, one run after the other."""
    shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return np.asarray(shifts + np.arange(len(shifts)))
