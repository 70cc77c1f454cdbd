"""The base model, and goals in words read as programs: once per text, before data is labelled."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.folders import COLLECT, GOALS, grid_world, training_goals
from experiments.folders import BASE_MODEL, whole_json
from experiments.ground import (
    EMBEDDED,
    BaseModelSettings,
    base_model_problems,
    check_base_model,
    prime_base_model,
    torch_device,
)
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run

if TYPE_CHECKING:
    from kalm.text_model import TextModel

READ = "read-goals"
KNOWLEDGE_KEY = 3_002  # keeps texts of the primer apart from other streams


@dataclass(frozen=True)
class ReadSettings:
    """Which model reads goals."""

    base: BaseModelSettings = field(default_factory=BaseModelSettings)
    least_probability: float = 0.5  # of an answer; below it the goal counts as not understood
    seed: int = 0


def read_stage(run: Run, settings: ReadSettings, *, overwrite: bool) -> None:
    """Primes the embedded base model if that is the one, then reads the training goals."""
    check_base_model(settings.base)
    needs: tuple[str, ...] = (COLLECT,)
    if settings.base.name == EMBEDDED:
        complete(
            run,
            Stage("base-model", settings, needs, (BASE_MODEL,)),
            lambda: _prime(run, settings),
            lambda: base_model_problems(run.folder / BASE_MODEL),
            overwrite=overwrite,
        )
        needs = (COLLECT, "base-model")
    complete(
        run,
        Stage(READ, settings, needs, (GOALS,)),
        lambda: write_readings(run, settings, READ, _training_texts(run), GOALS),
        lambda: whole_json(run.folder / GOALS),
        overwrite=overwrite,
    )


def base_path(folder: Path, settings: BaseModelSettings) -> str:
    """Folder or hub id of the base model."""
    return str(folder / BASE_MODEL) if settings.name == EMBEDDED else settings.name


def base_text_model(folder: Path, settings: BaseModelSettings) -> "TextModel":
    """The base model, with fresh adapters where they are asked for."""
    from kalm.pretrained import add_lora, load_backbone
    from kalm.text_model import TextModel

    backbone, tokenizer = load_backbone(
        base_path(folder, settings), remote_code_revision=settings.remote_code_revision
    )
    if settings.lora_rank:
        backbone = add_lora(
            backbone,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
        )
    return TextModel(backbone, tokenizer).to(torch_device()).eval()


def _prime(run: Run, settings: ReadSettings) -> None:
    from envs.babyai.knowledge import knowledge
    from envs.babyai.simulator import ACTION_NAMES
    from imagination.abstraction import vocabulary

    rng = np.random.default_rng([settings.seed, KNOWLEDGE_KEY])
    pairs = knowledge(settings.base.knowledge_pairs, rng, grid_world(run.folder).design)
    words = [*vocabulary(), *ACTION_NAMES]
    prime_base_model(run, settings.base, pairs, _training_texts(run), settings.seed, words)


def _training_texts(run: Run) -> list[str]:
    return [goal.text for goal in training_goals(run.folder)]


def write_readings(
    run: Run, settings: ReadSettings, stage: str, texts: list[str], file: str
) -> None:
    """Reads goals in words, equal ones once, and writes what they were read as."""
    from imagination.readers import ProgramReader, TextModelGoals

    model = TextModelGoals(
        base_text_model(run.folder, settings.base),
        least_probability=settings.least_probability,
        whole_words=settings.base.name == EMBEDDED,
    )
    with progress("reading goals", len(texts), "goals") as advance:
        found = ProgramReader(model).read(texts)
        advance(len(texts))
    programs = {
        reading.text: reading.program.text() if reading.program else ""
        for reading in found.readings
    }
    content = {"programs": programs, "abstained": found.abstained, "numbers": found.numbers()}
    write_text(run.folder / file, json.dumps(content, indent=1) + "\n")
    run.rewind(stage, -1)
    run.log(stage, 0, found.numbers())
