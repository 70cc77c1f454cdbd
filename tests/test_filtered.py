"""Filtered cloning keeps the best-rewarded episodes of a goal, without their detours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_rl.filtered import Trace, select_best, without_loops


def walk(states: str) -> Trace:
    """States by letters; the action at step i is the number i."""
    return Trace(tuple(states), tuple(range(len(states) - 1)))


@pytest.mark.parametrize(
    ("states", "kept", "actions"),
    [
        ("ABCD", "ABCD", (0, 1, 2)),  # no loop
        ("ABCBD", "ABD", (0, 3)),  # B is left by its second action
        ("AABB", "AB", (1,)),  # actions that change nothing
        ("ABCABD", "ABD", (3, 4)),  # back to the start
        (
            "ABCDBCE",
            "ABCE",
            (0, 4, 5),
        ),  # C is seen again, but its first visit was cut with the loop
        ("ABA", "A", ()),  # nothing is left
        ("A", "A", ()),
    ],
)
def test_a_state_that_is_seen_again_cuts_the_loop(
    states: str, kept: str, actions: tuple[int, ...]
) -> None:
    assert without_loops(walk(states)) == Trace(tuple(kept), actions)


@given(st.text("ABCDE", min_size=1, max_size=25))
@settings(max_examples=60)
def test_what_is_left_is_a_way_of_the_episode_that_visits_no_state_twice(states: str) -> None:
    trace = walk(states)
    cut = without_loops(trace)
    assert (cut.states[0], cut.states[-1]) == (states[0], states[-1])
    assert len(set(cut.states)) == len(cut.states)
    assert list(cut.actions) == sorted(cut.actions)
    for before, action, after in zip(cut.states[:-1], cut.actions, cut.states[1:], strict=True):
        assert (states[int(str(action))], states[int(str(action)) + 1]) == (before, after)


def test_the_best_rewarded_episodes_are_kept_without_loops() -> None:
    traces = [walk("ABC"), walk("ABAD"), walk("AD"), walk("AE")]
    selection = select_best(traces, np.array([0.5, 0.8, 0.8, 0.7]))
    assert selection.indices.tolist() == [1, 2]
    assert selection.traces == (Trace(("A", "D"), (2,)), Trace(("A", "D"), (0,)))
    assert (selection.reward, selection.num_below, selection.num_empty) == (0.8, 2, 0)


def test_another_goal_keeps_other_episodes_of_the_same_data() -> None:
    traces = [walk("ABC"), walk("AD")]
    assert select_best(traces, np.array([1.0, 0.0])).indices.tolist() == [0]
    assert select_best(traces, np.array([0.0, 1.0])).indices.tolist() == [1]


@pytest.mark.parametrize(("reward", "kept"), [(0.6, [0]), (0.59, [])])
def test_a_goal_whose_best_reward_is_below_the_threshold_has_no_episodes(
    reward: float, kept: list[int]
) -> None:
    selection = select_best([walk("ABC"), walk("AD")], np.array([reward, 0.1]))
    assert selection.indices.tolist() == kept
    assert (selection.reward, selection.num_below) == (reward, 2 - len(kept))
    lower = select_best([walk("ABC"), walk("AD")], np.array([reward, 0.1]), threshold=0.2)
    assert lower.indices.tolist() == [0]


def test_an_episode_that_ends_where_it_began_teaches_nothing() -> None:
    selection = select_best([walk("ABA"), walk("BA")], np.array([1.0, 1.0]))
    assert selection.indices.tolist() == [1]
    assert (selection.num_below, selection.num_empty) == (0, 1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 2 states for 1 actions, got 1"):
        Trace(("A",), (0,))
    with pytest.raises(ValueError, match="a reward for each of 1 episodes"):
        select_best([walk("AB")], np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="at least one"):
        select_best([], np.array([]))
    with pytest.raises(ValueError, match="finite rewards"):
        select_best([walk("AB")], np.array([np.nan]))
