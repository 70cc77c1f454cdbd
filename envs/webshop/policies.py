"""Scripted shoppers: uniform, the first-result rule, data collection, and an expert that cheats.

A shopper sees the page's text and the valid actions. Its goal is given at the start; all but the
expert read the goal's instruction only.
"""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from envs.webshop.generation import pick
from envs.webshop.goals import ShoppingGoal
from envs.webshop.pages import BACK, BUY, NEXT, SEARCH_ACTION
from envs.webshop.products import Catalogue

_COMMON_WORDS = """
a about above am an and another any as asked at be broke bucks budget but buy by costs could do
dollars ends features find for friend from get help i in insists is it less like looking lower make
me my namely need not of old on one or ought out over pick please price shop should show so some
something spend than that the these this to under usd want which will with would you
"""
COMMON_WORDS = frozenset(_COMMON_WORDS.split())
MAX_KEYWORDS = 6  # of a drawn search


class TextPolicy(Protocol):
    """Anything that acts in a text environment, one episode at a time."""

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts, with its own random stream."""
        ...

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """An action for the page whose text is `observation`."""
        ...


def keywords_of(instruction: str) -> list[str]:
    """The words of an instruction that name something, in order; prices and fillers left out."""
    words = re.findall(r"[a-z0-9.$'-]+", instruction.lower())
    plain = [word.strip(".'-") for word in words if not word.startswith("$")]
    return [
        word
        for word in plain
        if word and word not in COMMON_WORDS and not re.fullmatch(r"\d+\.00|\d+0", word)
    ]


def title_words(catalogue: Catalogue) -> tuple[str, ...]:
    """The different words of all titles, sorted: what random searches can draw from."""
    titles = (product.name.lower() for product in catalogue.products)
    return tuple(sorted({word for title in titles for word in re.findall(r"[a-z0-9]+", title)}))


class UniformPolicy:
    """Uniform over the valid actions; searches some of the goal's words or random words.

    Args:
        words: what random searches draw from; without any, every search uses the goal's words.
        random_share: of the searches that use random words.
    """

    def __init__(self, words: Sequence[str] = (), random_share: float = 0.5) -> None:
        self._words = list(words)
        self._random_share = random_share if self._words else 0.0

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts."""
        self._goal_words, self._rng = keywords_of(goal.text) or [goal.text], rng

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """A valid action, each with the same probability."""
        action = pick(self._rng, valid_actions)
        return self._search() if action == SEARCH_ACTION else action

    def _search(self) -> str:
        source = self._words if self._rng.random() < self._random_share else self._goal_words
        count = min(int(self._rng.integers(1, MAX_KEYWORDS + 1)), len(source))
        places = np.sort(self._rng.choice(len(source), count, replace=False))
        return f"search[{' '.join(source[place] for place in places)}]"


class RulePolicy:
    """Searches the instruction, takes the first result, buys it: the original's rule baseline."""

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts."""
        self._search = f"search[{goal.text}]"

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """The rule's next action."""
        if SEARCH_ACTION in valid_actions:
            return self._search
        if (buy := f"click[{BUY}]") in valid_actions:
            return buy
        return next(filter(_is_product, valid_actions), f"click[{BACK}]")


class CollectionPolicy(UniformPolicy):
    """What collects unlabelled data: searches the instruction's keywords, else acts uniformly.

    Source: TEDUO (arXiv 2412.06877), appendix, where a language model words the searches; here they
    are the first words of the instruction that name something, in order, up to a drawn number.
    """

    def _search(self) -> str:
        count = int(self._rng.integers(2, 2 * MAX_KEYWORDS + 1))
        return f"search[{' '.join(self._goal_words[:count])}]"


class ExpertPolicy:
    """Looks for the very product that the goal was made from and buys it with the wanted options.

    It reads what shoppers cannot see, so its row is an upper bound. Where search does not show the
    product on any page, it buys the first product of the last page.
    """

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts."""
        values = " ".join((*goal.attributes, *goal.options.values()))
        self._search = f"search[{goal.name} {values}]".lower()
        self._product = f"click[{goal.asin.lower()}]"
        self._pending = [f"click[{value}]" for value in goal.options.values()]

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """The shortest way on."""
        if SEARCH_ACTION in valid_actions:
            return self._search
        if (buy := f"click[{BUY}]") in valid_actions:
            while self._pending:
                option = self._pending.pop(0)
                if option in valid_actions:
                    return option
            return buy
        for action in (self._product, f"click[{NEXT}]"):
            if action in valid_actions:
                return action
        return next(filter(_is_product, valid_actions), f"click[{BACK}]")


def _is_product(action: str) -> bool:
    return bool(re.fullmatch(r"click\[[a-z0-9]{1,10}\]", action))


POLICIES: dict[str, Callable[[], TextPolicy]] = {
    "uniform": UniformPolicy,
    "rule": RulePolicy,
    "collection": CollectionPolicy,
    "expert": ExpertPolicy,
}
