"""Explanations: the goals that a rollout achieved, in the words of the grounded model.

A model that learned to recognise training goals in states says only what it recognises: its words
are the likeliest among the sentences of goals that it sees hold at the end and not at the start.
Left to itself it names the right balls and mistakes the side, although it tells the sides apart.
"""

from collections.abc import Sequence

import numpy as np
import torch

from envs.episode import Episode
from envs.world import World
from kalm import prompts
from kalm.language_model import Tensors
from kalm.layout import Kind, Packed, collate
from kalm.model import GroundedModel
from kalm.phrases import Phrases
from kalm.tasks import explanation_question, training_sentences
from kalm.text import answer


def explain(
    model: GroundedModel,
    episodes: Sequence[Episode],
    world: World,
    *,
    aided: bool = True,
    batch: int = 64,
) -> list[list[str]]:
    """The goals that each rollout achieved (true at its end, not at its start), in words.

    Args:
        aided: choose among the sentences of goals that the model recognises; where it recognises
            none, and in models that learned no recognition, any words may come.
        batch: rollouts explained together.

    Source: KALM section 4.2 (rollout explanation), which names one goal, unaided.
    """
    questions = [
        explanation_question(
            model.layout, model.prompt, model.encode_text, episode.observations, episode.actions
        )
        for episode in episodes
    ]
    phrases: list[Phrases | None] = [None] * len(questions)
    if aided and model.goal_head is not None:
        sentences = training_sentences(world)
        for row, achieved in enumerate(_achieved(model, questions, batch)):
            said = [sentences[goal] for goal in np.flatnonzero(achieved)]
            if said:
                phrases[row] = Phrases.of(model, said, prompts.SUBGOAL_SEPARATOR)
    answers = answer(model, questions, batch=batch, among=phrases)
    return [prompts.split_subgoals(text) for text in answers]


def _achieved(model: GroundedModel, questions: Sequence[Packed], batch: int) -> np.ndarray:
    """Training goals (N, G) that the model recognises at the end of a rollout, not at its start."""
    held = [recognise(model, questions[i : i + batch]) for i in range(0, len(questions), batch)]
    first, last = np.concatenate(held).transpose(1, 0, 2)
    return np.asarray((last > 0.5) & (first <= 0.5))


@torch.inference_mode()
def recognise(model: GroundedModel, rollouts: Sequence[Packed]) -> np.ndarray:
    """Probability (N, 2, G) of each training goal in the first state and the last one after a step.

    Raises:
        ValueError: the model learned no recognition.
    """
    if model.goal_head is None:
        raise ValueError(
            "Expected a model that recognises goals, got one without. "
            "Ground it with --grounding.goal-weight above 0."
        )
    model.eval()
    middle = model.middle(Tensors.of(collate(rollouts), model.device))
    rows, places = [], []
    for row, rollout in enumerate(rollouts):
        ends = np.flatnonzero(
            (rollout.kind == Kind.STATE) & (rollout.slot == model.layout.num_slots - 1)
        )
        acts = np.flatnonzero(rollout.kind == Kind.ACTION)
        rows += [row, row]
        places += [ends[0], ends[ends > acts[-1]][0]]
    probabilities = model.goal_head(middle[rows, places].float()).sigmoid()
    return np.asarray(probabilities.cpu().numpy()).reshape(len(rollouts), 2, -1)
