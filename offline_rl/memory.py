"""What a decision transformer remembers of its running episodes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Reward = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass
class EpisodeMemory:
    """The last `context_steps` steps of one episode."""

    spec: tuple[int, ...]  # of the goal, for its rewards
    target_return: float  # scaled return that is asked for from the start
    context_steps: int
    observations: list[np.ndarray] = field(default_factory=list)  # unscaled, (D,) each
    inputs: list[np.ndarray] = field(default_factory=list)  # (D + V,) each
    actions: list[int] = field(default_factory=list)
    returns_to_go: list[float] = field(default_factory=list)
    num_steps: int = 0

    def observe(self, observation: np.ndarray, inputs: np.ndarray, reward: float) -> None:
        """A new observation, and the scaled reward (0 at first) of the step that led to it."""
        left = self.returns_to_go[-1] - reward if self.returns_to_go else self.target_return
        self.returns_to_go.append(left)
        self.observations.append(observation)
        self.inputs.append(inputs)
        self.num_steps += 1
        for values in (self.observations, self.inputs, self.returns_to_go):
            del values[: -self.context_steps]
        del self.actions[: len(self.actions) - len(self.inputs) + 1]

    def window(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, actions, returns and timesteps, padded on the left to `context_steps`."""
        length, count = self.context_steps, len(self.inputs)
        inputs = np.zeros((length, len(self.inputs[0])), np.float32)
        inputs[-count:] = self.inputs
        actions = np.zeros((length, 1), np.int64)
        actions[-count:, 0] = [*self.actions, 0]
        returns = np.zeros((length, 1), np.float32)
        returns[-count:, 0] = self.returns_to_go
        timesteps = np.zeros(length, np.int64)
        timesteps[-count:] = np.arange(self.num_steps - count + 1, self.num_steps + 1)
        return inputs, actions, returns, timesteps


def last_rewards(
    reward: Reward, memories: list[EpisodeMemory], observations: np.ndarray
) -> np.ndarray:
    """Rewards (K,) of the steps that led to `observations` (K, D); 0 at an episode's start."""
    rewards = np.zeros(len(memories))
    moved = [row for row, memory in enumerate(memories) if memory.actions]
    if moved:
        rewards[moved] = reward(
            np.array([memories[row].spec for row in moved]),
            np.stack([memories[row].observations[-1] for row in moved]),
            np.array([memories[row].actions[-1] for row in moved]),
            observations[moved],
        )
    return rewards
