"""Grids by address: what a size promises holds for every layout seed."""

import numpy as np
import pytest

from envs.babyai.cells import (
    BOX,
    CAN_CARRY,
    CLOSED,
    DOOR_STATE_OF,
    EMPTY,
    KEY_OF,
    LOCKED,
    TYPE_OF,
    WALL,
    box_code,
    key_code,
)
from envs.babyai.layouts import SIZES, make_layout, minigrid_env
from envs.babyai.reachability import reachable_cells
from envs.babyai.states import DIRECTION, GridShape, X, Y, encode, front_cells

SEEDS = range(8)


def test_sizes_have_the_sides_of_the_paper() -> None:
    # side = 7 * rooms + 1 for rooms of 8 cells that share their walls
    sides = {name: size.shape.width for name, size in SIZES.items() if size.joint == "doors"}
    assert sides == {
        "room": 8,
        "rooms_2x2": 15,
        "synth": 22,
        "rooms_4x4": 29,
        "rooms_5x5": 36,
        "rooms_7x7": 50,
    }


@pytest.mark.parametrize("size", ["room", "synth", "rooms_2x2"])
def test_a_grid_holds_as_many_things_as_its_size_says(size: str) -> None:
    least, most = SIZES[size].things
    for seed in SEEDS:
        layout = make_layout(size, seed)
        assert least <= CAN_CARRY[layout.shape.cells(layout.state)].sum() <= most


@pytest.mark.parametrize("size", SIZES)
def test_an_address_gives_the_grid_exactly(size: str) -> None:
    first = make_layout(size, 5)
    make_layout.cache_clear()
    np.testing.assert_array_equal(first.state, make_layout(size, 5).state)
    assert (first.state != make_layout(size, 6).state).any()


@pytest.mark.parametrize("size", ["synth", "rooms_2x2", "trio_c"])
def test_every_room_can_be_reached(size: str) -> None:
    for seed in SEEDS:
        layout = make_layout(size, seed)
        cells = layout.shape.cells(layout.state)
        assert (reachable_cells(layout.state, layout.shape) == (cells != WALL)).all()


def test_starts_stand_free_and_face_a_free_cell_or_a_wall() -> None:
    for size in ("room", "synth", "trio_a"):
        layout = make_layout(size, 2)
        states = layout.starts(layout.start_poses)
        places = states[:, Y].astype(int) * layout.shape.width + states[:, X]
        assert (layout.state[places] == EMPTY).all()
        assert np.isin(front_cells(states, layout.shape), (EMPTY, WALL)).all()
        assert set(states[:, DIRECTION].tolist()) == {0, 1, 2, 3}
        assert len(np.unique(states, axis=0)) == len(states)


def test_only_the_agent_differs_between_starts() -> None:
    layout = make_layout("synth", 0)
    states = layout.draw_starts(50, np.random.default_rng(0))
    assert (states[:, :X] == layout.state[:X]).all()
    again = layout.draw_starts(50, np.random.default_rng(0))
    np.testing.assert_array_equal(states, again)


def test_the_trio_is_a_gap_a_door_and_both_challenges_together() -> None:
    for seed in SEEDS:
        a, b, c = (make_layout(f"trio_{letter}", seed) for letter in "abc")
        types = [TYPE_OF[layout.shape.cells(layout.state)] for layout in (a, b, c)]
        assert [(kinds == BOX).sum() for kinds in types] == [1, 0, 1]
        assert [
            (DOOR_STATE_OF[x.state[: x.shape.num_cells]] == CLOSED).sum() for x in (a, b, c)
        ] == [
            0,
            1,
            1,
        ]
        assert (types[0][:, 5] != TYPE_OF[WALL]).sum() == 1  # the gap in the wall between the rooms
        for layout, kinds in ((a, types[0]), (c, types[2])):
            assert np.nonzero(kinds == BOX)[1][0] > 5  # the box lies in the second room
            assert (layout.start_poses[:, 0] < 5).all()  # the agent starts in the first one


def test_a_locked_room_is_closed_without_its_key_and_open_with_it() -> None:
    for seed in range(24):
        layout = make_layout("rooms_2x2", seed, locked=True)
        cells = layout.shape.cells(layout.state)
        assert (DOOR_STATE_OF[cells] == LOCKED).sum() == 1
        assert np.isin(KEY_OF[cells[DOOR_STATE_OF[cells] == LOCKED]], cells).all()
        without = reachable_cells(layout.state, layout.shape, unlock=False)
        assert (cells != WALL).sum() - without.sum() == 36 + 1  # the room's cells and its door
        assert (reachable_cells(layout.state, layout.shape) == (cells != WALL)).all()
        ways = without[layout.start_poses[:, 1], layout.start_poses[:, 0]]
        assert ways.all()


def test_a_walled_in_cell_is_not_reached() -> None:
    # # . # k #   the agent stands left, a key lies behind a wall
    shape = GridShape(5, 3)
    cells = [WALL] * 5 + [WALL, EMPTY, WALL, key_code(0), WALL] + [WALL] * 5
    state = np.array([*cells, 1, 1, 0, EMPTY], np.uint8)
    assert reachable_cells(state, shape).sum() == 1
    state[7] = box_code(0)  # a box in the gap can be moved away
    assert reachable_cells(state, shape).sum() == 3


def test_minigrid_takes_over_any_state() -> None:
    layout = make_layout("synth", 4, locked=True)
    for state in layout.draw_starts(5, np.random.default_rng(0)):
        np.testing.assert_array_equal(encode(minigrid_env(layout, state)), state)


def test_unknown_sizes_and_impossible_locks_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown grid size `synht`"):
        make_layout("synht", 0)
    with pytest.raises(ValueError, match="`room` has no doors to lock"):
        make_layout("room", 0, locked=True)
    with pytest.raises(ValueError, match="`trio_b` has no locked doors"):
        make_layout("trio_b", 0, locked=True)
