"""How time and memory grow with work: every amount in a process of its own, set-up left out.

`python -m experiments.bench_growth STAGE WORK` does one amount of work and prints what it cost.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.card import Card
from experiments.bench_measure import OURS, BenchRow, Plan, row_of
from experiments.bench_report import Curve, Point
from experiments.bench_rollouts import rollouts, world
from experiments.names import require_known
from experiments.origin import say

MOST_DEVIATION = 10.0  # per cent of time, from a straight line
MOST_MEGABYTES = 50.0  # that streaming stages may grow by
MOST_RUNS, ENOUGH_SECONDS = 3, 10.0  # of one amount: short runs are repeated
STREAMING = ("collect", "store")
SEED = 0


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    factors: tuple[int, ...]  # amounts of work, times those of `work`
    work: Mapping[str, int]  # least amount by stage: rollouts, updates or steps


SIZES = {
    "tiny": Size((1, 2), {"collect": 2, "ground": 16, "imagine": 2, "train": 2, "store": 100}),
    "quick": Size(
        (1, 4, 16),
        {"collect": 50, "ground": 32, "imagine": 32, "train": 50, "store": 5_000},
    ),
    "full": Size(
        (1, 4, 16, 64),
        {"collect": 1_450, "ground": 128, "imagine": 128, "train": 500, "store": 15_650},
    ),
}


def rows(size: Size) -> Iterator[BenchRow | Curve]:
    """A curve of every stage, and how straight and how flat it is."""
    for stage, least in size.work.items():
        points = tuple(measured(stage, factor * least) for factor in size.factors)
        yield Curve(stage, WORK[stage].unit, points)
        plan = Plan(
            "growth",
            f"{stage}, time: deviation from a line",
            "%",
            at_most=MOST_DEVIATION,
            less_is_better=True,
        )
        yield row_of(plan, {OURS: [100 * deviation_from_line(points)]}, _span(stage, points))
        if stage in STREAMING:
            plan = Plan(
                "growth",
                f"{stage}, memory: added",
                "MB",
                at_most=MOST_MEGABYTES,
                less_is_better=True,
            )
            added = max(0.0, points[-1].peak_megabytes - points[1].peak_megabytes)
            yield row_of(plan, {OURS: [added]}, _span(stage, points[1:]))


def _span(stage: str, points: Sequence[Point]) -> str:
    unit = WORK[stage].unit
    return f"from {points[0].work:,.0f} to {points[-1].work:,.0f} {unit}"


def deviation_from_line(points: Sequence[Point]) -> float:
    """Largest relative distance of times from the straight line that fits them best.

    The line may begin above zero and is fitted to relative distances, so that small amounts of
    work count as much as large ones.
    """
    work = np.array([point.work for point in points])
    seconds = np.array([point.seconds for point in points])
    table = np.stack([1 / seconds, work / seconds], axis=1)
    (offset, slope), *_ = np.linalg.lstsq(table, np.ones(len(points)))
    return float(np.abs((offset + slope * work) / seconds - 1).max())


def measured(stage: str, work: int) -> Point:
    """One amount of work: the median time of some runs, or of one that takes long enough."""
    points: list[Point] = []
    while len(points) < MOST_RUNS and sum(point.seconds for point in points) < ENOUGH_SECONDS:
        points.append(_run(stage, work))
    seconds = statistics.median(point.seconds for point in points)
    point = Point(work, seconds, max(point.peak_megabytes for point in points))
    say(f"growth: {stage}, {work:,}: {point.seconds:.1f} s, {point.peak_megabytes:,.0f} MB")
    return point


def _run(stage: str, work: int) -> Point:
    command = [sys.executable, "-m", "experiments.bench_growth", stage, str(work)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    return Point(**json.loads(done.stdout.splitlines()[-1]))


def _collect(count: int, folder: Path) -> float:
    from envs.collect import collect
    from envs.store import write_store

    goals = world().goals(world().levels[0])
    list(collect(world(), goals, 1, SEED, workers=1))  # compiles the physics, once for a machine
    began = time.perf_counter()
    write_store(folder / "store", collect(world(), goals, count, SEED, workers=1), _card())
    return time.perf_counter() - began


def _ground(count: int, folder: Path) -> float:
    from experiments.bench_grounding import WholeRollouts
    from experiments.bench_models import grounded
    from kalm.finetune import FinetuneConfig, finetune

    batch = 16
    episodes = rollouts(count, 12)
    model = grounded(128, 4, episodes)
    config = FinetuneConfig(
        num_steps=count // batch,
        batch_size=batch,
        bucket_batches=4,
        validate_steps=count,
        checkpoint_steps=count,
    )
    stream = WholeRollouts(model, episodes)
    return finetune(model, stream, None, config, folder / "model", base_model="bench").seconds


def _imagine(count: int, folder: Path) -> float:
    from envs.episode import Episode
    from envs.store import write_store
    from experiments.bench_imagination import imagining_engine, requests_for

    starts = rollouts(64)
    engine = imagining_engine(
        (128, 4), "entity", starts, [1 + index % 12 for index in range(count)], num_slots=32
    )

    def imagined() -> Iterator[Episode]:
        for request in engine.imagine(requests_for(starts, count)):
            steps = len(request.actions)
            yield Episode(
                goal=request.goal,
                observations=np.stack(request.observations),
                actions=np.stack(request.actions),
                rewards=np.zeros(steps, np.float32),
                terminated=True,
                source="imagined",
            )

    began = time.perf_counter()
    write_store(folder / "store", imagined(), _card(), expected_episodes=count)
    return time.perf_counter() - began


def _train(count: int, folder: Path) -> float:
    from experiments.bench_offline import flat_of, train

    done = train(flat_of(rollouts(400)), "bc", count)
    assert done.seconds is not None
    return done.seconds


def _store(count: int, folder: Path) -> float:
    from envs.store import EpisodeStore, verify_store, write_store
    from experiments.bench_store import STEPS, random_episodes

    began = time.perf_counter()
    path = write_store(folder / "store", random_episodes(count // STEPS), _card())
    assert not verify_store(path)
    steps = sum(len(episode) for episode in EpisodeStore(path).episodes())
    assert steps == count // STEPS * STEPS
    return time.perf_counter() - began


def _card() -> Card:
    return Card(world().name, world().version, "real")


@dataclass(frozen=True)
class _Work:
    """How a stage's work is done."""

    unit: str
    do: Callable[[int, Path], float]  # an amount, and a folder to write to: seconds


WORK = {
    "collect": _Work("rollouts", _collect),
    "ground": _Work("rollouts", _ground),
    "imagine": _Work("rollouts", _imagine),
    "train": _Work("updates", _train),
    "store": _Work("steps", _store),
}


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("Expected VmHWM in /proc/self/status, found none. Growth needs Linux.")


def save_figure(curves: Sequence[Curve], path: Path) -> None:
    """Draws time and memory against work, both relative to the least amount of work."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), dpi=160)
    FigureCanvasAgg(figure)
    times, memory = figure.subplots(1, 2)
    for curve in curves:
        factors = [point.work / curve.points[0].work for point in curve.points]
        first = curve.points[0].seconds
        relative = [point.seconds / first for point in curve.points]
        times.plot(factors, relative, marker="o", label=curve.stage)
        memory.plot(factors, [point.peak_megabytes for point in curve.points], marker="o")
    limits = times.get_xlim()
    times.plot(limits, limits, color="#b3aca0", linewidth=1, zorder=0)
    for panel, title in ((times, "time, times the first"), (memory, "peak memory, MB")):
        panel.set_xscale("log", base=4)
        panel.set_xlabel("work, times the first")
        panel.set_title(title, fontsize=10, loc="left", fontweight="bold")
    times.set_yscale("log", base=4)
    memory.set_ylim(bottom=0)
    times.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def main(arguments: Sequence[str]) -> int:
    """Does one amount of work and prints its cost as JSON."""
    stage, amount = arguments
    require_known("stage", stage, WORK)
    with tempfile.TemporaryDirectory() as folder:
        seconds = WORK[stage].do(int(amount), Path(folder))
    print(json.dumps(Point(int(amount), seconds, peak_megabytes()).__dict__))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
