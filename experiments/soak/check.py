"""A check: what it claims, how often it tried, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Number = int | float


class NotHeldError(RuntimeError):
    """A claim did not hold; the message says where."""


@dataclass(frozen=True)
class Found:
    """What a check counted; it held, or it would have raised."""

    tried: int  # kills, flips, goals, steps, ...
    held: int  # how many of them did as claimed
    numbers: Mapping[str, Number] = field(default_factory=dict)
    note: str = ""  # how it was done here


def require(truth: bool, problem: str) -> None:
    """Raises `NotHeldError` with `problem` unless `truth`."""
    if not truth:
        raise NotHeldError(problem)
