"""Interleaving words, states and actions into one sequence: the layout of training and generation.

Position i holds one input; the model's output at position i predicts position i + 1. A state takes
one position per slot (an entity, or the whole state as in the paper), an action takes one. Every
position of a rollout also carries a *hint*: the latest known state, with the previous value of the
slot that comes next in front, so that the state head predicts a change and need not search for what
changes. First states are given and never predicted, as nothing foretells them (the paper does).

Source: KALM section 4.1 (prompt, s0, a0, s1, a1, ...); slots and hints are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """What a position holds."""

    TEXT = 0
    STATE = 1
    ACTION = 2


CONTINUE, STOP, UNKNOWN = 0, 1, -1


@dataclass(frozen=True)
class Packed:
    """One sequence of L positions; S slots a state, E numbers a slot, A numbers an action."""

    kind: np.ndarray  # (L,) int64, a Kind
    token: np.ndarray  # (L,) int64, the word's id at TEXT, else 0
    slot: np.ndarray  # (L,) int64, the slot's index at STATE, else 0
    value: np.ndarray  # (L, E) float32, the slot's numbers at STATE, else 0
    hint: np.ndarray  # (L, S * E) float32, latest known state, the slot that comes next first
    action: np.ndarray  # (L, A) float32, the action at ACTION and of the states it leads to
    acted: np.ndarray  # (L,) bool, whether `action` holds one
    loss: np.ndarray  # (L,) bool, whether this position is to be predicted
    stop: np.ndarray  # (L,) int64, after this position: CONTINUE, STOP or UNKNOWN
    held: (
        np.ndarray
    )  # (L, G) int8, training goals that hold in the state that ends here, or UNKNOWN

    def __len__(self) -> int:
        """Number of positions L."""
        return len(self.kind)


@dataclass(frozen=True)
class Layout:
    """Shapes of a world's sequences."""

    num_slots: int  # positions per state, S
    slot_dim: int  # numbers per slot, E
    action_width: int  # numbers per action, A; 1 for discrete actions
    num_goals: int = 0  # training goals that the model recognises in states, G

    def text(self, tokens: Sequence[int] | np.ndarray, *, loss: bool = False) -> Packed:
        """A run of words."""
        length = len(tokens)
        return self._blank(
            length,
            kind=np.full(length, Kind.TEXT),
            token=np.asarray(tokens, np.int64),
            loss=np.full(length, loss),
        )

    def state(
        self,
        state: np.ndarray,
        previous: np.ndarray | None = None,
        action: np.ndarray | None = None,
        *,
        loss: bool,
    ) -> Packed:
        """One state (S * E,), given the state before it and the action (A,) that led to it.

        A state with none before it is given, not foretold: it is known all at once.
        """
        slots = self.num_slots
        values = state.reshape(slots, self.slot_dim).astype(np.float32)
        before = values if previous is None else previous.reshape(values.shape).astype(np.float32)
        given: dict[str, np.ndarray] = {}
        if action is not None:
            wide = np.asarray(action, np.float32).reshape(1, self.action_width)
            given = {"action": np.repeat(wide, slots, axis=0), "acted": np.ones(slots, bool)}
        return self._blank(
            slots,
            kind=np.full(slots, Kind.STATE),
            slot=np.arange(slots),
            value=values,
            hint=self.hints(values[None], before[None])[0],
            loss=np.full(slots, loss),
            **given,
        )

    def act(self, action: np.ndarray, state: np.ndarray, *, loss: bool) -> Packed:
        """One action (A,) or a number, taken in `state` (S * E,)."""
        return self._blank(
            1,
            kind=np.full(1, Kind.ACTION),
            hint=state.reshape(1, -1).astype(np.float32),
            action=np.asarray(action, np.float32).reshape(1, self.action_width),
            acted=np.ones(1, bool),
            loss=np.full(1, loss),
        )

    def hints(self, states: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """What is known after each slot (N, S, S * E) of `states` (N, S, E), next slot first."""
        slots = self.num_slots
        place = np.arange(slots)
        known = np.where(
            (place[None, :] <= place[:, None])[None, :, :, None], states[:, None], previous[:, None]
        )
        rolled = (place[:, None] + 1 + place[None, :]) % slots
        turned: np.ndarray = known[:, place[:, None], rolled]
        return turned.reshape(len(states), slots, -1)

    def rollout(
        self,
        observations: np.ndarray,
        actions: np.ndarray,
        *,
        ended: bool,
        loss: bool,
        held: np.ndarray | None = None,
    ) -> Packed:
        """States (T + 1, D) and actions (T,) or (T, A) in turn.

        Args:
            ended: whether the goal is reached at the end.
            loss: whether actions and the states that they lead to are to be predicted; nothing
                foretells the first state.
            held: (T + 1, G) bool, which training goals hold in every state, where that is to be
                recognised.
        """
        steps, slots = len(actions), self.num_slots
        states = observations.reshape(steps + 1, slots, self.slot_dim).astype(np.float32)
        before = np.concatenate([states[:1], states[:-1]])
        # T + 1 turns: an action, then the state that it leads to; nothing led to the first one.
        packed = self._blank((steps + 1) * (1 + slots))
        turns = {
            name: field.reshape(steps + 1, 1 + slots, *field.shape[1:])
            for name, field in vars(packed).items()
        }
        turns["kind"][:] = [Kind.ACTION] + [Kind.STATE] * slots
        turns["slot"][:, 1:] = np.arange(slots)
        turns["value"][:, 1:] = states
        turns["hint"][:, 0] = before.reshape(steps + 1, -1)
        turns["hint"][:, 1:] = self.hints(states, before)
        turns["action"][1:] = np.asarray(actions, np.float32).reshape(steps, 1, self.action_width)
        turns["acted"][1:] = True
        turns["loss"][1:] = loss
        if held is not None:
            turns["held"][:, -1] = held
        if loss:
            turns["stop"][:, -1] = CONTINUE
            turns["stop"][-1, -1] = STOP if ended else CONTINUE
        return Packed(**{name: field[1:] for name, field in vars(packed).items()})

    def _blank(self, length: int, **given: np.ndarray) -> Packed:
        arrays: dict[str, np.ndarray] = {
            "kind": np.zeros(length, np.int64),
            "token": np.zeros(length, np.int64),
            "slot": np.zeros(length, np.int64),
            "value": np.zeros((length, self.slot_dim), np.float32),
            "hint": np.zeros((length, self.num_slots * self.slot_dim), np.float32),
            "action": np.zeros((length, self.action_width), np.float32),
            "acted": np.zeros(length, bool),
            "loss": np.zeros(length, bool),
            "stop": np.full(length, UNKNOWN, np.int64),
            "held": np.full((length, self.num_goals), UNKNOWN, np.int8),
        }
        return Packed(**(arrays | given))


def join(parts: Sequence[Packed]) -> Packed:
    """One sequence of all parts, in order."""
    return Packed(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Packed.__dataclass_fields__
        }
    )


def take(packed: Packed, places: np.ndarray) -> Packed:
    """The positions `places` (M,) of a sequence."""
    return Packed(**{n: getattr(packed, n)[places] for n in Packed.__dataclass_fields__})


def collate(sequences: Sequence[Packed]) -> Packed:
    """Right-padded arrays (B, L, ...) of all sequences; padding is TEXT 0 without loss."""
    length = max(len(sequence) for sequence in sequences)
    arrays = {}
    for name in Packed.__dataclass_fields__:
        rows = [getattr(sequence, name) for sequence in sequences]
        fill = UNKNOWN if name in ("stop", "held") else 0
        out = np.full((len(rows), length, *rows[0].shape[1:]), fill, rows[0].dtype)
        for row, values in zip(out, rows, strict=True):
            row[: len(values)] = values
        arrays[name] = out
    return Packed(**arrays)
