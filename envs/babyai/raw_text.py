"""A state in words, as seen from above: everything, in absolute coordinates, nothing left out.

    Grid: 8 by 8 tiles, counted from (0, 0) at the top left; the outer tiles are walls.
    Inner walls: none.
    Ball: red at (3, 5).
    Door: closed blue at (7, 2).
    Inventory: nothing.
    Position: (1, 4).
    Facing: right.

Only what a box holds stays hidden, as in play. `parse_raw_text` reads the text back.
Source: the raw state text of TEDUO (arXiv 2412.06877): walls, things by type, then the agent.
"""

import re

import numpy as np

from envs.babyai.cells import (
    BALL,
    BOX,
    COLOR_OF,
    COLORS,
    DOOR,
    DOOR_STATE_OF,
    DOOR_STATES,
    EMPTY,
    KEY,
    TYPE_OF,
    WALL,
    door_code,
    object_code,
)
from envs.babyai.states import CARRIED, DIRECTION, DIRECTIONS, GridShape, X, Y

TYPE_WORDS = {BALL: "ball", BOX: "box", DOOR: "door", KEY: "key"}  # in the order of the text
_TYPES = {word: kind for kind, word in TYPE_WORDS.items()}
_THING = re.compile(r"(Ball|Box|Door|Key): (?:(open|closed|locked) )?(\w+) at \((\d+), (\d+)\)\.")
_TILE = re.compile(r"\((\d+), (\d+)\)")


def raw_text(state: np.ndarray, shape: GridShape) -> str:
    """The whole state (D,) uint8 in words, a line for each thing."""
    cells = shape.cells(state)
    walls = [
        f"({x}, {y})"
        for y in range(1, shape.height - 1)
        for x in range(1, shape.width - 1)
        if cells[y, x] == WALL
    ]
    lines = [
        f"Grid: {shape.width} by {shape.height} tiles, counted from (0, 0) at the top left; "
        "the outer tiles are walls.",
        f"Inner walls: {', '.join(walls) or 'none'}.",
        *_thing_lines(cells),
        f"Inventory: {thing_words(int(state[CARRIED]))}.",
        f"Position: ({state[X]}, {state[Y]}).",
        f"Facing: {DIRECTIONS[state[DIRECTION]]}.",
    ]
    return "\n".join(lines)


def thing_words(code: int) -> str:
    """What a cell holds, such as "a closed red door", "a blue key" or "nothing"."""
    if code == EMPTY:
        return "nothing"
    if code == WALL:
        return "a wall"
    words = f"{_looks(code)} {TYPE_WORDS[int(TYPE_OF[code])]}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def parse_raw_text(text: str) -> tuple[np.ndarray, GridShape]:
    """The state (D,) uint8 that `raw_text` told, with empty boxes, and its grid's shape.

    Raises:
        ValueError: the text is not of this form.
    """
    lines = text.splitlines()
    if len(lines) < 5 or not (size := re.match(r"Grid: (\d+) by (\d+) tiles", lines[0])):
        raise ValueError(
            f"Expected a text of `raw_text`, got `{lines[0] if lines else ''}`. Keep every line."
        )
    shape = GridShape(int(size[1]), int(size[2]))
    state = np.zeros(shape.state_size, np.uint8)
    cells = shape.cells(state)
    cells[[0, -1]] = cells[:, [0, -1]] = WALL
    for x, y in _TILE.findall(lines[1]):
        cells[int(y), int(x)] = WALL
    for line in lines[2:-3]:
        x, y, code = _parse_thing(line)
        cells[y, x] = code
    state[CARRIED] = _parse_carried(lines[-3])
    state[[X, Y]] = [int(number) for number in _TILE.findall(lines[-2])[0]]
    state[DIRECTION] = DIRECTIONS.index(lines[-1].removeprefix("Facing: ").rstrip("."))
    return state, shape


def _thing_lines(cells: np.ndarray) -> list[str]:
    """One line for each thing, by type, then row by row."""
    lines = []
    for kind, word in TYPE_WORDS.items():
        for y, x in zip(*np.nonzero(TYPE_OF[cells] == kind), strict=True):
            lines.append(f"{word.capitalize()}: {_looks(int(cells[y, x]))} at ({x}, {y}).")
    return lines


def _looks(code: int) -> str:
    """Colour of a thing, and state of a door, such as "closed red"."""
    color = COLORS[COLOR_OF[code]]
    return color if TYPE_OF[code] != DOOR else f"{DOOR_STATES[DOOR_STATE_OF[code]]} {color}"


def _parse_thing(line: str) -> tuple[int, int, int]:
    """Column, row and cell code of one line."""
    match = _THING.fullmatch(line)
    if match is None:
        raise ValueError(f"Expected a line about a thing, got `{line}`. Keep the text as told.")
    word, door_state, color, x, y = match.groups()
    return int(x), int(y), _code(word.lower(), color, door_state)


def _parse_carried(line: str) -> int:
    words = line.removeprefix("Inventory: ").rstrip(".").split()
    return EMPTY if words == ["nothing"] else _code(words[2], words[1], None)


def _code(word: str, color: str, door_state: str | None) -> int:
    if word == "door":
        return door_code(COLORS.index(color), DOOR_STATES.index(door_state or "closed"))
    return object_code(_TYPES[word], COLORS.index(color))
