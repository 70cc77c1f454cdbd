"""Where a ball can lie: the nearest place inside the walls that no placed ball takes.

Imagined states are decoded ball by ball; each is put here before the next one is decoded.
"""

import numpy as np

from envs.clevr.resets import RESTING

APART = 0.26  # two radii: smallest distance of two centres
_SLACK = 1e-4  # keeps touching balls apart in spite of rounding
_PUSHES = 4  # ways out along the line of two centres that are tried before the search
_SPACING = 0.02  # of the places that the search looks at, in metres
_LOW, _HIGH = np.array(RESTING[0::2]), np.array(RESTING[1::2])
_PLACES = np.stack(
    np.meshgrid(*(np.arange(low, high, _SPACING) for low, high in zip(_LOW, _HIGH, strict=True))),
    axis=-1,
).reshape(-1, 2)


def free_places(proposals: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Centres (B, 2) near the proposals, inside the walls and clear of the placed balls.

    A ball is pushed out of its nearest neighbour a few times; where that leads from one neighbour
    into the next, the nearest free place of a grid is taken.

    Args:
        proposals: (B, 2) wanted centres.
        placed: (B, P, 2) centres of the balls already there.
    """
    places = np.clip(np.asarray(proposals, np.float64), _LOW, _HIGH)
    if placed.shape[1] == 0:
        return places
    for _ in range(_PUSHES):
        crowded = np.flatnonzero(_clearance(places, placed) < APART)
        if not len(crowded):
            return places
        places[crowded] = _pushed_out(places[crowded], placed[crowded])
    crowded = np.flatnonzero(_clearance(places, placed) < APART)
    for row in crowded:
        gaps = _PLACES[:, None] - placed[row]
        free = _PLACES[np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1) >= APART + _SLACK]
        if len(free):
            away = free - np.asarray(proposals[row], np.float64)
            places[row] = free[np.hypot(away[:, 0], away[:, 1]).argmin()]
    return places


def _clearance(places: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Distance (B,) from each place (B, 2) to the nearest placed ball (B, P, 2)."""
    gaps = places[:, None] - placed
    return np.asarray(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1))


def _pushed_out(places: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Places (B, 2) moved out of the nearest ball along the line of centres, within the walls."""
    gaps = places[:, None] - placed
    distances = np.hypot(gaps[..., 0], gaps[..., 1])
    rows, nearest = np.arange(len(places)), distances.argmin(axis=1)
    distance, gap = distances[rows, nearest, None], gaps[rows, nearest]
    apart = distance > 1e-6
    unit = np.where(apart, gap / np.where(apart, distance, 1.0), (1.0, 0.0))
    moved = placed[rows, nearest] + unit * (APART + _SLACK)
    return np.asarray(np.clip(moved, _LOW, _HIGH))
