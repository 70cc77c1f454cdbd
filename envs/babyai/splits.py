"""Which goals are trained on, and what is new about the others.

    train        trained kinds and combinations, training words
    wording      the goals of `train`, in new words
    combination  a colour and type that no training goal names, training words
    both         a new combination in new words, as the paper's test goals are
    kind         a kind that no training goal has, trained combinations, training words

"No colour" counts as a colour here, so it is held out as often as red or blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from envs.babyai.cells import BALL, BOX, COLORS, DOOR, KEY
from envs.babyai.goals import (
    ANY,
    GO_TO_TILE,
    KINDS,
    NAMED,
    Description,
    Spec,
    descriptions,
)
from envs.babyai.wordings import NUM_WORDINGS, TEST, TRAIN, Words
from envs.world import Goal

SPLITS = ("train", "wording", "combination", "both", "kind")
_WORDS: dict[str, Words] = dict.fromkeys(SPLITS, TRAIN) | {"wording": TEST, "both": TEST}
_NOVELTY = {split: split for split in SPLITS} | {"wording": "train", "both": "combination"}

RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(len(COLORS))
# Every colour and "no colour" once, and every type at most twice.
HELD_OUT_COMBINATIONS: tuple[Description, ...] = (
    (KEY, ANY),
    (BALL, RED),
    (BOX, GREEN),
    (KEY, BLUE),
    (DOOR, PURPLE),
    (BALL, YELLOW),
    (BOX, GREY),
)
TILE_PERIOD, TILE_REMAINDER = 7, 3  # one tile in seven is held out, no whole row or column


@dataclass(frozen=True)
class SplitDesign:
    """What training never sees."""

    held_out_combinations: tuple[Description, ...] = HELD_OUT_COMBINATIONS  # type and colour
    held_out_kinds: tuple[str, ...] = ("go_to_tile",)  # names in KINDS

    def __post_init__(self) -> None:
        if unknown := set(self.held_out_kinds) - set(KINDS):
            raise ValueError(
                f"Unknown goal kinds {', '.join(sorted(unknown))}. "
                f"Choose held_out_kinds among {', '.join(KINDS)}."
            )
        if set(KINDS) <= set(self.held_out_kinds):
            raise ValueError("Expected a kind to train on. Hold out fewer kinds.")
        for kind, color in self.held_out_combinations:
            if kind not in NAMED or not ANY <= color < len(COLORS):
                raise ValueError(
                    f"Expected a type among {NAMED} and a colour in {ANY}..{len(COLORS) - 1}, "
                    f"got ({kind}, {color}). Correct held_out_combinations."
                )

    def novelty(self, spec: Spec) -> str:
        """What is new about a goal, whatever its words: "train", "combination" or "kind".

        A goal of a held-out kind that names a held-out combination belongs nowhere: "".
        """
        combination = self._is_held_out_combination(spec)
        if KINDS[spec[0]] in self.held_out_kinds:
            return "" if combination else "kind"
        return "combination" if combination else "train"

    def _is_held_out_combination(self, spec: Spec) -> bool:
        if spec[0] == GO_TO_TILE:
            held_out = (spec[1] + 2 * spec[2]) % TILE_PERIOD == TILE_REMAINDER
            return held_out and "go_to_tile" not in self.held_out_kinds
        return any(name in self.held_out_combinations for name in descriptions(spec))


def split_goals(
    specs: Sequence[Spec], split: str, design: SplitDesign, num_wordings: int = NUM_WORDINGS
) -> list[Goal]:
    """The goals of a split among `specs`, goal by goal in each of its wordings.

    Args:
        num_wordings: how many wordings of each goal, 1..NUM_WORDINGS.

    Raises:
        ValueError: no split has this name, or there are not that many wordings.
    """
    if not 1 <= num_wordings <= NUM_WORDINGS:
        raise ValueError(f"Expected 1..{NUM_WORDINGS} wordings of a goal, got {num_wordings}.")
    if split not in SPLITS:
        raise ValueError(f"Unknown split `{split}`. Choose one of {', '.join(SPLITS)}.")
    words = _WORDS[split]
    return [
        Goal(words.say(spec, wording), split, KINDS[spec[0]], spec)
        for spec in specs
        if design.novelty(spec) == _NOVELTY[split]
        for wording in range(num_wordings)
    ]
