"""`python -m experiments.soak`: every check at its full count, into experiments/results/soak.json.

Rows are done by several processes, each with a toy run of its own. A row that held is not done
again while the code is of the same commit, so that a soak that was stopped goes on where it was.
"""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from envs.settings import Count, Settings, Whole
from experiments.names import require_known
from experiments.origin import commit, say
from experiments.results import write_text
from experiments.soak.rows import CHECKS
from experiments.soak.table import earlier_rows, load_rows, markdown, put_into, save_rows
from experiments.soak.workers import done_rows

RESULTS = Path("experiments/results/soak.json")


@dataclass(frozen=True)
class Command(Settings):
    """Does every check of trust and writes what was found."""

    rows: tyro.conf.Positional[tuple[str, ...]] = ()  # names of checks; all by default
    jobs: Count = 2  # rows that are done at the same time
    quick: bool = False  # small counts, for trying out; never published
    again: bool = False  # also checks that held before
    folder: Path = Path("runs/soak")  # for the runs that are killed and damaged
    results: Path = RESULTS  # written once every check was done at its full count
    readme: Path | None = None  # only put the table of --results into this page
    seed: Whole = 0  # of moments, bits and goals

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.rows:
            require_known("check", name, CHECKS)


def main() -> int:
    """Does the wanted checks; 1 if one did not hold."""
    try:
        command = tyro.cli(Command, prog="python -m experiments.soak")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if command.readme is not None:
        page = command.readme.read_text("utf-8")
        write_text(command.readme, put_into(page, load_rows(command.results)))
        return 0
    os.environ["HF_HUB_OFFLINE"] = "1"  # before workers import what reads it
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: what was found is on disk
    folder = command.folder.absolute()
    found, here = folder / "rows.json", commit()
    rows = earlier_rows(found, here, command.seed, quick=command.quick)
    wanted = command.rows or tuple(CHECKS)
    if command.again:
        rows = {name: row for name, row in rows.items() if name not in wanted}
    if kept := [name for name in wanted if name in rows]:
        say(f"held before, kept: {', '.join(kept)}")
    left = [name for name in wanted if name not in rows]
    for name, row in done_rows(left, folder, command.jobs, command.seed, quick=command.quick):
        rows[name] = {**row, "commit": here}
        save_rows(found, rows, command.seed, quick=command.quick)
    print(markdown(rows))
    if not command.quick and rows.keys() == CHECKS.keys():
        save_rows(command.results, rows, command.seed, quick=False)
        say(f"results: {command.results}")
    return int(not all(rows[name]["passed"] for name in wanted))


if __name__ == "__main__":
    sys.exit(main())
