"""Filtered behaviour cloning: which episodes of unlabelled data are worth imitating for a goal.

Episodes are sequences of anything that can be compared, such as the texts of pages; a goal enters
by the reward that it gives to each episode's last state. Departs from the paper only in naming what
it leaves open: loops are erased in order, and all episodes that share the best reward are kept.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLD = 0.6  # Source: TEDUO (arXiv 2412.06877), WebShop


@dataclass(frozen=True)
class Trace:
    """An episode's states and actions, each known by a key."""

    states: tuple[Hashable, ...]  # T + 1
    actions: tuple[Hashable, ...]  # T

    def __post_init__(self) -> None:
        if len(self.states) != len(self.actions) + 1:
            raise ValueError(
                f"Expected {len(self.actions) + 1} states for {len(self.actions)} actions, got "
                f"{len(self.states)}. Keep the final state."
            )


@dataclass(frozen=True)
class Selection:
    """Episodes of one goal, and how many were left out and why."""

    indices: np.ndarray  # (K,) int64, episodes that were kept
    traces: tuple[Trace, ...]  # K, without loops
    reward: float  # of their last states; the best one seen where none was kept
    num_below: int  # episodes that end in a less rewarded state than the best, or below threshold
    num_empty: int  # that end where they began: nothing is left without loops


def without_loops(trace: Trace) -> Trace:
    """The trace with every return to a state cut out: no state is left twice.

    The action that is kept in a state is the one taken when it was left for the last time.

    Source: loop erasure of Lawler 1980.
    """
    states = [trace.states[0]]
    actions: list[Hashable] = []
    places = {trace.states[0]: 0}
    for action, state in zip(trace.actions, trace.states[1:], strict=True):
        if state in places:
            place = places[state]
            for forgotten in states[place + 1 :]:
                del places[forgotten]
            del states[place + 1 :], actions[place:]
        else:
            places[state] = len(states)
            states.append(state)
            actions.append(action)
    return Trace(tuple(states), tuple(actions))


def select_best(
    traces: Sequence[Trace], rewards: np.ndarray, threshold: float = THRESHOLD
) -> Selection:
    """The episodes that end in a state with one goal's best reward, without their loops.

    Args:
        rewards: (N,) what the goal gives to each episode's last state.
        threshold: nothing is kept where the best reward is below it.

    Raises:
        ValueError: there is no episode, not one reward for each, or a reward that is no number.
    """
    if rewards.shape != (len(traces),) or not len(traces):
        raise ValueError(
            f"Expected a reward for each of {len(traces)} episodes, at least one, got "
            f"{rewards.shape}."
        )
    if not np.isfinite(rewards).all():
        raise ValueError("Expected finite rewards, got NaN or infinity. Label every last state.")
    best = float(rewards.max())
    indices = np.flatnonzero(rewards == best) if best >= threshold else np.empty(0, np.int64)
    cut = [without_loops(traces[index]) for index in indices.tolist()]
    kept = np.array([len(trace.actions) > 0 for trace in cut], np.bool_)
    return Selection(
        indices[kept],
        tuple(trace for trace in cut if trace.actions),
        best,
        len(traces) - len(indices),
        len(indices) - int(kept.sum()),
    )
