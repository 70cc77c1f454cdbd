"""Grid states as numbers for networks without words: planes of the whole grid, and the hands."""

import numpy as np

from envs.babyai.cells import COLOR_OF, COLORS, DOOR_STATE_OF, DOOR_STATES, TYPE_OF, TYPES
from envs.babyai.states import CARRIED, DIRECTION, DIRECTIONS, GridShape, X, Y

_KINDS = np.array([kind for name, kind in TYPES.items() if name != "empty"])


def _features() -> np.ndarray:
    """Type, colour and door state of each cell code, each one-hot (NUM_CODES, F) uint8."""
    parts = (
        TYPE_OF[:, None] == _KINDS,
        COLOR_OF[:, None] == np.arange(len(COLORS)),
        DOOR_STATE_OF[:, None] == np.arange(len(DOOR_STATES)),
    )
    return np.concatenate(parts, axis=1).astype(np.uint8)


_FEATURES_OF = _features()
HANDS_DIM = int(_FEATURES_OF.shape[1])
NUM_PLANES = HANDS_DIM + len(DIRECTIONS)


def grid_planes(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """What lies where, and where the agent stands and looks (N, NUM_PLANES, H, W) uint8."""
    planes = np.zeros((len(states), NUM_PLANES, shape.height, shape.width), np.uint8)
    planes[:, :HANDS_DIM] = _FEATURES_OF[shape.cells(states)].transpose(0, 3, 1, 2)
    facing = HANDS_DIM + states[:, DIRECTION].astype(np.intp)
    planes[np.arange(len(states)), facing, states[:, Y], states[:, X]] = 1
    return planes


def carried_features(states: np.ndarray) -> np.ndarray:
    """What the agents carry (N, HANDS_DIM) uint8, zeros for nothing."""
    return np.asarray(_FEATURES_OF[states[:, CARRIED]])


def grid_vectors(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Planes and hands in one row (N, V) uint8."""
    planes = grid_planes(states, shape).reshape(len(states), -1)
    return np.concatenate([planes, carried_features(states)], axis=1)


def vector_dim(shape: GridShape) -> int:
    """Numbers in a row of `grid_vectors`, V."""
    return NUM_PLANES * shape.num_cells + HANDS_DIM
