"""Sentence patterns: what is left of a sentence when balls and directions are taken out.

Text-only knowledge must not share patterns with the evaluation's sentences; this module says what
"share" means: the whole pattern is the same, or `GRAM_SIZE` consecutive words of it are.
"""

import re
from collections.abc import Iterable
from functools import cache

from envs.clevr.goals import LEVELS, clevr_goals
from envs.clevr.lexicon import BALL_NOUNS, MOVE_WORDS, RELATION_WORDS
from envs.clevr.sentences import COLORS

GRAM_SIZE = 6  # consecutive words of a pattern that must not be shared
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def pattern_of(text: str) -> tuple[str, ...]:
    """The words of `text` with every ball as X, relation as D and movement as W."""
    words = " ".join(_WORD.findall(text.lower()))
    words = _either(phrase for group in RELATION_WORDS for phrase in group).sub("D", words)
    words = _either(phrase for group in MOVE_WORDS for phrase in group).sub("W", words)
    return tuple(_balls().sub("X", words).split())


def grams(pattern: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every run of `GRAM_SIZE` words in `pattern`, and the whole pattern."""
    runs = range(len(pattern) - GRAM_SIZE + 1)
    return {pattern} | {pattern[start : start + GRAM_SIZE] for start in runs}


def is_held_out(text: str) -> bool:
    """Whether `text` shares a pattern with any sentence of the novel levels."""
    return not held_out_grams().isdisjoint(grams(pattern_of(text)))


@cache
def held_out_grams() -> frozenset[tuple[str, ...]]:
    """All patterns of the novel levels, and every run of `GRAM_SIZE` words in them."""
    texts = {goal.text for level in LEVELS[1:] for goal in clevr_goals(level)}
    return frozenset(gram for text in texts for gram in grams(pattern_of(text)))


@cache
def _balls() -> re.Pattern[str]:
    colors, nouns = "|".join(COLORS), "|".join(BALL_NOUNS)
    return re.compile(rf"\b(?:(?:the|a|an) )?(?:{colors})(?: (?:{nouns}))?\b")


def _either(phrases: Iterable[str]) -> re.Pattern[str]:
    return _alternatives(tuple(sorted(phrases, key=len, reverse=True)))


@cache
def _alternatives(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b")
