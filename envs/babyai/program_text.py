"""Goals as short formal texts, the answers that a model is taught to give about goals in words.

    facing red ball
    holding any key
    opened blue door
    dropped_beside any key | blue box
    standing_on 3 4

`imagination.programs` reads them back and gives them their meaning.
"""

from collections.abc import Sequence

from envs.babyai.cells import COLORS
from envs.babyai.goals import ANY, GO_TO_TILE, Description, Spec, descriptions
from envs.babyai.raw_text import TYPE_WORDS

RELATIONS = ("facing", "holding", "opened", "dropped_beside", "standing_on")  # in order of KINDS
FACING, HOLDING, OPENED, DROPPED_BESIDE, STANDING_ON = RELATIONS
ANY_WORD = "any"  # in the place of a colour
SEPARATOR = " | "  # between two things
UNCLEAR = "unclear"  # the answer about words that no program tells


def program_text(
    relation: str, things: Sequence[Description], tile: tuple[int, int] | None = None
) -> str:
    """The text of a program about `things`, or about a tile (x, y)."""
    about = SEPARATOR.join(thing_text(thing) for thing in things)
    return f"{relation} {about}" if tile is None else f"{relation} {tile[0]} {tile[1]}"


def thing_text(thing: Description) -> str:
    """A thing without an article, such as "red ball" or "any ball"."""
    kind, color = thing
    return f"{ANY_WORD if color == ANY else COLORS[color]} {TYPE_WORDS[kind]}"


def spec_text(spec: Spec) -> str:
    """The program that a goal's words should be read as; for teaching and audits only."""
    tile = (spec[1], spec[2]) if spec[0] == GO_TO_TILE else None
    return program_text(RELATIONS[spec[0]], descriptions(spec), tile)


def reading_question(goal: str) -> str:
    """The question whose answer is the program of `goal`, however it is capitalised."""
    words = " ".join(goal.lower().split()).rstrip(" .!")
    return f"Read this goal as a program: {words} Program:"
