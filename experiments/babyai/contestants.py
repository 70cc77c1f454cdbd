"""Everyone who is evaluated in grids: references, the solver alone, and every arm's model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.baselines import BaselineSettings
from experiments.babyai.folders import (
    TEST_GOALS,
    Arm,
    empirical_model,
    grid_world,
    read_goals,
)
from experiments.babyai.read import ReadSettings, base_text_model
from experiments.folders import goal_encoder
from experiments.ground import torch_device

if TYPE_CHECKING:
    from envs.babyai.states import GridShape
    from envs.babyai.world import BabyAiWorld
    from imagination.programs import Program
    from kalm.text_model import TextModel
    from offline_rl.effects import KnownEffects
    from offline_rl.grid_play import GridPlayer
    from offline_rl.language_policy import ActionScores

Names = Callable[["GridPlayer", np.ndarray], Sequence[str]]  # of rows, by start (N, D)


@dataclass(frozen=True)
class GridContestant:
    """Who acts, and in which rows of the table it counts."""

    name: str
    player: "Callable[[BabyAiWorld], GridPlayer]"
    trained: bool = True  # whether its rows belong to a training seed
    split: Names | None = None  # rows by start, where it is not one row
    shape: "GridShape | None" = None  # the only shape of grids that it can act in
    watched: bool = False  # whether the report shows some of its episodes

    def can_play(self, world: "BabyAiWorld") -> bool:
        """Whether it can act in that world at all."""
        return self.shape in (None, world.shape)

    def names(self, player: "GridPlayer", starts: np.ndarray) -> Sequence[str]:
        """The row in which each episode counts."""
        return self.split(player, starts) if self.split else [self.name] * len(starts)


def references() -> Iterator[GridContestant]:
    """Rows that nothing was trained for."""
    from envs.babyai.simulator import NUM_ACTIONS
    from offline_rl.grid_play import RandomPlayer, ScriptPlayer

    yield GridContestant(
        "random",
        lambda world: RandomPlayer(lambda states: np.ones((len(states), NUM_ACTIONS), bool)),
        trained=False,
    )
    yield GridContestant(
        "expert",
        lambda world: ScriptPlayer(lambda task: world.expert_actions(task, "planner")),
        trained=False,
    )


def agents(
    folder: Path,
    read: ReadSettings,
    arms: Sequence[Arm],
    baselines: BaselineSettings,
    *,
    variants: bool,
) -> Iterator[GridContestant]:
    """The random floor under the learned mask, the solver, the untuned model, baselines, arms."""
    from offline_rl.grid_play import RandomPlayer
    from offline_rl.language_policy import ActionScores

    programs = read_goals(folder, TEST_GOALS)
    effects = {data: _effects(folder, data) for data in dict.fromkeys(arm.data for arm in arms)}
    first = arms[0]
    yield GridContestant(
        "random, masked", lambda world: RandomPlayer(_mask(effects[first.data], world))
    )
    for data, known in effects.items():
        yield _solver(folder, data, programs, known)
    base = ActionScores(base_text_model(folder, read.base))
    yield _language("untuned", base, first, programs, effects[first.data])
    yield from _baselines(folder, baselines, effects)
    for arm in arms:
        scores = ActionScores(_tuned(folder, arm))
        yield from _variants(arm, scores, programs, effects[arm.data], variants)


def _effects(folder: Path, data: str) -> "KnownEffects":
    from offline_rl.effects import KnownEffects

    return KnownEffects.of(empirical_model(folder, data), grid_world(folder).shape)


def _mask(known: "KnownEffects", world: "BabyAiWorld") -> Callable[[np.ndarray], np.ndarray]:
    """The actions that may be taken in states of that world."""
    return lambda states: known.allowed(states, world.shape)


def _tuned(folder: Path, arm: Arm) -> "TextModel":
    from kalm.pretrained import load_text_model

    return load_text_model(folder / arm.model / "best").to(torch_device())


def _variants(
    arm: Arm,
    scores: "ActionScores",
    programs: "dict[str, Program | None]",
    known: "KnownEffects",
    variants: bool,
) -> Iterator[GridContestant]:
    """The arm with both rules, and without one or both of them."""
    yield replace(_language(arm.label, scores, arm, programs, known), watched=True)
    if variants:
        for name, off in (
            ("no mask", {"mask": False}),
            ("no loop-break", {"loop_break": False}),
            ("greedy", {"mask": False, "loop_break": False}),
        ):
            yield _language(f"{arm.label} ({name})", scores, arm, programs, known, **off)


def _language(
    name: str,
    scores: "ActionScores",
    arm: Arm,
    programs: "dict[str, Program | None]",
    known: "KnownEffects",
    **rules: bool,
) -> GridContestant:
    from offline_rl.acting import ActingConfig, ScoredPlayer
    from offline_rl.language_policy import LanguageScores

    config = replace(ActingConfig(), **rules)
    return GridContestant(
        name,
        lambda world: ScoredPlayer(
            LanguageScores(scores, programs, world.shape, arm.form), _mask(known, world), config
        ),
    )


def _baselines(
    folder: Path, settings: BaselineSettings, effects: "dict[str, KnownEffects]"
) -> Iterator[GridContestant]:
    """Agents without words, under the same two rules as the language model."""
    from offline_rl.acting import ActingConfig, ScoredPlayer
    from offline_rl.agents import Agent
    from offline_rl.grid_agents import AgentScores
    from offline_rl.imitation import ImitationScores, load_imitation

    encode, config, shape = goal_encoder(folder).encode, ActingConfig(), grid_world(folder).shape
    for baseline in settings.imitators:
        network, known = load_imitation(folder / baseline.folder), effects[baseline.arm.data]
        yield GridContestant(
            baseline.label,
            lambda world, n=network, k=known: ScoredPlayer(  # type: ignore[misc]
                ImitationScores(n, world.shape, encode), _mask(k, world), config
            ),
            shape=shape,
        )
    for baseline in settings.agents:
        agent, known = Agent.from_pretrained(folder / baseline.folder), effects[baseline.arm.data]
        yield GridContestant(
            baseline.label,
            lambda world, a=agent, k=known: ScoredPlayer(  # type: ignore[misc]
                AgentScores(a, world.shape, encode), _mask(k, world), config
            ),
            shape=shape,
        )


def _solver(
    folder: Path, data: str, programs: "dict[str, Program | None]", known: "KnownEffects"
) -> GridContestant:
    """Two rows: starts that the data shows, and starts that it does not."""
    from offline_rl.language_policy import ACTION_ORDER
    from offline_rl.tabular_player import TabularPlayer

    world = grid_world(folder)
    player = TabularPlayer(
        empirical_model(folder, data), programs, world.shape, _mask(known, world), ACTION_ORDER
    )

    def names(_: "GridPlayer", starts: np.ndarray) -> list[str]:
        return [
            f"solver/{data} ({'seen' if seen else 'unseen'} starts)"
            for seen in player.knows(starts).tolist()
        ]

    return GridContestant(f"solver/{data}", lambda _: player, split=names, shape=world.shape)
