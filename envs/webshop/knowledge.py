"""Text-only knowledge of shopping language: what a pretrained language model would bring.

Pairs of question and answer: instructions with what they ask for. No page, no action, no product,
and no sentence pattern of the test goals, whose words are taught in other sentences. A part of the
phrases is invented, so that a model learns to copy words that it has never seen.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from envs.webshop.departments import DEPARTMENTS
from envs.webshop.generation import pick
from envs.webshop.requirements import (
    FEATURE,
    OPTION,
    PRICE,
    PRODUCT,
    UNCLEAR,
    Requirement,
    price_text,
    requirement_question,
)
from envs.webshop.vocabulary import OPTION_VALUES
from envs.webshop.wordings import WORDINGS

UNCLEAR_SHARE = 0.04  # sentences that ask for nothing
TRAIN_SHARE = 0.4  # of the other parts of sentences: in training patterns
INVENTED_SHARE = 0.2  # of phrases
PRICED_SHARE = 0.85  # of sentences name a limit
MAX_FEATURES, MAX_OPTIONS = 3, 3
_REQUESTS = (
    "do you sell a {kind}? it should be {attributes}",
    "please help me find a {kind}, something {attributes}",
    "could you show me {attributes} {kind}",
    "my friend would like a {kind}; {attributes} please",
    "{attributes} {kind} wanted",
    "you could shop for a {kind}, namely one that is {attributes}",
    "i asked for {attributes} {kind}",
    "my mother insists on {attributes} for her new {kind}",
    "my {kind} is old, please find another one that is {attributes}",
    "the {kind} of a friend broke; i want one like it, {attributes}",
    "pick a {kind} for me: {attributes}",
    "would you pick out a {kind} with {attributes}",
    "a {kind} that is {attributes} is what i would like",
    "{kind}: {attributes}",
    "it should be a {attributes} {kind}",
    "so i would like something {attributes}: a {kind}",
    "help me out with {attributes} {kind}",
    "a friend needs a {kind} that must be {attributes}",
    "something {attributes} is wanted, it is a {kind}",
    "another {kind} please; it has to be {attributes}",
    "please shop for {attributes} {kind}",
    "i broke my {kind} and look for one that is {attributes}",
    "we insist on a {kind}, it should be {attributes}",
)
_BARE_REQUESTS = (
    *("i need a {kind}", "please find a {kind}", "could you help me get a {kind}", "{kind}"),
    *("a friend would like a {kind}", "my old {kind} broke", "shop for a {kind}"),
)
_OPTIONS = (
    "; the {name} should be {value}",
    "; {value} is the {name} i want",
    "; as {name} take {value}",
    ", {value} {name}",
    "; let the {name} be {value}",
    "; i would like {value} for the {name}",
    "; make sure that the {name} is {value}",
    "; it ought to come in {value} {name}",
    "; make the {name} {value}",
    "; {name} ought to be {value}",
    "; please make it {value}",
    "; the {name} is to be {value}",
)
_PRICES = (
    "; my budget is {upper:.0f} usd",
    "; i can spend {upper:.0f} bucks",
    "; not above {upper:.2f} dollars",
    "; do not go over {upper:.0f} usd",
    ", at most {upper:.0f} bucks",
    "; {upper:.0f} dollars is where it ends",
    "; the price should stay under ${upper:.2f}",
    "; please spend less than {upper:.2f} usd",
    "; above {upper:.0f} bucks is too much",
    "; the budget for it ends with {upper:.2f} dollars",
    "; we do not spend more than {upper:.0f} bucks",
    "; my limit is at {upper:.2f} usd",
)
_JOINTS = (" and ", " and ", " and ", ", ", " , ")
_FILLERS = """
could you help me for my old so i would like another one it should be please something a an the
friend asked insists on make as ought to do not above budget ends at what time when is how are good
thanks hello and with of this that broke out spend
"""
_SYLLABLES = "ba dor fen gi kul lem mos nar pri quo ras sil tov urn vex wil yan zot cra blu"
_ENDINGS = ("", "", "n", "s", "ck", "ly", "ish")


@dataclass(frozen=True)
class Lexicon:
    """Phrases by what they say about a product."""

    products: tuple[str, ...]
    features: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]  # of options, by name


@cache
def lexicon() -> Lexicon:
    """The phrases of a shopping language, from word lists and not from products."""
    kinds = (kind for own in DEPARTMENTS for shelf in own.shelves.values() for kind in shelf)
    features = (feature for own in DEPARTMENTS for feature in own.attributes)
    return Lexicon(tuple(dict.fromkeys(kinds)), tuple(dict.fromkeys(features)), OPTION_VALUES)


def knowledge(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """`count` pairs of question and answer."""
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        unclear = rng.random() < UNCLEAR_SHARE
        sentence, answer = _unclear(rng) if unclear else _reading(rng)
        if not is_held_out(sentence):
            pairs.append((requirement_question(sentence), answer))
    return pairs


def is_held_out(sentence: str) -> bool:
    """Whether a wording of the test goals is all or a part of a sentence."""
    return any(pattern.search(sentence) for pattern in _held_out_patterns())


@cache
def _held_out_patterns() -> tuple[re.Pattern[str], ...]:
    held_out = WORDINGS["test"]
    frames = (*held_out.requests, *held_out.options, *held_out.prices)
    return tuple(
        re.compile(r".+?".join(re.escape(part) for part in re.split(r"\{.*?\}", frame)))
        for frame in frames
    )


def _unclear(rng: np.random.Generator) -> tuple[str, str]:
    words = [pick(rng, _FILLERS.split()) for _ in range(int(rng.integers(2, 14)))]
    return " ".join(words), UNCLEAR


def _reading(rng: np.random.Generator) -> tuple[str, str]:
    """An instruction and what it asks for."""
    words = lexicon()
    invented = rng.random() < INVENTED_SHARE
    product = _invented(rng) if invented else pick(rng, words.products)
    features = _features(rng, words, invent=not invented)
    sentence, parts = _request(rng, product, features)
    for name in _some(rng, tuple(words.values), int(rng.integers(0, MAX_OPTIONS + 1))):
        value = _phrase(rng, words.values[name])
        parts.append((OPTION, value))
        sentence += _frame(rng, WORDINGS["train"].options, _OPTIONS).format(name=name, value=value)
    if rng.random() < PRICED_SHARE:
        upper = 10.0 * int(rng.integers(1, 100))
        parts.append((PRICE, price_text(upper)))
        sentence += _frame(rng, WORDINGS["train"].prices, _PRICES).format(upper=upper)
    return sentence, Requirement(tuple(parts)).text()


def _features(rng: np.random.Generator, words: Lexicon, *, invent: bool) -> list[str]:
    """Up to three features, mostly of one department.

    Args:
        invent: allow invented ones: beside an invented product nobody could tell where one ends.
    """
    own = DEPARTMENTS[int(rng.integers(len(DEPARTMENTS)))].attributes
    known = own if rng.random() < 0.5 else words.features
    chosen = _some(rng, known, int(rng.integers(0, MAX_FEATURES + 1)))
    return [_phrase(rng, (feature,)) if invent else feature for feature in chosen]


def _request(
    rng: np.random.Generator, product: str, features: Sequence[str]
) -> tuple[str, list[tuple[str, str]]]:
    """A request, and its parts in the order of mention."""
    if not features:
        return pick(rng, _BARE_REQUESTS).format(kind=product), [(PRODUCT, product)]
    frame = _frame(rng, WORDINGS["train"].requests, _REQUESTS)
    said = frame.format(kind=product, attributes=pick(rng, _JOINTS).join(features))
    wanted = [(FEATURE, feature) for feature in features]
    first = frame.index("{kind}") < frame.index("{attributes}")
    return said, [(PRODUCT, product), *wanted] if first else [*wanted, (PRODUCT, product)]


def _frame(rng: np.random.Generator, train: Sequence[str], other: Sequence[str]) -> str:
    return pick(rng, train if rng.random() < TRAIN_SHARE else other)


def _phrase(rng: np.random.Generator, known: Sequence[str]) -> str:
    return _invented(rng) if rng.random() < INVENTED_SHARE else pick(rng, known)


def _invented(rng: np.random.Generator) -> str:
    """One or two words that no language has."""
    return " ".join(_word(rng) for _ in range(int(rng.integers(1, 3))))


def _word(rng: np.random.Generator) -> str:
    syllables = [pick(rng, _SYLLABLES.split()) for _ in range(int(rng.integers(2, 4)))]
    return "".join(syllables) + pick(rng, _ENDINGS)


def _some(rng: np.random.Generator, values: Sequence[str], count: int) -> list[str]:
    return [values[place] for place in rng.permutation(len(values))[:count]]
