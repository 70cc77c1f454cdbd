"""Acts on a goal's tabular solution, and says of every action how it was decided.

Where the table does not help the action is uniformly random, drawn from the episode's own stream:
what an episode does depends on no other episode in the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from offline_rl.empirical import EmpiricalModel
from offline_rl.tabular import NO_PATH, Solution


class Reason(IntEnum):
    """How an action was decided; all but `GREEDY` are drawn at random."""

    GREEDY = 0
    UNSEEN = 1  # the data never shows this state
    NO_PATH = 2  # the data shows no way from this state to the goal
    FORBIDDEN = 3  # the greedy action is not valid here


@dataclass(frozen=True)
class Decisions:
    """Actions of a batch of states."""

    actions: np.ndarray  # (B,) int64
    reasons: np.ndarray  # (B,) int8, values of `Reason`

    @property
    def unseen(self) -> np.ndarray:
        """Which actions (B,) bool were taken in states that the data never shows."""
        return np.asarray(self.reasons == Reason.UNSEEN)

    def counts(self) -> dict[str, int]:
        """Number of actions by the reason's name in small letters."""
        numbers = np.bincount(self.reasons, minlength=len(Reason)).tolist()
        return {reason.name.lower(): numbers[reason] for reason in Reason}


class TabularPolicy:
    """Greedy in states with a known way to the goal, random elsewhere.

    Source: TEDUO's public review thread (random in unseen states).
    """

    def __init__(self, model: EmpiricalModel, solution: Solution) -> None:
        if len(solution.actions) != len(model.states):
            raise ValueError(
                f"Expected a solution over {len(model.states)} states, got one over "
                f"{len(solution.actions)}. Solve the goal on this model."
            )
        self._model, self._solution = model, solution

    def act(
        self,
        states: np.ndarray,
        streams: Sequence[np.random.Generator],
        valid: np.ndarray | None = None,
    ) -> Decisions:
        """One action per state.

        Args:
            states: (B, D) uint8.
            streams: one per state, used only where the action is random.
            valid: (B, A) bool, actions that may be taken; by default all.

        Raises:
            ValueError: the mask has another shape, or allows nothing in some state.
        """
        allowed = self._allowed(len(states), valid)
        ids = self._model.ids(states)
        actions = self._solution.actions[ids].astype(np.int64)  # where unseen replaced below
        reasons = np.full(len(states), Reason.GREEDY, np.int8)
        reasons[~allowed[np.arange(len(states)), actions]] = Reason.FORBIDDEN
        reasons[actions == NO_PATH] = Reason.NO_PATH
        reasons[ids < 0] = Reason.UNSEEN
        for row in np.flatnonzero(reasons != Reason.GREEDY).tolist():
            actions[row] = streams[row].choice(np.flatnonzero(allowed[row]))
        return Decisions(actions, reasons)

    def _allowed(self, count: int, valid: np.ndarray | None) -> np.ndarray:
        shape = (count, self._model.num_actions)
        if valid is None:
            return np.ones(shape, np.bool_)
        if valid.shape != shape:
            raise ValueError(f"Expected a mask of valid actions {shape}, got {valid.shape}.")
        if not valid.any(axis=1).all():
            raise ValueError("Expected a valid action in every state, got none in some. Allow one.")
        return valid
