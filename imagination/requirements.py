"""Instructions read once each as requirements, and how a read requirement judges what a page shows.

Everything is judged by what a shopper can read: titles, price tags, chosen options and the texts
of pages that somebody visited. The goal's hidden fields are never looked at; the formula that joins
the four parts is WebShop's, which every shopper knows.

Departs from the paper, whose judge is asked about every purchase; `imagination.shop_judge` is that.
"""

import re
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from envs.webshop.requirements import (
    UNCLEAR,
    Requirement,
    is_copied,
    parse_requirement,
    requirement_question,
    words_of,
)
from envs.webshop.rewards import options_met, phrases_match
from imagination.readers import Language
from kalm.chat_template import Conversation

Value = TypeVar("Value", float, np.ndarray)
ALL, SOME, NONE = SHARES = ("all", "some", "none")  # of the product's words that a title has
PRICE_OK, PRICE_UNSURE, PRICE_OVER = PRICE_MARKS = ("ok", "unsure", "over")
_TYPE_FACTORS = {ALL: 1.0, SOME: 0.5, NONE: 0.0}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EXAMPLES = (
    (
        "i need a bpa free and stackable lunch box, color: navy, under 30 dollars",
        "feature: bpa free | feature: stackable | product: lunch box | option: navy | price: 30",
    ),
    ("find me some running socks", "product: running socks"),
)


@dataclass(frozen=True)
class Offer:
    """What is known of a product that could be bought, from pages alone."""

    title: str
    price_tag: str  # such as "$12.00", or "$10.00 to $15.00"
    texts: tuple[str, ...] = ()  # of its description, features and reviews, lower case
    attributes: tuple[str, ...] = ()  # lines of its attributes, lower case
    chosen: tuple[str, ...] = ()  # option values


@dataclass(frozen=True)
class Estimate:
    """How well an offer meets a requirement, as far as pages tell."""

    product: str  # ALL, SOME or NONE
    features: int  # met
    options: int  # met
    price: str  # PRICE_OK, PRICE_UNSURE or PRICE_OVER
    reward: float  # in [0, 1]


def estimate(requirement: Requirement, offer: Offer) -> Estimate:
    """The four parts of WebShop's reward, judged by a requirement that was read."""
    product = product_words(requirement, offer.title)
    features = features_shown(requirement, offer)
    options = options_met(requirement.options, offer.chosen)
    price = price_mark(requirement, offer.price_tag)
    reward = joined_reward(
        requirement, type_factor(product), features + options + (price == PRICE_OK)
    )
    return Estimate(product, features, options, price, reward)


def joined_reward(requirement: Requirement, factor: Value, met: Value) -> Value:
    """WebShop's formula, of single purchases or of many (N,).

    Args:
        factor: what the wrong type of product is worth, (N,) or one number.
        met: features, options and price that are as wanted.

    Source: WebShop (arXiv 2207.01206), section 3.
    """
    reward: Value = factor * met / (len(requirement.features) + len(requirement.options) + 1)
    return reward


def type_factor(product: str) -> float:
    """The share of the reward that is left where all, some or none of the product's words fit."""
    return _TYPE_FACTORS[product]


def product_words(requirement: Requirement, title: str) -> str:
    """Whether all, some or none of the product's words stand in a title."""
    wanted, shown = words_of(requirement.product), set(words_of(title))
    found = sum(word in shown for word in wanted)
    return ALL if found == len(wanted) else SOME if found else NONE


def features_shown(requirement: Requirement, offer: Offer) -> int:
    """How many wanted features the title or a known sub-page shows."""
    return sum(feature_shown(feature, offer) for feature in requirement.features)


def feature_shown(feature: str, offer: Offer) -> bool:
    """Whether a text has a feature word for word, or an attribute is nearly the same."""
    texts = (offer.title.lower(), *offer.texts)
    return any(feature in text for text in texts) or any(
        phrases_match(line, feature) for line in offer.attributes
    )


def price_mark(requirement: Requirement, tag: str) -> str:
    """Whether a price tag stays within the limit, exceeds it, or is a range around it."""
    prices = [float(number) for number in _NUMBER.findall(tag.replace(",", ""))]
    if requirement.price is None:
        return PRICE_OK
    if not prices:
        return PRICE_UNSURE
    if max(prices) <= requirement.price:
        return PRICE_OK
    return PRICE_OVER if min(prices) > requirement.price else PRICE_UNSURE


def parse_reading(instruction: str, reply: str) -> Requirement | None:
    """What a reply says that an instruction asks for; None where it is not in its own words."""
    found = parse_requirement(reply.lower())
    return found if found is not None and is_copied(found, instruction) else None


def _conversation(instruction: str) -> Conversation:
    """What a chat model is asked about an instruction."""
    examples = "\n".join(f"{said} -> {meant}" for said, meant in _EXAMPLES)
    system = (
        "You write what a shopping instruction asks for as one line of parts, joined by ` | `: "
        "`product: WORDS` once; `feature: WORDS` for each property that the product should have; "
        "`option: WORDS` for each value to choose when buying, such as a colour or a size; "
        "`price: NUMBER`, the most that it may cost, where one is named. Copy the instruction's "
        f"own words. Examples:\n{examples}\nThink first if you need to. The last line of your "
        f"answer is that line alone, or {UNCLEAR} where nothing is asked for."
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": instruction}]


SHOP = Language[Requirement](
    requirement_question, _conversation, parse_reading, max_tokens=96, new_words=True
)
