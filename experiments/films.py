"""What a clip shows step by step, as plain data for the page's script: pushes, grids or pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from envs.babyai.drawing import DrawnCell, GridDrawing

LARGE_CELLS = 12  # a wider grid needs a wide place
NOTHING = -1  # in a cell, or in the agent's hands


@dataclass(frozen=True)
class Step:
    """What was done between two frames."""

    action: str
    valid: bool = True  # False where it changed nothing


class Film(Protocol):
    """Frames of a rollout, one more than its steps."""

    @property
    def kind(self) -> str:
        """Key of the function that draws it, in report_drawings.js."""
        ...

    @property
    def hint(self) -> str:
        """What a reader should know about the picture."""
        ...

    @property
    def is_large(self) -> bool:
        """Whether it needs a wide place to be seen or read."""
        ...

    @property
    def steps(self) -> Sequence[Step]:
        """The actions in words; empty where the picture itself shows them."""
        ...

    def __len__(self) -> int:
        """Number of steps T."""
        ...

    def data(self) -> dict[str, Any]:
        """What the page's script needs to draw any frame."""
        ...


@dataclass(frozen=True)
class PushFilm:
    """Round entities that are pushed about, drawn in the scene of the report."""

    frames: np.ndarray  # (T + 1, N, 2) float, entity centres in world units
    strokes: np.ndarray  # (T, 4) float, a segment x0, y0, x1, y1 for each action
    kind, is_large = "pushes", False
    hint = "The arrow is the push; pale tracks show where a ball has been."
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        _check_frames(len(self.frames), len(self.strokes), "strokes")

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.strokes)

    def data(self) -> dict[str, Any]:
        """Frames and strokes to a thousandth."""
        return {
            "frames": np.round(self.frames.astype(np.float64), 3).tolist(),
            "strokes": np.round(self.strokes.astype(np.float64), 3).tolist(),
        }


@dataclass(frozen=True)
class GridFilm:
    """An agent in a grid of cells."""

    frames: "tuple[GridDrawing, ...]"  # T + 1 of one width and height
    steps: tuple[Step, ...]  # T
    kind = "grid"
    hint = (
        "The wedge is the agent, and what it carries is drawn on it. The marked action comes next; "
        "struck-out actions changed nothing."
    )

    def __post_init__(self) -> None:
        _check_frames(len(self.frames), len(self.steps), "steps")

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.steps)

    @property
    def is_large(self) -> bool:
        """Whether a cell would be too small to see in a narrow place."""
        return self.frames[0].width > LARGE_CELLS

    def data(self) -> dict[str, Any]:
        """Things by number, and frames as what has changed in them since the frame before.

        A frame is [x, y, direction, thing carried, [cell, thing, cell, thing, ...]].
        """
        first = self.frames[0]
        things: dict[tuple[str, str, str], int] = {}
        before: dict[int, int] = {}
        frames: list[list[Any]] = []
        for frame in self.frames:
            cells = {c.y * first.width + c.x: _number(things, c) for c in frame.cells}
            places = sorted(before.keys() | cells.keys())
            changed = [place for place in places if before.get(place) != cells.get(place)]
            carried = NOTHING if frame.carried is None else _number(things, frame.carried)
            pairs = [number for place in changed for number in (place, cells.get(place, NOTHING))]
            frames.append([*frame.agent, frame.direction, carried, pairs])
            before = cells
        return {
            "width": first.width,
            "height": first.height,
            "things": [list(thing) for thing in things],
            "frames": frames,
        }


@dataclass(frozen=True)
class PageFilm:
    """Pages of text, such as those of a shop."""

    pages: tuple[str, ...]  # T + 1
    steps: tuple[Step, ...]  # T
    kind, is_large = "pages", True
    hint = "The marked action comes next; struck-out actions changed nothing."

    def __post_init__(self) -> None:
        _check_frames(len(self.pages), len(self.steps), "steps")

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.steps)

    def data(self) -> dict[str, Any]:
        """The pages."""
        return {"frames": list(self.pages)}


def _check_frames(frames: int, steps: int, name: str) -> None:
    if frames != steps + 1:
        raise ValueError(
            f"Expected {steps + 1} frames for {steps} {name}, got {frames}. Keep the final frame."
        )


def _number(things: dict[tuple[str, str, str], int], cell: "DrawnCell") -> int:
    """The number of what a cell holds; a new one for what was not seen before."""
    return things.setdefault((cell.type, cell.color, cell.door_state), len(things))
