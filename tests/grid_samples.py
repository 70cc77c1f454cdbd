"""Small hand-made grids and random play in them, for tests of what acts in grids."""

import numpy as np

from envs.babyai.cells import EMPTY, WALL
from envs.babyai.layouts import make_layout
from envs.babyai.simulator import NUM_ACTIONS, step, valid_actions
from envs.babyai.states import GridShape

Pose = tuple[int, int, int]  # x, y and direction: 0 right, 1 down, 2 left, 3 up


def grid_state(
    rows: list[list[int]], pose: Pose, carried: int = EMPTY
) -> tuple[np.ndarray, GridShape]:
    """A state (1, D) uint8 with these inner cells in walls, and its shape; (1, 1) is top left."""
    width = len(rows[0]) + 2
    cells = [[WALL] * width, *([WALL, *row, WALL] for row in rows), [WALL] * width]
    flat = [code for row in cells for code in row]
    return np.array([[*flat, *pose, carried]], np.uint8), GridShape(width, len(cells))


def random_steps(
    size: str, layout_seeds: range, steps: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, GridShape]:
    """States, actions, next states and shape of random play, eight episodes a layout.

    Two thirds of the actions are drawn from those that change something, so that things happen.
    """
    rng = np.random.default_rng(seed)
    layouts = [make_layout(size, number) for number in layout_seeds]
    states = np.concatenate([layout.draw_starts(8, rng) for layout in layouts])
    before, acted, after = [], [], []
    for _ in range(steps):
        weights = valid_actions(states, layouts[0].shape) + 1 / NUM_ACTIONS
        chances = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
        actions = (chances < rng.random((len(states), 1))).sum(axis=1)
        following = step(states, actions, layouts[0].shape)
        before.append(states)
        acted.append(actions)
        after.append(following)
        states = following
    return np.concatenate(before), np.concatenate(acted), np.concatenate(after), layouts[0].shape
