"""The fidelity report: every number worked by hand in a world of three discs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import toy, toy_episodes

from envs.episode import Episode
from envs.world import Goal
from imagination.fidelity import fidelity

RIGHT_OF_BLUE = "I would like to see red right of blue."
LEFT, RIGHT, UP, DOWN = range(4)  # actions: each moves red by 0.2
FAR = [-0.8, -0.8, 0.0, 0.0]  # green and blue


def rollout(
    states: Sequence[Sequence[float]],
    actions: Sequence[int],
    *,
    goal: str = RIGHT_OF_BLUE,
    level: str = "rephrase",
    success: bool = False,
) -> Episode:
    """An imagined rollout of whole states."""
    return Episode(
        goal=goal,
        observations=np.array(states, np.float32),
        actions=np.array(actions, np.int64),
        rewards=np.zeros(len(actions), np.float32),
        terminated=success,
        source="imagined",
        level=level,
        success=success,
    )


def red_at(*places: tuple[float, float]) -> list[list[float]]:
    """States with red at these places, the others far away."""
    return [[*place, *FAR] for place in places]


def measure(
    accepted: Sequence[Episode], rejected: Sequence[Episode] = (), **options: object
) -> dict[str, float]:
    return fidelity(toy(), toy_episodes(), accepted, rejected, **options)  # type: ignore[arg-type]


def test_the_actions_of_the_toy_world_are_left_right_up_down() -> None:
    # The order of directions in actions: left, right, above, below.
    start = np.array(red_at((0.4, 0.4))[0] * 4).reshape(4, 6)
    simulator = toy().simulator(4)
    simulator.reset(np.arange(4), start)
    moved = simulator.step(np.arange(4), np.arange(4))[:, :2] - start[:, :2]
    np.testing.assert_allclose(moved, [[-0.2, 0], [0.2, 0], [0, 0.2], [0, -0.2]], atol=1e-6)


def test_real_rollouts_are_faithful_to_their_own_world() -> None:
    numbers = measure(toy_episodes())
    for group in ("real", "imagined", "accepted"):
        assert numbers[f"{group}/action_consistency"] == 1.0
        assert numbers[f"{group}/direction_cosine"] == pytest.approx(1.0, abs=1e-6)
        assert numbers[f"{group}/one_step_error"] == pytest.approx(0.0, abs=1e-6)
        assert numbers[f"{group}/replay_error"] == pytest.approx(0.0, abs=1e-6)
        assert numbers[f"{group}/violations/any"] == 0.0
        success = np.mean([episode.success for episode in toy_episodes()])
        assert numbers[f"{group}/goal_reached"] == pytest.approx(success)
        assert numbers[f"{group}/replay_success"] == pytest.approx(success)


def test_shares_of_violations_are_over_imagined_states_and_leave_first_ones_out() -> None:
    # Four imagined states: one has red upon blue, one has red outside the walls.
    broken_start = rollout(red_at((0.0, 0.1), (0.4, 0.4), (0.05, 0.0)), [RIGHT, RIGHT])
    outside = rollout(red_at((0.4, 0.4), (0.4, 1.4), (0.4, 0.4)), [UP, DOWN])
    numbers = measure([broken_start], [outside])
    assert numbers["imagined/violations/overlap"] == 0.25
    assert numbers["imagined/violations/out_of_bounds"] == 0.25
    assert numbers["imagined/violations/any"] == 0.5
    assert numbers["accepted/violations/overlap"] == 0.5
    assert numbers["accepted/violations/any"] == 0.5


def test_counts_and_lengths_are_those_of_the_rollouts() -> None:
    one = rollout(red_at((0.4, 0.4), (0.6, 0.4)), [RIGHT])
    three = rollout(red_at(*[(0.4, 0.4)] * 4), [UP] * 3, goal="Shift red a bit up.")
    numbers = measure([one], [three, one])
    assert numbers["imagined/rollouts"] == 3
    assert numbers["imagined/transitions"] == 5
    assert numbers["imagined/mean_length"] == pytest.approx(5 / 3)
    assert (numbers["imagined/goals"], numbers["accepted/goals"]) == (2, 1)
    assert numbers["accepted/goals_covered"] == 0.5
    assert numbers["accepted/mean_length"] == 1.0


def test_a_goal_is_reached_by_the_predicate_whatever_the_rollout_claims() -> None:
    claims = rollout(red_at((-0.4, 0.0), (-0.4, 0.0)), [RIGHT], success=True)
    reaches = rollout(red_at((-0.4, 0.0), (0.4, 0.0)), [RIGHT], success=False)
    numbers = measure([claims], [reaches, reaches, reaches])
    assert numbers["imagined/goal_reached"] == 0.75
    assert numbers["accepted/goal_reached"] == 0.0


def test_goals_of_no_level_are_known_when_given_and_counted_when_not() -> None:
    text = "Bring it about that red finds its place."
    reaches = rollout(red_at((-0.4, 0.0), (0.4, 0.0)), [RIGHT], goal=text)
    spec = next(goal.spec for goal in toy().goals("rephrase") if goal.text == RIGHT_OF_BLUE)
    unknown = measure([reaches])
    assert unknown["accepted/goals_unknown"] == 1.0
    assert "accepted/goal_reached" not in unknown
    assert "accepted/replay_success" not in unknown
    known = measure([reaches], goals=[Goal(text, "hard", "pair", spec)])
    assert known["accepted/goals_unknown"] == 0.0
    assert known["accepted/goal_reached"] == 1.0


def test_one_step_is_compared_with_the_simulator_at_rest() -> None:
    # The action moves red by (0.2, 0). Imagined instead: green by (0, 0.3), red by (0, -0.1).
    before = red_at((0.4, 0.4))[0]
    after = [0.4, 0.3, -0.8, -0.5, 0.0, 0.0]
    numbers = measure([rollout([before, after], [RIGHT])])
    # Errors: red (-0.2, -0.1), 0.2236; green 0.3; blue 0. On average 0.1745.
    assert numbers["accepted/one_step_error"] == pytest.approx((0.05**0.5 + 0.3) / 3, abs=1e-5)
    assert numbers["accepted/one_step_error_of_mover"] == pytest.approx(0.05**0.5, abs=1e-5)
    assert numbers["accepted/action_consistency"] == 0.0
    assert numbers["accepted/direction_cosine"] == pytest.approx(0.0, abs=1e-6)


def test_the_right_disc_in_the_opposite_direction_is_consistent_with_cosine_minus_one() -> None:
    numbers = measure([rollout(red_at((0.4, 0.4), (0.3, 0.4)), [RIGHT])])
    assert numbers["accepted/action_consistency"] == 1.0
    assert numbers["accepted/direction_cosine"] == pytest.approx(-1.0, abs=1e-6)


def test_steps_in_which_nothing_can_move_say_nothing_about_consistency() -> None:
    wall = rollout(red_at((0.9, 0.4), (0.8, 0.4)), [RIGHT])
    numbers = measure([wall])
    assert "accepted/action_consistency" not in numbers
    assert numbers["accepted/one_step_error"] == pytest.approx(0.1 / 3, abs=1e-5)


def test_actions_are_replayed_open_loop_from_the_start() -> None:
    # Imagined: red stays at (-0.3, 0.3). Really it walks to (0.5, 0.3), right of blue: 0.5 > 0.3,
    # within 0.6.
    places = [(-0.3, 0.3)] * 5
    good = rollout(red_at(*places), [RIGHT] * 4)
    bad = replace(good, actions=np.array([UP] * 4), level="hard")
    numbers = measure([good, bad])
    assert numbers["accepted/goal_reached"] == 0.0
    assert numbers["accepted/replay_success"] == 0.5
    assert numbers["accepted/replay_success/rephrase"] == 1.0
    assert numbers["accepted/replay_success/hard"] == 0.0
    # Red ends 0.8 to the right, or 0.6 up at the wall; two of three discs lie still.
    assert numbers["accepted/replay_error"] == pytest.approx((0.8 + 0.6) / 6, abs=1e-5)


def test_a_goal_that_is_reached_on_the_way_counts_as_in_evaluation() -> None:
    there_and_back = [RIGHT] * 4 + [LEFT] * 4
    numbers = measure([rollout(red_at(*[(-0.3, 0.3)] * 9), there_and_back)])
    assert numbers["accepted/replay_success"] == 1.0


def test_rollouts_of_different_lengths_are_replayed_alike_in_any_number_of_slots() -> None:
    many, one = (measure(toy_episodes(), replay_slots=slots) for slots in (64, 1))
    assert many == one


def test_coverage_counts_the_cells_of_every_two_entities() -> None:
    # Three states: red in two cells, green and blue in one each. Pairs with red see 2 of 36 * 36
    # cells, green with blue 1: on average 5 / 3 of 1296.
    states = red_at((0.4, 0.4), (0.4, 0.4), (-0.4, 0.4), (0.41, 0.4))
    numbers = measure([rollout(states, [UP] * 3)])
    assert numbers["accepted/coverage"] == pytest.approx(5 / 3 / 1296)
    # Three states of the real rollouts, which are drawn to compare, cover at most 3 cells.
    assert 1 / 1296 <= numbers["real/coverage"] <= 3 / 1296


def test_novelty_is_the_distance_to_the_nearest_real_transition() -> None:
    half = toy_episodes()[::2]
    assert measure(half)["accepted/novelty"] == pytest.approx(0.0, abs=1e-9)
    shifted = [replace(e, observations=e.observations + 0.1) for e in half]
    numbers = measure(half, shifted)
    spread = np.concatenate([e.observations[:-1] for e in half]).std(axis=0)
    farthest = np.linalg.norm(0.1 / spread)
    # Half of the imagined transitions are real ones, the others at most as far as their shift.
    assert 0 < numbers["imagined/novelty"] <= farthest / 2 + 1e-5
    assert numbers["real/novelty"] > 0


def test_the_same_rollouts_give_the_same_numbers() -> None:
    assert measure(toy_episodes()) == measure(toy_episodes())


def test_the_seed_chooses_which_rollouts_are_replayed() -> None:
    good = rollout(red_at(*[(-0.3, 0.3)] * 5), [RIGHT] * 4)
    mixed = [good, replace(good, actions=np.array([UP] * 4))]
    chosen = {measure(mixed, max_replays=1, seed=n)["accepted/replay_success"] for n in range(8)}
    assert chosen == {0.0, 1.0}


def test_without_accepted_rollouts_the_others_are_still_measured() -> None:
    numbers = measure([], toy_episodes())
    assert {name.split("/")[0] for name in numbers} == {"real", "imagined"}


def test_a_continuous_world_is_measured_too() -> None:
    world, episodes = toy("toy_continuous"), toy_episodes(name="toy_continuous")
    numbers = fidelity(world, episodes, episodes, [])
    assert numbers["accepted/one_step_error"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["accepted/replay_error"] == pytest.approx(0.0, abs=1e-6)


def test_nothing_real_to_compare_with_is_refused() -> None:
    with pytest.raises(ValueError, match=r"real rollouts .* got none"):
        fidelity(toy(), [], toy_episodes(), [])
