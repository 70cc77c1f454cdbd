"""A recurrent network that imitates distilled plans: what the method gains by its language model.

Convolutions over the whole grid, a goal vector, a gated recurrent unit, the next action. It sees
every colour and type, and remembers its episode; it has no words and no roles.
Source: the imitation baseline of TEDUO (arXiv 2412.06877), which trains BabyAI's network on the
same plans; ours takes goal vectors of the sentence encoder instead of learning words.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.babyai.simulator import ACTION_NAMES, NUM_ACTIONS
from envs.babyai.states import GridShape
from envs.settings import Count, Positive, Settings, Whole
from offline_rl.distillation_set import DistillationSet
from offline_rl.goal_encoder import EncodedGoals
from offline_rl.grid_vectors import HANDS_DIM, NUM_PLANES, carried_features, grid_planes
from offline_rl.tensor_folder import read_tensors, write_tensors

_KIND = "imitation"
_NO_ACTION = -100  # padding of a batch of plans


@dataclass(frozen=True)
class ImitationConfig(Settings):
    """Size and training of the recurrent network."""

    updates: Count = 2_000
    plans: Count = 16  # in a batch
    hidden: Count = 128  # units of the recurrent layer
    channels: Count = 32  # of each convolution
    learning_rate: Positive = 1e-3
    seed: Whole = 0


class ImitationNetwork(nn.Module):
    """Logits of the next action from grids, hands, goals and memory."""

    def __init__(self, shape: GridShape, goal_dim: int, config: ImitationConfig) -> None:
        super().__init__()
        self.hidden = config.hidden
        self.planes = nn.Sequential(
            nn.Conv2d(NUM_PLANES, config.channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.channels, config.channels, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Flatten(),
        )
        cells = -(-shape.height // 2) * -(-shape.width // 2)
        joined = config.channels * cells + HANDS_DIM + goal_dim
        self.joined = nn.Sequential(nn.Linear(joined, config.hidden), nn.ReLU())
        self.memory = nn.GRU(config.hidden, config.hidden, batch_first=True)
        self.action = nn.Linear(2 * config.hidden, NUM_ACTIONS)

    def forward(
        self, planes: Tensor, hands: Tensor, goals: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, T, A) and the memory (1, B, M) after the last step.

        Args:
            planes: (B, T, NUM_PLANES, H, W) uint8.
            hands: (B, T, HANDS_DIM) uint8.
            goals: (B, V) goal vectors.
            memory: (1, B, M) before the first step.
        """
        count, steps = planes.shape[:2]
        seen = self.planes(planes.flatten(0, 1).float()).reshape(count, steps, -1)
        wanted = goals[:, None].expand(-1, steps, -1)
        joined = self.joined(torch.cat([seen, hands.float(), wanted], dim=-1))
        remembered, memory = self.memory(joined, memory)
        return self.action(torch.cat([joined, remembered], dim=-1)), memory


def train_imitation(
    samples: DistillationSet,
    goals: EncodedGoals,
    shape: GridShape,
    config: ImitationConfig,
    on_update: Callable[[int, float], None] = lambda update, loss: None,
) -> ImitationNetwork:
    """The network after `config.updates` batches of whole plans.

    Args:
        goals: vectors of every goal text in `samples`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ImitationNetwork(shape, goals.vectors.shape[1], config)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate)
    firsts = np.flatnonzero(np.diff(samples.plans, prepend=-1))
    rows = goals.ids([samples.goals[first] for first in firsts.tolist()])
    actions = np.array([ACTION_NAMES.index(answer) for answer in samples.answers])
    rng = np.random.default_rng(config.seed)
    for update in range(1, config.updates + 1):
        chosen = rng.integers(len(firsts), size=config.plans)
        places, wanted = _padded(firsts[chosen], samples.steps_left[firsts[chosen]], actions)
        flat = samples.states[places.ravel()]
        planes = grid_planes(flat, shape).reshape(*places.shape, *_plane_shape(shape))
        hands = carried_features(flat).reshape(*places.shape, HANDS_DIM)
        vectors = torch.from_numpy(goals.vectors[rows[chosen]])
        memory = torch.zeros(1, config.plans, config.hidden)
        inputs = torch.from_numpy(planes), torch.from_numpy(hands)
        logits, _ = network(*inputs, vectors, memory)
        loss = functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(wanted.ravel()), ignore_index=_NO_ACTION
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        on_update(update, float(loss.detach()))
    return network.eval()


def _plane_shape(shape: GridShape) -> tuple[int, int, int]:
    return NUM_PLANES, shape.height, shape.width


def _padded(
    firsts: np.ndarray, lengths: np.ndarray, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (B, T) of plans, the last one repeated, and their actions without the repetitions."""
    steps = np.arange(int(lengths.max()))
    places = firsts[:, None] + np.minimum(steps, lengths[:, None] - 1)
    return places, np.where(steps < lengths[:, None], actions[places], _NO_ACTION)


def save_imitation(
    network: ImitationNetwork,
    folder: Path,
    shape: GridShape,
    goal_dim: int,
    config: ImitationConfig,
) -> None:
    """Writes the network; the folder appears all at once."""
    card = {"shape": asdict(shape), "goal_dim": goal_dim, "config": asdict(config)}
    write_tensors(folder, _KIND, network.state_dict(), card)


def load_imitation(folder: Path) -> ImitationNetwork:
    """The network that `save_imitation` wrote.

    Raises:
        ValueError: the folder holds none, or was altered.
    """
    tensors, card = read_tensors(folder, _KIND)
    config = ImitationConfig(**card["config"])
    network = ImitationNetwork(GridShape(**card["shape"]), card["goal_dim"], config)
    network.load_state_dict(tensors)
    return network.eval()


class ImitationScores:
    """Scores of actions from the network, with a memory for every episode."""

    def __init__(
        self,
        network: ImitationNetwork,
        shape: GridShape,
        encode: Callable[[Sequence[str]], np.ndarray],
    ) -> None:
        """Args:
        encode: goal vectors (N, V) of texts.
        """
        self._network, self._shape, self._encode = network, shape, encode
        self._goals = self._memory = torch.zeros(0)

    def begin(self, goals: Sequence[str]) -> None:
        """Starts new episodes with these goals, in words."""
        self._goals = torch.from_numpy(self._encode(goals))
        self._memory = torch.zeros(1, len(goals), self._network.hidden)

    @torch.inference_mode()
    def of(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Log-probabilities (B, A) float64."""
        rows = torch.from_numpy(episodes)
        logits, self._memory[:, rows] = self._network(
            torch.from_numpy(grid_planes(states, self._shape))[:, None],
            torch.from_numpy(carried_features(states))[:, None],
            self._goals[rows],
            self._memory[:, rows],
        )
        scores: np.ndarray = logits[:, 0].double().log_softmax(-1).numpy()
        return scores
