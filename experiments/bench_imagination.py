"""Imagination against a language model that writes rollouts as text, and against the bare backbone.

Both sides decode rollouts of the same lengths, those of real ones, with the same backbone, in
bfloat16 where the machine has it, and a key-value cache, as many at once. The peer takes the
likeliest token, which is the cheapest way; its batches run until their longest rollout is written,
while our slots are refilled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from envs.episode import Episode
from experiments.bench_measure import (
    LIMIT,
    OURS,
    PEER,
    BenchRow,
    Done,
    Plan,
    Way,
    interleaved,
    measure,
    row_of,
)
from experiments.bench_models import backbone, grounded, prompt_text, tokenizer, tokens_per_step
from experiments.bench_rollouts import rollouts
from kalm.engine import FINISHED, GenerationConfig, GenerationEngine, Request
from kalm.model import GroundingConfig
from kalm.precision import quick_dtype
from kalm.pretrained import decode_quickly
from kalm.prompts import generation_prompt
from kalm.tokenizer import encode_all

LEAST_RATIO = {"entity": 8.0, "state": 25.0}
LEAST_SHARE = 0.6
LEAST_REFILL = 1.3


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    hidden: int  # width of the backbone
    layers: int
    batch: int  # rollouts imagined together
    rollouts: int  # a multiple of `batch`
    longest: int  # steps of one of them
    steps: int  # of every rollout, in the comparison with the limit
    refilled: int  # rollouts of the comparison of slot refill
    repeats: int

    @property
    def shape(self) -> tuple[int, int]:
        """Width and layers of the backbone."""
        return self.hidden, self.layers


SIZES = {
    "tiny": Size(32, 1, 2, 4, 2, 2, 5, 1),
    "quick": Size(256, 6, 24, 48, 10, 8, 96, 3),
    "full": Size(256, 6, 64, 128, 30, 10, 256, 5),
}


class Lengths:
    """A director that ends rollout i after `lengths[i]` steps."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths

    def score(
        self,
        requests: list[Request],
        before: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """All candidates are as good (M,)."""
        return np.zeros(len(requests))

    def decide(self, request: Request, stop: float) -> str | None:
        """Ends a rollout that is long enough."""
        return FINISHED if len(request.actions) >= self.lengths[request.index] else None


def rows(size: Size) -> Iterator[BenchRow]:
    """Against text, against the limit, and refilled slots against static batches."""
    yield from _against_text(size)
    for positions in LEAST_RATIO:
        plan = Plan(
            "imagination",
            f"one position per {positions}, {size.batch} rollouts of {size.steps} steps",
            "steps/s",
            limit="bare cached decoding",
            least_share=LEAST_SHARE,
        )
        full = _Ours(size, positions, rollouts(size.batch), [size.steps] * size.batch)
        yield measure(plan, {OURS: full.run, LIMIT: full.bare}, size.repeats, warmups=1)
    yield _refill(size)


def _against_text(size: Size) -> Iterator[BenchRow]:
    episodes = rollouts(size.rollouts, size.longest)
    lengths = [len(episode) for episode in episodes]
    ways: dict[str, Way] = {PEER: _Text(size, episodes).run}
    for positions in LEAST_RATIO:
        ways[f"{OURS} {positions}"] = _Ours(size, positions, episodes, lengths).run
    figures = interleaved(ways, size.repeats)
    for positions, least in LEAST_RATIO.items():
        plan = Plan(
            "imagination",
            f"one position per {positions}, lengths as in the data",
            "steps/s",
            peer="transformers generate, text",
            least_ratio=least,
        )
        yield row_of(plan, {OURS: figures[f"{OURS} {positions}"], PEER: figures[PEER]})


def imagining_engine(
    shape: tuple[int, int],
    positions: str,
    episodes: Sequence[Episode],
    lengths: Sequence[int],
    num_slots: int,
) -> GenerationEngine:
    """The product's engine with the paper's single candidate a step.

    Args:
        shape: width and layers of the backbone.
        episodes: real rollouts that numbers are scaled by.
        lengths: steps of every rollout that is to be imagined.
    """
    model = grounded(*shape, episodes, GroundingConfig(positions=positions)).eval()
    decode_quickly(model.backbone)
    config = GenerationConfig(num_slots=num_slots, max_steps=max(lengths))
    return GenerationEngine(model, Lengths(lengths), config)


def requests_for(episodes: Sequence[Episode], count: int) -> list[Request]:
    """Fresh requests with goals and starts of real rollouts, in turn."""
    chosen = [episodes[index % len(episodes)] for index in range(count)]
    return [
        Request(index, episode.goal, episode.observations[0], (0, index))
        for index, episode in enumerate(chosen)
    ]


def _steps(requests: Sequence[Request]) -> Done:
    steps = sum(len(request.actions) for request in requests)
    same = {"rollouts": float(len(requests)), "environment steps": float(steps)}
    return Done(steps, equal=same)


class _Ours:
    """The engine, and its backbone alone on as many positions."""

    def __init__(
        self, size: Size, positions: str, episodes: Sequence[Episode], lengths: Sequence[int]
    ) -> None:
        self._size, self._episodes, self._lengths = size, episodes, lengths
        self._engine = imagining_engine(size.shape, positions, episodes, lengths, size.batch)

    def run(self) -> Done:
        """All rollouts."""
        return _steps(list(self._engine.imagine(requests_for(self._episodes, len(self._lengths)))))

    @torch.inference_mode()
    def bare(self) -> Done:
        """One batch of prompts and positions through the decoder with `transformers`' own cache."""
        size, model = self._size, self._engine.model
        words = [len(model.prompt(generation_prompt(each.goal))) for each in self._episodes]
        shape = (size.batch, max(words) + model.layout.num_slots, size.hidden)
        dense = torch.randn(shape, dtype=model.dtype)
        decoder, cache = model.decoder(), DynamicCache()
        decoder(inputs_embeds=dense, past_key_values=cache, use_cache=True)
        for _ in range(size.steps * (model.layout.num_slots + 1)):
            decoder(inputs_embeds=dense[:, :1], past_key_values=cache, use_cache=True)
        return Done(size.batch * size.steps)


class _Text:
    """`transformers` writing rollouts as text, a batch at a time."""

    def __init__(self, size: Size, episodes: Sequence[Episode]) -> None:
        self._size, self._episodes = size, episodes
        self._model: Any = backbone(size.hidden, size.layers).to(quick_dtype("cpu")).eval()
        self._tokens_per_step = tokens_per_step(episodes)

    def run(self) -> Done:
        """All rollouts, in batches."""
        size = self._size
        for first in range(0, size.rollouts, size.batch):
            self._write(self._episodes[first : first + size.batch])
        steps = float(sum(map(len, self._episodes)))
        same = {"rollouts": float(size.rollouts), "environment steps": steps}
        return Done(steps, equal=same)

    @torch.inference_mode()
    def _write(self, episodes: Sequence[Episode]) -> None:
        """As many tokens as the longest rollout of a batch takes."""
        prompts = encode_all(tokenizer(), [prompt_text(episode) for episode in episodes])
        longest, pad = max(map(len, prompts)), tokenizer().pad_token_id
        tokens = torch.tensor([[pad] * (longest - len(ids)) + ids for ids in prompts])
        new = round(max(map(len, episodes)) * self._tokens_per_step)
        written = self._model.generate(
            tokens,
            attention_mask=(tokens != pad).long(),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
        )
        assert written.shape[1] == longest + new


def _refill(size: Size) -> BenchRow:
    plan = Plan(
        "imagination",
        "slot refill, lengths as in the data",
        "steps/s",
        peer="the same engine with static batches",
        least_ratio=LEAST_REFILL,
    )
    episodes = rollouts(size.refilled, size.longest)
    lengths = [len(episode) for episode in episodes]
    engine = imagining_engine(size.shape, "entity", episodes, lengths, size.batch)

    def refilled() -> Done:
        return _steps(list(engine.imagine(requests_for(episodes, size.refilled))))

    def static() -> Done:
        requests = requests_for(episodes, size.refilled)
        for first in range(0, len(requests), size.batch):
            list(engine.imagine(requests[first : first + size.batch]))
        return _steps(requests)

    return measure(plan, {OURS: refilled, PEER: static}, size.repeats)
