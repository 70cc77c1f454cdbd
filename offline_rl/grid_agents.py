"""Trained agents of `offline_rl.agents` in grids: vectors in, scores of actions out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from envs.babyai.simulator import NUM_ACTIONS
from envs.babyai.states import GridShape
from envs.babyai.world import BabyAiWorld
from envs.world import Spaces
from offline_rl.agents import Agent
from offline_rl.grid_vectors import grid_vectors, vector_dim


@dataclass(frozen=True)
class GridVectorWorld:
    """Grids of one size as agents without words know them."""

    name: str
    version: str
    spaces: Spaces

    @classmethod
    def of(cls, world: BabyAiWorld) -> "GridVectorWorld":
        """The vectors of that world's states."""
        return cls(world.name, world.version, Spaces(1, vector_dim(world.shape), NUM_ACTIONS))


class AgentScores:
    """Scores of actions from an agent; goals reach it as vectors of their words."""

    def __init__(
        self, agent: Agent, shape: GridShape, encode: Callable[[Sequence[str]], np.ndarray]
    ) -> None:
        """Args:
        encode: goal vectors (N, V) of texts.
        """
        self._agent, self._shape, self._encode = agent, shape, encode
        self._goals = np.zeros((0, 0), np.float32)

    def begin(self, goals: Sequence[str]) -> None:
        """Starts new episodes with these goals, in words."""
        self._goals = self._encode(goals)

    def of(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Logits, or standardised action values (B, A)."""
        vectors = grid_vectors(states, self._shape).astype(np.float32)
        return self._agent.logits(vectors, self._goals[episodes])
