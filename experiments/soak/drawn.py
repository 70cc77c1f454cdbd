"""Values drawn by `hypothesis`: always the same, and simpler ones where something fails."""

from collections.abc import Callable
from typing import Any


def strategies() -> Any:
    """What values can be drawn from."""
    return _hypothesis().strategies


def json_values() -> Any:
    """Any JSON value of a few leaves; numbers that JSON does not know are among them."""
    known = strategies()
    scalars = known.none() | known.booleans() | known.integers() | known.floats()
    scalars |= known.text(max_size=8)
    return known.recursive(
        scalars,
        lambda inner: (
            known.lists(inner, max_size=3)
            | known.dictionaries(known.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=6,
    )


def try_drawn(check: Callable[..., None], examples: int, *wanted: Any) -> None:
    """Calls `check` with `examples` draws from the strategies `wanted`."""
    library = _hypothesis()
    settings = library.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(library.HealthCheck),
    )
    settings(library.given(*wanted)(check))()


def _hypothesis() -> Any:
    try:
        import hypothesis
        import hypothesis.strategies
    except ImportError:
        raise ValueError("Fuzzing needs `hypothesis`. Run `pip install 'kalm[dev]'`.") from None
    return hypothesis
