"""Page texts of the shop taken apart: what a shopper sees, without a look behind the page.

`envs.webshop.text` writes these texts; a page of unknown form is a page that shows nothing.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from envs.webshop.pages import BACK, BUY, NEXT, PREVIOUS, SEARCH_ACTION, SUB_PAGES
from envs.webshop.text import ACTIONS_HEAD, SEPARATOR

SEARCH, RESULTS, ITEM, SUB_PAGE, BOUGHT, OTHER = (
    *("search", "results", "item", "sub-page", "bought", "other"),
)
_THANKS = "Thank you for shopping with us!"
_HEAD = re.compile(r"Page (\d+) \(Total results: (\d+)\)")
_CHOSEN, _PRICE = "Chosen", "Price: "


@dataclass(frozen=True)
class Result:
    """A line of a page of results."""

    asin: str  # as shown; links have it in lower case
    title: str
    price_tag: str


@dataclass(frozen=True)
class PageView:
    """What a page shows; fields that it does not have keep their defaults."""

    kind: str  # SEARCH, RESULTS, ITEM, SUB_PAGE, BOUGHT or OTHER
    results: tuple[Result, ...] = ()
    number: int = 1  # of the page of results
    total: int = 0  # results found
    asin: str = ""  # of what was bought
    title: str = ""
    price_tag: str = ""
    values: tuple[str, ...] = ()  # of options that can be chosen
    chosen: tuple[str, ...] = ()  # values
    lines: tuple[str, ...] = ()  # of a sub-page, lower case
    actions: tuple[str, ...] = ()  # that can be taken


@lru_cache(maxsize=50_000)
def view(text: str) -> PageView:
    """The page that a text shows."""
    body, _, listed = text.rpartition(ACTIONS_HEAD) if ACTIONS_HEAD in text else (text, "", "")
    actions = tuple(re.findall(r"(?:click|search)\[.+?\](?=, (?:click|search)\[|$)", listed))
    parts = body.split(SEPARATOR)
    if SEARCH_ACTION in actions and len(parts) <= 2:
        return PageView(SEARCH, actions=actions)
    if parts[0] == _THANKS and len(parts) >= 4:
        return PageView(
            BOUGHT, asin=parts[1], title=parts[2], price_tag=parts[3], chosen=_chosen(parts)
        )
    if any(_HEAD.fullmatch(part) for part in parts[:3]):
        return _results(parts, actions)
    if f"click[{BUY}]" in actions:
        return _item(parts, actions)
    if parts[:2] == [BACK, PREVIOUS] and len(parts) > 3 and parts[2] in SUB_PAGES:
        return PageView(SUB_PAGE, lines=tuple(p.lower() for p in parts[3:]), actions=actions)
    return PageView(OTHER, actions=actions)


def _results(parts: list[str], actions: tuple[str, ...]) -> PageView:
    head = next(match for part in parts if (match := _HEAD.fullmatch(part)))
    links = set(actions)
    places = [i for i, part in enumerate(parts) if f"click[{part.lower()}]" in links]
    found = [
        Result(*parts[place : place + 3])
        for place in places
        if parts[place] not in (BACK, NEXT, PREVIOUS) and place + 2 < len(parts)
    ]
    return PageView(RESULTS, tuple(found), number=int(head[1]), total=int(head[2]), actions=actions)


def _item(parts: list[str], actions: tuple[str, ...]) -> PageView:
    places = [place for place, part in enumerate(parts) if part.startswith(_PRICE)]
    buttons = {BACK, PREVIOUS, BUY, *SUB_PAGES}
    labels = [action.removeprefix("click[")[:-1] for action in actions]
    return PageView(
        ITEM,
        title=parts[places[-1] - 1] if places and places[-1] else "",
        price_tag=parts[places[-1]].removeprefix(_PRICE) if places else "",
        values=tuple(label for label in labels if label not in buttons),
        chosen=_chosen(parts),
        actions=actions,
    )


def _chosen(parts: list[str]) -> tuple[str, ...]:
    """The values after the word that heads them; each is shown with its option's name."""
    if _CHOSEN not in parts:
        return ()
    last = len(parts) - 1 - parts[::-1].index(_CHOSEN)
    return tuple(part.partition(": ")[2] for part in parts[last + 1 :])
