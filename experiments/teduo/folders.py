"""Where the stages of any TEDUO run meet on disk, and what a method left there."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.folders import read_json, whole_json

if TYPE_CHECKING:
    from offline_rl.distillation_set import TextSamples

COLLECT = "collect"  # the stage whose settings say which world this is
READ = "read-goals"
READ_TEST = "read-test-goals"
AUDIT = "audit-labels"
DISTIL, TUNE = "distil-", "tune-"  # before the slugs of methods, in names of stages
GOALS = "data/goals.json"  # what every training goal was read as
TEST_GOALS = "evaluation/goals.json"  # what the goals of the evaluation were read as
AUDIT_FILE = "evaluation/labels.json"  # labels against the truth that no training sees
PLANNED = "planned"  # samples that are plans; otherwise they are stretches of play


class Distilled(ABC):
    """A method, and where what is made with it lies in a run folder."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Its name in tables."""

    @property
    @abstractmethod
    def slug(self) -> str:
        """Its name in file and stage names."""

    @property
    def distil_stage(self) -> str:
        """The stage that makes its samples."""
        return f"{DISTIL}{self.slug}"

    @property
    def tune_stage(self) -> str:
        """The stage that fine-tunes its model."""
        return f"{TUNE}{self.slug}"

    @property
    def samples(self) -> str:
        """File of its samples."""
        return f"data/samples-{self.slug}.parquet"

    @property
    def report(self) -> str:
        """File that says what became of the goals."""
        return f"evaluation/distillation-{self.slug}.json"

    @property
    def model(self) -> str:
        """Folder of its fine-tuned model, with checkpoints, last and best."""
        return f"models/{self.slug}"


def sample_problems(folder: Path, arm: Distilled, kind: "type[TextSamples]") -> list[str]:
    """What is wrong with the samples of an arm and with their report.

    Args:
        kind: of samples.
    """
    try:
        kind.read(folder / arm.samples)
    except ValueError as error:
        return [str(error)]
    return whole_json(folder / arm.report)


def has_samples(folder: Path, arm: Distilled) -> bool:
    """Whether an arm has plans to learn from and others to hold out."""
    return bool(read_json(folder / arm.report)["numbers"]["plans"] > 1)
