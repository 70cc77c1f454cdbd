"""A chat model that acts untuned: told the rules, shown two solved grids, asked to reason.

The grids of the examples are training grids and their plans were made on the data's own model. An
answer that names no action leaves the choice open, which is counted.
Source: the baseline "in-context examples and reasoning" of TEDUO (arXiv 2412.06877), in our words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.babyai.simulator import ACTION_NAMES, NUM_ACTIONS
from envs.babyai.states import GridShape
from imagination.abstraction import RAW, abstract_text
from imagination.programs import MEANINGS
from kalm.chat import Chat
from kalm.chat_template import Conversation
from offline_rl.distillation_set import DistillationSet

ACTION_MEANINGS = {
    "left": "turn to the left without moving",
    "right": "turn to the right without moving",
    "forward": "move to the tile ahead, which is empty or an open door",
    "pickup": "take the ball, box or key ahead; the hands have to be empty",
    "drop": "put what the hands hold on the empty tile ahead",
    "toggle": "open or close the door ahead; a locked one needs the key of its colour in hand",
    "done": "do nothing",
}
_SHORTEST, _LONGEST = 3, 8  # steps of the plans that are shown
_OTHERS = -20.0  # log-probability of the actions that an answer does not name
_ACTION = re.compile(rf"\b({'|'.join(ACTION_NAMES)})\b")


@dataclass(frozen=True)
class Example:
    """A grid with a goal, and the plan that reaches it."""

    question: str
    actions: tuple[str, ...]

    @property
    def answer(self) -> str:
        """What a good answer looks like."""
        told = ", ".join(self.actions)
        return f"From here this plan reaches the goal: {told}. It begins with\n{self.actions[0]}"


def worked_examples(samples: DistillationSet, shape: GridShape, count: int = 2) -> list[Example]:
    """Short plans for different goals, those of different relations first.

    Args:
        samples: plans in training grids.
    """
    firsts = np.flatnonzero(np.diff(samples.plans, prepend=-1))
    lengths = samples.steps_left[firsts]
    short = firsts[(lengths >= _SHORTEST) & (lengths <= _LONGEST)]
    chosen: dict[str, int] = {}
    for row in (short if len(short) else firsts).tolist():
        chosen.setdefault(samples.programs[row].partition(" ")[0], row)
    return [_example(samples, row, shape) for row in list(chosen.values())[:count]]


def in_context_conversation(
    examples: Sequence[Example], question: str, shape: GridShape
) -> Conversation:
    """What the model is asked about one state."""
    actions = "\n".join(f"{name}: {ACTION_MEANINGS[name]}" for name in ACTION_NAMES)
    meanings = "\n".join(f"- {meaning}" for meaning in MEANINGS.values())
    system = (
        f"You steer an agent in a grid of {shape.width} by {shape.height} tiles. Columns count to "
        f"the right and rows count down from (0, 0). Each answer is one action of these:\n"
        f"{actions}\nA goal is reached by one step, depending on what it asks for:\n{meanings}\n"
        "First say where the agent and the thing are, then which way leads there. The last line "
        "of your answer is the name of the next action alone."
    )
    shown = [
        message
        for example in examples
        for message in (
            {"role": "user", "content": example.question},
            {"role": "assistant", "content": example.answer},
        )
    ]
    return [
        {"role": "system", "content": system},
        *shown,
        {"role": "user", "content": question},
    ]


def read_action(reply: str) -> int | None:
    """The action that the last line of a reply names last, None where it names none."""
    lines = [line for line in reply.lower().splitlines() if line.strip()]
    named = _ACTION.findall(lines[-1]) if lines else []
    return ACTION_NAMES.index(named[-1]) if named else None


class InContextScores:
    """Scores of actions from a chat model's answers about whole states, in words."""

    def __init__(self, chat: Chat, examples: Sequence[Example], shape: GridShape) -> None:
        self._chat, self._examples, self._shape = chat, examples, shape
        self._goals: list[str] = []
        self.answers = 0  # that were read
        self.nonsense = 0  # of these, answers that named no action

    def begin(self, goals: Sequence[str]) -> None:
        """Starts new episodes with these goals, in words."""
        self._goals = list(goals)

    def of(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Log-probabilities (B, A) float64; zeros where an answer named no action."""
        goals = [self._goals[episode] for episode in episodes.tolist()]
        questions = abstract_text(goals, states, self._shape, RAW)
        replies = self._chat.ask(
            [in_context_conversation(self._examples, text, self._shape) for text in questions]
        )
        scores = np.zeros((len(states), NUM_ACTIONS))
        for row, action in enumerate(map(read_action, replies)):
            self.answers += 1
            self.nonsense += action is None
            if action is not None:
                scores[row, np.arange(NUM_ACTIONS) != action] = _OTHERS
        return scores


def _example(samples: DistillationSet, row: int, shape: GridShape) -> Example:
    """The plan that begins at `row`, whether answers are single actions or all that are left."""
    count = int(samples.steps_left[row])
    actions = " ".join(samples.answers[row : row + count]).split()[:count]
    (question,) = abstract_text([samples.goals[row]], samples.states[row : row + 1], shape, RAW)
    return Example(question, tuple(actions))
