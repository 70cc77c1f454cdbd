"""Rows done by several processes at once, each with a toy run of its own."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from envs.stopping import end_with_parent
from experiments.origin import say
from experiments.soak.check import NotHeldError
from experiments.soak.rows import CHECKS, Soak

LONGEST = ("fuzz", "kills-train", "flips", "volume")  # begun first, so that workers end together
FAILURES = (NotHeldError, ValueError, OSError, ArithmeticError, RuntimeError, AssertionError)
FAILURES_OF_CODE = (LookupError, TypeError, AttributeError)


def done_rows(
    names: Sequence[str], folder: Path, jobs: int, seed: int, *, quick: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by name, in the order in which they are done.

    Args:
        folder: for the runs that are killed and damaged.
        jobs: rows that are done at the same time.
        seed: of moments, bits and goals.
        quick: small counts.
    """
    context = multiprocessing.get_context("spawn")
    folders = context.Queue()
    for number in range(jobs):
        folders.put(folder / f"worker-{number}")
    with ProcessPoolExecutor(
        jobs, context, initializer=_begin, initargs=(folders, seed, quick)
    ) as executor:
        longest_first = sorted(names, key=lambda name: name not in LONGEST)
        waiting = {executor.submit(_do_own, name): name for name in longest_first}
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
