"""Full states of a grid as rows of bytes: the cells, then the agent.

    state = [cell (0, 0), cell (1, 0), ..., cell (W - 1, H - 1), x, y, direction, carried]

Cells go row by row, y counts down from the top; a direction is 0 right, 1 down, 2 left, 3 up. Two
states are equal if and only if no further play can tell them apart.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Key, Wall

from envs.babyai.cells import (
    BALL,
    BOX,
    COLOR_OF,
    COLORS,
    CONTENT_OF,
    DOOR,
    DOOR_STATE_OF,
    EMPTY,
    KEY,
    LOCKED,
    OPEN,
    TYPE_OF,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
)

X, Y, DIRECTION, CARRIED = -4, -3, -2, -1  # columns of a state
DIRECTIONS = ("right", "down", "left", "up")
STEP_X = np.array([1, 0, -1, 0])  # by direction
STEP_Y = np.array([0, 1, 0, -1])


@dataclass(frozen=True)
class GridShape:
    """Width and height of a grid in cells, outer walls included."""

    width: int
    height: int

    @property
    def num_cells(self) -> int:
        """Cells of a grid, W * H."""
        return self.width * self.height

    @property
    def state_size(self) -> int:
        """Bytes of a state, D."""
        return self.num_cells + 4

    def cell_index(self, x: int, y: int) -> int:
        """Column of a state that holds the cell (x, y)."""
        return y * self.width + x

    def cells(self, states: np.ndarray) -> np.ndarray:
        """Cell codes (..., H, W) uint8 of states (..., D), as a view."""
        return states[..., : self.num_cells].reshape(*states.shape[:-1], self.height, self.width)


def front_index(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Columns (B,) of the cells in front of the agents in states (B, D) uint8."""
    direction = states[:, DIRECTION]
    rows = states[:, Y].astype(np.intp) + STEP_Y[direction]
    columns: np.ndarray = rows * shape.width + states[:, X] + STEP_X[direction]
    return columns


def front_cells(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Codes (B,) uint8 of the cells in front of the agents in states (B, D) uint8."""
    cells: np.ndarray = states[np.arange(len(states)), front_index(states, shape)]
    return cells


def encode(env: Any) -> np.ndarray:
    """The state (D,) uint8 of a MiniGrid environment.

    Raises:
        ValueError: the grid holds something that BabyAI does not have, such as lava.
    """
    env = env.unwrapped
    cells = [_code(thing) for thing in env.grid.grid]
    x, y = env.agent_pos
    return np.array([*cells, x, y, env.agent_dir, _code(env.carrying)], np.uint8)


def restore(env: Any, state: np.ndarray) -> None:
    """Puts a MiniGrid environment of the same width and height into `state` (D,) uint8."""
    env = env.unwrapped
    grid = Grid(env.width, env.height)
    for place, code in enumerate(state[: env.width * env.height].tolist()):
        y, x = divmod(place, env.width)
        thing = _thing(code)
        grid.set(x, y, thing)
        if thing is not None:
            thing.init_pos = thing.cur_pos = (x, y)
    env.grid = grid
    env.agent_pos = (int(state[X]), int(state[Y]))
    env.agent_dir = int(state[DIRECTION])
    env.carrying = _thing(int(state[CARRIED]))
    env.step_count = 0


def _code(thing: Any) -> int:
    """The cell code of a MiniGrid object or None."""
    if thing is None:
        return EMPTY
    if thing.type == "wall":
        return WALL
    if thing.type not in ("door", "key", "ball", "box"):
        raise ValueError(
            f"Expected walls, doors, keys, balls and boxes, got a `{thing.type}`. "
            "Use a grid of the BabyAI levels."
        )
    color = COLORS.index(thing.color)
    if thing.type == "door":
        state = OPEN if thing.is_open else OPEN + 1 + thing.is_locked
        return door_code(color, state)
    if thing.type == "box":
        return box_code(color, _code(thing.contains))
    return key_code(color) if thing.type == "key" else ball_code(color)


def _thing(code: int) -> Any:
    """A fresh MiniGrid object of a cell code, or None."""
    if code == EMPTY:
        return None
    if code == WALL:
        return Wall()
    kind, color = int(TYPE_OF[code]), COLORS[COLOR_OF[code]]
    if kind == DOOR:
        return Door(color, DOOR_STATE_OF[code] == OPEN, DOOR_STATE_OF[code] == LOCKED)
    if kind == BOX:
        return Box(color, _thing(int(CONTENT_OF[code])))
    assert kind in (KEY, BALL)
    return Key(color) if kind == KEY else Ball(color)
