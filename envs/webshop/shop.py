"""The shop: which page follows which action, and a session that remembers where the shopper is.

One thing to know: search is possible on the search page only, as the page itself suggests; the
original accepts it on every page, which `search_anywhere` restores. Returning to the results or to
the search page forgets the chosen options, as in the original.
"""

from collections.abc import Iterable
from typing import NamedTuple

from envs.step_count import count_steps
from envs.webshop.goals import ShoppingGoal
from envs.webshop.pages import (
    BACK,
    BUY,
    DONE,
    ITEM,
    NEXT,
    PREVIOUS,
    RESULTS,
    SEARCH,
    SEARCH_ACTION,
    SUB_PAGE,
    SUB_PAGES,
    Page,
    item_labels,
    option_name,
    parse_action,
    result_labels,
    with_option,
)
from envs.webshop.products import Catalogue
from envs.webshop.rewards import PurchaseScore, score_purchase
from envs.webshop.search import SearchIndex
from envs.webshop.text import observation_text, page_text, shown_results

_CACHED_PAGES = 20_000


class Shop:
    """A catalogue with its search engine and the rules of the pages; sessions share one.

    Args:
        catalogue: what is sold.
        search_anywhere: accept searches on every page, as the original does.
        show_attributes: item pages link to the attributes, which are hidden otherwise.
    """

    def __init__(
        self, catalogue: Catalogue, *, search_anywhere: bool = False, show_attributes: bool = True
    ) -> None:
        self.catalogue = catalogue
        self.index = SearchIndex(catalogue.products)
        self.search_anywhere, self.show_attributes = search_anywhere, show_attributes
        self.version = (
            f"webshop-1 catalogue=({catalogue.name}) search_anywhere={search_anywhere} "
            f"show_attributes={show_attributes}"
        )
        self._clicks: dict[Page, dict[str, Page]] = {}
        self._texts: dict[Page, str] = {}

    def clicks(self, page: Page) -> dict[str, Page]:
        """What can be clicked on a page, in the order shown, and where each click leads."""
        if page not in self._clicks:
            if len(self._clicks) >= _CACHED_PAGES:
                self._clicks.clear()
            self._clicks[page] = self._find_clicks(page)
        return self._clicks[page]

    def _find_clicks(self, page: Page) -> dict[str, Page]:
        if page.kind == RESULTS:
            return self._result_clicks(page)
        if page.kind == ITEM:
            labels = item_labels(self.catalogue.products[page.product], self.show_attributes)
            return {label: self._item_click(page, label) for label in labels}
        if page.kind == SUB_PAGE:
            return {BACK: Page(), PREVIOUS: page._replace(kind=ITEM, sub_page="")}
        return {}

    def _result_clicks(self, page: Page) -> dict[str, Page]:
        results = self.index.search(page.keywords)
        found = {BACK: Page()}
        for label in result_labels(len(results), page.number)[1:]:
            found[label] = page._replace(number=page.number + (1 if label == NEXT else -1))
        for place in shown_results(results, page.number):
            asin = self.catalogue.products[place].asin.lower()
            found[asin] = page._replace(kind=ITEM, product=place)
        return found

    def _item_click(self, page: Page, label: str) -> Page:
        """Where a label of an item page leads; a button wins over an option of the same words."""
        if label == BACK:
            return Page()
        if label == PREVIOUS:
            return Page(RESULTS, page.keywords, page.number)
        if label == BUY:
            return page._replace(kind=DONE)
        if label in SUB_PAGES and (label != SUB_PAGES[-1] or self.show_attributes):
            return page._replace(kind=SUB_PAGE, sub_page=label)
        name = option_name(self.catalogue.products[page.product], label)
        assert name is not None, label
        return with_option(page, name, label)

    def can_search(self, page: Page) -> bool:
        """Whether keywords can be searched on a page."""
        return page.kind == SEARCH or (self.search_anywhere and page.kind != DONE)

    def valid_actions(self, page: Page) -> list[str]:
        """Every action that does something: `search[keywords]` where any words can be searched."""
        search = [SEARCH_ACTION] if self.can_search(page) else []
        return search + [f"click[{label}]" for label in self.clicks(page)]

    def follow(self, page: Page, action: str) -> Page:
        """The page after an action; the same page after an illegal one."""
        count_steps(1)
        parsed = parse_action(action)
        if parsed is None:
            return page
        verb, argument = parsed
        if verb == "click":
            return self.clicks(page).get(argument, page)
        return Page(RESULTS, argument) if self.can_search(page) else page

    def replay(self, actions: Iterable[str]) -> list[Page]:
        """The T + 1 pages of a shopper who takes T actions; what is stored can be judged anew."""
        pages = [Page()]
        for action in actions:
            pages.append(self.follow(pages[-1], action))
        return pages

    def text(self, page: Page) -> str:
        """The page's text with its actions, without an instruction."""
        if page not in self._texts:
            if len(self._texts) >= _CACHED_PAGES:
                self._texts.clear()
            results = self.index.search(page.keywords) if page.kind == RESULTS else ()
            text = page_text(self.catalogue, page, results, self.show_attributes)
            self._texts[page] = observation_text(text, self.valid_actions(page))
        return self._texts[page]

    def score(self, page: Page, goal: ShoppingGoal) -> PurchaseScore:
        """How well the purchase of an item or done page meets a goal."""
        product = self.catalogue.products[page.product]
        return score_purchase(goal, product, self.catalogue.prices[page.product], page.chosen)


class Snapshot(NamedTuple):
    """The whole state of a session."""

    goal: ShoppingGoal
    page: Page
    score: PurchaseScore | None


class Session:
    """One shopper with one goal: the plain and fast interface.

    Args:
        shop: shared by any number of sessions.
    """

    def __init__(self, shop: Shop, goal: ShoppingGoal) -> None:
        self.shop = shop
        self.reset(goal)

    def reset(self, goal: ShoppingGoal) -> str:
        """The text of the search page; a new shopper enters."""
        self.goal, self.page = goal, Page()
        self.score: PurchaseScore | None = None  # of the purchase, once there is one
        return self.text()

    def step(self, action: str) -> tuple[str, float, bool]:
        """Text of the next page, reward, whether the shopper has bought something.

        An illegal action, or any action after the purchase, changes nothing and gives 0.
        """
        if self.page.kind == DONE:
            return self.text(), 0.0, True
        self.page = self.shop.follow(self.page, action)
        if self.page.kind != DONE:
            return self.text(), 0.0, False
        self.score = self.shop.score(self.page, self.goal)
        return self.text(), self.score.reward, True

    def text(self) -> str:
        """The text of the page with its actions."""
        return self.shop.text(self.page)

    def valid_actions(self) -> list[str]:
        """Every action that does something here."""
        return self.shop.valid_actions(self.page)

    def save(self) -> Snapshot:
        """The state; it stays as it is when the session goes on."""
        return Snapshot(self.goal, self.page, self.score)

    def load(self, snapshot: Snapshot) -> None:
        """Restores a state that `save` gave, here or in another session of the shop."""
        self.goal, self.page, self.score = snapshot

    def copy(self) -> "Session":
        """A session of its own in the same state."""
        twin = Session(self.shop, self.goal)
        twin.load(self.save())
        return twin
