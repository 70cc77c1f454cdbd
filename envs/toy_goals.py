"""Goals of the toy worlds as data, and what their sentences mean in simpler ones."""

from functools import cache
from itertools import product

import numpy as np

from envs.world import Goal

DISCS = ("red", "green", "blue")
DIRECTIONS = ("left", "right", "above", "below")
LEVELS = ("train", "rephrase", "easy", "hard")

_PHRASES = ("left of", "right of", "above", "below")
_MOVES = ("to the left", "to the right", "up", "down")
_TRAIN = (
    "Put the {a} disc {d} the {b} disc.",
    "Move the {a} disc so that it lies {d} the {b} disc.",
    "Can you bring the {a} disc {d} the {b} disc?",
)
_REPHRASE = (
    "I would like to see {a} {d} {b}.",
    "Never mind the rest: {a} belongs {d} {b}.",
)
_EASY = ("Push the {a} disc {d}.", "Shift {a} a bit {d}.")
_HARD = "Arrange the discs: {a} {d} {b}, and {c} {e} {f}."
_UNSEEN = "Bring it about that {a} lies {d} {b} while {c} lies {e} {f}."
_COMPOSITE = (
    "Get {a} {d} {b}, then {c} {e} {f}.",
    "Both things are wanted, {a} {d} {b} as well as {c} {e} {f}.",
)
_SYNONYMS = ("Let {a} rest {d} {b}.", "{a} {d} {b}, if you please.")
_QUESTION = "Divide this goal into simple goals: {} Simple goals:"
_UNUSED = -1


def _relations(sources: tuple[int, ...]) -> list[tuple[int, int, int]]:
    return [
        (source, direction, target)
        for source, direction, target in product(sources, range(4), range(len(DISCS)))
        if source != target
    ]


def _conjunctions(sources: tuple[int, ...]) -> list[tuple[int, ...]]:
    relations = _relations(sources)
    return [
        first + second
        for place, first in enumerate(relations)
        for second in relations[place + 1 :]
        if {first[0], first[2]} != {second[0], second[2]}
    ]


def _fill(form: str, spec: tuple[int, ...]) -> str:
    a, d, b = spec[:3]
    c, e, f = spec[3:] if len(spec) == 6 else spec[:3]
    return form.format(a=DISCS[a], d=_PHRASES[d], b=DISCS[b], c=DISCS[c], e=_PHRASES[e], f=DISCS[f])


@cache
def goals(level: str, sources: tuple[int, ...]) -> tuple[Goal, ...]:
    """All goals of a level that move discs among `sources`, in a fixed order.

    A spec is two relations (source, direction, target), each padded with -1.

    Raises:
        ValueError: the level is unknown.
    """
    padding = (_UNUSED,) * 3
    if level in ("train", "rephrase"):
        forms = _TRAIN if level == "train" else _REPHRASE
        return tuple(
            Goal(_fill(form, spec), level, "pair", spec + padding)
            for form in forms
            for spec in _relations(sources)
        )
    if level == "easy":
        return tuple(
            Goal(form.format(a=DISCS[a], d=_MOVES[d]), level, "move", (a, d, _UNUSED, *padding))
            for form in _EASY
            for a, d in product(sources, range(4))
        )
    if level == "hard":
        return tuple(
            Goal(_fill(_HARD, spec), level, "two_goals", spec) for spec in _conjunctions(sources)
        )
    raise ValueError(f"Unknown level `{level}`. Choose one of: {', '.join(LEVELS)}.")


def unseen_goals(count: int, seed: int, sources: tuple[int, ...]) -> tuple[Goal, ...]:
    """Conjunctions in words that no level uses."""
    specs = _conjunctions(sources)
    chosen = np.random.default_rng(seed).integers(len(specs), size=count)
    return tuple(
        Goal(_fill(_UNSEEN, specs[place]), "hard", "two_goals", specs[place]) for place in chosen
    )


def knowledge(
    count: int, rng: np.random.Generator, sources: tuple[int, ...]
) -> list[tuple[str, str]]:
    """Pairs of a composite or rephrased goal's question and its training sentences."""
    singles: list[tuple[int, ...]] = [*_relations(sources)]
    doubles = _conjunctions(sources)
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        composite = rng.random() < 0.75
        specs, forms = (doubles, _COMPOSITE) if composite else (singles, _SYNONYMS)
        spec = specs[rng.integers(len(specs))]
        parts = [spec[place : place + 3] for place in range(0, len(spec), 3)]
        question = _QUESTION.format(_fill(forms[rng.integers(2)], spec))
        pairs.append((question, " ; ".join(_fill(_TRAIN[0], part) for part in parts)))
    return pairs
