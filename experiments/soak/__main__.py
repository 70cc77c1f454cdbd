"""`python -m experiments.soak`: every check at its full count, into experiments/results/soak.json.

Rows are done by several processes, each with a toy run of its own. A row that held is not done
again while the code is of the same commit, so that a soak that was stopped goes on where it was.
"""

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import tyro

from envs.stopping import end_with_parent
from experiments.names import require_known
from experiments.origin import commit, say
from experiments.results import write_text
from experiments.soak.check import NotHeldError
from experiments.soak.rows import CHECKS, Soak
from experiments.soak.table import earlier_rows, load_rows, markdown, put_into, save_rows

RESULTS = Path("experiments/results/soak.json")
FAILURES = (NotHeldError, ValueError, OSError, ArithmeticError, RuntimeError, AssertionError)
FAILURES_OF_CODE = (LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Command:
    """Does every check of trust and writes what was found."""

    rows: tyro.conf.Positional[tuple[str, ...]] = ()  # names of checks; all by default
    jobs: int = 2  # rows that are done at the same time
    quick: bool = False  # small counts, for trying out; never published
    again: bool = False  # also checks that held before
    folder: Path = Path("runs/soak")  # for the runs that are killed and damaged
    results: Path = RESULTS  # written once every check was done at its full count
    readme: Path | None = None  # only put the table of --results into this page
    seed: int = 0  # of moments, bits and goals

    def __post_init__(self) -> None:
        for name in self.rows:
            require_known("check", name, CHECKS)
        if self.jobs < 1:
            raise ValueError(f"Expected --jobs >= 1, got {self.jobs}.")


def main() -> int:
    """Does the wanted checks; 1 if one did not hold."""
    command = tyro.cli(Command, prog="python -m experiments.soak")
    if command.readme is not None:
        page = command.readme.read_text("utf-8")
        write_text(command.readme, put_into(page, load_rows(command.results)))
        return 0
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
    for name, row in done_rows(command, folder, left):
        rows[name] = {**row, "commit": here}
        save_rows(found, rows, command.seed, quick=command.quick)
    print(markdown(rows))
    if not command.quick and rows.keys() == CHECKS.keys():
        save_rows(command.results, rows, command.seed, quick=False)
        say(f"results: {command.results}")
    return int(not all(rows[name]["passed"] for name in wanted))


def done_rows(
    command: Command, folder: Path, names: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by name, as they are done."""
    context = multiprocessing.get_context("spawn")
    folders = context.Queue()
    for number in range(command.jobs):
        folders.put(folder / f"worker-{number}")
    number = min(command.jobs, max(1, len(names)))
    with ProcessPoolExecutor(
        number, context, initializer=_begin, initargs=(folders, command.seed, command.quick)
    ) as executor:
        waiting = {executor.submit(_do_own, name): name for name in names}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


_OWN: list[Soak] = []  # what a worker's rows share


def _begin(folders: "Queue[Path]", seed: int, quick: bool) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = folders.get()
    folder.mkdir(parents=True, exist_ok=True)
    _OWN.append(Soak(folder, seed, quick=quick))


def _do_own(name: str) -> dict[str, Any]:
    return do(_OWN[0], name)


def do(soak: Soak, name: str) -> dict[str, Any]:
    """The row of one check, whether it held or not."""
    say(f"{name}: {CHECKS[name].claim}")
    started = time.monotonic()
    row: dict[str, Any] = {"claim": CHECKS[name].claim}
    try:
        row |= {"passed": True, **asdict(CHECKS[name].do(soak))}
    except (*FAILURES, *FAILURES_OF_CODE) as error:
        traceback.print_exc()
        row |= {"passed": False, "problem": str(error)}
    row["seconds"] = round(time.monotonic() - started, 1)
    outcome = "held" if row["passed"] else f"DID NOT HOLD: {row['problem']}"
    say(f"{name}: {outcome} ({row['seconds']} s)")
    return row


if __name__ == "__main__":
    sys.exit(main())
