"""Input scales: observations per number, goal vectors centred and scaled as a whole.

Sentence vectors of one world's goals are nearly parallel (cosine about 0.99), so what tells goals
apart is drowned unless their mean is taken off. One scale for all numbers of a goal vector keeps
the geometry of the encoder.
"""

from dataclasses import dataclass

import numpy as np

from envs.flat import FlatEpisodes

_MAX_ROWS = 100_000  # observations that the statistics are computed from


@dataclass(frozen=True)
class Normalizer:
    """Means and scales that are saved with an agent."""

    observation_mean: np.ndarray  # (D,) float32
    observation_scale: np.ndarray  # (D,) float32, divides
    goal_mean: np.ndarray  # (V,) float32
    goal_scale: np.ndarray  # (1,) float32, divides

    @classmethod
    def identity(cls, observation_dim: int, goal_dim: int) -> "Normalizer":
        """Leaves inputs as they are."""
        return cls(
            np.zeros(observation_dim, np.float32),
            np.ones(observation_dim, np.float32),
            np.zeros(goal_dim, np.float32),
            np.ones(1, np.float32),
        )

    @classmethod
    def of(cls, episodes: FlatEpisodes, goal_vectors: np.ndarray) -> "Normalizer":
        """Statistics of evenly spaced observations, and of the distinct goals (N, V)."""
        stride = max(1, len(episodes.observations) // _MAX_ROWS)
        rows = np.asarray(episodes.observations[::stride], np.float64)
        scale = rows.std(axis=0)
        mean = goal_vectors.mean(axis=0, dtype=np.float64)
        spread = float(np.sqrt(((goal_vectors - mean) ** 2).mean()))
        return cls(
            rows.mean(axis=0).astype(np.float32),
            np.where(scale > 1e-6, scale, 1.0).astype(np.float32),
            mean.astype(np.float32),
            np.array([spread if spread > 1e-6 else 1.0], np.float32),
        )

    def observations(self, values: np.ndarray) -> np.ndarray:
        """Scaled observations (..., D) float32."""
        return np.asarray((values - self.observation_mean) / self.observation_scale, np.float32)

    def goals(self, vectors: np.ndarray) -> np.ndarray:
        """Scaled goal vectors (..., V) float32."""
        return np.asarray((vectors - self.goal_mean) / self.goal_scale, np.float32)
