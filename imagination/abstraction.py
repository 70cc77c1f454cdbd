"""States in few words, as a goal sees them: the prompt that a distilled policy acts on.

    raw                the whole state in absolute words, with colours and types, and the goal's own
                       words (the paper's raw text)
    roles_absolute     roles instead of colours and types, in columns and rows (the paper)
    roles_egocentric   roles, in steps ahead and aside, what matters most first (the default)

    facing object 3 ahead 2 left hands empty ahead free things 1 ahead 0 right walls 4 2 1 3

There are no commas: every word costs a small model time, and each place ends in its side.
"""

from collections.abc import Callable, Sequence

import numpy as np

from envs.babyai.layouts import make_layout
from envs.babyai.program_text import RELATIONS
from envs.babyai.raw_text import raw_text
from envs.babyai.states import DIRECTION, DIRECTIONS, GridShape, X, Y
from imagination.abstract_rows import (
    NOWHERE,
    AbstractRows,
    Hands,
    Matter,
    Role,
    abstract_rows,
    offsets,
)
from imagination.programs import Program, Roles, program_roles

RAW, ROLES_ABSOLUTE, ROLES_EGOCENTRIC = "raw", "roles_absolute", "roles_egocentric"
FORMS = (RAW, ROLES_ABSOLUTE, ROLES_EGOCENTRIC)

_MATTER_WORDS = {
    Matter.FREE: "free",
    Matter.WALL: "wall",
    Matter.THING: "thing",
    Matter.BOX: "box",
    Matter.OPEN_DOOR: "open",
    Matter.CLOSED_DOOR: "closed",
    Matter.LOCKED_DOOR: "locked",
}
_ROLE_WORDS = {Role.NONE: "", Role.OBJECT: " object", Role.LOCATION: " location"}
_HANDS_WORDS = {Hands.EMPTY: "empty", Hands.OBJECT: "object", Hands.THING: "thing"}
_Places = Callable[[np.ndarray], list[list[str]]]  # cells (N, K) to words, NOWHERE left out


def abstract_text(
    goals: Sequence[Program | str],
    states: np.ndarray,
    shape: GridShape,
    form: str = ROLES_EGOCENTRIC,
) -> list[str]:
    """Each state in words.

    Args:
        goals: what each state is seen for, N of them: goals in words for the form "raw", what
            they were read as for the others.
        states: (N, D) uint8.
        form: of FORMS.

    Raises:
        ValueError: no form has this name, there is not one goal a state, or a goal was not read.
    """
    if form not in FORMS:
        raise ValueError(f"Unknown abstraction form `{form}`. Choose one of {', '.join(FORMS)}.")
    if len(goals) != len(states):
        raise ValueError(
            f"Expected a goal for each of {len(states)} states, got {len(goals)}. Repeat goals "
            "that states share."
        )
    if form == RAW:
        words = [goal.text() if isinstance(goal, Program) else goal for goal in goals]
        told = zip(words, states, strict=True)
        return [f"Goal: {goal}\n{raw_text(state, shape)}" for goal, state in told]
    programs = [goal for goal in goals if isinstance(goal, Program)]
    if len(programs) < len(goals):
        raise ValueError(f"Expected programs for the form `{form}`, got words. Read them first.")
    rows = abstract_rows(rowwise_roles(programs, states, shape), states, shape)
    relations = [program.relation.replace("_", " ") for program in programs]
    if form == ROLES_ABSOLUTE:
        return _told(relations, rows, lambda cells: _tiles(cells, shape), _poses(states))
    return _told(relations, rows, lambda cells: _steps(cells, states, shape), _walls(rows, states))


def vocabulary() -> list[str]:
    """Texts with every word of every form, for tokenizers of whole words."""
    numbers = " ".join(str(number) for number in range(100))
    layout = make_layout("room", 0)
    return [
        *(relation.replace("_", " ") for relation in RELATIONS),
        " object location hands empty thing things ahead behind left right free wall walls beside",
        " box doors open closed locked position right down left up",
        f" {numbers} ({numbers.replace(' ', ' (')}",
        f"Goal:\n{raw_text(layout.state, layout.shape)}\nBall\nBox\nDoor\nKey",
    ]


def rowwise_roles(programs: Sequence[Program], states: np.ndarray, shape: GridShape) -> Roles:
    """Roles of states (N, D) uint8, each as its own of N programs sees it."""
    objects, locations = np.zeros((2, len(states), shape.num_cells), bool)
    carries = np.zeros(len(states), bool)
    rows_of: dict[Program, list[int]] = {}
    for row, program in enumerate(programs):
        rows_of.setdefault(program, []).append(row)
    for program, rows in rows_of.items():
        roles = program_roles(program, states[rows], shape)
        objects[rows], locations[rows] = roles.goal_objects, roles.goal_locations
        carries[rows] = roles.carries_goal_object
    return Roles(objects, locations, carries)


def _told(relations: list[str], rows: AbstractRows, places: _Places, agent: list[str]) -> list[str]:
    """All parts of each state, those that decide the next action first."""
    parts = [
        relations,
        _listed("object", places(rows.objects)),
        _listed("location", places(rows.locations)),
        [f" hands {_HANDS_WORDS[Hands(hands)]}" for hands in rows.hands.tolist()],
        _ahead(rows),
        _listed("things", places(rows.obstacles)),
        _doors(rows, places),
        agent,
    ]
    return ["".join(words) for words in zip(*parts, strict=True)]


def _listed(name: str, places: list[list[str]]) -> list[str]:
    """A part that names all places, or nothing where there are none."""
    return [f" {name} {' '.join(told)}" if told else "" for told in places]


def _ahead(rows: AbstractRows) -> list[str]:
    """What lies in the cell ahead, and whether a goal location lies beside that cell."""
    columns = (rows.matter_ahead.tolist(), rows.role_ahead.tolist(), rows.beside.tolist())
    return [
        f" ahead {_MATTER_WORDS[Matter(matter)]}{_ROLE_WORDS[Role(role)]}"
        f"{' beside location' if beside else ''}"
        for matter, role, beside in zip(*columns, strict=True)
    ]


def _doors(rows: AbstractRows, places: _Places) -> list[str]:
    """The doors of the room, each with its state."""
    told = [
        [
            f"{_MATTER_WORDS[Matter(kind)]} {place}"
            for kind, place in zip(kinds, words, strict=False)
        ]
        for kinds, words in zip(rows.door_matter.tolist(), places(rows.doors), strict=True)
    ]
    return _listed("doors", told)


def _tiles(cells: np.ndarray, shape: GridShape) -> list[list[str]]:
    """Columns and rows."""
    return [
        [f"{cell % shape.width} {cell // shape.width}" for cell in told if cell != NOWHERE]
        for told in cells.tolist()
    ]


def _steps(cells: np.ndarray, states: np.ndarray, shape: GridShape) -> list[list[str]]:
    """Steps ahead or behind, and to the right or left."""
    return [
        [_step_words(*offset) for cell, offset in zip(told, row, strict=True) if cell != NOWHERE]
        for told, row in zip(cells.tolist(), offsets(cells, states, shape).tolist(), strict=True)
    ]


def _step_words(ahead: int, right: int) -> str:
    along = f"{ahead} ahead" if ahead >= 0 else f"{-ahead} behind"
    return f"{along} {right} right" if right >= 0 else f"{along} {-right} left"


def _poses(states: np.ndarray) -> list[str]:
    columns = (states[:, X].tolist(), states[:, Y].tolist(), states[:, DIRECTION].tolist())
    return [
        f" position {x} {y} {DIRECTIONS[facing]}" for x, y, facing in zip(*columns, strict=True)
    ]


def _walls(rows: AbstractRows, states: np.ndarray) -> list[str]:
    """Free cells before the walls ahead, right, behind and left."""
    turned = (states[:, DIRECTION, None] + np.arange(4)) % 4
    steps = np.take_along_axis(rows.wall_steps, turned.astype(np.intp), axis=1)
    return [f" walls {' '.join(map(str, told))}" for told in steps.tolist()]
