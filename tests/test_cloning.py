"""Cloning imitates the data's own play up to each labelled step, and nothing else."""

import numpy as np

from envs.babyai.collection import CollectionConfig, collect_transitions, collect_with_order
from offline_rl.cloning import stretch_steps
from offline_rl.distillation import DistillationConfig
from tests.graphs import chain, encode, model_of, numbers_of
from tests.test_distillation import to_number


def test_stretches_end_at_the_goal_and_begin_after_the_last_one() -> None:
    model = model_of(chain(3))
    # Play 0: 1 -0> 2 -0> 3, then 3 -1> 2 is unknown to the chain; play 1 in between: 2 -2> 2 -0> 3.
    numbers, actions = [1, 2, 2, 2, 2], [0, 2, 0, 2, 0]
    plays = [0, 1, 0, 1, 1]
    ids = model.ids(encode(numbers))
    steps = stretch_steps(
        model,
        ids,
        np.array(actions),
        np.array(plays),
        [to_number("three", 3)],
        [1.0],
        DistillationConfig(num_plans=9, longest_steps=2),
    )
    # Play 0 gives 1, 2. Play 1 waits twice in 2, and the first wait is too long ago.
    assert numbers_of(model)[steps.states].tolist() == [1, 2, 2, 2]
    assert steps.actions.tolist() == [0, 0, 2, 0]
    assert steps.steps_left.tolist() == [2, 1, 2, 1]
    assert steps.plans.tolist() == [0, 0, 1, 1]


def test_a_stretch_never_reaches_into_another_play_or_behind_the_last_success() -> None:
    model = model_of([*chain(3), (3, 1, 2)])
    numbers, actions, plays = [2, 3, 2, 2], [0, 1, 0, 0], [0, 0, 0, 1]
    steps = stretch_steps(
        model,
        model.ids(encode(numbers)),
        np.array(actions),
        np.array(plays),
        [to_number("three", 3)],
        [1.0],
        DistillationConfig(num_plans=9, longest_steps=9),
    )
    assert numbers_of(model)[steps.states].tolist() == [2, 3, 2, 2]
    assert steps.plans.tolist() == [0, 1, 1, 2]


def test_a_play_is_its_rows_in_turn_one_after_the_other() -> None:
    config = CollectionConfig("room", (0, 1), 1200, 0.3)
    rows, plays, turns = collect_with_order(config)
    np.testing.assert_array_equal(rows.states, collect_transitions(config).states)
    assert sorted(turns.tolist()) == list(range(1200))
    for play in np.unique(plays):
        own = np.flatnonzero(plays == play)
        own = own[np.argsort(turns[own])]
        np.testing.assert_array_equal(rows.states[own[1:]], rows.next_states[own[:-1]])
