"""Words out of a language model: its answers, and decompositions of goals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from envs.settings import Count, NotNegative, Settings, Whole
from kalm import prompts
from kalm.decoding import SlotDecoder, words
from kalm.heads import draw
from kalm.language_model import LanguageModel
from kalm.layout import Packed
from kalm.phrases import Phrases, Said


@dataclass(frozen=True)
class Sampling(Settings):
    """How words are drawn."""

    temperature: NotNegative = 0.0  # 0 takes the likeliest
    top_k: Count | None = None  # words that are drawn among; None means all
    seed: Whole = 0  # of the draws


def answer(
    model: LanguageModel,
    questions: Sequence[Packed],
    *,
    max_tokens: int = 96,
    batch: int = 64,
    among: Sequence[Phrases | None] | None = None,
) -> list[str]:
    """The likeliest words after each question, up to the end-of-text token.

    Args:
        questions: sequences that end where the answer begins.
        max_tokens: longest answer, in tokens.
        batch: questions answered together.
        among: for each question the sentences that its answer may list, None for any words.
    """
    return model.texts(write(model, questions, max_tokens=max_tokens, batch=batch, among=among))


@torch.inference_mode()
def write(
    model: LanguageModel,
    questions: Sequence[Packed],
    *,
    max_tokens: int,
    batch: int,
    among: Sequence[Phrases | None] | None = None,
    sampling: Sampling = Sampling(),
) -> list[list[int]]:
    """Tokens after each question, without the one that ends them; arguments as in `answer`.

    A draw depends on the seed and on the question's words, not on the batch.
    """
    phrases = [None] * len(questions) if among is None else among
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    found: list[list[int]] = [[] for _ in questions]
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        asked, said = [questions[row] for row in rows], [phrases[row] for row in rows]
        written = _write_batch(model, asked, said, max_tokens, sampling)
        for row, tokens in zip(rows, written, strict=True):
            found[row] = tokens
    return found


def _write_batch(
    model: LanguageModel,
    questions: Sequence[Packed],
    among: Sequence[Phrases | None],
    max_tokens: int,
    sampling: Sampling,
) -> list[list[int]]:
    capacity = max(len(question) for question in questions) + max_tokens
    decoder = SlotDecoder(model, len(questions), capacity)
    hidden = decoder.fill(range(len(questions)), questions)
    streams = [np.random.default_rng([sampling.seed, *q.token.tolist()]) for q in questions]
    ends = torch.tensor(model.end_tokens, device=decoder.device)
    tokens: list[list[int]] = [[] for _ in questions]
    said = [None if phrases is None else phrases.start() for phrases in among]
    running = torch.ones(len(questions), dtype=torch.bool, device=decoder.device)
    for _ in range(max_tokens):
        chosen = _pick(_that_may_follow(model.word_logits(hidden), said), sampling, streams)
        running &= ~torch.isin(chosen, ends)
        if not running.any():
            break
        for row in running.nonzero()[:, 0].tolist():
            tokens[row].append(int(chosen[row]))
            if (before := said[row]) is not None:
                said[row] = before.say(int(chosen[row]))
        hidden = decoder.extend(words(chosen, model), advance=running)[:, -1]
    return tokens


def _that_may_follow(logits: torch.Tensor, said: Sequence[Said | None]) -> torch.Tensor:
    """Scores (R, V) of the words, -inf for those that may not follow what was said."""
    for row, answer_so_far in enumerate(said):
        if answer_so_far is not None and (following := answer_so_far.following()):
            kept = logits[row, following]
            logits[row] = -torch.inf
            logits[row, following] = kept
    return logits


def _pick(
    logits: torch.Tensor, sampling: Sampling, streams: Sequence[np.random.Generator]
) -> torch.Tensor:
    """The next words (B,) by their scores (B, V)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    if sampling.top_k is not None:
        least = logits.topk(min(sampling.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    uniforms = torch.tensor([stream.random() for stream in streams], dtype=torch.float64)
    return draw(logits / sampling.temperature, uniforms.to(logits.device))


def decompose(model: LanguageModel, goals: Sequence[str]) -> list[list[str]]:
    """Simpler goals that the model divides each goal into, in the order to reach them."""
    unique = list(dict.fromkeys(goals))
    questions = model.questions([prompts.decomposition_prompt(goal) for goal in unique])
    found = dict(zip(unique, answer(model, questions), strict=True))
    return [prompts.split_subgoals(found[goal]) for goal in goals]
