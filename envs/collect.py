"""Collecting real episodes with the world's behaviour policy, on every core.

Episode i is a function of (seed, i) alone: its goal, start and policy stream come from a seed
sequence of its own, so the number of workers changes nothing. Workers are spawned processes with
a simulator each; a script that collects needs the usual `if __name__ == "__main__":`.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from envs.episode import Episode
from envs.rollouts import run_tasks
from envs.stopping import end_with_parent
from envs.world import Goal, Task, World

EPISODES_PER_CHUNK = 100
CHUNKS_AHEAD = 2  # per worker; finished chunks wait for their turn


def collect(
    world: World,
    goals: Sequence[Goal],
    count: int,
    seed: int,
    workers: int = 2,
    num_slots: int = 64,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Episode]:
    """`count` episodes of the behaviour policy in order, failures kept and marked.

    Args:
        goals: what episodes ask for, drawn uniformly.
        workers: processes; 1 collects in this one.
        num_slots: environments that step together in each process.
        on_progress: called with the number of episodes collected so far.

    Raises:
        ValueError: there are no goals, or a number is below its least value.
    """
    if not goals:
        raise ValueError("Expected at least one goal, got none. Choose a level that has goals.")
    for name, value, least in (("count", count, 0), ("workers", workers, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"Expected {name} of at least {least}, got {value}.")
    chunks = [
        range(first, min(first + EPISODES_PER_CHUNK, count))
        for first in range(0, count, EPISODES_PER_CHUNK)
    ]
    collect_chunk = partial(_collect_chunk, world, goals, seed, num_slots)
    return _report(_chunks(collect_chunk, chunks, workers), on_progress)


def draw_task(world: World, goals: Sequence[Goal], seed: int, index: int) -> Task:
    """Task number `index` of a collection: goal, fresh start and policy stream."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    goal = goals[int(rng.integers(len(goals)))]
    return Task(goal, world.draw_starts(1, rng)[0], int(rng.integers(2**62)))


def _collect_chunk(
    world: World, goals: Sequence[Goal], seed: int, num_slots: int, indices: range
) -> list[Episode]:
    tasks = [draw_task(world, goals, seed, index) for index in indices]
    episodes = run_tasks(world, world.behaviour_policy(), tasks, num_slots=num_slots)
    return [
        replace(episode, provenance={**episode.provenance, "seed": seed, "index": index})
        for episode, index in zip(episodes, indices, strict=True)
    ]


def _chunks(
    collect_chunk: Callable[[range], list[Episode]], chunks: Sequence[range], workers: int
) -> Iterator[list[Episode]]:
    """Chunks in order, a few of them ahead of the reader."""
    if workers == 1 or len(chunks) < 2:
        yield from map(collect_chunk, chunks)
        return
    context = multiprocessing.get_context("spawn")
    number = min(workers, len(chunks))
    executor = ProcessPoolExecutor(number, context, initializer=end_with_parent)
    waiting: deque[Future[list[Episode]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(executor.submit(collect_chunk, chunk))
            if len(waiting) == workers * CHUNKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _report(
    chunks: Iterable[list[Episode]], on_progress: Callable[[int], None] | None
) -> Iterator[Episode]:
    collected = 0
    for episodes in chunks:
        collected += len(episodes)
        if on_progress:
            on_progress(collected)
        yield from episodes
