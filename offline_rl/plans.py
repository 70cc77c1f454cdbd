"""Plans for distillation: greedy actions rolled out on the data's own transition model only.

A plan is kept when its last transition, and no earlier one, is labelled as reaching the goal. No
environment is stepped, and none can be: this module imports arrays and the model, nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from offline_rl.empirical import EmpiricalModel
from offline_rl.tabular import NO_PATH, Solution, checked_labels


@dataclass(frozen=True)
class Plan:
    """Actions that lead from `states[0]` to the goal; views of their `Plans`, never copies."""

    states: np.ndarray  # (T + 1,) int32 ids, the one in which the goal is reached included
    actions: np.ndarray  # (T,) int8

    def __len__(self) -> int:
        return len(self.actions)

    def suffixes(self) -> Iterator["Plan"]:
        """The plan itself, then what is left of it after each step; one action at least."""
        for step in range(len(self)):
            yield Plan(self.states[step:], self.actions[step:])


@dataclass(frozen=True)
class Plans:
    """Plans of one goal end to end; plan i has steps `ends[i - 1]` to `ends[i]`."""

    states: np.ndarray  # (steps + plans,) int32 ids
    actions: np.ndarray  # (steps,) int8
    ends: np.ndarray  # (plans,) int64
    num_tried: int  # starts, those whose way was too long, lost or missing included

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Plan:
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a plan from 0 to {len(self) - 1}, got {index}.")
        first = int(self.ends[index - 1]) if index else 0
        last = int(self.ends[index])
        return Plan(self.states[first + index : last + index + 1], self.actions[first:last])

    def __iter__(self) -> Iterator[Plan]:
        return (self[index] for index in range(len(self)))

    def suffixes(self) -> Iterator[Plan]:
        """Every plan's suffixes, plan after plan; a state that plans share comes once for each."""
        for plan in self:
            yield from plan.suffixes()


def draw_starts(
    solution: Solution,
    count: int,
    rng: np.random.Generator,
    longest_steps: int | None = None,
    balance: float = 1.0,
) -> np.ndarray:
    """Different states (at most count,) int64 from which the goal can be reached, in drawn order.

    Args:
        longest_steps: starts are at most so far from the goal; by default any distance.
        balance: 0 draws every state alike, so that distances are as common as their states; 1
            draws every distance alike, so that the few farthest states are drawn as often as the
            many at middle distances; in [0, 1].
    """
    if not 0.0 <= balance <= 1.0:
        raise ValueError(f"Expected a balance in [0, 1], got {balance}.")
    near = solution.distances > 0
    if longest_steps is not None:
        near &= solution.distances <= longest_steps
    candidates = np.flatnonzero(near)
    if not len(candidates):
        return candidates
    distances = solution.distances[candidates]
    weights = np.bincount(distances)[distances] ** -balance
    # The smallest of exponential times are a weighted draw without repetition, in order.
    times = rng.exponential(size=len(candidates)) / weights
    order = np.argsort(times, kind="stable")[:count]
    return np.asarray(candidates[order])


def roll_out(
    model: EmpiricalModel,
    labels: np.ndarray,
    solution: Solution,
    starts: np.ndarray,
    longest_steps: int,
) -> Plans:
    """The solution's plans from `starts`, those that reach the goal, in the order of the starts.

    Each action leads where it led most often in the data.

    Args:
        labels: (E,) bool, edges that reach the goal.
        starts: (K,) state ids.
        longest_steps: plans with more actions are dropped.
    """
    if longest_steps < 1:
        raise ValueError(f"Expected plans of at least one step, got {longest_steps}.")
    checked_labels(model, labels)
    running, ids = np.arange(len(starts)), np.asarray(starts, np.int64)
    rows, visited, chosen = [], [], []
    lengths = np.zeros(len(starts), np.int64)  # stays 0 unless the goal is reached
    for step in range(1, longest_steps + 1):
        actions = solution.actions[ids]
        edges = model.likely_edges_of(ids, actions)  # none where there is no path
        known = edges >= 0
        running, ids, actions, edges = running[known], ids[known], actions[known], edges[known]
        if not len(running):
            break
        rows.append(running)
        visited.append(ids)
        chosen.append(actions)
        reached = labels[edges]
        lengths[running[reached]] = step
        last = model.successors[edges]
        # The state in which a plan ends: it has no action, and is told by that in the end.
        rows.append(running[reached])
        visited.append(last[reached])
        chosen.append(np.full(int(reached.sum()), NO_PATH, np.int8))
        running, ids = running[~reached], last[~reached].astype(np.int64)
    return _joined(rows, visited, chosen, lengths)


def sample_plans(
    model: EmpiricalModel,
    labels: np.ndarray,
    solution: Solution,
    count: int,
    seed: int,
    longest_steps: int = 500,
    balance: float = 1.0,
) -> Plans:
    """Plans from starts that are drawn by `draw_starts`; a pure function of its arguments."""
    rng = np.random.default_rng(seed)
    starts = draw_starts(solution, count, rng, longest_steps, balance)
    return roll_out(model, labels, solution, starts, longest_steps)


def _joined(
    rows: list[np.ndarray],
    visited: list[np.ndarray],
    chosen: list[np.ndarray],
    lengths: np.ndarray,
) -> Plans:
    """Steps of all starts, level after level, put plan after plan; unfinished ones are left out."""
    if not rows:
        return Plans(
            np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64), len(lengths)
        )
    row = np.concatenate(rows)
    kept = lengths[row] > 0
    order = np.flatnonzero(kept)[np.argsort(row[kept], kind="stable")]
    states = np.concatenate(visited)[order].astype(np.int32)
    actions = np.concatenate(chosen)[order].astype(np.int8)
    return Plans(states, actions[actions != NO_PATH], np.cumsum(lengths[lengths > 0]), len(lengths))
