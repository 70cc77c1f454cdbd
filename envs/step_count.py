"""How many steps simulators have taken in this process: what proves that learning took none.

Simulators of text and grid worlds call `count_steps`; whoever wants to know asks `counted_steps`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class StepCount:
    """Steps in all environments since counting began."""

    steps: int = 0


_open: list[StepCount] = []


def count_steps(number: int) -> None:
    """Tells everyone who counts that an environment took so many steps."""
    for count in _open:
        count.steps += number


@contextmanager
def counted_steps() -> Iterator[StepCount]:
    """A count of every step that any environment of this process takes within the block."""
    count = StepCount()
    _open.append(count)
    try:
        yield count
    finally:
        _open[:] = [other for other in _open if other is not count]
