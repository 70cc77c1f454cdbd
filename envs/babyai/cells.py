"""What a grid cell can hold, as one byte: the alphabet of compact states and the rules on it.

Code 0 is an empty cell and, for the hands, nothing carried; so picking up and dropping are the same
swap of two bytes. Types, colours and door states are counted as the package `minigrid` counts them.
A box may hold a key or a ball; boxes within boxes, lava, goal tiles and floors do not occur here.
"""

from collections.abc import Iterator

import numpy as np

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
TYPES = {"empty": 1, "wall": 2, "door": 4, "key": 5, "ball": 6, "box": 7}
DOOR_STATES = ("open", "closed", "locked")
EMPTY_TYPE, WALL_TYPE, DOOR, KEY, BALL, BOX = TYPES.values()
OPEN, CLOSED, LOCKED = range(3)

EMPTY, WALL = 0, 1
_DOORS, _KEYS, _BALLS, _BOXES = 2, 20, 26, 32  # first code of each type
_CONTENTS = 13  # nothing, six keys, six balls
NUM_CODES = _BOXES + len(COLORS) * _CONTENTS


def door_code(color: int, state: int) -> int:
    """The code of a door; `color` in 0..5, `state` one of OPEN, CLOSED, LOCKED."""
    return _DOORS + color * len(DOOR_STATES) + state


def key_code(color: int) -> int:
    """The code of a key; `color` in 0..5."""
    return _KEYS + color


def ball_code(color: int) -> int:
    """The code of a ball; `color` in 0..5."""
    return _BALLS + color


def box_code(color: int, content: int = EMPTY) -> int:
    """The code of a box; `color` in 0..5, `content` the code of a key or a ball, or EMPTY.

    Raises:
        ValueError: a box cannot hold that.
    """
    if content != EMPTY and not _KEYS <= content < _BOXES:
        raise ValueError(
            f"Expected a key, a ball or nothing in a box, got cell code {content}. "
            "Put the thing beside the box."
        )
    return _BOXES + color * _CONTENTS + (content and content - _KEYS + 1)


def object_code(type_index: int, color: int) -> int:
    """The code of a key, a ball or an empty box of that type and colour."""
    return {KEY: key_code, BALL: ball_code, BOX: box_code}[type_index](color)


def _meanings() -> Iterator[tuple[int, int, int, int, int]]:
    """Every code with its type, colour, door state and content; -1 where there is none."""
    yield EMPTY, EMPTY_TYPE, -1, -1, EMPTY
    yield WALL, WALL_TYPE, -1, -1, EMPTY
    for color in range(len(COLORS)):
        for state in (OPEN, CLOSED, LOCKED):
            yield door_code(color, state), DOOR, color, state, EMPTY
        yield key_code(color), KEY, color, -1, EMPTY
        yield ball_code(color), BALL, color, -1, EMPTY
        for content in (EMPTY, *range(_KEYS, _BOXES)):
            yield box_code(color, content), BOX, color, -1, content


_TABLE = np.array(sorted(_meanings()), np.int8)  # (NUM_CODES, 5), row i is code i
TYPE_OF = _TABLE[:, 1]  # (NUM_CODES,) int8
COLOR_OF = _TABLE[:, 2]  # (NUM_CODES,) int8, -1 where there is no colour
DOOR_STATE_OF = _TABLE[:, 3]  # (NUM_CODES,) int8, -1 where there is no door
CONTENT_OF = _TABLE[:, 4].astype(np.uint8)  # (NUM_CODES,) code of what toggling a box leaves

CAN_CARRY = TYPE_OF >= KEY  # (NUM_CODES,) bool
CAN_ENTER = (DOOR_STATE_OF == OPEN) | (TYPE_OF == EMPTY_TYPE)  # (NUM_CODES,) bool


def _toggled() -> np.ndarray:
    """What each code becomes by toggling it with nothing in the hands (NUM_CODES,) uint8."""
    codes = np.arange(NUM_CODES, dtype=np.uint8)
    codes[TYPE_OF == BOX] = CONTENT_OF[TYPE_OF == BOX]
    codes[DOOR_STATE_OF == OPEN] += 1
    codes[DOOR_STATE_OF == CLOSED] -= 1
    return codes


TOGGLED = _toggled()
NO_KEY = 255  # no code
KEY_OF = np.full(NUM_CODES, NO_KEY, np.uint8)  # (NUM_CODES,) the key that opens a locked door
KEY_OF[DOOR_STATE_OF == LOCKED] = _KEYS + COLOR_OF[DOOR_STATE_OF == LOCKED]
LOCKED_TO_OPEN = LOCKED - OPEN  # subtracted from a locked door's code when it is unlocked
