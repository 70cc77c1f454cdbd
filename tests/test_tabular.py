"""Planning and Q iteration find the ways that a plain search finds, also very long ones."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_rl.empirical import EmpiricalModel
from offline_rl.tabular import (
    NO_PATH,
    QSettings,
    greedy_pairs,
    plan_backward,
    plan_by_values,
    q_iteration,
    shortest_pairs,
    solve_goals,
)
from tests.graphs import (
    Transition,
    by_number,
    chain,
    counted,
    deterministic_graphs,
    into,
    model_of,
    numbers_of,
    plain_distances,
    stochastic_graphs,
)

# 0 --0--> 1 --0--> 2 --0--> 3 (goal), 0 --1--> 4 --0--> 2, 5 --0--> 5, 1 --1--> 0
MAZE: list[Transition] = [
    (0, 0, 1),
    (1, 0, 2),
    (2, 0, 3),
    (0, 1, 4),
    (4, 0, 2),
    (5, 0, 5),
    (1, 1, 0),
]
# Action 0 reaches the goal 3 of 7 times and stays otherwise; action 1 needs two sure steps.
GAMBLE: list[Transition] = [(0, 0, 9)] * 3 + [(0, 0, 0)] * 4 + [(0, 1, 1), (1, 0, 9)]


def values_by_pair(model: EmpiricalModel, values: np.ndarray) -> dict[tuple[int, int], float]:
    states = numbers_of(model)[model.pair_states].tolist()
    keys = zip(states, model.pair_actions.tolist(), strict=True)
    return dict(zip(keys, values.tolist(), strict=True))


def test_distances_and_actions_of_a_small_maze() -> None:
    model = model_of(MAZE)
    solution = plan_backward(model, into(model, 3))
    assert by_number(model, solution.distances) == {0: 3, 1: 2, 2: 1, 3: -1, 4: 2, 5: -1}
    assert by_number(model, solution.actions) == {0: 0, 1: 0, 2: 0, 3: -1, 4: 0, 5: -1}
    assert (solution.num_solved, solution.iterations) == (4, 3)
    assert solution.memory_bytes == 6 * (1 + 4)


def test_of_two_shortest_ways_the_first_action_of_the_order_is_taken() -> None:
    model = model_of(MAZE)
    for solver in (plan_backward, plan_by_values):
        for order, first in (((0, 1, 2), 0), ((2, 1, 0), 1), ((1, 2, 0), 1)):
            solution = solver(model, into(model, 3), action_order=order)
            assert by_number(model, solution.actions)[0] == first
            assert by_number(model, solution.actions)[1] == 0  # no choice here


def test_values_are_powers_of_the_discount() -> None:
    # A change of 1e-6 at rate 0.1 leaves errors of at most 1e-6 / (0.1 * 0.3) = 3.4e-5.
    model = model_of(MAZE)
    found = q_iteration(model, into(model, 3))
    expected = {
        (0, 0): 0.49,
        (0, 1): 0.49,
        (1, 0): 0.7,
        (1, 1): 0.343,
        (2, 0): 1.0,
        (4, 0): 0.7,
        (5, 0): 0.0,
    }
    assert values_by_pair(model, found.values) == pytest.approx(expected, abs=3.4e-5)
    assert found.largest_change < 1e-6


def test_a_way_ends_where_the_goal_is_reached() -> None:
    # 0 -> 1 (goal) -> 2 (goal): state 1 is one step from 2, and 0 is not two.
    model = model_of([(0, 0, 1), (1, 0, 2)])
    found = q_iteration(model, into(model, 1, 2), QSettings(learning_rate=1.0))
    assert values_by_pair(model, found.values) == {(0, 0): 1.0, (1, 0): 1.0}
    assert by_number(model, plan_backward(model, into(model, 1, 2)).distances)[0] == 1


@given(deterministic_graphs(), st.sets(st.integers(0, 8), min_size=1, max_size=2))
@settings(max_examples=60)
def test_both_solvers_agree_with_a_plain_search(
    transitions: list[Transition], goals: set[int]
) -> None:
    model = model_of(transitions)
    labels = into(model, *goals)
    expected = plain_distances(transitions, goals)
    planned, valued = plan_backward(model, labels), plan_by_values(model, labels)
    for state, steps in by_number(model, planned.distances).items():
        assert steps == expected.get(state, NO_PATH)
    shortest = shortest_pairs(model, labels)
    greedy = greedy_pairs(model, q_iteration(model, labels).values)
    np.testing.assert_array_equal(shortest, greedy)
    best = {
        (state, action)
        for state, action, after in transitions
        if (1 if after in goals else expected.get(after, 10**6) + 1) == expected.get(state)
    }
    assert {pair for pair, chosen in values_by_pair(model, shortest).items() if chosen} == best
    np.testing.assert_array_equal(planned.actions, valued.actions)
    np.testing.assert_array_equal(planned.distances, valued.distances)


@given(stochastic_graphs(), st.integers(0, 5))
@settings(max_examples=15)
def test_q_iteration_is_a_plain_loop_over_the_table(
    transitions: list[Transition], goal: int
) -> None:
    model = model_of([*transitions, (goal, 0, goal)])
    found = q_iteration(model, into(model, goal))
    table = counted([*transitions, (goal, 0, goal)])
    values = dict.fromkeys(table, 0.0)
    for _ in range(found.sweeps):
        best = {state: 0.0 for _, _, state in transitions}
        for (state, _), value in values.items():
            best[state] = max(best.get(state, 0.0), value)
        for pair, row in table.items():
            worth = {after: 1.0 if after == goal else 0.7 * best[after] for after in row}
            target = sum(count * worth[after] for after, count in row.items()) / row.total()
            values[pair] += 0.1 * (target - values[pair])
    assert values_by_pair(model, found.values) == pytest.approx(values, abs=1e-12)


def test_where_outcomes_vary_planning_counts_on_the_likely_one_and_values_on_all() -> None:
    # Gambling is worth (3/7) / (1 - 0.7 * 4/7) = 0.714, more than the sure 0.7 of two steps.
    model = model_of(GAMBLE)
    values = values_by_pair(model, q_iteration(model, into(model, 9)).values)
    assert values[0, 0] == pytest.approx(5 / 7, abs=1e-4)
    assert values[0, 1] == pytest.approx(0.7, abs=1e-4)
    planned = plan_backward(model, into(model, 9))
    valued = plan_by_values(model, into(model, 9))
    assert by_number(model, planned.actions)[0] == 1
    assert by_number(model, planned.distances)[0] == 2
    assert by_number(model, valued.actions)[0] == 0
    # By most likely next states the gambler stays for ever, and says so.
    assert by_number(model, valued.distances)[0] == NO_PATH


def test_a_way_that_is_not_taken_does_not_count() -> None:
    # Action 0 reaches the goal 2 of 3 times and else a dead end: 0.667. Action 1 is worth 0.7.
    model = model_of([(0, 0, 9)] * 2 + [(0, 0, 8), (0, 1, 1), (1, 0, 9)])
    planned = plan_backward(model, into(model, 9))
    valued = plan_by_values(model, into(model, 9))
    assert (by_number(model, planned.actions)[0], by_number(model, planned.distances)[0]) == (0, 1)
    assert (by_number(model, valued.actions)[0], by_number(model, valued.distances)[0]) == (1, 2)


def test_a_chain_of_300_keeps_its_policy_and_loses_it_in_single_precision() -> None:
    model = model_of(chain(300))
    labels = into(model, 300)

    def right_steps(settings: QSettings) -> int:
        """How far from the goal all actions are right, with ties taken at their worst."""
        actions = by_number(model, plan_by_values(model, labels, (2, 1, 0), settings).actions)
        wrong = [place for place in range(300) if actions[place] != 0]
        return 300 - (max(wrong) + 1 if wrong else 0)

    assert right_steps(QSettings()) == 300
    assert right_steps(QSettings(quiet_sweeps=0)) == 292
    assert right_steps(QSettings(precision="float32", quiet_sweeps=0)) == 102
    assert right_steps(QSettings(precision="float32")) < 300


def test_planning_has_no_horizon() -> None:
    model = model_of(chain(3000))
    solution = plan_backward(model, into(model, 3000), (2, 1, 0))
    assert by_number(model, solution.distances) == {
        **{place: 3000 - place for place in range(3000)},
        3000: NO_PATH,
    }
    assert set(by_number(model, solution.actions).values()) == {0, NO_PATH}


def test_planning_is_at_least_ten_times_as_fast_as_q_iteration() -> None:
    # 64 x 64 cells, moves in four directions, walls at the edge.
    cells = np.arange(64 * 64)
    rows, columns = cells // 64, cells % 64
    transitions: list[Transition] = []
    for action, (down, right) in enumerate([(0, 1), (1, 0), (0, -1), (-1, 0)]):
        after = np.clip(rows + down, 0, 63) * 64 + np.clip(columns + right, 0, 63)
        transitions += zip(cells.tolist(), [action] * len(cells), after.tolist(), strict=True)
    model = model_of(transitions, num_actions=4)
    labels = into(model, 0)

    def seconds(solver: object) -> float:
        began = time.perf_counter()
        assert solver(model, labels).num_solved == 64 * 64  # type: ignore[operator]
        return time.perf_counter() - began

    assert min(seconds(plan_backward) for _ in range(3)) * 10 < seconds(plan_by_values)


def test_fetching_and_carrying_join_although_no_episode_does_both() -> None:
    # Cells 0 to 3, the ball lies in cell 0 and belongs to cell 3; state = cell + 10 if carried.
    # Actions: 0 left, 1 right, 2 pick up or drop. Dropping in cell 3 leads to 99.
    fetched = [(2, 0, 1), (1, 0, 0), (0, 2, 10)]  # another goal: pick up the ball
    wandered = [(11, 0, 10), (10, 1, 11), (11, 1, 12)]  # walks about with it, drops it nowhere
    brought = [(12, 1, 13), (13, 2, 99)]  # begins with the ball in hand
    model = model_of([*fetched, *wandered, *brought])
    solution = plan_backward(model, into(model, 99))
    # From cell 2 with empty hands: 2 steps left, pick up, 3 right, drop.
    assert by_number(model, solution.distances)[2] == 2 + 1 + 3 + 1
    for some in ([*wandered, *brought], [*fetched, *brought], [*fetched, *wandered]):
        rest = model_of(some)
        distances = by_number(rest, plan_backward(rest, into(rest, 99)).distances)
        assert distances.get(2, NO_PATH) == NO_PATH, "each of the three is needed"


def test_goals_are_solved_one_by_one_as_they_are_asked_for() -> None:
    model = model_of(MAZE)
    made: list[int] = []

    def labelled() -> Iterator[tuple[str, np.ndarray]]:
        for goal in (3, 2, 5):
            made.append(goal)
            yield f"reach {goal}", into(model, goal)

    solved = solve_goals(model, labelled(), partial(plan_backward, action_order=(2, 1, 0)))
    first = next(solved)
    assert (first.goal, made) == ("reach 3", [3])
    assert by_number(model, first.solution.actions)[0] == 1
    second, third = solved
    assert by_number(model, second.solution.distances) == {0: 2, 1: 1, 2: -1, 3: -1, 4: 1, 5: -1}
    assert by_number(model, third.solution.distances)[5] == 1
    assert first.seconds > 0
    assert first.peak_bytes >= first.solution.memory_bytes


def test_a_goal_without_labelled_transitions_has_no_way() -> None:
    model = model_of(MAZE)
    nothing = np.zeros(len(model.counts), np.bool_)
    for solver in (plan_backward, plan_by_values):
        solution = solver(model, nothing)
        assert set(solution.actions.tolist()) == {NO_PATH}
        assert solution.num_solved == 0


def test_what_does_not_fit_is_refused() -> None:
    model = model_of(MAZE)
    labels = into(model, 3)
    with pytest.raises(ValueError, match=r"Expected labels \(7,\) bool"):
        plan_backward(model, labels[:-1])
    with pytest.raises(ValueError, match="Expected labels"):
        q_iteration(model, labels.astype(np.float64))
    with pytest.raises(ValueError, match="each action from 0 to 2 once"):
        plan_backward(model, labels, (0, 1))
    with pytest.raises(ValueError, match="learning_rate"):
        QSettings(learning_rate=0.0)
    with pytest.raises(ValueError, match="discount"):
        QSettings(discount=1.0)
    with pytest.raises(ValueError, match="tolerance above 0"):
        QSettings(tolerance=0.0)
    with pytest.raises(RuntimeError, match="within 5 sweeps"):
        q_iteration(model, labels, QSettings(max_sweeps=5))
