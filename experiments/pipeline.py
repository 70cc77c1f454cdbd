"""`kalm run PRESET`: the whole pipeline, read top to bottom.

Stages meet on disk: whatever is done and whole is kept, so the same command goes on after a stop,
and any stage may be run again alone with its own verb on RUN_FOLDER/seed-N.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from envs import make_world
from envs.files import require_free_space
from experiments.babyai.pipeline import GridPreset, check_grid_preset, run_stages
from experiments.babyai.presets import GRID_PRESETS, SUITES
from experiments.babyai.suite import GridSuite, publish_suite
from experiments.collect import collect_stage
from experiments.evaluate import evaluate_stage
from experiments.folders import REFERENCES, open_run
from experiments.ground import check_base_model, ground_stage
from experiments.imagine import imagine_stage
from experiments.names import require_known
from experiments.origin import command_line, say
from experiments.pool import seed_folders
from experiments.presets import PRESETS, Preset
from experiments.publish import publish
from experiments.results import Results
from experiments.tracking import Run, WandbConfig
from experiments.train import train_stage
from experiments.webshop.pipeline import ShopPreset, check_shop_preset, run_shop_stages
from experiments.webshop.presets import SHOP_PRESETS
from offline_rl.algorithms import action_kind, find_algorithm


@dataclass(frozen=True)
class RunOptions:
    """Runs a preset from nothing to a table and a report; any setting of it may be changed."""

    run_folder: Path | None = None  # by default runs/PRESET
    overwrite: bool = False  # make stages of other settings anew
    wandb: WandbConfig = field(default_factory=WandbConfig)  # mirror of every seed's run


@dataclass(frozen=True, kw_only=True)
class Command(RunOptions):
    """Runs a preset from nothing to a table and a report; any setting of it may be changed."""

    preset: Annotated[Preset, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class GridCommand(RunOptions):
    """Runs a preset from nothing to a table and a report; any setting of it may be changed."""

    preset: Annotated[GridPreset, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class ShopCommand(RunOptions):
    """Runs a preset from nothing to a table and a report; any setting of it may be changed."""

    preset: Annotated[ShopPreset, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class SuiteCommand(RunOptions):
    """Runs several presets one after the other; any setting of them may be changed."""

    preset: Annotated[GridSuite, tyro.conf.arg(name="")]


OnePreset = Preset | GridPreset | ShopPreset
AnyPreset = TypeVar("AnyPreset", bound=OnePreset)
ALL_PRESETS: dict[str, Callable[[], OnePreset | GridSuite]] = {
    **PRESETS,
    **GRID_PRESETS,
    **SUITES,
    **SHOP_PRESETS,
}


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: kalm run PRESET [options]; `kalm run PRESET --help` shows its settings\n")
        for name, make in ALL_PRESETS.items():
            print(f"  {name:<18} {make.__doc__}")
        return 0 if arguments else 2
    name = arguments[0]
    require_known("preset", name, ALL_PRESETS)
    preset = ALL_PRESETS[name]()
    default = _default(preset)
    command = tyro.cli(
        type(default), default=default, args=list(arguments[1:]), prog=f"kalm run {name}"
    )
    folder = command.run_folder or Path("runs") / name
    words = command_line("run", arguments)
    if isinstance(command.preset, GridSuite):
        run_suite(command.preset, folder, words, command.wandb, overwrite=command.overwrite)
    else:
        run_pipeline(command.preset, folder, words, command.wandb, overwrite=command.overwrite)
    return 0


def _default(
    preset: OnePreset | GridSuite,
) -> Command | GridCommand | ShopCommand | SuiteCommand:
    """The command that runs `preset` unchanged."""
    if isinstance(preset, Preset):
        return Command(preset=preset)
    if isinstance(preset, GridPreset):
        return GridCommand(preset=preset)
    if isinstance(preset, ShopPreset):
        return ShopCommand(preset=preset)
    return SuiteCommand(preset=preset)


def run_suite(
    suite: GridSuite, folder: Path, command: str, wandb: WandbConfig, *, overwrite: bool = False
) -> Results:
    """Every part of `suite` in a folder of its own, then the results of all parts in `folder`."""
    found = {
        name: run_pipeline(preset, folder / name, command, wandb, overwrite=overwrite)
        for name, preset in suite.parts.items()
    }
    return publish_suite(folder, found)


def run_pipeline(
    preset: OnePreset,
    folder: Path,
    command: str,
    wandb: WandbConfig,
    *,
    overwrite: bool = False,
) -> Results:
    """Every seed of `preset`, then the results of all seeds in `folder`, which are returned."""
    check_preset(preset)
    require_free_space(folder, int(preset.free_gigabytes * 1e9 * len(preset.seeds)))
    with open_run(folder, "run", preset, command, WandbConfig(), shared=True) as run:
        for seed in preset.seeds:  # each may run alone, which is why the folder is shared
            run_seed(with_seed(preset, seed), folder, seed, command, wandb, overwrite=overwrite)
            run.note_start()
        return publish(folder)


def check_preset(preset: OnePreset) -> None:
    """Checks every name in `preset` against its world, before anything is written.

    Raises:
        ValueError: an environment, level, algorithm or base model is unknown.
    """
    if isinstance(preset, GridPreset):
        check_grid_preset(preset)
        return
    if isinstance(preset, ShopPreset):
        check_shop_preset(preset)
        return
    world = make_world(preset.collect.environment)
    for level in (*preset.evaluate.levels, *preset.imagine.rollouts.shares):
        require_known("level", level, world.levels)
    for algorithm in preset.train.algorithms:
        find_algorithm(algorithm, action_kind(world.spaces))
    check_base_model(preset.ground.base)


def run_seed(
    preset: OnePreset,
    folder: Path,
    seed: int,
    command: str,
    wandb: WandbConfig,
    *,
    overwrite: bool,
) -> None:
    """One seed from real rollouts to the success of its agents, in `folder`/seed-N."""
    say(f"seed {seed}")
    mirror = replace(wandb, group=wandb.group or folder.name)
    with open_run(folder / f"seed-{seed}", "run", preset, command, mirror) as run:
        lacks = partial(_lacks_references, folder, run)
        if isinstance(preset, GridPreset):
            run_stages(preset, run, command, overwrite=overwrite, lacks_references=lacks)
            return
        if isinstance(preset, ShopPreset):
            run_shop_stages(preset, run, command, overwrite=overwrite, lacks_references=lacks)
            return
        collect_stage(run, preset.collect, command, overwrite=overwrite)
        ground_stage(run, preset.ground, command, overwrite=overwrite)
        imagine_stage(run, preset.imagine, command, overwrite=overwrite)
        train_stage(run, preset.train, command, overwrite=overwrite)
        wanted = preset.evaluate.references and lacks()
        evaluate = replace(preset.evaluate, references=wanted)
        evaluate_stage(run, evaluate, command, overwrite=overwrite)


def with_seed(preset: AnyPreset, seed: int) -> AnyPreset:
    """`preset` with `seed` in every stage that draws; tasks of the evaluation stay the same."""
    drawing = [name for name, stage in vars(preset).items() if hasattr(stage, "seed")]
    stages = {name: replace(getattr(preset, name), seed=seed) for name in drawing}
    return dataclasses.replace(preset, **stages)


def _lacks_references(folder: Path, run: Run) -> bool:
    """Whether no other seed of `folder` holds the rows that do not depend on training."""
    others = [seed for seed in seed_folders(folder) if seed != run.folder]
    return not any((seed / REFERENCES).is_dir() for seed in others)
