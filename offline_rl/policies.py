"""Policies of the world's protocol: random, a trained agent, and a planner over an agent.

What an episode's policy does depends on its task alone, not on which slots run beside it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from envs import make_world
from envs.world import Goal, Task, World
from offline_rl.agents import Agent
from offline_rl.goal_encoder import GoalEncoder
from offline_rl.memory import EpisodeMemory, last_rewards

_ACTION_STREAM = 4  # spawn key: a policy's draws for an episode are its own


def _stream(task: Task) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(task.seed, spawn_key=(_ACTION_STREAM,)))


class RandomPolicy:
    """Uniform actions, from a random stream per episode."""

    def __init__(self, world: World) -> None:
        self._spaces = world.spaces
        self._rngs: dict[int, np.random.Generator] = {}

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots` (K,)."""
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self._rngs[slot] = _stream(task)

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions (K,) int64 or (K, A) float32."""
        rngs = [self._rngs[slot] for slot in slots.tolist()]
        if self._spaces.num_actions is not None:
            return np.array([rng.integers(self._spaces.num_actions) for rng in rngs], np.int64)
        size = self._spaces.action_dim
        return np.stack([rng.uniform(-1.0, 1.0, size) for rng in rngs]).astype(np.float32)


class AgentPolicy:
    """A trained agent that acts on its goal's vector.

    Args:
        encoder: the one that the agent was trained with.
        temperature: 0 takes the best action; above, actions are drawn from
            softmax(agent.logits / temperature), which needs discrete actions.
        world: whose rewards a decision transformer counts; by default the agent's by name.

    Raises:
        ValueError: the encoder, the temperature or the world does not fit the agent.
    """

    def __init__(
        self,
        agent: Agent,
        encoder: GoalEncoder,
        temperature: float = 0.0,
        world: World | None = None,
    ) -> None:
        _check_fits(agent, encoder, temperature, world)
        self._agent, self._encoder, self._temperature = agent, encoder, temperature
        self._vectors: dict[str, np.ndarray] = {}  # by goal text
        self._goals: dict[int, np.ndarray] = {}  # goal vector by slot
        self._rngs: dict[int, np.random.Generator] = {}
        self._memories: dict[int, EpisodeMemory] = {}
        self._world = world
        if agent.context_steps > 1 and world is None:
            self._world = make_world(agent.card.world)

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots` (K,)."""
        self.pursue(slots, [task.goal.text for task in tasks])
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self._rngs[slot] = _stream(task)
            self._memories[slot] = EpisodeMemory(
                task.goal.spec, self._agent.card.target_return, self._agent.context_steps
            )

    def pursue(self, slots: np.ndarray, texts: Sequence[str]) -> None:
        """From now on `slots` (K,) act towards the goals `texts`."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if unknown:
            self._vectors.update(zip(unknown, self._encoder.encode(unknown), strict=True))
        for slot, text in zip(slots.tolist(), texts, strict=True):
            self._goals[slot] = self._vectors[text]

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions (K,) int64 or (K, A) float32."""
        goals = np.stack([self._goals[slot] for slot in slots.tolist()])
        if not self._agent.discrete:
            return self._agent.act(observations, goals)
        if self._agent.context_steps == 1:
            return self._choose(slots, self._agent.logits(observations, goals))
        actions = self._choose(slots, self._remembering_logits(slots, observations, goals))
        for slot, action in zip(slots.tolist(), actions.tolist(), strict=True):
            self._memories[slot].actions.append(action)
        return actions

    def _remembering_logits(
        self, slots: np.ndarray, observations: np.ndarray, goals: np.ndarray
    ) -> np.ndarray:
        assert self._world is not None
        memories = [self._memories[slot] for slot in slots.tolist()]
        rewards = last_rewards(self._world.reward, memories, observations)
        inputs = self._agent.inputs(observations, goals)
        for row, memory in enumerate(memories):
            scaled = float(rewards[row]) * self._agent.card.reward_scale
            memory.observe(observations[row], inputs[row], scaled)
        windows = [memory.window() for memory in memories]
        return self._agent.window_logits(*(np.stack(part) for part in zip(*windows, strict=True)))

    def _choose(self, slots: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """The best action per row, or one drawn with the episode's own random stream."""
        if self._temperature == 0.0:
            return np.asarray(logits.argmax(axis=1), np.int64)
        scaled = logits.astype(np.float64) / self._temperature
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares = np.cumsum(weights, axis=1)
        draws = np.array([self._rngs[slot].random() for slot in slots.tolist()])
        chosen = (shares <= draws[:, None] * shares[:, -1:]).sum(axis=1)
        return np.asarray(chosen, np.int64)


def _check_fits(
    agent: Agent, encoder: GoalEncoder, temperature: float, world: World | None
) -> None:
    if encoder.name != agent.card.goal_encoder or encoder.dim != agent.card.goal_dim:
        raise ValueError(
            f"Expected the goal encoder `{agent.card.goal_encoder}` that this agent was trained "
            f"with, got `{encoder.name}`."
        )
    if world is not None and world.name != agent.card.world:
        raise ValueError(
            f"Expected an agent of `{world.name}`, got one of `{agent.card.world}`. "
            "Train one for this environment."
        )
    if temperature < 0.0:
        raise ValueError(f"Expected a --temperature of at least 0, got {temperature}.")
    if temperature > 0.0 and not agent.discrete:
        raise ValueError("Sampling at a --temperature needs discrete actions. Use 0.")


class PlannerPolicy:
    """Decomposes the goal in words, then lets an agent work on the first part that is not reached.

    Generous to this baseline: whether a part is reached is asked from the world's predicate, which
    no other agent may do. Where no part of a decomposition is a known goal, or all parts are
    reached and the episode still runs, the agent works on the whole text.

    Args:
        decompose: simpler goals, in words and in order, of a goal's text.
        world: its training goals are what a part may be; texts are looked up exactly.
    """

    def __init__(
        self, inner: AgentPolicy, decompose: Callable[[str], list[str]], world: World
    ) -> None:
        self._inner, self._decompose, self._world = inner, decompose, world
        self._known = {goal.text: goal for goal in world.goals(world.levels[0])}
        self._wholes: dict[int, str] = {}
        self._parts: dict[int, list[Goal]] = {}
        self._before: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # observation, action

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots` (K,)."""
        self._inner.begin(slots, tasks)
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            texts = self._decompose(task.goal.text)
            self._wholes[slot] = task.goal.text
            self._parts[slot] = [self._known[text] for text in texts if text in self._known]
            self._before.pop(slot, None)

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions (K,) int64 or (K, A) float32."""
        texts = [
            self._current(slot, observation)
            for slot, observation in zip(slots.tolist(), observations, strict=True)
        ]
        self._inner.pursue(slots, texts)
        actions = self._inner.act(slots, observations)
        for row, slot in enumerate(slots.tolist()):
            self._before[slot] = (observations[row], actions[row])
        return actions

    def _current(self, slot: int, observation: np.ndarray) -> str:
        """The text of the first part that does not hold now."""
        parts = self._parts[slot]
        if not parts:
            return self._wholes[slot]
        before, action = self._before.get(slot, (observation, self._no_action()))
        reached = self._world.success(
            np.array([part.spec for part in parts]),
            np.repeat(before[None], len(parts), axis=0),
            np.repeat(action[None], len(parts), axis=0),
            np.repeat(observation[None], len(parts), axis=0),
        )
        open_parts = np.flatnonzero(~reached)
        return parts[open_parts[0]].text if len(open_parts) else self._wholes[slot]

    def _no_action(self) -> np.ndarray:
        """Stands for the action before the first one; training predicates read states only."""
        size = self._world.spaces.action_dim
        return np.zeros((), np.int64) if size is None else np.zeros(size, np.float32)
