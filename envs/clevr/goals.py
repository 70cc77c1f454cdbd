"""The goals of CLEVR-Robot as data: text, level, kind, and the ten numbers of the predicate.

A spec is (kind, s1, t1, d1, s2, t2, d2, s3, t3, d3); unused numbers are -1. Kinds index `KINDS`,
balls index `COLORS`, directions are 0 behind, 1 left, 2 front, 3 right. Counts and kinds of texts
follow the paper and its reference code; conjunctions that no scene can satisfy are left out.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from envs.clevr.combinations import (
    NUM_BALLS,
    Relation,
    all_relations,
    combination_key,
    draw_combinations,
)
from envs.clevr.sentences import (
    COLORS,
    GATHER_TEXTS,
    LINE_TEXTS,
    MOVE_ADVERBS,
    MOVE_PATTERNS,
    MOVE_PHRASES,
    RELATION_PHRASES,
    REPHRASE_PATTERNS,
    THREE_PATTERNS,
    TRAIN_PATTERNS,
    TWO_PATTERNS,
)
from envs.clevr.unseen_sentences import (
    UNSEEN_GATHER_TEXTS,
    UNSEEN_LINE_TEXTS,
    UNSEEN_MOVE_PATTERNS,
    UNSEEN_PAIR_PATTERNS,
    UNSEEN_THREE_PATTERNS,
    UNSEEN_TWO_PATTERNS,
)
from envs.world import Goal

KINDS = ("pair", "move", "two", "three", "line", "gather")
LEVELS = ("train", "rephrase", "easy", "hard")
SPEC_SIZE = 10
_NUM_CONJUNCTIONS = 80  # of two relations, and as many of three
_HARD_SEED = 20240
_UNSEEN_SEED = 70_000
_UNSEEN_CYCLE = (
    *("pair", "two", "move", "three", "pair"),
    *("gather", "two", "move", "line", "pair"),
)


def clevr_goals(level: str) -> list[Goal]:
    """All goals of a level, in a fixed order.

    Raises:
        ValueError: if `level` is not one of `LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"Unknown level `{level}`. Choose one of {', '.join(LEVELS)}.")
    return list(_goals(level))


def canonical_text(source: int, target: int, direction: int) -> str:
    """The one training sentence that stands for a relation wherever goals are decomposed."""
    return train_text((source, target, direction), 0, 0)


def train_text(relation: Relation, pattern: int, phrasing: int) -> str:
    """One of the 54 training sentences of a relation.

    Args:
        pattern: index into the 18 training patterns.
        phrasing: index into the 3 phrasings of the direction.
    """
    source, target, direction = relation
    return TRAIN_PATTERNS[pattern].format(
        s=COLORS[source], t=COLORS[target], d=RELATION_PHRASES[direction][phrasing]
    )


def pair_spec(*relations: Relation) -> tuple[int, ...]:
    """The spec of one relation, or of two or three that must hold together."""
    kind = KINDS.index(("pair", "two", "three")[len(relations) - 1])
    return _padded(kind, *(number for relation in relations for number in relation))


def move_spec(ball: int, direction: int) -> tuple[int, ...]:
    """The spec of one ball that moves in one direction."""
    return _padded(KINDS.index("move"), ball, -1, direction)


def relations_of(goal: Goal) -> list[Relation]:
    """The pair relations of a goal of kind pair, two or three; empty for the other kinds."""
    count = {"pair": 1, "two": 2, "three": 3}.get(goal.kind, 0)
    numbers = goal.spec[1 : 1 + 3 * count]
    return [(numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, 3 * count, 3)]


def noun_phrase(relation: Relation, phrasing: int = 0) -> str:
    """A relation as part of a conjunction: "the red ball to the left of the blue ball"."""
    source, target, direction = relation
    phrase = RELATION_PHRASES[direction][phrasing]
    return f"the {COLORS[source]} ball {phrase} the {COLORS[target]} ball"


def evaluation_combinations() -> frozenset[frozenset[Relation]]:
    """Keys of all two- and three-goal conjunctions of the hard level."""
    return frozenset(
        combination_key(relations_of(goal))
        for goal in _goals("hard")
        if goal.kind in ("two", "three")
    )


def unseen_sentence_goals(count: int, seed: int) -> list[Goal]:
    """Goals to imagine under the strict protocol: like the novel levels' goals, never one of them.

    Sentence patterns differ from all levels', and conjunctions are of other relations. Line and
    gather have one configuration each, so there only the sentences are unseen; sentences of moves,
    lines and gatherings repeat when many are asked for.

    Args:
        count: number of goals; of each ten, three are pairs, two moves, two of two relations,
            and one each of three relations, line and gather.
        seed: the goals are a pure function of (count, seed).
    """
    kinds = [_UNSEEN_CYCLE[index % len(_UNSEEN_CYCLE)] for index in range(count)]
    rng = np.random.default_rng([_UNSEEN_SEED, seed])
    banned = evaluation_combinations()
    drawn = {
        kind: iter(draw_combinations(size, kinds.count(kind), _UNSEEN_SEED + seed, banned))
        for kind, size in (("two", 2), ("three", 3))
    }
    relations = all_relations()
    goals = []
    for kind in kinds:
        if kind == "pair":
            goals.append(_unseen_pair(relations[rng.integers(len(relations))], rng))
        elif kind == "move":
            goals.append(_unseen_move(rng))
        elif kind in drawn:
            goals.append(_unseen_conjunction(next(drawn[kind]), kind, rng))
        else:
            texts = UNSEEN_LINE_TEXTS if kind == "line" else UNSEEN_GATHER_TEXTS
            text = texts[rng.integers(len(texts))]
            goals.append(Goal(text, "hard", kind, _padded(KINDS.index(kind))))
    return goals


def _unseen_pair(relation: Relation, rng: np.random.Generator) -> Goal:
    source, target, direction = relation
    pattern = UNSEEN_PAIR_PATTERNS[rng.integers(len(UNSEEN_PAIR_PATTERNS))]
    phrasing = rng.integers(3)
    text = pattern.format(
        s=COLORS[source],
        t=COLORS[target],
        d=RELATION_PHRASES[direction][phrasing],
        o=RELATION_PHRASES[(direction + 2) % 4][phrasing],
    )
    return Goal(text, "rephrase", "pair", pair_spec(relation))


def _unseen_move(rng: np.random.Generator) -> Goal:
    ball, direction = int(rng.integers(NUM_BALLS)), int(rng.integers(4))
    text = UNSEEN_MOVE_PATTERNS[rng.integers(len(UNSEEN_MOVE_PATTERNS))].format(
        s=COLORS[ball], w=MOVE_ADVERBS[direction], p=MOVE_PHRASES[direction]
    )
    return Goal(text, "easy", "move", move_spec(ball, direction))


def _unseen_conjunction(
    relations: tuple[Relation, ...], kind: str, rng: np.random.Generator
) -> Goal:
    patterns = UNSEEN_TWO_PATTERNS if kind == "two" else UNSEEN_THREE_PATTERNS
    parts = [noun_phrase(relation, int(rng.integers(3))) for relation in relations]
    pattern = patterns[rng.integers(len(patterns))]
    text = pattern.format(**dict(zip("abc", parts, strict=False)))
    return Goal(text, "hard", kind, pair_spec(*relations))


@cache
def _goals(level: str) -> tuple[Goal, ...]:
    builders: dict[str, Callable[[], list[Goal]]] = {
        "train": _train_goals,
        "rephrase": _rephrase_goals,
        "easy": _easy_goals,
        "hard": _hard_goals,
    }
    return tuple(builders[level]())


def _padded(*numbers: int) -> tuple[int, ...]:
    return numbers + (-1,) * (SPEC_SIZE - len(numbers))


def _train_goals() -> list[Goal]:
    return [
        Goal(train_text(relation, pattern, phrasing), "train", "pair", pair_spec(relation))
        for relation in all_relations()
        for pattern in range(len(TRAIN_PATTERNS))
        for phrasing in range(3)
    ]


def _rephrase_goals() -> list[Goal]:
    return [
        Goal(
            pattern.format(s=COLORS[relation[0]], t=COLORS[relation[1]]),
            "rephrase",
            "pair",
            pair_spec(relation),
        )
        for relation in all_relations()
        for pattern in REPHRASE_PATTERNS[relation[2]]
    ]


def _easy_goals() -> list[Goal]:
    return [
        Goal(
            pattern.format(s=COLORS[ball], w=MOVE_ADVERBS[direction], p=MOVE_PHRASES[direction]),
            "easy",
            "move",
            move_spec(ball, direction),
        )
        for direction in range(4)
        for ball in range(NUM_BALLS)
        for pattern in MOVE_PATTERNS
    ]


def _hard_goals() -> list[Goal]:
    two = draw_combinations(2, _NUM_CONJUNCTIONS, _HARD_SEED)
    three = draw_combinations(3, _NUM_CONJUNCTIONS, _HARD_SEED)
    return [
        *_conjunctions(two, TWO_PATTERNS, "two"),
        *_conjunctions(three, THREE_PATTERNS, "three"),
        *(Goal(text, "hard", "line", _padded(KINDS.index("line"))) for text in LINE_TEXTS),
        *(Goal(text, "hard", "gather", _padded(KINDS.index("gather"))) for text in GATHER_TEXTS),
    ]


def _conjunctions(
    combinations: Sequence[tuple[Relation, ...]], patterns: Sequence[str], kind: str
) -> list[Goal]:
    """One goal a combination; patterns and phrasings of directions take turns."""
    goals = []
    for index, relations in enumerate(combinations):
        parts = {
            name: noun_phrase(relation, (index // len(patterns) + place) % 3)
            for place, (name, relation) in enumerate(zip("abc", relations, strict=False))
        }
        text = patterns[index % len(patterns)].format(**parts)
        goals.append(Goal(text, "hard", kind, pair_spec(*relations)))
    return goals
