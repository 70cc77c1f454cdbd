"""Exact solvers of one goal on the data's own transition model: backward planning and Q iteration.

A goal is a set of labelled edges: reaching it pays 1 and ends the episode. Planning searches
breadth-first from those edges over the most likely next states, so no value can vanish, however
long the way. Where the data is deterministic both solvers find the same greedy actions.
Goals of several stages need nothing more: where a state tells what is carried, ways to fetch and
ways to carry join by themselves.

Departs from the paper: Q values are updated together in sweeps, each towards the mean over the next
states in the data, instead of by one drawn transition after the other; and sweeps go on while
values still reach new pairs. By the paper's rule alone they end after 300 sweeps, when a chain has
its policy 292 steps far in double precision and 102 steps far in single precision.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offline_rl.empirical import EmpiricalModel

NO_PATH = -1


@dataclass(frozen=True)
class Solution:
    """What to do in each state to reach one goal."""

    actions: np.ndarray  # (S,) int8, NO_PATH where none is known to lead to the goal
    distances: np.ndarray  # (S,) int32 actions until the goal is reached, NO_PATH where it is not
    iterations: int  # levels of the search, or sweeps

    @property
    def num_solved(self) -> int:
        """States from which the actions lead to the goal, by most likely next states."""
        return int((self.distances > 0).sum())

    @property
    def memory_bytes(self) -> int:
        """Bytes that keeping this solution costs."""
        return self.actions.nbytes + self.distances.nbytes


Solver = Callable[[EmpiricalModel, np.ndarray], Solution]


@dataclass(frozen=True)
class SolvedGoal:
    """A goal's solution and what finding it cost."""

    goal: str
    solution: Solution
    seconds: float
    peak_bytes: int  # allocated at most while solving, without the model


@dataclass(frozen=True)
class QSettings:
    """Source: TEDUO (arXiv 2412.06877), step 2, tabular Q."""

    learning_rate: float = 0.1  # share of the way to its target that a value moves in a sweep
    discount: float = 0.7  # gamma, per step
    tolerance: float = 1e-6  # stop when no value changed by this much
    quiet_sweeps: int = 20  # and no value became non-zero in so many sweeps; the paper's rule is 0
    max_sweeps: int = 100_000  # an error beyond
    precision: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        if not 0.0 < self.learning_rate <= 1.0:
            raise ValueError(f"Expected a learning_rate in (0, 1], got {self.learning_rate}.")
        if not 0.0 <= self.discount < 1.0:
            raise ValueError(f"Expected a discount in [0, 1), got {self.discount}.")
        if self.tolerance <= 0.0 or self.quiet_sweeps < 0 or self.max_sweeps < 1:
            raise ValueError(
                f"Expected a tolerance above 0, quiet_sweeps from 0 and max_sweeps from 1 on, got "
                f"{self.tolerance}, {self.quiet_sweeps} and {self.max_sweeps}."
            )


@dataclass(frozen=True)
class QValues:
    """Values of the pairs that the data shows."""

    values: np.ndarray  # (P,) discounted chance to reach the goal
    sweeps: int
    largest_change: float  # in the last sweep


def plan_backward(
    model: EmpiricalModel, labels: np.ndarray, action_order: Sequence[int] | None = None
) -> Solution:
    """Shortest ways to the goal, each pair taken to lead where it led most often.

    A pair reaches the goal where its most likely edge is labelled; labels of rarer edges are not
    used. Next states are those of the data: nothing is assumed about pairs that it lacks.

    Args:
        labels: (E,) bool, edges that reach the goal.
        action_order: every action once; of several shortest ways the first action in it is taken.
            By default 0, 1, 2, ...
    """
    greedy, distances, levels = _shortest_pairs(model, labels)
    return Solution(_first_actions(model, greedy, action_order), distances, levels)


def shortest_pairs(model: EmpiricalModel, labels: np.ndarray) -> np.ndarray:
    """Which pairs (P,) bool begin a shortest way to the goal."""
    return _shortest_pairs(model, labels)[0]


def plan_by_values(
    model: EmpiricalModel,
    labels: np.ndarray,
    action_order: Sequence[int] | None = None,
    settings: QSettings | None = None,
) -> Solution:
    """Greedy actions of Q iteration, and how long they take by most likely next states.

    Args:
        labels: (E,) bool, edges that reach the goal.
        action_order: of actions with equal values the first in it is taken.
    """
    found = q_iteration(model, labels, settings or QSettings())
    actions = _first_actions(model, greedy_pairs(model, found.values), action_order)
    return Solution(actions, steps_taken(model, labels, actions), found.sweeps)


def steps_taken(model: EmpiricalModel, labels: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """How long a policy needs from each state (S,) int32, by most likely next states.

    It is NO_PATH where the policy loops, ends, or takes an action that the data lacks.

    Args:
        labels: (E,) bool, edges that reach the goal.
        actions: (S,) integers, the policy's action in each state.
    """
    followed = actions[model.pair_states] == model.pair_actions
    reaching = checked_labels(model, labels)[model.likely_edges] & followed
    return _steps_to_goal(model, reaching, followed)[0]


def q_iteration(
    model: EmpiricalModel, labels: np.ndarray, settings: QSettings | None = None
) -> QValues:
    """Action values of one goal, of all pairs in the data at once.

    Args:
        labels: (E,) bool, edges that reach the goal.

    Raises:
        RuntimeError: values still change after `max_sweeps`.

    Source: TEDUO, step 2; update of Watkins 1989 with the mean over the data's next states.
    """
    settings = settings or QSettings()
    rewards, onward = _expectations(model, checked_labels(model, labels), settings)
    states, first_pairs = model.acted
    values = np.zeros(len(model.pair_states), settings.precision)
    best = np.zeros(len(model.states), settings.precision)
    rate = values.dtype.type(settings.learning_rate)
    num_reached, last_growth = 0, 0
    for sweep in range(1, settings.max_sweeps + 1):
        changes = np.add.reduceat(onward * best[model.successors], model.pair_edges[:-1])
        changes += rewards
        changes -= values
        changes *= rate
        values += changes
        best[states] = np.maximum.reduceat(values, first_pairs)
        largest = float(np.abs(changes).max())
        reached = int(np.count_nonzero(values))
        if reached > num_reached:
            num_reached, last_growth = reached, sweep
        if largest < settings.tolerance and sweep - last_growth >= settings.quiet_sweeps:
            return QValues(values, sweep, largest)
    raise RuntimeError(
        f"Expected changes below {settings.tolerance} within {settings.max_sweeps} sweeps, got "
        f"{largest}. Allow more sweeps."
    )


def greedy_pairs(model: EmpiricalModel, values: np.ndarray) -> np.ndarray:
    """Which pairs (P,) bool have their state's largest value; none where all are 0.

    Equal numbers of steps give equal values to the last bit, because they were computed alike.
    """
    _, first_pairs = model.acted
    sizes = np.diff(np.append(first_pairs, len(values)))
    best = np.repeat(np.maximum.reduceat(values, first_pairs), sizes)
    return np.asarray((values == best) & (values > 0.0))


def solve_goals(
    model: EmpiricalModel,
    labelled_goals: Iterable[tuple[str, np.ndarray]],
    solver: Solver = plan_backward,
) -> Iterator[SolvedGoal]:
    """Solves goal after goal; neither labels nor solutions of other goals are held.

    Args:
        labelled_goals: goals with their labels (E,) bool, made when asked for.
        solver: `plan_backward`, `plan_by_values`, or either with its settings bound.
    """
    for goal, labels in labelled_goals:
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            began = time.perf_counter()
            solution = solver(model, labels)
            seconds = time.perf_counter() - began
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            if not tracing:
                tracemalloc.stop()
        yield SolvedGoal(goal, solution, seconds, peak)


def _shortest_pairs(
    model: EmpiricalModel, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs that begin a shortest way (P,), distances of states (S,), and the longest of them."""
    reaching = checked_labels(model, labels)[model.likely_edges]
    distances, levels = _steps_to_goal(model, reaching)
    after = distances[model.likely_successors]
    costs = np.where(after > 0, after + 1, levels + 1)
    costs[reaching] = 1
    return costs == distances[model.pair_states], distances, levels


def _steps_to_goal(
    model: EmpiricalModel, reaching: np.ndarray, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Actions until the goal (S,) int32, NO_PATH where there is no way, and the largest of them.

    Args:
        reaching: (P,) bool, pairs that reach the goal.
        allowed: (P,) bool, pairs that a way may use; by default all.
    """
    distances = np.full(len(model.states), NO_PATH, np.int32)
    frontier = np.unique(model.pair_states[reaching])
    steps = 0
    while len(frontier):
        steps += 1
        distances[frontier] = steps
        pairs = model.pairs_into(frontier)
        if allowed is not None:
            pairs = pairs[allowed[pairs]]
        sources = model.pair_states[pairs]
        frontier = np.unique(sources[distances[sources] == NO_PATH])
    return distances, steps


def _first_actions(
    model: EmpiricalModel, greedy: np.ndarray, action_order: Sequence[int] | None
) -> np.ndarray:
    """The first greedy action of each state (S,) int8, NO_PATH where none is greedy."""
    count = model.num_actions
    order = np.arange(count) if action_order is None else np.asarray(action_order, np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise ValueError(f"Expected each action from 0 to {count - 1} once, got {action_order}.")
    chosen = np.flatnonzero(greedy)
    ranks = np.argsort(order)[model.pair_actions[chosen]]
    first = np.full(len(model.states), count)
    np.minimum.at(first, model.pair_states[chosen], ranks)
    return np.asarray(np.append(order, NO_PATH)[first], np.int8)


def _expectations(
    model: EmpiricalModel, labels: np.ndarray, settings: QSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Chance of each pair (P,) to reach the goal now, and discounted shares of edges (E,) that go
    on.
    """
    starts = model.pair_edges[:-1]
    totals = np.add.reduceat(model.counts.astype(np.float64), starts)
    shares = model.counts / totals[model.edge_pairs]
    rewards = np.add.reduceat(np.where(labels, shares, 0.0), starts)
    onward = np.where(labels, 0.0, settings.discount * shares)
    return rewards.astype(settings.precision), onward.astype(settings.precision)


def checked_labels(model: EmpiricalModel, labels: np.ndarray) -> np.ndarray:
    """The labels, when there is a bool for each edge of the model."""
    if labels.shape != model.counts.shape or labels.dtype != np.bool_:
        raise ValueError(
            f"Expected labels ({len(model.counts)},) bool, one for each edge, got {labels.shape} "
            f"{labels.dtype}. Make them with labels_of_rows or labels_of_states."
        )
    return labels
