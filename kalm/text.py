"""Words out of the grounded model: decompositions of goals and explanations of rollouts."""

from collections.abc import Sequence

import torch

from envs.episode import Episode
from kalm import prompts
from kalm.decoding import SlotDecoder, words
from kalm.layout import Packed
from kalm.model import GroundedModel
from kalm.tasks import explanation_question


@torch.inference_mode()
def answer(
    model: GroundedModel, questions: Sequence[Packed], *, max_tokens: int = 96, batch: int = 64
) -> list[str]:
    """The likeliest words after each question, up to the end-of-text token.

    Args:
        questions: sequences that end where the answer begins.
        max_tokens: longest answer, in tokens.
        batch: questions answered together.
    """
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    by_index: dict[int, str] = {}
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        for index, text in zip(
            chosen, _answer_batch(model, [questions[i] for i in chosen], max_tokens), strict=True
        ):
            by_index[index] = text
    return [by_index[index] for index in range(len(questions))]


def _answer_batch(model: GroundedModel, questions: Sequence[Packed], max_tokens: int) -> list[str]:
    capacity = max(len(question) for question in questions) + max_tokens
    decoder = SlotDecoder(model, len(questions), capacity)
    hidden = decoder.fill(range(len(questions)), questions)
    head = model.backbone.get_output_embeddings()
    tokens: list[list[int]] = [[] for _ in questions]
    running = torch.ones(len(questions), dtype=torch.bool, device=decoder.device)
    for _ in range(max_tokens):
        chosen = head(hidden.to(model.dtype)).float().argmax(-1)
        running &= chosen != model.end_token
        if not running.any():
            break
        for row in running.nonzero()[:, 0].tolist():
            tokens[row].append(int(chosen[row]))
        hidden = decoder.extend(words(chosen, model), advance=running)[:, -1]
    texts: list[str] = model.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


def decompose(model: GroundedModel, goals: Sequence[str]) -> list[list[str]]:
    """Simpler goals that the model divides each goal into, in the order to reach them."""
    unique = list(dict.fromkeys(goals))
    questions = [model.layout.text(model.prompt(prompts.decomposition_prompt(g))) for g in unique]
    found = dict(zip(unique, answer(model, questions), strict=True))
    return [prompts.split_subgoals(found[goal]) for goal in goals]


def explain(model: GroundedModel, episodes: Sequence[Episode]) -> list[list[str]]:
    """The goals that each rollout achieved (true at its end, not at its start), in words.

    Source: KALM section 4.2 (rollout explanation), which names one goal.
    """
    questions = [
        explanation_question(
            model.layout, model.prompt, model.encode_text, episode.observations, episode.actions
        )
        for episode in episodes
    ]
    return [prompts.split_subgoals(text) for text in answer(model, questions)]
