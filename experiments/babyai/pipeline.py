"""The whole of TEDUO on BabyAI, read top to bottom: rows, goals, plans, models, success."""

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.settings import NotNegative, Settings, Whole
from experiments.babyai.audit import audit_stage
from experiments.babyai.baselines import BaselineSettings, baselines_stage
from experiments.babyai.collect import GridCollectSettings, collect_stage
from experiments.babyai.distil import DistilSettings, distil_stage
from experiments.babyai.evaluate import GridEvaluateSettings, evaluate_stage
from experiments.babyai.folders import Arm, data_name
from experiments.babyai.label import JUDGE, label_stage
from experiments.babyai.read import read_stage
from experiments.names import require_different_seeds, require_known
from experiments.teduo.base import ReadSettings, check_models
from experiments.teduo.tune import TuneSettings, tune_stage
from experiments.tracking import Run


@dataclass(frozen=True)
class GridPreset(Settings):
    """Settings of every stage; a seed of the pipeline replaces the seed of each."""

    collect: GridCollectSettings = field(default_factory=GridCollectSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    distil: DistilSettings = field(default_factory=DistilSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    evaluate: GridEvaluateSettings = field(default_factory=GridEvaluateSettings)
    seeds: tuple[Whole, ...] = (0,)  # runs that the table pools; each may run alone
    free_gigabytes: NotNegative = 1.0  # disk that a seed needs; asked for before anything starts

    def __post_init__(self) -> None:
        super().__post_init__()
        require_different_seeds(self.seeds)
        collected = [data_name(share) for share in self.collect.expert_shares]
        for arm in self.arms:
            require_known("data set", arm.data, collected)
        for baseline in self.baselines.imitators + self.baselines.agents:
            require_known(f"arm for {baseline.label}", baseline.arm.label, self.distil.arms)

    @property
    def arms(self) -> list[Arm]:
        """The arms in the order of the table."""
        return [Arm.of(label) for label in self.distil.arms]


def check_grid_preset(preset: GridPreset) -> None:
    """Checks every model that `preset` names, before anything is written.

    Raises:
        ValueError: a model is not there, or the one that shall judge cannot chat.
    """
    judged = preset.distil.labels.way == JUDGE
    check_models(preset.read, judged=judged, otherwise="--distil.labels.way programs")


def run_stages(
    preset: GridPreset,
    run: Run,
    command: str,
    *,
    overwrite: bool,
    lacks_references: Callable[[], bool],
) -> None:
    """One seed from nothing to the success of its agents.

    Args:
        lacks_references: asked when they are due, as seeds may run side by side.
    """
    collect_stage(run, preset.collect, command, overwrite=overwrite)
    read_stage(run, preset.read, overwrite=overwrite)
    labels = preset.distil.labels
    label_stage(run, labels, preset.distil.seed, preset.read, preset.arms, overwrite=overwrite)
    audit_stage(run, labels, preset.arms[0], overwrite=overwrite)
    distil_stage(run, preset.distil, overwrite=overwrite)
    tune_stage(run, preset.tune, preset.read, preset.arms, overwrite=overwrite)
    baselines_stage(run, preset.baselines, overwrite=overwrite)
    evaluate_stage(
        run,
        preset.evaluate,
        preset.read,
        preset.arms,
        preset.baselines,
        overwrite=overwrite,
        with_references=lacks_references(),
    )
