"""Words out of a language model: its answers, and decompositions of goals."""

from collections.abc import Sequence

import torch

from kalm import prompts
from kalm.decoding import SlotDecoder, words
from kalm.language_model import LanguageModel
from kalm.layout import Packed
from kalm.phrases import Phrases, Said


@torch.inference_mode()
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
    phrases = [None] * len(questions) if among is None else among
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    by_index: dict[int, str] = {}
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        texts = _answer_batch(
            model, [questions[i] for i in chosen], [phrases[i] for i in chosen], max_tokens
        )
        by_index.update(zip(chosen, texts, strict=True))
    return [by_index[index] for index in range(len(questions))]


def _answer_batch(
    model: LanguageModel,
    questions: Sequence[Packed],
    among: Sequence[Phrases | None],
    max_tokens: int,
) -> list[str]:
    capacity = max(len(question) for question in questions) + max_tokens
    decoder = SlotDecoder(model, len(questions), capacity)
    hidden = decoder.fill(range(len(questions)), questions)
    tokens: list[list[int]] = [[] for _ in questions]
    said = [None if phrases is None else phrases.start() for phrases in among]
    running = torch.ones(len(questions), dtype=torch.bool, device=decoder.device)
    for _ in range(max_tokens):
        chosen = _likeliest(model.word_logits(hidden), said)
        running &= chosen != model.end_token
        if not running.any():
            break
        for row in running.nonzero()[:, 0].tolist():
            tokens[row].append(int(chosen[row]))
            if (before := said[row]) is not None:
                said[row] = before.say(int(chosen[row]))
        hidden = decoder.extend(words(chosen, model), advance=running)[:, -1]
    texts: list[str] = model.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


def _likeliest(logits: torch.Tensor, said: Sequence[Said | None]) -> torch.Tensor:
    """The likeliest word (R,) of each row of logits (R, V), among those that may follow."""
    chosen = logits.argmax(-1)
    for row, answer_so_far in enumerate(said):
        if answer_so_far is not None and (following := answer_so_far.following()):
            words = torch.tensor(following, device=logits.device)
            chosen[row] = words[logits[row, words].argmax()]
    return chosen


def decompose(model: LanguageModel, goals: Sequence[str]) -> list[list[str]]:
    """Simpler goals that the model divides each goal into, in the order to reach them."""
    unique = list(dict.fromkeys(goals))
    questions = model.questions([prompts.decomposition_prompt(goal) for goal in unique])
    found = dict(zip(unique, answer(model, questions), strict=True))
    return [prompts.split_subgoals(found[goal]) for goal in goals]
