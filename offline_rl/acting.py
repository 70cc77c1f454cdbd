"""From scores of actions to actions, by the same rules for every agent.

Two rules, each of which can be switched off: actions known to do nothing are masked, and in a state
that the episode has seen before the action is drawn from the agent's own distribution instead of
being its favourite, so that no loop lasts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.babyai.world import GridTask
from envs.settings import NotNegative, Settings
from kalm.choices import pick
from offline_rl.grid_play import streams

Allowed = Callable[[np.ndarray], np.ndarray]  # which actions (B, A) may be taken in states (B, D)


@dataclass(frozen=True)
class ActingConfig(Settings):
    """How scores become actions."""

    mask: bool = True  # leave out actions known to do nothing
    loop_break: bool = True  # draw at `loop_temperature` in states seen before
    temperature: NotNegative = 0.0  # elsewhere
    loop_temperature: NotNegative = 1.0


class Scores(Protocol):
    """An agent's preferences among actions."""

    def begin(self, goals: Sequence[str]) -> None:
        """Starts new episodes with these goals, in words."""
        ...

    def of(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Log-probabilities (B, A) of the episodes numbered `episodes` (B,) in states (B, D)."""
        ...


class ScoredPlayer:
    """Acts by an agent's scores; where it prefers nothing at all, at random."""

    def __init__(self, scores: Scores, allowed: Allowed, config: ActingConfig) -> None:
        """Args:
        allowed: the mask, used where `config` says so.
        """
        self._scores, self._allowed, self._config = scores, allowed, config
        self._streams: list[np.random.Generator] = []
        self._visited: list[set[bytes]] = []

    def begin(self, tasks: Sequence[GridTask], seed: int) -> None:
        """Starts new episodes, with nothing visited."""
        self._scores.begin([task.goal.text for task in tasks])
        self._streams = streams(seed, len(tasks))
        self._visited = [set() for _ in tasks]

    def act(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Actions (B,)."""
        scores = self._scores.of(episodes, states).astype(np.float64)
        heat = self._heat(episodes, states)
        heat[np.ptp(scores, axis=1) == 0] = 1.0
        if self._config.mask:
            scores[~self._allowed(states)] = -np.inf
        draws = np.array([self._streams[episode].random() for episode in episodes.tolist()])
        return pick(scores, heat, draws)

    def _heat(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Temperature (B,) of each draw."""
        heat = np.full(len(states), self._config.temperature)
        for row, (episode, state) in enumerate(zip(episodes.tolist(), states, strict=True)):
            visited, key = self._visited[episode], state.tobytes()
            if self._config.loop_break and key in visited:
                heat[row] = self._config.loop_temperature
            visited.add(key)
        return heat
