"""The other way to use labels: imitate the data's own play up to each labelled step.

Play is cut into stretches that end in a step labelled as reaching a goal; nothing is solved and
nothing is improved. It needs what the method does without: rows in the order of play.
Source: the ablation "step 1 + cloning" of TEDUO (arXiv 2412.06877).
"""

import time
from collections.abc import Sequence

import numpy as np

from offline_rl.distillation import (
    DistillationConfig,
    GoalReport,
    LabelledGoal,
    PlannedSteps,
    joined_steps,
    packed_labels,
    unpacked,
)
from offline_rl.empirical import EmpiricalModel
from offline_rl.plans import Plans


def stretch_steps(
    model: EmpiricalModel,
    state_ids: np.ndarray,
    actions: np.ndarray,
    plays: np.ndarray,
    goals: Sequence[LabelledGoal],
    shares: Sequence[float],
    config: DistillationConfig,
) -> PlannedSteps:
    """Stretches of play that reach a goal, each goal with its share of `config.num_plans`.

    Args:
        state_ids: (N,) in the order of play, states before.
        actions: (N,) taken in them.
        plays: (N,) number of the play that a row belongs to; rows of a play are in order.
        shares: of the stretches, one number a goal; they add up to 1.

    Raises:
        ValueError: a row is not among the model's data.
    """
    order = np.argsort(plays, kind="stable")
    state_ids, actions, plays = state_ids[order], actions[order], plays[order]
    edges = model.likely_edges_of(state_ids, actions)
    if len(edges) and edges.min() < 0:
        raise ValueError("Expected rows of the model's own data, got others. Build it from them.")
    began = np.flatnonzero(np.diff(plays, prepend=-1))
    play_starts = began[np.searchsorted(began, np.arange(len(plays)), side="right") - 1]
    counts = np.diff(np.round(np.cumsum([0.0, *shares]) * config.num_plans).astype(int))
    packed = packed_labels(model, [goal.label for goal in goals])
    found, reports = [], []
    for index, (goal, count) in enumerate(zip(goals, counts.tolist(), strict=True)):
        clock = time.perf_counter()
        labels = unpacked(model, packed[index])
        ends = np.flatnonzero(labels[edges])
        starts = np.maximum(play_starts[ends], ends + 1 - config.longest_steps)
        starts = np.maximum(starts, np.append(-1, ends[:-1]) + 1)
        rng = np.random.default_rng([config.seed, index])
        chosen = np.sort(rng.permutation(len(ends))[:count])
        found.append(_stretches(model, edges, state_ids, actions, starts[chosen], ends[chosen]))
        seconds = time.perf_counter() - clock
        solved = len(np.unique(state_ids[ends]))
        reports.append(GoalReport(goal.name, int(labels.sum()), solved, len(chosen), seconds))
    return joined_steps(found, reports)


def _stretches(
    model: EmpiricalModel,
    edges: np.ndarray,
    state_ids: np.ndarray,
    actions: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> Plans:
    """Rows `starts` (K,) to `ends` (K,), both included, as plans."""
    rows = [np.arange(start, end + 1) for start, end in zip(starts, ends, strict=True)]
    every = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    lengths = np.cumsum(ends + 1 - starts)
    states = np.insert(state_ids[every], lengths, model.successors[edges[ends]])
    return Plans(states.astype(np.int32), actions[every].astype(np.int8), lengths, len(ends))
