"""Products, and a catalogue of them with one price each.

One thing to know: a product without a price costs 100 and a product with a price range costs a
uniform draw from it. The draw is a function of (seed, product id) alone, so prices are the same in
every process and in every part of a catalogue; the original drew them before it was seeded.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

UNPRICED = 100.0  # dollars, the price of a product that states none


@dataclass(frozen=True)
class Instruction:
    """What a person wrote for a product, and what it asks for."""

    text: str  # the request, in words
    attributes: tuple[str, ...]  # lower case
    options: tuple[str, ...]  # option values, lower case


@dataclass(frozen=True)
class Product:
    """One product of the shop; it checks itself on construction."""

    asin: str  # its id, at most 10 characters
    name: str  # its title
    query: str  # the search phrase that found it, lower case
    category: str  # such as "beauty"
    category_path: tuple[str, ...]  # from the department down
    description: str
    bullets: tuple[str, ...]  # features, at least one, "" where there is none
    pricing: tuple[float, ...]  # dollars: none, one price, or the ends of a range
    options: Mapping[str, tuple[str, ...]] = field(hash=False)  # values by name, lower case
    images: tuple[str, ...] = ()  # addresses
    attributes: tuple[str, ...] = ()  # hidden, lower case; a goal asks for some of them
    instructions: tuple[Instruction, ...] = ()  # written by people
    reviews: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.asin or self.asin == "nan" or len(self.asin) > 10:
            raise ValueError(
                f"Expected a product id of 1 to 10 characters, got `{self.asin}`. Drop the product."
            )
        if not self.bullets:
            raise ValueError(f'Expected a bullet for product {self.asin}, got none. Pass ("",).')
        if len(self.pricing) > 2:
            raise ValueError(
                f"Expected at most two prices for product {self.asin}, got {self.pricing}. "
                "Pass the ends of the range."
            )

    @property
    def price_tag(self) -> str:
        """What the shop shows as the price: a number or a range, in dollars."""
        return " to ".join(f"${price:.2f}" for price in self.pricing or (UNPRICED,))

    @cached_property
    def texts(self) -> tuple[str, str, str]:
        """Title, bullets and description in lower case, where attributes are looked up."""
        return self.name.lower(), " ".join(self.bullets).lower(), self.description.lower()


def draw_price(product: Product, seed: int) -> float:
    """The price of a product in dollars, a function of the product and the seed.

    Source: the cleaning rules of the reference implementation, seeded.
    """
    if not product.pricing:
        return UNPRICED
    low, high = product.pricing[0], product.pricing[-1]
    if low == high:
        return low
    rng = np.random.default_rng([seed, asin_number(product.asin)])
    return float(rng.uniform(low, high))


def asin_number(asin: str) -> int:
    """A number in [0, 2**64) that depends on the product id alone."""
    return int.from_bytes(hashlib.sha256(asin.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Catalogue:
    """Products in a fixed order and what each costs."""

    products: tuple[Product, ...]
    prices: tuple[float, ...]  # dollars
    name: str  # where it comes from, size and seed included; part of a data card

    def __post_init__(self) -> None:
        if not self.products:
            raise ValueError("Expected at least one product, got none. Check the product file.")
        if len(self.places) < len(self.products):
            raise ValueError("Expected different product ids, got duplicates. Drop all but one.")

    @classmethod
    def of(cls, products: Sequence[Product], name: str, seed: int) -> "Catalogue":
        """The catalogue of `products` with prices drawn from `seed`."""
        prices = tuple(draw_price(product, seed) for product in products)
        return cls(tuple(products), prices, name)

    def __len__(self) -> int:
        """Number of products."""
        return len(self.products)

    @cached_property
    def places(self) -> dict[str, int]:
        """Index of each product by its id in lower case, as links show it."""
        return {product.asin.lower(): place for place, product in enumerate(self.products)}
