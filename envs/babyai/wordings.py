"""How goals are said: two sets of words that share no sentence pattern, verb, noun or colour.

Training goals are said with `TRAIN`, goals in new words with `TEST`. A thing without a colour is
"a key", one with a colour "the red key".
"""

from dataclasses import dataclass

from envs.babyai.cells import BALL, BOX, COLORS, DOOR, KEY
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    Description,
    Spec,
    descriptions,
)

NUM_WORDINGS = 4  # per goal, in each set


@dataclass(frozen=True)
class Words:
    """One way of speaking; wording number i takes the i-th word of each list, from the start again
    where a list is shorter."""

    patterns: dict[int, tuple[str, ...]]  # by kind, NUM_WORDINGS each
    nouns: dict[int, tuple[str, ...]]  # by type
    colors: tuple[tuple[str, ...], ...]  # by colour

    def say(self, spec: Spec, wording: int = 0) -> str:
        """The goal in words.

        Args:
            wording: 0..NUM_WORDINGS - 1.
        """
        pattern = self.patterns[spec[0]][wording]
        if spec[0] == GO_TO_TILE:
            return pattern.format(x=spec[1], y=spec[2])
        return pattern.format(*(self.name(thing, wording) for thing in descriptions(spec)))

    def name(self, thing: Description, wording: int = 0) -> str:
        """A thing with its article, such as "the red ball" or "a ball"."""
        kind, color = thing
        noun = self.nouns[kind][wording % len(self.nouns[kind])]
        if color == ANY:
            return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
        return f"the {self.colors[color][wording % len(self.colors[color])]} {noun}"


TRAIN = Words(
    patterns={
        GO_TO: ("go to {}", "walk to {}", "go over to {}", "move next to {}"),
        PICK_UP: ("pick up {}", "take {}", "grab {}", "pick {} up"),
        OPEN_DOOR: ("open {}", "pull {} open", "get {} open", "go and open {}"),
        PUT_NEXT: (
            "put {} next to {}",
            "place {} beside {}",
            "take {} and put it next to {}",
            "move {} next to {}",
        ),
        GO_TO_TILE: (
            "go to tile ({x}, {y})",
            "walk to tile ({x}, {y})",
            "move onto tile ({x}, {y})",
            "go over to tile ({x}, {y})",
        ),
    },
    nouns={DOOR: ("door",), KEY: ("key",), BALL: ("ball",), BOX: ("box",)},
    colors=tuple((name,) for name in COLORS),
)

TEST = Words(
    patterns={
        GO_TO: ("approach {}", "head towards {}", "travel up to {}", "make your way to {}"),
        PICK_UP: ("collect {}", "fetch {}", "snatch {}", "lift {} off the floor"),
        OPEN_DOOR: ("unlatch {}", "swing {} wide", "unseal {}", "clear the way through {}"),
        PUT_NEXT: (
            "set {} down alongside {}",
            "bring {} to {}",
            "leave {} adjacent to {}",
            "carry {} to a spot touching {}",
        ),
        GO_TO_TILE: (
            "stand on square ({x}, {y})",
            "head towards column {x} of row {y}",
            "travel up to square ({x}, {y})",
            "position yourself at coordinates {x}, {y}",
        ),
    },
    nouns={
        DOOR: ("gate", "entrance"),
        KEY: ("latchkey", "passkey"),
        BALL: ("sphere", "orb"),
        BOX: ("crate", "chest"),
    },
    colors=(
        ("crimson", "scarlet"),
        ("emerald", "lime"),
        ("azure", "navy"),
        ("violet", "lilac"),
        ("golden", "amber"),
        ("silver", "ashen"),
    ),
)
