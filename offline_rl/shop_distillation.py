"""Filtered behaviour cloning of unlabelled shopping, told as samples for a language model.

For each goal the plays are kept whose purchase its requirement likes best, without loops; their
steps are told as the requirement sees them. No step is taken in the shop.

The search is the one action that plays of other goals cannot show, as its words are the goal's own.
It is chosen offline instead: plays tell what purchases follow searches for some or all of a goal's
words, and every goal's sample asks for the kind of search that was worth most.

Source: TEDUO (arXiv 2412.06877), WebShop. Departures: the choice of searches; of plays that are
equally good the shortest are kept.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.settings import Count, Settings, Share
from envs.webshop.requirements import Requirement, words_of
from imagination.purchases import Play, Purchase
from imagination.shop_pages import SEARCH, view
from imagination.shop_roles import RAW, nearest_search, searches, situation
from offline_rl.distillation_set import TextSamples
from offline_rl.filtered import THRESHOLD, Trace, select_best, without_loops

# What every purchase (N,) is worth, by the goal's words; nan where nobody said.
Rewards = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class FilterConfig(Settings):
    """Which plays are imitated."""

    threshold: Share = THRESHOLD  # of the purchase's reward
    plays_per_goal: Count = 3  # of the best ones
    least_searches: Count = 20  # that a kind of search needs before its worth is believed


@dataclass(frozen=True)
class KeptPlay:
    """A play that is worth imitating for a goal."""

    goal: str  # its words
    reward: float  # of the purchase, as estimated
    play: int  # which one
    trace: Trace  # without loops


@dataclass(frozen=True)
class Filtered:
    """What is kept for all goals, and what was not."""

    kept: tuple[KeptPlay, ...]
    best: Mapping[str, float]  # the best reward of any purchase, by goal
    num_empty: int  # plays that were nothing but loops


def filter_plays(
    goals: Collection[str],
    plays: Sequence[Play],
    purchases: Sequence[Purchase],
    rewards: Rewards,
    config: FilterConfig,
    on_goal: Callable[[int], None] = lambda done: None,
) -> Filtered:
    """The plays to imitate for each goal.

    Raises:
        ValueError: nobody bought anything.
    """
    if not purchases:
        raise ValueError("Expected plays that end with a purchase, got none. Collect more.")
    traces = [Trace(plays[one.play].pages, plays[one.play].actions) for one in purchases]
    kept: list[KeptPlay] = []
    best, num_empty = {}, 0
    for done, goal in enumerate(goals, start=1):
        selection = select_best(traces, np.nan_to_num(rewards(goal)), config.threshold)
        own = [
            KeptPlay(goal, selection.reward, purchases[index].play, trace)
            for index, trace in zip(selection.indices.tolist(), selection.traces, strict=True)
        ]
        kept += sorted(own, key=lambda one: len(one.trace.actions))[: config.plays_per_goal]
        best[goal], num_empty = selection.reward, num_empty + selection.num_empty
        on_goal(done)
    return Filtered(tuple(kept), best, num_empty)


def search_worths(
    goals: Mapping[str, Requirement], purchases: Sequence[Purchase], rewards: Rewards
) -> dict[str, tuple[float, int]]:
    """Mean reward of the purchases that follow each kind of search, and how many there are.

    A play's search is of the kind whose words it is most like, for any goal that has such words.
    """
    by_word = defaultdict(list)
    for place, purchase in enumerate(purchases):
        for word in set(words_of(purchase.keywords)):
            by_word[word].append(place)
    totals: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for goal, requirement in goals.items():
        words = set(words_of(requirement.product))
        near = sorted({place for word in words for place in by_word.get(word, ())})
        worth = rewards(goal)
        labelled = ~np.isnan(worth)
        for place in (place for place in near if labelled[place]):
            kind = nearest_search(requirement, purchases[place].keywords)
            if kind is not None:
                totals[kind] += worth[place]
                counts[kind] += 1
    return {kind: (totals[kind] / count, count) for kind, count in sorted(counts.items())}


def best_search(
    requirement: Requirement, worths: Mapping[str, tuple[float, int]], least_searches: int
) -> str:
    """The kind of search for a requirement that is worth most; the shortest where none is known."""
    names = list(searches(requirement))
    known = {
        name: worths[name][0]
        for name in names
        if name in worths and worths[name][1] >= least_searches
    }
    return max(known, key=lambda name: known[name]) if known else names[0]


def samples_of(
    kept_plays: Sequence[KeptPlay],
    goals: Mapping[str, Requirement],
    worths: Mapping[str, tuple[float, int]],
    form: str,
    config: FilterConfig,
) -> TextSamples:
    """The steps of all kept plays in one form, without loops in what the form tells.

    Steps that change nothing for a requirement, such as choosing a value that it does not ask for,
    are loops where pages are told as roles.
    """
    plans = []
    for kept in kept_plays:
        search = best_search(goals[kept.goal], worths, config.least_searches)
        plans.append((kept.goal, list(_told(kept, goals[kept.goal], search, form))))
    return samples_from(plans, goals)


def samples_from(
    plans: Sequence[tuple[str, Sequence[tuple[str, str]]]], goals: Mapping[str, Requirement]
) -> TextSamples:
    """All steps of plans, each a goal's words with its questions and answers."""
    steps = [
        (question, answer, goal, goals[goal].text(), number, len(plan) - place)
        for number, (goal, plan) in enumerate(plans)
        for place, (question, answer) in enumerate(plan)
    ]
    questions, answers, said, programs = ([str(step[i]) for step in steps] for i in range(4))
    numbers, left = (np.array([step[i] for step in steps], np.int64) for i in (4, 5))
    return TextSamples(questions, answers, said, programs, numbers, left)


def _told(
    kept: KeptPlay, requirement: Requirement, search: str, form: str
) -> Iterator[tuple[str, str]]:
    """Questions and answers of a play; steps that the form cannot tell are left out.

    Args:
        search: the kind of search that is asked for, whatever the play searched.
    """
    pages = [str(page) for page in kept.trace.states]
    seen = [situation(requirement, kept.goal, page, form) for page in pages]
    answers: list[str | None] = []
    for page, told, action in zip(pages, seen, kept.trace.actions, strict=False):
        if view(page).kind == SEARCH:
            raw = f"search[{searches(requirement)[search]}]"
            answers.append(raw if form == RAW else search)
        else:
            answers.append(told.answer(str(action)))
    trace = without_loops(Trace(tuple(told.text for told in seen), tuple(answers)))
    for question, answer in zip(trace.states, trace.actions, strict=False):
        if answer is not None:
            yield str(question), str(answer)
