"""The base model, and instructions read as requirements: once per text."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.ground import prime_base_model
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import GOALS, READ
from experiments.teduo.read import KNOWLEDGE_KEY, reading_stages, write_readings
from experiments.tracking import Run
from experiments.webshop.folders import goal_texts

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_stage(run: Run, settings: ReadSettings, *, overwrite: bool) -> None:
    """Primes the embedded base model if that is the one, then reads the training goals."""
    reading_stages(
        *(run, settings, lambda: _prime(run, settings)),
        lambda: write_requirements(run, settings, READ, goal_texts(run.folder), GOALS),
        overwrite=overwrite,
    )


def write_requirements(
    run: Run, settings: ReadSettings, stage: str, texts: "Sequence[str]", file: str
) -> None:
    """Reads instructions and writes what they were read as; arguments as of `write_readings`."""
    from imagination.requirements import SHOP

    write_readings(run, settings, stage, texts, file, SHOP)


def _prime(run: Run, settings: ReadSettings) -> None:
    from envs.webshop.knowledge import knowledge
    from imagination.shop_roles import vocabulary

    rng = np.random.default_rng([settings.seed, KNOWLEDGE_KEY])
    pairs = knowledge(settings.base.knowledge_pairs, rng)
    prime_base_model(run, settings.base, pairs, goal_texts(run.folder), settings.seed, vocabulary())
