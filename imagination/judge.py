"""A chat model that judges transitions, goal by goal: the paper's way to labels.

For each goal it first says which features decide about it (one call). Transitions that differ in
those are then shown to it, at most 5,000 a goal, so that common ones do not crowd out rare ones.
It answers true, false, or not applicable where the goal held already; anything else is nonsense,
counted and left out. What was not shown is labelled by the proxy networks of `imagination.proxies`.

Source: TEDUO (arXiv 2412.06877), step 1. Departures: transitions are judged, not states, and by
`imagination.programs.MEANINGS` instead of a distance; the judge is shown what any goal here can
depend on, not the whole grid.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np

from envs.babyai.cells import EMPTY, WALL
from envs.babyai.raw_text import thing_words
from envs.babyai.simulator import ACTION_NAMES
from envs.babyai.states import CARRIED, GridShape, X, Y, front_cells, front_index
from envs.settings import Count, Settings, Whole
from envs.transitions import Transitions
from imagination.programs import MEANINGS
from kalm.chat import Chat
from kalm.chat_template import ChatError, Conversation

FEATURES = {
    "ahead": "what lies in the cell ahead of the agent",
    "hands": "what the agent holds",
    "beside": "what lies in the four cells around the cell ahead",
    "tile": "where the agent stands",
}
_COLUMNS = {"ahead": (1, 2), "hands": (3, 4), "beside": (5, 6, 7, 8), "tile": (9, 10)}
_CHUNK = 64  # transitions shown before answers are looked at
_VERDICT = re.compile(r"\b(true|false|not applicable)\b")


class Verdict(IntEnum):
    """What the judge said about a transition."""

    FALSE = 0
    TRUE = 1
    NOT_APPLICABLE = 2
    NONSENSE = 3


@dataclass(frozen=True)
class JudgeSettings(Settings):
    """How much the judge is asked."""

    max_transitions: Count = 5000  # shown for each goal
    seed: Whole = 0  # of the choice among transitions that differ

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_transitions < 2:
            raise ValueError(f"Expected at least two transitions, got {self.max_transitions}.")


@dataclass(frozen=True)
class Judgement:
    """What the judge said about one goal."""

    goal: str
    features: tuple[str, ...]  # that decide about the goal
    rows: np.ndarray  # (K,) int64, transitions shown
    verdicts: np.ndarray  # (K,) int8
    problem: str = ""  # why it says nothing, or less than it was asked

    @property
    def usable(self) -> np.ndarray:
        """Which of the rows (K,) bool were judged true or false."""
        return np.asarray(self.verdicts <= Verdict.TRUE)

    def numbers(self) -> dict[str, int]:
        """How many transitions got each verdict."""
        counts = np.bincount(self.verdicts, minlength=len(Verdict))
        return {verdict.name.lower(): int(counts[verdict]) for verdict in Verdict}


def judge_goals(
    chat: Chat,
    goals: Sequence[str],
    transitions: Transitions,
    shape: GridShape,
    settings: JudgeSettings | None = None,
) -> Iterator[Judgement]:
    """A judgement of each goal in turn; goals that follow a chat's failure are not asked about."""
    settings = settings or JudgeSettings()
    steps = (transitions.states, transitions.actions, transitions.next_states)
    table = deciding_features(*steps, shape)
    problem = ""
    for index, goal in enumerate(goals):
        features: tuple[str, ...] = ()
        rows, verdicts = np.empty(0, np.int64), np.empty(0, np.int8)
        try:
            if not problem:
                features = _choose_features(chat, goal)
                rng = np.random.default_rng([settings.seed, index])
                rows = different_rows(table, features, settings.max_transitions, rng)
                for first in range(0, len(rows), _CHUNK):
                    texts = [transition_text(row) for row in table[rows[first : first + _CHUNK]]]
                    replies = chat.ask([_question(goal, text) for text in texts])
                    verdicts = np.append(verdicts, [read_verdict(reply) for reply in replies])
        except ChatError as error:
            problem = str(error)
        judged = verdicts.astype(np.int8)
        yield Judgement(goal, features, rows[: len(judged)], judged, problem)


def deciding_features(
    before: np.ndarray, actions: np.ndarray, after: np.ndarray, shape: GridShape
) -> np.ndarray:
    """What decides about any goal, (N, 11) uint8.

    Columns: the action; the cell ahead before and after; the hands before and after; the four
    cells around the one ahead, in order of their codes; the agent's column and row.
    """
    front = front_index(after, shape)
    beside = front[:, None] + np.array([-1, 1, -shape.width, shape.width])
    inside = (beside >= 0) & (beside < shape.num_cells)
    codes = np.take_along_axis(after, np.where(inside, beside, 0), axis=1)
    around = np.sort(np.where(inside, codes, WALL), axis=1)
    ahead = (front_cells(before, shape), front_cells(after, shape))
    hands = (before[:, CARRIED], after[:, CARRIED])
    columns = (actions, *ahead, *hands, *around.T, after[:, X], after[:, Y])
    return np.column_stack(columns).astype(np.uint8)


def different_rows(
    table: np.ndarray, features: Sequence[str], count: int, rng: np.random.Generator
) -> np.ndarray:
    """At most `count` rows (K,) int64, no two of them alike in the action and in `features`.

    Args:
        table: (N, 11) uint8 of `deciding_features`.
    """
    order = rng.permutation(len(table))
    _, first = np.unique(_deciding(table[order], features), axis=0, return_index=True)
    return np.asarray(order[rng.permutation(first)[:count]])


def spread_verdicts(table: np.ndarray, judgement: Judgement) -> np.ndarray:
    """Verdicts (N,) int8 of all transitions that equal a judged one in what decides.

    The others are NONSENSE. Args as in `different_rows`.
    """
    keys = _deciding(table, judgement.features)
    unique, places = np.unique(keys, axis=0, return_inverse=True)
    verdicts = np.full(len(unique), Verdict.NONSENSE, np.int8)
    verdicts[places.reshape(-1)[judgement.rows]] = judgement.verdicts
    return np.asarray(verdicts[places.reshape(-1)])


def _deciding(table: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """Columns of the action and of `features`, rows (N, F) uint8."""
    return table[:, [0, *(column for name in features for column in _COLUMNS[name])]]


def transition_text(features: np.ndarray) -> str:
    """A row (11,) uint8 of `deciding_features` in words."""
    action, *codes = (int(value) for value in features)
    ahead_before, ahead_after, held_before, held_after = codes[:4]
    around = ", ".join(_words(code) for code in codes[4:8] if code != EMPTY) or "nothing"
    return (
        f"Before the step: ahead lies {_words(ahead_before)}; the hands hold "
        f"{_words(held_before)}.\n"
        f"The step: {ACTION_NAMES[action]}.\n"
        f"After the step: ahead lies {_words(ahead_after)}; the hands hold {_words(held_after)}; "
        f"around the cell ahead lies {around}; the agent stands on tile ({codes[8]}, {codes[9]})."
    )


def read_verdict(reply: str) -> Verdict:
    """What a reply comes to: the last verdict that it names."""
    named = _VERDICT.findall(reply.lower())
    return Verdict[named[-1].upper().replace(" ", "_")] if named else Verdict.NONSENSE


def _choose_features(chat: Chat, goal: str) -> tuple[str, ...]:
    """The features that the chat model names; all of them where it names none."""
    listed = "\n".join(f"{name}: {meaning}" for name, meaning in FEATURES.items())
    (reply,) = chat.ask(
        [
            [
                {"role": "system", "content": f"An agent in a grid has features:\n{listed}"},
                {
                    "role": "user",
                    "content": f"Goal: {goal}\nWhich features decide whether a step reaches this "
                    "goal? Answer with their names and nothing else.",
                },
            ]
        ]
    )
    words = set(re.findall("[a-z]+", reply.lower()))
    return tuple(name for name in FEATURES if name in words) or tuple(FEATURES)


def _question(goal: str, text: str) -> Conversation:
    meanings = "\n".join(f"- {relation}: {meaning}" for relation, meaning in MEANINGS.items())
    system = (
        "You judge whether one step of an agent in a grid reaches its goal. A goal asks for one of "
        f"these:\n{meanings}\nA door may be open, closed or locked; a colour that a goal does not "
        "name may be any. Reason briefly, then end with one line: true, false, or not applicable "
        "where the goal held before the step."
    )
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": f"Goal: {goal}\n{text}\nDoes this step reach the goal?"},
    ]


@cache
def _words(code: int) -> str:
    return thing_words(code)
