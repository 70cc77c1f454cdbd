"""The pages of the shop as data, the actions they offer, and the action format.

A page is a small immutable tuple, so keeping, copying and going back to one costs nothing.
"""

import re
from typing import NamedTuple

from envs.webshop.products import Product

SEARCH, RESULTS, ITEM, SUB_PAGE, DONE = "search", "results", "item", "sub_page", "done"
BACK, PREVIOUS, NEXT, BUY = "back to search", "< prev", "next >", "buy now"
SUB_PAGES = ("description", "features", "reviews", "attributes")
SEARCH_ACTION = "search[keywords]"  # how a list of actions says that keywords can be searched
PAGE_SIZE = 10  # products a page of results shows
_ACTION = re.compile(r"(search|click)\[(.+)\]", re.DOTALL)


class Page(NamedTuple):
    """Where the shopper is; fields that a page does not use keep their defaults."""

    kind: str = SEARCH
    keywords: str = ""  # of the last search
    number: int = 1  # of the page of results
    product: int = -1  # index in the catalogue
    sub_page: str = ""  # one of SUB_PAGES
    options: tuple[tuple[str, str], ...] = ()  # chosen values by name, in the order of choice

    @property
    def chosen(self) -> dict[str, str]:
        """Chosen option values by name."""
        return dict(self.options)


def parse_action(action: str) -> tuple[str, str] | None:
    """Verb ("search" or "click") and argument of an action, in lower case; None if malformed."""
    found = _ACTION.fullmatch(action.strip().lower())
    if found is None or not found[2].strip():
        return None
    return found[1], found[2].strip()


def result_labels(num_results: int, number: int) -> tuple[str, ...]:
    """Buttons of page `number` of results, product links left out."""
    previous = (PREVIOUS,) if number > 1 else ()
    following = (NEXT,) if number * PAGE_SIZE < num_results else ()
    return BACK, *previous, *following


def item_labels(product: Product, show_attributes: bool) -> tuple[str, ...]:
    """Buttons and option values of an item page; a value that is shown twice is listed once."""
    values = [value for own in product.options.values() for value in own]
    sub_pages = SUB_PAGES if show_attributes else SUB_PAGES[:-1]
    return tuple(dict.fromkeys((BACK, PREVIOUS, *sub_pages, BUY, *values)))


def option_name(product: Product, value: str) -> str | None:
    """The group that an option value belongs to; the last one where several groups have it."""
    names = [name for name, values in product.options.items() if value in values]
    return names[-1] if names else None


def with_option(page: Page, name: str, value: str) -> Page:
    """The item page after choosing `value`, which replaces an earlier choice of the group."""
    kept = tuple(entry for entry in page.options if entry[0] != name)
    return page._replace(options=(*kept, (name, value)))
