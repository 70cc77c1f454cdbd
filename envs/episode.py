"""The episode: the one object that passes between rooms, whether real, imagined or distilled."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

SOURCES = ("real", "imagined", "distilled")
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Episode:
    """One rollout towards one goal; it checks itself on construction.

    Source: the episode of Minari (final observation kept, ``T + 1`` observations), plus provenance.
    """

    goal: str  # the instruction, in words
    observations: np.ndarray  # (T + 1, D) float32, or (T + 1,) str for text worlds
    actions: np.ndarray  # (T,) int64, (T, A) float32, or (T,) str for text worlds
    rewards: np.ndarray  # (T,) float32, unscaled environment reward
    terminated: bool  # the task ended the episode; False means cut by a step limit
    source: str  # one of SOURCES
    level: str = ""  # goal level, such as "train" or "hard"
    success: bool = False  # the goal's predicate held at the end
    provenance: Mapping[str, Scalar] = field(default_factory=dict)  # seed, index, model hash, ...

    def __post_init__(self) -> None:
        steps = len(self.actions)
        if len(self.observations) != steps + 1:
            raise ValueError(
                f"Expected {steps + 1} observations for {steps} actions, "
                f"got {len(self.observations)}. Keep the final observation."
            )
        if len(self.rewards) != steps:
            raise ValueError(
                f"Expected {steps} rewards for {steps} actions, got {len(self.rewards)}."
            )
        if steps == 0:
            raise ValueError("Expected at least one action, got none. Leave empty episodes out.")
        if self.source not in SOURCES:
            raise ValueError(f"Expected a source among {', '.join(SOURCES)}, got `{self.source}`.")
        for name in ("observations", "actions", "rewards"):
            values = getattr(self, name)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ValueError(f"Expected finite {name}, got NaN or infinity. Drop this episode.")

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)
