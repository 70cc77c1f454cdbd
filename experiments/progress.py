"""Progress with an estimate of the time left, through plain callbacks.

On a terminal a bar; elsewhere (logs, pipes) one line now and then, and one at the end.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from experiments.origin import is_main_process

Advance = Callable[[int], None]  # called with the number of units done so far

SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def progress(description: str, total: int, unit: str = "") -> Iterator[Advance]:
    """A callback that takes the number of units done and shows how far `description` is.

    Only the first process of a distributed job shows anything.

    Args:
        total: units of the whole work; 0 or less where it is not known.
        unit: name of a unit, such as "rollouts".
    """
    if not is_main_process():
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(description, total, unit) as advance:
            yield advance
    else:
        lines = _Lines(description, total, unit)
        yield lines.advance
        lines.close()


@contextmanager
def _bar(description: str, total: int, unit: str) -> Iterator[Advance]:
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description:<28}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn(unit),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("left"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(description, total=total if total > 0 else None)
        yield lambda done: display.update(task, completed=done)


class _Lines:
    """Progress as plain lines on standard error."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._start = self._last_line = time.monotonic()
        self._done = 0
        self._first: tuple[int, float] | None = None

    def advance(self, done: int) -> None:
        self._done = done
        now = time.monotonic()
        seconds = now - self._start
        self._first = self._first or (done, seconds)
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._write(progress_line(done, self._total, self._unit, seconds, self._first))

    def close(self) -> None:
        seconds = time.monotonic() - self._start
        self._write(f"{self._done:,} {self._unit}".rstrip() + f" in {clock(seconds)}")

    def _write(self, text: str) -> None:
        print(f"{self._description}: {text}", file=sys.stderr, flush=True)


def progress_line(
    done: int, total: int, unit: str, seconds: float, first: tuple[int, float] = (0, 0.0)
) -> str:
    """One line of progress, such as ``50 of 200 rollouts (25 %), 0:30 left``.

    Args:
        seconds: time spent so far.
        first: units and seconds at the first report. What came before it, such as compiling or the
            part that a resumed job had done, says nothing of the pace.
    """
    if total <= 0:
        return f"{done:,} {unit}".rstrip() + f", {clock(seconds)} so far"
    share = f"{done:,} of {total:,} {unit}".rstrip() + f" ({done / total:.0%})".replace("%", " %")
    done_since, seconds_since = done - first[0], seconds - first[1]
    if done_since <= 0:
        return share
    return f"{share}, {clock(seconds_since / done_since * max(total - done, 0))} left"


def clock(seconds: float) -> str:
    """A duration as ``minutes:seconds`` or ``hours:minutes:seconds``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
