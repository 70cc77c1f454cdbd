"""The 80 statements about a table: for each ordered pair of balls, four sides, true or false.

Two conventions are in use and they call opposite sides front and behind: a ball at larger y is
"front" in the original environment and "behind" in KALM. So every function here takes the
convention by name, and each convention has its own order of directions.

Source: the original environment's question answering for "google" and "google_polar"; KALM's
and ImagineBench's ball tasks for "kalm".
"""

import numpy as np

from envs.clevr.predicates import BALL_NAMES, NUM_BALLS, centres, mark_relations

_GOOGLE = (("left", (-1, 0)), ("right", (1, 0)), ("front", (0, 1)), ("behind", (0, -1)))
_KALM = (("behind", (0, 1)), ("left", (-1, 0)), ("front", (0, -1)), ("right", (1, 0)))
CONVENTIONS = {"google": _GOOGLE, "google_polar": _GOOGLE, "kalm": _KALM}
CONE_COSINE = 0.6  # google: larger cosines count, so neighbouring sides overlap
CONE_REACH = 0.7  # google: smaller distances count
POLAR_COSINE = 0.71  # google_polar: larger cosines count, and the reach shrinks off the axis
NUM_RELATIONS = 80
_FIRST, _SECOND = (axis[~np.eye(NUM_BALLS, dtype=bool)] for axis in np.indices((5, 5)))


def direction_names(convention: str) -> tuple[str, ...]:
    """The four directions of a convention, in its order.

    Raises:
        ValueError: unknown convention.
    """
    return tuple(name for name, _ in _directions(convention))


def statements(convention: str) -> list[tuple[str, str, str]]:
    """The 80 statements (ball, direction, reference ball), direction first, then both balls."""
    return [
        (BALL_NAMES[first], direction, BALL_NAMES[second])
        for direction in direction_names(convention)
        for first, second in zip(_FIRST, _SECOND, strict=True)
    ]


def relations(states: np.ndarray, convention: str) -> np.ndarray:
    """Which of the 80 statements hold (B, 80) bool, in the order of `statements`.

    Args:
        states: (B, 10) ball centres.
        convention: a key of `CONVENTIONS`.
    """
    directions = _directions(convention)
    balls = centres(states)
    if convention == "kalm":
        held = np.zeros((len(balls), len(_KALM), NUM_BALLS * (NUM_BALLS - 1)), bool)
        mark_relations(np.ascontiguousarray(balls), held)
        return held.reshape(len(balls), NUM_RELATIONS)
    differences = balls[:, _FIRST] - balls[:, _SECOND]  # (B, 20, 2)
    distances = np.sqrt((differences**2).sum(axis=-1))
    vectors = np.array([vector for _, vector in directions], np.float64)
    cosines = np.einsum("bpc,dc->bdp", differences, vectors)
    cosines /= np.maximum(distances, 1e-12)[:, None]
    if convention == "google":
        hold = (cosines > CONE_COSINE) & (distances < CONE_REACH)[:, None]
    else:
        reach = CONE_REACH * np.sqrt(np.maximum(2 * cosines**2 - 1, 0.0))
        hold = (cosines > POLAR_COSINE) & (distances[:, None] < reach)
    return np.asarray(hold).reshape(len(balls), NUM_RELATIONS)


def _directions(convention: str) -> tuple[tuple[str, tuple[int, int]], ...]:
    if convention not in CONVENTIONS:
        raise ValueError(
            f"Unknown convention `{convention}`. Choose one of {', '.join(CONVENTIONS)}."
        )
    return CONVENTIONS[convention]


def order_invariant(states: np.ndarray) -> np.ndarray:
    """One row per ball (B, 5, 12) float32 that names its own kind, whatever its place in the list.

    The twelve numbers are x, y, and one-hots of size (small, medium, large), colour (five),
    material (rubber) and shape (sphere); in the fixed scene all balls are large.

    Args:
        states: (B, 10) ball centres.
    """
    balls = centres(states)
    size = np.tile((0.0, 0.0, 1.0), (NUM_BALLS, 1))
    kinds = np.concatenate([size, np.eye(NUM_BALLS), np.ones((NUM_BALLS, 2))], axis=1)
    repeated = np.broadcast_to(kinds, (len(balls), *kinds.shape))
    return np.concatenate([balls, repeated], axis=-1, dtype=np.float32)
