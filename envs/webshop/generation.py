"""A catalogue generated from a seed: the stand-in for the original's files, which need a download.

Product i of a seed is the same in a catalogue of any size. Brands, attributes, options and prices
are drawn per kind of product from word lists of our own; no text of the original is used.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from envs.webshop.colours import normalize_colour
from envs.webshop.departments import DEPARTMENTS, Department
from envs.webshop.products import Catalogue, Product
from envs.webshop.vocabulary import (
    AUDIENCES,
    BRANDS,
    BULLETS,
    CLOSINGS,
    DETAILS,
    OPENINGS,
    OPTION_VALUES,
    QUALITIES,
    REVIEWS,
    TITLE_FRAMES,
)

DEFAULT_SIZE = 5000
RANGE_SHARE = 0.15  # of products have a price range
UNPRICED_SHARE = 0.05  # of products state no price
_ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH = 5  # characters of an id that its place in the catalogue determines


def generate_catalogue(size: int = DEFAULT_SIZE, seed: int = 0) -> Catalogue:
    """`size` products over every department, the same for the same seed.

    Raises:
        ValueError: the size or the seed is out of range.
    """
    if not 1 <= size <= len(_ID_CHARACTERS) ** _ID_LENGTH:
        raise ValueError(f"Expected at least one product and at most 60 million, got {size}.")
    if seed < 0:
        raise ValueError(f"Expected a seed of at least 0, got {seed}.")
    products = [_product(seed, index) for index in range(size)]
    return Catalogue.of(products, f"generated-1 size={size} seed={seed}", seed)


def _product(seed: int, index: int) -> Product:
    rng = np.random.default_rng([seed, index])
    department = DEPARTMENTS[index % len(DEPARTMENTS)]
    shelf = pick(rng, tuple(department.shelves))
    kind = pick(rng, department.shelves[shelf])
    attributes = _some(rng, department.attributes, int(rng.integers(3, 7)))
    words = {
        "kind": kind,
        "brand": pick(rng, BRANDS),
        "material": pick(rng, department.materials),
        "quality": pick(rng, QUALITIES),
        "audience": pick(rng, AUDIENCES),
    }
    return Product(
        asin=_asin(rng, index),
        name=_fill(pick(rng, TITLE_FRAMES), words, attributes[0]).title(),
        query=kind,
        category=department.category,
        category_path=(department.root, shelf, kind.title()),
        description=_description(rng, words, attributes),
        bullets=_lines(rng, BULLETS, words, attributes[1:4]),
        pricing=_pricing(rng, department),
        options=_options(rng, department),
        attributes=tuple(attributes),
        reviews=_lines(rng, REVIEWS, words, attributes[: int(rng.integers(0, 3))]),
    )


def pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    """One of `values`, drawn uniformly."""
    return values[int(rng.integers(len(values)))]


def _some(rng: np.random.Generator, values: Sequence[str], count: int) -> list[str]:
    """`count` different values in random order."""
    return [values[place] for place in rng.permutation(len(values))[:count]]


def _fill(frame: str, words: Mapping[str, str], feature: str) -> str:
    return frame.format(feature=feature, **words)


def _asin(rng: np.random.Generator, index: int) -> str:
    """An id of ten characters: unique by its end, random before it."""
    tail = ""
    for _ in range(_ID_LENGTH):
        index, digit = divmod(index, len(_ID_CHARACTERS))
        tail = _ID_CHARACTERS[digit] + tail
    return "B0" + "".join(pick(rng, _ID_CHARACTERS) for _ in range(8 - _ID_LENGTH)) + tail


def _lines(
    rng: np.random.Generator,
    frames: Sequence[str],
    words: Mapping[str, str],
    features: Sequence[str],
) -> tuple[str, ...]:
    chosen = _some(rng, frames, len(features))
    return tuple(
        _fill(frame, words, feature) for frame, feature in zip(chosen, features, strict=True)
    )


def _description(
    rng: np.random.Generator, words: Mapping[str, str], attributes: Sequence[str]
) -> str:
    sentences = [_fill(pick(rng, OPENINGS), words, "")]
    sentences += _lines(rng, DETAILS, words, _some(rng, attributes, 2))
    sentences.append(pick(rng, CLOSINGS))
    return " ".join(sentences)


def _pricing(rng: np.random.Generator, department: Department) -> tuple[float, ...]:
    """No price, one price or a range in whole cents, cheap products being more frequent."""
    low, high = np.log(department.prices)
    price = float(np.exp(rng.uniform(low, high)))
    draw = rng.random()
    if draw < UNPRICED_SHARE:
        return ()
    if draw < UNPRICED_SHARE + RANGE_SHARE:
        return round(price, 2), round(price * float(rng.uniform(1.2, 2.0)), 2)
    return (round(price, 2),)


def _options(rng: np.random.Generator, department: Department) -> dict[str, tuple[str, ...]]:
    """Each group of the department with probability 0.8, with two to six of its values."""
    chosen = {}
    for name in department.options:
        values = _distinct(_some(rng, OPTION_VALUES[name], len(OPTION_VALUES[name])))
        count = int(rng.integers(2, 7))
        if rng.random() < 0.8:
            chosen[name] = values[:count]
    return chosen


def _distinct(values: Sequence[str]) -> tuple[str, ...]:
    """`values` without colours of a base colour that another one has."""
    return tuple({normalize_colour(value): value for value in values}.values())
