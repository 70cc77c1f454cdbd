"""A trained agent: networks, input scales, and what they were trained for.

Saved as JSON and safetensors; the networks are rebuilt from their settings, nothing is unpickled.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from offline_rl.algorithms import ActionKind, AlgorithmConfig
from offline_rl.learner import Learner
from offline_rl.normalizer import Normalizer
from offline_rl.tensor_folder import read_tensors, write_tensors

_NORMALIZER = "normalizer/"
_CHUNK = 32  # rows evaluated together; a fixed number, so that a row's result is its own


@dataclass(frozen=True)
class AgentCard:
    """What an agent is, apart from its weights."""

    world: str  # key in envs.WORLDS
    world_version: str
    algorithm: str  # key in ALGORITHMS
    action_kind: ActionKind
    config: AlgorithmConfig
    observation_dim: int  # D
    goal_dim: int  # V
    action_size: int  # number of discrete actions, or numbers in a continuous one
    goal_encoder: str  # name of the encoder that made the goal vectors
    reward_scale: float  # factor on rewards that training used
    target_return: float  # scaled return that a decision transformer is asked for
    seed: int
    steps: int  # updates


class Agent:
    """Acts on observations and goal vectors, many at a time; its weights are those of `card.seed`
    until `learner` updates or loads them.
    """

    def __init__(self, card: AgentCard, normalizer: Normalizer, device: str = "cpu") -> None:
        self.card = card
        self._normalizer = normalizer
        self.learner = Learner(
            card.algorithm,
            card.action_kind,
            card.config,
            card.observation_dim + card.goal_dim,
            card.action_size,
            card.seed,
            device,
        )

    @property
    def discrete(self) -> bool:
        """Whether actions are numbered."""
        return self.card.action_kind == "discrete"

    @property
    def context_steps(self) -> int:
        """Steps of history that `window_logits` reads; 1 for agents without memory."""
        return self.card.config.context_steps if self.learner.algorithm.windows else 1

    def inputs(self, observations: np.ndarray, goal_vectors: np.ndarray) -> np.ndarray:
        """What the networks see (K, D + V) float32: both parts scaled."""
        parts = (
            self._normalizer.observations(observations),
            self._normalizer.goals(goal_vectors),
        )
        return np.concatenate(parts, axis=-1)

    def logits(self, observations: np.ndarray, goal_vectors: np.ndarray) -> np.ndarray:
        """Preferences (K, A) float32 that a softmax may sample from and whose largest is greedy.

        They are the imitation's logits; action values are standardised per row, so that a sampling
        temperature has no unit. Excluded actions are minus infinity.
        """
        scores = self._scores(observations, goal_vectors)
        return _standardised(scores) if self.learner.algorithm.values else scores

    def action_values(self, observations: np.ndarray, goal_vectors: np.ndarray) -> np.ndarray:
        """Discounted scaled return (K, A) float32 that the agent expects of each action.

        Raises:
            ValueError: the algorithm learns no values of discrete actions.
        """
        if not self.learner.algorithm.values:
            raise ValueError(f"`{self.card.algorithm}` learns no action values. Use `logits`.")
        return self._scores(observations, goal_vectors)

    def window_logits(
        self,
        inputs: np.ndarray,
        actions: np.ndarray,
        returns_to_go: np.ndarray,
        timesteps: np.ndarray,
    ) -> np.ndarray:
        """Logits (K, A) of the last step's action, for agents with memory.

        Args:
            inputs: (K, L, D + V) from `inputs`, padded with zeros on the left.
            actions: (K, L, 1) int64; the last one is not read.
            returns_to_go: (K, L, 1) float32, scaled.
            timesteps: (K, L) int64, from 1 on; 0 is padding.
        """
        padding = (timesteps == 0).astype(np.float32)
        return self._rows(inputs, actions, returns_to_go, timesteps, padding)

    def act(self, observations: np.ndarray, goal_vectors: np.ndarray) -> np.ndarray:
        """Greedy actions: (K,) int64, or (K, A) float32 in [-1, 1]."""
        if self.discrete:
            return np.asarray(self.logits(observations, goal_vectors).argmax(axis=1), np.int64)
        actions = self._rows(self.inputs(observations, goal_vectors))
        return np.asarray(np.clip(actions, -1.0, 1.0), np.float32)

    def save_pretrained(self, folder: Path) -> None:
        """Writes the agent; the folder appears all at once.

        Raises:
            StoreError: the folder exists.
            ValueError: a weight is not finite.
        """
        tensors = self.learner.weights(targets=False)
        for name, values in dataclasses.asdict(self._normalizer).items():
            tensors[_NORMALIZER + name] = torch.from_numpy(values)
        write_tensors(Path(folder), "agent", tensors, dataclasses.asdict(self.card))

    @classmethod
    def from_pretrained(
        cls, folder: Path, world: str | None = None, device: str = "cpu"
    ) -> "Agent":
        """The agent that `save_pretrained` wrote.

        Args:
            world: name of the world it shall act in; agents of others are refused.
            device: torch device to act on.

        Raises:
            ValueError: the folder holds no agent, was altered, or is of another world.
        """
        tensors, content = read_tensors(Path(folder), "agent")
        settings = content.pop("config")
        settings["hidden_sizes"] = tuple(settings["hidden_sizes"])
        card = AgentCard(**content, config=AlgorithmConfig(**settings))
        if world is not None and card.world != world:
            raise ValueError(
                f"Expected an agent of `{world}`, got one of `{card.world}` in {folder}. "
                "Train one for this environment."
            )
        scales = {
            name.removeprefix(_NORMALIZER): tensor.numpy()
            for name, tensor in tensors.items()
            if name.startswith(_NORMALIZER)
        }
        agent = cls(card, Normalizer(**scales), device)
        agent.learner.load_weights(tensors)
        return agent

    def _scores(self, observations: np.ndarray, goal_vectors: np.ndarray) -> np.ndarray:
        if not self.discrete:
            raise ValueError("Expected an agent of discrete actions, got continuous. Use `act`.")
        if self.learner.algorithm.windows:
            raise ValueError("This agent needs the steps before. Use `window_logits`.")
        return self._rows(self.inputs(observations, goal_vectors))

    def _rows(self, *columns: np.ndarray) -> np.ndarray:
        """What the networks say of each row, evaluated in chunks of one size."""
        count = len(columns[0])
        outputs = []
        for first in range(0, count, _CHUNK):
            rows = [values[first : first + _CHUNK] for values in columns]
            missing = _CHUNK - len(rows[0])
            padded = [np.concatenate([r, np.repeat(r[:1], missing, axis=0)]) for r in rows]
            tensors = [torch.from_numpy(r).to(self.learner.device) for r in padded]
            output = self.learner.act(tensors[0] if len(tensors) == 1 else tuple(tensors))
            outputs.append(output.float().cpu().numpy()[: len(rows[0])])
        return np.concatenate(outputs)


def _standardised(scores: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and deviation 1 over their finite entries."""
    finite = np.isfinite(scores)
    count = finite.sum(axis=1, keepdims=True)
    values = np.where(finite, scores, 0.0)
    mean = values.sum(axis=1, keepdims=True) / count
    variance = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count
    return np.asarray((scores - mean) / np.maximum(np.sqrt(variance), 1e-8), np.float32)
