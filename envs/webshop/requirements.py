"""What an instruction asks for as a short formal text, the answer that a model is taught to give.

    feature: bpa free | feature: quiet play | product: marble run | option: navy | price: 50

Every phrase is copied from the instruction, in the order of mention, so that words nobody has heard
of can be read too.
`imagination.requirements` gives these texts their meaning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PRODUCT, FEATURE, OPTION, PRICE = PARTS = ("product", "feature", "option", "price")
SEPARATOR = " | "  # between parts
UNCLEAR = "unclear"  # the answer about words that ask for nothing
_PRICE = re.compile(r"\d{1,6}(?:\.\d{1,2})?")


@dataclass(frozen=True)
class Requirement:
    """What is wanted, in the instruction's own words; it checks itself on construction."""

    parts: tuple[tuple[str, str], ...]  # name and phrase of each part, in the order of mention

    def __post_init__(self) -> None:
        names = [name for name, _ in self.parts]
        wrong = [name for name in names if name not in PARTS]
        if wrong or names.count(PRODUCT) != 1 or names.count(PRICE) > 1:
            raise ValueError(
                f"Expected one product, at most one price, and otherwise features and options, "
                f"got {names}."
            )
        for name, phrase in self.parts:
            if not phrase.strip() or "|" in phrase:
                raise ValueError(f"Expected phrases of words without `|`, got `{phrase}`.")
            if name == PRICE and not _PRICE.fullmatch(phrase):
                raise ValueError(f"Expected a price in dollars, got `{phrase}`.")

    @property
    def product(self) -> str:
        """What it is."""
        return self._phrases(PRODUCT)[0]

    @property
    def features(self) -> tuple[str, ...]:
        """What it is like; equal phrases once."""
        return tuple(dict.fromkeys(self._phrases(FEATURE)))

    @property
    def options(self) -> tuple[str, ...]:
        """Values to choose when buying; equal ones once."""
        return tuple(dict.fromkeys(self._phrases(OPTION)))

    @property
    def price(self) -> float | None:
        """The most that it may cost in dollars, or None where no limit is named."""
        return next(map(float, self._phrases(PRICE)), None)

    def _phrases(self, wanted: str) -> list[str]:
        return [phrase for name, phrase in self.parts if name == wanted]

    def text(self) -> str:
        """The requirement as a model writes it; `parse_requirement` reads it back."""
        return SEPARATOR.join(f"{name}: {phrase}" for name, phrase in self.parts)


def require(
    product: str,
    features: Sequence[str] = (),
    options: Sequence[str] = (),
    price: float | None = None,
) -> Requirement:
    """A requirement whose parts are mentioned in the order of the arguments."""
    parts = [(PRODUCT, product)]
    parts += [(FEATURE, feature) for feature in features]
    parts += [(OPTION, option) for option in options]
    if price is not None:
        parts.append((PRICE, price_text(price)))
    return Requirement(tuple(parts))


def price_text(price: float) -> str:
    """A price in dollars, without cents where they are zero."""
    return f"{price:.2f}".removesuffix(".00")


def parse_requirement(text: str) -> Requirement | None:
    """The requirement that `text` tells, or None where it tells none."""
    parts = [part.partition(": ")[::2] for part in text.strip().split(SEPARATOR)]
    try:
        return Requirement(tuple((name, " ".join(phrase.split())) for name, phrase in parts))
    except ValueError:
        return None


def is_copied(requirement: Requirement, instruction: str) -> bool:
    """Whether every phrase and the price stand in the instruction, in those words."""
    words = f" {' '.join(words_of(instruction))} "
    phrases = (requirement.product, *requirement.features, *requirement.options)
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", instruction)]
    return all(f" {' '.join(words_of(phrase))} " in words for phrase in phrases) and (
        requirement.price is None or requirement.price in numbers
    )


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without marks."""
    return re.findall(r"[a-z0-9][a-z0-9.'&/-]*[a-z0-9]|[a-z0-9]", text.lower())


def requirement_question(instruction: str) -> str:
    """The question whose answer is the requirement of an instruction."""
    spaced = re.sub(r"([$;:,?!()])", r" \1 ", instruction.lower())  # marks apart from words
    words = " ".join(spaced.split()).rstrip(" .!?")
    return f"What does this ask for: {words} Answer:"
