"""`kalm trial`: one trial of a sweep, which trains and evaluates on the data of a finished run.

A trial has a folder of its own, named after its settings, in which the stages before training are
links to the run's. So any number of trials run side by side, started by Ray Tune, a wandb sweep or
a job scheduler, and a trial that was stopped goes on when it is asked for again.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from envs.sealed import read_sealed
from experiments.evaluate import EvaluateSettings, evaluate_stage
from experiments.folders import EVALUATION, GOAL_VECTORS, OUTCOMES, open_run
from experiments.origin import command_line
from experiments.stage_records import UNSEALED_KEYS, done_stages
from experiments.tracking import WandbConfig
from experiments.train import TrainSettings, train_stage

OWN_STAGES = ("train-", "evaluate")  # of a trial; all others are the run's


@dataclass(frozen=True)
class TrialSettings:
    """What a trial trains and how it is evaluated."""

    train: TrainSettings = field(default_factory=TrainSettings)
    evaluate: EvaluateSettings = field(
        default_factory=lambda: EvaluateSettings(
            greedy_too=False, references=False, language_model=False, planner=False
        )
    )


@dataclass(frozen=True)
class Command(TrialSettings):
    """Trains and evaluates on the data of RUN_FOLDER, in a folder of the trial's own."""

    run_folder: tyro.conf.Positional[Path] = tyro.MISSING  # with collected or imagined data
    trials: Path | None = None  # where folders of trials are; by default RUN_FOLDER-trials
    wandb: WandbConfig = field(default_factory=WandbConfig)  # mirror of the trial


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments; the last line it prints is the trial's numbers."""
    print(json.dumps(run_trial(arguments)))
    return 0


def run_trial(arguments: Sequence[str]) -> dict[str, float]:
    """Success by agent and level, and as "success" that of the best agent on the novel levels.

    Args:
        arguments: those of `kalm trial`, such as ["runs/demo/seed-0", "--train.steps=4000"].

    Raises:
        ValueError: there is no finished data in the run folder.
    """
    command = tyro.cli(Command, args=list(arguments), prog="kalm trial")
    settings = TrialSettings(command.train, command.evaluate)
    source = command.run_folder.absolute()
    if not done_stages(source):
        raise ValueError(f"No finished stage in `{source}`. Name the folder of a run, or a seed's.")
    text = json.dumps(asdict(settings), sort_keys=True, default=str)
    root = command.trials or source.with_name(f"{source.name}-trials")
    folder = root / hashlib.sha256(text.encode()).hexdigest()[:12]
    share_stages(source, folder)
    words = command_line("trial", arguments)
    with open_run(folder, "trial", settings, words, command.wandb) as run:
        train_stage(run, settings.train, words, overwrite=False)
        evaluate_stage(run, settings.evaluate, words, overwrite=False)
        numbers = scores(folder)
        run.rewind("trial", -1)
        run.log("trial", 0, numbers)
    return numbers


def share_stages(source: Path, target: Path) -> None:
    """Links the outputs of all stages of run `source` before training into run `target`."""
    for name in done_stages(source):
        if name.startswith(OWN_STAGES):
            continue
        record = Path("stages") / f"{name}.json"
        for output in read_sealed(source / record, UNSEALED_KEYS)["outputs"]:
            link = target / output
            if (source / output).exists() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source / output)
        if not (target / record).exists():
            (target / record).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / record, target / record)
    vectors = target / GOAL_VECTORS  # a trial may add to them
    if (source / GOAL_VECTORS).exists() and not vectors.exists():
        vectors.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / GOAL_VECTORS, vectors)


def scores(folder: Path) -> dict[str, float]:
    """Success by agent and level of an evaluated run, and that of the best on novel levels."""
    from offline_rl.evaluation import Evaluation

    rows = [r for r in Evaluation.read(folder / EVALUATION / OUTCOMES).rows() if r.kind == "all"]
    found = {f"{row.agent}/{row.level}": row.success for row in rows}
    return {**found, "success": max(row.success for row in rows if row.level == "novel")}
