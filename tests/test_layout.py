"""The layout: one sequence of words, states and actions, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalm.layout import CONTINUE, STOP, UNKNOWN, Kind, Layout, Packed, collate, join

T, S, A = Kind.TEXT, Kind.STATE, Kind.ACTION
PAIR = Layout(num_slots=2, slot_dim=1, action_width=1)
STATES = np.array([[1, 2], [3, 4], [5, 6]], np.float32)  # T = 2 steps, S = 2 slots of one number
ACTIONS = np.array([7, 8])


def assert_equal(one: Packed, other: Packed, *names: str) -> None:
    for name in names or Packed.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_a_rollout_of_two_steps_and_two_slots_is_laid_out_as_by_hand() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=True, loss=True)
    # positions:                s00 s01 a0 s10 s11 a1 s20 s21
    assert packed.kind.tolist() == [S, S, A, S, S, A, S, S]
    assert packed.slot.tolist() == [0, 1, 0, 0, 1, 0, 0, 1]
    assert packed.value[:, 0].tolist() == [1, 2, 0, 3, 4, 0, 5, 6]
    assert packed.token.tolist() == [0] * 8
    assert packed.loss.tolist() == [False, False, True, True, True, True, True, True]


def test_a_hint_is_the_latest_known_state_and_the_slot_that_comes_next_stands_first() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=True, loss=True)
    # The first state (1, 2) is given: all of it is known at once, and after s00 comes slot 1. a0 is
    # taken in the state before it. After s10 = 3 comes slot 1, which was 2: (2, 3).
    hints = [(2, 1), (1, 2), (1, 2), (2, 3), (3, 4), (3, 4), (4, 5), (5, 6)]
    assert [tuple(hint) for hint in packed.hint.tolist()] == hints


def test_the_states_after_an_action_carry_it() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=True, loss=True)
    assert packed.action[:, 0].tolist() == [0, 0, 7, 7, 7, 8, 8, 8]
    assert packed.acted.tolist() == [False, False, True, True, True, True, True, True]


def test_the_end_is_told_after_the_last_slot_of_every_state() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=True, loss=True)
    _ = UNKNOWN
    assert packed.stop.tolist() == [_, CONTINUE, _, _, CONTINUE, _, _, STOP]


def test_a_rollout_that_stops_short_of_its_goal_goes_on() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=False, loss=True)
    _ = UNKNOWN
    assert packed.stop.tolist() == [_, CONTINUE, _, _, CONTINUE, _, _, CONTINUE]


def test_goals_that_hold_are_marked_after_the_last_slot_of_every_state() -> None:
    layout = Layout(num_slots=2, slot_dim=1, action_width=1, num_goals=2)
    held = np.array([[False, True], [True, True], [False, False]])
    packed = layout.rollout(STATES, ACTIONS, ended=False, loss=False, held=held)
    unknown = [UNKNOWN, UNKNOWN]
    assert packed.held.tolist() == [
        *(unknown, [0, 1], unknown),
        *(unknown, [1, 1], unknown),
        *(unknown, [0, 0]),
    ]


def test_a_rollout_without_loss_predicts_nothing() -> None:
    packed = PAIR.rollout(STATES, ACTIONS, ended=True, loss=False)
    assert not packed.loss.any()
    assert (packed.stop == UNKNOWN).all()


@given(
    steps=st.integers(1, 4),
    slots=st.integers(1, 3),
    numbers=st.integers(1, 3),
    width=st.integers(1, 2),
)
def test_a_rollout_is_its_states_and_actions_one_after_the_other(
    steps: int, slots: int, numbers: int, width: int
) -> None:
    layout = Layout(slots, numbers, width)
    rng = np.random.default_rng(0)
    states = rng.normal(size=(steps + 1, slots * numbers)).astype(np.float32)
    actions = rng.normal(size=(steps, width)).astype(np.float32)
    pieces = [layout.state(states[0], loss=False)]
    for step in range(steps):
        pieces.append(layout.act(actions[step], states[step], loss=True))
        pieces.append(layout.state(states[step + 1], states[step], actions[step], loss=True))
    whole = layout.rollout(states, actions, ended=True, loss=True)
    inputs = ("kind", "token", "slot", "value", "hint", "action", "acted")
    assert_equal(join(pieces), whole, *inputs, "loss")


def test_words_hold_their_tokens_and_no_numbers() -> None:
    packed = PAIR.text([4, 9], loss=True)
    assert packed.kind.tolist() == [T, T]
    assert packed.token.tolist() == [4, 9]
    assert packed.loss.tolist() == [True, True]
    assert not packed.value.any()
    assert not packed.hint.any()


def test_padding_is_on_the_right_and_asks_for_nothing() -> None:
    short, long = PAIR.text([4], loss=True), PAIR.rollout(STATES, ACTIONS, ended=True, loss=True)
    batch = collate([short, long])
    assert batch.kind.shape == (2, 8)
    assert batch.token[0].tolist() == [4] + [0] * 7
    assert batch.loss[0].tolist() == [True] + [False] * 7
    assert (batch.stop[0] == UNKNOWN).all()
    assert_equal(Packed(**{n: getattr(batch, n)[1] for n in Packed.__dataclass_fields__}), long)


def test_a_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        PAIR.state(np.zeros(3, np.float32), None, loss=False)
