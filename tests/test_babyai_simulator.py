"""BabyAI's compact states and simulator, against the package that defines the rules."""

import time

import numpy as np
import pytest
from minigrid.core.world_object import Box, Goal, Key

from envs.babyai.cells import (
    CAN_CARRY,
    CLOSED,
    EMPTY,
    LOCKED,
    NUM_CODES,
    OPEN,
    TYPE_OF,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
)
from envs.babyai.layouts import SIZES, Layout, make_layout, minigrid_env
from envs.babyai.simulator import (
    ACTION_NAMES,
    DROP,
    FORWARD,
    LEFT,
    PICKUP,
    TOGGLE,
    step,
    valid_actions,
)
from envs.babyai.states import CARRIED, GridShape, X, Y, encode, front_index, restore

RED, GREEN, BLUE = range(3)
SMALL = GridShape(4, 3)  # two free cells in a row
PLAYS = [(size, 0, False) for size in SIZES] + [("synth", 1, True), ("rooms_2x2", 2, True)]


def small_state(ahead: int, carried: int = EMPTY) -> np.ndarray:
    """The agent stands in the left of two cells, facing what lies in the right one (1, D)."""
    cells = [WALL] * 4 + [WALL, EMPTY, ahead, WALL] + [WALL] * 4
    return np.array([[*cells, 1, 1, 0, carried]], np.uint8)


def after(ahead: int, carried: int, action: int) -> tuple[int, int, int]:
    """What lies ahead, what is carried, and the agent's column after one action."""
    state = step(small_state(ahead, carried), np.array([action]), SMALL)[0]
    return int(state[6]), int(state[CARRIED]), int(state[X])


def test_every_cell_code_means_one_thing() -> None:
    doors = [door_code(color, state) for color in range(6) for state in (OPEN, CLOSED, LOCKED)]
    things = [make(color) for make in (key_code, ball_code, box_code) for color in range(6)]
    inside = [make(color) for make in (key_code, ball_code) for color in range(6)]
    full = [box_code(color, content) for color in range(6) for content in inside]
    assert sorted([EMPTY, WALL, *doors, *things, *full]) == list(range(NUM_CODES))


def test_a_box_in_a_box_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a key, a ball or nothing in a box"):
        box_code(RED, box_code(BLUE))


def test_hand_worked_steps_follow_the_rules() -> None:
    red_key, blue_ball = key_code(RED), ball_code(BLUE)
    closed, opened = door_code(RED, CLOSED), door_code(RED, OPEN)
    locked, full_box = door_code(RED, LOCKED), box_code(GREEN, red_key)
    assert after(EMPTY, EMPTY, FORWARD) == (EMPTY, EMPTY, 2)
    assert after(opened, red_key, FORWARD) == (opened, red_key, 2)
    assert after(closed, EMPTY, FORWARD) == (closed, EMPTY, 1)
    assert after(blue_ball, EMPTY, FORWARD) == (blue_ball, EMPTY, 1)
    assert after(blue_ball, EMPTY, PICKUP) == (EMPTY, blue_ball, 1)
    assert after(blue_ball, red_key, PICKUP) == (blue_ball, red_key, 1)  # one thing at a time
    assert after(closed, EMPTY, PICKUP) == (closed, EMPTY, 1)
    assert after(EMPTY, full_box, DROP) == (full_box, EMPTY, 1)  # a carried box keeps its content
    assert after(opened, red_key, DROP) == (opened, red_key, 1)  # a doorway is no empty cell
    assert after(closed, EMPTY, TOGGLE) == (opened, EMPTY, 1)
    assert after(opened, EMPTY, TOGGLE) == (closed, EMPTY, 1)
    assert after(locked, key_code(BLUE), TOGGLE) == (locked, key_code(BLUE), 1)
    assert after(locked, red_key, TOGGLE) == (opened, red_key, 1)  # the key stays in the hand
    assert after(full_box, EMPTY, TOGGLE) == (red_key, EMPTY, 1)
    assert after(box_code(GREEN), blue_ball, TOGGLE) == (EMPTY, blue_ball, 1)


def test_turning_left_four_times_leads_back() -> None:
    state = small_state(EMPTY)
    directions = []
    for _ in range(4):
        state = step(state, np.array([LEFT]), SMALL)
        directions.append(int(state[0, -2]))
    assert directions == [3, 2, 1, 0]  # up, left, down, right


def test_an_unknown_action_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Expected actions in 0\.\.6, got 7\.\.7\. They are left"):
        step(small_state(EMPTY), np.array([7]), SMALL)


def test_one_action_for_two_states_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected one action for each of 2 states"):
        step(np.tile(small_state(EMPTY), (2, 1)), np.array([0]), SMALL)


def with_filled_boxes(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """The layout's state; half of its boxes hold a key or a ball."""
    state = layout.state.copy()
    for place in np.flatnonzero(TYPE_OF[state[: layout.shape.num_cells]] == 7):
        color = (int(state[place]) - box_code(RED)) // 13
        if rng.random() < 0.5:
            make = (key_code, ball_code)[int(rng.integers(2))]
            state[place] = box_code(color, make(int(rng.integers(6))))
    return state


def eager_action(state: np.ndarray, shape: GridShape, rng: np.random.Generator) -> int:
    """Any action, but mostly one that changes something, walking more than turning."""
    valid = valid_actions(state[None], shape)[0]
    weights = np.where(valid, [1.0, 1, 4, 3, 1, 2, 0], 0.1)
    return int(rng.choice(7, p=weights / weights.sum()))


@pytest.mark.parametrize(("size", "seed", "locked"), PLAYS)
def test_long_random_play_equals_minigrids_own_step(size: str, seed: int, locked: bool) -> None:
    rng = np.random.default_rng(seed)
    layout = make_layout(size, seed, locked)
    state = with_filled_boxes(layout, rng)
    env = minigrid_env(layout, state)
    np.testing.assert_array_equal(encode(env), state)
    num_steps = 600_000 // max(layout.shape.num_cells, 200)
    used = np.zeros(7, int)
    for _ in range(num_steps):
        action = eager_action(state, layout.shape, rng)
        valid = valid_actions(state[None], layout.shape)[0]
        env.step(action)
        following = step(state[None], np.array([action]), layout.shape)[0]
        np.testing.assert_array_equal(following, encode(env), ACTION_NAMES[action])
        assert valid[action] == (following != state).any()
        used[action] += valid[action]
        state = following
    assert (used[:3] > 0).all()
    assert SIZES[size].things[0] == 0 or (used[3:5] > 0).all() or size.startswith("trio")


def test_every_pair_of_cell_ahead_and_hands_equals_minigrids_own_step() -> None:
    layout = make_layout("room", 0)
    shape, hands = layout.shape, [EMPTY, key_code(RED), box_code(RED, ball_code(BLUE))]
    start = layout.starts(np.array([[3, 3, 0]]))
    start[0, : shape.num_cells] = EMPTY
    env = minigrid_env(layout, start[0])
    front = int(front_index(start, shape)[0])
    for ahead in range(NUM_CODES):
        for carried in hands:
            state = start.copy()
            state[0, front], state[0, CARRIED] = ahead, carried
            for action in range(2, 7):
                restore(env, state[0])
                env.step(action)
                following = step(state, np.array([action]), shape)[0]
                assert following.tolist() == encode(env).tolist(), (ahead, carried, action)


def test_valid_actions_are_those_that_change_the_state() -> None:
    rng = np.random.default_rng(0)
    for size, locked in (("room", False), ("rooms_2x2", True), ("trio_c", False)):
        layout = make_layout(size, 3, locked)
        states = layout.draw_starts(64, rng)
        for _ in range(60):
            valid = valid_actions(states, layout.shape)
            for action in range(7):
                following = step(states, np.full(64, action), layout.shape)
                changed = (following != states).any(1)
                np.testing.assert_array_equal(valid[:, action], changed)
            states = step(states, rng.integers(0, 6, 64), layout.shape)


def test_a_batch_steps_as_its_rows_do() -> None:
    rng = np.random.default_rng(1)
    layout = make_layout("synth", 0)
    states, actions = layout.draw_starts(32, rng), rng.integers(0, 7, 32)
    together = step(states, actions, layout.shape)
    for row in range(32):
        alone = step(states[row : row + 1], actions[row : row + 1], layout.shape)
        np.testing.assert_array_equal(together[row], alone[0])


def test_a_grid_with_a_goal_tile_is_refused_by_name() -> None:
    env = minigrid_env(make_layout("room", 0), make_layout("room", 0).state)
    env.grid.set(1, 1, Goal())
    with pytest.raises(ValueError, match="got a `goal`"):
        encode(env)


def test_what_a_box_holds_is_part_of_the_state() -> None:
    env = minigrid_env(make_layout("room", 0), make_layout("room", 0).state)
    env.carrying = Box("green", Key("red"))
    assert encode(env)[CARRIED] == box_code(GREEN, key_code(RED))
    assert CAN_CARRY[box_code(GREEN, key_code(RED))]


def test_a_hundred_thousand_steps_a_second_are_reached() -> None:
    layout = make_layout("room", 0)
    rng = np.random.default_rng(0)
    states, actions = layout.draw_starts(256, rng), rng.integers(0, 7, (100, 256))
    seconds = []
    for _ in range(3):  # the fastest of three: other processes share the machine
        began = time.perf_counter()
        for row in actions:
            states = step(states, row, layout.shape)
        seconds.append(time.perf_counter() - began)
    assert actions.size / min(seconds) > 100_000
    assert states[:, Y].max() < layout.shape.height
