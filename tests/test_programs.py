"""Goals as programs: their texts, their labels worked by hand and beside the verifiers, roles."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.babyai.cells import (
    BALL,
    BOX,
    CLOSED,
    DOOR,
    EMPTY,
    KEY,
    LOCKED,
    OPEN,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
)
from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.goals import ANY, all_specs, specs_array, tile_spec
from envs.babyai.layouts import make_layout
from envs.babyai.program_text import spec_text
from envs.babyai.simulator import DROP, FORWARD, LEFT, PICKUP, TOGGLE, step
from envs.babyai.states import GridShape
from envs.babyai.verifiers import success
from imagination.programs import Program, parse_program, program_labels, program_roles

RED, GREEN, BLUE = range(3)
SHAPE = GridShape(5, 4)  # three by two free cells


def grid(cells: list[int], carried: int = EMPTY) -> np.ndarray:
    """A state (1, D) whose agent stands top left and faces right.

    Args:
        cells: the other five free cells: right, far right, then the lower row.
    """
    right, far, *low = cells
    rows = [[WALL] * 5, [WALL, EMPTY, right, far, WALL], [WALL, *low, WALL], [WALL] * 5]
    return np.array([[*chain(*rows), 1, 1, 0, carried]], np.uint8)


def label(text: str, before: np.ndarray, action: int) -> bool:
    """Whether one step reaches the goal of the program `text`."""
    program = parse_program(text)
    assert program is not None
    actions = np.array([action])
    return bool(program_labels(program, before, actions, step(before, actions, SHAPE), SHAPE)[0])


def test_the_programs_of_the_module_s_examples() -> None:
    examples = {
        "facing red ball": Program("facing", ((BALL, RED),)),
        "holding any key": Program("holding", ((KEY, ANY),)),
        "opened blue door": Program("opened", ((DOOR, BLUE),)),
        "dropped_beside any key | blue box": Program("dropped_beside", ((KEY, ANY), (BOX, BLUE))),
        "standing_on 3 14": Program("standing_on", tile=(3, 14)),
    }
    for text, program in examples.items():
        assert parse_program(text) == program
        assert program.text() == text


def test_the_program_of_every_goal_is_read_back_as_it_was_written() -> None:
    texts = [spec_text(spec) for spec in [*all_specs(), tile_spec(0, 7), tile_spec(20, 3)]]
    programs = [parse_program(text) for text in texts]
    assert [program and program.text() for program in programs] == texts
    assert len(set(programs)) == len(texts)


@pytest.mark.parametrize(
    "text",
    [
        *("", "facing", "facing ball", "facing red", "facing crimson ball", "facing red ball ball"),
        *(
            "near red ball",
            "facing red ball | blue key",
            "dropped_beside red ball",
            "standing_on 3",
        ),
        *(
            "standing_on 3 -4",
            "standing_on red ball",
            "facing 3 4",
            "standing_on ٣ 4",
            "standing_on 03 4",
        ),
        *("holding red door", "opened red box", "dropped_beside red door | blue key"),
        *("facing red ball.", "facing red ball\nfacing red ball", "facing  red ball"),
    ],
)
def test_other_texts_are_no_programs(text: str) -> None:
    assert parse_program(text) is None


@given(st.text(max_size=40))
def test_no_text_whatever_is_an_error(text: str) -> None:
    program = parse_program(text)
    assert program is None or program.text() == text.strip()


def test_programs_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown relation `near`\. Choose one of facing"):
        Program("near", ((BALL, RED),))
    with pytest.raises(ValueError, match="Expected 1 things for `facing`"):
        Program("facing", ((BALL, RED), (BALL, BLUE)))
    with pytest.raises(ValueError, match="Expected a type among"):
        Program("facing", ((WALL, RED),))
    with pytest.raises(ValueError, match="not as in `holding red door`"):
        Program("holding", ((DOOR, RED),))


def test_facing_is_about_the_cell_ahead_and_not_about_being_near() -> None:
    ball = ball_code(RED)
    assert label("facing red ball", grid([EMPTY, ball, EMPTY, EMPTY, EMPTY]), FORWARD)
    assert not label("facing blue ball", grid([EMPTY, ball, EMPTY, EMPTY, EMPTY]), FORWARD)
    # The ball lies below: at distance 1, but not ahead.
    assert not label("facing red ball", grid([EMPTY, EMPTY, ball, EMPTY, EMPTY]), FORWARD)


def test_holding_is_about_the_step_that_takes_it() -> None:
    ball = ball_code(RED)
    assert label("holding any ball", grid([ball, *[EMPTY] * 4]), PICKUP)
    assert not label("holding any ball", grid([EMPTY] * 5, carried=ball), LEFT)
    assert not label("holding any ball", grid([ball, *[EMPTY] * 4], carried=ball), PICKUP)


def test_opened_is_about_the_step_that_opens_it() -> None:
    def toggles(state: int, carried: int = EMPTY) -> bool:
        cells = [door_code(RED, state), *[EMPTY] * 4]
        return label("opened red door", grid(cells, carried), TOGGLE)

    assert toggles(CLOSED)
    assert not toggles(OPEN)
    assert not toggles(LOCKED)
    assert toggles(LOCKED, carried=key_code(RED))


def test_dropped_beside_is_about_the_step_that_drops_it() -> None:
    ball, key = ball_code(BLUE), key_code(RED)
    goal = "dropped_beside blue ball | any key"
    assert label(goal, grid([EMPTY, key, EMPTY, EMPTY, EMPTY], carried=ball), DROP)
    assert not label(goal, grid([EMPTY, EMPTY, EMPTY, EMPTY, key], carried=ball), DROP)  # diagonal
    assert not label(goal, grid([ball, key, EMPTY, EMPTY, EMPTY]), LEFT)  # they lay there before
    # A thing does not lie beside itself.
    assert not label("dropped_beside any ball | blue ball", grid([EMPTY] * 5, carried=ball), DROP)


def test_labels_are_the_verifiers_truth_on_collected_steps() -> None:
    config = CollectionConfig(size="rooms_2x2", layout_seeds=(0, 1), count=2500, expert="planner")
    rows = collect_transitions(config)
    shape = make_layout("rooms_2x2", 0).shape
    steps = (rows.states, rows.actions, rows.next_states)
    found: dict[int, int] = {}
    for spec in [*all_specs(), *(tile_spec(x, 2) for x in range(1, 7))]:
        program = parse_program(spec_text(spec))
        assert program is not None
        truth = success(np.tile(specs_array([spec]), (len(rows), 1)), *steps, shape)
        np.testing.assert_array_equal(program_labels(program, *steps, shape), truth)
        found[spec[0]] = found.get(spec[0], 0) + int(truth.sum())
    assert min(found.values()) > 0


def test_roles_of_a_goal_about_two_things() -> None:
    states = grid([ball_code(RED), key_code(BLUE), box_code(RED), ball_code(BLUE), EMPTY])
    program = Program("dropped_beside", ((BALL, ANY), (BOX, ANY)))
    roles = program_roles(program, states, SHAPE)
    # Cells count row by row, 5 a row: the free ones are 6 to 8, then 11 to 13.
    assert np.flatnonzero(roles.goal_objects[0]).tolist() == [7, 12]
    assert np.flatnonzero(roles.goal_locations[0]).tolist() == [11]
    assert not roles.carries_goal_object[0]
    carrying = grid([EMPTY] * 5, carried=ball_code(GREEN))
    assert program_roles(program, carrying, SHAPE).carries_goal_object[0]


def test_roles_of_a_tile_and_of_a_door() -> None:
    states = grid([door_code(RED, OPEN), door_code(BLUE, CLOSED), EMPTY, EMPTY, EMPTY])
    tile = program_roles(Program("standing_on", tile=(3, 2)), states, SHAPE)
    assert np.flatnonzero(tile.goal_locations[0]).tolist() == [13]
    assert not tile.goal_objects.any()
    outside = program_roles(Program("standing_on", tile=(3, 9)), states, SHAPE)
    assert not outside.goal_locations.any()
    door = program_roles(Program("opened", ((DOOR, ANY),)), states, SHAPE)
    assert np.flatnonzero(door.goal_objects[0]).tolist() == [7, 8]
