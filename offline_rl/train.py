"""Training an agent on real and imagined episodes: one loop for every algorithm."""

import dataclasses
import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from envs.flat import FlatEpisodes
from envs.stopping import Stopped, deferred
from envs.world import Spaces
from offline_rl.agents import Agent, AgentCard
from offline_rl.algorithms import AlgorithmConfig, action_kind, find_algorithm
from offline_rl.buffer import MixingBuffer, check_fraction, goal_texts
from offline_rl.checkpoints import restore, write_checkpoint
from offline_rl.goal_encoder import EncodedGoals, GoalEncoder
from offline_rl.learner import own_random_numbers
from offline_rl.normalizer import Normalizer

OnMetrics = Callable[[int, Mapping[str, float]], None]


class TrainingDivergedError(RuntimeError):
    """A loss is NaN or infinite; nothing of this state was saved."""


class Trainable(Protocol):
    """What an agent records of the environment that it is for."""

    @property
    def name(self) -> str:
        """Which environment it is."""
        ...

    @property
    def version(self) -> str:
        """Which version of it."""
        ...

    @property
    def spaces(self) -> Spaces:
        """Shapes of observations and actions."""
        ...


def train_agent(
    world: Trainable,
    real: FlatEpisodes | None,
    imagined: FlatEpisodes | None,
    encoder: GoalEncoder,
    algorithm: str,
    *,
    steps: int,
    batch_size: int = 256,
    imagined_fraction: float | None = None,
    seed: int = 0,
    config: AlgorithmConfig | None = None,
    on_metrics: OnMetrics = lambda step, metrics: None,
    log_every_steps: int = 100,
    checkpoint_folder: Path | None = None,
    checkpoint_every_steps: int = 1000,
    device: str = "cpu",
    normalizer: Normalizer | None = None,
) -> Agent:
    """An agent after `steps` updates; on a CPU a function of its arguments, bit for bit.

    Args:
        imagined_fraction: share of imagined steps per batch; None is one half where there are
            imagined episodes.
        config: hyper-parameters; None takes the defaults.
        on_metrics: called with the step and the losses averaged over the last
            `log_every_steps` updates.
        normalizer: scales of the inputs; None fits them to the data.
        checkpoint_folder: where to save the state, and to resume from.

    Raises:
        ValueError: the algorithm is unknown, or data and fraction do not fit.
        TrainingDivergedError: a loss stopped being finite.
        Stopped: the process was asked to end; with a checkpoint folder it left a checkpoint.
    """
    config = config or AlgorithmConfig()
    if imagined_fraction is None:
        imagined_fraction = 0.5 if imagined is not None else 0.0
    check_fraction(imagined_fraction)
    find_algorithm(algorithm, action_kind(world.spaces))
    goals = EncodedGoals.of(encoder, goal_texts(real, imagined))
    normalizer = normalizer or _normalizer(real, imagined, goals)
    buffer = MixingBuffer(
        real,
        imagined,
        goals,
        normalizer,
        batch_size=batch_size,
        imagined_fraction=imagined_fraction,
        seed=seed,
        reward_scale=config.reward_scale or _reward_scale(real, imagined),
        success_only_real=config.success_only_real,
        success_only_imagined=config.success_only_imagined,
    )
    card = _card(world, algorithm, config, buffer, encoder, seed, steps)
    agent = Agent(card, normalizer, device)
    identity = _identity(card, buffer, goals)
    done = restore(checkpoint_folder, agent.learner, identity) if checkpoint_folder else 0
    log = _MetricsLog(buffer, on_metrics, log_every_steps)
    with deferred() as asked_to_stop, own_random_numbers(device):
        for step in range(done + 1, steps + 1):
            losses = agent.learner.update(buffer, step)
            _check_finite(losses, step)
            log.add(step, losses, last=step == steps)
            stops = asked_to_stop()
            if checkpoint_folder and (stops or step % checkpoint_every_steps == 0):
                write_checkpoint(checkpoint_folder, agent.learner, step, identity)
            if stops:
                raise Stopped
    return agent


def _card(
    world: Trainable,
    algorithm: str,
    config: AlgorithmConfig,
    buffer: MixingBuffer,
    encoder: GoalEncoder,
    seed: int,
    steps: int,
) -> AgentCard:
    return AgentCard(
        world=world.name,
        world_version=world.version,
        algorithm=algorithm,
        action_kind=action_kind(world.spaces),
        config=config,
        observation_dim=world.spaces.observation_dim,
        goal_dim=encoder.dim,
        action_size=world.spaces.num_actions or world.spaces.action_dim or 0,
        goal_encoder=encoder.name,
        reward_scale=buffer.reward_scale,
        target_return=buffer.return_quantile(config.target_return_quantile),
        seed=seed,
        steps=steps,
    )


class _MetricsLog:
    """Averages losses between reports, and says how much imagined data they rest on."""

    def __init__(self, buffer: MixingBuffer, on_metrics: OnMetrics, every_steps: int) -> None:
        self._buffer, self._on_metrics, self._every = buffer, on_metrics, every_steps
        self._sums: dict[str, float] = defaultdict(float)
        self._count, self._begin = 0, time.perf_counter()

    def add(self, step: int, losses: Mapping[str, float], last: bool) -> None:
        for name, value in losses.items():
            self._sums[name] += value
        self._count += 1
        if step % self._every and not last:
            return
        means = {name: value / self._count for name, value in self._sums.items()}
        drawn = self._buffer.drawn
        means["imagined_share"] = drawn["imagined"] / sum(drawn.values())
        means["updates_per_second"] = self._count / (time.perf_counter() - self._begin)
        self._on_metrics(step, means)
        self._sums.clear()
        self._count, self._begin = 0, time.perf_counter()


def _check_finite(losses: Mapping[str, float], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"Expected a finite loss, got {name} = {value} at update {step}. Lower "
                "--learning-rate or --reward-scale."
            )


def _normalizer(
    real: FlatEpisodes | None, imagined: FlatEpisodes | None, goals: EncodedGoals
) -> Normalizer:
    """Scales of the real data, where there is some."""
    episodes = real if real is not None and len(real) else imagined
    if episodes is None or len(episodes) == 0:
        raise ValueError("Expected episodes to train on, got none. Collect or imagine some first.")
    return Normalizer.of(episodes, goals.vectors)


def _reward_scale(*data: FlatEpisodes | None) -> float:
    """What brings the largest absolute reward to 1."""
    largest = max(float(np.abs(episodes.rewards).max()) for episodes in data if episodes)
    return 1.0 / largest if largest > 0 else 1.0


def _identity(card: AgentCard, buffer: MixingBuffer, goals: EncodedGoals) -> dict[str, Any]:
    """What a checkpoint must agree with; the number of steps may differ."""
    settings = dataclasses.asdict(card)
    del settings["steps"]
    settings["config"]["hidden_sizes"] = list(card.config.hidden_sizes)
    vectors = hashlib.sha256(np.ascontiguousarray(goals.vectors).tobytes()).hexdigest()
    return settings | {
        "transitions": buffer.num_transitions,
        "batch": buffer.counts,
        "goal_vectors": vectors,
    }
