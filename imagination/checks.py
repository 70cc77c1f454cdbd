"""Named checks on imagined rollouts: the implausible is rejected, counted and kept to look at.

Limits come from the world (`violations`) and from the real data itself (`Limits`), so a world that
offers nothing is checked too.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from envs.episode import Episode
from envs.world import World

NOT_FINITE = "not_finite"  # why a rollout with NaN or infinity is rejected


@dataclass(frozen=True)
class Limits:
    """What real data never leaves: learned, not written down."""

    low: np.ndarray  # (D,) smallest numbers seen
    high: np.ndarray  # (D,) largest numbers seen
    jump: float  # largest change of one number within a step

    @classmethod
    def of(cls, episodes: Iterable[Episode], *, quantile: float = 0.9995) -> "Limits":
        """Fits to real episodes; the `quantile` of the changes is the largest jump."""
        lows, highs, jumps = [], [], []
        for episode in episodes:
            lows.append(episode.observations.min(0))
            highs.append(episode.observations.max(0))
            jumps.append(np.abs(np.diff(episode.observations, axis=0)).max(1))
        if not jumps:
            raise ValueError("Expected real episodes to learn limits from, got none.")
        jump = float(np.quantile(np.concatenate(jumps), quantile))
        return cls(np.min(lows, axis=0), np.max(highs, axis=0), jump)

    def project_entity(self, entity: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """The default plausibility hook: numbers (B, E) kept within what real data showed."""
        width = proposal.shape[1]
        window = slice(entity * width, (entity + 1) * width)
        kept: np.ndarray = np.clip(proposal, self.low[window], self.high[window])
        return kept


def reject_reason(world: World, limits: Limits, episode: Episode) -> str:
    """The first check that an imagined rollout fails, or an empty string."""
    imagined = episode.observations[1:]
    for name, broken in world.violations(imagined).items():
        if broken.any():
            return name
    if (imagined < limits.low - 1e-4).any() or (imagined > limits.high + 1e-4).any():
        return "outside_real_limits"
    if np.abs(np.diff(episode.observations, axis=0)).max() > limits.jump:
        return "implausible_jump"
    return "" if episode.success else "goal_not_reached"


def count_reasons(episodes: Iterable[Episode]) -> dict[str, int]:
    """How many rollouts were accepted or rejected, by reason."""
    reasons = Counter(str(episode.provenance["reason"]) or "accepted" for episode in episodes)
    return dict(reasons.most_common())


def finite_part(
    observations: np.ndarray, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The steps before the first NaN or infinity, at least one, and whether that is all of them.

    Where the very first step is not finite, what is kept of it is that nothing moved.

    Args:
        observations: (T + 1, D) float32
        actions: (T,) int64 or (T, A) float32
    """
    bad = ~np.isfinite(observations[1:].reshape(len(actions), -1)).all(1)
    bad |= ~np.isfinite(actions.reshape(len(actions), -1)).all(1)
    if not bad.any():
        return observations, actions, True
    steps = int(bad.argmax())
    if steps:
        return observations[: steps + 1], actions[:steps], False
    return np.repeat(observations[:1], 2, axis=0), np.zeros_like(actions[:1]), False
