"""Samples for distillation: whole plans of every goal, made and replayed without an environment."""

import numpy as np
import pytest

from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.goals import layout_specs, specs_array
from envs.babyai.layouts import make_layout
from envs.babyai.program_text import spec_text
from envs.babyai.simulator import DONE, DROP, FORWARD, LEFT, PICKUP, RIGHT, TOGGLE, step
from envs.babyai.verifiers import success
from imagination.programs import parse_program
from offline_rl.distillation import (
    DistillationConfig,
    LabelledGoal,
    equal_shares,
    goal_labels,
    likely_next,
    packed_labels,
    plan_steps,
    program_labeller,
    replay,
)
from offline_rl.empirical import EmpiricalModel, Triplets
from tests.graphs import chain, encode, model_of, numbers_of

ORDER = (0, 1, 2)


def to_number(name: str, number: int) -> LabelledGoal:
    """The goal to come to a numbered state of the graphs."""
    wanted = encode([number])[0]
    return LabelledGoal(name, lambda before, actions, after: (after == wanted).all(axis=1))


def test_every_step_of_a_plan_is_a_sample_with_what_is_left_of_it() -> None:
    model = model_of(chain(3))
    goals = [to_number("end", 3), to_number("nowhere", 9)]
    config = DistillationConfig(num_plans=2, longest_steps=2)
    steps = plan_steps(model, goals, [0.5, 0.5], config, ORDER)
    # One plan was asked for towards 3, from 1 or 2: at most two steps long; 9 is never shown.
    start = int(numbers_of(model)[steps.states[0]])
    assert numbers_of(model)[steps.states].tolist() == list(range(start, 3))
    assert steps.actions.tolist() == [0] * (3 - start)
    assert steps.steps_left.tolist() == list(range(3 - start, 0, -1))
    assert steps.unreached == ["nowhere"]
    assert [(report.goal, report.plans) for report in steps.reports] == [("end", 1), ("nowhere", 0)]
    assert steps.reports[0].labelled_edges == 1
    assert steps.reports[0].solved_states == 3


def test_plans_of_several_goals_stay_apart() -> None:
    model = model_of(chain(4))
    goals = [to_number("zero", 0), to_number("four", 4)]
    steps = plan_steps(model, goals, equal_shares(["a", "b"]), DistillationConfig(6), ORDER)
    # Three plans each, from three of four states. Wherever one begins anew the count goes up.
    assert steps.plans.max() == 5
    np.testing.assert_array_equal(np.diff(steps.plans) == 1, steps.steps_left[:-1] == 1)
    np.testing.assert_array_equal(steps.actions, np.where(steps.goals == 0, 1, 0))


def test_equal_shares_are_equal_between_groups_and_within_them() -> None:
    assert equal_shares(["a", "b", "b"]) == [0.5, 0.25, 0.25]


def test_plans_replay_on_their_model_and_altered_ones_do_not() -> None:
    model = model_of(chain(5))
    goals = [to_number("zero", 0), to_number("five", 5)]
    steps = plan_steps(model, goals, [0.5, 0.5], DistillationConfig(8), ORDER)

    def advance(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return likely_next(model, states, actions)

    def reached(
        goal: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return np.asarray((after == encode([0, 5])[goal]).all(axis=1))

    assert replay(model, steps, advance, reached) == 1.0
    steps.actions[steps.steps_left == 1] = 2  # the last action of every plan now stays
    assert replay(model, steps, advance, reached) == 0.0


def test_an_unseen_step_stays_where_it_is() -> None:
    model = model_of([(0, 0, 1)])
    states = likely_next(model, encode([0, 0, 7]), np.array([0, 1, 0]))
    np.testing.assert_array_equal(states, encode([1, 0, 7]))


def test_goals_without_a_share_are_refused() -> None:
    with pytest.raises(ValueError, match="a share for each of 1 goals, got 2"):
        plan_steps(
            model_of(chain(2)), [to_number("x", 2)], [0.5, 0.5], DistillationConfig(1), ORDER
        )


def test_plans_made_of_random_play_reach_their_goal_in_the_environment() -> None:
    rows = collect_transitions(CollectionConfig("room", (0, 1), 6000, 0.0))
    triplets = Triplets(rows.states, rows.actions, rows.next_states)
    model = EmpiricalModel.from_triplets(triplets, num_actions=7)
    shape = make_layout("room", 0).shape
    specs = layout_specs(make_layout("room", 0))[:12]
    programs = [parse_program(spec_text(spec)) for spec in specs]
    goals = [LabelledGoal(p.text(), program_labeller(p, shape)) for p in programs if p is not None]
    order = (PICKUP, DROP, TOGGLE, FORWARD, LEFT, RIGHT, DONE)
    steps = plan_steps(model, goals, equal_shares(["one"] * 12), DistillationConfig(60), order)
    assert len(steps) > 100

    def judged(
        goal: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return success(specs_array([specs[i] for i in goal]), before, actions, after, shape)

    assert replay(model, steps, lambda s, a: step(s, a, shape), judged) == 1.0


def test_stored_labels_plan_and_replay_as_the_labeller_that_made_them_does() -> None:
    model = model_of(chain(4))
    goals = [to_number("zero", 0), to_number("four", 4)]
    packed = packed_labels(model, [goal.label for goal in goals])
    stored = [LabelledGoal(goal.name, bits) for goal, bits in zip(goals, packed, strict=True)]
    np.testing.assert_array_equal(packed_labels(model, [packed[0], goals[1].label]), packed)
    made, again = (
        plan_steps(model, some, [0.5, 0.5], DistillationConfig(6), ORDER)
        for some in (goals, stored)
    )
    for name in ("goals", "states", "actions", "steps_left"):
        np.testing.assert_array_equal(getattr(made, name), getattr(again, name))
    both = [goal_labels(model, some) for some in (goals, stored)]
    # From 3 on to 4, back from 1 to 0, from 3 to 3, and from 2 to 4, which the data never shows.
    before, actions = encode([3, 1, 3, 2]), np.array([0, 1, 0, 0])
    after, numbers = encode([4, 0, 3, 4]), np.array([1, 0, 1, 1])
    told = [reached(numbers, before, actions, after).tolist() for reached in both]
    assert told == [[True, True, False, True], [True, True, False, False]]
