"""Cached decoding in slots: many sequences of different lengths advance together.

A slot is a row of a preallocated key-value cache; it can be refilled at any time while the other
rows go on. Works with every `transformers` decoder that takes `inputs_embeds`, `position_ids`, a
ready 4-D mask and a `Cache`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache

from kalm.language_model import LanguageModel, Tensors
from kalm.layout import Packed, collate
from kalm.prompts import generation_prompt

BLOCK = 64  # positions; a multiple of every vector register


class SlotCache(Cache):  # type: ignore[misc]
    """Keys and values (R, heads, places, head_dim) per layer, written at each row's own place.

    Tables grow and shrink with the visible places: products in bfloat16 on a CPU copy all of a
    table of which they read a part, at every step.
    """

    def __init__(self, num_rows: int, capacity: int) -> None:
        super().__init__(layers=[])
        self.num_rows, self.capacity = num_rows, capacity
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.rows: Tensor | None = None  # rows that the next forward pass writes; None means all
        self.places = torch.zeros(num_rows, 1, dtype=torch.long)  # (B, Q) where they are written
        self.visible = 0  # leading places that the next forward pass may read

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes (B, heads, Q, head_dim) and returns the visible part of these rows."""
        if layer_idx == len(self.keys):
            shape = (self.num_rows, key_states.shape[1], self.visible, key_states.shape[-1])
            self.keys.append(key_states.new_zeros(shape))
            self.values.append(value_states.new_zeros(shape))
        keys = self.keys[layer_idx] = self._fitted(self.keys[layer_idx])
        values = self.values[layer_idx] = self._fitted(self.values[layer_idx])
        rows = torch.arange(self.num_rows) if self.rows is None else self.rows
        rows = rows.to(keys.device)[:, None]
        keys[rows, :, self.places] = key_states.transpose(1, 2)
        values[rows, :, self.places] = value_states.transpose(1, 2)
        if self.rows is None:
            return keys[:, :, : self.visible], values[:, :, : self.visible]
        chosen = rows[:, 0]
        return keys[chosen, :, : self.visible], values[chosen, :, : self.visible]

    def _fitted(self, table: Tensor) -> Tensor:
        """`table` with all visible places; with no others, where every row is read."""
        missing = self.visible - table.shape[2]
        if missing > 0:
            return functional.pad(table, (0, 0, 0, missing))
        if missing < 0 and self.rows is None:  # no row is longer than what is visible of all
            return table[:, :, : self.visible].contiguous()
        return table

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Visible length; positions come from `position_ids`, so models do not rely on it."""
        return self.visible

    def copy(self, source: Tensor, target: Tensor, places: Tensor) -> None:
        """Copies `places` (M, Q) of rows `source` (M,) onto the same places of `target` (M,)."""
        for table in (*self.keys, *self.values):
            table[target[:, None], :, places] = table[source[:, None], :, places]


def _whole_blocks(positions: int) -> int:
    """`positions` rounded up, so that sums over them do not depend on the longest other row.

    Masked positions add exact zeros, but a sum that ends within a vector register adds in another
    order; with whole registers a row's numbers are its own, to the last bit on a CPU in float32.
    """
    return -(-positions // BLOCK) * BLOCK


def require_room(model: LanguageModel, positions: int) -> None:
    """Refuses sequences that are longer than the backbone can read."""
    limit = model.max_positions
    if limit is not None and positions > limit:
        raise ValueError(
            f"Expected sequences of at most {limit} positions, the base model's limit, got "
            f"{positions}. Lower --max-steps, shorten the text or take a base model with a "
            f"longer context."
        )


class SlotDecoder:
    """A language model with a slot cache: `fill` starts rows, `extend` feeds every row."""

    def __init__(self, model: LanguageModel, num_rows: int, capacity: int) -> None:
        """Args:
        num_rows: rows R of the cache.
        capacity: positions that one row can hold.
        """
        self.model = model
        self.device = model.device
        require_room(model, capacity)
        self.cache = SlotCache(num_rows, _whole_blocks(capacity))
        self.lengths = torch.zeros(num_rows, dtype=torch.long, device=self.device)

    @torch.inference_mode()
    def fill(self, rows: Sequence[int] | np.ndarray, sequences: Sequence[Packed]) -> Tensor:
        """Starts `rows` (K,) with new sequences; hidden states (K, H) after their ends."""
        batch = Tensors.of(collate(sequences), self.device)
        chosen = torch.as_tensor(np.asarray(rows), device=self.device)
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=self.device)
        width = batch.kind.shape[1]
        self.lengths[chosen] = 0
        hidden = self._forward(batch, chosen, width)
        self.lengths[chosen] = lengths
        return hidden[torch.arange(len(chosen), device=self.device), lengths - 1]

    @torch.inference_mode()
    def append(self, rows: np.ndarray, pieces: Sequence[Packed]) -> Tensor:
        """Feeds `rows` (K,) one piece each, all of one length; hidden states (K, H) at the end."""
        batch = Tensors.of(collate(pieces), self.device)
        chosen = torch.as_tensor(np.asarray(rows), device=self.device)
        hidden = self._forward(batch, chosen, batch.kind.shape[1])
        self.lengths[chosen] += batch.kind.shape[1]
        return hidden[:, -1]

    @torch.inference_mode()
    def extend(self, batch: Tensors, advance: Tensor | None = None) -> Tensor:
        """Feeds Q positions to every row, (R, Q) in all fields; hidden states (R, Q, H).

        Args:
            advance: (R,) bool, rows whose length grows; the others' input is overwritten later.
        """
        width = batch.kind.shape[1]
        hidden = self._forward(batch, None, width)
        self.lengths += width if advance is None else advance.long() * width
        return hidden

    def _forward(self, batch: Tensors, rows: Tensor | None, width: int) -> Tensor:
        cache = self.cache
        lengths = self.lengths if rows is None else self.lengths[rows]
        places = lengths[:, None] + torch.arange(width, device=self.device)
        places = places.clamp(max=cache.capacity - 1)
        cache.rows, cache.places = rows, places
        cache.visible = min(_whole_blocks(int(places.max()) + 1), cache.capacity)
        readable = torch.arange(cache.visible, device=self.device) <= places[:, None, :, None]
        return self.model.masked_hidden(batch, readable, places, cache)

    def share(self, source: Tensor, target: Tensor, width: int) -> None:
        """Copies the last `width` positions of rows `source` (M,) to rows `target` (M,)."""
        places = self.lengths[source, None] - width + torch.arange(width, device=self.device)
        self.cache.copy(source, target, places)


def goal_tokens(model: LanguageModel, goal: str, limit: int) -> list[int]:
    """Token ids of the prompt for a rollout towards `goal`.

    Raises:
        ValueError: there are more than `limit` of them.
    """
    ids = model.prompt(generation_prompt(goal))
    if len(ids) > limit:
        raise ValueError(
            f"Expected a goal of at most {limit} tokens with its prompt, got {len(ids)}: "
            f"`{goal[:60]}...`. Shorten the goal."
        )
    return ids


def words(token: Tensor, model: LanguageModel) -> Tensors:
    """A batch that feeds one word `token` (R,) per row."""
    return blank(model, len(token), token=token[:, None])


def blank(model: LanguageModel, num_rows: int, **given: Tensor) -> Tensors:
    """A batch (R, 1) of padding words with the `given` fields put in."""
    layout, device = model.layout, model.device
    index = torch.zeros(num_rows, 1, dtype=torch.long, device=device)
    numbers = torch.zeros(num_rows, 1, layout.slot_dim, device=device)
    fields = {
        "kind": index,
        "token": index,
        "slot": index,
        "value": numbers,
        "hint": torch.zeros(num_rows, 1, layout.num_slots * layout.slot_dim, device=device),
        "acted": torch.zeros(num_rows, 1, dtype=torch.bool, device=device),
        "action": torch.zeros(num_rows, 1, layout.action_width, device=device),
        "loss": index,
        "stop": index,
        "held": torch.zeros(num_rows, 1, 0, dtype=torch.int8, device=device),
    }
    return Tensors(**(fields | given))
