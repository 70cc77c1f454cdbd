"""The multi-task stream of fine-tuning samples: a pure function of (seed, epoch, index).

Nothing here depends on how many processes or batches read the stream, so any of them can stop and
resume anywhere. Departs from the paper: rollouts may be relabelled in hindsight with a *training*
goal that they reached, and cut to the steps that led there; novel goals are never used.

Source: KALM section 4.2 (rollout generation, dynamics prediction, rollout explanation), its first
version (consequence prediction); text-only decomposition is ours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from envs.episode import Episode
from envs.settings import NotNegative, Settings
from envs.world import Goal, World
from kalm import prompts
from kalm.layout import Kind, Layout, Packed, join

Encode = Callable[[str], list[int]]

_KNOWN_TEXTS = 1 << 16  # whose tokens are kept: goals are few, and asked for again and again


@dataclass(frozen=True)
class TaskWeights(Settings):
    """Relative frequency of every fine-tuning task in the stream."""

    generation: NotNegative = 0.4  # goal -> rollout
    dynamics: NotNegative = 0.15  # states and actions -> next states
    consequence: NotNegative = 0.05  # goal, first state -> last state
    explanation: NotNegative = 0.3  # rollout -> goals
    decomposition: NotNegative = 0.1  # goal -> simpler goals, text only

    def __post_init__(self) -> None:
        super().__post_init__()
        values = [getattr(self, task) for task in prompts.TASKS]
        if sum(values) == 0:
            raise ValueError("Expected task weights with a sum above 0, got only zeros.")

    def probabilities(self) -> np.ndarray:
        """Weights that sum to one, in the order of `prompts.TASKS`."""
        values = np.array([getattr(self, task) for task in prompts.TASKS])
        probabilities: np.ndarray = values / values.sum()
        return probabilities


class RolloutSet:
    """Real rollouts, and for every training goal which steps came nearer to it and reached it.

    With hindsight a step may serve any training goal that it came nearer to, judged by the world's
    own potential; without, only the goal that its rollout was collected for.
    """

    def __init__(
        self, world: World, episodes: Iterable[Episode], *, hindsight: bool = True
    ) -> None:
        self.goals = _by_spec(world.goals(world.levels[0]))
        self.specs = list(self.goals)
        self.episodes = list(episodes)
        if not self.episodes:
            raise ValueError("Expected at least one rollout, got none. Collect rollouts first.")
        specs = np.array(self.specs)
        own = {text: place for place, spec in enumerate(self.specs) for text in self.goals[spec]}
        self.held: list[np.ndarray] = []  # (T + 1, G) bool: goal holds in state
        self.progress: list[np.ndarray] = []  # (T, G) float32: how much nearer a step came, or 0
        for episode in self.episodes:
            held, progress = _served(world, episode, specs)
            if not hindsight:
                other = np.arange(len(specs)) != own.get(episode.goal, -1)
                progress[:, other], held[:, other] = 0.0, False
            self.held.append(held)
            self.progress.append(progress)
        self._keep_clear_progress()

    def _keep_clear_progress(self) -> None:
        """Clips progress to what is typical, and drops what is less than a quarter of it.

        A step that reaches its goal is typical progress, whatever the potential says.
        """
        sample = np.concatenate([p[p > 0] for p in self.progress[:2000]])
        typical = float(np.quantile(sample, 0.8)) if len(sample) else 1.0
        for held, progress in zip(self.held, self.progress, strict=True):
            np.clip(progress, 0.0, typical, out=progress)
            progress[progress < 0.25 * typical] = 0.0
            progress[held[1:] & ~held[:-1]] = typical

    def __len__(self) -> int:
        """Number of rollouts N."""
        return len(self.episodes)

    def reached(self, index: int) -> list[tuple[int, int]]:
        """(goal, first step after which it holds) of goals that did not hold at the start."""
        held = self.held[index]
        fresh = held[1:].any(0) & ~held[0]
        return [(int(goal), int(held[1:, goal].argmax()) + 1) for goal in np.flatnonzero(fresh)]

    def reached_last(self, index: int, first: int, end: int) -> np.ndarray:
        """Goals that state `end` is the first to meet of states `first` to `end`."""
        held = self.held[index]
        return np.flatnonzero(held[end] & ~held[first:end].any(0))


def training_sentences(world: World) -> list[str]:
    """One sentence of every training goal, in the order in which models recognise the goals."""
    return [texts[0] for texts in _by_spec(world.goals(world.levels[0])).values()]


def _by_spec(goals: Sequence[Goal]) -> dict[tuple[int, ...], list[str]]:
    texts: dict[tuple[int, ...], list[str]] = {}
    for goal in goals:
        texts.setdefault(goal.spec, []).append(goal.text)
    return texts


def _served(world: World, episode: Episode, specs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each goal holds in each state (T + 1, G), and how much each step helped it (T, G)."""
    steps, count = len(episode), len(specs)
    states = np.repeat(episode.observations, count, axis=0)
    every = np.tile(specs, (steps + 1, 1))
    potential = world.potential(every, states).reshape(steps + 1, count)
    before = np.concatenate([episode.observations[:1], episode.observations[:-1]])
    actions = np.concatenate([episode.actions[:1], episode.actions])
    held = world.success(
        every, np.repeat(before, count, axis=0), np.repeat(actions, count, axis=0), states
    ).reshape(steps + 1, count)
    progress = np.diff(potential, axis=0).astype(np.float32)
    progress[held[:-1]] = 0.0
    return held, np.maximum(progress, 0.0)


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
        explained_goals: int = 4,
    ) -> None:
        """Args:
        knowledge: question and answer pairs for decomposition; may be empty.
        prompt, encode: words to token ids, with and without a beginning-of-text token.
        max_steps: longest stretch of a rollout in one sample.
        dynamics_steps: longest stretch in a dynamics sample; 1 in the paper.
        explained_goals: most goals that an explanation names, of those that the last step
            reached; 1 in the paper.
        """
        self.rollouts, self.knowledge, self.layout = rollouts, knowledge, layout
        self.prompt = lru_cache(_KNOWN_TEXTS)(prompt)
        self.encode = lru_cache(_KNOWN_TEXTS)(encode)
        self.end_token = end_token
        self.seed, self.max_steps, self.dynamics_steps = seed, max_steps, dynamics_steps
        self.explained_goals = explained_goals
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
        sequence = None
        if task == "generation":
            sequence = self._generation(index, rng)
        elif task in ("consequence", "explanation"):
            sequence = self._reached(task, index, rng)
        if sequence is None:
            return "dynamics", self._dynamics(index, rng)
        return task, sequence

    def _length(self, longest: int, rng: np.random.Generator) -> int:
        """Steps of a stretch, 1 to `longest`: short ones are likelier, for the last steps tell."""
        weights = 1.0 / np.arange(1, min(longest, self.max_steps) + 1)
        return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))

    def _words(self, goal: int, rng: np.random.Generator) -> str:
        texts = self.rollouts.goals[self.rollouts.specs[goal]]
        return texts[int(rng.integers(len(texts)))]

    def _generation(self, index: int, rng: np.random.Generator) -> Packed | None:
        """A stretch that ends in a step towards a goal; only such steps are to be imitated."""
        episode, progress = self.rollouts.episodes[index], self.rollouts.progress[index]
        cumulative = progress.ravel().cumsum(dtype=np.float64)
        if cumulative[-1] == 0:
            return None
        chosen = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        last, goal = divmod(chosen, progress.shape[1])
        held = np.flatnonzero(self.rollouts.held[index][: last + 1, goal])
        longest = last - (int(held[-1]) if len(held) else -1)
        first = last + 1 - self._length(longest, rng)
        rollout = self.layout.rollout(
            episode.observations[first : last + 2],
            episode.actions[first : last + 1],
            ended=bool(self.rollouts.held[index][last + 1, goal]),
            loss=True,
            held=self._held(index, first, last + 1),
        )
        rollout.loss[rollout.kind == Kind.ACTION] = progress[first : last + 1, goal] > 0
        words = prompts.generation_prompt(self._words(goal, rng))
        return join([self.layout.text(self.prompt(words)), rollout])

    def _reached(self, task: str, index: int, rng: np.random.Generator) -> Packed | None:
        """A stretch that reaches a goal, to foretell its end or to name the goal."""
        reached = self.rollouts.reached(index)
        if not reached:
            return None
        goal, end = reached[int(rng.integers(len(reached)))]
        first = end - self._length(end, rng)
        episode = self.rollouts.episodes[index]
        observations = episode.observations[first : end + 1]
        if task == "consequence":
            return self._consequence(self._words(goal, rng), observations)
        goals = self.rollouts.reached_last(index, first, end)[: self.explained_goals]
        plain = [self.rollouts.goals[self.rollouts.specs[goal]][0] for goal in goals]
        question = explanation_question(
            *(self.layout, self.prompt, self.encode, observations, episode.actions[first:end]),
            held=self._held(index, first, end),
        )
        return self._answer(question, prompts.join_subgoals(plain))

    def _held(self, index: int, first: int, last: int) -> np.ndarray | None:
        """Which goals hold in states `first` to `last` of a rollout, where that is learned."""
        return self.rollouts.held[index][first : last + 1] if self.layout.num_goals else None

    def _dynamics(self, index: int, rng: np.random.Generator) -> Packed:
        episode = self.rollouts.episodes[index]
        step = int(rng.integers(len(episode)))
        end = min(step + self.dynamics_steps, len(episode))
        states, actions = episode.observations[step : end + 1], episode.actions[step:end]
        held = self._held(index, step, end)
        rollout = self.layout.rollout(states, actions, ended=False, loss=False, held=held)
        rollout.loss[:] = rollout.kind == Kind.STATE
        rollout.loss[: self.layout.num_slots] = False
        return join([self.layout.text(self.prompt(prompts.DYNAMICS)), rollout])

    def _consequence(self, goal: str, observations: np.ndarray) -> Packed:
        layout, first, last = self.layout, observations[0], observations[-1]
        words = layout.text(self.prompt(prompts.consequence_prompt(goal)))
        start = layout.state(first, loss=False)
        return join([words, start, layout.state(last, first, loss=True)])

    def _answer(self, before: Packed, answer: str) -> Packed:
        tokens = [*self.encode(answer), self.end_token]
        return join([before, self.layout.text(tokens, loss=True)])


def explanation_question(
    layout: Layout,
    prompt: Encode,
    encode: Encode,
    observations: np.ndarray,
    actions: np.ndarray,
    held: np.ndarray | None = None,
) -> Packed:
    """A rollout between the words that ask for its goal.

    Its last state comes twice: the second time each position knows all of it, not only the slots
    before it, which is what relations between slots are read from.
    """
    return join(
        [
            layout.text(prompt(prompts.BEFORE_EXPLANATION)),
            layout.rollout(observations, actions, ended=True, loss=False, held=held),
            layout.state(observations[-1], loss=False),
            layout.text(encode(prompts.AFTER_EXPLANATION)),
        ]
    )
