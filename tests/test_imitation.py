"""The recurrent imitator: it learns what needs memory, and comes back from disk as it was."""

from pathlib import Path

import numpy as np
import pytest

from envs.babyai.cells import EMPTY
from envs.files import StoreError
from offline_rl.distillation_set import DistillationSet
from offline_rl.goal_encoder import EncodedGoals
from offline_rl.imitation import (
    ImitationConfig,
    ImitationNetwork,
    ImitationScores,
    load_imitation,
    save_imitation,
    train_imitation,
)
from tests.grid_samples import grid_state

STATE, SHAPE = grid_state([[EMPTY, EMPTY], [EMPTY, EMPTY]], (1, 1, 0))
GOALS = EncodedGoals(("twice left", "right, then left"), np.eye(2, dtype=np.float32))
ACTIONS = {"twice left": ["left", "left"], "right, then left": ["right", "left"]}
CONFIG = ImitationConfig(updates=100, plans=8, hidden=16, channels=4, learning_rate=1e-2)


def samples() -> DistillationSet:
    """Two plans in a state that never changes: only goal and memory tell what to do."""
    answers = [action for plan in ACTIONS.values() for action in plan]
    goals = [goal for goal, plan in ACTIONS.items() for _ in plan]
    return DistillationSet(
        questions=[""] * 4,
        answers=answers,
        goals=goals,
        programs=[""] * 4,
        plans=np.array([0, 0, 1, 1]),
        steps_left=np.array([2, 1, 2, 1]),
        states=np.tile(STATE, (4, 1)),
    )


def encode(texts: list[str]) -> np.ndarray:
    return np.asarray(GOALS.vectors[GOALS.ids(texts)])


@pytest.fixture(scope="module")
def network() -> ImitationNetwork:
    return train_imitation(samples(), GOALS, SHAPE, CONFIG)


def played(network: ImitationNetwork) -> list[list[int]]:
    scores = ImitationScores(network, SHAPE, lambda texts: encode(list(texts)))
    scores.begin(list(ACTIONS))
    states = np.tile(STATE, (2, 1))
    return [scores.of(np.arange(2), states).argmax(1).tolist() for _ in range(2)]


def test_it_learns_by_heart_what_goal_and_memory_tell(network: ImitationNetwork) -> None:
    assert played(network) == [[0, 1], [0, 0]]  # left, right; then left, left


def test_episodes_keep_their_own_memory(network: ImitationNetwork) -> None:
    scores = ImitationScores(network, SHAPE, lambda texts: encode(list(texts)))
    scores.begin(["right, then left"] * 2)
    scores.of(np.array([0]), STATE)
    both = scores.of(np.arange(2), np.tile(STATE, (2, 1)))
    assert both.argmax(1).tolist() == [0, 1]  # the first is one step ahead


def test_it_comes_back_from_disk_as_it_was(network: ImitationNetwork, tmp_path: Path) -> None:
    save_imitation(network, tmp_path / "gru", SHAPE, 2, CONFIG)
    assert played(load_imitation(tmp_path / "gru")) == played(network)
    with pytest.raises(StoreError):
        save_imitation(network, tmp_path / "gru", SHAPE, 2, CONFIG)
    file = tmp_path / "gru" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match="was altered"):
        load_imitation(tmp_path / "gru")


def test_a_set_of_samples_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    stored = samples()
    stored.write(tmp_path / "samples.parquet")
    back = DistillationSet.read(tmp_path / "samples.parquet")
    assert back.pairs == stored.pairs
    assert (back.goals, back.programs) == (stored.goals, stored.programs)
    for name in ("plans", "steps_left", "states"):
        np.testing.assert_array_equal(getattr(back, name), getattr(stored, name))


def test_held_out_plans_are_whole_and_apart() -> None:
    train, held_out = samples().without(0.5, seed=0)
    assert sorted(train.plans.tolist() + held_out.plans.tolist()) == [0, 0, 1, 1]
    assert len(train) == len(held_out) == 2
