"""Playing grid tasks: all episodes of a batch advance together, whoever acts.

A player sees states and the words of goals; truth about the goal is used here alone, to end an
episode and to count. What an episode does depends on no other episode in the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.babyai.goals import specs_array
from envs.babyai.simulator import DONE
from envs.babyai.world import BabyAiWorld, GridTask

NO_ACTION = -1


class GridPlayer(Protocol):
    """Acts in many episodes at once."""

    def begin(self, tasks: Sequence[GridTask], seed: int) -> None:
        """Starts new episodes, one a task; `seed` is of the player's own draws."""
        ...

    def act(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Actions (B,) in 0..6 of the episodes numbered `episodes` (B,) in states (B, D)."""
        ...


@dataclass(frozen=True)
class Plays:
    """What became of N tasks."""

    success: np.ndarray  # (N,) bool
    steps: np.ndarray  # (N,) int64
    invalid: np.ndarray  # (N,) int64, steps that changed nothing
    actions: np.ndarray  # (N, T) int8, NO_ACTION after an episode's end


def play(
    world: BabyAiWorld,
    player: GridPlayer,
    tasks: Sequence[GridTask],
    seed: int,
    on_step: Callable[[int], None] = lambda ended: None,
) -> Plays:
    """Plays all tasks to their goals or the world's horizon.

    Args:
        on_step: called with the number of ended episodes after each step.
    """
    count, horizon = len(tasks), world.horizon_steps
    states = np.stack([task.start for task in tasks])
    specs = specs_array([task.goal.spec for task in tasks])
    success = np.zeros(count, bool)
    steps, invalid = np.zeros((2, count), np.int64)
    taken = np.full((count, horizon), NO_ACTION, np.int8)
    player.begin(tasks, seed)
    running = np.arange(count)
    for step in range(horizon):
        before = states[running]
        actions = player.act(running, before)
        after = world.step_states(before, actions)
        reached = world.success(specs[running], before, actions, after)
        invalid[running] += (after == before).all(axis=1)
        taken[running, step], steps[running], success[running] = actions, step + 1, reached
        states[running] = after
        running = running[~reached]
        on_step(count - len(running))
        if not len(running):
            break
    return Plays(success, steps, invalid, taken)


def streams(seed: int, count: int) -> list[np.random.Generator]:
    """A random stream for each of `count` episodes, a function of (seed, episode) alone."""
    return [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        for index in range(count)
    ]


class RandomPlayer:
    """Uniform over all actions, or over those that a mask allows."""

    def __init__(self, allowed: Callable[[np.ndarray], np.ndarray]) -> None:
        """Args:
        allowed: which actions (B, A) bool may be taken in states (B, D).
        """
        self._allowed = allowed
        self._streams: list[np.random.Generator] = []

    def begin(self, tasks: Sequence[GridTask], seed: int) -> None:
        """Starts new episodes."""
        self._streams = streams(seed, len(tasks))

    def act(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Uniform allowed actions (B,)."""
        allowed = self._allowed(states)
        draws = np.array([self._streams[episode].random() for episode in episodes.tolist()])
        ranks = (draws * allowed.sum(axis=1)).astype(np.int64)
        return np.asarray((np.cumsum(allowed, axis=1) > ranks[:, None]).argmax(axis=1))


class ScriptPlayer:
    """Plays lists of actions made beforehand, such as a scripted expert's; then it is done."""

    def __init__(
        self, scripts: Callable[[Sequence[GridTask], int], Sequence[Sequence[int]]]
    ) -> None:
        """Args:
        scripts: makes a list for each task; the number is a seed.
        """
        self._scripts = scripts
        self._actions: Sequence[Sequence[int]] = []
        self._places = np.zeros(0, np.int64)

    def begin(self, tasks: Sequence[GridTask], seed: int) -> None:
        """Asks for the scripts of all tasks."""
        self._actions = self._scripts(tasks, seed)
        self._places = np.zeros(len(tasks), np.int64)

    def act(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """The next actions (B,) of the scripts."""
        chosen = [
            self._actions[episode][place] if place < len(self._actions[episode]) else DONE
            for episode, place in zip(
                episodes.tolist(), self._places[episodes].tolist(), strict=True
            )
        ]
        self._places[episodes] += 1
        return np.array(chosen, np.int64)
