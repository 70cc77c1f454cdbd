"""Encoders and heads between numbers and the language model's hidden size.

The state head predicts, for one slot, how its numbers change against the hint, either by regression
(the paper) or by a distribution over bins of the change, one number after the other (ours).
Every linear layer that reads a hidden state is kept in float32.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def fourier(values: Tensor, num_frequencies: int) -> Tensor:
    """Sines and cosines of `values` (..., E) at F octaves, (..., E * (1 + 2F)).

    F = 0 keeps the numbers plain.
    """
    if num_frequencies == 0:
        return values
    scales = math.pi * 2.0 ** torch.arange(num_frequencies, device=values.device)
    angles = values[..., None] * scales
    features = torch.cat([values[..., None], angles.sin(), angles.cos()], dim=-1)
    return features.flatten(-2)


class NumberEncoder(nn.Module):
    """A two-layer network from E numbers, optionally as Fourier features, to unit-scale vectors."""

    def __init__(self, num_inputs: int, hidden_size: int, num_frequencies: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        width = num_inputs * (1 + 2 * num_frequencies)
        self.network = nn.Sequential(
            nn.Linear(width, hidden_size),
            nn.GELU(),
            nn.Linear(hidden_size, hidden_size),
            nn.LayerNorm(hidden_size, elementwise_affine=False),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Embeddings (..., H) of `values` (..., E)."""
        encoded: Tensor = self.network(fourier(values, self.num_frequencies))
        return encoded


class RelationEncoder(nn.Module):
    """The latest known state: where its slots are, and how every two of them stand to each other.

    One small network reads every pair of slots, so that what "near, on the left" looks like is
    learned once and not for every pair of slots; pairs with the slot that comes next count twice.
    """

    pairs: Tensor  # (2, S * (S - 1) / 2) slot numbers

    def __init__(
        self, num_slots: int, slot_dim: int, hidden_size: int, num_frequencies: int, width: int
    ) -> None:
        super().__init__()
        self.num_slots, self.slot_dim, self.num_frequencies = num_slots, slot_dim, num_frequencies
        inputs = slot_dim * (1 + 2 * num_frequencies)
        self.register_buffer("pairs", torch.triu_indices(num_slots, num_slots, 1), persistent=False)
        self.place = nn.Sequential(nn.Linear(inputs, hidden_size), nn.GELU())
        self.relation = nn.Sequential(
            nn.Linear(inputs, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU()
        )
        features = (num_slots + self.pairs.shape[1]) * width
        self.output = nn.Linear(hidden_size + features, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, elementwise_affine=False)

    def forward(self, known: Tensor, following: Tensor) -> Tensor:
        """Embeddings (..., H) of scaled states.

        Args:
            known: (..., S, E) scaled numbers, slot `following` first.
            following: (...) number of the slot that comes next.
        """
        turn = torch.arange(self.num_slots, device=following.device) - following[..., None]
        turn = (turn % self.num_slots)[..., None].expand_as(known)
        slots, next_slot = known.gather(-2, turn), known[..., :1, :]
        first, second = self.pairs
        between = slots[..., first, :] - slots[..., second, :]
        pairs = torch.cat([slots - next_slot, between], dim=-2)
        features = self.relation(fourier(pairs, self.num_frequencies)).flatten(-2)
        place = self.place(fourier(next_slot[..., 0, :], self.num_frequencies))
        encoded: Tensor = self.norm(self.output(torch.cat([place, features], dim=-1)))
        return encoded


class Trunk(nn.Module):
    """What the heads read at a rollout's position: its hidden state, helped by its own input.

    The input holds the known state and the action in force, so that most of the dynamics is a
    short way off and the language model is left with goals and history.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(2 * hidden_size, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, hidden_size),
        )

    def forward(self, hidden: Tensor, inputs: Tensor) -> Tensor:
        """Features (..., H) of `hidden` (..., H) and unit-scale `inputs` (..., H)."""
        features: Tensor = hidden + self.network(torch.cat([hidden, inputs], dim=-1))
        return features


class RegressionHead(nn.Module):
    """The change of a slot as a plain mean; temperature has no effect.

    Source: KALM section 4.1 (mean squared error on states).
    """

    def __init__(self, hidden_size: int, slot_dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(hidden_size, slot_dim)

    def loss(self, hidden: Tensor, change: Tensor) -> Tensor:
        """Squared error (M,) of `hidden` (M, H) against `change` (M, E)."""
        return functional.mse_loss(self.output(hidden), change, reduction="none").mean(-1)

    def mean(self, hidden: Tensor) -> Tensor:
        """Expected change (M, E)."""
        change: Tensor = self.output(hidden)
        return change

    def sample(self, hidden: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Change (M, E); `uniforms` and `temperature` are not used."""
        return self.mean(hidden)


class BinnedHead(nn.Module):
    """A distribution over the change of each number, given the numbers before it in the slot.

    Targets are split over the two nearest bins, so that the mean stays exact.
    Source: two-hot regression of DreamerV3 (arXiv 2301.04104, section 3), here without symlog.
    """

    def __init__(self, hidden_size: int, slot_dim: int, num_bins: int, limit: float) -> None:
        super().__init__()
        if num_bins % 2 == 0:
            raise ValueError(f"Expected an odd number of bins, got {num_bins}. Zero needs a bin.")
        self.num_bins, self.limit = num_bins, limit
        self.outputs = nn.ModuleList(nn.Linear(hidden_size, num_bins) for _ in range(slot_dim))
        self.previous = nn.ModuleList(
            nn.Embedding(num_bins, hidden_size) for _ in range(slot_dim - 1)
        )
        for parameter in self.previous.parameters():
            nn.init.normal_(parameter, std=0.02)

    @property
    def width(self) -> float:
        """Distance between neighbouring bins, in state units."""
        return 2 * self.limit / (self.num_bins - 1)

    def _logits(self, hidden: Tensor, number: int, bins: list[Tensor]) -> Tensor:
        for table, chosen in zip(self.previous, bins, strict=False):
            hidden = hidden + table(chosen)
        logits: Tensor = self.outputs[number](functional.silu(hidden) if number else hidden)
        return logits

    def loss(self, hidden: Tensor, change: Tensor) -> Tensor:
        """Cross-entropy (M,), averaged over numbers, of `hidden` (M, H) against `change` (M, E)."""
        place = ((change + self.limit) / self.width).clamp(0, self.num_bins - 1)
        known = place.nan_to_num()  # a NaN is no place: it stays in `share` and makes the loss NaN
        low = known.floor().clamp(max=self.num_bins - 2).long()
        share = place - low
        nearest = known.round().long()
        log_p = functional.log_softmax(self._known_logits(hidden, nearest), dim=-1)
        both = log_p.gather(-1, torch.stack([low, low + 1], dim=-1).transpose(0, 1))
        shares = torch.stack([1 - share, share], dim=-1).transpose(0, 1)
        return -(shares * both).sum(-1).mean(0)

    def _known_logits(self, hidden: Tensor, bins: Tensor) -> Tensor:
        """Logits (E, M, K) of all numbers at once, where their bins (M, E) are known."""
        read = [hidden]
        for number, table in enumerate(self.previous):
            hidden = hidden + table(bins[:, number])
            read.append(functional.silu(hidden))
        weights = torch.stack([output.get_parameter("weight") for output in self.outputs])
        biases = torch.stack([output.get_parameter("bias") for output in self.outputs])
        return torch.baddbmm(biases[:, None], torch.stack(read), weights.mT).float()

    def mean(self, hidden: Tensor) -> Tensor:
        """Expected change (M, E), each number given the likeliest bin of those before it."""
        centers = torch.linspace(-self.limit, self.limit, self.num_bins, device=hidden.device)
        means: list[Tensor] = []
        bins: list[Tensor] = []
        for number in range(len(self.outputs)):
            logits = self._logits(hidden, number, bins).float()
            means.append(logits.softmax(-1) @ centers)
            bins.append(logits.argmax(-1))
        return torch.stack(means, dim=-1)

    def sample(self, hidden: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Change (M, E) drawn with `uniforms` (M, E) in [0, 1); temperature 0 gives the mean."""
        if temperature == 0:
            return self.mean(hidden)
        bins: list[Tensor] = []
        for number in range(len(self.outputs)):
            logits = self._logits(hidden, number, bins).float()
            bins.append(draw(logits / temperature, uniforms[:, number]))
        return (torch.stack(bins, dim=-1) - (self.num_bins - 1) // 2) * self.width


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Indices (M,) drawn from `logits` (M, K) by inverting the distribution at `uniforms` (M,)."""
    cumulative = logits.double().softmax(-1).cumsum(-1)
    chosen = (cumulative < uniforms.double()[:, None]).sum(-1)
    return chosen.clamp(max=logits.shape[-1] - 1)
