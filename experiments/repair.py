"""`kalm repair`: the longest verified prefix of damaged episode stores; the damaged are kept."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro

from envs.files import lock_file
from envs.repair import Repair, repair_store
from experiments.stage_records import note_repair
from experiments.tracking import LOCK_FILE
from experiments.verify import STAGES


@dataclass(frozen=True)
class Command:
    """Puts what is whole of a store in its place; in a run, the record of its stage tells so."""

    stores: tyro.conf.Positional[tuple[Path, ...]]  # folders of episodes, such as RUN/data/real


def main(arguments: Sequence[str]) -> int:
    """Repairs the given stores and says what was kept."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm repair")
    if not command.stores:
        raise ValueError("Expected at least one store, got none. Name a folder of episodes.")
    for store in command.stores:
        with _run_of(store) as run:
            repair = repair_store(store)
            _tell(store, repair)
            stage = note_repair(run, store.absolute().relative_to(run).as_posix()) if run else ""
        if stage:
            print(
                f"  `{stage}` of {run} now stands for what was kept. Stages that read it have to "
                f"be made anew, each with --overwrite; `{stage}` with --overwrite makes all of it."
            )
    return 0


def _tell(store: Path, repair: Repair) -> None:
    if repair.damaged is None:
        print(f"{store}: whole, {repair.kept:,} episodes; nothing was changed")
        return
    for problem in repair.problems:
        print(f"  {problem}")
    print(
        f"{store}: kept the first {repair.kept:,} episodes, lost {repair.lost:,}; the store as "
        f"it was is {repair.damaged}"
    )


@contextmanager
def _run_of(store: Path) -> Iterator[Path | None]:
    """The run folder that a store lies in, kept from others meanwhile; None where there is none."""
    above = store.absolute().parents
    run = next((folder for folder in above if (folder / STAGES).is_dir()), None)
    if run is None:
        yield None
        return
    lock = lock_file(run / LOCK_FILE, run)
    try:
        yield run
    finally:
        os.close(lock)
