"""A chat model that judges purchases, one question each: the paper's way to labels in the shop.

It is shown an instruction and what was bought, and says whether the product is of the wanted kind,
how many of the wanted properties and options are met, and whether the price is. WebShop's formula
joins the four. Purchases that share no word with the instruction are not asked about.

Source: TEDUO (arXiv 2412.06877), WebShop. Departures: the judge also counts what is asked for; the
prompt is our own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs.settings import Count, Settings
from envs.webshop.requirements import words_of
from imagination.purchases import Purchase
from kalm.chat import Chat
from kalm.chat_template import ChatError, Conversation

OTHER_KIND = 0.5  # of the reward is left where the product is of another kind
_MAX_TEXT = 600  # characters of a product's sub-pages that are shown
_CHUNK = 64  # purchases shown before answers are looked at
_VERDICT = re.compile(
    r"kind:\s*(yes|no)\W+properties:\s*(\d+) of (\d+)\W+options:\s*(\d+) of (\d+)\W+"
    r"price:\s*(yes|no)"
)
_EXAMPLE = (
    "Instruction: i need a bpa free lunch box, color: navy, under 30 dollars\n"
    "Bought: Tidy Lunch Box With Spoon, $19.00, chosen: navy\nKnown: bpa free, stackable\n"
    "kind: yes; properties: 1 of 1; options: 1 of 1; price: yes"
)


@dataclass(frozen=True)
class ShopJudgeSettings(Settings):
    """How much the judge is asked."""

    max_purchases: Count = 50  # shown for each goal, those that share most words with it


@dataclass(frozen=True)
class ShopJudgement:
    """What the judge said about one goal's purchases."""

    goal: str
    places: np.ndarray  # (K,) int64, purchases that were judged
    rewards: np.ndarray  # (K,) float64, nan where the answer made no sense
    problem: str = ""  # why it says nothing, or less than it was asked

    @property
    def num_nonsense(self) -> int:
        """Answers that made no sense."""
        return int(np.isnan(self.rewards).sum())

    @property
    def rows(self) -> list[tuple[int, float]]:
        """Purchase and reward of every answer that made sense."""
        known = np.flatnonzero(~np.isnan(self.rewards))
        return [(int(self.places[row]), float(self.rewards[row])) for row in known]


def spread(rows: Sequence[tuple[int, float]], count: int) -> np.ndarray:
    """Rewards (N,) of `count` purchases, nan for those that were not judged, or not sensibly."""
    found = np.full(count, np.nan)
    for place, reward in rows:
        found[place] = reward
    return found


def judge_purchases(
    chat: Chat,
    goals: Sequence[str],
    purchases: Sequence[Purchase],
    settings: ShopJudgeSettings | None = None,
) -> Iterator[ShopJudgement]:
    """A judgement of each goal in turn; goals that follow a chat's failure are not asked about."""
    settings = settings or ShopJudgeSettings()
    words = [set(words_of(one.offer.title)) for one in purchases]
    problem = ""
    for goal in goals:
        places = _nearest(goal, words, settings.max_purchases)
        rewards: list[float] = []
        try:
            for first in range(0, 0 if problem else len(places), _CHUNK):
                asked = places[first : first + _CHUNK].tolist()
                replies = chat.ask([_question(goal, purchases[place]) for place in asked])
                rewards += [read_reward(reply) for reply in replies]
        except ChatError as error:
            problem = str(error)
        yield ShopJudgement(goal, places[: len(rewards)], np.array(rewards, np.float64), problem)


def read_reward(reply: str) -> float:
    """The reward that the last verdict of a reply comes to; nan where there is no sensible one."""
    named = _VERDICT.findall(reply.lower())
    if not named:
        return float("nan")
    kind, *numbers, price = named[-1]
    properties, all_properties, options, all_options = map(int, numbers)
    if properties > all_properties or options > all_options:
        return float("nan")
    met = properties + options + (price == "yes")
    factor = 1.0 if kind == "yes" else OTHER_KIND
    return float(factor * met / (all_properties + all_options + 1))


def _nearest(goal: str, words: Sequence[set[str]], count: int) -> np.ndarray:
    """Places (K,) int64 of the purchases whose titles share most words with a goal, best first."""
    wanted = set(words_of(goal))
    shared = np.array([len(wanted & own) for own in words], np.int64)
    order = np.argsort(-shared, kind="stable")[:count]
    return np.asarray(order[shared[order] > 0])


def _question(goal: str, purchase: Purchase) -> Conversation:
    offer = purchase.offer
    known = ", ".join((*offer.attributes, *offer.texts))[:_MAX_TEXT] or "nothing else"
    system = (
        "You judge what somebody bought by an instruction: whether it is the kind of product that "
        "was asked for, how many of the properties and of the options asked for it has, and "
        "whether its price keeps to the limit (yes where there is none). A property counts where "
        f"the title or what is known of the product says so. Example:\n{_EXAMPLE}\n"
        "End with one line of that form."
    )
    bought = (
        f"Instruction: {goal}\nBought: {offer.title}, {offer.price_tag}, chosen: "
        f"{', '.join(offer.chosen) or 'nothing'}\nKnown: {known}"
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": bought}]
