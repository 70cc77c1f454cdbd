"""States in words: hand-worked texts, and what can be read back."""

import numpy as np
import pytest
from minigrid.minigrid_env import MiniGridEnv

from envs.babyai.cells import (
    CLOSED,
    COLOR_OF,
    DOOR,
    EMPTY,
    LOCKED,
    OPEN,
    TYPE_OF,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
    object_code,
)
from envs.babyai.layouts import SIZES, make_layout, minigrid_env
from envs.babyai.partial_text import partial_text, seen_cells
from envs.babyai.raw_text import parse_raw_text, raw_text, thing_words
from envs.babyai.simulator import step
from envs.babyai.states import CARRIED, GridShape, X, Y

RED, GREEN, BLUE = range(3)
#   # # # # # #
#   # > . D k #    a locked blue door in an inner wall, a green key behind it
#   # b x # . #    a red ball, a blue box, a wall
#   # # # # # #
SHAPE = GridShape(6, 4)
ROWS = [
    [WALL] * 6,
    [WALL, EMPTY, EMPTY, door_code(BLUE, LOCKED), key_code(GREEN), WALL],
    [WALL, ball_code(RED), box_code(BLUE, key_code(RED)), WALL, EMPTY, WALL],
    [WALL] * 6,
]
STATE = np.array([*np.ravel(ROWS), 1, 1, 0, ball_code(GREEN)], np.uint8)


def test_the_raw_text_of_a_hand_made_grid() -> None:
    assert raw_text(STATE, SHAPE).splitlines() == [
        "Grid: 6 by 4 tiles, counted from (0, 0) at the top left; the outer tiles are walls.",
        "Inner walls: (3, 2).",
        "Ball: red at (1, 2).",
        "Box: blue at (2, 2).",
        "Door: locked blue at (3, 1).",
        "Key: green at (4, 1).",
        "Inventory: a green ball.",
        "Position: (1, 1).",
        "Facing: right.",
    ]


def without_contents(state: np.ndarray) -> np.ndarray:
    """The state with empty boxes."""
    plain = state.copy()
    for place in np.flatnonzero(TYPE_OF[state[:X]] == 7):
        plain[place] = object_code(7, int(COLOR_OF[state[place]]))
    return plain


def test_what_a_box_holds_is_told_nowhere() -> None:
    np.testing.assert_array_equal(
        parse_raw_text(raw_text(STATE, SHAPE))[0], without_contents(STATE)
    )
    assert "red key" not in raw_text(STATE, SHAPE) + partial_text(STATE, SHAPE)


@pytest.mark.parametrize("size", SIZES)
def test_the_raw_text_can_be_read_back(size: str) -> None:
    rng = np.random.default_rng(0)
    layout = make_layout(size, 1, locked=size == "synth")
    states = layout.draw_starts(4, rng)
    for _ in range(40):
        states = step(states, rng.integers(0, 5, 4), layout.shape)
    for state in states:
        parsed, shape = parse_raw_text(raw_text(state, layout.shape))
        assert shape == layout.shape
        np.testing.assert_array_equal(parsed, state)


def test_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a text of `raw_text`, got `Hello`"):
        parse_raw_text("Hello")
    with pytest.raises(ValueError, match="Expected a line about a thing, got `Ball: red`"):
        parse_raw_text(raw_text(STATE, SHAPE).replace("Ball: red at (1, 2).", "Ball: red"))


def test_things_are_named_with_the_right_article() -> None:
    assert thing_words(EMPTY) == "nothing"
    assert thing_words(door_code(GREEN, OPEN)) == "an open green door"
    assert thing_words(door_code(GREEN, CLOSED)) == "a closed green door"
    assert thing_words(box_code(BLUE)) == "a blue box"


def test_the_partial_text_of_a_hand_made_grid() -> None:
    # The agent looks right: the door two steps ahead hides the key; left of it is the outer wall;
    # the ball is right of it. The wall to its right lies behind the ball, two steps away.
    # Equally near things are told from left to right.
    assert partial_text(STATE, SHAPE).splitlines() == [
        "You carry a green ball.",
        "You see a wall 1 step left.",
        "You see a red ball 1 step right.",
        "You see a locked blue door 2 steps forward.",
        "You see a blue box 1 step forward and 1 step right.",
        "You see a wall 2 steps right.",
    ]


def test_an_open_door_lets_the_agent_see_through() -> None:
    state = STATE.copy()
    state[SHAPE.cell_index(3, 1)] = door_code(BLUE, OPEN)
    text = partial_text(state, SHAPE)
    assert "You see an open blue door 2 steps forward." in text
    assert "You see a green key 3 steps forward." in text
    assert "You see a wall 4 steps forward." in text


@pytest.mark.parametrize("size", ["room", "synth", "trio_c"])
def test_the_agent_sees_what_minigrid_shows(size: str) -> None:
    layout = make_layout(size, 2)
    for state in layout.draw_starts(20, np.random.default_rng(0)):
        env = minigrid_env(layout, state)
        image = MiniGridEnv.gen_obs(env)["image"]  # (7, 7, 3), by side and by rows from afar
        view = seen_cells(state, layout.shape)
        for ahead in range(7):
            for side in range(7):
                kind, color, _ = image[side, 6 - ahead].tolist()
                code = int(view[ahead, side])
                if (ahead, side) == (0, 3):
                    assert code == -1
                elif code < 0:
                    assert kind == 0
                else:
                    assert kind == TYPE_OF[code], (ahead, side)
                    assert kind in (1, 2) or color == COLOR_OF[code]


def test_turning_changes_the_partial_text_and_not_the_things_in_the_raw_one() -> None:
    turned = step(STATE[None], np.array([1]), SHAPE)[0]
    assert partial_text(turned, SHAPE) != partial_text(STATE, SHAPE)
    assert raw_text(turned, SHAPE) == raw_text(STATE, SHAPE).replace("right.", "down.")
    assert (turned[[X, Y, CARRIED]] == STATE[[X, Y, CARRIED]]).all()
    assert TYPE_OF[turned[SHAPE.cell_index(3, 1)]] == DOOR
