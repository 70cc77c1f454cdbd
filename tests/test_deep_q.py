"""Deep Q-learning solves a maze from shuffled rows, and knows only what the data shows."""

import numpy as np
import pytest
import torch

from offline_rl.deep_q import DeepQSettings, deep_solution, learn_deep_q
from offline_rl.empirical import EmpiricalModel
from offline_rl.tabular import plan_backward
from tests.graphs import Transition, by_number, into, model_of, numbers_of

# 5 x 5 cells, # is a wall, the goal G is far from the lower left although it looks near.
PLAN = ("....G", ".###.", "...#.", ".#.#.", ".#...")
CELLS = [(row, column) for row in range(5) for column in range(5) if PLAN[row][column] != "#"]
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # right, down, left, up
SETTINGS = DeepQSettings(hidden_sizes=(64,), updates=1500, batch_size=128, target_interval=50)


def maze_rows(count: int) -> list[Transition]:
    """Random moves from random cells."""
    rng = np.random.default_rng(0)
    rows: list[Transition] = []
    for place, action in rng.integers((len(CELLS), 4), size=(count, 2)).tolist():
        row, column = CELLS[place]
        after = (row + MOVES[action][0], column + MOVES[action][1])
        after = after if after in CELLS else (row, column)
        rows.append((5 * row + column, action, 5 * after[0] + after[1]))
    return rows


def one_hot(model: EmpiricalModel, size: int = 25) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[numbers_of(model)]


def test_a_maze_is_solved_from_random_moves() -> None:
    model = model_of(maze_rows(600), num_actions=4)
    labels = into(model, 4)
    learned = learn_deep_q(model, labels, one_hot(model), seed=0, settings=SETTINGS)
    found = deep_solution(model, labels, one_hot(model), learned)
    shortest = plan_backward(model, labels)
    assert len(found.distances) == len(CELLS)
    np.testing.assert_array_equal(found.distances, shortest.distances)
    pairs = (model.pair_states, model.pair_actions)
    after = shortest.distances[model.likely_successors]
    # A pair's value is a power of the discount: 1 for the goal, else 0.7 for each step after it.
    expected = np.where(labels[model.likely_edges], 1.0, 0.7**after)
    assert learned.values(one_hot(model))[pairs] == pytest.approx(expected, abs=0.05)


def test_actions_that_the_data_lacks_raise_no_value() -> None:
    # 0 --0--> 1, where nothing was tried, and 4 --0--> 5, where only staying was: no way to 3 is
    # known from there, whatever the network makes of the other actions.
    model = model_of([(0, 0, 1), (2, 0, 3), (4, 0, 5), (5, 0, 5)])
    features = one_hot(model, 6)
    settings = DeepQSettings(hidden_sizes=(16,), updates=600, batch_size=16, target_interval=10)
    learned = learn_deep_q(model, into(model, 3), features, seed=1, settings=settings)
    values = learned.values(features)
    ids = by_number(model, np.arange(6))
    assert values[ids[0], 0] == pytest.approx(0.0, abs=0.01)
    assert values[[ids[4], ids[5]], 0] == pytest.approx(0.0, abs=0.01)
    assert values[ids[2], 0] == pytest.approx(1.0, abs=0.01)


def test_learning_repeats_with_its_seed_and_leaves_the_global_one_alone() -> None:
    model = model_of(maze_rows(50), num_actions=4)
    few = DeepQSettings(hidden_sizes=(8,), updates=5, batch_size=8)

    def values(seed: int) -> np.ndarray:
        torch.rand(1)  # the global stream stands elsewhere each time
        learned = learn_deep_q(model, into(model, 4), one_hot(model), seed, few)
        return learned.values(one_hot(model))

    np.testing.assert_array_equal(values(0), values(0))
    assert not np.array_equal(values(0), values(1))
    state = torch.get_rng_state()
    learn_deep_q(model, into(model, 4), one_hot(model), 0, few)
    assert torch.equal(torch.get_rng_state(), state)


def test_actions_that_are_not_valid_are_not_taken() -> None:
    model = model_of(maze_rows(50), num_actions=4)
    few = DeepQSettings(hidden_sizes=(8,), updates=1, batch_size=8)
    learned = learn_deep_q(model, into(model, 4), one_hot(model), 0, few)
    best = learned.act(one_hot(model))
    valid = np.ones((len(best), 4), np.bool_)
    valid[np.arange(len(best)), best] = False
    second = np.argsort(learned.values(one_hot(model)), axis=1)[:, -2]
    np.testing.assert_array_equal(learned.act(one_hot(model), valid), second)


def test_what_does_not_fit_is_refused() -> None:
    model = model_of(maze_rows(50), num_actions=4)
    with pytest.raises(ValueError, match="float32 of the model's states"):
        learn_deep_q(model, into(model, 4), one_hot(model)[1:], 0)
    with pytest.raises(ValueError, match="Expected labels"):
        learn_deep_q(model, into(model, 4)[1:], one_hot(model), 0)
    with pytest.raises(ValueError, match="--updates of at least 1"):
        DeepQSettings(updates=0)
    with pytest.raises(ValueError, match="--discount in"):
        DeepQSettings(discount=1.0)
