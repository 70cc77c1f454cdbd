"""Pages as text, and the text of all pages since the start.

The text of a page does not depend on the goal: the same page reads the same under every
instruction, and the score is not shown. It departs from the original's simple text in one point:
the item page says which options were chosen, which the original keeps in the address, so that the
pages since the start tell the whole state.
"""

from collections.abc import Sequence

from envs.webshop.pages import (
    BACK,
    DONE,
    ITEM,
    PAGE_SIZE,
    PREVIOUS,
    RESULTS,
    SEARCH,
    SUB_PAGE,
    Page,
    item_labels,
    result_labels,
)
from envs.webshop.products import Catalogue, Product

SEPARATOR = " [SEP] "  # between the parts of a page
PAGE_SEPARATOR = "\n[PAGE] "  # between pages
ACTIONS_HEAD = "\nAvailable actions: "
INSTRUCTION_HEAD = "Instruction: "


def page_text(catalogue: Catalogue, page: Page, results: Sequence[int], attributes: bool) -> str:
    """What a page shows, without instruction and actions.

    Args:
        results: indices of the products that the page's search found.
        attributes: whether item pages link to their attributes.
    """
    if page.kind == SEARCH:
        return SEPARATOR.join(("WebShop", "Search"))
    if page.kind == RESULTS:
        return _results_text(catalogue, page, results)
    product = catalogue.products[page.product]
    if page.kind == ITEM:
        return _item_text(product, page, attributes)
    if page.kind == SUB_PAGE:
        return SEPARATOR.join((BACK, PREVIOUS, page.sub_page, *_sub_page_lines(product, page)))
    assert page.kind == DONE, page.kind
    bought = ("Thank you for shopping with us!", product.asin, product.name, product.price_tag)
    return SEPARATOR.join((*bought, *_chosen(page)))


def _results_text(catalogue: Catalogue, page: Page, results: Sequence[int]) -> str:
    parts = [*result_labels(len(results), page.number)]
    parts.insert(1, f"Page {page.number} (Total results: {len(results)})")
    for place in shown_results(results, page.number):
        product = catalogue.products[place]
        parts += [product.asin, product.name, product.price_tag]
    return SEPARATOR.join(parts)


def shown_results(results: Sequence[int], number: int) -> Sequence[int]:
    """Indices of the products on page `number` of the results."""
    return results[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


def _item_text(product: Product, page: Page, attributes: bool) -> str:
    parts = [BACK, PREVIOUS]
    for name, values in product.options.items():
        parts += [name, *values]
    parts += [product.name, f"Price: {product.price_tag}"]
    shown = {value for values in product.options.values() for value in values}
    parts += [label for label in item_labels(product, attributes)[2:] if label not in shown]
    return SEPARATOR.join((*parts, *_chosen(page)))


def _chosen(page: Page) -> tuple[str, ...]:
    if not page.options:
        return ()
    return ("Chosen", *(f"{name}: {value}" for name, value in sorted(page.options)))


def _sub_page_lines(product: Product, page: Page) -> tuple[str, ...]:
    lines = {
        "description": (product.description,),
        "features": product.bullets,
        "reviews": product.reviews,
        "attributes": (*product.attributes, product.category, " > ".join(product.category_path)),
    }[page.sub_page]
    shown = tuple(line for line in lines if line)
    return shown or ("None",)


def observation_text(page: str, actions: Sequence[str], instruction: str | None = None) -> str:
    """A page's text with the available actions added, and the instruction before it if given."""
    head = "" if instruction is None else f"{INSTRUCTION_HEAD}{instruction}{SEPARATOR}"
    return f"{head}{page}{ACTIONS_HEAD}{', '.join(actions)}"


def history_text(observations: Sequence[str]) -> str:
    """All pages since the start as one text: a Markov state, the same for every goal."""
    return PAGE_SEPARATOR.join(observations)


def history_texts(observations: Sequence[str]) -> list[str]:
    """The Markov state (T + 1) at each of the T + 1 observations of an episode."""
    return [history_text(observations[: end + 1]) for end in range(len(observations))]
