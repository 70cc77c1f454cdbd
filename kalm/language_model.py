"""What every language model here can do: words in, words out, and a loss on wanted words.

One thing to know: hidden states at position i predict position i + 1, and losses leave the model as
sums and counts, so that any grouping of samples averages the same. `kalm.text_model` adds nothing
but words; `kalm.model` adds states and actions. Both go through the same fine-tuning loop, decoder
and saving code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kalm.layout import UNKNOWN, Kind, Layout, Packed
from kalm.tokenizer import encode, encode_all


class LanguageModel(nn.Module):
    """A causal language model with its tokenizer and the shapes of its sequences."""

    def __init__(
        self, backbone: Any, tokenizer: Any, layout: Layout, loss_weights: Mapping[str, float]
    ) -> None:
        """Args:
        loss_weights: weight of every loss that `forward` returns, by name.
        """
        super().__init__()
        self.backbone, self.tokenizer = backbone, tokenizer
        self.layout, self.loss_weights = layout, dict(loss_weights)

    # ------------------------------------------------------------------ words

    def encode_text(self, text: str) -> list[int]:
        """Token ids of user text; never a control token, whatever the text says."""
        return encode(self.tokenizer, text)

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode_text` of many texts at once."""
        return encode_all(self.tokenizer, texts)

    def frame(self) -> tuple[list[int], list[int]]:
        """Token ids before and after the text of a prompt: a beginning-of-text token, if any."""
        start = self.tokenizer.bos_token_id
        return ([] if start is None else [start]), []

    def prompt(self, text: str) -> list[int]:
        """Token ids of a prompt, with the beginning-of-text token where the tokenizer has one."""
        return self.prompts([text])[0]

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many prompts."""
        before, after = self.frame()
        return [[*before, *ids, *after] for ids in self.encode_texts(texts)]

    def questions(self, texts: Sequence[str]) -> list[Packed]:
        """Sequences of words alone that end where an answer begins."""
        return [self.layout.text(ids) for ids in self.prompts(texts)]

    @property
    def end_token(self) -> int:
        """The token that ends a text answer."""
        end = self.tokenizer.eos_token_id
        if end is None:
            raise ValueError("The tokenizer has no eos_token. Set one before grounding.")
        return int(end)

    @property
    def end_tokens(self) -> list[int]:
        """Every token that ends an answer: `end_token`, and what the backbone itself ends with."""
        settings = getattr(self.backbone, "generation_config", None)
        ends = getattr(settings, "eos_token_id", None)
        return sorted({self.end_token, *([ends] if isinstance(ends, int) else ends or [])})

    def texts(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Words of many answers."""
        found: list[str] = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in found]

    # ------------------------------------------------------------- forward pass

    @property
    def device(self) -> torch.device:
        """Where the embeddings of words are."""
        device: torch.device = self.backbone.get_input_embeddings().weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the language head."""
        dtype: torch.dtype = self.backbone.get_output_embeddings().weight.dtype
        return dtype

    @property
    def max_positions(self) -> int | None:
        """Longest sequence that the backbone was made for, if its configuration says so."""
        config = self.backbone.config
        limits = [getattr(config, "max_position_embeddings", None)]
        if any("sliding" in kind for kind in getattr(config, "layer_types", None) or ["sliding"]):
            limits.append(getattr(config, "sliding_window", None))  # masks here know no windows
        return min((limit for limit in limits if limit is not None), default=None)

    def decoder(self) -> Any:
        """The backbone without its language head, adapters included."""
        peft = getattr(self.backbone, "get_base_model", None)
        backbone = peft() if callable(peft) else self.backbone
        return backbone.base_model

    @property
    def _no_split_modules(self) -> list[str]:
        """Classes of the blocks, each of which FSDP cuts and gathers as one; asked by Accelerate.

        Only those that are here: a family may name blocks that read images, too.
        """
        named = getattr(self.decoder(), "_no_split_modules", None) or []
        present = {type(module).__name__ for module in self.backbone.modules()}
        return sorted(present.intersection(named))

    def outer_parts(self) -> list[nn.Module]:
        """Everything outside the language model's blocks: encoders, heads, the output of words."""
        own = [module for name, module in self.named_children() if name != "backbone"]
        return [self.backbone.get_output_embeddings(), *own]

    def embed(self, batch: "Tensors") -> Tensor:
        """Input embeddings (B, L, H)."""
        words: Tensor = self.backbone.get_input_embeddings()(batch.token)
        return words

    def read_out(self, hidden: Tensor, embedded: Tensor, rows: Tensor) -> Tensor:
        """What heads read at `rows` (B, L) of a rollout, from the last hidden states (B, L, H)."""
        return hidden

    def hidden(self, batch: "Tensors") -> Tensor:
        """What heads read at every position (B, L, H) of right-padded sequences."""
        embedded = self.embed(batch)
        output = self.decoder()(inputs_embeds=embedded, use_cache=False)
        return self.read_out(output.last_hidden_state, embedded, batch.kind != Kind.TEXT)

    def masked_hidden(
        self, batch: "Tensors", readable: Tensor, places: Tensor, cache: Any = None
    ) -> Tensor:
        """`hidden` where positions read what `readable` says.

        Args:
            readable: (B, 1, L, M) bool, which of M positions each position may read.
            places: (B, L) each position's number.
            cache: keys and values of positions that are not in `batch`.
        """
        mask = readable
        if self.backbone.config._attn_implementation == "eager":  # adds its mask
            mask = torch.where(readable, 0.0, torch.finfo(self.dtype).min)
        embedded = self.embed(batch)
        output = self.decoder()(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return self.read_out(output.last_hidden_state, embedded, batch.kind != Kind.TEXT)

    def word_logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V) of every word to come after `hidden` (..., H)."""
        logits: Tensor = self.backbone.get_output_embeddings()(hidden.to(self.dtype))
        return logits.float()

    # ------------------------------------------------------------------- losses

    def forward(self, batch: "Tensors") -> dict[str, Tensor]:
        """Sums and counts of every loss, so that any grouping of batches averages the same."""
        read = Readings.of(batch)
        hidden = read.take(self.hidden(batch))
        with torch.autocast(hidden.device.type, enabled=False):
            return self.word_losses(hidden, read)

    def word_losses(self, hidden: Tensor, read: "Readings") -> dict[str, Tensor]:
        """`token_sum` and `token_count` of words foretold by `hidden` (1, P, H)."""
        rows = Rows.of(read.after.loss & (read.after.kind == Kind.TEXT))
        logits = rows.real(self.word_logits(rows.take(hidden)))
        wanted = rows.real(rows.take(read.after.token))
        token_sum = functional.cross_entropy(logits, wanted, reduction="sum")
        return {"token_sum": token_sum, "token_count": rows.sum()}

    def loss_counts(self, batch: "Tensors") -> dict[str, Tensor]:
        """How many positions of `batch` carry each of `loss_weights`, before any forward pass."""
        return {"token": (batch.loss[:, 1:] & (batch.kind[:, 1:] == Kind.TEXT)).sum()}


@dataclass(frozen=True)
class Tensors:
    """A collated batch on a device; shapes as in `Packed` with a batch dimension in front."""

    kind: Tensor
    token: Tensor
    slot: Tensor
    value: Tensor
    hint: Tensor
    action: Tensor
    acted: Tensor
    loss: Tensor
    stop: Tensor
    held: Tensor

    @classmethod
    def of(cls, packed: Packed, device: torch.device | str = "cpu") -> "Tensors":
        """Moves `packed` to `device`."""
        return cls(
            **{
                name: torch.from_numpy(getattr(packed, name)).to(device)
                for name in Packed.__dataclass_fields__
            }
        )

    def at(self, places: Tensor) -> "Tensors":
        """Positions `places` (P,), of B * L, as one sequence (1, P, ...)."""
        fields = {name: getattr(self, name) for name in Packed.__dataclass_fields__}
        return Tensors(
            **{n: v.flatten(0, 1).index_select(0, places)[None] for n, v in fields.items()}
        )


@dataclass(frozen=True)
class Readings:
    """The P positions of a batch that losses read, as one sequence, and those that follow them.

    They are a fraction of all. Hidden states are taken from the batch once and then shared out
    among the losses, so that the backward pass puts together one gradient of all positions.
    """

    places: Tensor  # (P,) int64, of B * L positions
    here: Tensors  # (1, P, ...)
    after: Tensors  # (1, P, ...); without `loss` where a sequence is over

    @classmethod
    def of(cls, batch: Tensors) -> "Readings":
        """Those that foretell what is wanted, or whether a rollout ends."""
        read = batch.stop != UNKNOWN
        read[:, :-1] |= batch.loss[:, 1:]
        places = read.flatten().nonzero()[:, 0]
        goes_on = places % read.shape[1] != read.shape[1] - 1
        after = batch.at(places + goes_on)
        return cls(places, batch.at(places), replace(after, loss=after.loss & goes_on))

    def take(self, values: Tensor) -> Tensor:
        """Just these positions (1, P, ...) of `values` (B, L, ...)."""
        return values.flatten(0, 1).index_select(0, self.places)[None]


@dataclass(frozen=True)
class Rows:
    """Some positions of a batch, filled up to one of few numbers of rows.

    Layers prepare themselves for each number of rows that they meet; were it another one in every
    batch, that would take a sixth of training on a CPU.
    """

    places: Tensor  # (P,) int64, of B * L positions; the first one again fills up
    count: int  # of them are real

    @classmethod
    def of(cls, chosen: Tensor) -> "Rows":
        """The positions where `chosen` (B, L) is True; at most a sixteenth more, or seven."""
        places = chosen.flatten().nonzero()[:, 0]
        count = len(places)
        multiple = max(8, 1 << count.bit_length() >> 5)
        return cls(torch.cat([places, places[:1].expand(-count % multiple)]), count)

    def take(self, values: Tensor) -> Tensor:
        """Rows (P, ...) of `values` (B, L, ...)."""
        return values.flatten(0, 1).index_select(0, self.places)

    def real(self, rows: Tensor) -> Tensor:
        """The real ones (M, ...) of `rows` (P, ...)."""
        return rows[: self.count]

    def put(self, values: Tensor, rows: Tensor) -> Tensor:
        """`values` (B, L, ...) with `rows` (P, ...) in their places."""
        flat = values.flatten(0, 1).index_copy(0, self.places[: self.count], self.real(rows))
        return flat.view_as(values)

    def sum(self) -> Tensor:
        """Their number."""
        return torch.tensor(self.count, device=self.places.device)


def total_loss(sums: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted training loss of summed losses and counts.

    Source: KALM reference code, 0.5 * state + 0.5 * action + token.
    """
    parts = [
        weight * sums[f"{name}_sum"] / sums[f"{name}_count"].clamp(min=1)
        for name, weight in weights.items()
    ]
    return torch.stack(parts).sum()
