"""Shortest ways through a grid: a search over the agent's poses, nearest pose first.

A pose is `4 * cell + direction`. Walking costs a step, turning a step, a closed door one more for
opening it. A thing in the way, or a locked door without its key in the hands, is an obstacle: it
costs so much that a way around is taken if there is a reasonable one, and the route names it.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from envs.babyai.cells import CAN_CARRY, CLOSED, DOOR_STATE_OF, KEY_OF, LOCKED, NUM_CODES, WALL
from envs.babyai.simulator import FORWARD, LEFT, RIGHT, TOGGLE
from envs.babyai.states import CARRIED, DIRECTION, GridShape, X, Y

OBSTACLE_STEPS = 30  # how much longer a way may be that moves nothing
LOCKED_STEPS = 1000  # how much longer a way may be that unlocks nothing


def _entry_steps() -> np.ndarray:
    """Steps (NUM_CODES,) int64 to enter the cell ahead by what it holds; 0 is never."""
    steps = np.ones(NUM_CODES, np.int64)
    steps[WALL] = 0
    steps[DOOR_STATE_OF == CLOSED] = 2
    steps[DOOR_STATE_OF == LOCKED] = LOCKED_STEPS
    steps[CAN_CARRY] = OBSTACLE_STEPS
    return steps


_ENTRY_STEPS = _entry_steps().tolist()


@dataclass(frozen=True)
class Route:
    """A way to a pose."""

    actions: tuple[int, ...]  # up to where the first obstacle is ahead, or all of them
    obstacles: tuple[int, ...]  # cells on the way, in order
    pose: int  # where the whole way ends


class PoseSearch:
    """Poses around an agent by the steps that it takes to come there (Dijkstra's algorithm)."""

    def __init__(self, state: np.ndarray, shape: GridShape) -> None:
        """A search from the agent's pose in `state` (D,) uint8."""
        self._codes: list[int] = state[: shape.num_cells].tolist()
        self._entry = list(_ENTRY_STEPS)
        for code in np.flatnonzero(state[CARRIED] == KEY_OF):
            self._entry[code] = 2  # the key is at hand: unlock and enter
        self._offsets = (1, shape.width, -1, -shape.width)
        self._start = 4 * shape.cell_index(int(state[X]), int(state[Y])) + int(state[DIRECTION])
        self._parents: dict[int, int] = {}

    def ahead(self, pose: int) -> int:
        """The cell in front of a pose."""
        return pose // 4 + self._offsets[pose % 4]

    def poses(self) -> Iterator[tuple[int, int]]:
        """Every pose with its steps, nearest first; ways through obstacles come last."""
        steps = {self._start: 0}
        self._parents = {self._start: -1}
        heap = [(0, self._start)]
        while heap:
            distance, pose = heapq.heappop(heap)
            if distance > steps[pose]:
                continue
            yield pose, distance
            for following, cost in self._neighbors(pose):
                further = distance + cost
                if further < steps.get(following, further + 1):
                    steps[following] = further
                    self._parents[following] = pose
                    heapq.heappush(heap, (further, following))

    def first(self, wanted: Callable[[int], bool]) -> Route | None:
        """The route to the nearest pose that is `wanted`, or None."""
        for pose, _ in self.poses():
            if wanted(pose):
                return self.route(pose)
        return None

    def route(self, pose: int) -> Route:
        """The route to a pose that `poses` gave."""
        way = [pose]
        while (parent := self._parents[way[-1]]) >= 0:
            way.append(parent)
        way.reverse()
        actions: list[int] = []
        obstacles: list[int] = []
        for before, after in pairwise(way):
            taken = self._actions(before, after)
            if not taken:
                obstacles.append(after // 4)
            if not obstacles:
                actions += taken
        return Route(tuple(actions), tuple(obstacles), pose)

    def _neighbors(self, pose: int) -> Iterator[tuple[int, int]]:
        cell, direction = divmod(pose, 4)
        yield 4 * cell + (direction - 1) % 4, 1
        yield 4 * cell + (direction + 1) % 4, 1
        ahead = self.ahead(pose)
        if cost := self._entry[self._codes[ahead]]:
            yield 4 * ahead + direction, cost

    def _actions(self, before: int, after: int) -> tuple[int, ...]:
        """Actions from a pose to the next; none where an obstacle lies between them."""
        if before // 4 == after // 4:
            return (RIGHT,) if (before + 1) % 4 == after % 4 else (LEFT,)
        cost = self._entry[self._codes[after // 4]]
        return {1: (FORWARD,), 2: (TOGGLE, FORWARD)}.get(cost, ())
