"""The table's policy is greedy where it knows a way and random elsewhere, and says which it was."""

import numpy as np
import pytest

from offline_rl.tabular import plan_backward
from offline_rl.tabular_policy import Reason, TabularPolicy
from tests.graphs import encode, into, model_of

# 0 --1--> 1 --2--> 2 (goal); 3 --0--> 3 has no way; 7 was never seen.
MODEL = model_of([(0, 1, 1), (1, 2, 2), (3, 0, 3)])
POLICY = TabularPolicy(MODEL, plan_backward(MODEL, into(MODEL, 2)))


def streams(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, row]) for row in range(count)]


def test_greedy_actions_are_the_solutions_and_others_are_told_apart() -> None:
    decisions = POLICY.act(encode([0, 1, 3, 2, 7]), streams(5))
    assert decisions.actions[:2].tolist() == [1, 2]
    assert decisions.reasons.tolist() == [
        Reason.GREEDY,
        Reason.GREEDY,
        Reason.NO_PATH,
        Reason.NO_PATH,
        Reason.UNSEEN,
    ]
    assert decisions.unseen.tolist() == [False, False, False, False, True]
    assert decisions.counts() == {"greedy": 2, "unseen": 1, "no_path": 2, "forbidden": 0}


@pytest.mark.parametrize("state", [3, 7])
def test_random_actions_are_uniform_over_the_valid_ones(state: int) -> None:
    # 3,000 draws of thirds: 1,000 each with deviation 26. Of two valid ones 1,500 each, 27.
    states = encode([state] * 3000)
    free = np.bincount(POLICY.act(states, streams(3000)).actions, minlength=3)
    assert free == pytest.approx([1000] * 3, abs=130)
    valid = np.tile([True, False, True], (3000, 1))
    masked = np.bincount(POLICY.act(states, streams(3000), valid).actions, minlength=3)
    assert masked == pytest.approx([1500, 0, 1500], abs=130)


def test_a_greedy_action_that_is_not_valid_is_replaced_by_a_valid_one() -> None:
    valid = np.array([[True, False, False], [True, True, True]])
    decisions = POLICY.act(encode([0, 0]), streams(2), valid)
    assert decisions.actions.tolist() == [0, 1]
    assert decisions.reasons.tolist() == [Reason.FORBIDDEN, Reason.GREEDY]


def test_an_episodes_draws_depend_on_its_own_stream_alone() -> None:
    alone = [np.random.default_rng([5, 1])]
    single = [int(POLICY.act(encode([7]), alone).actions[0]) for _ in range(20)]
    together = [np.random.default_rng([5, row]) for row in range(2)]
    # The other episode is greedy in every second step and random in the others.
    beside = [POLICY.act(encode([0 if step % 2 else 3, 7]), together) for step in range(20)]
    assert [int(decisions.actions[1]) for decisions in beside] == single
    assert len(set(single)) == 3


def test_greedy_decisions_draw_nothing() -> None:
    stream = np.random.default_rng(0)
    POLICY.act(encode([0, 1]), [stream, stream])
    assert stream.random() == np.random.default_rng(0).random()


def test_what_does_not_fit_is_refused() -> None:
    other = model_of([(0, 1, 1)])
    with pytest.raises(ValueError, match="over 2 states, got one over 4"):
        TabularPolicy(other, plan_backward(MODEL, into(MODEL, 2)))
    with pytest.raises(ValueError, match=r"mask of valid actions \(1, 3\)"):
        POLICY.act(encode([0]), streams(1), np.ones((1, 2), np.bool_))
    with pytest.raises(ValueError, match="Expected a valid action in every state"):
        POLICY.act(encode([0]), streams(1), np.zeros((1, 3), np.bool_))
