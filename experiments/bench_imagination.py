"""Imagination against a language model that writes rollouts as text, and against the bare backbone.

Both sides decode as many rollouts of as many steps at once with the same backbone in bfloat16 and a
key-value cache; the peer takes the likeliest token, which is the cheapest way, and needs no judge.
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
    steps: int  # of each
    refilled: int  # rollouts of different lengths, for slot refill
    longest: int  # steps of one of them
    repeats: int

    @property
    def shape(self) -> tuple[int, int]:
        """Width and layers of the backbone."""
        return self.hidden, self.layers


SIZES = {
    "tiny": Size(32, 1, 2, 2, 5, 3, 1),
    "quick": Size(256, 6, 64, 4, 192, 20, 3),
    "full": Size(256, 6, 64, 10, 512, 50, 7),
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
    """One position an entity, one a state, and refilled slots against static batches."""
    episodes = rollouts(size.batch)
    ways: dict[str, Way] = {PEER: _Text(size, episodes).run}
    for positions in LEAST_RATIO:
        ours = _Ours(size, positions, episodes)
        ways |= {f"{OURS} {positions}": ours.run, f"{LIMIT} {positions}": ours.bare}
    figures = interleaved(ways, size.repeats)
    for positions, least in LEAST_RATIO.items():
        plan = Plan(
            "imagination",
            f"one position per {positions}, {size.batch} at once",
            "steps/s",
            peer="transformers generate, text",
            limit="bare cached decoding",
            least_ratio=least,
            least_share=LEAST_SHARE,
        )
        mine = {name: figures[f"{name} {positions}"] for name in (OURS, LIMIT)}
        yield row_of(plan, {**mine, PEER: figures[PEER]})
    yield _refill(size)


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
    model = grounded(*shape, positions, episodes).eval()
    model.backbone.to(torch.bfloat16)
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

    def __init__(self, size: Size, positions: str, episodes: Sequence[Episode]) -> None:
        self._size, self._episodes = size, episodes
        lengths = [size.steps] * size.batch
        self._engine = imagining_engine(size.shape, positions, episodes, lengths, size.batch)
        words = [self._engine.model.prompt(generation_prompt(e.goal)) for e in episodes]
        self._slots = self._engine.model.layout.num_slots
        self._prompt = max(map(len, words)) + self._slots

    def run(self) -> Done:
        """One batch of rollouts."""
        return _steps(list(self._engine.imagine(requests_for(self._episodes, self._size.batch))))

    @torch.inference_mode()
    def bare(self) -> Done:
        """Prompt and positions through the backbone's decoder, with `transformers`' own cache."""
        size, decoder = self._size, self._engine.model.decoder()
        shape = (size.batch, self._prompt, size.hidden)
        dense = torch.randn(shape, dtype=self._engine.model.dtype)
        cache = DynamicCache()
        decoder(inputs_embeds=dense, past_key_values=cache, use_cache=True)
        for _ in range(size.steps * (self._slots + 1)):
            decoder(inputs_embeds=dense[:, :1], past_key_values=cache, use_cache=True)
        return Done(size.batch * size.steps)


class _Text:
    """`transformers` writing rollouts as text, a batch at a time."""

    def __init__(self, size: Size, episodes: Sequence[Episode]) -> None:
        self._size = size
        self._model: Any = backbone(size.hidden, size.layers).to(torch.bfloat16).eval()
        self._new = round(size.steps * tokens_per_step(episodes))
        prompts = encode_all(tokenizer(), [prompt_text(episode) for episode in episodes])
        longest, pad = max(map(len, prompts)), tokenizer().pad_token_id
        rows = [[pad] * (longest - len(ids)) + ids for ids in prompts]
        self._tokens = torch.tensor(rows)
        self._mask = (torch.arange(longest) >= longest - _lengths(prompts)[:, None]).long()

    @torch.inference_mode()
    def run(self) -> Done:
        """As many tokens as the rollouts take, none of them the last."""
        written = self._model.generate(
            self._tokens,
            attention_mask=self._mask,
            max_new_tokens=self._new,
            min_new_tokens=self._new,
            do_sample=False,
        )
        assert written.shape[1] == self._tokens.shape[1] + self._new
        steps = float(self._size.batch * self._size.steps)
        same = {"rollouts": float(self._size.batch), "environment steps": steps}
        return Done(steps, equal=same)


def _lengths(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.tensor([len(row) for row in rows])


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
