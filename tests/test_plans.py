"""Plans reach their goal on the data's own table, and no environment is touched."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_rl import plans
from offline_rl.empirical import EmpiricalModel
from offline_rl.plans import Plan, draw_starts, roll_out, sample_plans
from offline_rl.tabular import Solution, plan_backward, plan_by_values
from tests.graphs import (
    Transition,
    by_number,
    chain,
    encode,
    into,
    model_of,
    numbers_of,
    stochastic_graphs,
)

# 0 --0--> 1 --1--> 2 --0--> 3 (goal), 4 --0--> 4 has no way.
LINE: list[Transition] = [(0, 0, 1), (1, 1, 2), (2, 0, 3), (4, 0, 4)]


def written(model: EmpiricalModel, plan: Plan) -> tuple[list[int], list[int]]:
    """States by number, and actions."""
    return numbers_of(model)[plan.states].tolist(), plan.actions.tolist()


def test_plans_of_a_small_line() -> None:
    model = model_of(LINE)
    labels = into(model, 3)
    solution = plan_backward(model, labels)
    starts = model.ids(encode([2, 4, 0, 3, 9, 0]))
    found = roll_out(model, labels, solution, starts, longest_steps=10)
    # 4 has no way, 3 was never left, 9 never seen; the same start twice gives two plans.
    assert [written(model, plan) for plan in found] == [
        ([2, 3], [0]),
        ([0, 1, 2, 3], [0, 1, 0]),
        ([0, 1, 2, 3], [0, 1, 0]),
    ]
    assert (len(found), found.num_tried) == (3, 6)


def test_plans_that_are_too_long_are_dropped() -> None:
    model = model_of(LINE)
    labels = into(model, 3)
    solution = plan_backward(model, labels)
    starts = model.ids(encode([0, 1, 2]))
    for longest, kept in ((1, [1]), (2, [2, 1]), (3, [3, 2, 1])):
        found = roll_out(model, labels, solution, starts, longest)
        assert [len(plan) for plan in found] == kept
        assert found.num_tried == 3


def test_actions_that_never_arrive_give_no_plan() -> None:
    # Action 0 reaches the goal 3 of 7 times: its most likely next state is where it began.
    model = model_of([(0, 0, 9)] * 3 + [(0, 0, 0)] * 4 + [(1, 0, 9)])
    labels = into(model, 9)
    solution = plan_by_values(model, labels)
    assert by_number(model, solution.actions)[0] == 0
    starts = model.ids(encode([0, 1, 0]))
    found = roll_out(model, labels, solution, starts, longest_steps=50)
    assert (len(found), found.num_tried) == (1, 3)
    assert written(model, found[0]) == ([1, 9], [0])
    assert len(found.actions) == 1
    none = roll_out(model, labels, solution, starts[:1], longest_steps=50)
    assert (len(none), len(none.states)) == (0, 0)


@given(stochastic_graphs(), st.integers(0, 5), st.booleans())
@settings(max_examples=50)
def test_every_plan_ends_with_its_first_labelled_transition(
    transitions: list[Transition], goal: int, by_values: bool
) -> None:
    model = model_of(transitions)
    labels = into(model, goal)
    solution = (plan_by_values if by_values else plan_backward)(model, labels)
    starts = np.arange(len(model.states))
    found = roll_out(model, labels, solution, starts, longest_steps=20)
    assert [int(plan.states[0]) for plan in found] == np.flatnonzero(
        solution.distances > 0
    ).tolist()
    for plan in found:
        assert len(plan) == solution.distances[plan.states[0]]
        edges = model.likely_edges_of(plan.states[:-1], plan.actions)
        np.testing.assert_array_equal(model.successors[edges], plan.states[1:])
        assert labels[edges].tolist() == [False] * (len(plan) - 1) + [True]
        np.testing.assert_array_equal(solution.actions[plan.states[:-1]], plan.actions)


def test_suffixes_are_views_of_their_plans() -> None:
    model = model_of(LINE)
    labels = into(model, 3)
    solution = plan_backward(model, labels)
    found = roll_out(model, labels, solution, model.ids(encode([0, 2])), longest_steps=10)
    suffixes = list(found.suffixes())
    assert [written(model, plan) for plan in suffixes] == [
        ([0, 1, 2, 3], [0, 1, 0]),
        ([1, 2, 3], [1, 0]),
        ([2, 3], [0]),
        ([2, 3], [0]),
    ]
    for plan in suffixes:
        assert np.shares_memory(plan.states, found.states)
        assert np.shares_memory(plan.actions, found.actions)


def test_a_plan_that_is_not_there_is_refused() -> None:
    model = model_of(LINE)
    labels = into(model, 3)
    solution = plan_backward(model, labels)
    found = roll_out(model, labels, solution, model.ids(encode([0])), longest_steps=10)
    for index in (-1, 1):
        with pytest.raises(IndexError, match="from 0 to 0"):
            found[index]
    with pytest.raises(ValueError, match="at least one step, got 0"):
        roll_out(model, labels, solution, np.zeros(1, int), longest_steps=0)
    with pytest.raises(ValueError, match=r"Expected labels \(4,\) bool"):
        roll_out(model, labels.astype(int), solution, np.zeros(1, int), longest_steps=5)


def crowded() -> Solution:
    """900 states one step from the goal, 90 two steps, 10 three steps, 5 without a way."""
    distances = np.repeat(np.array([1, 2, 3, -1], np.int32), [900, 90, 10, 5])
    return Solution(np.zeros(1005, np.int8), distances, 3)


def test_balanced_starts_make_long_plans_as_common_as_short_ones() -> None:
    rng = np.random.default_rng(0)
    solution = crowded()

    def first_distances(balance: float) -> np.ndarray:
        """Shares of distances among first draws, which no draw before has thinned out."""
        drawn = [draw_starts(solution, 1, rng, balance=balance)[0] for _ in range(2000)]
        return np.bincount(solution.distances[drawn], minlength=4)[1:] / 2000

    # Deviations: sqrt(0.9 * 0.1 / 2000) = 0.007 and sqrt(2/9 / 2000) = 0.011.
    assert first_distances(0.0) == pytest.approx([0.9, 0.09, 0.01], abs=0.03)
    assert first_distances(1.0) == pytest.approx([1 / 3] * 3, abs=0.045)


def test_starts_are_different_and_have_a_way_that_is_short_enough() -> None:
    solution = crowded()
    for balance in (0.0, 0.5, 1.0):
        starts = draw_starts(solution, 2000, np.random.default_rng(1), balance=balance)
        assert sorted(starts.tolist()) == list(range(1000))
        near = draw_starts(solution, 2000, np.random.default_rng(1), 2, balance)
        assert sorted(near.tolist()) == list(range(990))
    assert len(draw_starts(solution, 7, np.random.default_rng(1))) == 7
    assert len(draw_starts(solution, 7, np.random.default_rng(1), longest_steps=0)) == 0
    with pytest.raises(ValueError, match=r"balance in \[0, 1\], got 2"):
        draw_starts(solution, 7, np.random.default_rng(1), balance=2.0)


def test_samples_repeat_with_their_seed() -> None:
    model = model_of(chain(200))
    labels = into(model, 200)
    solution = plan_backward(model, labels)

    def sample(seed: int) -> list[int]:
        found = sample_plans(model, labels, solution, 20, seed, longest_steps=150)
        assert len(found) == 20
        return [len(plan) for plan in found]

    assert sample(3) == sample(3)
    assert sample(3) != sample(4)
    assert max(sample(3)) <= 150


def test_sampling_plans_can_step_no_environment() -> None:
    # What the module imports is arrays and the table; nothing of it knows an environment.
    names = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(Path(plans.__file__).read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names == {
        "collections.abc",
        "dataclasses",
        "numpy",
        "offline_rl.empirical",
        "offline_rl.tabular",
    }
    code = (
        "import sys, offline_rl.plans; known = {name.split('.')[0] for name in sys.modules}; "
        "assert not known & {'envs', 'gymnasium', 'gym', 'minigrid', 'mujoco', 'torch'}, known"
    )
    root = Path(plans.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
