"""Ending well when asked to (SIGTERM): at once, or after a checkpoint where one can be written.

Schedulers send SIGTERM before they kill. `end_on_sigterm` turns it into `Stopped`, which unwinds
like an error; a loop that can save its state asks inside `deferred` and stops by itself.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """The process was asked to end; what it has published is whole."""


class _Requests:
    """What this process was asked."""

    asked = False
    num_deferring = 0


def end_on_sigterm() -> None:
    """From now on SIGTERM raises `Stopped` in the main thread."""
    _Requests.asked = False
    signal.signal(signal.SIGTERM, _on_signal)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Whether the process was asked to end; inside, nothing is raised before the block ends."""
    _Requests.num_deferring += 1
    try:
        yield lambda: _Requests.asked
    finally:
        _Requests.num_deferring -= 1
    if _Requests.asked:
        raise Stopped


def end_with_parent() -> None:
    """Ends this worker when the process that started it is gone, even where that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    watched = parent

    def watch() -> None:
        watched.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_signal(number: int, frame: FrameType | None) -> None:
    _Requests.asked = True
    if not _Requests.num_deferring:
        raise Stopped
