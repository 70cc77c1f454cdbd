"""How well a model is grounded: its predictions on rollouts that it has never seen.

Source: KALM section 4.3 and appendix (next-state error, action agreement, explanation accuracy);
round-trip consistency is ours.
"""

from collections.abc import Sequence

import numpy as np
import torch

from envs.episode import Episode
from envs.world import Goal, World
from kalm import prompts
from kalm.explanation import explain
from kalm.language_model import Tensors
from kalm.layout import Kind, Packed, collate, join
from kalm.model import GroundedModel

MOVED = 1e-3  # an entity that moved further than this, in world units, counts as moved


@torch.inference_mode()
def prediction_metrics(
    model: GroundedModel, episodes: Sequence[Episode], *, batch: int = 64, max_steps: int = 12
) -> dict[str, float]:
    """Next-state errors of moved and unmoved entities in world units, and action agreement.

    Every state and action is predicted from the true past (teacher forcing), over the last
    `max_steps` steps of each rollout.
    """
    model.eval()
    sums = dict.fromkeys(("moved", "unmoved", "copied", "agreed"), 0.0)
    counts = dict.fromkeys(sums, 0)
    for first in range(0, len(episodes), batch):
        pieces = [_prompted(model, e, max_steps) for e in episodes[first : first + batch]]
        tensors = Tensors.of(collate(pieces), model.device)
        hidden = model.hidden(tensors).float()[:, :-1]
        _add_state_errors(model, hidden, tensors, sums, counts)
        rows = tensors.kind[:, 1:] == Kind.ACTION
        if model.spaces.num_actions:
            chosen = model.next_action(hidden[rows], hidden.new_zeros(int(rows.sum()), 1), 0)
            true = tensors.action[:, 1:][rows]
            sums["agreed"] += float((chosen == true).float().sum())
            counts["agreed"] += int(rows.sum())
    means = {name: sums[name] / max(counts[name], 1) for name in sums}
    metrics = {
        "next_state_error_moved": means["moved"],
        "next_state_error_unmoved": means["unmoved"],
        "copy_error_moved": means["copied"],
    }
    return metrics | ({"action_agreement": means["agreed"]} if counts["agreed"] else {})


def _prompted(model: GroundedModel, episode: Episode, max_steps: int) -> Packed:
    first = max(0, len(episode) - max_steps)
    words = model.layout.text(model.prompt(prompts.generation_prompt(episode.goal)))
    rollout = model.layout.rollout(
        episode.observations[first:], episode.actions[first:], ended=True, loss=True
    )
    return join([words, rollout])


def _add_state_errors(
    model: GroundedModel,
    hidden: torch.Tensor,
    tensors: Tensors,
    sums: dict[str, float],
    counts: dict[str, int],
) -> None:
    """Euclidean errors of the predicted changes of all states but the first."""
    rows = tensors.kind[:, 1:] == Kind.STATE
    seen = (tensors.kind == Kind.ACTION).cumsum(1)[:, 1:] > 0
    rows = rows & seen
    hint = tensors.hint[:, :-1, : model.layout.slot_dim][rows]
    value = tensors.value[:, 1:][rows]
    predicted = model.next_state(hidden[rows], hint, torch.zeros_like(hint), 0)
    entity = model.spaces.entity_dim
    error = (predicted - value).reshape(-1, entity).norm(dim=-1)
    shift = (hint - value).reshape(-1, entity).norm(dim=-1)
    moved = shift > MOVED
    for name, values in (
        ("moved", error[moved]),
        ("unmoved", error[~moved]),
        ("copied", shift[moved]),
    ):
        sums[name] += float(values.sum())
        counts[name] += len(values)


def explanation_metrics(
    world: World, model: GroundedModel, episodes: Sequence[Episode]
) -> dict[str, float]:
    """How right the goals are that the model reads out of successful rollouts.

    achieved: share of the named goals that their rollout did reach, which hold at its end and did
    not hold at its start; words that are no training sentence count as wrong. asked: share of
    rollouts among whose named goals is the one that was asked for. named: goals named in a
    rollout, on average. unaided: `achieved` of the words that the model says by itself.
    """
    goals = {goal.text: goal for goal in world.goals(world.levels[0])}

    def judge(texts: list[str], episode: Episode) -> list[bool]:
        named = [goals.get(text) for text in texts or [""]]
        return [goal is not None and _achieved(world, goal, episode) for goal in named]

    explanations = explain(model, episodes, world)
    unaided = explain(model, episodes, world, aided=False)
    specs = [{goals[text].spec for text in texts if text in goals} for texts in explanations]
    asked = [goals[e.goal].spec in named for e, named in zip(episodes, specs, strict=True)]
    told = zip(explanations, unaided, episodes, strict=True)
    judged = [(judge(texts, episode), judge(alone, episode)) for texts, alone, episode in told]
    return {
        "explanation_achieved": float(np.mean(np.concatenate([right for right, _ in judged]))),
        "explanation_asked": float(np.mean(asked)),
        "explanation_named": float(np.mean([len(texts) for texts in explanations])),
        "explanation_unaided": float(np.mean(np.concatenate([right for _, right in judged]))),
    }


def _achieved(world: World, goal: Goal, episode: Episode) -> bool:
    spec = np.array([goal.spec])
    first, before, after = (episode.observations[[place]] for place in (0, -2, -1))
    action = episode.actions[-1:]
    at_end = world.success(spec, before, action, after)[0]
    return bool(at_end and not world.success(spec, first, action, first)[0])
