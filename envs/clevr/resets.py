"""Where the balls lie when an episode starts.

One thing to know: the original's box reaches beyond the walls, so 31 % of the balls start inside
one and are shot out by the first step. That is kept as the default; "inside_walls" avoids it.
"""

import numpy as np

from envs.clevr.predicates import NUM_BALLS

RESET_BOXES = {  # left, right, bottom, top of the box of centres
    "box": (-0.5, 0.5, -0.3, 0.5),
    "inside_walls": (-0.47, 0.47, -0.17, 0.57),
}
RESTING = RESET_BOXES["inside_walls"]  # where centres can rest without touching a wall
_GAP = 0.36  # smallest distance of two centres
_ALIGNED = 0.01  # coordinates of two centres differ by at least this, or not at all
_TRIES = 10  # rejected draws of one ball before the whole scene starts again
_BLOCK = 32  # draws taken from the random stream at once


def draw_scenes(count: int, rng: np.random.Generator, reset: str = "box") -> np.ndarray:
    """Ball centres (count, 5, 2) float64, drawn one ball after the other as the original does.

    Args:
        reset: a key of `RESET_BOXES`.
    """
    scenes = [_draw_scene(rng, RESET_BOXES[reset]) for _ in range(count)]
    return np.array(scenes, np.float64).reshape(count, NUM_BALLS, 2)


def _draw_scene(
    rng: np.random.Generator, box: tuple[float, float, float, float]
) -> list[tuple[float, float]]:
    """Five centres; plain numbers, since a scene takes some thirty draws of two numbers each."""
    left, right, bottom, top = box
    placed: list[tuple[float, float]] = []
    tries = 0
    while True:
        for u, v in rng.random((_BLOCK, 2)).tolist():
            x, y = left + (right - left) * u, bottom + (top - bottom) * v
            if all(_fits(abs(x - other), abs(y - beside)) for other, beside in placed):
                placed.append((x, y))
                tries = 0
                if len(placed) == NUM_BALLS:
                    return placed
            else:
                tries += 1
                if tries == _TRIES:
                    placed, tries = [], 0


def _fits(dx: float, dy: float) -> bool:
    """Whether two centres so far apart along the axes can lie on one table at reset."""
    aligned = 0 < dx < _ALIGNED or 0 < dy < _ALIGNED
    return not aligned and dx * dx + dy * dy >= _GAP * _GAP
