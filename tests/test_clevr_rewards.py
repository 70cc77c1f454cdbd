"""Rewards and the potential, worked out by hand."""

import numpy as np
import pytest
from clevr_tables import BLUE, GREEN, NOTHING, RED, spec, table, zigzag

from envs.clevr.predicates import Direction, GoalKind
from envs.clevr.rewards import pair_distance, potential, rewards
from envs.clevr.world import ClevrWorld


def reward(name: str, goal: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    return float(rewards(name, goal, before, NOTHING, after)[0])


def test_a_pair_earns_ten_times_the_way_towards_its_target() -> None:
    goal = spec(GoalKind.PAIR, RED, GREEN, Direction.LEFT)
    before, after = table(red=(-0.45, 0.2)), table(red=(-0.40, 0.2))
    assert reward("imaginebench", goal, before, after) == pytest.approx(0.5)  # 10 * 0.05
    # To the point 0.195 left of green, the way is as long.
    assert reward("kalm", goal, before, after) == pytest.approx(0.5)
    assert reward("imaginebench", goal, after, before) == pytest.approx(-0.5)


def test_kalm_measures_the_way_to_a_point_beside_the_target() -> None:
    goal = spec(GoalKind.PAIR, RED, GREEN, Direction.LEFT)
    before, after = table(red=(-0.195, 0.7)), table(red=(-0.195, 0.6))
    # The point is (-0.195, 0.2): distances 0.5 and 0.4.
    assert reward("kalm", goal, before, after) == pytest.approx(1.0)
    # Target: hypot(0.195, 0.5) - hypot(0.195, 0.4) = 0.536680 - 0.445000.
    assert reward("imaginebench", goal, before, after) == pytest.approx(0.91680, abs=1e-4)


def test_success_adds_a_hundred_online_as_in_the_data() -> None:
    """Defect 14 of the originals: the bonus was in the data, never online."""
    goal = spec(GoalKind.PAIR, RED, GREEN, Direction.LEFT)
    before, after = table(red=(-0.45, 0.2)), table(red=(-0.35, 0.2))
    assert reward("imaginebench", goal, before, after) == pytest.approx(101.0)
    assert reward("kalm", goal, before, after) == pytest.approx(100.0)


def test_hard_goals_earn_ten_for_each_part_that_is_new_after_the_step() -> None:
    """Defect 13 of the originals: parts of the state before the step were counted."""
    goal = spec(GoalKind.TWO, RED, GREEN, 1, BLUE, GREEN, 3)
    none, one = table(), table(red=(-0.3, 0.2))
    both = table(red=(-0.3, 0.2), blue=(0.3, 0.2))
    assert reward("imaginebench", goal, none, one) == 10.0
    assert reward("imaginebench", goal, one, one) == 0.0
    assert reward("imaginebench", goal, one, both) == 110.0
    assert reward("imaginebench", goal, none, both) == 120.0
    assert reward("imaginebench", goal, both, none) == 0.0


def test_gathering_earns_by_the_ball() -> None:
    goal = spec(GoalKind.GATHER)
    assert reward("imaginebench", goal, table(), table(red=(-0.3, 0.2))) == 10.0


def test_easy_goals_earn_one_or_nothing() -> None:
    goals = np.repeat(spec(GoalKind.MOVE, RED, -1, Direction.RIGHT), 2, axis=0)
    states = np.repeat(table(), 2, axis=0)
    earned = rewards("imaginebench", goals, states, np.array([0, 1]), states)
    assert earned.tolist() == [1.0, 0.0]


def test_mixed_batches_earn_what_their_rows_earn_alone() -> None:
    rng = np.random.default_rng(6)
    world = ClevrWorld()
    goals = [goal for level in world.levels for goal in world.goals(level)]
    specs = np.array([goals[index].spec for index in rng.integers(len(goals), size=200)])
    before = world.draw_starts(200, rng)
    after = before + rng.normal(0, 0.1, before.shape).astype(np.float32)
    actions = rng.integers(40, size=200)
    for judge in (world.reward, world.success):
        together = judge(specs, before, actions, after)
        alone = [
            judge(specs[i : i + 1], before[i : i + 1], actions[i : i + 1], after[i : i + 1])[0]
            for i in range(200)
        ]
        assert np.array_equal(together, alone)
    assert together.any()


def test_judging_a_step_gives_what_success_and_reward_give_apart() -> None:
    world = ClevrWorld()
    goals = [goal for level in world.levels for goal in world.goals(level)[::40]]
    specs, rng = np.array([goal.spec for goal in goals]), np.random.default_rng(0)
    before, after = world.draw_starts(len(goals), rng), world.draw_starts(len(goals), rng)
    actions = rng.integers(40, size=len(goals))
    success, earned = world.judged(specs, before, actions, after)
    assert 0 < success.sum() < len(goals)
    assert np.array_equal(success, world.success(specs, before, actions, after))
    assert np.array_equal(earned, world.reward(specs, before, actions, after))


def test_a_pair_is_as_far_as_the_nearest_placement_that_holds() -> None:
    left = np.array([Direction.LEFT])
    # On the axis, 0.6 to the left: the reach is 0.385 (0.391 less a margin).
    assert pair_distance(np.array([[-0.6, 0.0]]), left)[0] == pytest.approx(0.6 - 0.385)
    assert pair_distance(np.array([[-0.3, 0.1]]), left)[0] == 0.0
    # On the wrong side, the way leads around the target to the edge of the quarter ring.
    assert pair_distance(np.array([[0.3, 0.0]]), left)[0] > 0.4


def test_every_part_that_holds_outweighs_any_distance() -> None:
    goal = spec(GoalKind.TWO, RED, GREEN, 1, BLUE, GREEN, 3)
    none, one = table(red=(-0.45, 0.2)), table(red=(-0.35, 0.2), blue=(0.45, -0.17))
    both = table(red=(-0.35, 0.2), blue=(0.35, 0.2))
    values = potential(np.repeat(goal, 3, axis=0), np.vstack([none, one, both]))
    assert values[0] + 0.9 < values[1]
    assert values[1] + 0.9 < values[2]
    assert values[2] == pytest.approx(2.0)


def test_the_potential_of_reached_goals_is_the_number_of_their_parts() -> None:
    gathered = table(red=(-0.3, 0.2), blue=(0.3, 0.2), purple=(0.0, 0.5), cyan=(0.0, -0.1))
    assert potential(spec(GoalKind.GATHER), gathered)[0] == pytest.approx(4.0)
    # The line's potential also asks for short steps: 0.1 for each metre beyond touching, 0 here.
    assert potential(spec(GoalKind.LINE), zigzag(20.0))[0] == pytest.approx(4.0)


def test_the_potential_rises_as_balls_come_nearer_to_green() -> None:
    ways = [table(red=(-0.6 + 0.1 * step, 0.2)) for step in range(3)]
    values = potential(np.repeat(spec(GoalKind.GATHER), 3, axis=0), np.vstack(ways))
    assert np.diff(values) == pytest.approx([0.1, 0.1], abs=1e-6)
