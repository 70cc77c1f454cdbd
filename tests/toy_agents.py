"""Data and a goal encoder of the toy worlds, for tests of agents; small enough for seconds."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from envs import make_world
from envs.collect import collect, draw_task
from envs.columns import Layout
from envs.episode import Episode
from envs.flat import FlatEpisodes, flatten
from envs.toy_goals import DISCS
from envs.world import Goal, Task

_PHRASES = ("left", "right", "above", "below")


class WordEncoder:
    """Which discs a sentence names, in order, and which direction: 3 + 3 + 4 indicators."""

    name = "words"
    dim = 10

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, 10) float32."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            words = text.lower().strip(".?").split()
            discs = [DISCS.index(word) for word in words if word in DISCS]
            for place, disc in enumerate(discs[:2]):
                vector[3 * place + disc] = 1.0
            for direction, phrase in enumerate(_PHRASES):
                vector[6 + direction] = phrase in words
        return vectors


def flat_episodes(episodes: Sequence[Episode]) -> FlatEpisodes:
    """Episodes as flat arrays in memory."""
    steps = sum(len(episode) for episode in episodes)
    return flatten(episodes, Layout.of(episodes[0]), len(episodes), steps)


def make_episode(
    steps: int, goal: str = "go", terminated: bool = True, first: float = 0.0
) -> Episode:
    """An episode whose observations count up from `first` and whose rewards are 1, 2, ..."""
    counts = np.arange(steps + 1, dtype=np.float32) + first
    return Episode(
        goal=goal,
        observations=np.stack([counts, -counts], axis=1),
        actions=np.arange(steps, dtype=np.int64) % 2,
        rewards=np.arange(1, steps + 1, dtype=np.float32),
        terminated=terminated,
        source="real",
        success=terminated,
    )


def red_goals(world_name: str) -> list[Goal]:
    """Training goals that ask for the red disc to be moved, which both toy worlds have."""
    return [goal for goal in make_world(world_name).goals("train") if goal.spec[0] == 0]


@cache
def behaviour_data(world_name: str, count: int = 600) -> FlatEpisodes:
    """Episodes of the behaviour policy on `red_goals`."""
    episodes = collect(make_world(world_name), red_goals(world_name), count, seed=0, workers=1)
    return flat_episodes(list(episodes))


def red_tasks(world_name: str, count: int) -> list[Task]:
    """Tasks of `red_goals` whose starts are not in `behaviour_data`."""
    world, goals = make_world(world_name), red_goals(world_name)
    return [draw_task(world, goals, seed=1, index=index) for index in range(count)]
