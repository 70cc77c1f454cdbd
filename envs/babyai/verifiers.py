"""Whether a step reaches its goal: the truth for evaluation and audits, never for training.

    go_to       a thing that fits lies in the cell ahead afterwards
    pick_up     the action picks up, the hands were empty and hold a thing that fits afterwards
    open        the action toggles, and a door that fits is ahead and open afterwards
    put_next    the action drops a thing that fits, and a cell beside it holds the fixed thing
    go_to_tile  the agent stands on the tile afterwards

Source: the instruction verifiers of `minigrid`. They remember the very things that lay there at the
reset, and where a thing lay before it was taken; ours read the states alone.
"""

import numpy as np

from envs.babyai.cells import COLOR_OF, DOOR_STATE_OF, EMPTY, OPEN, TYPE_OF
from envs.babyai.goals import ANY, GO_TO, GO_TO_TILE, OPEN_DOOR, PICK_UP, PUT_NEXT
from envs.babyai.simulator import DROP, PICKUP, TOGGLE
from envs.babyai.states import CARRIED, GridShape, X, Y, front_cells, front_index


def success(
    specs: np.ndarray,
    before: np.ndarray,
    actions: np.ndarray,
    after: np.ndarray,
    shape: GridShape,
) -> np.ndarray:
    """Whether each step reaches its goal, (B,) bool.

    Args:
        specs: (B, 5) goals as numbers.
        before: (B, D) uint8 states.
        actions: (B,) in 0..6.
        after: (B, D) uint8 next states.
    """
    kind, actions = specs[:, 0], np.asarray(actions)
    carried, carries = before[:, CARRIED], after[:, CARRIED]
    ahead = front_cells(after, shape)
    picked = (actions == PICKUP) & (carried == EMPTY) & _fits(carries, specs[:, 1:3])
    opened = (actions == TOGGLE) & _fits(ahead, specs[:, 1:3]) & (DOOR_STATE_OF[ahead] == OPEN)
    dropped = (actions == DROP) & (carries == EMPTY) & _fits(carried, specs[:, 1:3])
    done = already(specs, after, shape)
    done |= (kind == PICK_UP) & picked
    done |= (kind == OPEN_DOOR) & opened
    done |= (kind == PUT_NEXT) & dropped & _lies_beside(after, specs[:, 3:5], shape)
    return done


def already(specs: np.ndarray, states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Whether states (B, D) are at their goals (B, 5) whatever the action was, (B,) bool.

    Only `go_to` and `go_to_tile` are places; the other goals are deeds.
    """
    kind = specs[:, 0]
    faces = (kind == GO_TO) & _fits(front_cells(states, shape), specs[:, 1:3])
    stands = (states[:, X] == specs[:, 1]) & (states[:, Y] == specs[:, 2])
    there: np.ndarray = faces | ((kind == GO_TO_TILE) & stands)
    return there


def _fits(codes: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Whether cells `codes` (B,) hold a thing of type and colour `names` (B, 2)."""
    right_color = (names[:, 1] == ANY) | (COLOR_OF[codes] == names[:, 1])
    fits: np.ndarray = (TYPE_OF[codes] == names[:, 0]) & right_color
    return fits


def _lies_beside(states: np.ndarray, names: np.ndarray, shape: GridShape) -> np.ndarray:
    """Whether a thing that fits `names` (B, 2) shares a side with the cell ahead, (B,) bool."""
    rows, front = np.arange(len(states)), front_index(states, shape)
    beside = np.zeros(len(states), bool)
    for offset in (-1, 1, -shape.width, shape.width):
        place = np.clip(front + offset, 0, shape.num_cells - 1)
        beside |= _fits(states[rows, place], names)
    return beside
