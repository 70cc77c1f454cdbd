"""Command lines as a user gives them, within this process: how they end, and that they do."""

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import FrameType

from experiments.cli import main
from experiments.soak.check import NotHeldError

LIMIT_SECONDS = 600  # none of these does any work: seconds, unless the machine is very busy


class _Hangs(BaseException):
    """A command line took too long; no error, lest the command line tell of it as one."""


def outcome(arguments: list[str]) -> object:
    """The exit code of a command line, its words thrown away; what it did not catch is raised.

    Raises:
        NotHeldError: it hangs, or an error came through that the command line should have told.
    """
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), _limited():
            return main(arguments)
    except SystemExit as end:  # the parser's own way to end
        return end.code
    except _Hangs:
        raise NotHeldError(f"`kalm {' '.join(arguments)}` hangs.") from None
    except Exception as error:
        raise NotHeldError(
            f"`kalm {' '.join(arguments)}`: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _limited() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Hangs

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
