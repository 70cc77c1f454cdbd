"""Grids as planes and hands: every thing in its place, and nothing lost."""

import numpy as np

from envs.babyai.cells import CLOSED, EMPTY, ball_code, door_code, key_code
from offline_rl.grid_vectors import HANDS_DIM, NUM_PLANES, grid_planes, grid_vectors, vector_dim
from tests.grid_samples import grid_state, random_steps

# Planes: wall, door, key, ball, box; six colours; open, closed, locked; right, down, left, up.
DOOR_PLANE, BALL_PLANE, BLUE_PLANE, CLOSED_PLANE, DOWN_PLANE = 1, 3, 5 + 2, 11 + 1, 14 + 1


def test_planes_of_a_small_grid() -> None:
    state, shape = grid_state([[EMPTY, ball_code(2), door_code(0, CLOSED)]], (1, 1, 1), key_code(5))
    planes = grid_planes(state, shape)[0]
    assert planes.shape == (NUM_PLANES, 3, 5)
    assert planes[0].sum() == 12  # the walls around three cells
    for plane, place in (
        (BALL_PLANE, (1, 2)),
        (DOOR_PLANE, (1, 3)),
        (CLOSED_PLANE, (1, 3)),
        (DOWN_PLANE, (1, 1)),
    ):
        assert list(zip(*np.nonzero(planes[plane]), strict=True)) == [place]
    assert planes[BLUE_PLANE, 1, 2] == 1
    hands = grid_vectors(state, shape)[0, -HANDS_DIM:]
    assert np.flatnonzero(hands).tolist() == [2, 5 + 5]  # a key, grey


def test_different_states_have_different_vectors() -> None:
    states, _, _, shape = random_steps("rooms_2x2", range(2), 40)
    states = np.unique(states, axis=0)
    vectors = grid_vectors(states, shape)
    assert vectors.shape[1] == vector_dim(shape)
    assert len(np.unique(vectors, axis=0)) == len(states)
