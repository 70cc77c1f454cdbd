"""The scripted bot and the planner: what they reach, and how far from the shortest way."""

import numpy as np
import pytest

from envs.babyai.bot import bot_actions, bot_can_do
from envs.babyai.cells import (
    BALL,
    BOX,
    CLOSED,
    DOOR_STATE_OF,
    EMPTY,
    KEY,
    WALL,
    ball_code,
    box_code,
    key_code,
)
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    KINDS,
    PICK_UP,
    PUT_NEXT,
    Spec,
    layout_specs,
    specs_array,
    tile_spec,
)
from envs.babyai.layouts import SIZES, Layout, make_layout
from envs.babyai.planner import plan
from envs.babyai.simulator import DROP, FORWARD, LEFT, PICKUP, RIGHT, TOGGLE, step
from envs.babyai.states import CARRIED, front_cells
from envs.babyai.verifiers import already, success

RED, GREEN, BLUE = range(3)


def replay(layout: Layout, start: np.ndarray, spec: Spec, actions: list[int]) -> list[bool]:
    """Whether each of the actions reached the goal."""
    reached, before = [], start[None]
    for action in actions:
        acted = np.array([action])
        after = step(before, acted, layout.shape)
        reached.append(bool(success(specs_array([spec]), before, acted, after, layout.shape)[0]))
        before = after
    return reached


def draw_task(layout: Layout, kind: int, rng: np.random.Generator) -> tuple[np.ndarray, Spec]:
    """A start and a goal of that kind which does not hold yet."""
    specs = [spec for spec in layout_specs(layout) if spec[0] == kind]
    while True:
        start = layout.draw_starts(1, rng)
        spec = specs[int(rng.integers(len(specs)))]
        if not already(specs_array([spec]), start, layout.shape)[0]:
            return start[0], spec


def kinds_of(layout: Layout) -> list[int]:
    return sorted({spec[0] for spec in layout_specs(layout)})


@pytest.mark.parametrize(
    ("size", "locked", "count"),
    [("room", False, 12), ("rooms_2x2", True, 8), ("synth", False, 4), ("trio_c", False, 4)],
)
def test_the_planner_reaches_every_kind_of_goal(size: str, locked: bool, count: int) -> None:
    rng = np.random.default_rng(0)
    for seed in range(100, 100 + count):
        layout = make_layout(size, seed, locked)
        for kind in kinds_of(layout):
            start, spec = draw_task(layout, kind, rng)
            actions = plan(start, spec, layout.shape, SIZES[size].horizon_steps)
            assert actions is not None, (seed, spec)
            reached = replay(layout, start, spec, actions)
            assert reached[-1]
            assert not any(reached[:-1])


def test_every_goal_of_a_room_can_be_reached() -> None:
    layout = make_layout("room", 7)
    for spec in layout_specs(layout):
        assert plan(layout.state, spec, layout.shape, 64) is not None, spec


@pytest.mark.parametrize("size", ["room", "synth"])
def test_the_bot_reaches_every_kind_that_it_knows(size: str) -> None:
    rng = np.random.default_rng(1)
    layout = make_layout(size, 101)
    for kind in kinds_of(layout):
        if kind == GO_TO_TILE:
            continue
        start, spec = draw_task(layout, kind, rng)
        actions, done = bot_actions(layout, start, spec, SIZES[size].horizon_steps)
        assert done, KINDS[kind]
        reached = replay(layout, start, spec, actions)
        assert reached[-1]
        assert not any(reached[:-1])


def test_the_bot_refuses_what_the_planner_can_do() -> None:
    layout = make_layout("room", 0)
    assert not bot_can_do(tile_spec(1, 1), layout.state)
    with pytest.raises(ValueError, match=r"got go_to_tile .* Use the planner"):
        bot_actions(layout, layout.state, tile_spec(1, 1), 10)
    holding = layout.state.copy()
    holding[CARRIED] = key_code(RED)
    spec = next(spec for spec in layout_specs(layout) if spec[0] == PICK_UP)
    with pytest.raises(ValueError, match="Use the planner"):
        bot_actions(layout, holding, spec, 10)
    actions = plan(holding, spec, layout.shape, 64)
    assert actions is not None
    assert actions.count(DROP) == 1


def test_a_bot_that_runs_out_of_steps_says_so() -> None:
    layout = make_layout("synth", 0)
    start, spec = draw_task(layout, PUT_NEXT, np.random.default_rng(0))
    actions, done = bot_actions(layout, start, spec, 3)
    assert len(actions) == 3
    assert not done


def shortest_steps(layout: Layout, start: np.ndarray, spec: Spec) -> int:
    """Steps to the goal by breadth-first search over full states; only doors are changed."""
    states, seen, steps = start[None], {start.tobytes()}, 0
    while True:
        steps += 1
        ahead = front_cells(states, layout.shape)
        children = []
        for action in (LEFT, RIGHT, FORWARD, TOGGLE, PICKUP):
            rows = np.ones(len(states), bool)
            if action == TOGGLE:
                rows = DOOR_STATE_OF[ahead] == CLOSED
            before, acted = states[rows], np.full(rows.sum(), action)
            after = step(before, acted, layout.shape)
            specs = specs_array([spec] * len(before))
            if success(specs, before, acted, after, layout.shape).any():
                return steps
            children += [] if action == PICKUP else list(after)
        fresh = [child for child in children if child.tobytes() not in seen]
        unique = {child.tobytes(): child for child in fresh}
        seen |= set(unique)
        states = np.array(list(unique.values()))


@pytest.mark.parametrize("size", ["room", "trio_a", "trio_b", "trio_c", "rooms_2x2"])
def test_a_plan_that_moves_nothing_is_a_shortest_one(size: str) -> None:
    rng = np.random.default_rng(2)
    compared = 0
    for seed in range(20, 26):
        layout = make_layout(size, seed)
        for kind in set(kinds_of(layout)) - {PUT_NEXT}:
            start, spec = draw_task(layout, kind, rng)
            actions = plan(start, spec, layout.shape, 500)
            assert actions is not None
            if PICKUP not in actions[:-1]:
                assert len(actions) == shortest_steps(layout, start, spec), (seed, spec)
                compared += 1
    assert compared >= 6


def test_every_start_of_the_trio_is_solved_within_its_horizon() -> None:
    for size in ("trio_a", "trio_b", "trio_c"):
        layout = make_layout(size, 11)
        spec = layout_specs(layout)[0]
        lengths = [
            len(plan(start, spec, layout.shape, 500) or [])
            for start in layout.starts(layout.start_poses)
        ]
        assert min(lengths) > 0
        assert max(lengths) <= SIZES[size].horizon_steps


def furnished(things: dict[tuple[int, int], int]) -> tuple[Layout, np.ndarray]:
    """A room with only those things, the agent at the top left facing right (1, D)."""
    layout = make_layout("room", 0)
    start = layout.starts(np.array([[1, 1, 0]]))
    cells = layout.shape.cells(start[0])
    cells[cells != WALL] = EMPTY
    for (x, y), code in things.items():
        cells[y, x] = code
    return layout, start


def test_a_put_next_plan_fetches_then_brings() -> None:
    layout, start = furnished({(3, 1): ball_code(RED), (6, 1): key_code(BLUE)})
    # One step to the ball, take it, two steps on, and drop it in front of the key: the agent then
    # stands at x = 4, the ball lies at 5 and the key at 6.
    actions = plan(start[0], (PUT_NEXT, BALL, ANY, KEY, BLUE), layout.shape, 64)
    assert actions == [FORWARD, PICKUP, FORWARD, FORWARD, DROP]
    holding = start[0].copy()
    holding[CARRIED] = key_code(GREEN)
    longer = plan(holding, (PUT_NEXT, BALL, ANY, KEY, BLUE), layout.shape, 64)
    assert longer is not None
    assert longer.count(DROP) == 2  # the green key first


def test_a_thing_without_a_free_cell_beside_it_is_freed_first() -> None:
    things = {(6, 6): key_code(BLUE), (5, 6): box_code(RED), (6, 5): box_code(GREEN)}
    layout, start = furnished({**things, (3, 1): ball_code(RED)})
    spec = (PUT_NEXT, BALL, RED, KEY, BLUE)
    actions = plan(start[0], spec, layout.shape, 64)
    assert actions is not None
    assert [action for action in actions if action in (PICKUP, DROP)] == [PICKUP, DROP] * 2
    assert replay(layout, start[0], spec, actions)[-1]


def test_a_door_that_is_open_is_closed_and_opened_again() -> None:
    layout = make_layout("trio_b", 0)
    spec = layout_specs(layout)[0]
    first = plan(layout.state, spec, layout.shape, 20)
    assert first is not None
    state = layout.state[None]
    for action in first:
        state = step(state, np.array([action]), layout.shape)
    assert plan(state[0], spec, layout.shape, 20) == [TOGGLE, TOGGLE]


def test_a_goal_that_cannot_be_reached_has_no_plan() -> None:
    layout, empty = furnished({})
    for spec in ((GO_TO, BOX, ANY, -1, -1), (PUT_NEXT, BALL, RED, KEY, ANY)):
        assert plan(empty[0], spec, layout.shape, 64) is None
