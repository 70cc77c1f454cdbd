"""The whole of TEDUO on WebShop, read top to bottom: plays, goals, labels, models, scores."""

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.settings import NotNegative, Settings, Whole
from experiments.names import require_different_seeds
from experiments.teduo.base import ReadSettings, check_models
from experiments.teduo.tune import TuneSettings, tune_stage
from experiments.tracking import Run
from experiments.webshop.audit import AuditSettings, audit_stage
from experiments.webshop.collect import ShopCollectSettings, collect_stage
from experiments.webshop.distil import distil_stage
from experiments.webshop.evaluate import ShopEvaluateSettings, evaluate_stage
from experiments.webshop.folders import ShopArm
from experiments.webshop.judge import LabelSettings, judge_stage
from experiments.webshop.read import read_stage
from experiments.webshop.select import SelectSettings, select_stage


@dataclass(frozen=True)
class ShopPreset(Settings):
    """Settings of every stage; a seed of the pipeline replaces the seed of each."""

    collect: ShopCollectSettings = field(default_factory=ShopCollectSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    select: SelectSettings = field(default_factory=SelectSettings)
    methods: tuple[str, ...] = ("teduo", "teduo-filtered")  # "teduo", "teduo-filtered", "teduo-raw"
    tune: TuneSettings = field(default_factory=TuneSettings)
    evaluate: ShopEvaluateSettings = field(default_factory=ShopEvaluateSettings)
    seeds: tuple[Whole, ...] = (0,)  # runs that the table pools; each may run alone
    free_gigabytes: NotNegative = 1.0  # disk that a seed needs; asked for before anything starts

    def __post_init__(self) -> None:
        super().__post_init__()
        require_different_seeds(self.seeds)
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError(f"Expected different --methods, at least one, got {self.methods}.")
        if self.evaluate.episodes > self.collect.num_goals:
            raise ValueError(
                f"Expected at most --collect.num-goals ({self.collect.num_goals}) training goals "
                f"to evaluate on, got {self.evaluate.episodes}. Lower --evaluate.episodes."
            )
        if self.read.num_goals:
            raise ValueError("Choose how many goals are read with --collect.num-goals.")
        for method in self.methods:
            ShopArm(method)

    @property
    def arms(self) -> list[ShopArm]:
        """The arms in the order of the table."""
        return [ShopArm(method) for method in self.methods]


def check_shop_preset(preset: ShopPreset) -> None:
    """Checks every model that `preset` names, before anything is written.

    Raises:
        ValueError: a model is not there, or the one that shall judge cannot chat.
    """
    judged = preset.labels.judged
    check_models(preset.read, judged=judged, otherwise="leave --labels.judged out")


def run_shop_stages(
    preset: ShopPreset,
    run: Run,
    command: str,
    *,
    overwrite: bool,
    lacks_references: Callable[[], bool],
) -> None:
    """One seed from nothing to the scores of its agents.

    Args:
        lacks_references: asked when they are due, as seeds may run side by side.
    """
    collect_stage(run, preset.collect, command, overwrite=overwrite)
    read_stage(run, preset.read, overwrite=overwrite)
    judge_stage(run, preset.labels, preset.read, overwrite=overwrite)
    audit_stage(run, preset.audit, preset.labels, overwrite=overwrite)
    select_stage(run, preset.select, preset.labels, overwrite=overwrite)
    distil_stage(run, preset.select, preset.labels, preset.arms, overwrite=overwrite)
    tune_stage(run, preset.tune, preset.read, preset.arms, overwrite=overwrite)
    evaluate_stage(
        run,
        preset.evaluate,
        preset.read,
        preset.arms,
        overwrite=overwrite,
        with_references=lacks_references(),
    )
