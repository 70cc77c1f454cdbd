"""Measuring ways of doing the same work side by side: interleaved repeats, medians, equal work.

One thing to know: ratios are medians over repeats of figures that were measured one right after the
other, so that a machine that slows down on the way slows down all ways alike.
"""

import importlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

OURS, PEER, LIMIT = "ours", "peer", "limit"
OURS_BESIDE_PEER = "ours beside the peer"  # where it is measured beside the limit more often
CLOSE = 0.1  # relative difference that `Done.close` allows
Clock = Callable[[], float]


class MissingPeerError(ImportError):
    """What users run today is not installed here, so that there is nothing to compare with."""


class UnequalWorkError(ValueError):
    """Two ways did not do the same work: their speeds say nothing about each other."""


@dataclass(frozen=True)
class Done:
    """What one repeat of a way did."""

    units: float  # of work, such as rollouts
    seconds: float | None = None  # that it took, where the whole call holds more than the work
    equal: Mapping[str, float] = field(default_factory=dict)  # what all ways must agree on
    close: Mapping[str, float] = field(default_factory=dict)  # the same, within `CLOSE`


Way = Callable[[], Done]


@dataclass(frozen=True)
class Plan:
    """What a row of the table says besides its figures."""

    stage: str  # such as "grounding"
    name: str  # of the row within its stage
    unit: str  # of the figures, such as "rollouts/s"
    peer: str = ""  # what users run today, in words
    limit: str = ""  # what bounds the speed, in words
    least_ratio: float | None = None  # to reach, against the peer
    least_share: float | None = None  # to reach, of the limit
    at_most: float | None = None  # to reach, where less is better and there is no peer
    less_is_better: bool = False  # figures are costs, not speeds


@dataclass(frozen=True)
class BenchRow:
    """One line of the table: figures are medians over repeats, None where unmeasured."""

    stage: str
    name: str
    unit: str
    peer_name: str
    limit_name: str
    least_ratio: float | None
    least_share: float | None
    at_most: float | None
    less_is_better: bool
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None  # above 1 we are ahead
    limit: float | None = None
    share: float | None = None  # of the limit
    ratio_range: tuple[float, float] | None = None  # over repeats
    share_range: tuple[float, float] | None = None  # over repeats
    spread: float | None = None  # (largest - least) / median of ours
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # by way, each repeat
    note: str = ""  # why something is unmeasured, or what else to know

    @property
    def reached(self) -> bool | None:
        """Whether every figure to reach is reached; None where one of them is unmeasured."""
        found: list[bool | None] = []
        for value, least in ((self.ratio, self.least_ratio), (self.share, self.least_share)):
            if least is not None:
                found.append(None if value is None else value >= least)
        if self.at_most is not None:
            found.append(None if self.ours is None else self.ours <= self.at_most)
        if False in found:
            return False
        return None if None in found or not found else True


def require_peer(module: str, package: str = "") -> Any:
    """The imported peer `module`.

    Raises:
        MissingPeerError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPeerError(
            f"`{package or module}` is not installed. Install the extra: pip install 'kalm[bench]'."
        ) from error


def interleaved(
    ways: Mapping[str, Way], repeats: int, *, warmups: int = 0, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Units per second of every way in every repeat, the ways in turn within each repeat.

    Every second repeat goes through them backwards. What a way leaves behind, such as a heap that
    was given back and has to grow again, would otherwise always cost the same one after it.

    Args:
        warmups: repeats before the measured ones.

    Raises:
        UnequalWorkError: two ways of a repeat did not do the same work.
    """
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-warmups, repeats):
        done = {}
        for name in list(ways) if repeat % 2 == 0 else reversed(list(ways)):
            began = clock()
            done[name] = ways[name]()
            seconds = clock() - began
            counted = done[name].seconds
            if repeat >= 0:
                figures[name].append(done[name].units / (seconds if counted is None else counted))
        require_equal_work(done)
    return figures


def require_equal_work(done: Mapping[str, Done]) -> None:
    """Checks that all ways did the same work, as far as each of them says.

    Raises:
        UnequalWorkError: a number of `equal` differs, or one of `close` by more than `CLOSE`.
    """
    for kind, tolerance in (("equal", 1e-9), ("close", CLOSE)):
        first: dict[str, tuple[str, float]] = {}
        for name, one in done.items():
            for what, value in getattr(one, kind).items():
                before, expected = first.setdefault(what, (name, value))
                if not math.isclose(value, expected, rel_tol=tolerance):
                    raise UnequalWorkError(
                        f"Expected the same {what} from `{before}` and `{name}`, got {expected:g} "
                        f"and {value:g}. Their speeds cannot be compared; mend the benchmark."
                    )


def measure(
    plan: Plan,
    ways: Mapping[str, Way],
    repeats: int,
    *,
    warmups: int = 0,
    note: str = "",
    clock: Clock = time.perf_counter,
) -> BenchRow:
    """A measured row.

    Args:
        ways: `OURS`, and `PEER` and `LIMIT` where they are measured.
    """
    figures = interleaved(ways, repeats, warmups=warmups, clock=clock)
    return row_of(plan, figures, note)


def row_of(plan: Plan, figures: Mapping[str, Sequence[float]], note: str = "") -> BenchRow:
    """The row of `figures`, by way and repeat; without any of ours it is unmeasured.

    Args:
        figures: of `OURS`, `PEER` and `LIMIT`; of `OURS_BESIDE_PEER` where the peer was not
            measured in the same repeats as the limit.
    """
    row: dict[str, Any] = {
        "stage": plan.stage,
        "name": plan.name,
        "unit": plan.unit,
        "peer_name": plan.peer,
        "limit_name": plan.limit,
        "least_ratio": plan.least_ratio,
        "least_share": plan.least_share,
        "at_most": plan.at_most,
        "less_is_better": plan.less_is_better,
        "note": note,
        "samples": {name: tuple(values) for name, values in figures.items()},
    }
    ours = figures.get(OURS)
    if not ours:
        return BenchRow(**row)
    middle = median(ours)  # 0 where nothing is added, such as memory: nothing wanders either
    spread = (max(ours) - min(ours)) / middle if middle else 0.0
    row |= {"ours": middle, "spread": spread}
    beside = {PEER: figures.get(OURS_BESIDE_PEER, ours), LIMIT: ours}
    for name, quotient in ((PEER, "ratio"), (LIMIT, "share")):
        if others := figures.get(name):
            pairs = zip(beside[name], others, strict=True)
            quotients = [b / a if plan.less_is_better else a / b for a, b in pairs]
            row[name], row[quotient] = median(others), median(quotients)
            row[f"{quotient}_range"] = (min(quotients), max(quotients))
    return BenchRow(**row)


def constant(value: float) -> Way:
    """A way that does nothing and has a known figure."""
    return lambda: Done(value, seconds=1.0)
