"""The base model, and instructions read as requirements: once per text."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.read import KNOWLEDGE_KEY, READ, ReadSettings, write_readings
from experiments.folders import BASE_MODEL, whole_json
from experiments.ground import EMBEDDED, base_model_problems, check_base_model, prime_base_model
from experiments.stage import Stage, complete
from experiments.tracking import Run
from experiments.webshop.folders import COLLECT, GOALS, goal_texts

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        lambda: write_requirements(run, settings, READ, goal_texts(run.folder), GOALS),
        lambda: whole_json(run.folder / GOALS),
        overwrite=overwrite,
    )


def write_requirements(
    run: Run, settings: ReadSettings, stage: str, texts: "Sequence[str]", file: str
) -> None:
    """Reads instructions and writes what they were read as; arguments as of `write_readings`."""
    from imagination.requirements import SHOP

    write_readings(run, settings, stage, list(texts), file, SHOP)


def _prime(run: Run, settings: ReadSettings) -> None:
    from envs.webshop.knowledge import knowledge
    from imagination.shop_roles import vocabulary

    rng = np.random.default_rng([settings.seed, KNOWLEDGE_KEY])
    pairs = knowledge(settings.base.knowledge_pairs, rng)
    prime_base_model(run, settings.base, pairs, goal_texts(run.folder), settings.seed, vocabulary())
