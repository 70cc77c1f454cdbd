"""What has to be done for a goal, as cells to come to: the planner's view of a goal in a state."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.babyai.cells import (
    CAN_CARRY,
    CLOSED,
    COLOR_OF,
    DOOR_STATE_OF,
    EMPTY,
    KEY_OF,
    LOCKED,
    NUM_CODES,
    OPEN,
    TYPE_OF,
)
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    OPEN_DOOR,
    PICK_UP,
    Description,
    Spec,
    descriptions,
)
from envs.babyai.simulator import DROP, PICKUP, TOGGLE
from envs.babyai.states import GridShape


@dataclass(frozen=True)
class Errand:
    """Come to a cell and do something there, perhaps with something in the hands."""

    facing: frozenset[int] = frozenset()  # cells, one of which has to be ahead
    standing: frozenset[int] = frozenset()  # cells, on one of which the agent has to stand
    last: tuple[int, ...] = ()  # actions to take there
    load: frozenset[int] = frozenset()  # cell codes, one of which has to be in the hands
    empty_hands: bool = False  # nothing may be in the hands
    makes_room: bool = False  # the errand only prepares for the one that reaches the goal


Errands = Callable[[np.ndarray], Errand]  # what an errand has become in a state (D,)


def goal_errand(state: np.ndarray, spec: Spec, shape: GridShape) -> Errand:
    """The errand that reaches the goal `spec` from `state` (D,) uint8."""
    if spec[0] == GO_TO_TILE:
        return Errand(standing=frozenset({shape.cell_index(spec[1], spec[2])}))
    codes = state[: shape.num_cells]
    things = _cells(codes, descriptions(spec)[0])
    if spec[0] == GO_TO:
        return Errand(facing=things)
    if spec[0] == PICK_UP:
        return Errand(facing=things, last=(PICKUP,), empty_hands=True)
    if spec[0] == OPEN_DOOR:
        return _opening(state, things)
    moved, fixed = descriptions(spec)
    beside = {
        cell + offset
        for cell in _cells(codes, fixed)
        for offset in (-1, 1, -shape.width, shape.width)
    }
    inside = [cell for cell in beside if 0 <= cell < len(codes)]
    if free := frozenset(cell for cell in inside if codes[cell] == EMPTY):
        return Errand(facing=free, last=(DROP,), load=_codes(moved))
    things = frozenset(cell for cell in inside if CAN_CARRY[codes[cell]])
    return Errand(facing=things, last=(PICKUP,), empty_hands=True, makes_room=True)


def unlocking(state: np.ndarray, door: int) -> Errand:
    """The errand to unlock the door in the cell `door` with its key."""
    key = int(KEY_OF[state[door]])
    return Errand(facing=frozenset({door}), last=(TOGGLE,), load=frozenset({key}))


def clearing(cell: int) -> Errand:
    """The errand to take away the thing in `cell`."""
    return Errand(facing=frozenset({cell}), last=(PICKUP,), empty_hands=True)


def _opening(state: np.ndarray, doors: frozenset[int]) -> Errand:
    """To open a closed door; else to close and open an open one; else to unlock one."""
    states = {door: int(DOOR_STATE_OF[state[door]]) for door in sorted(doors)}
    for wanted, last in ((CLOSED, (TOGGLE,)), (OPEN, (TOGGLE, TOGGLE))):
        if found := frozenset(door for door, now in states.items() if now == wanted):
            return Errand(facing=found, last=last)
    locked = [door for door, now in states.items() if now == LOCKED]
    return unlocking(state, locked[0]) if locked else Errand()


def _cells(codes: np.ndarray, name: Description) -> frozenset[int]:
    return frozenset(np.flatnonzero(_fits(codes, name)).tolist())


def _codes(name: Description) -> frozenset[int]:
    return frozenset(np.flatnonzero(_fits(np.arange(NUM_CODES), name)).tolist())


def _fits(codes: np.ndarray, name: Description) -> np.ndarray:
    kind, color = name
    fits: np.ndarray = (TYPE_OF[codes] == kind) & ((color == ANY) | (COLOR_OF[codes] == color))
    return fits
