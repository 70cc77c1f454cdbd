"""Offline RL against stock d3rlpy on one array of [state, goal vector] a step: speed and memory.

Goal vectors are random: neither speed nor memory depends on what they hold.
"""

import contextlib
import ctypes
import gc
import hashlib
import io
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from envs.columns import Layout
from envs.episode import Episode
from envs.flat import FlatEpisodes, flatten
from experiments.bench_measure import LIMIT, OURS, PEER, BenchRow, Done, Plan, measure
from experiments.bench_rollouts import rollouts, world
from offline_rl.algorithms import AlgorithmConfig
from offline_rl.buffer import MixingBuffer
from offline_rl.goal_encoder import MINILM_DIM, EncodedGoals
from offline_rl.learner import Learner
from offline_rl.normalizer import Normalizer
from offline_rl.train import train_agent

BATCH = 256
LEAST_RATIO = {"bc": 1.5, "cql": 1.2}
LEAST_SHARE = 0.9
LEAST_MEMORY_RATIO = 15.0
SEED = 0
READY_BATCHES = 16  # that the limit goes through again and again


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rollouts: int  # to train on
    updates: int  # each repeat
    repeats: int
    memory_rollouts: int  # of the comparison of memory


SIZES = {
    "tiny": Size(8, 5, 1, 60),
    "quick": Size(600, 400, 5, 12_000),
    "full": Size(6_000, 2_000, 7, 12_000),
}


class RandomVectors:
    """A goal encoder whose vectors are a function of the text and mean nothing."""

    name, dim = "random", MINILM_DIM

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, V) float32."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            key = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
            vector[:] = np.random.default_rng(key).normal(size=self.dim)
        return vectors


def rows(size: Size) -> Iterator[BenchRow]:
    """Updates per second of both algorithms, and memory for data."""
    for algorithm in LEAST_RATIO:
        yield _updates(algorithm, size)
    plan = Plan(
        "offline RL",
        f"memory for {size.memory_rollouts:,} rollouts",
        "MB",
        peer="d3rlpy's buffer of the same steps",
        least_ratio=LEAST_MEMORY_RATIO,
        less_is_better=True,
    )
    yield measure(
        plan,
        {
            OURS: lambda: _resident(_build_ours, size.memory_rollouts),
            PEER: lambda: _resident(_build_stock, size.memory_rollouts),
        },
        min(size.repeats, 3),
    )


def _updates(algorithm: str, size: Size) -> BenchRow:
    plan = Plan(
        "offline RL",
        f"{algorithm}, batch {BATCH}",
        "updates/s",
        peer="stock d3rlpy",
        limit="the update alone, batches in memory",
        least_ratio=LEAST_RATIO[algorithm],
        least_share=LEAST_SHARE,
    )
    flat = _flat(size.rollouts)
    ways = {
        OURS: lambda: train(flat, algorithm, size.updates),
        LIMIT: _Limit(flat, algorithm, size.updates).run,
        PEER: _Stock(flat, algorithm, size.updates).run,
    }
    return measure(plan, ways, size.repeats, warmups=1)


@cache
def _flat(count: int) -> FlatEpisodes:
    return flat_of(rollouts(count))


def flat_of(episodes: Sequence[Episode]) -> FlatEpisodes:
    """The flat arrays of episodes."""
    return flatten(episodes, Layout.of(episodes[0]), len(episodes), sum(map(len, episodes)))


def train(flat: FlatEpisodes, algorithm: str, updates: int, device: str = "cpu") -> Done:
    """The product's own training; its clock starts after set-up."""
    found: dict[str, float] = {}
    train_agent(
        world(),
        flat,
        None,
        RandomVectors(),
        algorithm,
        steps=updates,
        batch_size=BATCH,
        on_metrics=lambda step, metrics: found.update(metrics),
        log_every_steps=updates,
        device=device,
    )
    return _done(updates, updates / found["updates_per_second"], found["loss"])


def _done(updates: int, seconds: float | None, loss: float) -> Done:
    return Done(updates, seconds, equal={"updates": updates}, close={"mean loss": loss})


class _Limit:
    """Updates on batches that lie ready."""

    def __init__(self, flat: FlatEpisodes, algorithm: str, updates: int) -> None:
        self._learner, self._batches = ready_batches(buffer_of(flat), algorithm)
        self._updates = updates

    def run(self) -> Done:
        """As many updates as the others."""
        update = self._learner.implementation.update
        for step in range(1, self._updates + 1):
            update(self._batches[step % len(self._batches)], step)
        return Done(self._updates, equal={"updates": self._updates})


def ready_batches(
    buffer: MixingBuffer, algorithm: str, device: str = "cpu"
) -> tuple[Learner, list[Any]]:
    """A fresh learner and the first batches that it would see, on its device."""
    spaces = world().spaces
    assert spaces.num_actions is not None
    width = buffer.transitions(1).inputs.shape[1]
    learner = Learner(
        algorithm, "discrete", AlgorithmConfig(), width, spaces.num_actions, SEED, device
    )
    return learner, [learner._batch(buffer, step) for step in range(1, READY_BATCHES + 1)]


def buffer_of(flat: FlatEpisodes) -> MixingBuffer:
    """The product's buffer of one data set."""
    goals = EncodedGoals.of(RandomVectors(), flat.goals)
    scales = Normalizer.of(flat, goals.vectors)
    return MixingBuffer(flat, None, goals, scales, batch_size=BATCH)


class _Stock:
    """d3rlpy as its documentation shows it, with our hyper-parameters and the same inputs."""

    def __init__(self, flat: FlatEpisodes, algorithm: str, updates: int) -> None:
        self._dataset, self._updates = stock_dataset(flat), updates
        self._algorithm = algorithm

    def run(self) -> Done:
        """A fresh algorithm, built before the clock starts."""
        from offline_rl.d3rlpy_parts import d3rlpy

        with contextlib.redirect_stdout(io.StringIO()):
            fresh = _stock_algorithm(self._algorithm)
            fresh.build_with_dataset(self._dataset)
            began = time.perf_counter()
            ((_, metrics),) = fresh.fit(
                self._dataset,
                n_steps=self._updates,
                n_steps_per_epoch=self._updates,
                logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
                show_progress=False,
            )
        return _done(self._updates, time.perf_counter() - began, metrics["loss"])


def _stock_algorithm(name: str) -> Any:
    from offline_rl.algorithms import ALGORITHMS
    from offline_rl.d3rlpy_parts import d3rlpy

    config = AlgorithmConfig()
    shared = {
        "learning_rate": ALGORITHMS["discrete"][name].learning_rate,
        "batch_size": BATCH,
        "encoder_factory": d3rlpy.models.VectorEncoderFactory(list(config.hidden_sizes)),
    }
    if name == "bc":
        return d3rlpy.algos.DiscreteBCConfig(**shared, beta=config.logit_penalty).create("cpu")
    interval = config.target_update_steps
    return d3rlpy.algos.DiscreteCQLConfig(**shared, target_update_interval=interval).create("cpu")


def stock_dataset(flat: FlatEpisodes) -> Any:
    """d3rlpy's buffer with one row [state, goal vector] a step, scaled as ours are."""
    from offline_rl.d3rlpy_parts import d3rlpy

    goals = EncodedGoals.of(RandomVectors(), flat.goals)
    scales = Normalizer.of(flat, goals.vectors)
    vectors = scales.goals(goals.vectors)[flat.goal_ids]
    steps = np.arange(len(flat.actions)) + np.repeat(np.arange(len(flat)), flat.lengths)
    dim = flat.observations.shape[1]
    inputs = np.empty((len(flat.actions), dim + vectors.shape[1]), np.float32)
    inputs[:, :dim] = scales.observations(flat.observations[steps])
    inputs[:, dim:] = np.repeat(vectors, flat.lengths, axis=0)
    rewards = flat.rewards / np.abs(flat.rewards).max()
    ends, last = np.zeros((2, len(flat.actions)), np.float32), flat.starts + flat.lengths - 1
    ends[0, last], ends[1, last] = flat.terminated, ~flat.terminated
    with contextlib.redirect_stdout(io.StringIO()):
        return d3rlpy.dataset.MDPDataset(
            inputs,
            flat.actions[:, None],
            rewards[:, None],
            *ends,
            action_space=d3rlpy.constants.ActionSpace.DISCRETE,
            action_size=world().spaces.num_actions,
        )


def _resident(build: Callable[[FlatEpisodes], Any], count: int) -> Done:
    """Megabytes that a process grows by when it builds something of `count` rollouts."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return Done(pool.apply(_growth, (build, count)) / 1e6, seconds=1.0)


def _growth(build: Callable[[FlatEpisodes], Any], count: int) -> float:
    build(random_rollouts(8))  # everything is imported and warm
    before = _resident_bytes()
    built = build(random_rollouts(count))
    grown = _resident_bytes() - before
    assert built is not None
    return grown


def _resident_bytes() -> float:
    """Memory of this process once what is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def _build_ours(flat: FlatEpisodes) -> MixingBuffer:
    return buffer_of(flat)


def _build_stock(flat: FlatEpisodes) -> Any:
    return stock_dataset(flat)


def random_rollouts(count: int, steps: int = 11) -> FlatEpisodes:
    """Flat arrays of the shapes of real ones; 11 steps are a real rollout's mean."""
    rng = np.random.default_rng(0)
    texts = list(dict.fromkeys(goal.text for goal in world().goals(world().levels[0])))
    spaces, total = world().spaces, count * steps
    words = np.full(count, "train"), np.full(count, "real")
    return FlatEpisodes(
        observations=rng.random((total + count, spaces.observation_dim), np.float32),
        actions=rng.integers(spaces.num_actions or 1, size=total),
        rewards=rng.random(total, np.float32),
        starts=np.arange(count) * steps,
        lengths=np.full(count, steps),
        goals=texts[:count],
        goal_ids=np.arange(count) % len(texts),
        levels=words[0],
        success=np.ones(count, bool),
        terminated=np.ones(count, bool),
        source=words[1],
    )
