"""What a goal leaves of grid states, as arrays: the things with a role, and what lies in the way.

Chosen once per goal are the roles (`program_roles`); the rest is one fixed function of the state.
A thing without a role is an obstacle without colour, a door without a role is open, closed or
locked and nothing more, and things without a role in other rooms are left out.
Source: the state abstraction of TEDUO (arXiv 2412.06877, step 1); rooms and what is nearest are
ours.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from envs.babyai.cells import (
    BOX,
    CAN_CARRY,
    CLOSED,
    DOOR_STATE_OF,
    EMPTY,
    LOCKED,
    NUM_CODES,
    OPEN,
    TYPE_OF,
    WALL,
)
from envs.babyai.states import (
    CARRIED,
    DIRECTION,
    STEP_X,
    STEP_Y,
    GridShape,
    X,
    Y,
    front_cells,
    front_index,
)
from imagination.programs import Roles

NUM_TARGETS = 2  # goal objects, and goal locations, that are told: the nearest
NUM_OBSTACLES = 4  # things in the way that are told: the nearest in this room
NUM_DOORS = 4  # doors of this room that are told: the nearest
NOWHERE = -1  # no cell


class Role(IntEnum):
    """What the goal makes of a thing."""

    NONE = 0
    OBJECT = 1
    LOCATION = 2


class Matter(IntEnum):
    """What a cell is to an agent that must pass."""

    FREE = 0
    WALL = 1
    THING = 2  # to be taken away or gone round
    BOX = 3  # a thing that toggling destroys
    OPEN_DOOR = 4
    CLOSED_DOOR = 5
    LOCKED_DOOR = 6


def _matter() -> np.ndarray:
    matter = np.full(NUM_CODES, Matter.FREE, np.int8)
    matter[WALL] = Matter.WALL
    matter[CAN_CARRY] = Matter.THING
    matter[TYPE_OF == BOX] = Matter.BOX
    for state, kind in (
        (OPEN, Matter.OPEN_DOOR),
        (CLOSED, Matter.CLOSED_DOOR),
        (LOCKED, Matter.LOCKED_DOOR),
    ):
        matter[state == DOOR_STATE_OF] = kind
    return matter


MATTER_OF = _matter()  # (NUM_CODES,) int8


class Hands(IntEnum):
    """What the agent carries."""

    EMPTY = 0
    OBJECT = 1  # one that the goal asks for
    THING = 2  # another


@dataclass(frozen=True)
class AbstractRows:
    """N abstract states; cells are columns of a state, NOWHERE where there are fewer things.

    The first five decide whether a goal is reached, the others help in getting there.
    """

    role_ahead: np.ndarray  # (N,) int8, a Role, of what lies in the cell ahead
    matter_ahead: np.ndarray  # (N,) int8, a Matter, of the cell ahead
    hands: np.ndarray  # (N,) int8, a Hands
    beside: np.ndarray  # (N,) bool, whether the cell ahead shares a side with a goal location
    standing: np.ndarray  # (N,) bool, whether the agent stands on a goal location
    objects: np.ndarray  # (N, NUM_TARGETS) cells of goal objects, this room's first, then nearest
    locations: np.ndarray  # (N, NUM_TARGETS) cells of goal locations, likewise
    obstacles: np.ndarray  # (N, NUM_OBSTACLES) cells of other things in this room
    doors: np.ndarray  # (N, NUM_DOORS) cells of doors of this room
    door_matter: np.ndarray  # (N, NUM_DOORS) int8, a Matter, of each of them
    wall_steps: np.ndarray  # (N, 4) cells to the first wall or door right, down, left, up


def abstract_rows(roles: Roles, states: np.ndarray, shape: GridShape) -> AbstractRows:
    """What the roles leave of states (N, D) uint8."""
    rows, front = np.arange(len(states)), front_index(states, shape)
    matter = MATTER_OF[states[:, : shape.num_cells]]
    room = _rooms(matter, states, shape)
    border = _grown(room.reshape(-1, shape.height, shape.width)).reshape(room.shape)
    objects = _nearest(roles.goal_objects, states, shape, NUM_TARGETS, first=border)
    locations = _nearest(roles.goal_locations, states, shape, NUM_TARGETS, first=border)
    in_the_way = room & ((matter == Matter.THING) | (matter == Matter.BOX))
    for told in (objects, locations):
        in_the_way[rows[:, None], told] &= told == NOWHERE
    doors = _nearest(border & (matter >= Matter.OPEN_DOOR), states, shape, NUM_DOORS)
    role_ahead = np.where(roles.goal_locations[rows, front], Role.LOCATION, Role.NONE)
    here = shape.width * states[:, Y].astype(np.intp) + states[:, X]
    return AbstractRows(
        np.where(roles.goal_objects[rows, front], Role.OBJECT, role_ahead).astype(np.int8),
        MATTER_OF[front_cells(states, shape)],
        _hands(roles, states),
        _lies_beside(roles.goal_locations, front, shape),
        roles.goal_locations[rows, here],
        objects,
        locations,
        _nearest(in_the_way, states, shape, NUM_OBSTACLES),
        doors,
        matter[rows[:, None], doors],
        _wall_steps(matter, states, shape),
    )


def offsets(cells: np.ndarray, states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Steps ahead and to the right (N, K, 2) from the agents of states (N, D) to `cells` (N, K)."""
    direction = states[:, DIRECTION]
    right = (direction + 1) % 4
    x = cells % shape.width - states[:, X, None].astype(np.intp)
    y = cells // shape.width - states[:, Y, None].astype(np.intp)
    ahead = x * STEP_X[direction][:, None] + y * STEP_Y[direction][:, None]
    aside = x * STEP_X[right][:, None] + y * STEP_Y[right][:, None]
    return np.stack([ahead, aside], axis=-1)


def _hands(roles: Roles, states: np.ndarray) -> np.ndarray:
    """What agents carry (N,) int8."""
    carries = np.where(states[:, CARRIED] == EMPTY, Hands.EMPTY, Hands.THING)
    return np.where(roles.carries_goal_object, Hands.OBJECT, carries).astype(np.int8)


def _lies_beside(places: np.ndarray, cells: np.ndarray, shape: GridShape) -> np.ndarray:
    """Whether one of `places` (N, cells) bool shares a side with `cells` (N,), (N,) bool."""
    rows, beside = np.arange(len(cells)), np.zeros(len(cells), bool)
    for step in (-1, 1, -shape.width, shape.width):
        beside |= places[rows, np.clip(cells + step, 0, shape.num_cells - 1)]
    return beside


def _rooms(matter: np.ndarray, states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Cells (N, cells) bool that are joined to the agent's own without a wall or a door between."""
    grid = (len(states), shape.height, shape.width)
    inside = ((matter != Matter.WALL) & (matter < Matter.OPEN_DOOR)).reshape(grid)
    reached = np.zeros(grid, bool)
    reached[np.arange(len(states)), states[:, Y], states[:, X]] = True
    count = 0
    while (size := int(np.count_nonzero(reached))) > count:
        count = size
        reached |= _grown(reached) & inside
    return reached.reshape(matter.shape)


def _grown(places: np.ndarray) -> np.ndarray:
    """`places` (N, H, W) bool and the cells that share a side with them."""
    grown = places.copy()
    grown[:, 1:] |= places[:, :-1]
    grown[:, :-1] |= places[:, 1:]
    grown[:, :, 1:] |= places[:, :, :-1]
    grown[:, :, :-1] |= places[:, :, 1:]
    return grown


def _nearest(
    places: np.ndarray,
    states: np.ndarray,
    shape: GridShape,
    count: int,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """The `count` nearest of `places` (N, cells) bool, as cells (N, count).

    Of equally near ones those farther ahead come first, then those on the left: turning the whole
    grid changes nothing.

    Args:
        first: (N, cells) bool, places that come before all others.
    """
    rows, cells = np.nonzero(places)
    ahead, aside = offsets(cells[:, None], states[rows], shape)[:, 0].T
    late = np.zeros(len(rows), bool) if first is None else ~first[rows, cells]
    order = np.lexsort((aside, -ahead, np.abs(ahead) + np.abs(aside), late, rows))
    rows, cells = rows[order], cells[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    found = np.full((len(states), count), NOWHERE)
    kept = ranks < count
    found[rows[kept], ranks[kept]] = cells[kept]
    return found


def _wall_steps(matter: np.ndarray, states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Cells (N, 4) that the agents can go right, down, left and up before a wall or a door."""
    stops = (matter == Matter.WALL) | (matter >= Matter.OPEN_DOOR)
    grid = stops.reshape(len(states), shape.height, shape.width)
    rows, x, y = np.arange(len(states)), states[:, X].astype(int), states[:, Y].astype(int)
    steps = []
    for line, place in ((grid[rows, y], x), (grid[rows, :, x], y)):
        cells = np.arange(line.shape[1])
        after = np.where(line & (cells > place[:, None]), cells, line.shape[1]).min(axis=1)
        before = np.where(line & (cells < place[:, None]), cells, -1).max(axis=1)
        steps.append((after - place - 1, place - before - 1))
    (right, left), (down, up) = steps
    return np.stack([right, down, left, up], axis=1)
