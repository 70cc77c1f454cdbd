"""Settings that refuse numbers outside their range, before anything starts.

A field says its range in its type: ``steps: Count = 100``. Classes of settings derive from
`Settings`; one with a rule of its own calls `super().__post_init__()` first.
"""

import math
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, get_type_hints


@dataclass(frozen=True)
class Range:
    """Which finite numbers are allowed."""

    low: float
    high: float = math.inf
    above: bool = False  # more than `low`
    below: bool = False  # less than `high`

    def __contains__(self, value: float) -> bool:
        """Whether `value` is allowed; NaN and infinity never are."""
        from_low = value > self.low if self.above else value >= self.low
        to_high = value < self.high if self.below else value <= self.high
        return math.isfinite(value) and from_low and to_high

    def __str__(self) -> str:
        """The rule in words, such as ``of at least 1``."""
        if self.high < math.inf:
            begin, end = "(" if self.above else "[", ")" if self.below else "]"
            return f"in {begin}{self.low:g}, {self.high:g}{end}"
        return f"above {self.low:g}" if self.above else f"of at least {self.low:g}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range(0)]  # where 0 has a meaning, and for seeds
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
Probability = Annotated[float, Range(0, 1, below=True)]  # of dropout and the like: never all
Part = Annotated[float, Range(0, 1, above=True, below=True)]  # neither nothing nor all


class Settings:
    """Base of all settings, which are dataclasses."""

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name, allowed in _ranges(kind).items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and number not in allowed:
                    option = name.replace("_", "-")
                    raise ValueError(f"Expected --{option} {allowed}, got {number}.")


@cache
def _ranges(kind: type) -> dict[str, Range]:
    """The range of each field that has one; of a tuple's or an optional field, of its numbers."""
    hints = get_type_hints(kind, include_extras=True)
    found = {field.name: _range_of(hints[field.name]) for field in fields(kind)}
    return {name: allowed for name, allowed in found.items() if allowed is not None}


def _range_of(hint: object) -> Range | None:
    metadata = getattr(hint, "__metadata__", ())
    for part in (*metadata, *map(_range_of, getattr(hint, "__args__", ()))):
        if isinstance(part, Range):
            return part
    return None
