"""Choosing among given options by the probability that a language model gives to their words.

One thing to know: one forward pass without a cache scores all options of a question. The words of
the options form a tree behind the question, in which a word reads the question and the words before
it in its own options, so that equal beginnings are read once. Last words need not be read at all:
options of one token each cost what the questions cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kalm.decoding import require_room
from kalm.language_model import LanguageModel, Tensors
from kalm.layout import Packed, collate, join

_LOGIT_ROWS = 1024  # rows of word logits held at once


def choose(
    model: LanguageModel,
    questions: Sequence[Packed],
    options: Sequence[str],
    allowed: np.ndarray | None = None,
    temperature: float | np.ndarray = 0.0,
    uniforms: np.ndarray | None = None,
    *,
    batch: int = 64,
) -> np.ndarray:
    """The option (N,) int64 that answers each question.

    Args:
        questions: N sequences that end where the answer begins.
        options: K different texts.
        allowed: (N, K) bool, which options a question may have; all of them by default.
        temperature: of the draw, one number or (N,); 0 takes the likeliest.
        uniforms: (N,) in [0, 1), which draw where the temperature is above 0.
        batch: questions read together.

    Raises:
        ValueError: doubtful options, or a question that may have none of them.
    """
    return pick(score(model, questions, options, allowed, batch=batch), temperature, uniforms)


def pick(
    scores: np.ndarray, temperature: float | np.ndarray = 0.0, uniforms: np.ndarray | None = None
) -> np.ndarray:
    """The option (N,) int64 by log-probabilities (N, K); the first one wins a tie."""
    chosen: np.ndarray = scores.argmax(1)
    warm = np.broadcast_to(np.asarray(temperature, np.float64), len(scores)) > 0
    if not warm.any():
        return chosen
    if uniforms is None:
        raise ValueError("Expected uniforms for a temperature above 0. Give one for each question.")
    heat = np.broadcast_to(np.asarray(temperature, np.float64), len(scores))[warm, None]
    weights = np.exp((scores[warm] - scores[warm].max(1, keepdims=True)) / heat)
    cumulative = weights.cumsum(1)
    # `<=` passes over options of no weight, also where the number drawn is 0.
    drawn = (cumulative <= uniforms[warm, None] * cumulative[:, -1:]).sum(1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(1)
    chosen[warm] = np.minimum(drawn, last)
    return chosen


@torch.inference_mode()
def score(
    model: LanguageModel,
    questions: Sequence[Packed],
    options: Sequence[str],
    allowed: np.ndarray | None = None,
    *,
    batch: int = 64,
) -> np.ndarray:
    """Log-probabilities (N, K) float64 of the options' whole text; -inf where not allowed.

    Where an option begins with another one, all of them are read with the token that ends an
    answer, or the shorter would always win. Arguments as in `choose`.
    """
    tokens = _option_tokens(model, options)
    if allowed is None:
        allowed = np.ones((len(questions), len(options)), bool)
    barred = np.flatnonzero(~allowed.any(1))
    if len(barred):
        raise ValueError(
            f"Expected at least one allowed option for every question, got none for question "
            f"{barred[0]}. Allow an option that does nothing, or leave the question out."
        )
    single = all(len(ids) == 1 for ids in tokens)
    keys = [
        _key(q) + (b"" if single else a.tobytes()) for q, a in zip(questions, allowed, strict=True)
    ]
    place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    chosen = [first[key] for key in place]
    found = np.full((len(chosen), len(options)), -np.inf)
    order = sorted(range(len(chosen)), key=lambda index: len(questions[chosen[index]]))
    for begin in range(0, len(order), batch):
        rows = order[begin : begin + batch]
        asked = [questions[chosen[row]] for row in rows]
        if single:
            found[rows] = _score_words(model, asked, [ids[0] for ids in tokens])
        else:
            found[rows] = _score_texts(model, asked, tokens, allowed[[chosen[row] for row in rows]])
    scores = found[[place[key] for key in keys]]
    scores[~allowed] = -np.inf
    return scores


def _key(question: Packed) -> bytes:
    """Equal for equal questions."""
    return b"".join(
        np.ascontiguousarray(getattr(question, name)).tobytes()
        for name in ("kind", "token", "value", "action")
    )


def _option_tokens(model: LanguageModel, options: Sequence[str]) -> list[list[int]]:
    tokens = model.encode_texts(options)
    if not tokens or not all(tokens) or len(set(map(tuple, tokens))) < len(tokens):
        raise ValueError(
            f"Expected different options of at least one token, got {list(options)}. "
            f"Leave out what is empty or comes twice."
        )
    known = set(map(tuple, tokens))
    nested = any(tuple(ids[:end]) in known for ids in tokens for end in range(1, len(ids)))
    return [[*ids, model.end_token] for ids in tokens] if nested else tokens


def _score_words(
    model: LanguageModel, questions: Sequence[Packed], words: Sequence[int]
) -> np.ndarray:
    """Log-probabilities (B, K) of one next word."""
    lengths = torch.tensor([len(question) for question in questions], device=model.device)
    require_room(model, int(lengths.max()))
    hidden = model.hidden(Tensors.of(collate(questions), model.device))
    last = hidden[torch.arange(len(questions), device=model.device), lengths - 1]
    logits = model.word_logits(last)
    chosen = logits[:, list(words)].double() - logits.double().logsumexp(-1, keepdim=True)
    scores: np.ndarray = chosen.cpu().numpy()
    return scores


@dataclass(frozen=True)
class _Tree:
    """The words of one question's options; a node is a word, its inner number the order of reading.

    The root, inner number 0, is the end of the question; it is read with the question.
    """

    tokens: np.ndarray  # (I,) of inner nodes other than the root, parents before children
    depths: np.ndarray  # (I,) words of the options up to here, from 1
    readable: np.ndarray  # (I, I) bool, which inner nodes each one reads: itself and its ancestors
    parents: np.ndarray  # (W,) for every word of every option, the inner number of the one before
    words: np.ndarray  # (W,) its token
    starts: np.ndarray  # (K,) where each option's words begin in `parents`


def _grow(options: Sequence[Sequence[int]]) -> _Tree:
    numbers: dict[tuple[int, ...], int] = {(): 0}
    parents: list[int] = []
    for ids in options:
        for depth in range(len(ids)):
            numbers.setdefault(tuple(ids[:depth]), len(numbers))
            parents.append(numbers[tuple(ids[:depth])])
    inner = list(numbers)[1:]
    readable = np.eye(len(inner), dtype=bool)
    for number, prefix in enumerate(inner):
        if len(prefix) > 1:
            readable[number] |= readable[numbers[prefix[:-1]] - 1]
    sizes = [len(ids) for ids in options]
    return _Tree(
        np.array([prefix[-1] for prefix in inner], np.int64),
        np.array([len(prefix) for prefix in inner], np.int64),
        readable,
        np.array(parents),
        np.concatenate([np.asarray(ids) for ids in options]),
        np.cumsum([0, *sizes[:-1]]),
    )


def _score_texts(
    model: LanguageModel,
    questions: Sequence[Packed],
    options: Sequence[Sequence[int]],
    allowed: np.ndarray,
) -> np.ndarray:
    """Log-probabilities (B, K) of whole options; those that are not allowed are not read."""
    trees = [_grow([options[place] for place in np.flatnonzero(row).tolist()]) for row in allowed]
    layout = model.layout
    batch = collate(
        [join([q, layout.text(tree.tokens)]) for q, tree in zip(questions, trees, strict=True)]
    )
    count, width = batch.kind.shape
    places = np.tile(np.arange(width), (count, 1))
    readable = np.tile(np.tri(width, dtype=bool), (count, 1, 1))
    for row, (question, tree) in enumerate(zip(questions, trees, strict=True)):
        begin, end = len(question), len(question) + len(tree.tokens)
        places[row, begin:end] = begin - 1 + tree.depths
        readable[row, begin:end, begin:end] = tree.readable
    require_room(model, int(places.max()) + 1)
    hidden = model.masked_hidden(
        Tensors.of(batch, model.device),
        torch.from_numpy(readable[:, None]).to(model.device),
        torch.from_numpy(places).to(model.device),
    )
    row_of = np.repeat(np.arange(count), [len(tree.words) for tree in trees])
    ends = np.repeat([len(q) - 1 for q in questions], [len(tree.words) for tree in trees])
    reading = ends + np.concatenate([tree.parents for tree in trees])
    read = hidden[torch.from_numpy(row_of), torch.from_numpy(reading)]
    single = _word_scores(model, read, np.concatenate([tree.words for tree in trees]))
    scores = np.full(allowed.shape, -np.inf)
    begin = 0
    for row, tree in enumerate(trees):
        words = single[begin : begin + len(tree.words)]
        scores[row, allowed[row]] = np.add.reduceat(words, tree.starts)
        begin += len(tree.words)
    return scores


def _word_scores(model: LanguageModel, hidden: Tensor, words: np.ndarray) -> np.ndarray:
    """Log-probability (W,) of each of `words` after its hidden state (W, H)."""
    scores = []
    for begin in range(0, len(words), _LOGIT_ROWS):
        logits = model.word_logits(hidden[begin : begin + _LOGIT_ROWS]).double()
        chosen = torch.from_numpy(words[begin : begin + _LOGIT_ROWS]).to(logits.device)
        picked = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        scores.append(picked.cpu().numpy())
    return np.concatenate(scores)
