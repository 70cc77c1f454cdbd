"""The grounded model as a policy in the real environment: it reads states and writes actions.

Source: the "LLM as policy" baseline of KALM, section 4.2.
"""

from collections.abc import Sequence

import numpy as np
import torch

from envs.world import Task
from kalm.decoding import SlotDecoder, goal_tokens
from kalm.layout import Layout, Packed, join
from kalm.model import GroundedModel


class LanguageModelPolicy:
    """Acts in many slots over one cache; an `envs.world.Policy`."""

    def __init__(
        self,
        model: GroundedModel,
        num_slots: int,
        *,
        temperature: float = 0.0,
        max_context_steps: int = 12,
        prompt_tokens: int = 128,
    ) -> None:
        """Args:
        temperature: of the actions; 0 takes the likeliest.
        max_context_steps: the prompt is written anew after this many steps, as in training.
        prompt_tokens: room for the words of a prompt; longer goals are refused.
        """
        self.model, self.temperature = model, temperature
        self.max_context_steps, self.prompt_tokens = max_context_steps, prompt_tokens
        width = model.layout.num_slots + 1
        self.decoder = SlotDecoder(model, num_slots, prompt_tokens + width * max_context_steps * 2)
        self._goals: dict[int, str] = {}
        self._streams: dict[int, np.random.Generator] = {}
        self._last: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # state and action before
        self._context: dict[int, int] = {}

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots`."""
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self._goals[slot] = task.goal.text
            self._streams[slot] = np.random.default_rng(task.seed)
            self._last.pop(slot, None)
            self._context[slot] = 0

    @torch.inference_mode()
    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions (K,) or (K, A) for `observations` (K, D) of `slots` (K,)."""
        layout = self.model.layout
        fresh: list[int] = []
        going: list[int] = []
        for place, slot in enumerate(slots.tolist()):
            begins = slot not in self._last or self._context[slot] >= self.max_context_steps
            (fresh if begins else going).append(place)
        hidden = torch.zeros(len(slots), self.model.backbone.config.hidden_size)
        hidden = hidden.to(self.decoder.device)
        for places, pieces in (
            (fresh, [self._prompt(int(slots[p]), observations[p]) for p in fresh]),
            (going, [self._step(layout, int(slots[p]), observations[p]) for p in going]),
        ):
            if places:
                rows = slots[places]
                hidden[places] = self._feed(rows, pieces, anew=places is fresh).float()
        actions = self._draw(slots, hidden)
        for place, slot in enumerate(slots.tolist()):
            self._last[slot] = (observations[place], actions[place])
            self._context[slot] += 1
        return actions

    def _prompt(self, slot: int, observation: np.ndarray) -> Packed:
        self._context[slot] = 0
        layout = self.model.layout
        ids = goal_tokens(self.model, self._goals[slot], self.prompt_tokens)
        return join([layout.text(ids), layout.state(observation, loss=False)])

    def _step(self, layout: Layout, slot: int, observation: np.ndarray) -> Packed:
        before, action = self._last[slot]
        return join(
            [
                layout.act(action, before, loss=False),
                layout.state(observation, before, action, loss=False),
            ]
        )

    def _feed(self, rows: np.ndarray, pieces: list[Packed], *, anew: bool) -> torch.Tensor:
        if anew:
            return self.decoder.fill(rows, pieces)
        return self.decoder.append(rows, pieces)

    def _draw(self, slots: np.ndarray, hidden: torch.Tensor) -> np.ndarray:
        width = self.model.layout.action_width
        uniforms = np.stack([self._streams[slot].random(width) for slot in slots.tolist()])
        chosen = (
            self.model.next_action(
                hidden, torch.from_numpy(uniforms).to(hidden.device), self.temperature
            )
            .cpu()
            .numpy()
        )
        return chosen[:, 0].astype(np.int64) if self.model.spaces.num_actions else chosen
