"""How instructions are worded; no wording of one split is used in another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.webshop.generation import pick


@dataclass(frozen=True)
class Wordings:
    """Frames of the requests, of the options and of the price limit of one split."""

    requests: tuple[str, ...]  # kind and attributes
    options: tuple[str, ...]  # name and value
    prices: tuple[str, ...]  # upper price in dollars


WORDINGS = {
    "train": Wordings(
        (
            "i am looking for a {kind} that is {attributes}",
            "i need a {attributes} {kind}",
            "find me a {kind} which is {attributes}",
            "i want to buy a {kind}, {attributes}",
            "get me some {attributes} {kind}",
            "show me a {kind} with these features: {attributes}",
        ),
        (", {name}: {value}", ", with {name} {value}", " in {value} {name}"),
        (
            ", and price lower than {upper:.2f} dollars",
            ", under {upper:.0f} dollars",
            ", that costs less than ${upper:.0f}",
        ),
    ),
    "test": Wordings(
        (
            "could you help me shop for {attributes} {kind}?",
            "my old {kind} broke, so i would like another one; it should be {attributes}",
            "please pick out something {attributes}, namely a {kind}",
            "a friend asked for a {kind} and insists on {attributes}",
        ),
        ("; make it {value} as the {name}", "; the {name} ought to be {value}"),
        (
            "; do not spend above {upper:.0f} bucks",
            "; my budget ends at {upper:.2f} usd",
        ),
    ),
}


def word_instruction(
    split: str,
    kind: str,
    attributes: Sequence[str],
    options: Mapping[str, str],
    price_upper: float | None,
    rng: np.random.Generator,
) -> str:
    """An instruction of the split in words, in lower case.

    Args:
        price_upper: dollars, or None where there is no limit.
    """
    wordings = WORDINGS[split]
    text = pick(rng, wordings.requests).format(kind=kind, attributes=" and ".join(attributes))
    for name, value in options.items():
        text += pick(rng, wordings.options).format(name=name, value=value)
    if price_upper is not None:
        text += pick(rng, wordings.prices).format(upper=price_upper)
    return text
