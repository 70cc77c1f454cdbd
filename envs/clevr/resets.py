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


def draw_scenes(count: int, rng: np.random.Generator, reset: str = "box") -> np.ndarray:
    """Ball centres (count, 5, 2) float64, drawn one ball after the other as the original does.

    Args:
        reset: a key of `RESET_BOXES`.
    """
    left, right, bottom, top = RESET_BOXES[reset]
    scenes = np.zeros((count, NUM_BALLS, 2))
    placed = np.zeros(count, int)  # balls that already lie in each scene
    tries = np.zeros(count, int)  # rejected draws of the ball that comes next
    while len(pending := np.flatnonzero(placed < NUM_BALLS)):
        draws = rng.uniform((left, bottom), (right, top), (len(pending), 2))
        gaps = np.abs(draws[:, None] - scenes[pending])
        close = np.hypot(gaps[..., 0], gaps[..., 1]) < _GAP
        aligned = ((gaps > 0) & (gaps < _ALIGNED)).any(axis=-1)
        there = np.arange(NUM_BALLS) < placed[pending, None]
        rejected = ((close | aligned) & there).any(axis=1)
        accepted = pending[~rejected]
        scenes[accepted, placed[accepted]] = draws[~rejected]
        placed[accepted] += 1
        tries[accepted] = 0
        tries[pending[rejected]] += 1
        again = pending[tries[pending] >= _TRIES]
        placed[again], tries[again] = 0, 0
    return scenes
