"""Whether a step reached its goal: worked by hand, and against `minigrid`'s own verifiers."""

from itertools import chain

import numpy as np
import pytest
from minigrid.minigrid_env import MiniGridEnv

from envs.babyai.bot import bot_actions, instruction
from envs.babyai.cells import (
    BALL,
    BOX,
    CLOSED,
    DOOR,
    EMPTY,
    KEY,
    LOCKED,
    OPEN,
    TYPE_OF,
    WALL,
    ball_code,
    box_code,
    door_code,
    key_code,
)
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    Spec,
    layout_specs,
    specs_array,
    tile_spec,
)
from envs.babyai.layouts import Layout, make_layout, minigrid_env
from envs.babyai.simulator import DONE, DROP, FORWARD, PICKUP, RIGHT, TOGGLE, step, valid_actions
from envs.babyai.states import GridShape, encode, front_cells
from envs.babyai.verifiers import already, success

RED, GREEN, BLUE = range(3)
SHAPE = GridShape(5, 4)  # three by two free cells


def reached(cells: list[int], spec: Spec, action: int, carried: int = EMPTY) -> bool:
    """Whether one action reaches the goal; the agent stands top left and faces right.

    Args:
        cells: the other five free cells: right, far right, then the lower row.
    """
    right, far, *low = cells
    rows = [[WALL] * 5, [WALL, EMPTY, right, far, WALL], [WALL, *low, WALL], [WALL] * 5]
    before = np.array([[*chain(*rows), 1, 1, 0, carried]], np.uint8)
    after = step(before, np.array([action]), SHAPE)
    return bool(success(specs_array([spec]), before, np.array([action]), after, SHAPE)[0])


NOTHING = [EMPTY] * 5


def test_going_to_a_thing_means_having_it_ahead_afterwards() -> None:
    go_to_key = (GO_TO, KEY, RED, -1, -1)
    key, ball = key_code(RED), ball_code(RED)
    assert reached([EMPTY, key, EMPTY, EMPTY, EMPTY], go_to_key, FORWARD)
    assert not reached([EMPTY, ball, EMPTY, EMPTY, EMPTY], go_to_key, FORWARD)
    assert not reached([EMPTY, key_code(BLUE), EMPTY, EMPTY, EMPTY], go_to_key, FORWARD)
    assert reached([EMPTY, key_code(BLUE), *NOTHING[2:]], (GO_TO, KEY, ANY, -1, -1), FORWARD)
    assert reached([EMPTY, EMPTY, key, EMPTY, EMPTY], go_to_key, RIGHT)  # turning to it suffices
    assert not reached([key, EMPTY, EMPTY, EMPTY, EMPTY], go_to_key, RIGHT)  # turned away from it
    assert not reached([key, EMPTY, EMPTY, EMPTY, EMPTY], go_to_key, PICKUP)  # it is not ahead now


def test_picking_up_needs_the_action_and_empty_hands() -> None:
    pick_up = (PICK_UP, BALL, BLUE, -1, -1)
    ball = ball_code(BLUE)
    assert reached([ball, *NOTHING[1:]], pick_up, PICKUP)
    assert not reached([ball, *NOTHING[1:]], pick_up, PICKUP, carried=key_code(RED))
    assert not reached([ball, *NOTHING[1:]], pick_up, PICKUP, carried=ball)
    assert not reached([box_code(BLUE), *NOTHING[1:]], pick_up, PICKUP)
    assert not reached(NOTHING, pick_up, DONE, carried=ball)  # carrying it is not picking it up


def test_opening_needs_the_toggle_and_an_open_door_afterwards() -> None:
    open_red = (OPEN_DOOR, DOOR, RED, -1, -1)
    rest = NOTHING[1:]
    assert reached([door_code(RED, CLOSED), *rest], open_red, TOGGLE)
    assert not reached([door_code(RED, OPEN), *rest], open_red, TOGGLE)  # that closes it
    assert not reached([door_code(RED, OPEN), *rest], open_red, DONE)
    assert not reached([door_code(BLUE, CLOSED), *rest], open_red, TOGGLE)
    assert not reached([door_code(RED, LOCKED), *rest], open_red, TOGGLE)
    assert reached([door_code(RED, LOCKED), *rest], open_red, TOGGLE, carried=key_code(RED))


def test_putting_next_needs_a_drop_beside_the_fixed_thing() -> None:
    spec = (PUT_NEXT, BALL, BLUE, KEY, RED)
    ball, key = ball_code(BLUE), key_code(RED)
    assert reached([EMPTY, key, EMPTY, EMPTY, EMPTY], spec, DROP, carried=ball)  # on its far side
    assert reached([EMPTY, EMPTY, EMPTY, key, EMPTY], spec, DROP, carried=ball)  # below it
    assert not reached([EMPTY, EMPTY, EMPTY, EMPTY, key], spec, DROP, carried=ball)  # diagonal
    assert not reached([EMPTY, EMPTY, key, EMPTY, EMPTY], spec, DROP, carried=ball)  # beside agent
    assert not reached([EMPTY, key, *NOTHING[2:]], spec, DROP, carried=ball_code(RED))
    assert not reached([EMPTY, key_code(BLUE), *NOTHING[2:]], spec, DROP, carried=ball)
    assert not reached([ball, key, *NOTHING[2:]], spec, DROP)  # nothing was dropped
    assert not reached([ball, key, *NOTHING[2:]], spec, DROP, carried=ball)  # the drop is refused
    # A thing does not lie beside itself: a ball put next to a ball needs another one.
    two_balls = (PUT_NEXT, BALL, BLUE, BALL, RED)
    assert not reached(NOTHING, two_balls, DROP, carried=ball)


def test_a_tile_is_reached_by_standing_on_it() -> None:
    assert reached(NOTHING, tile_spec(2, 1), FORWARD)
    assert not reached([ball_code(RED), *NOTHING[1:]], tile_spec(2, 1), FORWARD)
    assert not reached(NOTHING, tile_spec(1, 2), FORWARD)  # x comes before y


def test_only_places_can_be_reached_at_the_start() -> None:
    state = np.array(
        [[*[WALL] * 5, WALL, EMPTY, key_code(RED), EMPTY, WALL, *[WALL] * 10, 1, 1, 0, 0]]
    )
    specs = [
        (GO_TO, KEY, ANY, -1, -1),
        tile_spec(1, 1),
        (PICK_UP, KEY, ANY, -1, -1),
        tile_spec(2, 1),
    ]
    states = np.tile(state.astype(np.uint8), (4, 1))
    assert already(specs_array(specs), states, SHAPE).tolist() == [True, True, False, False]


def play(
    layout: Layout, start: np.ndarray, specs: list[Spec], actions: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Successes (T, G) bool of all goals by `minigrid` and by us."""
    env = minigrid_env(layout, start)
    instructions = [instruction(spec) for spec in specs]
    for task in instructions:
        task.reset_verifier(env)
    native, ours, before = [], [], start
    for action in actions:
        MiniGridEnv.step(env, action)
        if action == DROP:
            for task in instructions:
                task.update_objs_poss()
        native.append([task.verify(action) == "success" for task in instructions])
        after = encode(env)
        batch = [np.tile(state, (len(specs), 1)) for state in (before, after)]
        acted = np.full(len(specs), action)
        ours.append(success(specs_array(specs), batch[0], acted, batch[1], layout.shape))
        before = after
    return np.array(native), np.array(ours)


def assert_equal_until_first_visits(specs: list[Spec], native: np.ndarray, ours: np.ndarray) -> int:
    """`minigrid` takes the place where a thing was for the thing, so `go_to` counts once."""
    for column, spec in enumerate(specs):
        both = native[:, column] | ours[:, column]
        length = len(both)
        if spec[0] == GO_TO and both.any():
            length = int(both.argmax()) + 1
        np.testing.assert_array_equal(native[:length, column], ours[:length, column], str(spec))
    return int(native.any(0).sum())


def random_actions(layout: Layout, state: np.ndarray, count: int, seed: int) -> list[int]:
    """Eager random play that leaves boxes whole: `minigrid` remembers destroyed ones."""
    rng = np.random.default_rng(seed)
    actions = []
    for _ in range(count):
        valid = valid_actions(state[None], layout.shape)[0]
        if TYPE_OF[front_cells(state[None], layout.shape)[0]] == BOX:
            valid[TOGGLE] = False
        weights = valid * [1.0, 1, 4, 3, 1, 3, 0]
        actions.append(int(rng.choice(7, p=weights / weights.sum())))
        state = step(state[None], np.array(actions[-1:]), layout.shape)[0]
    return actions


@pytest.mark.parametrize(
    ("size", "seed", "locked"),
    [("room", 0, False), ("room", 1, False), ("rooms_2x2", 0, True), ("trio_c", 1, False)],
)
def test_random_play_is_judged_as_minigrid_judges_it(size: str, seed: int, locked: bool) -> None:
    layout = make_layout(size, seed, locked)
    specs = [spec for spec in layout_specs(layout) if spec[0] != GO_TO_TILE]
    start = layout.draw_starts(1, np.random.default_rng(seed))[0]
    actions = random_actions(layout, start, 600, seed)
    assert assert_equal_until_first_visits(specs, *play(layout, start, specs, actions)) > 0


def test_bot_play_is_judged_as_minigrid_judges_it() -> None:
    rng = np.random.default_rng(0)
    layout = make_layout("synth", 0)
    specs = [spec for spec in layout_specs(layout) if spec[0] != GO_TO_TILE]
    for kind in (GO_TO, PICK_UP, OPEN_DOOR, PUT_NEXT):
        candidates = [spec for spec in specs if spec[0] == kind]
        goal = candidates[int(rng.integers(len(candidates)))]
        start = layout.draw_starts(1, rng)[0]
        actions, done = bot_actions(layout, start, goal, 500)
        assert done
        native, ours = play(layout, start, specs, actions)
        assert ours[-1, specs.index(goal)]
        assert_equal_until_first_visits(specs, native, ours)
