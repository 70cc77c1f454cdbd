"""BabyAI as the rest of the engine sees it: grids, goals by split, starts, steps, truth, experts.

A world has one grid size and a set of layouts; training and test grids are two worlds with other
layout seeds. It plays one state at a time as a `TextWorld`, and whole batches by the methods that
take `states`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.babyai import simulator, verifiers
from envs.babyai.collection import expert_actions
from envs.babyai.drawing import GridDrawing, draw_grid
from envs.babyai.goals import (
    Spec,
    all_specs,
    layout_specs,
    specs_array,
    tile_spec,
)
from envs.babyai.layouts import SIZES, Layout, make_layout
from envs.babyai.partial_text import partial_text
from envs.babyai.raw_text import raw_text
from envs.babyai.simulator import ACTION_NAMES, NUM_ACTIONS
from envs.babyai.splits import SPLITS, SplitDesign, split_goals
from envs.babyai.wordings import NUM_WORDINGS
from envs.text_world import TextWorld
from envs.world import Goal

NUM_TRAIN_LAYOUTS = 40  # grids to train on, as in the paper
MAX_START_DRAWS = 1000  # until a start is found where the goal does not hold


@dataclass(frozen=True)
class GridTask:
    """An episode to play: this goal, in this layout, from this start."""

    goal: Goal
    layout_seed: int
    start: np.ndarray  # (D,) uint8


class BabyAiWorld:
    """Grids of one size, and goals in words."""

    version = "1"
    splits: tuple[str, ...] = SPLITS

    def __init__(
        self,
        size: str = "synth",
        layout_seeds: Sequence[int] = range(NUM_TRAIN_LAYOUTS),
        locked: bool = False,
        design: SplitDesign | None = None,
    ) -> None:
        """A world of those layouts; `locked` adds a locked room to each, `design` says what
        training never sees.

        Raises:
            ValueError: no size has this name, or it has no doors to lock, or there is no layout.
        """
        if not layout_seeds:
            raise ValueError("Expected at least one layout seed, got none. Add to layout_seeds.")
        self.layout_seeds = tuple(layout_seeds)
        self.locked = locked
        self.shape = make_layout(size, self.layout_seeds[0], locked).shape
        self.size = size
        self.name = f"babyai_{size}{'_locked' if locked else ''}"
        self.horizon_steps = SIZES[size].horizon_steps
        self.design = design or SplitDesign()

    def layout(self, layout_seed: int) -> Layout:
        """The layout of that seed, one of this world's or any other."""
        return make_layout(self.size, layout_seed, self.locked)

    def goals(self, split: str) -> list[Goal]:
        """All goals of a split that some layout allows, each in all its wordings.

        Raises:
            ValueError: no split has this name.
        """
        return split_goals(self._specs, split, self.design)

    def layout_goals(
        self, layout_seed: int, split: str, num_wordings: int = NUM_WORDINGS
    ) -> list[Goal]:
        """The goals of a split that one layout allows.

        Raises:
            ValueError: no split has this name.
        """
        specs = layout_specs(self.layout(layout_seed))
        return split_goals(specs, split, self.design, num_wordings)

    def starts(self, layout_seed: int, start_seeds: Sequence[int]) -> np.ndarray:
        """Start states (B, D) uint8 of a layout, one for each seed."""
        layout = self.layout(layout_seed)
        drawn = [layout.draw_starts(1, np.random.default_rng(seed)) for seed in start_seeds]
        return np.concatenate(drawn)

    def tasks(self, split: str, count: int, seed: int) -> list[GridTask]:
        """`count` episodes: a kind, a goal of it in one of its wordings, a layout, a start.

        Each is drawn uniformly, and no goal holds at its start. Task i depends on (seed, i) alone.

        Raises:
            ValueError: no split has this name, or it has no goals here.
        """
        by_kind: dict[str, list[Goal]] = {}
        for goal in self.goals(split):
            by_kind.setdefault(goal.kind, []).append(goal)
        if not by_kind:
            raise ValueError(
                f"Expected goals in the split `{split}` of {self.name}, found none. "
                "Choose another split, more layout seeds or another design."
            )
        groups = list(by_kind.values())
        return [self._task(groups, seed, index) for index in range(count)]

    def reset(self, goal: Goal, seed: int) -> np.ndarray:
        """A start (D,) uint8 where the goal does not hold, in a layout that allows it.

        Raises:
            ValueError: no layout of this world allows the goal.
        """
        return self._start(goal, np.random.default_rng(seed))[1]

    def actions(self, state: np.ndarray) -> list[str]:
        """Names of the actions that change the state (D,) uint8."""
        valid = self.valid_actions(state[None])[0]
        return [name for name, allowed in zip(ACTION_NAMES, valid, strict=True) if allowed]

    def step(self, state: np.ndarray, action: str) -> np.ndarray:
        """The next state (D,) uint8.

        Raises:
            ValueError: no action has this name.
        """
        after: np.ndarray = self.step_states(state[None], np.array([_action_index(action)]))[0]
        return after

    def outcome(
        self, goal: Goal, before: np.ndarray, action: str, after: np.ndarray
    ) -> float | None:
        """1 where the step reaches the goal and ends the episode, else None."""
        acted = np.array([_action_index(action)])
        reached = self.success(specs_array([goal.spec]), before[None], acted, after[None])[0]
        return 1.0 if reached else None

    def text(self, state: np.ndarray) -> str:
        """The whole state (D,) uint8 in words."""
        return raw_text(state, self.shape)

    def partial_text(self, state: np.ndarray) -> str:
        """What the agent sees in the state (D,) uint8, in words."""
        return partial_text(state, self.shape)

    def drawing(self, state: np.ndarray) -> GridDrawing:
        """What a report needs to draw the state (D,) uint8."""
        return draw_grid(state, self.shape)

    def step_states(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Next states (B, D) uint8 of states (B, D) and actions (B,) in 0..6."""
        return simulator.step(states, actions, self.shape)

    def valid_actions(self, states: np.ndarray) -> np.ndarray:
        """Which actions change each state (B, D), (B, 7) bool."""
        return simulator.valid_actions(states, self.shape)

    def random_actions(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Uniform actions (B,) int64 for states (B, D)."""
        return rng.integers(NUM_ACTIONS, size=len(states))

    def expert_actions(self, task: GridTask, expert: str = "bot") -> list[int]:
        """What the "bot" or the "planner" does for a task, until the goal or the horizon.

        Raises:
            ValueError: the bot cannot do such goals.
        """
        layout = self.layout(task.layout_seed)
        return expert_actions(layout, task.start, task.goal.spec, self.horizon_steps, expert)

    def success(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Whether each step (B,) reaches its goal (B, 5); for evaluation and audits only."""
        return verifiers.success(specs, before, actions, after, self.shape)

    @cached_property
    def _layouts_of(self) -> dict[Spec, list[int]]:
        """Layout seeds by the goals that they allow."""
        found: dict[Spec, list[int]] = {}
        for seed in self.layout_seeds:
            for spec in layout_specs(self.layout(seed)):
                found.setdefault(spec, []).append(seed)
        return found

    @cached_property
    def _specs(self) -> list[Spec]:
        """Goals that some layout allows, in a fixed order."""
        tiles = [
            tile_spec(x, y)
            for y in range(1, self.shape.height - 1)
            for x in range(1, self.shape.width - 1)
        ]
        return [spec for spec in all_specs() + tiles if spec in self._layouts_of]

    def _task(self, groups: Sequence[Sequence[Goal]], seed: int, index: int) -> GridTask:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        group = groups[int(rng.integers(len(groups)))]
        goal = group[int(rng.integers(len(group)))]
        return GridTask(goal, *self._start(goal, rng))

    def _start(self, goal: Goal, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """A layout seed and a start (D,) uint8 there."""
        seeds = self._layouts_of.get(goal.spec)
        if not seeds:
            raise ValueError(
                f"Expected a goal that some layout of {self.name} allows, got `{goal.text}`. "
                "Choose one of `goals`, or more layout seeds."
            )
        specs = specs_array([goal.spec])
        for _ in range(MAX_START_DRAWS):
            seed = seeds[int(rng.integers(len(seeds)))]
            start = self.layout(seed).draw_starts(1, rng)
            if not verifiers.already(specs, start, self.shape)[0]:
                return seed, start[0]
        raise ValueError(f"Expected a start where `{goal.text}` does not hold, found none.")


def babyai_world(size: str) -> TextWorld[np.ndarray]:
    """The training world of that size."""
    return BabyAiWorld(size)


def _action_index(name: str) -> int:
    if name not in ACTION_NAMES:
        raise ValueError(f"Unknown action `{name}`. Choose one of {', '.join(ACTION_NAMES)}.")
    return ACTION_NAMES.index(name)
