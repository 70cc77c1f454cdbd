"""The toy worlds by hand: moves, relations, rewards, and what their sentences mean."""

import numpy as np
import pytest

from envs.toy import ContinuousToyWorld, ToyWorld
from envs.toy_goals import DIRECTIONS, DISCS
from kalm.prompts import decomposition_prompt, split_subgoals

RED, GREEN, BLUE = range(3)
LEFT, RIGHT, ABOVE, BELOW = range(4)
NONE = (-1, -1, -1)


def action(disc: int, direction: int) -> np.ndarray:
    return np.array([disc * len(DIRECTIONS) + direction])


def step(start: list[float], act: np.ndarray, world: ToyWorld | None = None) -> np.ndarray:
    simulator = (world or ToyWorld()).simulator(1)
    simulator.reset(np.array([0]), np.array([start], np.float32))
    return np.squeeze(simulator.step(np.array([0]), act), axis=0)


def holds(spec: tuple[int, ...], before: list[float], after: list[float]) -> bool:
    states = np.array([before], np.float32), np.array([after], np.float32)
    return bool(
        ToyWorld().success(np.array([spec]), states[0], np.zeros(1, np.int64), states[1])[0]
    )


@pytest.mark.parametrize(
    ("direction", "expected"),
    [(LEFT, (-0.2, 0.0)), (RIGHT, (0.2, 0.0)), (ABOVE, (0.0, 0.2)), (BELOW, (0.0, -0.2))],
)
def test_a_move_is_two_tenths_long(direction: int, expected: tuple[float, float]) -> None:
    after = step([0.5, 0.5, 0.0, 0.0, -0.5, -0.5], action(GREEN, direction))
    np.testing.assert_allclose(after, [0.5, 0.5, *expected, -0.5, -0.5], atol=1e-6)


def test_a_disc_stops_at_the_wall() -> None:
    after = step([-0.8, 0.0, 0.0, 0.5, 0.5, 0.5], action(RED, LEFT))
    np.testing.assert_allclose(after[:2], [-0.9, 0.0], atol=1e-6)


def test_a_disc_is_carried_over_another_one() -> None:
    # Landing at 0.2 would overlap green at 0.3 (less than 0.2 away), so would 0.4; 0.6 is free.
    after = step([0.0, 0.0, 0.3, 0.0, -0.5, 0.5], action(RED, RIGHT))
    np.testing.assert_allclose(after[:2], [0.6, 0.0], atol=1e-6)


def test_a_move_without_a_free_place_leaves_the_disc() -> None:
    # Every place on the way lies within 0.2 of green at the wall.
    after = step([0.65, 0.0, 0.87, 0.0, -0.5, 0.5], action(RED, RIGHT))
    np.testing.assert_allclose(after[:2], [0.65, 0.0], atol=1e-6)


def test_continuous_moves_are_clipped_to_a_full_step() -> None:
    act = np.array([[0.5, -7.0]], np.float32)
    after = step([0.0, 0.0, 0.5, 0.5, -0.5, 0.5], act, ContinuousToyWorld())
    np.testing.assert_allclose(after, [0.1, -0.2, 0.5, 0.5, -0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize(
    ("red", "expected"),
    [
        ((-0.3, 0.0), True),  # straight to the left, within reach
        ((-0.3, 0.29), True),  # still more left than above
        ((-0.3, 0.31), False),  # more above than left
        ((-0.61, 0.0), False),  # out of reach
        ((0.3, 0.0), False),  # on the right
    ],
)
def test_left_of_means_within_reach_and_mostly_left(
    red: tuple[float, float], expected: bool
) -> None:
    state = [*red, 0.0, 0.0, 0.8, 0.8]
    assert holds((RED, LEFT, GREEN, *NONE), state, state) == expected


def test_a_conjunction_needs_both_relations() -> None:
    spec = (RED, LEFT, GREEN, BLUE, ABOVE, GREEN)
    both, first = [-0.3, 0.0, 0.0, 0.0, 0.0, 0.3], [-0.3, 0.0, 0.0, 0.0, 0.0, -0.3]
    assert holds(spec, both, both)
    assert not holds(spec, first, first)


def test_a_movement_goal_asks_for_movement_and_always_ends() -> None:
    spec = (RED, ABOVE, -1, *NONE)
    before = [0.0, 0.0, 0.5, 0.5, -0.5, 0.5]
    assert holds(spec, before, [0.0, 0.2, *before[2:]])
    assert not holds(spec, before, [0.0, 0.04, *before[2:]])
    assert not holds(spec, before, [0.2, 0.0, *before[2:]])
    assert ToyWorld().ends(np.array([spec]), np.array([False])).all()
    assert not ToyWorld().ends(np.array([(RED, LEFT, GREEN, *NONE)]), np.array([False])).any()


def test_the_reward_is_progress_towards_the_place_and_a_bonus() -> None:
    # The place is 0.4 to the left of green. Red goes from 0.3 beside it (0.7 to the left: out of
    # reach) to 0.1 beside it (0.5, a success): progress 0.3 - 0.1 = 0.2, and 5 at success.
    spec = np.array([(RED, LEFT, GREEN, *NONE)])
    before = np.array([[-0.7, 0.0, 0.0, 0.0, 0.8, 0.8]], np.float32)
    after = np.array([[-0.5, 0.0, 0.0, 0.0, 0.8, 0.8]], np.float32)
    world = ToyWorld()
    assert world.reward(spec, before, action(RED, RIGHT), after)[0] == pytest.approx(5.2)
    assert world.reward(spec, after, action(RED, LEFT), before)[0] == pytest.approx(-0.2)


def test_the_potential_of_two_parts_is_their_common_distance() -> None:
    # Distances to the two places are 0.3 and 0.4: together 0.5.
    spec = np.array([(RED, LEFT, GREEN, BLUE, RIGHT, GREEN)])
    state = np.array([[-0.7, 0.0, 0.0, 0.0, 0.4, 0.4]], np.float32)
    assert ToyWorld().potential(spec, state)[0] == pytest.approx(-0.5)


def test_violations_name_overlaps_and_walls() -> None:
    states = np.array(
        [
            [0.0, 0.0, 0.19, 0.0, 0.8, 0.8],
            [0.0, 0.0, 0.21, 0.0, 0.95, 0.8],
            [0.0, 0.0, 0.21, 0.0, 0.8, 0.8],
        ],
        np.float32,
    )
    violations = ToyWorld().violations(states)
    assert violations["overlap"].tolist() == [True, False, False]
    assert violations["out_of_bounds"].tolist() == [False, True, False]


def test_projection_moves_a_disc_straight_out_of_another() -> None:
    placed = np.array([[[0.0, 0.0]]], np.float32)
    place = ToyWorld().project_entity(1, np.array([[0.0, 0.1]], np.float32), placed)
    np.testing.assert_allclose(place, [[0.0, 0.2]], atol=1e-3)


def test_starts_never_overlap() -> None:
    starts = ToyWorld().draw_starts(500, np.random.default_rng(0))
    assert not any(broken.any() for broken in ToyWorld().violations(starts).values())


def test_levels_mirror_each_other() -> None:
    # 3 discs x 2 others x 4 directions = 24 relations in 3 training and 2 rephrased forms;
    # 3 discs x 4 directions in 2 forms; pairs of relations on different pairs of discs: of the
    # 24 * 23 / 2 = 276, those on one pair of discs are 3 * (8 * 7 / 2) = 84.
    world = ToyWorld()
    counts = [len(world.goals(level)) for level in world.levels]
    assert counts == [72, 48, 24, 192]
    red_only = [len(ContinuousToyWorld().goals(level)) for level in world.levels]
    assert red_only == [24, 16, 8, 16]
    assert all(goal.spec[0] == RED for goal in ContinuousToyWorld().goals("hard"))


def test_knowledge_divides_goals_into_training_sentences_with_the_engines_prompt() -> None:
    known = {goal.text: goal for goal in ToyWorld().goals("train")}
    pairs = ToyWorld().knowledge(300, np.random.default_rng(0))
    frame = decomposition_prompt("GOAL").split("GOAL")
    sizes = set()
    for question, answer in pairs:
        assert question.startswith(frame[0])
        assert question.endswith(frame[1])
        parts = split_subgoals(answer)
        sizes.add(len(parts))
        asked = question[len(frame[0]) : -len(frame[1])]
        for part in parts:
            source, direction, target = known[part].spec[:3]
            phrase = ("left of", "right of", "above", "below")[direction]
            assert f"{DISCS[source]} {phrase} {DISCS[target]}" in asked or (
                f"{DISCS[source]} rest {phrase} {DISCS[target]}" in asked
            )
    assert sizes == {1, 2}
