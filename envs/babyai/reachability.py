"""Which cells an agent can come to; things in the way count as movable, for they are.

An agent with empty hands passes any chain of things: it picks up the thing ahead, steps into the
freed cell, turns round and drops it where it came from, or beside it where that was a doorway.
"""

import numpy as np

from envs.babyai.cells import DOOR_STATE_OF, KEY_OF, LOCKED, WALL
from envs.babyai.states import GridShape, X, Y


def reachable_cells(state: np.ndarray, shape: GridShape, unlock: bool = True) -> np.ndarray:
    """Cells (H, W) bool that the agent can stand on, or stand next to where a thing is.

    Args:
        state: (D,) uint8.
        unlock: pass a locked door when its key can be reached. A locked door that cannot be
            passed is left out.
    """
    cells = shape.cells(state)
    passable = (cells != WALL) & (DOOR_STATE_OF[cells] != LOCKED)
    reached = _flood(passable, int(state[X]), int(state[Y]))
    while unlock:
        keys = cells[reached]
        opened = ~passable & (DOOR_STATE_OF[cells] == LOCKED) & np.isin(KEY_OF[cells], keys)
        if not opened.any():
            break
        passable |= opened
        reached = _flood(passable, int(state[X]), int(state[Y]))
    return reached


def _flood(passable: np.ndarray, x: int, y: int) -> np.ndarray:
    """The 4-connected part (H, W) bool of `passable` that holds (x, y)."""
    reached = np.zeros_like(passable)
    reached[y, x] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= passable
        if (grown == reached).all():
            return reached
        reached = grown
