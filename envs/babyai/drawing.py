"""What a report needs to draw a grid: plain data, no pictures."""

from dataclasses import dataclass

import numpy as np

from envs.babyai.cells import COLOR_OF, COLORS, DOOR_STATE_OF, DOOR_STATES, EMPTY, TYPE_OF, TYPES
from envs.babyai.states import CARRIED, DIRECTION, DIRECTIONS, GridShape, X, Y

_TYPE_NAMES = {index: name for name, index in TYPES.items()}


@dataclass(frozen=True)
class DrawnCell:
    """A cell that is not empty."""

    x: int
    y: int  # from the top
    type: str  # "wall", "door", "key", "ball" or "box"
    color: str  # of `envs.babyai.cells.COLORS`; "" for walls
    door_state: str  # "open", "closed" or "locked"; "" where there is no door


@dataclass(frozen=True)
class GridDrawing:
    """A grid seen from above."""

    width: int
    height: int
    cells: tuple[DrawnCell, ...]  # row by row, empty ones left out
    agent: tuple[int, int]  # x, y
    direction: str  # "right", "down", "left" or "up"
    carried: DrawnCell | None  # with the agent's place


def draw_grid(state: np.ndarray, shape: GridShape) -> GridDrawing:
    """The drawing of a state (D,) uint8."""
    x, y = int(state[X]), int(state[Y])
    rows, columns = np.nonzero(shape.cells(state) != EMPTY)
    cells = tuple(
        _cell(column, row, int(state[shape.cell_index(column, row)]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    )
    carried = int(state[CARRIED])
    return GridDrawing(
        width=shape.width,
        height=shape.height,
        cells=cells,
        agent=(x, y),
        direction=DIRECTIONS[state[DIRECTION]],
        carried=None if carried == EMPTY else _cell(x, y, carried),
    )


def _cell(x: int, y: int, code: int) -> DrawnCell:
    color, door = int(COLOR_OF[code]), int(DOOR_STATE_OF[code])
    return DrawnCell(
        x,
        y,
        type=_TYPE_NAMES[int(TYPE_OF[code])],
        color=COLORS[color] if color >= 0 else "",
        door_state=DOOR_STATES[door] if door >= 0 else "",
    )
