"""An expert that sees the whole grid: a plan from any state to any goal.

Where nothing has to be moved out of the way, a plan to one place is a shortest one that moves
nothing, and a `put_next` plan is the nearest thing and then the nearest place. Things in the way
are carried aside, one by one; locked doors are unlocked with their keys first; a thing that has
no free cell beside it gets one. Unlike the bot of
`minigrid` it does tiles, starts with full hands, and need not explore.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np

from envs.babyai.cells import DOOR_STATE_OF, EMPTY, KEY_OF, LOCKED
from envs.babyai.errands import Errand, Errands, clearing, goal_errand, unlocking
from envs.babyai.goals import Spec, specs_array
from envs.babyai.routes import OBSTACLE_STEPS, PoseSearch, Route
from envs.babyai.simulator import DONE, DROP, PICKUP, step
from envs.babyai.states import CARRIED, DIRECTION, GridShape, X, Y
from envs.babyai.verifiers import success

MAX_DEPTH = 12  # obstacles in the way of obstacles
MAX_TROUBLE_DEPTH = 2  # obstacles in the way of obstacles that count when putting down
MAX_PLACES = 30  # where to put something down is chosen among so many near places


def plan(state: np.ndarray, spec: Spec, shape: GridShape, max_steps: int) -> list[int] | None:
    """Actions from `state` (D,) uint8 to the goal, at most `max_steps`; None if none were found."""
    errands: Errands = partial(goal_errand, spec=spec, shape=shape)
    actions: list[int] = []
    while len(actions) < max_steps:
        following = _next_actions(state, errands, errands, shape, 0)
        if following is None:
            return None
        for action in following:
            after = step(state[None], np.array([action]), shape)
            actions.append(action)
            if success(specs_array([spec]), state[None], np.array([action]), after, shape)[0]:
                return actions if len(actions) <= max_steps else None
            state = after[0]
    return None


def _next_actions(
    state: np.ndarray, errands: Errands, goal: Errands, shape: GridShape, depth: int
) -> Sequence[int] | None:
    """The next actions of an errand that serves the errand `goal`; None where none helps."""
    errand, carried = errands(state), int(state[CARRIED])
    if (door := _door_of_key(state, errands, shape)) is not None and depth < MAX_DEPTH:
        return _next_actions(state, partial(unlocking, door=door), goal, shape, depth + 1)
    if carried != EMPTY and _hands_are_wrong(errand, carried):
        return _put_down(state, goal, shape)
    legs = _legs(state, errand, shape)
    if legs is None:
        return _put_down(state, goal, shape) if carried != EMPTY else None
    obstacles = [cell for leg in legs for cell in leg.obstacles]
    if not obstacles:
        last = errand.last if len(legs) == 1 else (PICKUP,)
        return (*legs[0].actions, *last) or (DONE,)
    if carried != EMPTY:
        return _put_down(state, goal, shape)
    if depth == MAX_DEPTH:
        return None
    return _next_actions(state, _removal(state, obstacles[0]), goal, shape, depth + 1)


def _hands_are_wrong(errand: Errand, carried: int) -> bool:
    """Whether what is carried keeps the errand from being done."""
    needs_other = bool(errand.load) and carried not in errand.load
    return needs_other or errand.empty_hands or not (errand.facing or errand.standing)


def _removal(state: np.ndarray, obstacle: int) -> Errands:
    if DOOR_STATE_OF[state[obstacle]] == LOCKED:
        return partial(unlocking, door=obstacle)
    return lambda _: clearing(obstacle)


def _door_of_key(state: np.ndarray, errands: Errands, shape: GridShape) -> int | None:
    """A locked door in the way of the errand whose key is in the hands and not its load."""
    carried = int(state[CARRIED])
    if carried not in KEY_OF or carried in errands(state).load:
        return None
    route = next(_dropping_routes(state, shape), None)
    if route is None:
        return None
    free = _dropped(state, route.pose, shape)
    legs = _legs(free, errands(free), shape) or []
    doors = [cell for leg in legs for cell in leg.obstacles if KEY_OF[state[cell]] == carried]
    return doors[0] if doors else None


def _legs(state: np.ndarray, errand: Errand, shape: GridShape) -> list[Route] | None:
    """The way to the errand's place, or to its load and then to its place; None without a way."""
    if not errand.load or int(state[CARRIED]) in errand.load:
        route = _route(state, shape, errand.facing, errand.standing)
        return None if route is None else [route]
    codes = state[: shape.num_cells]
    loads = frozenset(np.flatnonzero(np.isin(codes, list(errand.load))).tolist())
    fetch = _route(state, shape, loads, frozenset())
    if fetch is None:
        return None
    bring = _route(_lifted(state, fetch, shape), shape, errand.facing, errand.standing)
    return None if bring is None else [fetch, bring]


def _route(
    state: np.ndarray, shape: GridShape, facing: frozenset[int], standing: frozenset[int]
) -> Route | None:
    if not facing and not standing:
        return None
    search = PoseSearch(state, shape)
    return search.first(lambda pose: search.ahead(pose) in facing or pose // 4 in standing)


def _lifted(state: np.ndarray, route: Route, shape: GridShape) -> np.ndarray:
    """The state at the end of a route, when its obstacles are gone and the thing ahead is taken."""
    lifted = state.copy()
    lifted[list(route.obstacles)] = EMPTY
    cell, direction = divmod(route.pose, 4)
    lifted[Y], lifted[X] = divmod(cell, shape.width)
    lifted[DIRECTION] = direction
    after: np.ndarray = step(lifted[None], np.array([PICKUP]), shape)[0]
    return after


def _put_down(state: np.ndarray, goal: Errands, shape: GridShape) -> Sequence[int] | None:
    """Actions to put down what is carried where it is least in the way of `goal`."""
    least = _least_trouble(state, goal, shape)
    best: tuple[float, Sequence[int]] | None = None
    for route in islice(_dropping_routes(state, shape), MAX_PLACES):
        dropped = _dropped(state, route.pose, shape)
        trouble = _trouble(dropped, goal, shape)
        if best is None or trouble < best[0]:
            best = trouble, (*route.actions, DROP)
        if trouble <= least:
            break
    return None if best is None else best[1]


def _dropping_routes(state: np.ndarray, shape: GridShape) -> Iterator[Route]:
    """Ways to drop what is carried, one for each free cell, nearest first."""
    search, places = PoseSearch(state, shape), set()
    for pose, steps in search.poses():
        if steps >= OBSTACLE_STEPS:
            return
        place = search.ahead(pose)
        if place not in places and state[place] == EMPTY:
            places.add(place)
            yield search.route(pose)


def _dropped(state: np.ndarray, pose: int, shape: GridShape) -> np.ndarray:
    """The state after dropping at a pose."""
    there = state.copy()
    cell, direction = divmod(pose, 4)
    there[Y], there[X] = divmod(cell, shape.width)
    there[DIRECTION] = direction
    after: np.ndarray = step(there[None], np.array([DROP]), shape)[0]
    return after


def _least_trouble(state: np.ndarray, goal: Errands, shape: GridShape) -> float:
    """The trouble to be content with: as if what is carried were nowhere, and less than here."""
    gone = state.copy()
    gone[CARRIED] = EMPTY
    trouble = _trouble(gone, goal, shape)
    dropped = step(state[None], np.array([DROP]), shape)[0]
    here = _trouble(dropped, goal, shape) if dropped[CARRIED] == EMPTY else float("inf")
    return 0 if trouble == float("inf") else max(0, min(trouble, here - 1))


def _trouble(state: np.ndarray, goal: Errands, shape: GridShape, depth: int = 0) -> float:
    """Obstacles in the way of `goal`, and in the way of these; infinity where there is no way."""
    errand = goal(state)
    legs = _legs(state, errand, shape)
    if legs is None:
        return float("inf")
    obstacles = [cell for leg in legs for cell in leg.obstacles]
    count = len(obstacles) + errand.makes_room
    if depth == MAX_TROUBLE_DEPTH:
        return count
    return count + sum(
        _trouble(state, _removal(state, cell), shape, depth + 1) for cell in obstacles
    )
