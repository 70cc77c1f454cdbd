"""Labelled play as rewarded episodes, worked by hand."""

import numpy as np
import pytest

from envs.babyai.cells import EMPTY
from offline_rl.distillation_set import DistillationSet
from offline_rl.grid_vectors import grid_vectors
from offline_rl.labelled_episodes import labelled_episodes
from tests.grid_samples import grid_state

# Three states that differ in where the agent looks: right, down, left.
STATES = np.concatenate([grid_state([[EMPTY]], (1, 1, turn))[0] for turn in range(3)])
SHAPE = grid_state([[EMPTY]], (1, 1, 0))[1]


def stretches() -> DistillationSet:
    """One stretch of two steps, one of a single step."""
    return DistillationSet(
        questions=[""] * 3,
        answers=["right", "forward", "left"],
        goals=["a", "a", "b"],
        programs=[""] * 3,
        plans=np.array([0, 0, 1]),
        steps_left=np.array([2, 1, 1]),
        states=STATES,
    )


def test_a_stretch_is_rewarded_at_its_end_and_once_more_under_another_goal() -> None:
    found = labelled_episodes(stretches(), SHAPE, num_steps=9, seed=0)
    long, short = (int(index) for index in np.argsort(-found.lengths[:2]))
    assert found.lengths.tolist() == [(2, 1)[i == short] for i in range(2)] + [1]
    assert found.success.tolist() == found.terminated.tolist() == [True, True, False]
    assert [found.goals[found.goal_ids[index]] for index in (long, short, 2)] == ["a", "b", "b"]
    start, end = found.starts[long], found.starts[long] + 2
    assert found.actions[start:end].tolist() == [1, 2]
    assert found.rewards[start:end].tolist() == [0.0, 1.0]
    assert found.rewards[found.starts[2]] == 0.0
    # The end state of the rewarded stretch is not stored; the other one ends a step before.
    vectors = grid_vectors(STATES, SHAPE)
    first = found.observation_starts[long]
    np.testing.assert_array_equal(found.observations[first : first + 3], vectors[[0, 1, 1]])
    first = found.observation_starts[2]
    np.testing.assert_array_equal(found.observations[first : first + 2], vectors[[0, 1]])


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1 steps and more than one, got none"):
        labelled_episodes(stretches(), SHAPE, num_steps=1, seed=0)
