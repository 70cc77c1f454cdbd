"""What the engine asks of an environment whose states and actions have a text form.

Unlike `envs.world.World` it needs no vectors: a state is whatever the environment likes, as long as
stepping from it is a pure function and it can be told in words.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from envs.world import Goal

StateT = TypeVar("StateT")


class TextWorld(Protocol[StateT]):
    """An environment that a language model can play."""

    name: str
    version: str  # what a data card records
    horizon_steps: int  # an episode is cut after this many steps
    splits: tuple[str, ...]  # the first is the training split, the others are novel

    def goals(self, split: str) -> Sequence[Goal]:
        """All goals of a split, in a fixed order."""
        ...

    def reset(self, goal: Goal, seed: int) -> StateT:
        """A start state for the goal, which does not hold there; the same seed, the same start."""
        ...

    def actions(self, state: StateT) -> Sequence[str]:
        """The actions, in words, that change the state."""
        ...

    def step(self, state: StateT, action: str) -> StateT:
        """The next state; an action that is not valid leaves the state as it is."""
        ...

    def outcome(self, goal: Goal, before: StateT, action: str, after: StateT) -> float | None:
        """The score in 0..1 where this step ends the episode, or None where it goes on."""
        ...

    def text(self, state: StateT) -> str:
        """The state in words."""
        ...
