"""Words for BabyAI's things, places and deeds: what a speaker knows before seeing a grid.

In a deed `_` stands for the thing or the tile that it is about, `~` for the thing to put it beside.
"""

from itertools import product

from envs.babyai.cells import BALL, BOX, COLORS, DOOR, KEY
from envs.babyai.goals import GO_TO, GO_TO_TILE, OPEN_DOOR, PICK_UP, PUT_NEXT
from envs.babyai.wordings import TEST, TRAIN

_MORE_NOUNS = {
    DOOR: ("doorway", "portal"),
    KEY: ("keycard", "opener"),
    BALL: ("globe", "football"),
    BOX: ("carton", "case"),
}
_MORE_COLORS = (
    ("ruby", "cherry"),
    ("jade", "olive"),
    ("sapphire", "cobalt"),
    ("mauve", "plum"),
    ("lemon", "mustard"),
    ("gray", "slate"),
)
NOUNS: dict[int, tuple[str, ...]] = {
    kind: (*TRAIN.nouns[kind], *TEST.nouns[kind], *_MORE_NOUNS[kind])
    for kind in (DOOR, KEY, BALL, BOX)
}
COLOR_WORDS: tuple[tuple[str, ...], ...] = tuple(
    (*TRAIN.colors[color], *TEST.colors[color], *_MORE_COLORS[color])
    for color in range(len(COLORS))
)

_PUT_VERBS = (
    *("put _", "place _", "take _ and put it", "move _", "set _ down", "leave _", "bring _"),
    *("carry _", "lay _", "drop _", "lay _ down", "transport _"),
)
_PLACES = (
    *("next to ~", "beside ~", "alongside ~", "adjacent to ~", "to a spot touching ~", "to ~"),
    *("by ~", "close to ~", "to the side of ~", "on a spot adjacent to ~", "touching ~"),
)
DEEDS: dict[int, tuple[str, ...]] = {
    GO_TO: (
        *("go to _", "walk to _", "go over to _", "move next to _", "walk up to _", "reach _"),
        *("approach _", "head towards _", "travel up to _", "make your way to _", "visit _"),
        *("come to _", "step up to _", "head for _", "travel to _", "find your way to _"),
    ),
    PICK_UP: (
        *("pick up _", "take _", "grab _", "pick _ up", "collect _", "fetch _", "snatch _"),
        *("lift _ off the floor", "lift _ up", "take _ off the floor", "seize _", "gather _"),
        *("get hold of _", "take hold of _", "gather _ up"),
    ),
    OPEN_DOOR: (
        *("open _", "pull _ open", "get _ open", "go and open _", "unlatch _", "swing _ wide"),
        *("unseal _", "clear the way through _", "push _ open", "swing _ open", "throw _ wide"),
        *("open up _", "force _ open", "make way through _"),
    ),
    PUT_NEXT: tuple(f"{verb} {place}" for verb, place in product(_PUT_VERBS, _PLACES)),
    GO_TO_TILE: (
        *("go to _", "walk to _", "move onto _", "go over to _", "stand on _", "head towards _"),
        *("travel up to _", "position yourself at _", "step onto _", "make your way to _"),
        *("stop on _", "come to _", "position yourself on _", "take your place on _"),
    ),
}
TILES = (
    *("tile ({x}, {y})", "square ({x}, {y})", "the cell ({x}, {y})", "coordinates {x}, {y}"),
    *("column {x} of row {y}", "row {y}, column {x}", "the tile in column {x} and row {y}"),
    *("the square at {x}, {y}", "the cell in row {y} and column {x}", "column {x}, row {y}"),
)
# Deeds that no program tells.
OTHER_DEEDS = (
    *("paint _", "describe _", "count _", "forget _", "ignore _", "sing to _", "sell _", "hide _"),
    *("wait for _", "stay away from _", "run away from _", "break _", "draw _", "clean _"),
    *("do not touch _", "leave _ alone", "throw _ away", "never mind _"),
)
# Things and colours that no grid holds: what is said of them is read as no program, and it teaches
# that a colour and a noun say nothing about each other.
OTHER_NOUNS = (
    *("chair", "table", "cup", "lamp", "book", "bottle", "coin", "plate", "spoon", "hat", "shoe"),
    *("rope", "basket", "window"),
)
OTHER_COLORS = ("black", "white", "orange", "pink", "brown", "teal", "beige", "bronze")
