"""Sentences from rules: `<name>` stands for an option of rule `name`, or for a caller's slot."""

import re
from collections.abc import Callable, Mapping

import numpy as np

Slots = Mapping[str, Callable[[np.random.Generator], str]]

_NAME = re.compile(r"<(\w+)>")


def expand(
    template: str, rules: Mapping[str, tuple[str, ...]], slots: Slots, rng: np.random.Generator
) -> str:
    """`template` with every `<name>` replaced by a slot's text or by a random option, in depth."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name in slots:
            return slots[name](rng)
        return expand(pick(rules[name], rng), rules, slots, rng)

    return " ".join(_NAME.sub(replace, template).split())


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of `options`, all equally likely."""
    return options[int(rng.integers(len(options)))]


def as_sentence(text: str, rng: np.random.Generator) -> str:
    """`text` as people type it: mostly with a capital letter and a full stop."""
    if rng.random() < 0.85:
        text = text[:1].upper() + text[1:]
    if text[-1] not in ".!?" and rng.random() < 0.85:
        text += "."
    return text.replace(" ,", ",").replace(" .", ".").replace("!.", "!")
