"""Everyone who is evaluated in grids: references, the solver alone, and every arm's model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.babyai.baselines import BaselineSettings, taught
from experiments.babyai.folders import (
    Arm,
    empirical_model,
    grid_world,
    read_goals,
)
from experiments.chats import chat_costs
from experiments.folders import goal_encoder
from experiments.ground import torch_device
from experiments.teduo.base import ReadSettings, base_chat, base_text_model, is_chat_base
from experiments.teduo.folders import TEST_GOALS, has_samples

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
    episodes: int | None = None  # of each cell that it plays, the first ones; all by default
    counts: Callable[[], Mapping[str, float]] = dict  # what was lost on the way, for metrics

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
        lambda world: ScriptPlayer(
            lambda tasks, _: [world.expert_actions(task, "planner") for task in tasks]
        ),
        trained=False,
    )


@dataclass(frozen=True)
class Playing:
    """How agents of an evaluation act."""

    variants: bool = True  # also without mask, without loop-break, and without both
    temperature: float = 0.0  # of language models' actions
    in_context: int = 0  # episodes per cell of the chat model with examples; 0 leaves it out


def agents(
    folder: Path,
    read: ReadSettings,
    arms: Sequence[Arm],
    baselines: BaselineSettings,
    playing: Playing,
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
    yield _untuned(folder, read, first, programs, effects[first.data], playing)
    trained = [arm for arm in arms if has_samples(folder, arm)]
    if playing.in_context and trained and is_chat_base(read.base):
        yield _in_context(folder, read, trained[0], effects[trained[0].data], playing)
    yield from _baselines(folder, baselines, effects)
    for arm in trained:
        if arm.lists:
            yield _lists(folder, arm, programs, playing)
        else:
            scores = ActionScores(_tuned(folder, arm))
            yield from _variants(arm, scores, programs, effects[arm.data], playing)


def _effects(folder: Path, data: str) -> "KnownEffects":
    from offline_rl.effects import KnownEffects

    return KnownEffects.of(empirical_model(folder, data), grid_world(folder).shape)


def _mask(known: "KnownEffects", world: "BabyAiWorld") -> Callable[[np.ndarray], np.ndarray]:
    """The actions that may be taken in states of that world."""
    return lambda states: known.allowed(states, world.shape)


def _tuned(folder: Path, arm: Arm) -> "TextModel":
    from kalm.pretrained import load_text_model

    return load_text_model(folder / arm.model / "best").to(torch_device())


def _untuned(
    folder: Path,
    read: ReadSettings,
    arm: Arm,
    programs: "dict[str, Program | None]",
    known: "KnownEffects",
    playing: Playing,
) -> GridContestant:
    """The base model, asked as the arm's model is."""
    from offline_rl.language_policy import ActionScores

    scores = ActionScores(base_text_model(folder, read))
    return _language("untuned", scores, arm, programs, known, playing)


def _variants(
    arm: Arm,
    scores: "ActionScores",
    programs: "dict[str, Program | None]",
    known: "KnownEffects",
    playing: Playing,
) -> Iterator[GridContestant]:
    """The arm with both rules, and without one or both of them."""
    yield replace(_language(arm.label, scores, arm, programs, known, playing), watched=True)
    if playing.variants:
        for name, off in (
            ("no mask", {"mask": False}),
            ("no loop-break", {"loop_break": False}),
            ("greedy", {"mask": False, "loop_break": False, "temperature": 0.0}),
        ):
            yield _language(f"{arm.label} ({name})", scores, arm, programs, known, playing, **off)


def _language(
    name: str,
    scores: "ActionScores",
    arm: Arm,
    programs: "dict[str, Program | None]",
    known: "KnownEffects",
    playing: Playing,
    **rules: Any,
) -> GridContestant:
    from offline_rl.acting import ActingConfig, ScoredPlayer
    from offline_rl.language_policy import LanguageScores

    config = replace(ActingConfig(temperature=playing.temperature), **rules)
    return GridContestant(
        name,
        lambda world: ScoredPlayer(
            LanguageScores(scores, programs, world.shape, arm.form), _mask(known, world), config
        ),
    )


def _lists(
    folder: Path, arm: Arm, programs: "dict[str, Program | None]", playing: Playing
) -> GridContestant:
    """An arm that plays whole lists of actions, without planning anew."""
    from offline_rl.grid_play import ScriptPlayer
    from offline_rl.language_policy import ActionLists

    model, made = _tuned(folder, arm), []

    def player(world: "BabyAiWorld") -> "GridPlayer":
        made.append(
            ActionLists(
                *(model, programs, world.shape, arm.form),
                longest_steps=world.horizon_steps,
                temperature=playing.temperature,
            )
        )
        return ScriptPlayer(made[-1].of)

    def counts() -> dict[str, float]:
        return {
            "actions": sum(lists.words for lists in made),
            "unknown_actions": sum(lists.unknown for lists in made),
        }

    return GridContestant(arm.label, player, counts=counts, watched=True)


def _in_context(
    folder: Path, read: ReadSettings, arm: Arm, known: "KnownEffects", playing: Playing
) -> GridContestant:
    """The base model with examples and reasoning, under the same rules as the others."""
    from offline_rl.acting import ActingConfig, ScoredPlayer
    from offline_rl.distillation_set import DistillationSet
    from offline_rl.in_context import InContextScores, worked_examples

    samples = DistillationSet.read(folder / arm.samples)
    examples = worked_examples(samples, grid_world(folder).shape)
    chat, made = base_chat(folder, read), []

    def player(world: "BabyAiWorld") -> "GridPlayer":
        made.append(InContextScores(chat, examples, world.shape))
        return ScoredPlayer(made[-1], _mask(known, world), ActingConfig())

    def counts() -> dict[str, float]:
        return chat_costs(chat) | {
            "answers": sum(scores.answers for scores in made),
            "answers_without_action": sum(scores.nonsense for scores in made),
        }

    return GridContestant("in context", player, episodes=playing.in_context, counts=counts)


def _baselines(
    folder: Path, settings: BaselineSettings, effects: "dict[str, KnownEffects]"
) -> Iterator[GridContestant]:
    """Agents without words, under the same two rules as the language model."""
    from offline_rl.acting import ActingConfig, ScoredPlayer
    from offline_rl.agents import Agent
    from offline_rl.grid_agents import AgentScores
    from offline_rl.imitation import ImitationScores, load_imitation

    encode, config, shape = goal_encoder(folder).encode, ActingConfig(), grid_world(folder).shape
    for baseline in taught(folder, settings.imitators):
        network, known = load_imitation(folder / baseline.folder), effects[baseline.arm.data]
        yield GridContestant(
            baseline.label,
            lambda world, n=network, k=known: ScoredPlayer(  # type: ignore[misc]
                ImitationScores(n, world.shape, encode), _mask(k, world), config
            ),
            shape=shape,
        )
    for baseline in taught(folder, settings.agents):
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
