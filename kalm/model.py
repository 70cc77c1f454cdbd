"""The grounded model: a causal language model that also reads and writes states and actions.

One thing to know: hidden states at position i predict position i + 1, whatever its kind; `embed`
and `losses` are the whole of it. Departs from the paper in the state encoder (Fourier features, a
position per entity), in the state head (a distribution over the change) and in an output that ends
the rollout; `GroundingConfig` switches each of them back.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.settings import Count, NotNegative, Settings, Whole
from envs.world import Spaces
from kalm.heads import (
    BinnedHead,
    NumberEncoder,
    RegressionHead,
    RelationEncoder,
    Trunk,
    draw,
)
from kalm.language_model import LanguageModel, Readings, Rows, Tensors
from kalm.layout import UNKNOWN, Kind, Layout


@dataclass(frozen=True)
class GroundingConfig(Settings):
    """How states and actions enter and leave the language model."""

    positions: str = "entity"  # "entity": one position an entity; "state": one a state (the paper)
    state_head: str = "binned"  # "binned": distribution of the change; "regression" (the paper)
    num_bins: Count = 161  # bins of the change of one number
    num_frequencies: Whole = 6  # Fourier octaves of the state encoder; 0 keeps plain numbers
    relation_width: Whole = 32  # features of a pair of slots; 0 encodes all slots together
    trunk_width: Whole = 512  # units of the network under the heads; 0 leaves it out (the paper)
    state_weight: NotNegative = 0.5  # weight of the state loss
    action_weight: NotNegative = 0.5  # weight of the action loss
    token_weight: NotNegative = 1.0  # weight of the loss on words
    stop_weight: NotNegative = 0.2  # weight of the end-of-rollout loss
    goal_weight: NotNegative = 0.1  # weight of recognising goals in states; 0 leaves it out

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (
            ("positions", ("entity", "state")),
            ("state_head", ("binned", "regression")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"Expected --{name.replace('_', '-')} among {', '.join(choices)}, "
                    f"got `{getattr(self, name)}`."
                )

    def loss_weights(self) -> dict[str, float]:
        """Weight of every loss by its name."""
        losses = ("state", "action", "token", "stop", "goal")
        return {name: getattr(self, f"{name}_weight") for name in losses}


@dataclass(frozen=True)
class StateScale:
    """Limits of the real data that numbers are normalised with."""

    offset: tuple[float, ...]  # (E,) subtracted from the numbers of a slot
    scale: tuple[float, ...]  # (E,) numbers and changes are divided by it
    limit: float  # largest change, in scaled units, that the binned head can express

    @classmethod
    def of(cls, observations: np.ndarray, changes: np.ndarray, layout: Layout) -> "StateScale":
        """Fits to states (N, D) and changes (M, D) of real data; also covers whole states."""
        states = observations.reshape(-1, layout.slot_dim).astype(np.float64)
        moved = changes.reshape(-1, layout.slot_dim).astype(np.float64)
        scale = np.maximum(states.std(0), 1e-6)
        limit = max(np.abs(states / scale).max(), np.abs(moved / scale).max()) * 1.05
        return cls(tuple(states.mean(0).tolist()), tuple(scale.tolist()), float(limit))


def make_layout(spaces: Spaces, positions: str, num_goals: int = 0) -> Layout:
    """The layout of a world's rollouts with one position per entity or per state."""
    num_slots = spaces.num_entities if positions == "entity" else 1
    return Layout(num_slots, spaces.observation_dim // num_slots, spaces.action_dim or 1, num_goals)


class GroundedModel(LanguageModel):
    """A causal LM with encoders and heads for one world's states and actions."""

    offset: Tensor  # (E,) of StateScale
    unit: Tensor  # (E,) of StateScale
    word_scale: Tensor  # () spread of the base model's word embeddings

    def __init__(
        self,
        backbone: Any,
        tokenizer: Any,
        spaces: Spaces,
        config: GroundingConfig,
        scale: StateScale,
        world_name: str,
        num_goals: int = 0,
    ) -> None:
        layout = make_layout(spaces, config.positions, num_goals)
        super().__init__(backbone, tokenizer, layout, config.loss_weights())
        self.spaces, self.config, self.scale, self.world_name = spaces, config, scale, world_name
        hidden = backbone.config.hidden_size
        slots, numbers = self.layout.num_slots, self.layout.slot_dim
        self.state_encoder = NumberEncoder(numbers, hidden, config.num_frequencies)
        self.hint_encoder: RelationEncoder | NumberEncoder = (
            RelationEncoder(slots, numbers, hidden, config.num_frequencies, config.relation_width)
            if config.relation_width and slots > 1
            else NumberEncoder(slots * numbers, hidden, config.num_frequencies)
        )
        self.slot_embedding = nn.Embedding(slots, hidden)
        self.action_encoder: nn.Module = (
            nn.Embedding(spaces.num_actions, hidden)
            if spaces.num_actions
            else NumberEncoder(self.layout.action_width, hidden, config.num_frequencies)
        )
        self.state_head: BinnedHead | RegressionHead = (
            BinnedHead(hidden, numbers, config.num_bins, scale.limit)
            if config.state_head == "binned"
            else RegressionHead(hidden, numbers)
        )
        self.action_head: nn.Linear | BinnedHead = (
            nn.Linear(hidden, spaces.num_actions)
            if spaces.num_actions
            else BinnedHead(hidden, self.layout.action_width, 41, 1.0)
        )
        self.stop_head = nn.Linear(hidden, 1)
        self.goal_head = nn.Linear(hidden, num_goals) if num_goals else None
        self.trunk = Trunk(hidden, config.trunk_width) if config.trunk_width else None
        # All parts of an input have unit scale, then that of words: none drowns the others.
        words = backbone.get_input_embeddings().weight.detach()
        self.register_buffer("word_scale", words.float().std())
        self.register_buffer("offset", torch.tensor(scale.offset), persistent=False)
        self.register_buffer("unit", torch.tensor(scale.scale), persistent=False)

    # ------------------------------------------------------------- forward pass

    def embed(self, batch: Tensors) -> Tensor:
        """Input embeddings (B, L, H)."""
        words = super().embed(batch)
        rows = Rows.of(batch.kind != Kind.TEXT)
        fields = (batch.kind, batch.slot, batch.value, batch.hint, batch.action, batch.acted)
        rollout = self._embed_rollout(*map(rows.take, fields))
        return rows.put(words, (rollout * self.word_scale).to(words.dtype))

    def _embed_rollout(
        self,
        kind: Tensor,
        slot: Tensor,
        value: Tensor,
        hint: Tensor,
        action: Tensor,
        acted: Tensor,
    ) -> Tensor:
        """Embeddings (M, H) of positions that hold states and actions; fields as in `Packed`."""
        states = self.state_encoder((value - self.offset) / self.unit) + self.slot_embedding(slot)
        discrete = bool(self.spaces.num_actions)
        actions = self.action_encoder(action[:, 0].long() if discrete else action)
        rollout = self._encode_hint(kind, slot, hint)
        rollout = rollout + torch.where((kind == Kind.STATE)[:, None], states, 0.0)
        return rollout + torch.where(acted[:, None], actions, 0.0)

    def _encode_hint(self, kind: Tensor, slot: Tensor, hint: Tensor) -> Tensor:
        """Embeddings (M, H) of the latest known state (M, S * E)."""
        slots = hint.reshape(len(hint), self.layout.num_slots, self.layout.slot_dim)
        scaled = (slots - self.offset) / self.unit
        if isinstance(self.hint_encoder, RelationEncoder):
            following = torch.where(kind == Kind.STATE, (slot + 1) % self.layout.num_slots, 0)
            related: Tensor = self.hint_encoder(scaled, following)
            return related
        relative = torch.cat([scaled[:, :1], scaled[:, 1:] - scaled[:, :1]], dim=1)
        encoded: Tensor = self.hint_encoder(relative.flatten(1))
        return encoded

    def _last_and_middle(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden states (B, L, H) of the last layer, and of the layer half way up."""
        output = self.decoder()(inputs_embeds=embedded, use_cache=False, output_hidden_states=True)
        return output.last_hidden_state, output.hidden_states[len(output.hidden_states) // 2]

    def middle(self, batch: Tensors) -> Tensor:
        """Hidden states (B, L, H) of the layer half way up, from which goals are recognised."""
        return self._last_and_middle(self.embed(batch))[1]

    def read_out(self, hidden: Tensor, embedded: Tensor, rows: Tensor) -> Tensor:
        """Last hidden states (B, L, H), at `rows` (B, L) of a rollout with the trunk's help."""
        if self.trunk is None:
            return hidden
        some = Rows.of(rows)
        inputs = some.take(embedded).float() / self.word_scale
        helped = self.trunk(some.take(hidden).float(), inputs)
        return some.put(hidden, helped.to(hidden.dtype))

    def forward(self, batch: Tensors) -> dict[str, Tensor]:
        """Sums and counts of every loss, so that any grouping of batches averages the same."""
        embedded = self.embed(batch)
        last, middle = self._last_and_middle(embedded)
        read = Readings.of(batch)
        hidden, inputs = read.take(last), read.take(embedded)
        hidden = self.read_out(hidden, inputs, read.here.kind != Kind.TEXT)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.losses(hidden, read) | self._goal_losses(middle, batch)

    def _goal_losses(self, middle: Tensor, batch: Tensors) -> dict[str, Tensor]:
        """Sum and count of recognising, in a middle layer, which training goals a state meets."""
        if self.goal_head is None:
            return {"goal_sum": middle.new_zeros(()), "goal_count": middle.new_zeros(())}
        rows = Rows.of(batch.held[..., 0] != UNKNOWN)
        logits = rows.real(self.goal_head(rows.take(middle).float()))
        held = rows.real(rows.take(batch.held)).float()
        losses = functional.binary_cross_entropy_with_logits(logits, held, reduction="sum")
        return {"goal_sum": losses, "goal_count": rows.sum()}

    def losses(self, hidden: Tensor, read: Readings) -> dict[str, Tensor]:
        """`NAME_sum` and `NAME_count` of state, action, token and stop from `hidden` (1, P, H)."""
        here, after = read.here, read.after
        sums: dict[str, Tensor] = {}

        rows = Rows.of(after.loss & (after.kind == Kind.STATE))
        previous = rows.take(here.hint[..., : self.layout.slot_dim])
        change = (rows.take(after.value) - previous) / self.unit
        state_losses = self.state_head.loss(rows.take(hidden).float(), change)
        sums["state_sum"], sums["state_count"] = rows.real(state_losses).sum(), rows.sum()

        rows = Rows.of(after.loss & (after.kind == Kind.ACTION))
        action_losses = self._action_loss(rows.take(hidden).float(), rows.take(after.action))
        sums["action_sum"], sums["action_count"] = rows.real(action_losses).sum(), rows.sum()

        sums |= self.word_losses(hidden, read)

        rows = Rows.of(here.stop != UNKNOWN)
        logits = rows.real(self.stop_head(rows.take(hidden).float())[:, 0])
        stops = rows.real(rows.take(here.stop)).float()
        sums["stop_sum"] = functional.binary_cross_entropy_with_logits(
            logits, stops, reduction="sum"
        )
        sums["stop_count"] = rows.sum()
        return sums

    def loss_counts(self, batch: Tensors) -> dict[str, Tensor]:
        """How many positions of `batch` carry each loss, before any forward pass."""
        wanted, kind = batch.loss[:, 1:], batch.kind[:, 1:]
        held = batch.held[..., 0] if batch.held.shape[-1] else torch.full_like(batch.stop, UNKNOWN)
        return super().loss_counts(batch) | {
            "state": (wanted & (kind == Kind.STATE)).sum(),
            "action": (wanted & (kind == Kind.ACTION)).sum(),
            "stop": (batch.stop != UNKNOWN).sum(),
            "goal": (held != UNKNOWN).sum(),
        }

    def _action_loss(self, hidden: Tensor, action: Tensor) -> Tensor:
        """Loss (M,) of `hidden` (M, H) against actions (M, A)."""
        if isinstance(self.action_head, BinnedHead):
            return self.action_head.loss(hidden, action)
        logits = self.action_head(hidden)
        return functional.cross_entropy(logits, action[:, 0].long(), reduction="none")

    # ---------------------------------------------------------------- read heads

    def next_state(
        self, hidden: Tensor, previous: Tensor, uniforms: Tensor, temperature: float
    ) -> Tensor:
        """The next slot's numbers (M, E) from `hidden` (M, H) and its previous numbers (M, E)."""
        change = self.state_head.sample(hidden.float(), uniforms, temperature)
        return previous + change * self.unit

    def next_action(self, hidden: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Actions (M, A) drawn with `uniforms` (M, A); temperature 0 takes the likeliest."""
        if isinstance(self.action_head, BinnedHead):
            return self.action_head.sample(hidden.float(), uniforms, temperature).clamp(-1, 1)
        logits: Tensor = self.action_head(hidden.float())
        if temperature == 0:
            return logits.argmax(-1, keepdim=True).float()
        return draw(logits / temperature, uniforms[:, 0])[:, None].float()

    def stop_probability(self, hidden: Tensor) -> Tensor:
        """Probability (M,) that the rollout is complete."""
        probability: Tensor = self.stop_head(hidden.float())[:, 0].sigmoid()
        return probability
