"""Planning over unlabelled shopping as requirements see it: one table for all goals together.

Filtered cloning imitates what the best plays did, chance included: a shopper at random seldom
chooses every option that is wanted before it buys. Told as roles, though, the pages of different
goals are the same few states. So what follows an action, and what a purchase is worth then, is
counted over the plays of all goals; exact values on that table say what to do, and plans walk
through it from pages that the data shows. No step is taken in the shop.

Departs from the paper, which solves WebShop by filtered cloning alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.settings import Count, Part, Settings, Share, Whole
from envs.webshop.requirements import Requirement
from imagination.purchases import Play, Purchase
from imagination.requirements import ALL, product_words
from imagination.shop_pages import SEARCH, view
from imagination.shop_roles import ROLES, search_situation, situation
from offline_rl.distillation_set import TextSamples
from offline_rl.filtered import THRESHOLD, Trace, without_loops
from offline_rl.shop_distillation import Rewards, best_search, samples_from

Pair = tuple[str, str]  # a state in words, and an answer


@dataclass(frozen=True)
class PlanConfig(Settings):
    """How the table is made and used."""

    plays_per_goal: Count = 60  # that bought the right kind of product; at most
    plans_per_goal: Count = 3
    least_count: Count = 3  # times that a pair must have been seen to be used
    discount: Part = 0.99  # per step: of equally good ways the shorter one
    threshold: Share = THRESHOLD  # of the worth that a plan is expected to have
    longest_steps: Count = 15
    seed: Whole = 0  # of plays, and of what follows in plans


@dataclass
class RoleTable:
    """What followed each answer on each page, and what purchases were worth on average."""

    following: dict[Pair, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    worth: dict[Pair, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, states: Sequence[str], answers: Sequence[str], reward: float) -> None:
        """Counts a play (T states and answers) whose last answer bought something."""
        for state, answer, after in zip(states, answers, states[1:], strict=False):
            self.following[state, answer][after] += 1
        self.worth[states[-1], answers[-1]].append(reward)

    def solve(self, discount: float, least_count: int) -> "RoleValues":
        """Exact values of all pairs that were seen often enough, by sweeps until none changes."""
        ways = {p: n for p, n in self.following.items() if n.total() >= least_count}
        ends = {p: float(np.mean(r)) for p, r in self.worth.items() if len(r) >= least_count}
        pairs = dict.fromkeys((*ends, *ways), 0.0)
        best: dict[str, float] = {}
        change = 1.0
        while change > 1e-9:
            change = 0.0
            for pair in pairs:
                value = _value(pair, ways.get(pair), ends.get(pair), self.worth, best, discount)
                change, pairs[pair] = max(change, abs(value - pairs[pair])), value
            best = {}
            for (state, _), value in pairs.items():
                best[state] = max(value, best.get(state, 0.0))
        return RoleValues(pairs, ways)


def _value(
    pair: Pair,
    ways: Counter[str] | None,
    end: float | None,
    worth: Mapping[Pair, Sequence[float]],
    best: Mapping[str, float],
    discount: float,
) -> float:
    """The mean over what followed: other pages, and purchases."""
    num_ends = len(worth[pair]) if end is not None else 0
    num_ways = ways.total() if ways else 0
    total = num_ends * (end or 0.0)
    if ways:
        total += sum(count * best.get(after, 0.0) for after, count in ways.items())
    return discount * total / (num_ends + num_ways)


@dataclass(frozen=True)
class RoleValues:
    """What each answer on each page is worth, and what follows it."""

    pairs: Mapping[Pair, float]
    following: Mapping[Pair, Counter[str]]

    def greedy(self) -> dict[str, tuple[str, float]]:
        """The best answer on each page, and its value."""
        found: dict[str, tuple[str, float]] = {}
        for (state, answer), value in self.pairs.items():
            if state not in found or value > found[state][1]:
                found[state] = answer, value
        return found


def role_plays(
    goals: Mapping[str, Requirement],
    plays: Sequence[Play],
    purchases: Sequence[Purchase],
    rewards: Rewards,
    config: PlanConfig,
    on_goal: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], float]]:
    """Goal, states, answers and reward of every play that bought the goal's kind of product.

    Searches are left out: plays begin with the first page that is found.
    """
    titles = [purchase.offer.title for purchase in purchases]
    traces = [
        without_loops(Trace(plays[one.play].pages, plays[one.play].actions)) for one in purchases
    ]
    rng = np.random.default_rng(config.seed)
    alike: dict[str, np.ndarray] = {}
    for done, (goal, requirement) in enumerate(goals.items(), start=1):
        if requirement.product not in alike:
            fits = [product_words(requirement, title) == ALL for title in titles]
            alike[requirement.product] = np.flatnonzero(fits)
        worth, own = rewards(goal), alike[requirement.product]
        for place in rng.permutation(own[~np.isnan(worth[own])])[: config.plays_per_goal]:
            states, answers = _told(traces[place], goal, requirement)
            if answers:
                yield goal, states, answers, float(worth[place])
        on_goal(done)


def _told(
    trace: Trace, goal: str, requirement: Requirement
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """States and answers up to the purchase, without loops in what is told."""
    steps = [
        (seen.text, answer)
        for page, action in zip(trace.states, trace.actions, strict=False)
        if view(str(page)).kind != SEARCH
        and (answer := (seen := situation(requirement, goal, str(page), ROLES)).answer(str(action)))
    ]
    told = Trace((*(state for state, _ in steps), "bought"), tuple(answer for _, answer in steps))
    told = without_loops(told)
    return tuple(map(str, told.states[:-1])), tuple(map(str, told.actions))


def planned_samples(
    goals: Mapping[str, Requirement],
    found: Sequence[tuple[str, tuple[str, ...], tuple[str, ...], float]],
    worths: Mapping[str, tuple[float, int]],
    least_searches: int,
    config: PlanConfig,
) -> TextSamples:
    """Plans of every goal, from its search over a page that the data shows to the purchase.

    Args:
        found: of `role_plays`.
        worths: what kinds of searches are worth.
    """
    table = RoleTable()
    starts: dict[str, list[str]] = {}
    for goal, states, answers, reward in found:
        table.add(states, answers, reward)
        starts.setdefault(goal, []).append(states[0])
    values = table.solve(config.discount, config.least_count)
    greedy = values.greedy()
    rng = np.random.default_rng([config.seed, 1])
    plans: list[tuple[str, list[Pair]]] = []
    for goal, requirement in goals.items():
        search = best_search(requirement, worths, least_searches)
        first = search_situation(requirement).text
        known = [start for start in starts.get(goal, ()) if _is_good(greedy, start, config)]
        for start in rng.permutation(known)[: config.plans_per_goal].tolist():
            walked = _walk(start, greedy, values, config.longest_steps, rng)
            if walked:
                plans.append((goal, [(first, search), *walked]))
    return samples_from(plans, goals)


def _is_good(greedy: Mapping[str, tuple[str, float]], state: str, config: PlanConfig) -> bool:
    return state in greedy and greedy[state][1] >= config.threshold


def _walk(
    state: str,
    greedy: Mapping[str, tuple[str, float]],
    values: RoleValues,
    longest_steps: int,
    rng: np.random.Generator,
) -> list[Pair]:
    """Greedy steps to a purchase, each next page drawn as the data has it; none if it gets lost."""
    steps: list[Pair] = []
    while state in greedy and len(steps) < longest_steps:
        answer = greedy[state][0]
        steps.append((state, answer))
        after = values.following.get((state, answer))
        if not after:
            return steps
        states = list(after)
        shares = np.array([after[one] for one in states]) / after.total()
        state = states[int(rng.choice(len(states), p=shares))]
    return []
