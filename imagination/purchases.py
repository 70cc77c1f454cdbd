"""Purchases of unlabelled plays, and what each is worth to each requirement.

A play is page texts and actions, without a goal and without rewards. What any play shows of a
product, by visiting its sub-pages, counts for every purchase of that product.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.webshop.pages import SUB_PAGES, parse_action
from envs.webshop.requirements import Requirement
from envs.webshop.rewards import options_met
from imagination.requirements import (
    PRICE_OK,
    Offer,
    feature_shown,
    joined_reward,
    price_mark,
    product_words,
    type_factor,
)
from imagination.shop_pages import BOUGHT, SUB_PAGE, view

_RESULTS = re.compile(r"\bPage \d+ \(Total results: \d+\)")
_ATTRIBUTES = SUB_PAGES[-1]


@dataclass(frozen=True)
class Play:
    """What unlabelled data holds of one shopper."""

    pages: tuple[str, ...]  # (T + 1) texts
    actions: tuple[str, ...]  # (T,)


@dataclass(frozen=True)
class Purchase:
    """How a play ended."""

    play: int  # which one
    asin: str  # lower case
    keywords: str  # of the last search
    offer: Offer


def find_purchases(
    plays: Sequence[Play], on_progress: Callable[[int], None] = lambda done: None
) -> list[Purchase]:
    """The purchases of all plays that end with one, with what all plays show of their products."""
    known: dict[str, Offer] = {}
    found = []
    for number, play in enumerate(plays):
        keywords = _explore(play, known)
        bought = view(play.pages[-1])
        if bought.kind == BOUGHT:
            offer = Offer(bought.title, bought.price_tag, chosen=bought.chosen)
            found.append(Purchase(number, bought.asin.lower(), keywords, offer))
        on_progress(number + 1)
    return [replace(one, offer=_with_texts(one.offer, known.get(one.asin))) for one in found]


def _with_texts(offer: Offer, known: Offer | None) -> Offer:
    if known is None:
        return offer
    return replace(offer, texts=known.texts, attributes=known.attributes)


def _explore(play: Play, known: dict[str, Offer]) -> str:
    """Adds what a play shows of products to `known`; the keywords of its last search."""
    asin, keywords = "", ""
    for before, action, after in zip(play.pages[:-1], play.actions, play.pages[1:], strict=True):
        verb, label = parse_action(action) or ("", "")
        if verb == "search":
            keywords = label
        elif _RESULTS.search(before):
            asin = label
        elif asin and label in SUB_PAGES:
            _add(known, asin, label, after)
    return keywords


def _add(known: dict[str, Offer], asin: str, label: str, text: str) -> None:
    page, offer = view(text), known.get(asin, Offer("", ""))
    if page.kind != SUB_PAGE:
        return
    if label == _ATTRIBUTES:
        known[asin] = replace(offer, attributes=page.lines)
    else:
        texts = tuple(dict.fromkeys((*offer.texts, *page.lines)))
        known[asin] = replace(offer, texts=texts)


class PurchaseTable:
    """Rewards of all purchases for one requirement after another; phrases are looked up once.

    Equals `imagination.requirements.estimate` on every single purchase.
    """

    def __init__(self, purchases: Sequence[Purchase]) -> None:
        self.purchases = list(purchases)
        offers = [purchase.offer for purchase in purchases]
        self._titles = _Lookup([offer.title for offer in offers])
        self._products = _Lookup([replace(offer, chosen=()) for offer in offers])
        self._chosen = _Lookup([offer.chosen for offer in offers])
        self._tags = _Lookup([offer.price_tag for offer in offers])

    def rewards(self, requirement: Requirement) -> np.ndarray:
        """What every purchase (N,) is worth, float64 in [0, 1]."""
        product = requirement.product
        factors = self._titles.of(
            product, lambda title: type_factor(product_words(requirement, title))
        )
        met = self._tags.of(
            str(requirement.price), lambda tag: float(price_mark(requirement, tag) == PRICE_OK)
        )
        for feature in requirement.features:
            met = met + self._products.of(
                feature, lambda offer, f=feature: float(feature_shown(f, offer))
            )
        for option in requirement.options:
            met = met + self._chosen.of(
                option, lambda chosen, o=option: float(options_met((o,), chosen))
            )
        return joined_reward(requirement, factors, met)


class _Lookup:
    """A function of the rows' values, computed once for each different value and phrase."""

    def __init__(self, values: Sequence[object]) -> None:
        unique = list(dict.fromkeys(values))
        place = {value: number for number, value in enumerate(unique)}
        self._unique = unique
        self._places = np.array([place[value] for value in values], np.int64)
        self._known: dict[str, np.ndarray] = {}

    def of(self, phrase: str, function: Callable[..., float]) -> np.ndarray:
        """The function's values (N,) of all rows."""
        if phrase not in self._known:
            found = [function(value) for value in self._unique]
            self._known[phrase] = np.array(found, np.float64)
        return self._known[phrase][self._places]
