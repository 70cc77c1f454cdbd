"""Small networks that label what the judge did not: one for each goal, all trained together.

A network reads one transition as a picture of the grid. It is trained on the judge's labels of its
goal, the epoch with the best validation loss is kept, and its threshold is the lowest at which its
precision on the validation split is high enough: a wrong success poisons the plans, a missed one
only makes them fewer. A goal without such a threshold labels nothing and is counted.

Networks share no weights, and each is trained as it would be alone: first weights, dropout and the
order of its samples depend on the seed and on the number of samples only.
Source: TEDUO (arXiv 2412.06877), step 1. Departures: the picture shows a transition, not a state;
both parts of the split hold the same share of successes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.settings import Count, Part, Positive, Probability, Settings, Share

NEVER = math.inf  # a threshold that labels nothing
_CHUNK = 512  # transitions labelled at once


@dataclass(frozen=True)
class ProxySettings(Settings):
    """The paper's settings; it does not say how large a batch was."""

    channels: Count = 32  # of the one convolution, 2 x 2 cells
    hidden: Count = 32  # units of the first dense layer
    dropout: Probability = 0.1  # before each dense layer
    learning_rate: Positive = 1e-5  # of Adam
    max_epochs: Count = 3000
    patience_epochs: Count = 300  # stop when no goal's validation loss fell for so long
    batch_size: Count = 64  # samples of each goal in an update
    validation_share: Part = 0.1  # of the samples
    least_precision: Share = 0.95  # on the validation split


@dataclass(frozen=True)
class GoalSamples:
    """The judge's labels of one goal."""

    rows: np.ndarray  # (K,) int64, of the pictures
    labels: np.ndarray  # (K,) bool


class Proxies:
    """One trained network for each of G goals."""

    def __init__(self, weights: list[Tensor], thresholds: np.ndarray) -> None:
        self._weights = weights
        self.thresholds = thresholds  # (G,) probability from which on a transition is a success

    @property
    def num_silent(self) -> int:
        """Goals that label nothing because no threshold was precise enough."""
        return int(np.isinf(self.thresholds).sum())

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Chance (G, N) float32 that transitions reach each goal, by pictures (N, H, W, C)."""
        goals = len(self.thresholds)
        parts = []
        with torch.inference_mode():
            for first in range(0, len(pictures), _CHUNK):
                part = torch.from_numpy(pictures[first : first + _CHUNK])
                inputs = part.to(self._weights[0].device).float().expand(goals, *part.shape)
                parts.append(torch.sigmoid(_outputs(self._weights, inputs, [])).cpu())
        return np.asarray(torch.cat(parts, dim=1).numpy())

    def labels(self, pictures: np.ndarray) -> np.ndarray:
        """Which transitions reach each goal, (G, N) bool."""
        return np.asarray(self.probabilities(pictures) >= self.thresholds[:, None])


def train_proxies(
    pictures: np.ndarray,
    samples: Sequence[GoalSamples],
    settings: ProxySettings | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, np.ndarray], None] = lambda epoch, losses: None,
) -> Proxies:
    """A network for each goal.

    Args:
        pictures: (R, H, W, C) uint8, of all judged transitions.
        samples: of G goals, two at least each. Goals with fewer samples see theirs more often in
            an epoch.
        on_epoch: called with the epoch and the validation losses (G,).

    Raises:
        ValueError: there is no goal, or one has too few samples.
    """
    settings = settings or ProxySettings()
    if not samples or min(len(goal.rows) for goal in samples) < 2:
        raise ValueError("Expected at least one goal, and two samples of each. Judge more of them.")
    parts = [_split(goal, settings.validation_share, seed) for goal in samples]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    weights = _first_weights(len(samples), pictures.shape[1:], settings, seed, device)
    optimizer = torch.optim.Adam(weights, settings.learning_rate)
    best = [weight.detach().clone() for weight in weights]
    best_loss, best_epoch = np.full(len(samples), np.inf), 0
    generator = torch.Generator(device).manual_seed(seed)
    for epoch in range(settings.max_epochs):
        for chosen in _batches([fit for fit, _ in parts], settings.batch_size, [seed, 1, epoch]):
            inputs, targets = _gathered(pictures, chosen, device)
            outputs = _outputs(weights, inputs, _dropout_masks(inputs, settings, generator))
            _step(optimizer, outputs, targets)
        found = np.array([loss for loss, _ in _validated(weights, pictures, parts, device)])
        better = np.flatnonzero(found < best_loss)
        for kept, weight in zip(best, weights, strict=True):
            kept[better] = weight.detach()[better]
        best_loss[better] = found[better]
        on_epoch(epoch, found)
        best_epoch = epoch if len(better) else best_epoch
        if epoch - best_epoch >= settings.patience_epochs:
            break
    thresholds = [
        precise_threshold(chances, held.labels, settings.least_precision)
        for (_, chances), (_, held) in zip(
            _validated(best, pictures, parts, device), parts, strict=True
        )
    ]
    return Proxies(best, np.array(thresholds))


def precise_threshold(chances: np.ndarray, labels: np.ndarray, least_precision: float) -> float:
    """The lowest of `chances` (K,) from which on labels (K,) bool are precise enough, or NEVER."""
    order = np.argsort(-chances, kind="stable")
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    ranked = chances[order]
    # A threshold takes all samples of equal chance, so that it may only stand behind the last one.
    last_of_equals = np.append(ranked[1:] < ranked[:-1], True)
    good = np.flatnonzero((precision >= least_precision) & last_of_equals & (precision > 0))
    return float(ranked[good[-1]]) if len(good) else NEVER


def _split(goal: GoalSamples, share: float, seed: int) -> tuple[GoalSamples, GoalSamples]:
    """Samples to fit and to validate, with about the same share of successes.

    How many are validated depends on the number of samples alone; a single success is for fitting.
    """
    rng = np.random.default_rng([seed, 0])
    successes, others = (rng.permutation(np.flatnonzero(goal.labels == x)) for x in (True, False))
    count = math.ceil(share * len(goal.rows))
    wanted = math.ceil(share * len(successes)) if len(successes) > 1 else 0
    num_successes = max(wanted, count - len(others))
    held = np.zeros(len(goal.rows), bool)
    held[successes[:num_successes]] = held[others[: count - num_successes]] = True
    fit, validate = (GoalSamples(goal.rows[part], goal.labels[part]) for part in (~held, held))
    return fit, validate


def _first_weights(
    goals: int, size: tuple[int, ...], settings: ProxySettings, seed: int, device: torch.device
) -> list[Tensor]:
    """Kernels, biases and dense layers of all goals, equal for all; uniform as in PyTorch."""
    height, width, planes = size
    flat = settings.channels * (height - 1) * (width - 1)
    shapes = [
        ((planes, 4 * settings.channels), 4 * planes),
        ((1, settings.channels), 4 * planes),
        ((flat, settings.hidden), flat),
        ((1, settings.hidden), flat),
        ((settings.hidden, 1), settings.hidden),
        ((1, 1), settings.hidden),
    ]
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for shape, fan_in in shapes:
        one = (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(fan_in)
        weights.append(one.repeat(goals, 1, 1).to(device).requires_grad_())
    return weights


def _step(optimizer: torch.optim.Optimizer, outputs: Tensor, targets: Tensor) -> None:
    """One update of all networks by their log-odds (G, B) and labels (G, B)."""
    losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    optimizer.zero_grad()
    # Summed over goals, so that no goal's step depends on how many there are.
    torch.autograd.backward(losses.mean(1).sum())
    optimizer.step()


def _outputs(weights: Sequence[Tensor], inputs: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Log-odds (G, B) of pictures (G, B, H, W, C), goal by goal."""
    kernel, kernel_bias, first, first_bias, second, second_bias = weights
    goals, batch, height, width, planes = inputs.shape
    # A 2 x 2 convolution is four products of every cell, each added at its own offset.
    products = torch.bmm(inputs.reshape(goals, -1, planes), kernel)
    corners = products.reshape(goals, batch, height, width, 4, -1).unbind(-2)
    summed = (
        corners[0][:, :, :-1, :-1]
        + corners[1][:, :, :-1, 1:]
        + corners[2][:, :, 1:, :-1]
        + corners[3][:, :, 1:, 1:]
    )
    hidden = (summed + kernel_bias[:, :, None, None]).relu().reshape(goals, batch, -1)
    hidden = hidden * masks[0] if masks else hidden
    hidden = torch.baddbmm(first_bias, hidden, first).relu()
    hidden = hidden * masks[1] if masks else hidden
    return torch.baddbmm(second_bias, hidden, second)[..., 0]


def _dropout_masks(
    inputs: Tensor, settings: ProxySettings, generator: torch.Generator
) -> list[Tensor]:
    """Masks (B, units) of both dense layers, the same for all goals."""
    batch, height, width = inputs.shape[1:4]
    units = (settings.channels * (height - 1) * (width - 1), settings.hidden)
    kept = 1.0 - settings.dropout
    return [
        (torch.rand((batch, count), generator=generator, device=inputs.device) < kept) / kept
        for count in units
    ]


def _batches(
    parts: Sequence[GoalSamples], batch_size: int, seed: Sequence[int]
) -> list[list[GoalSamples]]:
    """All goals' samples of an epoch, a batch of each goal at a time."""
    longest = max(len(part.rows) for part in parts)
    steps = math.ceil(longest / batch_size)
    orders = [
        np.resize(np.random.default_rng(seed).permutation(len(part.rows)), longest)
        for part in parts
    ]
    return [
        [
            GoalSamples(part.rows[places], part.labels[places])
            for part, order in zip(parts, orders, strict=True)
            for places in [order[step * batch_size : (step + 1) * batch_size]]
        ]
        for step in range(steps)
    ]


def _gathered(
    pictures: np.ndarray, chosen: Sequence[GoalSamples], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pictures (G, B, H, W, C) and labels (G, B) float32."""
    rows = np.stack([part.rows for part in chosen])
    labels = np.stack([part.labels for part in chosen])
    inputs = torch.from_numpy(pictures[rows]).to(device).float()
    return inputs, torch.from_numpy(labels).to(device).float()


def _validated(
    weights: Sequence[Tensor],
    pictures: np.ndarray,
    parts: Sequence[tuple[GoalSamples, GoalSamples]],
    device: torch.device,
) -> list[tuple[float, np.ndarray]]:
    """Loss on the validation split, and chances (K,) there, of each goal."""
    found = []
    with torch.inference_mode():
        for index, (_, held) in enumerate(parts):
            own = [weight[index : index + 1] for weight in weights]
            inputs, targets = _gathered(pictures, [held], device)
            outputs = _outputs(own, inputs, [])
            loss = functional.binary_cross_entropy_with_logits(outputs, targets)
            found.append((float(loss), torch.sigmoid(outputs)[0].cpu().numpy()))
    return found
