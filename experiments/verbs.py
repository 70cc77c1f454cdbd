"""What the verbs of single stages share: a run folder, its settings, and one way to start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import tyro

from experiments.folders import open_run
from experiments.origin import command_line
from experiments.tracking import Run, WandbConfig


@dataclass(frozen=True)
class StageCommand:
    """A verb that works on one run folder."""

    run_folder: tyro.conf.Positional[Path]  # what earlier stages wrote is there
    overwrite: bool = False  # replace what this stage wrote with other settings
    wandb: WandbConfig = field(default_factory=WandbConfig)  # mirror of the run


class StageFunction(Protocol):
    """Does a stage, or nothing if it is done."""

    def __call__(self, run: Run, settings: Any, command: str, *, overwrite: bool) -> None:
        """Reads and writes `run.folder`; `command` goes into the cards of what is written."""
        ...


def start_verb(
    verb: str,
    command_type: Callable[..., Any],
    stage: StageFunction,
    arguments: Sequence[str],
    *,
    begins: bool = False,
    shared: bool = False,
) -> int:
    """Parses a verb's arguments and does its stage; 0 when the output is whole.

    Args:
        command_type: dataclass with the fields of `StageCommand` and `settings`.
        begins: the stage may make the run folder; others need one.
        shared: several processes may do the stage together, each started by itself.

    Raises:
        ValueError: there is no such run folder.
    """
    command = tyro.cli(command_type, args=list(arguments), prog=f"kalm {verb}")
    folder: Path = command.run_folder
    if not begins and not (folder / "stages").is_dir():
        raise ValueError(f"No run in `{folder}`. Start one with `kalm collect {folder}`.")
    words = command_line(verb, arguments)
    with open_run(folder, verb, command.settings, words, command.wandb, shared=shared) as run:
        stage(run, command.settings, words, overwrite=command.overwrite)
    return 0
