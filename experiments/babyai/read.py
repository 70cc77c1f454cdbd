"""The base model, and goals in words read as programs: once per text, before data is labelled.

One thing to know: a program also is the paper's choice of features. It names the goal's objects and
its location, one call a goal, and `imagination.abstraction` applies that choice to every state.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.folders import grid_world, training_goals
from experiments.ground import prime_base_model
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import GOALS, READ
from experiments.teduo.read import KNOWLEDGE_KEY, reading_stages, write_readings
from experiments.tracking import Run

if TYPE_CHECKING:
    from envs.world import Goal

GOALS_KEY = 3_004  # keeps the choice of goals apart from other streams


def read_stage(run: Run, settings: ReadSettings, *, overwrite: bool) -> None:
    """Primes the embedded base model if that is the one, then reads the training goals."""
    reading_stages(
        *(run, settings, lambda: _prime(run, settings)),
        lambda: write_programs(run, settings, READ, _training_texts(run, settings), GOALS),
        overwrite=overwrite,
    )


def write_programs(
    run: Run, settings: ReadSettings, stage: str, texts: Sequence[str], file: str
) -> None:
    """Reads goals and writes what they were read as; arguments as of `write_readings`."""
    from imagination.grid_language import GRID

    write_readings(run, settings, stage, texts, file, GRID)


def _prime(run: Run, settings: ReadSettings) -> None:
    from envs.babyai.knowledge import knowledge
    from envs.babyai.simulator import ACTION_NAMES
    from imagination.abstraction import vocabulary

    rng = np.random.default_rng([settings.seed, KNOWLEDGE_KEY])
    pairs = knowledge(settings.base.knowledge_pairs, rng, grid_world(run.folder).design)
    words = [*vocabulary(), *ACTION_NAMES]
    texts = _training_texts(run, settings)
    prime_base_model(run, settings.base, pairs, texts, settings.seed, words)


def _training_texts(run: Run, settings: ReadSettings) -> list[str]:
    goals = training_goals(run.folder)
    rng = np.random.default_rng([settings.seed, GOALS_KEY])
    return [goal.text for goal in (_drawn(goals, settings.num_goals, rng))]


def _drawn(goals: "list[Goal]", count: int, rng: np.random.Generator) -> "list[Goal]":
    """`count` different texts, kind after kind in turn as long as they last; 0 means all."""
    if not count:
        return goals
    kinds: dict[str, list[Goal]] = {}
    for place in rng.permutation(len(goals)).tolist():
        kinds.setdefault(goals[place].kind, []).append(goals[place])
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [goal for turn in turns for goal in turn if goal is not None][:count]
