"""States as a goal sees them: texts worked by hand, and labels that survive the abstraction."""

import re

import numpy as np
import pytest

from envs.babyai.cells import (
    BALL,
    BOX,
    CLOSED,
    COLORS,
    DOOR,
    EMPTY,
    KEY,
    OPEN,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
)
from envs.babyai.goals import ANY
from envs.babyai.simulator import DROP, PICKUP, TOGGLE
from envs.babyai.states import DIRECTION, X, Y
from imagination.abstract_rows import AbstractRows, Hands, Matter, Role, abstract_rows
from imagination.abstraction import (
    FORMS,
    RAW,
    ROLES_ABSOLUTE,
    abstract_text,
    rowwise_roles,
    vocabulary,
)
from imagination.programs import Program, program_labels, program_roles
from kalm.tokenizer import build_tokenizer, encode
from tests.grid_samples import grid_state, random_steps

RED, GREEN, BLUE = range(3)
RIGHT, DOWN, LEFT, UP = range(4)
FACE_BALL = Program("facing", ((BALL, RED),))
BALL_TO_BOX = Program("dropped_beside", ((BALL, RED), (BOX, ANY)))


def told(
    goal: Program | str, rows: list[list[int]], pose: tuple[int, int, int], **more: int
) -> str:
    form = str(more.pop("form", "roles_egocentric"))
    state, shape = grid_state(rows, pose, **more)
    return abstract_text([goal], state, shape, form)[0]


EMPTY_ROW = [EMPTY] * 4


def test_offsets_are_counted_from_where_the_agent_stands_and_looks() -> None:
    # Facing down from (1, 1): down is ahead, and the right hand points to the left of the grid.
    rows = [EMPTY_ROW, [EMPTY, EMPTY, ball_code(RED), EMPTY], EMPTY_ROW]
    assert told(FACE_BALL, rows, (1, 1, DOWN)) == (
        "facing object 1 ahead 2 left hands empty ahead free walls 2 0 0 3"
    )
    # From (4, 1) facing up the ball at (3, 2) lies one step behind and one to the left.
    assert told(FACE_BALL, rows, (4, 1, UP)) == (
        "facing object 1 behind 1 left hands empty ahead wall walls 0 0 2 3"
    )


def test_things_without_a_role_lose_type_and_colour() -> None:
    key, ball = [[[thing, *EMPTY_ROW[1:]]] for thing in (key_code(RED), ball_code(BLUE))]
    rows = [EMPTY_ROW, [EMPTY, EMPTY, EMPTY, ball_code(RED)]]
    texts = {told(FACE_BALL, thing + rows, (2, 1, LEFT)) for thing in (key, ball)}
    assert texts == {
        "facing object 2 behind 2 left hands empty ahead thing things 1 ahead 0 right walls 1 0 2 2"
    }


def test_the_nearest_things_in_a_role_come_first_and_two_at_most() -> None:
    rows = [[EMPTY, ball_code(RED), ball_code(RED), ball_code(RED)]]
    assert told(FACE_BALL, rows, (1, 1, RIGHT)) == (
        "facing object 1 ahead 0 right 2 ahead 0 right hands empty ahead thing object "
        "things 3 ahead 0 right walls 3 0 0 0"
    )


def test_a_goal_of_two_things_tells_both_and_what_is_carried() -> None:
    rows = [[EMPTY, EMPTY, box_code(BLUE), EMPTY]]
    assert told(BALL_TO_BOX, rows, (1, 1, RIGHT), carried=ball_code(RED)) == (
        "dropped beside location 2 ahead 0 right hands object ahead free beside location "
        "walls 3 0 0 0"
    )
    assert " hands thing " in told(BALL_TO_BOX, rows, (1, 1, RIGHT), carried=key_code(RED))


def test_doors_of_the_room_are_told_and_what_lies_beyond_is_left_out() -> None:
    # (3, 1) is a door between two rooms; a key lies in each, and the ball in the other one.
    door = door_code(GREEN, CLOSED)
    rows = [
        [EMPTY, EMPTY, door, EMPTY, ball_code(RED)],
        [EMPTY, key_code(RED), WALL, key_code(RED), 0],
    ]
    assert told(FACE_BALL, rows, (1, 1, RIGHT)) == (
        "facing object 4 ahead 0 right hands empty ahead free things 1 ahead 1 right "
        "doors closed 2 ahead 0 right walls 1 1 0 0"
    )
    # In the doorway both rooms are at hand.
    rows[0][2] = door_code(GREEN, OPEN)
    assert "things 0 ahead 1 right" not in told(FACE_BALL, rows, (3, 1, RIGHT))
    assert "things 1 ahead 1 right 1 behind 1 right doors open 0 ahead 0 right" in told(
        FACE_BALL, rows, (3, 1, RIGHT)
    )


def test_turning_the_whole_grid_changes_no_word() -> None:
    before, _, _, shape = random_steps("rooms_2x2", range(3), 10)
    turned = before.copy()
    cells = shape.cells(before)[:, ::-1].swapaxes(1, 2)  # a quarter to the right
    turned[:, : shape.num_cells] = cells.reshape(len(before), -1)
    turned[:, X], turned[:, Y] = shape.height - 1 - before[:, Y], before[:, X]
    turned[:, DIRECTION] = (before[:, DIRECTION] + 1) % 4
    for goal in PROGRAMS[:-1]:
        goals = [goal] * len(before)
        assert abstract_text(goals, turned, shape) == abstract_text(goals, before, shape)


def test_a_thing_in_this_room_is_told_before_a_nearer_one_behind_a_wall() -> None:
    ball = ball_code(RED)
    rows = [
        [EMPTY, WALL, ball, EMPTY],
        [EMPTY, WALL, EMPTY, EMPTY],
        [EMPTY, EMPTY, WALL, 0],
        [0, ball, WALL, 0],
    ]
    assert told(FACE_BALL, rows, (1, 1, RIGHT)).startswith(
        "facing object 1 ahead 3 right 2 ahead 0"
    )


def test_the_absolute_form_counts_columns_and_rows() -> None:
    rows = [EMPTY_ROW, [EMPTY, EMPTY, ball_code(RED), EMPTY]]
    state, shape = grid_state(rows, (1, 1, DOWN))
    assert abstract_text([FACE_BALL], state, shape, ROLES_ABSOLUTE) == [
        "facing object 3 2 hands empty ahead free position 1 1 down"
    ]


def test_the_raw_form_tells_the_goals_own_words_and_every_colour() -> None:
    state, shape = grid_state([[EMPTY, ball_code(BLUE)]], (1, 1, RIGHT))
    text = abstract_text(["go to the red ball"], state, shape, RAW)[0]
    assert text.startswith("Goal: go to the red ball\n")
    assert "Ball: blue at (2, 1)." in text


def test_wrong_forms_and_goals_that_were_not_read_are_refused() -> None:
    state, shape = grid_state([[EMPTY, EMPTY]], (1, 1, RIGHT))
    with pytest.raises(ValueError, match="Unknown abstraction form `roles`"):
        abstract_text([FACE_BALL], state, shape, "roles")
    with pytest.raises(ValueError, match="Read them first"):
        abstract_text(["go to the ball"], state, shape)
    with pytest.raises(ValueError, match="a goal for each of 1 states, got 2"):
        abstract_text([FACE_BALL] * 2, state, shape)


PROGRAMS = (
    FACE_BALL,
    Program("facing", ((DOOR, ANY),)),
    Program("holding", ((KEY, ANY),)),
    Program("holding", ((BOX, BLUE),)),
    Program("opened", ((DOOR, ANY),)),
    Program("dropped_beside", ((BALL, ANY), (BOX, ANY))),
    Program("dropped_beside", ((KEY, ANY), (DOOR, ANY))),
    Program("standing_on", (), (3, 3)),
)


def labels_from(
    relation: str, before: AbstractRows, actions: np.ndarray, after: AbstractRows
) -> np.ndarray:
    """What the abstract states alone say about a step reaching its goal."""
    if relation == "standing_on":
        return after.standing
    if relation == "facing":
        return after.role_ahead == Role.OBJECT
    empty, full = before.hands == Hands.EMPTY, before.hands == Hands.OBJECT
    if relation == "holding":
        return (actions == PICKUP) & empty & (after.hands == Hands.OBJECT)
    if relation == "opened":
        was = before.matter_ahead != Matter.OPEN_DOOR
        now = (after.matter_ahead == Matter.OPEN_DOOR) & (after.role_ahead == Role.OBJECT)
        return (actions == TOGGLE) & was & now
    return (actions == DROP) & full & (after.hands == Hands.EMPTY) & after.beside


@pytest.mark.parametrize("size", ["room", "rooms_2x2"])
def test_the_abstraction_never_changes_a_label(size: str) -> None:
    before, actions, after, shape = random_steps(size, range(6), 120)
    seen = dict.fromkeys(PROGRAMS, 0)
    for program in PROGRAMS:
        expected = program_labels(program, before, actions, after, shape)
        views = (abstract_rows(program_roles(program, s, shape), s, shape) for s in (before, after))
        found = labels_from(program.relation, next(views), actions, next(views))
        np.testing.assert_array_equal(found, expected)
        seen[program] = int(expected.sum())
    doors = size != "room"
    assert all(
        count for program, count in seen.items() if doors or DOOR not in sum(program.things, ())
    )


def test_states_of_several_goals_are_seen_each_by_its_own() -> None:
    before, _, _, shape = random_steps("room", range(3), 5)
    goals = [PROGRAMS[row % len(PROGRAMS)] for row in range(len(before))]
    for form in FORMS:
        alone = [
            abstract_text([g], s[None], shape, form)[0] for g, s in zip(goals, before, strict=True)
        ]
        assert abstract_text(goals, before, shape, form) == alone
    assert rowwise_roles([], before[:0], shape).goal_objects.shape == (0, shape.num_cells)


@pytest.mark.parametrize("form", FORMS)
def test_every_word_of_every_form_has_a_token_of_its_own(form: str) -> None:
    colors = f" {' '.join(COLORS)}"  # the base model knows them from goals
    tokenizer = build_tokenizer([*vocabulary(), colors])
    states, _, _, shape = random_steps("rooms_2x2", range(2), 3)
    goals = [PROGRAMS[row % len(PROGRAMS)] for row in range(len(states))]
    for text in abstract_text(goals, states, shape, form):
        words = re.findall(r" ?[A-Za-z]+| ?[0-9]+", text.split("\n", 1)[-1])
        assert [word for word in words if len(encode(tokenizer, word)) > 1] == []
