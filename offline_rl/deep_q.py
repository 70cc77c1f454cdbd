"""Deep Q-learning of one goal on the data's rows: a policy also for states that the data lacks.

Double Q-learning with a target network over vectors of features. Updates depend on the seed and
their number alone. Departs from the paper, whose network reads the grid with one convolution: ours
is dense, over whatever features it is given; and a next state's value is taken over the actions
that the data shows there, because nothing corrects a value that is too high for an action that was
never tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from envs.settings import Count, Positive, Probability, Settings
from offline_rl.empirical import EmpiricalModel
from offline_rl.tabular import Solution, checked_labels, steps_taken

_CHUNK = 4096  # rows evaluated at once


@dataclass(frozen=True)
class DeepQSettings(Settings):
    """Only the discount is the paper's, which gives no others for this solver."""

    hidden_sizes: tuple[Count, ...] = (128, 128)  # units of each layer
    learning_rate: Positive = 1e-3  # of Adam
    discount: Probability = 0.7  # gamma, per step
    batch_size: Count = 256  # rows in an update
    updates: Count = 5000
    target_interval: Count = 200  # updates until the target network is copied anew
    only_seen_actions: bool = True  # False: next values over all actions


class DeepQ:
    """Values of one goal's actions by features of a state."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def values(self, features: np.ndarray) -> np.ndarray:
        """Discounted chance (B, A) float32 to reach the goal, by features (B, F) float32."""
        with torch.inference_mode():
            parts = [
                self._network(torch.from_numpy(features[first : first + _CHUNK]))
                for first in range(0, len(features), _CHUNK)
            ]
        return np.asarray(torch.cat(parts).numpy())

    def act(self, features: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """The best actions (B,) int64, of those that `valid` (B, A) bool allows."""
        values = self.values(features)
        allowed = values if valid is None else np.where(valid, values, -np.inf)
        return np.asarray(allowed.argmax(axis=1), np.int64)


def learn_deep_q(
    model: EmpiricalModel,
    labels: np.ndarray,
    features: np.ndarray,
    seed: int,
    settings: DeepQSettings | None = None,
) -> DeepQ:
    """Action values learned from the rows of the data, drawn uniformly.

    Args:
        labels: (E,) bool, edges that reach the goal.
        features: (S, F) float32 of the model's states.

    Source: van Hasselt et al. 2016 (double Q-learning with a target network).
    """
    settings = settings or DeepQSettings()
    if features.dtype != np.float32 or features.shape[:1] != model.states.shape[:1]:
        raise ValueError(
            f"Expected features ({len(model.states)}, F) float32 of the model's states, got "
            f"{features.shape} {features.dtype}."
        )
    online = _network(features.shape[1], model.num_actions, settings.hidden_sizes, seed)
    target = _network(features.shape[1], model.num_actions, settings.hidden_sizes, seed)
    optimizer = torch.optim.Adam(online.parameters(), settings.learning_rate)
    usable = torch.from_numpy(_usable_actions(model, settings.only_seen_actions))
    inputs = torch.from_numpy(features)
    for update in range(settings.updates):
        if update % settings.target_interval == 0:
            target.load_state_dict(online.state_dict())
        rng = np.random.default_rng([seed, update])
        edges = model.row_edges[rng.integers(len(model.row_edges), size=settings.batch_size)]
        before, actions, after, reached = _columns(model, labels, edges)
        with torch.no_grad():
            next_inputs, next_usable = inputs[after], usable[after]
            best = online(next_inputs).masked_fill(~next_usable, -torch.inf).argmax(1, keepdim=True)
            onward = target(next_inputs).gather(1, best)[:, 0] * next_usable.any(dim=1)
            targets = torch.where(reached, 1.0, settings.discount * onward)
        values = online(inputs[before]).gather(1, actions[:, None])[:, 0]
        loss = nn.functional.smooth_l1_loss(values, targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return DeepQ(online)


def deep_solution(
    model: EmpiricalModel, labels: np.ndarray, features: np.ndarray, learned: DeepQ
) -> Solution:
    """A learned policy on the model's states, and how long it takes by most likely next states."""
    actions = learned.act(features).astype(np.int8)
    return Solution(actions, steps_taken(model, labels, actions), 0)


def _network(
    num_features: int, num_actions: int, hidden_sizes: Sequence[int], seed: int
) -> nn.Sequential:
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for size in hidden_sizes:
            layers += [nn.Linear(num_features, size), nn.ReLU()]
            num_features = size
        return nn.Sequential(*layers, nn.Linear(num_features, num_actions))


def _usable_actions(model: EmpiricalModel, only_seen: bool) -> np.ndarray:
    """Actions (S, A) bool that the value of a state is taken over."""
    usable = np.full((len(model.states), model.num_actions), not only_seen)
    usable[model.pair_states, model.pair_actions] = True
    return usable


def _columns(model: EmpiricalModel, labels: np.ndarray, edges: np.ndarray) -> list[torch.Tensor]:
    """State, action, next state, and whether the goal is reached, of edges (B,)."""
    pairs = model.edge_pairs[edges]
    columns = (
        model.pair_states[pairs].astype(np.int64),
        model.pair_actions[pairs].astype(np.int64),
        model.successors[edges].astype(np.int64),
        checked_labels(model, labels)[edges],
    )
    return [torch.from_numpy(column) for column in columns]
