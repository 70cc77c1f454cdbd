"""Shopping goals: what an instruction asks for, made from products or from what people wrote.

One thing to know: train and test goals come from different products (decided by the product id, so
it holds in a catalogue of any size) and from different wordings, so neither is shared.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from envs.webshop.products import Catalogue, Product, asin_number
from envs.webshop.wordings import WORDINGS, word_instruction

SPLITS = tuple(WORDINGS)
TEST_SHARE = 0.2  # of the products
MAX_ATTRIBUTES = 3  # that a generated goal asks for
NO_LIMIT = 1_000_000.0  # dollars, the upper price where the instruction names none
_LIMITS = tuple(10.0 * tens for tens in range(1, 100))  # dollars
_NUM_LIMITS = 4  # of them that an upper price is drawn from
_HUMAN_SPLITS = {"test": slice(0, 500), "validation": slice(500, 1500), "train": slice(1500, None)}
_HUMAN_SHUFFLE_SEED = 233  # of the reference implementation
_MAX_TRIES = 50  # a goal


@dataclass(frozen=True)
class ShoppingGoal:
    """An instruction and what it asks for; only `text` is for the shopper's eyes."""

    text: str  # the instruction, in words
    level: str  # "train", "test" or "validation"
    kind: str  # category of the product that it was made from
    asin: str  # that product's id
    name: str  # its title
    query: str  # its search phrase
    category_path: tuple[str, ...]
    attributes: tuple[str, ...]  # asked for, lower case
    options: Mapping[str, str] = field(hash=False)  # value asked for, by name
    price_upper: float = NO_LIMIT  # dollars


def split_of(product: Product) -> str:
    """The split whose goals a product may serve: "test" for a fifth of them, by id."""
    return "test" if asin_number(product.asin) < TEST_SHARE * 2**64 else "train"


def draw_price_upper(price: float, rng: np.random.Generator) -> float | None:
    """The larger of two different draws among the first four multiples of 10 above `price`.

    None where fewer than two multiples are left below 1,000. Dollars.
    """
    above = [limit for limit in _LIMITS if limit > price][:_NUM_LIMITS]
    if len(above) < 2:
        return None
    return float(rng.choice(above, 2, replace=False).max())


def generate_goals(
    catalogue: Catalogue, split: str, count: int, seed: int = 0
) -> tuple[ShoppingGoal, ...]:
    """`count` goals of different instructions, each made from one of the split's products.

    Products are used once each before any is used again.

    Raises:
        ValueError: the split is unknown, has no products, or yields too few instructions.
    """
    if split not in SPLITS:
        raise ValueError(f"Expected a split among {', '.join(SPLITS)}, got `{split}`.")
    places = [i for i, product in enumerate(catalogue.products) if split_of(product) == split]
    places = [place for place in places if catalogue.products[place].attributes]
    if not places:
        raise ValueError(f"Expected products of the split `{split}`, got none. Add products.")
    order = np.random.default_rng([seed, SPLITS.index(split)]).permutation(places).tolist()
    goals: dict[str, ShoppingGoal] = {}
    for turn in range(_MAX_TRIES * count):
        if len(goals) == count:
            break
        rng = np.random.default_rng([seed, SPLITS.index(split), turn])
        goal = _generate(catalogue, order[turn % len(order)], split, rng)
        goals.setdefault(goal.text, goal)
    if len(goals) < count:
        raise ValueError(f"Found {len(goals)} of {count} goals. Ask for fewer, or add products.")
    return tuple(goals.values())


def _generate(
    catalogue: Catalogue, place: int, split: str, rng: np.random.Generator
) -> ShoppingGoal:
    product = catalogue.products[place]
    most = min(MAX_ATTRIBUTES, len(product.attributes))
    chosen = rng.permutation(len(product.attributes))[: int(rng.integers(1, most + 1))]
    attributes = tuple(product.attributes[index] for index in chosen)
    options = {
        name: values[int(rng.integers(len(values)))] for name, values in product.options.items()
    }
    upper = draw_price_upper(catalogue.prices[place], rng)
    text = word_instruction(split, product.query, attributes, options, upper, rng)
    return _goal(product, text, split, attributes, options, upper)


def _goal(
    product: Product,
    text: str,
    level: str,
    attributes: tuple[str, ...],
    options: Mapping[str, str],
    upper: float | None,
) -> ShoppingGoal:
    return ShoppingGoal(
        text=text,
        level=level,
        kind=product.category,
        asin=product.asin,
        name=product.name,
        query=product.query,
        category_path=product.category_path,
        attributes=attributes,
        options=options,
        price_upper=NO_LIMIT if upper is None else upper,
    )


def human_goals(
    catalogue: Catalogue, seed: int = 0, disjoint: bool = True
) -> dict[str, tuple[ShoppingGoal, ...]]:
    """The goals that people wrote, by split: 0-499 test, 500-1499 validation, the rest train.

    The order is the original's, a shuffle with its seed; instructions without attributes are left
    out, as there. Upper prices come from `seed`.

    Args:
        disjoint: drop goals of later splits that share a product or instruction with an earlier
            one, which the original's splits do.
    """
    goals = [
        _human_goal(product, price, number, seed)
        for product, price in zip(catalogue.products, catalogue.prices, strict=True)
        for number, instruction in enumerate(product.instructions)
        if instruction.attributes
    ]
    random.Random(_HUMAN_SHUFFLE_SEED).shuffle(goals)
    splits: dict[str, tuple[ShoppingGoal, ...]] = {}
    taken: set[str] = set()
    for level, part in _HUMAN_SPLITS.items():
        own = [replace(goal, level=level) for goal in goals[part]]
        if disjoint:
            own = [goal for goal in own if not {goal.asin, _request(goal)} & taken]
        taken |= {key for goal in own for key in (goal.asin, _request(goal))}
        splits[level] = tuple(own)
    return splits


def _human_goal(product: Product, price: float, number: int, seed: int) -> ShoppingGoal:
    instruction = product.instructions[number]
    rng = np.random.default_rng([seed, asin_number(product.asin), number])
    upper = draw_price_upper(price, rng)
    text = instruction.text.strip(".")
    if upper is not None:
        text += f", and price lower than {upper:.2f} dollars"
    options = _named_options(product, instruction.options)
    return _goal(product, text, "", instruction.attributes, options, upper)


def _named_options(product: Product, values: Sequence[str]) -> dict[str, str]:
    """Wanted values by the name of the group that has them, or by a number."""
    named: dict[str, str] = {}
    for number, value in enumerate(values):
        groups = [name for name, own in product.options.items() if value in own]
        name = groups[0] if groups and groups[0] not in named else f"option {number}"
        named[name] = value
    return named


def _request(goal: ShoppingGoal) -> str:
    """The instruction without its price."""
    return goal.text.rsplit(", and price lower than", 1)[0]
