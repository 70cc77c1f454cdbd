"""What the engine asks of an environment: spaces, goals, a batched simulator, predicates, hooks.

A *world* describes an environment; a *simulator* runs many copies of it at once. Everything
after `envs/` is written against these protocols: a new environment is one file and one line.
All arrays have the batch first: B rows, D observation numbers, G goal numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Goal:
    """A goal as data: its words, and the numbers that its predicate reads."""

    text: str  # the instruction, in words
    level: str  # one of the world's levels
    kind: str  # what kind of goal within the level, such as "pair" or "gather"
    spec: tuple[int, ...]  # (G,) the predicate's numbers, padded to one length per world


@dataclass(frozen=True)
class Spaces:
    """Shapes of a world: an observation is `num_entities` blocks of `entity_dim` numbers."""

    num_entities: int  # 1 where the observation has no entities
    entity_dim: int  # numbers per entity; observation_dim = num_entities * entity_dim
    num_actions: int | None = None  # discrete actions, or None
    action_dim: int | None = None  # continuous actions in [-1, 1], or None

    def __post_init__(self) -> None:
        if (self.num_actions is None) == (self.action_dim is None):
            raise ValueError("Expected exactly one of num_actions and action_dim.")

    @property
    def observation_dim(self) -> int:
        """Numbers in one observation, D."""
        return self.num_entities * self.entity_dim


@dataclass(frozen=True)
class Task:
    """An addressable episode to run: this goal, from this start, with this random stream."""

    goal: Goal
    start: np.ndarray  # (D,) float32, a state at rest
    seed: int  # the policy's random stream for this episode


@dataclass(frozen=True)
class Scene:
    """How to draw a world from above, in world units."""

    bounds: tuple[float, float, float, float]  # left, right, bottom, top of the picture
    walls: tuple[float, float, float, float]  # left, right, bottom, top of the walls
    radius: float  # of every entity
    names: tuple[str, ...]  # of the entities, in order
    colors: tuple[str, ...]  # CSS colours of the entities, in order


class Simulator(Protocol):
    """`num_slots` environments that step together."""

    num_slots: int

    def reset(self, slots: np.ndarray, starts: np.ndarray) -> None:
        """Puts `slots` (K,) int at rest in `starts` (K, D)."""
        ...

    def step(self, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Applies `actions` (K,) or (K, A) in `slots` (K,); observations (K, D) float32."""
        ...

    def save(self, slots: np.ndarray) -> np.ndarray:
        """Full physics states (K, S) float64 of `slots`, momentum included."""
        ...

    def load(self, slots: np.ndarray, states: np.ndarray) -> None:
        """Restores states (K, S) that `save` gave."""
        ...


class Policy(Protocol):
    """Anything that acts in many slots at once; scripted, trained or a language model."""

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots` (K,); memory of earlier ones in these slots is dropped."""
        ...

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions (K,) int64 or (K, A) float32 for `observations` (K, D) of `slots` (K,)."""
        ...


class World(Protocol):
    """An environment as the engine sees it."""

    name: str  # key in envs.WORLDS
    version: str  # what a data card records: physics and reward variant
    spaces: Spaces
    horizon_steps: int  # an episode is cut after this many steps
    levels: tuple[str, ...]  # the first is the training level, the others are novel

    def goals(self, level: str) -> Sequence[Goal]:
        """All goals of a level, in a fixed order."""
        ...

    def unseen_goals(self, count: int, seed: int) -> Sequence[Goal]:
        """Novel goals whose sentences and combinations are disjoint from every level's."""
        ...

    def draw_starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Fresh start states (count, D) float32 from the reset distribution."""
        ...

    def simulator(self, num_slots: int, num_threads: int = 1) -> Simulator:
        """A batched simulator."""
        ...

    def success(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Whether each step (B,) reaches its goal: specs (B, G), states (B, D), bool (B,)."""
        ...

    def ends(self, specs: np.ndarray, success: np.ndarray) -> np.ndarray:
        """Whether the task ends each episode at this step (B,) bool; one-step goals always end."""
        ...

    def reward(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """The named reward of each step (B,) float32, success bonus included."""
        ...

    def potential(self, specs: np.ndarray, states: np.ndarray) -> np.ndarray:
        """How near states (B, D) are to their goals (B,) float32; larger is nearer."""
        ...

    def violations(self, states: np.ndarray) -> dict[str, np.ndarray]:
        """Named physical checks on states (B, D); True (B,) where a state breaks the check."""
        ...

    def project_entity(self, entity: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Nearest plausible value (B, E) for `entity`, given entities decoded before (B, P, E)."""
        ...

    def behaviour_policy(self) -> Policy:
        """The noisy scripted policy that collects real data."""
        ...

    def expert_policy(self, num_slots: int, num_threads: int = 1) -> Policy:
        """The best scripted policy, which may look ahead in a simulator of its own."""
        ...

    def knowledge(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Text-only question and answer pairs about the world's language; no states, no actions."""
        ...

    def scene(self) -> Scene:
        """What a report needs to draw states from above."""
        ...

    def positions(self, observations: np.ndarray) -> np.ndarray:
        """Entity centres (B, N, 2) of states (B, D), for drawing."""
        ...

    def strokes(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """One line segment (B, 4) x0, y0, x1, y1 a step that shows what the action does."""
        ...
