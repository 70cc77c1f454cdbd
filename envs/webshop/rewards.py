"""What a purchase is worth: the original's formula in four parts that can be read and tested alone.

    reward = type factor * (attributes met + options met + price met) / (attributes + options + 1)

It departs from the original in two word lists: nouns come from a heuristic (`envs.webshop.nouns`)
and colours from our own list (`envs.webshop.colours`).

Source: WebShop (arXiv 2207.01206), section 3, and the reference implementation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.fuzz import token_set_ratio
from rapidfuzz.utils import default_process

from envs.webshop.colours import normalize_colour
from envs.webshop.goals import ShoppingGoal
from envs.webshop.nouns import nouns
from envs.webshop.products import Product

FUZZY_MATCH = 85  # percent; phrases match above it
TITLE_MATCH = 0.2  # titles match above it; also the score where the goal's title has no nouns
SHARED_NODES = 2  # of two category paths that make a match
UNMATCHED_FACTOR, UNRELATED_FACTOR = 0.5, 0.1
UNRELATED_TITLE = 0.1  # title scores below it


@dataclass(frozen=True)
class PurchaseScore:
    """A purchase judged by the goal; `reward` is 1 only where all that was asked for is met."""

    reward: float  # 0 to 1
    type_factor: float  # 1, 0.5, 0.1 or 0
    title_score: float  # 0 to 1
    type_match: bool
    attributes_met: int
    options_met: int
    price_met: bool


def title_score(wanted: str, bought: str) -> float:
    """The share of the wanted title's nouns that the bought title has, 0.2 where it has none."""
    wanted_nouns = nouns(wanted)
    if not wanted_nouns:
        return TITLE_MATCH
    return len(wanted_nouns & nouns(bought)) / len(wanted_nouns)


def is_same_type(goal: ShoppingGoal, product: Product) -> bool:
    """Whether query, category path or title say that the product is of the wanted type."""
    return (
        product.query == goal.query
        or len(set(product.category_path) & set(goal.category_path)) >= SHARED_NODES
        or title_score(goal.name, product.name) > TITLE_MATCH
    )


def type_factor(match: bool, score: float) -> float:
    """1, lowered to 0.5 without a match, to 0.1 below a title score of 0.1, to 0 at 0."""
    if score == 0.0:
        return 0.0
    if score < UNRELATED_TITLE:
        return UNRELATED_FACTOR
    return 1.0 if match else UNMATCHED_FACTOR


def attributes_met(wanted: Iterable[str], product: Product) -> int:
    """How many wanted attributes the product has, by its attributes or else by its texts."""
    return sum(
        any(phrases_match(own, attribute) for own in product.attributes)
        or any(attribute in text for text in product.texts)
        for attribute in wanted
    )


def options_met(wanted: Iterable[str], chosen: Iterable[str]) -> int:
    """How many wanted option values match a chosen one, colours compared by base colour."""
    own = [normalize_colour(value) for value in chosen]
    return sum(
        any(phrases_match(value, normalize_colour(option)) for value in own) for option in wanted
    )


@lru_cache(maxsize=200_000)
def phrases_match(one: str, other: str) -> bool:
    """Whether the token-set ratio of two phrases, rounded to whole percent, is above 85.

    One phrase's words among the other's give 100: "large" matches "x-large", as in the original.
    """
    return round(token_set_ratio(one, other, processor=default_process)) > FUZZY_MATCH


def score_purchase(
    goal: ShoppingGoal, product: Product, price: float, chosen: Mapping[str, str] | Sequence[str]
) -> PurchaseScore:
    """The score of buying `product` at `price` dollars.

    Args:
        chosen: option values, or option values by name.
    """
    values = list(chosen.values()) if isinstance(chosen, Mapping) else list(chosen)
    score, match = title_score(goal.name, product.name), is_same_type(goal, product)
    factor = type_factor(match, score)
    attributes = attributes_met(goal.attributes, product)
    options = options_met(goal.options.values(), values)
    price_met = price <= goal.price_upper
    asked = len(goal.attributes) + len(goal.options) + 1
    reward = factor * (attributes + options + price_met) / asked
    return PurchaseScore(reward, factor, score, match, attributes, options, price_met)
