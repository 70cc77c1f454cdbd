"""Goals as small programs over state features: what a goal's words mean, read once per text.

A program labels transitions, not states: a thing lies where it lies long after it was put there,
so that labels of states would call every later step a success. `MEANINGS` says what each claims.

Departs from the paper, whose judge calls a goal reached at a Manhattan distance of at most 1 or
with the thing in the inventory. Nothing here knows the verifiers of the environment.
"""

import re
from dataclasses import dataclass

import numpy as np

from envs.babyai.cells import COLOR_OF, COLORS, DOOR, DOOR_STATE_OF, EMPTY, OPEN, TYPE_OF
from envs.babyai.goals import ANY, NAMED, Description
from envs.babyai.program_text import (
    ANY_WORD,
    DROPPED_BESIDE,
    FACING,
    HOLDING,
    OPENED,
    RELATIONS,
    SEPARATOR,
    STANDING_ON,
    program_text,
)
from envs.babyai.raw_text import TYPE_WORDS
from envs.babyai.simulator import DROP, PICKUP, TOGGLE
from envs.babyai.states import CARRIED, GridShape, X, Y, front_cells, front_index

MEANINGS = {
    FACING: "after the step the thing lies in the cell ahead; being near it is not enough",
    HOLDING: "the step takes the thing: the hands were empty and hold it afterwards",
    OPENED: "the step opens the door ahead: it was not open and is open afterwards",
    DROPPED_BESIDE: "the step drops the thing into a cell that shares a side with the other thing",
    STANDING_ON: "after the step the agent stands on the tile",
}
_TYPES = {word: kind for kind, word in TYPE_WORDS.items()}
_COLORS = {ANY_WORD: ANY} | {word: color for color, word in enumerate(COLORS)}
_TILE = re.compile(r"(0|[1-9][0-9]{0,2}) (0|[1-9][0-9]{0,2})")


@dataclass(frozen=True)
class Program:
    """What a goal asks for; it checks itself on construction."""

    relation: str  # one of RELATIONS
    things: tuple[Description, ...] = ()  # type, and colour or ANY; two for dropped_beside
    tile: tuple[int, int] | None = None  # column and row, for standing_on only

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(
                f"Unknown relation `{self.relation}`. Choose one of {', '.join(RELATIONS)}."
            )
        wanted = {STANDING_ON: 0, DROPPED_BESIDE: 2}.get(self.relation, 1)
        if len(self.things) != wanted or (self.tile is None) == (self.relation == STANDING_ON):
            raise ValueError(
                f"Expected {wanted} things for `{self.relation}`, and a tile for `{STANDING_ON}` "
                f"alone, got {self.things} and {self.tile}."
            )
        for kind, color in self.things:
            if kind not in NAMED or not ANY <= color < len(COLORS):
                raise ValueError(
                    f"Expected a type among {NAMED} and a colour in {ANY}..{len(COLORS) - 1}, "
                    f"got ({kind}, {color})."
                )
        if not self._can_hold():
            raise ValueError(
                f"Doors are opened and other things are carried, not as in `{self.text()}`."
            )

    def text(self) -> str:
        """The program as `parse_program` reads it, such as `facing red ball`."""
        return program_text(self.relation, self.things, self.tile)

    def _can_hold(self) -> bool:
        """Whether things of such types can be in the relation at all."""
        is_door = self.things[:1] != () and self.things[0][0] == DOOR
        return {OPENED: is_door, HOLDING: not is_door, DROPPED_BESIDE: not is_door}.get(
            self.relation, True
        )


@dataclass(frozen=True)
class Roles:
    """What a goal makes of the cells of N states; cells in no role are mere obstacles or ways."""

    goal_objects: np.ndarray  # (N, cells) bool, the things to face, take, open or carry
    goal_locations: np.ndarray  # (N, cells) bool, the things to put it beside, or the tile
    carries_goal_object: np.ndarray  # (N,) bool


def parse_program(text: str) -> Program | None:
    """The program that `text` writes, or None where it writes none."""
    relation, _, about = text.strip().partition(" ")
    tile = _TILE.fullmatch(about) if relation == STANDING_ON else None
    things = () if tile else tuple(_parse_thing(part) for part in about.split(SEPARATOR))
    named = tuple(thing for thing in things if thing is not None)
    if relation not in RELATIONS or len(named) < len(things):
        return None
    try:
        return Program(relation, named, (int(tile[1]), int(tile[2])) if tile else None)
    except ValueError:
        return None


def program_labels(
    program: Program,
    before: np.ndarray,
    actions: np.ndarray,
    after: np.ndarray,
    shape: GridShape,
) -> np.ndarray:
    """Which steps reach the goal, (N,) bool.

    Args:
        before: (N, D) uint8 states.
        actions: (N,) in 0..6.
        after: (N, D) uint8 next states.
    """
    if program.tile is not None:
        x, y = program.tile
        return np.asarray((after[:, X] == x) & (after[:, Y] == y))
    fits = fitting_codes(program.things[0])
    if program.relation == FACING:
        return np.asarray(fits[front_cells(after, shape)])
    took, gave = before[:, CARRIED], after[:, CARRIED]
    if program.relation == HOLDING:
        return np.asarray((actions == PICKUP) & (took == EMPTY) & fits[gave])
    if program.relation == OPENED:
        was, now = front_cells(before, shape), front_cells(after, shape)
        opens = (DOOR_STATE_OF[was] != OPEN) & (DOOR_STATE_OF[now] == OPEN)
        return np.asarray((actions == TOGGLE) & fits[now] & opens)
    dropped = (actions == DROP) & fits[took] & (gave == EMPTY)
    dropped[dropped] = _lies_beside(after[dropped], fitting_codes(program.things[1]), shape)
    return np.asarray(dropped)


def program_roles(program: Program, states: np.ndarray, shape: GridShape) -> Roles:
    """Which cells of states (N, D) uint8 matter to the goal, and how."""
    cells = states[:, : shape.num_cells]
    objects, locations = np.zeros((2, *cells.shape), bool)
    carries = np.zeros(len(states), bool)
    if program.tile is not None:
        x, y = program.tile
        if x < shape.width and y < shape.height:
            locations[:, shape.cell_index(x, y)] = True
        return Roles(objects, locations, carries)
    fits = fitting_codes(program.things[0])
    if program.relation == DROPPED_BESIDE:
        locations = fitting_codes(program.things[1])[cells]
    return Roles(fits[cells], locations, fits[states[:, CARRIED]])


def fitting_codes(thing: Description) -> np.ndarray:
    """Which cell codes (NUM_CODES,) bool are such a thing."""
    kind, color = thing
    return np.asarray((kind == TYPE_OF) & ((color == ANY) | (color == COLOR_OF)))


def _parse_thing(text: str) -> Description | None:
    color, _, noun = text.partition(" ")
    return (_TYPES[noun], _COLORS[color]) if noun in _TYPES and color in _COLORS else None


def _lies_beside(after: np.ndarray, fits: np.ndarray, shape: GridShape) -> np.ndarray:
    """Whether a cell beside the one ahead, where a thing was just dropped, holds what fits."""
    dropped = front_index(after, shape)
    # A dropped thing lies within the outer walls, so that its four neighbours exist.
    beside = dropped[:, None] + np.array([-1, 1, -shape.width, shape.width])
    found: np.ndarray = fits[np.take_along_axis(after, beside, 1)].any(1)
    return found
