"""A language model that shops: one question a page, answered with one of the page's actions.

It plans anew on every page. Rules as in grids, each of which can be switched off: answers that do
nothing on a page are masked, and on a page seen before the answer is drawn from the model's own
distribution, so that no loop lasts. Goals that were not understood are shopped for at random.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from envs.webshop.goals import ShoppingGoal
from envs.webshop.policies import UniformPolicy
from envs.webshop.requirements import Requirement
from imagination.shop_roles import RAW, ROLE_ACTIONS, ROLES, Situation, situation
from kalm.choices import pick, score
from kalm.language_model import LanguageModel

_MAX_REMEMBERED = 50_000  # questions whose answers are kept


class AnswerScores:
    """Log-probabilities of answers by question; equal questions are asked once."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._known: dict[tuple[str, tuple[str, ...]], np.ndarray] = {}

    def of(self, question: str, answers: tuple[str, ...]) -> np.ndarray:
        """Log-probabilities (A,) float64."""
        key = question, answers
        if key not in self._known:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            asked = self._model.questions([question])
            self._known[key] = score(self._model, asked, answers)[0]
        return self._known[key]


class LanguageShopper:
    """A shopper (`envs.webshop.policies.TextPolicy`) that reads of a goal its words alone."""

    def __init__(
        self,
        scores: AnswerScores,
        requirements: Mapping[str, Requirement | None],
        form: str = ROLES,
        *,
        mask: bool = True,
        loop_break: bool = True,
    ) -> None:
        """Args:
        requirements: what goals were read as, by their words; None where not understood.
        form: of the pages, as in fine-tuning.
        mask: answers that do nothing are left out; in the raw form they always are, because an
            answer is one of the page's own actions.
        loop_break: draw at temperature 1 on pages seen before.
        """
        self._scores, self._requirements, self._form = scores, requirements, form
        self._mask, self._loop_break = mask or form == RAW, loop_break
        self._random = UniformPolicy()

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts."""
        self._text, self._rng = goal.text, rng
        self._visited: set[str] = set()
        self._random.begin(goal, rng)

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """The action that the model's answer stands for."""
        requirement = self._requirements[self._text]
        if requirement is None:
            return self._random.act(observation, valid_actions)
        seen = situation(requirement, self._text, observation, self._form)
        answers = tuple(seen.actions) if self._form == RAW else ROLE_ACTIONS
        scores = self._scores.of(seen.text, answers).copy()
        if self._mask:
            scores[[answer not in seen.actions for answer in answers]] = -np.inf
        heat = 1.0 if self._loop_break and observation in self._visited else 0.0
        self._visited.add(observation)
        answer = answers[int(pick(scores[None], heat, np.array([self._rng.random()]))[0])]
        return _action(seen, answer)


def _action(seen: Situation, answer: str) -> str:
    """What an answer does; one that does nothing is told as it is, and changes nothing."""
    return seen.actions[answer][0] if answer in seen.actions else f"click[{answer}]"


class ReplayShopper:
    """Repeats for each goal what a kept play did; shops at random for goals without one."""

    def __init__(self, actions: Mapping[str, Sequence[str]]) -> None:
        """Args:
        actions: by the goal's words.
        """
        self._actions, self._random = actions, UniformPolicy()

    def begin(self, goal: ShoppingGoal, rng: np.random.Generator) -> None:
        """A new episode starts."""
        self._left = list(self._actions.get(goal.text, ()))
        self._random.begin(goal, rng)

    def act(self, observation: str, valid_actions: Sequence[str]) -> str:
        """The next action of the play."""
        return self._left.pop(0) if self._left else self._random.act(observation, valid_actions)
