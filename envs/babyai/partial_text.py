"""A state in words, as the agent sees it: what is in view, counted in steps from where it stands.

    You carry a red key.
    You see a wall 2 steps forward.
    You see a blue ball 1 step forward and 2 steps left.

The view is `minigrid`'s own: seven by seven cells ahead, as far as walls and closed doors let one
see. Of the walls only the nearest straight ahead and to both sides are told.
Source: the observations of BabyAI-Text (arXiv 2302.02662), in words of our own.
"""

import numpy as np
from minigrid.core.grid import Grid

from envs.babyai.cells import CAN_ENTER, DOOR_STATE_OF, EMPTY, WALL
from envs.babyai.raw_text import thing_words
from envs.babyai.states import CARRIED, DIRECTION, STEP_X, STEP_Y, GridShape, X, Y

VIEW_SIZE = 7  # cells across and ahead, the agent's own row included
_MIDDLE = VIEW_SIZE // 2


def partial_text(state: np.ndarray, shape: GridShape) -> str:
    """What the agent sees in the state (D,) uint8, a line for each thing, nearest first."""
    view = seen_cells(state, shape)
    lines = [f"You carry {thing_words(int(state[CARRIED]))}."]
    lines += [
        f"You see {thing_words(int(view[ahead, side]))} {_place(ahead, side - _MIDDLE)}."
        for ahead, side in _told(view)
    ]
    return "\n".join(lines)


def seen_cells(state: np.ndarray, shape: GridShape) -> np.ndarray:
    """Codes (7, 7) int16 of the cells in view by steps ahead and steps from the left edge; -1 where
    the agent sees nothing, its own cell included."""
    view = _view(state, shape)
    view[~_visible(view)] = -1
    view[0, _MIDDLE] = -1
    return view


def _view(state: np.ndarray, shape: GridShape) -> np.ndarray:
    """Codes (7, 7) int16 around the agent as if nothing hid anything; walls beyond the grid."""
    ahead, side = np.mgrid[0:VIEW_SIZE, -_MIDDLE : _MIDDLE + 1]
    direction = int(state[DIRECTION])
    right = (direction + 1) % 4
    x = int(state[X]) + ahead * STEP_X[direction] + side * STEP_X[right]
    y = int(state[Y]) + ahead * STEP_Y[direction] + side * STEP_Y[right]
    inside = (x >= 0) & (x < shape.width) & (y >= 0) & (y < shape.height)
    cells = shape.cells(state)
    return np.where(inside, cells[y % shape.height, x % shape.width], WALL).astype(np.int16)


def _visible(view: np.ndarray) -> np.ndarray:
    """Which cells (7, 7) bool of a view `minigrid` lets the agent see."""
    grid = Grid(VIEW_SIZE, VIEW_SIZE)
    opaque = (view == WALL) | ((DOOR_STATE_OF[view] >= 0) & ~CAN_ENTER[view])
    for ahead, side in zip(*np.nonzero(opaque), strict=True):
        grid.set(int(side), VIEW_SIZE - 1 - int(ahead), _OPAQUE)
    mask: np.ndarray = grid.process_vis((_MIDDLE, VIEW_SIZE - 1))
    return mask.T[::-1]


class _Opaque:
    """Stands for a wall or a closed door in `minigrid`'s own sight."""

    def see_behind(self) -> bool:
        """Nothing is seen behind it."""
        return False


_OPAQUE = _Opaque()


def _told(view: np.ndarray) -> list[tuple[int, int]]:
    """The places that are told, nearest first, of equally near ones from left to right."""
    things = [(int(a), int(s)) for a, s in zip(*np.nonzero(view > WALL), strict=True)]
    walls = [_first_wall(view, 1, 0), _first_wall(view, 0, -1), _first_wall(view, 0, 1)]
    told = things + [place for place in walls if place is not None]
    return sorted(told, key=lambda place: (place[0] + abs(place[1] - _MIDDLE), place[1], place[0]))


def _first_wall(view: np.ndarray, ahead_step: int, side_step: int) -> tuple[int, int] | None:
    """The first wall in a straight line from the agent, if nothing unseen lies before it."""
    for steps in range(1, VIEW_SIZE):
        ahead, side = steps * ahead_step, _MIDDLE + steps * side_step
        if not (0 <= side < VIEW_SIZE) or view[ahead, side] < EMPTY:
            return None
        if view[ahead, side] == WALL:
            return ahead, side
    return None


def _place(ahead: int, side: int) -> str:
    """Where a thing is, such as "2 steps forward and 1 step left"."""
    parts = [_steps(ahead, "forward")] if ahead else []
    if side:
        parts.append(_steps(abs(side), "left" if side < 0 else "right"))
    return " and ".join(parts)


def _steps(count: int, direction: str) -> str:
    return f"{count} {'step' if count == 1 else 'steps'} {direction}"
