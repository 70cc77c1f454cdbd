"""The multi-task stream of fine-tuning samples: a pure function of (seed, epoch, index).

Nothing here depends on how many processes or batches read the stream, so any of them can stop and
resume anywhere. Departs from the paper: rollouts may be relabelled in hindsight with a *training*
goal that they reached, and cut to the steps that led there; novel goals are never used.

Source: KALM section 4.2 (rollout generation, dynamics prediction, rollout explanation), its first
version (consequence prediction); text-only decomposition is ours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from envs.episode import Episode
from envs.world import Goal, World
from kalm import prompts
from kalm.layout import Kind, Layout, Packed, join

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class TaskWeights:
    """Relative frequency of every fine-tuning task in the stream."""

    generation: float = 0.45  # goal -> rollout
    dynamics: float = 0.2  # states and actions -> next states
    consequence: float = 0.05  # goal, first state -> last state
    explanation: float = 0.2  # rollout -> goal
    decomposition: float = 0.1  # goal -> simpler goals, text only

    def __post_init__(self) -> None:
        values = [getattr(self, task) for task in prompts.TASKS]
        if min(values) < 0 or sum(values) == 0:
            raise ValueError(f"Expected task weights >= 0 with a sum above 0, got {values}.")

    def probabilities(self) -> np.ndarray:
        """Weights that sum to one, in the order of `prompts.TASKS`."""
        values = np.array([getattr(self, task) for task in prompts.TASKS])
        probabilities: np.ndarray = values / values.sum()
        return probabilities


class RolloutSet:
    """Real rollouts with the training goals that each of them reached, and when."""

    def __init__(
        self, world: World, episodes: Iterable[Episode], *, hindsight: bool = True
    ) -> None:
        self.goals = _by_spec(world.goals(world.levels[0]))
        self.episodes = list(episodes)
        if not self.episodes:
            raise ValueError("Expected at least one rollout, got none. Collect rollouts first.")
        specs = np.array(list(self.goals))
        self.reached = [
            _reached(world, episode, specs) if hindsight else _own(world, episode, self.goals)
            for episode in self.episodes
        ]
        self.specs = list(self.goals)

    def __len__(self) -> int:
        """Number of rollouts N."""
        return len(self.episodes)


def _by_spec(goals: Sequence[Goal]) -> dict[tuple[int, ...], list[str]]:
    texts: dict[tuple[int, ...], list[str]] = {}
    for goal in goals:
        texts.setdefault(goal.spec, []).append(goal.text)
    return texts


def _reached(world: World, episode: Episode, specs: np.ndarray) -> list[tuple[int, int]]:
    """(spec index, first step after which it holds) of goals that did not hold at the start."""
    steps, count = len(episode), len(specs)
    every = np.tile(specs, (steps, 1))
    before = np.repeat(episode.observations[:-1], count, axis=0)
    after = np.repeat(episode.observations[1:], count, axis=0)
    actions = np.repeat(episode.actions, count, axis=0)
    holds = world.success(every, before, actions, after).reshape(steps, count)
    first = episode.observations[:1].repeat(count, axis=0)
    at_start = world.success(specs, first, actions[:count], first)
    fresh = holds.any(0) & ~at_start
    return [(int(spec), int(holds[:, spec].argmax()) + 1) for spec in np.flatnonzero(fresh)]


def _own(
    world: World, episode: Episode, goals: dict[tuple[int, ...], list[str]]
) -> list[tuple[int, int]]:
    texts = {text: index for index, spec in enumerate(goals) for text in goals[spec]}
    return [(texts[episode.goal], len(episode))] if episode.success else []


class TaskStream:
    """Fine-tuning samples by (epoch, index)."""

    def __init__(
        self,
        rollouts: RolloutSet,
        knowledge: Sequence[tuple[str, str]],
        layout: Layout,
        prompt: Encode,
        encode: Encode,
        end_token: int,
        weights: TaskWeights,
        *,
        seed: int,
        max_steps: int = 12,
        dynamics_steps: int = 6,
        predict_first_state: bool = False,
    ) -> None:
        """Args:
        knowledge: question and answer pairs for decomposition; may be empty.
        prompt, encode: words to token ids, with and without a beginning-of-text token.
        max_steps: longest stretch of a rollout in one sample.
        dynamics_steps: longest stretch in a dynamics sample; 1 in the paper.
        predict_first_state: also predict a rollout's first state, as the paper does; imagination
            starts from given states and never needs it.
        """
        self.rollouts, self.knowledge, self.layout = rollouts, knowledge, layout
        self.prompt, self.encode, self.end_token = prompt, encode, end_token
        self.seed, self.max_steps, self.dynamics_steps = seed, max_steps, dynamics_steps
        self.predict_first_state = predict_first_state
        self.probabilities = weights.probabilities()
        if not knowledge:
            self.probabilities[prompts.TASKS.index("decomposition")] = 0.0
            self.probabilities /= self.probabilities.sum()

    def __len__(self) -> int:
        """Samples in one epoch: one per rollout."""
        return len(self.rollouts)

    def order(self, epoch: int) -> np.ndarray:
        """The rollouts' indices (N,) in the order of this epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.rollouts))

    def sample(self, epoch: int, index: int) -> tuple[str, Packed]:
        """Task name and sequence of rollout `index` in `epoch`."""
        rng = np.random.default_rng([self.seed, epoch, index + 1])
        task = prompts.TASKS[rng.choice(len(prompts.TASKS), p=self.probabilities)]
        if task == "decomposition":
            question, answer = self.knowledge[int(rng.integers(len(self.knowledge)))]
            return task, self._answer(self.layout.text(self.prompt(question)), answer)
        episode, reached = self.rollouts.episodes[index], self.rollouts.reached[index]
        if task == "dynamics" or not reached:
            return "dynamics", self._dynamics(episode, rng)
        spec, end = reached[rng.integers(len(reached))]
        texts = self.rollouts.goals[self.rollouts.specs[spec]]
        goal = texts[rng.integers(len(texts))]
        start = self._start(end, rng)
        observations = episode.observations[start : end + 1]
        actions = episode.actions[start:end]
        if task == "generation":
            return task, self._generation(goal, observations, actions)
        if task == "consequence":
            return task, self._consequence(goal, observations)
        return task, self._explanation(goal, observations, actions)

    def _start(self, end: int, rng: np.random.Generator) -> int:
        """Where a stretch that reaches its goal at `end` begins: short ones are likelier.

        The last actions are those that reached the goal; what lies before them is mostly noise.
        """
        lengths = np.arange(1, min(end, self.max_steps) + 1)
        weights = 1.0 / lengths
        return end - int(rng.choice(lengths, p=weights / weights.sum()))

    def _generation(self, goal: str, observations: np.ndarray, actions: np.ndarray) -> Packed:
        words = self.layout.text(self.prompt(prompts.generation_prompt(goal)))
        rollout = self.layout.rollout(
            observations, actions, ended=True, loss=True, first_state=self.predict_first_state
        )
        return join([words, rollout])

    def _dynamics(self, episode: Episode, rng: np.random.Generator) -> Packed:
        step = int(rng.integers(len(episode)))
        end = min(step + self.dynamics_steps, len(episode))
        states, actions = episode.observations[step : end + 1], episode.actions[step:end]
        rollout = self.layout.rollout(states, actions, ended=False, loss=False)
        rollout.loss[:] = rollout.kind == Kind.STATE
        rollout.loss[: self.layout.num_slots] = False
        return join([self.layout.text(self.prompt(prompts.DYNAMICS)), rollout])

    def _consequence(self, goal: str, observations: np.ndarray) -> Packed:
        layout, first, last = self.layout, observations[0], observations[-1]
        words = layout.text(self.prompt(prompts.consequence_prompt(goal)))
        start = layout.state(first, loss=False)
        return join([words, start, layout.state(last, first, loss=True)])

    def _explanation(self, goal: str, observations: np.ndarray, actions: np.ndarray) -> Packed:
        before = join(
            [
                self.layout.text(self.prompt(prompts.BEFORE_EXPLANATION)),
                self.layout.rollout(observations, actions, ended=True, loss=False),
                self.layout.text(self.encode(prompts.AFTER_EXPLANATION)),
            ]
        )
        return self._answer(before, goal)

    def _answer(self, before: Packed, answer: str) -> Packed:
        tokens = [*self.encode(answer), self.end_token]
        return join([before, self.layout.text(tokens, loss=True)])
