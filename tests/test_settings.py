"""Numbers outside their range are refused when settings are made, by the name of the option."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from envs.settings import Count, NotNegative, Part, Positive, Probability, Settings, Share, Whole
from experiments.pipeline import ALL_PRESETS


@dataclass(frozen=True)
class Numbers(Settings):
    """One field of each kind."""

    count: Count = 1
    whole: Whole = 0
    positive: Positive = 0.5
    not_negative: NotNegative = 0.0
    share: Share = 1.0
    probability: Probability = 0.0
    part: Part = 0.5
    sizes: tuple[Count, ...] = (1, 2)
    optional: Positive | None = None


def numbers_of(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all fields below `settings` that hold a number."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers_of(value, (*path, field.name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, field.name)


def with_value(settings: Any, path: tuple[str, ...], value: object) -> Any:
    """`settings` with the field at `path` replaced."""
    name, *rest = path
    changed = with_value(getattr(settings, name), tuple(rest), value) if rest else value
    return dataclasses.replace(settings, **{name: changed})


def test_numbers_at_the_ends_of_their_ranges_are_allowed() -> None:
    numbers = Numbers(count=1, whole=0, share=1.0, probability=0.0, sizes=(), optional=1e-9)
    assert dataclasses.astuple(numbers) == (1, 0, 0.5, 0.0, 1.0, 0.0, 0.5, (), 1e-9)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 0, "--count of at least 1, got 0"),
        ("whole", -1, "--whole of at least 0, got -1"),
        ("positive", 0.0, "--positive above 0, got 0.0"),
        ("positive", math.inf, "--positive above 0, got inf"),
        ("not_negative", math.nan, "--not-negative of at least 0, got nan"),
        ("share", 1.5, r"--share in \[0, 1\], got 1.5"),
        ("probability", 1.0, r"--probability in \[0, 1\), got 1.0"),
        ("part", 0.0, r"--part in \(0, 1\), got 0.0"),
        ("sizes", (3, 0), "--sizes of at least 1, got 0"),
        ("optional", -1.0, "--optional above 0, got -1.0"),
    ],
)
def test_the_error_names_option_rule_and_value(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Numbers(**{name: value})


@pytest.mark.parametrize("preset", sorted(ALL_PRESETS))
def test_no_number_of_a_preset_may_be_negative_or_no_number(preset: str) -> None:
    settings = ALL_PRESETS[preset]()
    for path in numbers_of(settings):
        for value in (-1, math.nan, math.inf):
            with pytest.raises(ValueError, match="Expected"):
                with_value(settings, path, value)
