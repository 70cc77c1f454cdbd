"""The generation engine: many imagined rollouts at once over a slot cache.

Each slot holds `num_candidates` rows with one common past. A step draws as many actions, imagines
where each leads, and goes on with the candidate that the director likes best. Every draw comes from
the rollout's own random stream, so a rollout depends on its request alone, not on the batch.

Source: KALM section 4.3 (one deterministic candidate, no cache); candidates, slots and the hooks
that keep states plausible while decoding are ours.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.settings import Count, NotNegative, Settings
from kalm.decoding import SlotDecoder, blank, goal_tokens
from kalm.language_model import Tensors
from kalm.layout import Kind, Packed, join
from kalm.model import GroundedModel


@dataclass
class Request:
    """A rollout to imagine, and what has been imagined of it."""

    index: int  # the caller's number
    goal: str  # the goal whose words stand in the prompt; a director may change it on the way
    start: np.ndarray  # (D,) float32
    seed: tuple[int, ...]  # key of the random stream
    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    finished: bool = False  # ended by the director, not by the step limit
    projected: int = 0  # entities that the plausibility hook moved


class Director(Protocol):
    """Judges imagined steps; the engine knows nothing else of goals."""

    def score(
        self,
        requests: list[Request],
        before: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """How good each candidate is (M,); rows are requests with repeats, states (M, D)."""
        ...

    def decide(self, request: Request, stop: float) -> str | None:
        """After a step: None to go on, `FINISHED`, or the words of the next goal to pursue."""
        ...


Project = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
FINISHED = ""
PROMPT_TOKENS = 128  # room for the words of a prompt


@dataclass(frozen=True)
class GenerationConfig(Settings):
    """How rollouts are drawn."""

    num_slots: Count = 64  # rollouts imagined together
    num_candidates: Count = 1  # actions tried per step, the best is kept
    action_temperature: NotNegative = 1.0  # 0 takes the likeliest actions
    state_temperature: NotNegative = 0.0  # 0 takes the expected next state
    max_steps: Count = 50  # a rollout is cut after this many steps
    max_context_steps: Count = 16  # the prompt is written anew after this many steps


class GenerationEngine:
    """Imagines rollouts for requests, refilling slots as they end."""

    def __init__(
        self,
        model: GroundedModel,
        director: Director,
        config: GenerationConfig,
        *,
        project: Project | None = None,
        prompt_tokens: int = PROMPT_TOKENS,
    ) -> None:
        """Args:
        project: plausibility hook: (slot, proposal (M, E), placed (M, P, E)) -> (M, E).
        prompt_tokens: room for the words of a prompt; longer goals are refused.
        """
        self.model, self.director, self.config, self.project = model, director, config, project
        self.width = model.layout.num_slots + 1
        self.prompt_tokens = prompt_tokens
        capacity = prompt_tokens + self.width * (config.max_context_steps + 1)
        self.num_rows = config.num_slots * config.num_candidates
        self.decoder = SlotDecoder(model, self.num_rows, capacity)
        self.num_choices = model.spaces.num_actions

    def imagine(self, requests: Iterable[Request]) -> Iterator[Request]:
        """The same requests with their rollouts, in the order in which they end."""
        waiting = iter(requests)
        slots: list[Request | None] = [None] * self.config.num_slots
        self._streams: dict[int, np.random.Generator] = {}
        self._hidden = torch.zeros(
            self.num_rows,
            self.model.backbone.config.hidden_size,
            device=self.decoder.device,
            dtype=self.model.dtype,
        )
        self._context = np.zeros(self.config.num_slots, int)
        while True:
            self._refill(slots, waiting)
            if not any(slots):
                return
            self._step(slots)
            for slot, request in enumerate(slots):
                if request is not None and self._ended(request):
                    slots[slot] = None
                    first = slot * self.config.num_candidates
                    self.decoder.lengths[first : first + self.config.num_candidates] = 0
                    yield request

    def _ended(self, request: Request) -> bool:
        return request.finished or len(request.actions) >= self.config.max_steps

    def _refill(self, slots: list[Request | None], waiting: Iterator[Request]) -> None:
        fresh: list[int] = []
        for slot, request in enumerate(slots):
            if request is None:
                request = next(waiting, None)
                if request is None:
                    continue
                request.observations.append(request.start.astype(np.float32))
                self._streams[slot] = np.random.default_rng(request.seed)
                slots[slot] = request
                fresh.append(slot)
            elif self._context[slot] < 0 or self._context[slot] >= self.config.max_context_steps:
                fresh.append(slot)
        if fresh:
            self._write_prompts(fresh, [slots[slot] for slot in fresh])  # type: ignore[misc]

    @torch.inference_mode()
    def _write_prompts(self, fresh: list[int], requests: list[Request]) -> None:
        """Starts the rows of `fresh` slots from their prompts and current states."""
        sequences: list[Packed] = []
        rows: list[int] = []
        for slot, request in zip(fresh, requests, strict=True):
            ids = goal_tokens(self.model, request.goal, self.prompt_tokens)
            layout = self.model.layout
            state = layout.state(request.observations[-1], loss=False)
            for row in range(self.config.num_candidates):
                rows.append(slot * self.config.num_candidates + row)
                sequences.append(join([layout.text(ids), state]))
            self._context[slot] = 0
        self._hidden[rows] = self.decoder.fill(rows, sequences).to(self._hidden.dtype)

    # ------------------------------------------------------------------ one step

    @torch.inference_mode()
    def _step(self, slots: list[Request | None]) -> None:
        """Imagines one step in every slot; empty slots go along and are ignored."""
        count = self.config.num_candidates
        active = [slot for slot, request in enumerate(slots) if request is not None]
        before = np.zeros((self.config.num_slots, self.model.spaces.observation_dim), np.float32)
        for slot in active:
            before[slot] = slots[slot].observations[-1]  # type: ignore[union-attr]
        action_draws, state_draws = self._draws(active)
        actions = self._choose_actions(action_draws)
        states, moved = self._next_states(np.repeat(before, count, axis=0), actions, state_draws)
        stop = self.model.stop_probability(self._hidden).cpu().numpy()
        best = self._choose_candidates(slots, active, before, actions, states, stop)
        self._share(best)
        for slot in active:
            row = best[slot]
            request = slots[slot]
            assert request is not None
            request.actions.append(self._as_action(actions[row]))
            request.observations.append(states[row])
            request.projected += int(moved[row])
            self._context[slot] += 1
            self._decide(slot, request, float(stop[row]))

    def _decide(self, slot: int, request: Request, stop: float) -> None:
        verdict = self.director.decide(request, stop)
        if verdict == FINISHED:
            request.finished = True
        elif verdict is not None and verdict != request.goal:
            request.goal = verdict
            self._context[slot] = -1

    def _as_action(self, action: np.ndarray) -> np.ndarray:
        return action[0].astype(np.int64) if self.num_choices else action

    def _draws(self, active: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Uniform numbers for actions (R, C or A) and states (R, D) from the slots' streams."""
        config, spaces = self.config, self.model.spaces
        width = self.num_choices or config.num_candidates * self.model.layout.action_width
        actions = np.full((config.num_slots, width), 0.5)
        states = np.full((config.num_slots, config.num_candidates * spaces.observation_dim), 0.5)
        for slot in active:
            draws = self._streams[slot].random(actions.shape[1] + states.shape[1])
            actions[slot], states[slot] = draws[:width], draws[width:]
        return actions, states.reshape(self.num_rows, spaces.observation_dim)

    def _choose_actions(self, draws: np.ndarray) -> np.ndarray:
        """Candidate actions (R, A): distinct ones, without replacement, where they are discrete.

        Source: Gumbel-top-k sampling (arXiv 1903.06059).
        """
        count, temperature = self.config.num_candidates, self.config.action_temperature
        if not self.num_choices:
            uniforms = torch.as_tensor(draws.reshape(self.num_rows, -1), device=self.decoder.device)
            chosen = self.model.next_action(self._hidden, uniforms, temperature)
            return chosen.cpu().numpy().astype(np.float32)
        logits = self.model.action_head(self._hidden[::count].float())
        log_p = functional.log_softmax(logits, -1).cpu().numpy().astype(np.float64)
        noise = -np.log(-np.log(draws.clip(1e-12, 1 - 1e-12))) if temperature > 0 else 0.0
        keys = log_p / max(temperature, 1e-9) + noise if temperature > 0 else log_p
        order = np.argsort(-keys, axis=1, kind="stable")[:, : min(count, self.num_choices)]
        repeats = np.resize(np.arange(order.shape[1]), count)
        return order[:, repeats].reshape(self.num_rows, 1).astype(np.float32)

    def _next_states(
        self, before: np.ndarray, actions: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """States (R, D) after `actions` (R, A), and how many slots the hook moved (R,)."""
        layout = self.model.layout
        states = before.reshape(self.num_rows, layout.num_slots, layout.slot_dim).copy()
        uniforms = draws.reshape(self.num_rows, layout.num_slots, layout.slot_dim)
        moved = np.zeros(self.num_rows, int)
        action = self._tensor(actions)
        hint = self._tensor(before)
        hidden = self.decoder.extend(self._action_input(action, hint))[:, -1]
        for slot in range(layout.num_slots):
            uniform = torch.as_tensor(uniforms[:, slot], device=self.decoder.device)
            proposal = self.model.next_state(
                hidden, hint[:, : layout.slot_dim], uniform, self.config.state_temperature
            )
            value = proposal.float().cpu().numpy()
            if self.project is not None:
                plausible = self.project(slot, value, states[:, :slot]).astype(np.float32)
                moved += np.abs(plausible - value).max(-1) > 1e-6
                value = plausible
            states[:, slot] = value
            hint = self._tensor(np.roll(states, -slot - 1, axis=1).reshape(self.num_rows, -1))
            batch = self._state_input(slot, self._tensor(value), hint, action)
            hidden = self.decoder.extend(batch)[:, -1]
        self._hidden = hidden
        return states.reshape(self.num_rows, -1), moved

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.decoder.device)

    def _action_input(self, action: Tensor, hint: Tensor) -> Tensors:
        kind = torch.full((self.num_rows, 1), Kind.ACTION, device=self.decoder.device)
        return blank(
            self.model,
            self.num_rows,
            kind=kind,
            action=action[:, None],
            acted=torch.ones_like(kind, dtype=torch.bool),
            hint=hint[:, None],
        )

    def _state_input(self, slot: int, value: Tensor, hint: Tensor, action: Tensor) -> Tensors:
        shape = (self.num_rows, 1)
        device = self.decoder.device
        return blank(
            self.model,
            self.num_rows,
            kind=torch.full(shape, Kind.STATE, device=device),
            slot=torch.full(shape, slot, device=device),
            value=value[:, None],
            hint=hint[:, None],
            action=action[:, None],
            acted=torch.ones(shape, dtype=torch.bool, device=device),
        )

    def _choose_candidates(
        self,
        slots: list[Request | None],
        active: list[int],
        before: np.ndarray,
        actions: np.ndarray,
        states: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """The best row (num_slots,) of every slot; the first one wins a tie."""
        count = self.config.num_candidates
        best = np.arange(self.config.num_slots) * count
        if count == 1 or not active:
            return best
        rows = (best[active][:, None] + np.arange(count)).ravel()
        requests = [slots[slot] for slot in active for _ in range(count)]
        taken = actions[rows, 0].astype(np.int64) if self.num_choices else actions[rows]
        scores = self.director.score(
            requests,  # type: ignore[arg-type]
            np.repeat(before[active], count, axis=0),
            taken,
            states[rows],
            stop[rows],
        )
        best[active] += scores.reshape(len(active), count).argmax(1)
        return best

    def _share(self, best: np.ndarray) -> None:
        """Gives the chosen candidate's past to every row of its slot."""
        count = self.config.num_candidates
        if count == 1:
            return
        source = torch.from_numpy(np.repeat(best, count)).to(self.decoder.device)
        target = torch.arange(self.num_rows, device=self.decoder.device)
        differs = source != target
        self.decoder.share(source[differs], target[differs], self.width)
        self._hidden = self._hidden[source]
