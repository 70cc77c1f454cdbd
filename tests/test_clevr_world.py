"""The world's hooks: plausibility checks, projection, strokes, and names of variants."""

import numpy as np
import pytest
from clevr_tables import FAR, table
from hypothesis import given
from hypothesis import strategies as st

from envs.clevr.placement import APART
from envs.clevr.resets import RESTING
from envs.clevr.world import ClevrWorld

WORLD = ClevrWorld()


def project(proposal: list[float], placed: list[list[float]]) -> np.ndarray:
    balls = np.array(placed, np.float64).reshape(1, -1, 2)
    return WORLD.project_entity(len(placed), np.array([proposal]), balls)[0]


def test_overlap_means_two_centres_closer_than_twenty_centimetres() -> None:
    for gap, expected in ((0.199, True), (0.201, False)):
        broken = WORLD.violations(table(red=(-gap, 0.2)))
        assert broken["overlap"].tolist() == [expected]
        assert not broken["out_of_bounds"][0]


@pytest.mark.parametrize(
    ("centre", "outside"),
    [
        ((-0.52, 0.2), True),
        ((-0.5, 0.2), False),
        ((0.52, 0.2), True),
        ((0.2, 0.6), True),
        ((0.2, -0.29), False),  # the reset box reaches behind the wall
        ((0.2, -0.32), True),
    ],
)
def test_out_of_bounds_allows_for_walls_and_the_reset_box(
    centre: tuple[float, float], outside: bool
) -> None:
    assert WORLD.violations(table(red=centre))["out_of_bounds"].tolist() == [outside]


def test_a_free_place_is_left_as_it_is() -> None:
    np.testing.assert_allclose(project([0.1, 0.2], [[-0.3, 0.2], [0.4, 0.5]]), [0.1, 0.2])
    np.testing.assert_allclose(project([0.1, 0.2], []), [0.1, 0.2])


def test_a_ball_is_pushed_out_of_another_along_the_line_of_their_centres() -> None:
    # 0.1 to the right of a ball at the origin: it ends 0.26 to the right.
    np.testing.assert_allclose(project([0.1, 0.0], [[0.0, 0.0]]), [APART, 0.0], atol=2e-4)


def test_a_ball_beyond_the_walls_is_put_where_balls_can_rest() -> None:
    left, _, bottom, _ = RESTING
    np.testing.assert_allclose(project([-0.9, -0.5], []), [left, bottom])


def test_balls_at_one_place_are_parted_all_the_same() -> None:
    place = project([0.0, 0.2], [[0.0, 0.2]])
    assert np.hypot(*(place - [0.0, 0.2])) >= APART - 1e-6


@given(st.integers(0, 10_000))
def test_projected_scenes_have_no_overlap_and_lie_inside_the_walls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    proposals = rng.uniform((-0.6, -0.3), (0.6, 0.7), (5, 2))
    balls = np.zeros((1, 0, 2))
    for ball, proposal in enumerate(proposals):
        place = WORLD.project_entity(ball, proposal[None], balls)
        balls = np.concatenate([balls, place[:, None]], axis=1)
    gaps = np.hypot(*np.moveaxis(balls[0, :, None] - balls[0], -1, 0)) + np.eye(5)
    assert gaps.min() >= APART - 1e-6
    left, right, bottom, top = RESTING
    assert (balls >= np.array([left, bottom]) - 1e-6).all()
    assert (balls <= np.array([right, top]) + 1e-6).all()


def test_a_ball_between_two_others_finds_the_nearest_gap() -> None:
    # 0.3 apart, the two leave no room between them; pushed out of one it lands in the other.
    place = project([0.0, 0.2], [[-0.15, 0.2], [0.15, 0.2]])
    # Free places on the middle line start sqrt(0.26^2 - 0.15^2) = 0.212 away; the grid adds 0.03.
    assert abs(place[0]) < 0.1
    assert 0.2 < abs(place[1] - 0.2) < 0.25


def test_rows_are_projected_independently() -> None:
    rng = np.random.default_rng(0)
    proposals, placed = rng.uniform(-0.4, 0.4, (50, 2)), rng.uniform(-0.4, 0.4, (50, 3, 2))
    together = WORLD.project_entity(3, proposals, placed)
    alone = [WORLD.project_entity(3, proposals[i : i + 1], placed[i : i + 1])[0] for i in range(50)]
    assert np.array_equal(together, alone)


def test_a_stroke_starts_behind_the_ball_and_points_along_the_push() -> None:
    # Green at (0, 0.2), pushed right: the pusher starts 0.15 to its left.
    stroke = WORLD.strokes(np.array([np.ravel(FAR)]), np.array([16]))
    np.testing.assert_allclose(stroke, [[-0.15, 0.2, 0.05, 0.2]])


def test_the_version_names_every_variant() -> None:
    for reward, reset in (("imaginebench", "box"), ("kalm", "inside_walls")):
        version = ClevrWorld(reward=reward, reset=reset).version
        assert f"reward={reward}" in version
        assert f"reset={reset}" in version
        assert "physics=compiled" in version
    assert "mujoco=" in ClevrWorld(physics="mujoco").version
    assert len({ClevrWorld().version, ClevrWorld(reward="kalm").version}) == 2


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected reward among imaginebench, kalm, got `dense`"):
        ClevrWorld(reward="dense")
    with pytest.raises(ValueError, match="Expected reset among box, inside_walls, got `wall`"):
        ClevrWorld(reset="wall")


def test_moving_ends_after_one_step_whatever_came_of_it() -> None:
    easy, train = WORLD.goals("easy")[0].spec, WORLD.goals("train")[0].spec
    specs = np.array([easy, easy, train, train])
    ends = WORLD.ends(specs, np.array([True, False, True, False]))
    assert ends.tolist() == [True, True, True, False]
