"""A language model that acts in grids: one question a step, one word of an answer.

It plans anew at every step. `ActionLists` asks once, for all actions of an episode together.
Departs from the paper, which samples whole answers at temperature 0.7.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from envs.babyai.simulator import (
    ACTION_NAMES,
    DONE,
    DROP,
    FORWARD,
    LEFT,
    NUM_ACTIONS,
    PICKUP,
    RIGHT,
    TOGGLE,
)
from envs.babyai.states import GridShape
from envs.babyai.world import GridTask
from imagination.abstraction import RAW, ROLES_EGOCENTRIC, abstract_text
from imagination.programs import Program
from kalm.choices import score
from kalm.language_model import LanguageModel
from kalm.text import Sampling, write

# Of equally short plans the one that does this first: what a model learns has then one answer.
ACTION_ORDER = (PICKUP, DROP, TOGGLE, FORWARD, LEFT, RIGHT, DONE)
_MAX_REMEMBERED = 200_000  # questions whose answers are kept


class ActionScores:
    """Log-probabilities of all actions by question; equal questions are asked once."""

    def __init__(self, model: LanguageModel, batch: int = 128) -> None:
        self._model, self._batch = model, batch
        self._known: dict[str, np.ndarray] = {}

    def of(self, questions: Sequence[str]) -> np.ndarray:
        """Log-probabilities (N, A) float64."""
        new = [text for text in dict.fromkeys(questions) if text not in self._known]
        if len(self._known) + len(new) > _MAX_REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(questions))
        if new:
            asked = self._model.questions(new)
            found = score(self._model, asked, ACTION_NAMES, batch=self._batch)
            self._known.update(zip(new, found, strict=True))
        return np.array([self._known[text] for text in questions])


class LanguageScores:
    """Scores of actions from a model's answers about states as goals see them."""

    def __init__(
        self,
        answers: ActionScores,
        programs: Mapping[str, Program | None],
        shape: GridShape,
        form: str = ROLES_EGOCENTRIC,
    ) -> None:
        """Args:
        programs: what goals were read as, by their words; None where they were not understood.
        form: of the states' text, as in fine-tuning.
        """
        self._answers, self._programs, self._shape, self._form = answers, programs, shape, form
        self._goals: list[Program | str | None] = []

    def begin(self, goals: Sequence[str]) -> None:
        """Starts new episodes with these goals, in words."""
        raw = self._form == RAW
        self._goals = [goal if raw else self._programs[goal] for goal in goals]

    def of(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Log-probabilities (B, A) float64; zeros for goals that were not understood."""
        scores = np.zeros((len(states), NUM_ACTIONS))
        goals = [self._goals[episode] for episode in episodes.tolist()]
        rows = [row for row, goal in enumerate(goals) if goal is not None]
        known = [goal for goal in goals if goal is not None]
        if known:
            texts = abstract_text(known, states[rows], self._shape, self._form)
            scores[rows] = self._answers.of(texts)
        return scores


class ActionLists:
    """Whole plans in a model's words, one for each task; words that name no action are counted."""

    def __init__(
        self,
        model: LanguageModel,
        programs: Mapping[str, Program | None],
        shape: GridShape,
        form: str = ROLES_EGOCENTRIC,
        *,
        longest_steps: int,
        temperature: float = 0.0,
        batch: int = 64,
    ) -> None:
        """Args:
        programs: what goals were read as, by their words; None where they were not understood.
        form: of the states' text, as in fine-tuning.
        longest_steps: actions after which a list is cut.
        temperature: of the words; 0 takes the likeliest.
        """
        self._model, self._programs, self._shape, self._form = model, programs, shape, form
        self._longest, self._temperature, self._batch = longest_steps, temperature, batch
        self.words = 0  # of all answers
        self.unknown = 0  # words that name no action; they are played as the one that does nothing

    def of(self, tasks: Sequence[GridTask], seed: int) -> list[list[int]]:
        """The actions of each task; none for goals that were not understood."""
        known = [
            place
            for place, task in enumerate(tasks)
            if self._form == RAW or self._programs[task.goal.text] is not None
        ]
        lists: list[list[int]] = [[] for _ in tasks]
        for place, answer in zip(
            known, self._written([tasks[p] for p in known], seed), strict=True
        ):
            lists[place] = [self._action(word) for word in answer.split()[: self._longest]]
        return lists

    def _written(self, tasks: Sequence[GridTask], seed: int) -> list[str]:
        if not tasks:
            return []
        said = [task.goal.text for task in tasks]
        meant = [program for text in said if (program := self._programs[text]) is not None]
        states = np.stack([task.start for task in tasks])
        goals = said if self._form == RAW else meant
        questions = self._model.questions(abstract_text(goals, states, self._shape, self._form))
        words = self._model.encode_texts([f" {name}" for name in ACTION_NAMES])
        room = self._longest * max(map(len, words)) + 1
        if self._model.max_positions is not None:
            room = min(room, self._model.max_positions - max(map(len, questions)))
        sampling = Sampling(self._temperature, seed=seed)
        written = write(
            *(self._model, questions), max_tokens=room, batch=self._batch, sampling=sampling
        )
        return self._model.texts(written)

    def _action(self, word: str) -> int:
        known = word in ACTION_NAMES
        self.words += 1
        self.unknown += not known
        return ACTION_NAMES.index(word) if known else DONE
