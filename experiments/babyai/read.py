"""The base model, and goals in words read as programs: once per text, before data is labelled.

One thing to know: a program also is the paper's choice of features. It names the goal's objects and
its location, one call a goal, and `imagination.abstraction` applies that choice to every state.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.babyai.folders import COLLECT, GOALS, grid_world, training_goals
from experiments.chats import ChatSettings, chat_costs, open_chat
from experiments.folders import BASE_MODEL, whole_json
from experiments.ground import (
    EMBEDDED,
    BaseModelSettings,
    base_model_problems,
    check_base_model,
    load_base,
    prime_base_model,
    torch_device,
)
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run

if TYPE_CHECKING:
    from envs.world import Goal
    from imagination.readers import GoalReadings, Language
    from kalm.chat import CachedChat
    from kalm.text_model import TextModel

READ = "read-goals"
KNOWLEDGE_KEY = 3_002  # keeps texts of the primer apart from other streams
GOALS_KEY = 3_004  # keeps the choice of goals apart from other streams


@dataclass(frozen=True)
class ReadSettings:
    """Which model reads goals, and which goals."""

    base: BaseModelSettings = field(default_factory=BaseModelSettings)
    half_base: bool = False  # the base model's own weights in bfloat16, for adapters alone
    chat: ChatSettings = field(default_factory=ChatSettings)  # who reads and judges
    num_goals: int = 0  # training goals, as many of each kind as there are; 0 takes all
    least_probability: float = 0.5  # of an answer; below it the goal counts as not understood
    seed: int = 0

    def __post_init__(self) -> None:
        if self.half_base and not self.base.lora_rank:
            raise ValueError(
                "Expected adapters on a base model in bfloat16, whose own weights are too coarse "
                "to train. Set --read.base.lora-rank, or leave --read.half-base out."
            )
        if self.num_goals < 0:
            raise ValueError(f"Expected --read.num-goals >= 0, got {self.num_goals}.")


def read_stage(run: Run, settings: ReadSettings, *, overwrite: bool) -> None:
    """Primes the embedded base model if that is the one, then reads the training goals."""
    reading_stages(
        *(run, settings, lambda: _prime(run, settings)),
        lambda: write_readings(run, settings, READ, _training_texts(run, settings), GOALS),
        overwrite=overwrite,
    )


def reading_stages(
    run: Run,
    settings: ReadSettings,
    prime: Callable[[], None],
    read: Callable[[], None],
    *,
    overwrite: bool,
) -> None:
    """The base model where it is the embedded one, then the reading, of grids or of shops.

    Args:
        prime: writes the embedded base model.
        read: writes what the training goals were read as.
    """
    check_base_model(settings.base)
    needs: tuple[str, ...] = (COLLECT,)
    if settings.base.name == EMBEDDED:
        complete(
            run,
            Stage("base-model", settings, needs, (BASE_MODEL,)),
            prime,
            lambda: base_model_problems(run.folder / BASE_MODEL),
            overwrite=overwrite,
        )
        needs = (COLLECT, "base-model")
    complete(
        run,
        Stage(READ, settings, needs, (GOALS,)),
        read,
        lambda: whole_json(run.folder / GOALS),
        overwrite=overwrite,
    )


def base_path(folder: Path, settings: BaseModelSettings) -> str:
    """Folder or hub id of the base model."""
    return str(folder / BASE_MODEL) if settings.name == EMBEDDED else settings.name


def base_text_model(folder: Path, settings: ReadSettings) -> "TextModel":
    """The base model, with fresh adapters where they are asked for."""
    import torch

    from kalm.text_model import TextModel

    if settings.base.lora_rank:
        torch.manual_seed(settings.seed)  # adapters begin with random weights
    path = base_path(folder, settings.base)
    backbone, tokenizer = load_base(path, settings.base, half=settings.half_base)
    return TextModel(backbone, tokenizer).to(torch_device()).eval()


def is_chat_base(settings: BaseModelSettings) -> bool:
    """Whether the base model has a chat template."""
    from kalm.chat_template import is_chat
    from kalm.pretrained import load_tokenizer

    return settings.name != EMBEDDED and is_chat(
        load_tokenizer(
            settings.name,
            remote_code_revision=settings.remote_code_revision,
            revision=settings.revision,
        )
    )


def run_chat(folder: Path, settings: ReadSettings) -> "CachedChat":
    """The chat model that reads and judges: the one that is named, or the base model."""
    return open_chat(settings.chat, folder) if settings.chat.model else base_chat(folder, settings)


def base_chat(folder: Path, settings: ReadSettings) -> "CachedChat":
    """The base model as a chat model, before any fine-tuning."""
    base = settings.base
    return open_chat(
        replace(settings.chat, model=base.name, revision=base.revision, url=""),
        folder,
        remote_code_revision=base.remote_code_revision,
    )


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


def write_readings(
    run: Run,
    settings: ReadSettings,
    stage: str,
    texts: list[str],
    file: str,
    language: "Language[Any] | None" = None,
) -> None:
    """Reads goals in words, equal ones once, and writes what they were read as.

    Args:
        language: of the programs; those of grids by default.
    """
    from imagination.readers import GRID

    with progress("reading goals", len(texts), "goals") as advance:
        found, costs = _readings(run.folder, settings, texts, language or GRID)
        advance(len(texts))
    programs = {
        reading.text: reading.program.text() if reading.program else ""
        for reading in found.readings
    }
    numbers = found.numbers() | costs
    content = {"programs": programs, "abstained": found.abstained, "numbers": numbers}
    write_text(run.folder / file, json.dumps(content, indent=1) + "\n")
    if found.abstained:
        reasons = list(found.abstained.values())
        say(f"{stage}: {len(reasons)} of {len(programs)} goals left out; the first: {reasons[0]}")
    run.rewind(stage, -1)
    run.log(stage, 0, numbers)


def _readings(
    folder: Path, settings: ReadSettings, texts: list[str], language: "Language[Any]"
) -> "tuple[GoalReadings[Any], dict[str, float]]":
    """What texts were read as, and what a chat model's answers cost."""
    from imagination.readers import ChatGoals, ProgramReader, TextModelGoals

    if settings.chat.model or is_chat_base(settings.base):
        chat = run_chat(folder, settings)
        return ProgramReader(ChatGoals(chat, language)).read(texts), chat_costs(chat)
    model = TextModelGoals(
        base_text_model(folder, settings),
        language,
        least_probability=settings.least_probability,
        whole_words=settings.base.name == EMBEDDED,
    )
    return ProgramReader(model).read(texts), {}
