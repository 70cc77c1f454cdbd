"""Pictures of the table: drawn flat from above without any GL, or rendered by MuJoCo where it can.

One thing to know: the flat drawing is the default everywhere, so it never fails for want of a
graphics stack, and its pixels are the same on every machine.
"""

import numpy as np

from envs.clevr.model import BALL_COLORS, WALLS, make_model
from envs.clevr.physics import rest_states
from envs.clevr.predicates import BALL_RADIUS, centres

FLAT_BOUNDS = (-0.7, 0.7, -0.5, 0.9)  # left, right, bottom, top of a picture, in world units
_BACKGROUND, _FLOOR, _WALL = (255, 255, 255), (235, 235, 235), (120, 120, 120)
_STROKE = (20, 20, 20)
_EDGE_WIDTH = 0.012  # of the dark rim of a ball and of the walls, in world units
_COLORS = np.array([color.split() for color in BALL_COLORS], np.float64) * 255
_CAMERAS = ("above", "front")


def draw_table(state: np.ndarray, size: int = 300, stroke: np.ndarray | None = None) -> np.ndarray:
    """A picture (size, size, 3) uint8 of the table from above.

    Args:
        state: (10,) ball centres.
        size: width and height in pixels.
        stroke: (4,) x0, y0, x1, y1 of a push to draw as a dark line.
    """
    left, right, _, top = FLAT_BOUNDS
    pixel = (right - left) / size
    x = left + pixel * (np.arange(size) + 0.5)
    y = (top - pixel * (np.arange(size) + 0.5))[:, None]
    picture = np.empty((size, size, 3))
    picture[:] = _BACKGROUND
    wall_left, wall_right, wall_bottom, wall_top = WALLS
    outside = np.maximum(
        np.maximum(wall_left - x, x - wall_right), np.maximum(wall_bottom - y, y - wall_top)
    )
    _paint(picture, outside - _EDGE_WIDTH, _WALL, pixel)
    _paint(picture, outside, _FLOOR, pixel)
    for centre, color in zip(centres(state)[0], _COLORS, strict=True):
        distance = np.hypot(x - centre[0], y - centre[1]) - BALL_RADIUS
        _paint(picture, distance, color * 0.6, pixel)
        _paint(picture, distance + _EDGE_WIDTH, color, pixel)
    if stroke is not None:
        _paint(picture, _distance_to_segment(x, y, stroke) - _EDGE_WIDTH, _STROKE, pixel)
    return np.asarray(np.rint(picture), np.uint8)


def _paint(
    picture: np.ndarray, distance: np.ndarray, color: np.ndarray | tuple[int, ...], pixel: float
) -> None:
    """Covers the pixels at negative `distance` (H, W) with a colour, smoothly at the border."""
    cover = np.clip(0.5 - distance / pixel, 0.0, 1.0)[..., None]
    picture += cover * (np.asarray(color, np.float64) - picture)


def _distance_to_segment(x: np.ndarray, y: np.ndarray, segment: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = (float(number) for number in segment)
    square = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-12)
    along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / square, 0.0, 1.0)
    return np.asarray(np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))


class MujocoPainter:
    """Pictures rendered by MuJoCo; needs EGL, OSMesa or a display.

    Args:
        size: width and height in pixels, at most 480.
        camera: "above" or "front".

    Raises:
        ValueError: unknown camera.
        RuntimeError: MuJoCo finds no way to render on this machine.
    """

    def __init__(self, size: int = 300, camera: str = "above") -> None:
        import mujoco

        if camera not in _CAMERAS:
            raise ValueError(f"Unknown camera `{camera}`. Choose one of {', '.join(_CAMERAS)}.")
        self._model, self._camera = make_model(), camera
        self._data = mujoco.MjData(self._model)
        try:
            self._renderer = mujoco.Renderer(self._model, size, size)
        except Exception as error:  # every GL library fails in its own way, most by AttributeError
            raise RuntimeError(_NO_RENDERER.format(reason=error)) from error

    def draw(self, state: np.ndarray) -> np.ndarray:
        """A picture (size, size, 3) uint8 of a state (10,); the pusher is left out of the way."""
        import mujoco

        physics = rest_states(centres(state))[0]
        mujoco.mj_setState(self._model, self._data, physics, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._data.qpos[-2:] = 5.0
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera=self._camera)
        return np.asarray(self._renderer.render())

    def close(self) -> None:
        """Frees the graphics context."""
        self._renderer.close()


_NO_RENDERER = (
    "MuJoCo cannot render on this machine: {reason}. Install EGL or OSMesa and set MUJOCO_GL=egl "
    "or MUJOCO_GL=osmesa before Python starts, or use the flat drawing, which needs neither."
)
