"""A plain implementation of generation: one rollout, no cache, everything encoded anew each time.

It exists to be read and to be compared with `kalm.engine`, which must give the same rollouts.
"""

import numpy as np
import torch

from kalm.engine import FINISHED, Director, GenerationConfig, Project, Request
from kalm.language_model import Tensors
from kalm.layout import Packed, collate, join, take
from kalm.model import GroundedModel
from kalm.prompts import generation_prompt


@torch.inference_mode()
def imagine_plainly(
    model: GroundedModel,
    director: Director,
    config: GenerationConfig,
    request: Request,
    *,
    project: Project | None = None,
) -> Request:
    """`request` with its rollout, step by step as the engine defines it."""
    stream = np.random.default_rng(request.seed)
    request.observations.append(request.start.astype(np.float32))
    context = _prompt(model, request)
    steps_in_context = 0
    while not request.finished and len(request.actions) < config.max_steps:
        if steps_in_context >= config.max_context_steps:
            context, steps_in_context = _prompt(model, request), 0
        candidates = _candidates(model, config, context, request, stream, project)
        stops = np.array([float(c[3]) for c in candidates])
        best = 0
        if len(candidates) > 1:
            before = np.repeat(request.observations[-1][None], len(candidates), axis=0)
            actions = np.stack([candidate[0] for candidate in candidates])
            after = np.stack([candidate[1] for candidate in candidates])
            scores = director.score([request] * len(candidates), before, actions, after, stops)
            best = int(scores.argmax())
        action, state, context, stop = candidates[best]
        request.actions.append(action)
        request.observations.append(state)
        steps_in_context += 1
        verdict = director.decide(request, stop)
        if verdict == FINISHED:
            request.finished = True
        elif verdict is not None and verdict != request.goal:
            request.goal = verdict
            context, steps_in_context = _prompt(model, request), 0
    return request


def _prompt(model: GroundedModel, request: Request) -> Packed:
    words = model.layout.text(model.prompt(generation_prompt(request.goal)))
    return join([words, model.layout.state(request.observations[-1], loss=False)])


def _hidden(model: GroundedModel, context: Packed) -> torch.Tensor:
    return model.hidden(Tensors.of(collate([context]), model.device))[:, -1]


def _candidates(
    model: GroundedModel,
    config: GenerationConfig,
    context: Packed,
    request: Request,
    stream: np.random.Generator,
    project: Project | None,
) -> list[tuple[np.ndarray, np.ndarray, Packed, float]]:
    """(action, next state, context after both, stop probability) of every candidate."""
    spaces, layout, count = model.spaces, model.layout, config.num_candidates
    choices = spaces.num_actions
    width = choices or count * layout.action_width
    draws = stream.random(width + count * spaces.observation_dim)
    state_draws = draws[width:].reshape(count, layout.num_slots, layout.slot_dim)
    hidden = _hidden(model, context)
    actions = _actions(model, config, hidden, draws[:width])
    before = request.observations[-1]
    found = []
    for action, uniforms in zip(actions, state_draws, strict=True):
        longer = join([context, layout.act(action, before, loss=False)])
        state = before.copy().reshape(layout.num_slots, layout.slot_dim)
        previous = before.reshape(layout.num_slots, layout.slot_dim)
        for slot in range(layout.num_slots):
            partial = layout.state(state.ravel(), before, action, loss=False)
            known = join([longer, take(partial, np.arange(slot))])
            value = model.next_state(
                _hidden(model, known),
                torch.from_numpy(previous[slot : slot + 1].copy()),
                torch.from_numpy(uniforms[slot : slot + 1].copy()),
                config.state_temperature,
            ).float()
            proposal = value.cpu().numpy()
            if project is not None:
                proposal = project(slot, proposal, state[None, :slot])
            state[slot] = proposal[0]
        after = join([longer, layout.state(state.ravel(), before, action, loss=False)])
        stop = float(model.stop_probability(_hidden(model, after))[0])
        found.append((action, state.ravel(), after, stop))
    return found


def _actions(
    model: GroundedModel, config: GenerationConfig, hidden: torch.Tensor, draws: np.ndarray
) -> list[np.ndarray]:
    if model.spaces.num_actions is None:
        uniforms = torch.from_numpy(draws.reshape(config.num_candidates, -1))
        rows = hidden.expand(config.num_candidates, -1)
        return list(model.next_action(rows, uniforms, config.action_temperature).numpy())
    log_p = model.action_head(hidden.float()).log_softmax(-1)[0].double().numpy()
    keys = log_p
    if config.action_temperature > 0:
        keys = log_p / config.action_temperature - np.log(-np.log(draws.clip(1e-12, 1 - 1e-12)))
    best = np.argsort(-keys, kind="stable")[: config.num_candidates]
    return list(np.resize(best, config.num_candidates))
