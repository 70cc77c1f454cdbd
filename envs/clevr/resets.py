"""Where the balls lie when an episode starts.

One thing to know: the original's box reaches beyond the walls, so 31 % of the balls start inside
one and are shot out by the first step. That is kept as the default; "inside_walls" avoids it.
"""

import numpy as np

from envs.clevr.compiled import compiled
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


def _draw_scene(rng: np.random.Generator, box: tuple[float, float, float, float]) -> np.ndarray:
    """Five centres (5, 2), after some thirty draws of two numbers."""
    placed, progress = np.empty((NUM_BALLS, 2)), np.zeros(2, np.int64)
    while progress[0] < NUM_BALLS:
        _place(rng.random((_BLOCK, 2)), box, placed, progress)
    return placed


@compiled
def _place(
    draws: np.ndarray,
    box: tuple[float, float, float, float],
    placed: np.ndarray,
    progress: np.ndarray,
) -> None:
    """Goes on placing balls with `draws` (N, 2) until all five lie there.

    Args:
        progress: (2,) how many lie in `placed` (5, 2), and tries of the next one so far.
    """
    left, right, bottom, top = box
    for draw in range(len(draws)):
        x = left + (right - left) * draws[draw, 0]
        y = bottom + (top - bottom) * draws[draw, 1]
        if _fits(x, y, placed[: progress[0]]):
            placed[progress[0], 0], placed[progress[0], 1] = x, y
            progress[0], progress[1] = progress[0] + 1, 0
            if progress[0] == NUM_BALLS:
                return
        else:
            progress[1] += 1
            if progress[1] == _TRIES:
                progress[0], progress[1] = 0, 0


@compiled
def _fits(x: float, y: float, placed: np.ndarray) -> bool:
    """Whether a ball can lie there at reset, beside those that lie already."""
    for other in range(len(placed)):
        dx, dy = abs(x - placed[other, 0]), abs(y - placed[other, 1])
        if 0 < dx < _ALIGNED or 0 < dy < _ALIGNED or dx * dx + dy * dy < _GAP * _GAP:
            return False
    return True
