"""Transitions as pictures of the grid, the input of proxy networks."""

import numpy as np

from envs.babyai.cells import (
    BALL,
    BOX,
    COLOR_OF,
    COLORS,
    DOOR,
    DOOR_STATE_OF,
    EMPTY_TYPE,
    KEY,
    OPEN,
    TYPE_OF,
    WALL_TYPE,
)
from envs.babyai.simulator import NUM_ACTIONS
from envs.babyai.states import CARRIED, DIRECTION, DIRECTIONS, GridShape, X, Y, front_cells

_TYPES = (EMPTY_TYPE, WALL_TYPE, DOOR, KEY, BALL, BOX)


def _code_planes() -> np.ndarray:
    """What each cell code shows (NUM_CODES, P) uint8: type, colour, whether it is an open door."""
    types = TYPE_OF[:, None] == np.array(_TYPES)
    colors = COLOR_OF[:, None] == np.arange(len(COLORS))
    return np.column_stack([types, colors, DOOR_STATE_OF == OPEN]).astype(np.uint8)


_CODE_PLANES = _code_planes()


def transition_pictures(
    before: np.ndarray, actions: np.ndarray, after: np.ndarray, shape: GridShape
) -> np.ndarray:
    """Transitions as pictures (N, H, W, C) uint8 of 0 and 1.

    Channels tell what each cell holds afterwards; on the agent's cell they tell where it faces, the
    action, what it held before and holds now, and what lay ahead before.

    Args:
        before: (N, D) uint8 states.
        actions: (N,) in 0..6.
        after: (N, D) uint8 next states.
    """
    rows = np.arange(len(after))
    cells = _CODE_PLANES[shape.cells(after)]
    own = np.concatenate(
        [
            np.eye(len(DIRECTIONS), dtype=np.uint8)[after[:, DIRECTION]],
            np.eye(NUM_ACTIONS, dtype=np.uint8)[actions],
            _CODE_PLANES[before[:, CARRIED]],
            _CODE_PLANES[after[:, CARRIED]],
            _CODE_PLANES[front_cells(before, shape)],
        ],
        axis=1,
    )
    agent = np.zeros((*cells.shape[:3], own.shape[1]), np.uint8)
    agent[rows, after[:, Y], after[:, X]] = own
    return np.concatenate([cells, agent], axis=-1)
