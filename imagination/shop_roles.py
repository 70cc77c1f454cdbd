"""The shop as a requirement sees it: what a page shows as marks, and actions by what they are for.

A fixed function of the requirement that was read once. Results that look alike to the requirement
are one choice, for which the first of them stands; so are all values that are wanted, and all that
are not. The raw form is the paper's: instruction, page and actions as they are.

One thing to know: the words of a search are the requirement's own. A model chooses which parts of
it are searched for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from envs.webshop.pages import BACK, BUY, NEXT, PREVIOUS, SEARCH_ACTION, SUB_PAGES
from envs.webshop.requirements import Requirement, words_of
from envs.webshop.rewards import options_met
from envs.webshop.text import ACTIONS_HEAD, INSTRUCTION_HEAD, SEPARATOR
from imagination.requirements import (
    PRICE_MARKS,
    SHARES,
    Offer,
    features_shown,
    price_mark,
    product_words,
)
from imagination.shop_pages import BOUGHT, ITEM, OTHER, RESULTS, SEARCH, SUB_PAGE, PageView, view

ROLES, RAW = FORMS = ("roles", "raw")
SEARCHES = ("product", "features", "options", "everything")  # parts beside the product
WANTED, UNWANTED, LOOK, BUYING = "wanted", "other", "look", "buy"
FORWARD, PREVIOUS_PAGE, HOME = "next", "previous", "back"
MAX_RESULTS = 10  # that differ, on a page
ROLE_ACTIONS = (
    *SEARCHES,
    *(str(number) for number in range(1, MAX_RESULTS + 1)),
    *(WANTED, UNWANTED, LOOK, BUYING, FORWARD, PREVIOUS_PAGE, HOME),
)
_BUTTONS = {FORWARD: NEXT, PREVIOUS_PAGE: PREVIOUS, HOME: BACK, BUYING: BUY}
LEAST_OVERLAP = 0.5  # of the words of two searches that count as alike


@dataclass(frozen=True)
class Situation:
    """A page as a requirement sees it."""

    text: str  # the question that a model is asked
    actions: dict[str, tuple[str, ...]]  # what each answer stands for; the first one is taken

    def answer(self, action: str) -> str | None:
        """The answer that stands for an action of the shop; None where none does."""
        return next((word for word, own in self.actions.items() if action in own), None)


def searches(requirement: Requirement) -> dict[str, str]:
    """Searches that the requirement's own words allow, by name; equal ones once."""
    parts = {
        "product": (requirement.product,),
        "features": (requirement.product, *requirement.features),
        "options": (requirement.product, *requirement.options),
        "everything": (requirement.product, *requirement.features, *requirement.options),
    }
    found: dict[str, str] = {}
    for name, phrases in parts.items():
        words = " ".join(phrases)
        if words not in found.values():
            found[name] = words
    return found


def nearest_search(requirement: Requirement, keywords: str) -> str | None:
    """The name of the search whose words are most like those of `keywords`; None if none is."""
    said = set(words_of(keywords))
    overlaps = {
        name: len(said & own) / max(len(said | own), 1)
        for name, words in searches(requirement).items()
        if (own := set(words_of(words)))
    }
    best = max(overlaps, key=lambda name: overlaps[name])
    return best if overlaps[best] >= LEAST_OVERLAP else None


def situation(requirement: Requirement, instruction: str, text: str, form: str) -> Situation:
    """A page's text in one of FORMS.

    Args:
        instruction: the goal's words, which the raw form tells.
    """
    page = view(text)
    if form == RAW:
        return _raw(requirement, instruction, text, page)
    if page.kind == SEARCH:
        return search_situation(requirement)
    if page.kind == RESULTS:
        return _results(requirement, page)
    if page.kind == ITEM:
        return _item(requirement, page)
    return Situation(f"{page.kind} page", _buttons(page))


def _raw(requirement: Requirement, instruction: str, text: str, page: PageView) -> Situation:
    """Instruction and page in their own words; the actions are listed by the page itself."""
    body = text.split(ACTIONS_HEAD)[0]
    actions = [action for action in page.actions if action != SEARCH_ACTION]
    if SEARCH_ACTION in page.actions:
        actions += [f"search[{words}]" for words in searches(requirement).values()]
    told = f"{INSTRUCTION_HEAD}{instruction}{SEPARATOR}{body}"
    return Situation(told, {action: (action,) for action in actions})


def search_situation(requirement: Requirement) -> Situation:
    """The search page, which is the same for all requirements of as many parts."""
    features, options = len(requirement.features), len(requirement.options)
    text = f"search page features {features} options {options}"
    return Situation(text, {n: (f"search[{w}]",) for n, w in searches(requirement).items()})


def _results(requirement: Requirement, page: PageView) -> Situation:
    """Different kinds of results in the order of the first of each."""
    alike: dict[str, list[str]] = {}
    for result in page.results:
        marks = _marks(requirement, Offer(result.title, result.price_tag))
        alike.setdefault(marks, []).append(f"click[{result.asin.lower()}]")
    choices = {str(number): tuple(own) for number, own in enumerate(alike.values(), start=1)}
    lines = [f"{number} {marks}" for number, marks in enumerate(alike, start=1)]
    text = "\n".join((f"results page {page.number}", *lines))
    return Situation(text, choices | _buttons(page))


def _item(requirement: Requirement, page: PageView) -> Situation:
    missing = [o for o in requirement.options if not options_met((o,), page.chosen)]
    wanted = [value for option in missing for value in _meeting(option, page.values)]
    taken = set(wanted) | set(page.chosen)
    others = [value for value in page.values if value not in taken]
    asked = len(requirement.options)
    offered = sum(bool(_meeting(option, page.values)) for option in missing)
    text = (
        f"item page {_marks(requirement, Offer(page.title, page.price_tag))}\n"
        f"options {asked} chosen {asked - len(missing)} open {offered} "
        f"missing {len(missing) - offered}"
    )
    choices = {WANTED: _clicks(wanted), UNWANTED: _clicks(others)}
    return Situation(text, {n: own for n, own in choices.items() if own} | _buttons(page))


def _meeting(option: str, values: Sequence[str]) -> list[str]:
    """The values that meet a wanted one, itself first."""
    found = [value for value in values if options_met((option,), (value,))]
    return sorted(found, key=lambda value: value != option)


def _clicks(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"click[{label}]" for label in labels)


def _buttons(page: PageView) -> dict[str, tuple[str, ...]]:
    known = {name: _clicks((label,)) for name, label in _BUTTONS.items()}
    known[LOOK] = _clicks(SUB_PAGES)
    shown = {name: tuple(a for a in own if a in page.actions) for name, own in known.items()}
    return {name: own for name, own in shown.items() if own}


def _marks(requirement: Requirement, offer: Offer) -> str:
    features = features_shown(requirement, offer)
    return (
        f"product {product_words(requirement, offer.title)} "
        f"features {features} of {len(requirement.features)} "
        f"price {price_mark(requirement, offer.price_tag)}"
    )


def vocabulary() -> list[str]:
    """Texts whose words are all words of the roles form, for a tokenizer that is yet to be made."""
    counts = " ".join(map(str, range(MAX_RESULTS + 1)))
    marks = [f"product {share} price {price}" for share in SHARES for price in PRICE_MARKS]
    pages = f"search results item {SUB_PAGE} {BOUGHT} {OTHER} page features of {counts}"
    lines = [f"\n{number} product" for number in range(1, MAX_RESULTS + 1)]
    return [*ROLE_ACTIONS, *marks, pages, "options chosen open missing", *lines, "\noptions 0"]
