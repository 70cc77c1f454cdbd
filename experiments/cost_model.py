"""What a large run costs: stages as work that divides among processes, or does not.

A stage's hours follow from its amount, the measured rate of one process, the most processes that
can share it, and the pieces into which it falls: a piece is done by one process, so that a stage
takes whole rounds of pieces. Setting up (loading a model) is paid by every process once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

NO_LIMIT = 1 << 40  # processes


@dataclass(frozen=True)
class Rate:
    """A measured or given number, and where it comes from."""

    value: float
    unit: str  # such as "steps/s"
    source: str  # a file, a measurement made now, or "given"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"Expected a rate above 0 {self.unit}, got {self.value}.")


@dataclass(frozen=True)
class Work:
    """What one stage has to do."""

    stage: str
    amount: float  # in units of the rate
    rate: Rate  # of one process
    most: int = NO_LIMIT  # processes that can share it
    pieces: int = 0  # indivisible ones; 0 where it divides as it likes
    setup_seconds: float = 0.0  # of every process
    limited_by: str = ""  # why no more processes can share it

    def processes(self, available: int) -> int:
        """Processes that have something to do."""
        return max(1, min(available, self.most, self.pieces or available))

    def seconds(self, available: int) -> float:
        """From start to end, with `available` processes."""
        processes = self.processes(available)
        whole = self.amount / self.rate.value
        if not self.pieces:
            return self.setup_seconds + whole / processes
        rounds = math.ceil(self.pieces / processes)
        return self.setup_seconds + rounds * whole / self.pieces

    def process_seconds(self, available: int) -> float:
        """Seconds that all processes together are busy."""
        return self.processes(available) * self.setup_seconds + self.amount / self.rate.value


@dataclass(frozen=True)
class Bottleneck:
    """Where the time goes, and where it will go next."""

    stage: str  # that takes longest
    share: float  # of all hours
    saved_by_doubling: float  # share of all hours that twice the processes save
    next_stage: str  # that takes longest with ever more processes; the same if it is so already
    next_from: int  # processes from which it does


def total_seconds(works: Sequence[Work], processes: int) -> float:
    """All stages one after the other."""
    return sum(work.seconds(processes) for work in works)


def longest(works: Sequence[Work], processes: int) -> Work:
    """The stage that takes longest."""
    return max(works, key=lambda work: work.seconds(processes))


def bottleneck(works: Sequence[Work], processes: int) -> Bottleneck:
    """The stage that takes longest now, and the next one on the way to ever more processes."""
    now, total = longest(works, processes), total_seconds(works, processes)
    following, count = now, processes
    while following.stage == now.stage and count < NO_LIMIT:
        count *= 2
        following = longest(works, count)
    low, high = count // 2, count  # with `low` processes it is still the first one
    while following.stage != now.stage and high - low > 1:
        middle = (low + high) // 2
        if longest(works, middle).stage == now.stage:
            low = middle
        else:
            high = middle
    same = following.stage == now.stage
    return Bottleneck(
        stage=now.stage,
        share=now.seconds(processes) / total,
        saved_by_doubling=1 - total_seconds(works, 2 * processes) / total,
        next_stage=longest(works, high).stage,
        next_from=processes if same else high,
    )
