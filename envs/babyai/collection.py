"""Collecting unlabelled transitions: random and goal-oriented play in any mixture, then shuffled.

The rows say nothing of goals, rewards or episodes. Row order and content are a function of the
arguments alone.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs.babyai.bot import bot_actions, bot_can_do
from envs.babyai.goals import Spec, layout_specs
from envs.babyai.layouts import SIZES, Layout, make_layout
from envs.babyai.planner import plan
from envs.babyai.simulator import NUM_ACTIONS, step
from envs.babyai.splits import SplitDesign
from envs.settings import Count, Settings, Share, Whole
from envs.transitions import Transitions

EXPERTS = ("bot", "planner")
MAX_SLOTS = 256  # random plays that step together

# States, actions, next states, and the number of the play that each row belongs to.
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class CollectionConfig(Settings):
    """What to collect, and by whom."""

    size: str  # key in SIZES
    layout_seeds: tuple[int, ...]
    count: Count  # rows
    expert_share: Share = 0.25  # of the rows; the others are uniformly random
    expert: str = "bot"  # of EXPERTS; the planner also goes to tiles
    locked: bool = False  # grids with a locked room
    design: SplitDesign | None = None  # experts pursue its training goals only; None: any goal
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size not in SIZES:
            raise ValueError(f"Unknown grid size `{self.size}`. Choose one of {', '.join(SIZES)}.")
        if not self.layout_seeds:
            raise ValueError("Expected at least one layout seed, got none. Add to layout_seeds.")
        if self.expert not in EXPERTS:
            raise ValueError(f"Unknown expert `{self.expert}`. Choose one of {', '.join(EXPERTS)}.")


def collect_transitions(
    config: CollectionConfig, on_progress: Callable[[int], None] | None = None
) -> Transitions:
    """`config.count` shuffled transitions.

    Args:
        on_progress: called with the number of rows collected so far.

    Raises:
        ValueError: no layout has a goal that the expert can pursue.
    """
    return collect_with_order(config, on_progress)[0]


def collect_with_order(
    config: CollectionConfig, on_progress: Callable[[int], None] | None = None
) -> tuple[Transitions, np.ndarray, np.ndarray]:
    """The rows of `collect_transitions`, and what they do not say: the play that each belongs to,
    and its turn among all rows, both (N,) int64.

    Args:
        on_progress: called with the number of rows collected so far.

    Raises:
        ValueError: no layout has a goal that the expert can pursue.
    """
    rng = np.random.default_rng(config.seed)
    places = rng.permutation(config.count)
    transitions, plays = _collect(config, rng, places, on_progress)
    return transitions, plays, np.argsort(places)


def _collect(
    config: CollectionConfig,
    rng: np.random.Generator,
    places: np.ndarray,
    on_progress: Callable[[int], None] | None,
) -> tuple[Transitions, np.ndarray]:
    """Row i of all play at `places[i]`, and the play (N,) of each row."""
    layouts = [make_layout(config.size, seed, config.locked) for seed in config.layout_seeds]
    num_expert = round(config.count * config.expert_share)
    states = np.empty((config.count, layouts[0].shape.state_size), np.uint8)
    next_states, actions = np.empty_like(states), np.empty(config.count, np.int8)
    plays = np.empty(config.count, np.int64)
    first = first_play = 0
    for source, end in (
        (_expert_rows(layouts, config, rng), num_expert),
        (_random_rows(layouts, config.count - num_expert, rng), config.count),
    ):
        while first < end:
            before, acted, after, play = next(source)
            to = places[first : min(first + len(acted), end)]
            states[to], actions[to], next_states[to] = (
                rows[: len(to)] for rows in (before, acted, after)
            )
            plays[to] = first_play + play[: len(to)]
            first += len(to)
            if on_progress:
                on_progress(first)
        first_play = int(plays[places[:first]].max(initial=-1)) + 1
    return Transitions(states, actions, next_states), plays


def _random_rows(layouts: Sequence[Layout], count: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Uniform play from random starts, each cut at the horizon, without end."""
    horizon = SIZES[layouts[0].size].horizon_steps
    num_slots = int(np.clip(count // horizon, 16, MAX_SLOTS))
    for turn in itertools.count():
        plays = turn * num_slots + np.arange(num_slots)
        chosen = rng.integers(len(layouts), size=num_slots)
        states = np.concatenate([layouts[index].draw_starts(1, rng) for index in chosen])
        for _ in range(horizon):
            actions = rng.integers(NUM_ACTIONS, size=num_slots)
            following = step(states, actions, layouts[0].shape)
            yield states, actions, following, plays
            states = following


def _expert_rows(
    layouts: Sequence[Layout], config: CollectionConfig, rng: np.random.Generator
) -> Iterator[Rows]:
    """Plays of the expert from random starts to random goals, without end."""
    goals = [_goals_by_kind(layout, config) for layout in layouts]
    usable = [index for index, by_kind in enumerate(goals) if by_kind]
    if not usable:
        raise ValueError(
            f"Expected a goal that the {config.expert} can pursue, found none. Choose other "
            "layout seeds, another design, or expert_share=0."
        )
    horizon = SIZES[config.size].horizon_steps
    for play in itertools.count():
        index = usable[int(rng.integers(len(usable)))]
        of_kind = goals[index][int(rng.integers(len(goals[index])))]
        spec = of_kind[int(rng.integers(len(of_kind)))]
        start = layouts[index].draw_starts(1, rng)[0]
        actions = expert_actions(layouts[index], start, spec, horizon, config.expert)
        if actions:
            yield _replay(layouts[index], start, actions, play)


def expert_actions(
    layout: Layout, start: np.ndarray, spec: Spec, max_steps: int, expert: str = "bot"
) -> list[int]:
    """What the expert does from `start` (D,) uint8 towards a goal; it may fall short of it."""
    if expert == "bot":
        return bot_actions(layout, start, spec, max_steps)[0]
    return plan(start, spec, layout.shape, max_steps) or []


def _goals_by_kind(layout: Layout, config: CollectionConfig) -> list[list[Spec]]:
    """Goals that the expert may be given, so that each kind is drawn as often."""
    by_kind: dict[int, list[Spec]] = {}
    for spec in layout_specs(layout):
        trained = config.design is None or config.design.novelty(spec) == "train"
        if trained and (config.expert == "planner" or bot_can_do(spec, layout.state)):
            by_kind.setdefault(spec[0], []).append(spec)
    return list(by_kind.values())


def _replay(layout: Layout, start: np.ndarray, actions: Sequence[int], play: int) -> Rows:
    """The rows of play number `play`."""
    states = np.empty((len(actions) + 1, len(start)), np.uint8)
    states[0] = start
    for index, action in enumerate(actions):
        states[index + 1] = step(states[index : index + 1], np.array([action]), layout.shape)[0]
    return states[:-1], np.array(actions), states[1:], np.full(len(actions), play)
