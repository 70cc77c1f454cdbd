"""Text-only knowledge of BabyAI's language: what a pretrained language model would bring.

Pairs of question and answer: goals in words with their programs, and what single words mean. No
states, no actions, and of the evaluation neither a sentence nor a pattern: new verbs, nouns and
colours are taught in other sentences, and held-out combinations are never named.
"""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from envs.babyai.cells import COLORS, DOOR
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    KINDS,
    NAMED,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    THINGS,
    tile_spec,
)
from envs.babyai.lexicon import (
    COLOR_WORDS,
    DEEDS,
    NOUNS,
    OTHER_COLORS,
    OTHER_DEEDS,
    OTHER_NOUNS,
    TILES,
)
from envs.babyai.program_text import ANY_WORD, RELATIONS, SEPARATOR, UNCLEAR, reading_question
from envs.babyai.splits import SplitDesign
from envs.babyai.wordings import TEST, TRAIN
from envs.grammar import expand, pick

LARGEST_COORDINATE = 49  # of a tile in the grids of 7 x 7 rooms
FACT_SHARE = 0.04  # of all knowledge: what single words mean
UNCLEAR_SHARE = 0.06  # sentences that no program tells
TRAIN_SHARE = 0.2  # of the other sentences: in training patterns, with words old and new
OTHER_SHARE = 0.4  # of nouns, and of colours, that no grid holds
ANY_SHARE = 0.15  # of things without a colour
_KIND_SHARES = (0.16, 0.14, 0.08, 0.44, 0.18)  # of goals, by kind
_FRAMES = {
    "request": (*("<deed>",) * 6, *("<opener> <deed>",) * 2, *("<other>",) * 6),
    "opener": (
        *("please", "now", "try to", "you should", "you have to", "I want you to", "your task :"),
        *("the goal is to", "can you", "next ,", "quickly", "carefully"),
    ),
    "other": (
        *("<thing> : <deed_it>", "find <thing> and <deed_it>", "look for <thing> , <deed_it>"),
        *("there is <thing> ; <deed_it>", "do you see <thing> ? <deed_it>", "<thing> , <deed_it>"),
        *("<gap> this : <thing>", "<gap> what I name : <thing>", "<thing> is what to <gap>"),
        *("what to <gap> is <thing>", "it is <thing> that you should <gap>"),
        *("what you should <gap> : <thing>", "to <gap> , choose <thing>"),
    ),
}
_COLOR_FRAMES = (
    *("the {color} {noun}",) * 8,
    *("the {noun} that is {color}", "the {noun} of {color} colour"),
)
_ANY_FRAMES = (
    *("{article} {noun}",) * 6,
    *("any {noun}", "some {noun}", "{article} {noun} of any colour"),
)
_BANS = ("do not", "never", "you must not", "do anything but")
_ARTICLES = "a|an|the|any|some|one|this|that|every"
_NOUN_WORDS = "|".join(word for group in (*NOUNS.values(), OTHER_NOUNS) for word in group)
_COLOR_WORDS = "|".join(word for group in (*COLOR_WORDS, OTHER_COLORS) for word in group)
_WORD = re.compile(r"[a-z]+|\d+")
_NAMED_THING = re.compile(rf"\b(?:(?:{_ARTICLES}) )?(?:(?:{_COLOR_WORDS}) )?(?:{_NOUN_WORDS})\b")
_COLOR = re.compile(rf"\b(?:{_COLOR_WORDS})\b")


@dataclass(frozen=True)
class _Name:
    """What a sentence calls something, and what its program calls it."""

    said: str
    plain: str


def knowledge(
    count: int, rng: np.random.Generator, design: SplitDesign | None = None
) -> list[tuple[str, str]]:
    """`count` pairs of question and answer: goals to read, and facts about words."""
    design = design or SplitDesign()
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        chance = rng.random()
        if chance < FACT_SHARE:
            pairs.append(_fact(rng))
            continue
        unclear = chance < FACT_SHARE + UNCLEAR_SHARE
        sentence, answer = _unclear(rng, design) if unclear else _reading(rng, design)
        if not is_held_out(sentence, design):
            pairs.append((reading_question(sentence), answer))
    return pairs


def pattern_of(text: str) -> str:
    """The words of `text`, every thing as X, every other colour as C, numbers as 9, no marks."""
    words = " ".join(_WORD.findall(text.lower()))
    return re.sub(r"\d+", "9", _COLOR.sub("C", _NAMED_THING.sub("X", words)))


def is_held_out(text: str, design: SplitDesign) -> bool:
    """Whether the pattern of a sentence of evaluation is all or a part of the pattern of `text`."""
    words = f" {pattern_of(text)} "
    return any(f" {pattern} " in words for pattern in held_out_patterns(design))


@cache
def held_out_patterns(design: SplitDesign) -> tuple[str, ...]:
    """Patterns of goals in new words, and of the kinds that training never sees in any words."""
    found = [TEST.patterns[kind] for kind in range(len(KINDS))]
    found += [TRAIN.patterns[KINDS.index(name)] for name in design.held_out_kinds]
    thing = TRAIN.name((DOOR, ANY))
    return tuple(pattern_of(p.format(thing, thing, x=1, y=1)) for group in found for p in group)


def _reading(rng: np.random.Generator, design: SplitDesign) -> tuple[str, str]:
    """A goal in words, and its program."""
    kind = int(rng.choice(len(KINDS), p=_KIND_SHARES))
    names = _names(kind, rng, design)
    answer = f"{RELATIONS[kind]} {SEPARATOR.join(name.plain for name in names)}"
    said = [name.said for name in names]
    if kind != GO_TO_TILE and rng.random() < TRAIN_SHARE:
        return pick(TRAIN.patterns[kind], rng).format(*said), answer
    return _request(pick(DEEDS[kind], rng), said, rng), answer


def _unclear(rng: np.random.Generator, design: SplitDesign) -> tuple[str, str]:
    """A sentence that no program tells: another deed, none, two of them, or an impossible one."""
    chance = rng.random()
    if chance < 0.4:
        return _request(pick(OTHER_DEEDS, rng), [_thing(NAMED, rng, design).said], rng), UNCLEAR
    if chance < 0.6:
        kind, types = ((PICK_UP, (DOOR,)), (OPEN_DOOR, THINGS))[int(rng.integers(2))]
        return _request(pick(DEEDS[kind], rng), [_thing(types, rng, design).said], rng), UNCLEAR
    if chance < 0.8:
        return f"{_reading(rng, design)[0]} and then {_reading(rng, design)[0]}", UNCLEAR
    kind = int(rng.integers(len(KINDS)))
    names = _names(kind, rng, design)
    deed = _filled(pick(DEEDS[kind], rng), names[0].said, names[-1].said)
    return f"{pick(_BANS, rng)} {deed}", UNCLEAR


def _fact(rng: np.random.Generator) -> tuple[str, str]:
    """What a noun, a colour or a verb means."""
    chance = int(rng.integers(3))
    if chance == 0:
        kind = int(rng.choice(NAMED))
        return f"Which plain word means `{pick(NOUNS[kind], rng)}`?", NOUNS[kind][0]
    if chance == 1:
        color = int(rng.integers(len(COLORS)))
        return f"Which plain word means `{pick(COLOR_WORDS[color], rng)}`?", COLORS[color]
    kind = int(rng.integers(len(KINDS)))
    return f"What is asked for by `{_filled(pick(DEEDS[kind], rng), '', '')}`?", RELATIONS[kind]


def _names(kind: int, rng: np.random.Generator, design: SplitDesign) -> list[_Name]:
    """The tile or the things of a goal of that kind, none of them held out."""
    if kind == GO_TO_TILE:
        return [_tile(rng, design)]
    first = _thing({GO_TO: NAMED, OPEN_DOOR: (DOOR,)}.get(kind, THINGS), rng, design)
    return [first, _thing(NAMED, rng, design)] if kind == PUT_NEXT else [first]


def _tile(rng: np.random.Generator, design: SplitDesign) -> _Name:
    while True:
        x, y = (int(number) for number in rng.integers(LARGEST_COORDINATE + 1, size=2))
        if design.novelty(tile_spec(x, y)) != "combination":
            return _Name(pick(TILES, rng).format(x=x, y=y), f"{x} {y}")


def _thing(types: tuple[int, ...], rng: np.random.Generator, design: SplitDesign) -> _Name:
    """A thing of one of those types, or one that no grid holds."""
    while True:
        color = ANY if rng.random() < ANY_SHARE else int(rng.integers(len(COLORS)))
        kind = int(rng.choice(types))
        other_noun, other_color = rng.random(2) < OTHER_SHARE
        if other_noun or (other_color and color != ANY):
            break
        if (kind, color) not in design.held_out_combinations:
            break
    noun, plain = pick(NOUNS[kind], rng), NOUNS[kind][0]
    if other_noun:
        noun = plain = pick(OTHER_NOUNS, rng)
    if color == ANY:
        article = "an" if noun[0] in "aeiou" else "a"
        said = pick(_ANY_FRAMES, rng).format(article=article, noun=noun)
        return _Name(said, f"{ANY_WORD} {plain}")
    word, plain_color = pick(COLOR_WORDS[color], rng), COLORS[color]
    if other_color:
        word = plain_color = pick(OTHER_COLORS, rng)
    said = pick(_COLOR_FRAMES, rng).format(color=word, noun=noun)
    return _Name(said, f"{plain_color} {plain}")


def _request(deed: str, names: list[str], rng: np.random.Generator) -> str:
    """A sentence that asks for `deed` with the things `names`."""
    first, second = names[0], names[-1]
    slots = {
        "deed": lambda rng: _filled(deed, first, second),
        "deed_it": lambda rng: _filled(deed, "it", second),
        "gap": lambda rng: _filled(deed, "", second),
        "thing": lambda rng: first,
    }
    return expand("<request>", _FRAMES, slots, rng)


def _filled(deed: str, first: str, second: str) -> str:
    return " ".join(deed.replace("_", first).replace("~", second).split())
