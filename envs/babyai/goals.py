"""Goals of BabyAI as numbers, and which of them a layout allows.

    spec = (kind, type, colour, type of the fixed thing, colour of the fixed thing)
    spec = (kind, x, y, unused, unused) for tiles

A colour of ANY stands for every colour. Departures from `minigrid`: there is no "object" of any
type, and a goal names things as they are now, not the very things that lay there at the start.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from envs.babyai.cells import (
    BALL,
    BOX,
    COLOR_OF,
    COLORS,
    DOOR,
    EMPTY,
    KEY,
    TYPE_OF,
)
from envs.babyai.layouts import SIZES, Layout
from envs.babyai.reachability import reachable_cells

KINDS = ("go_to", "pick_up", "open", "put_next", "go_to_tile")
GO_TO, PICK_UP, OPEN_DOOR, PUT_NEXT, GO_TO_TILE = range(len(KINDS))
SPEC_SIZE = 5
ANY = -1  # any colour
UNUSED = -1
THINGS = (KEY, BALL, BOX)  # what can be carried
NAMED = (DOOR, *THINGS)  # what a goal can name

Spec = tuple[int, ...]
Description = tuple[int, int]  # type, and colour or ANY


def descriptions(spec: Spec) -> tuple[Description, ...]:
    """The things that a goal names: one, two for `put_next`, none for a tile."""
    if spec[0] == GO_TO_TILE:
        return ()
    first, second = (spec[1], spec[2]), (spec[3], spec[4])
    return (first, second) if spec[0] == PUT_NEXT else (first,)


def all_specs() -> list[Spec]:
    """Every goal that names things, in a fixed order; tiles depend on the grid's size."""
    return list(_named_goals(_all_descriptions()))


def tile_spec(x: int, y: int) -> Spec:
    """The goal to stand on the cell (x, y)."""
    return (GO_TO_TILE, x, y, UNUSED, UNUSED)


def layout_specs(layout: Layout) -> list[Spec]:
    """Every goal that can be reached in a layout, in a fixed order.

    As in BabyAI a `put_next` goal is left out where its two things lie side by side at first.
    """
    reached = reachable_cells(layout.state, layout.shape)
    codes = np.where(reached, layout.shape.cells(layout.state), EMPTY)
    found = _described(codes)
    specs = _named_goals([name for name in _all_descriptions() if found[name].any()])
    kept = [spec for spec in specs if spec[0] != PUT_NEXT or _lie_apart(spec, found)]
    rows, columns = np.nonzero(reached & (codes == EMPTY))
    kept += [tile_spec(int(x), int(y)) for x, y in zip(columns, rows, strict=True)]
    kinds = SIZES[layout.size].goal_kinds or KINDS
    return [spec for spec in kept if KINDS[spec[0]] in kinds]


def specs_array(specs: Sequence[Spec]) -> np.ndarray:
    """Specs as (B, 5) int64."""
    return np.array(specs, np.int64).reshape(-1, SPEC_SIZE)


def _all_descriptions() -> list[Description]:
    return [(kind, color) for kind in NAMED for color in (ANY, *range(len(COLORS)))]


def _named_goals(names: Sequence[Description]) -> Iterator[Spec]:
    """All goals about the things `names`, kind by kind."""
    carried = [name for name in names if name[0] != DOOR]
    for name in names:
        yield (GO_TO, *name, UNUSED, UNUSED)
    for name in carried:
        yield (PICK_UP, *name, UNUSED, UNUSED)
    for name in names:
        if name[0] == DOOR:
            yield (OPEN_DOOR, *name, UNUSED, UNUSED)
    for moved in carried:
        for fixed in names:
            if not _overlap(moved, fixed):
                yield (PUT_NEXT, *moved, *fixed)


def _overlap(first: Description, second: Description) -> bool:
    """Whether one thing can fit both descriptions."""
    same_color = first[1] == second[1] or ANY in (first[1], second[1])
    return first[0] == second[0] and same_color


def _described(codes: np.ndarray) -> dict[Description, np.ndarray]:
    """Where (H, W) bool each description fits."""
    kinds, colors = TYPE_OF[codes], COLOR_OF[codes]
    return {
        (kind, color): (kinds == kind) & ((color == ANY) | (colors == color))
        for kind, color in _all_descriptions()
    }


def _lie_apart(spec: Spec, found: dict[Description, np.ndarray]) -> bool:
    """Whether the two things of a `put_next` goal do not share a side yet."""
    moved, fixed = (found[name] for name in descriptions(spec))
    return not (_beside(moved) & fixed).any()


def _beside(places: np.ndarray) -> np.ndarray:
    """Cells (H, W) bool that share a side with one of `places` (H, W) bool."""
    beside = np.zeros_like(places)
    beside[1:] |= places[:-1]
    beside[:-1] |= places[1:]
    beside[:, 1:] |= places[:, :-1]
    beside[:, :-1] |= places[:, 1:]
    return beside
