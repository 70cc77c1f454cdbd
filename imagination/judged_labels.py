"""Labels of all transitions from a judge's verdicts about some; the rest is left to the proxies.

One thing to know: transitions are shown because they differ, so that successes are more common
among them than in the data, and a proxy that is precise there is less precise on the rest. Verdicts
that are shared by all equal transitions have no such error.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from envs.babyai.states import GridShape
from envs.transitions import Transitions
from imagination.judge import Judgement, Verdict, deciding_features, spread_verdicts
from imagination.pictures import transition_pictures
from imagination.proxies import GoalSamples, Proxies, ProxySettings, train_proxies

_CHUNK = 2048  # transitions turned into pictures at once


def labels_by_judge(
    judgements: Sequence[Judgement],
    transitions: Transitions,
    shape: GridShape,
    settings: ProxySettings | None = None,
    *,
    seed: int = 0,
    spread: bool = True,
    goals_together: int = 16,
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Each goal with its labels (N,) bool, or None where the judge said too little about it.

    What was judged keeps its verdict. A goal without a precise proxy has no other successes.

    Args:
        spread: whether transitions that equal a judged one in the features that decide share its
            verdict; the paper leaves them to the proxies.
        goals_together: proxies trained at once; it changes memory and speed, not the labels.
    """
    settings = settings or ProxySettings()
    enough = [judged for judged in judgements if judged.usable.sum() >= 2]
    steps = (transitions.states, transitions.actions, transitions.next_states)
    table = deciding_features(*steps, shape) if spread else None
    found: dict[str, np.ndarray] = {}
    for first in range(0, len(enough), goals_together):
        group = enough[first : first + goals_together]
        labels = _proxied(_trained(group, transitions, shape, settings, seed), transitions, shape)
        for judged, own in zip(group, labels, strict=True):
            own[judged.rows[judged.usable]] = judged.verdicts[judged.usable] == Verdict.TRUE
            if table is not None:
                verdicts = spread_verdicts(table, judged)
                told = verdicts <= Verdict.TRUE
                own[told] = verdicts[told] == Verdict.TRUE
            found[judged.goal] = own
    for judged in judgements:
        yield judged.goal, found.get(judged.goal)


def _trained(
    group: Sequence[Judgement],
    transitions: Transitions,
    shape: GridShape,
    settings: ProxySettings,
    seed: int,
) -> Proxies:
    """A proxy for each goal, on pictures of what was judged for any of them."""
    shown = np.unique(np.concatenate([judged.rows[judged.usable] for judged in group]))
    samples = [
        GoalSamples(
            np.searchsorted(shown, judged.rows[judged.usable]),
            judged.verdicts[judged.usable] == Verdict.TRUE,
        )
        for judged in group
    ]
    return train_proxies(_pictures(transitions, shown, shape), samples, settings, seed=seed)


def _proxied(proxies: Proxies, transitions: Transitions, shape: GridShape) -> np.ndarray:
    """What proxies say about all transitions (G, N) bool."""
    parts = [
        proxies.labels(_pictures(transitions, np.arange(first, last), shape))
        for first in range(0, len(transitions), _CHUNK)
        for last in [min(first + _CHUNK, len(transitions))]
    ]
    return np.concatenate(parts, axis=1)


def _pictures(transitions: Transitions, rows: np.ndarray, shape: GridShape) -> np.ndarray:
    columns = (transitions.states, transitions.actions, transitions.next_states)
    before, actions, after = (column[rows] for column in columns)
    return transition_pictures(before, actions, after, shape)
