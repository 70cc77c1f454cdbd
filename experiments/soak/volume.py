"""Many steps: written and read as a stream, in memory that does not grow."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from envs.card import Card
from envs.episode import Episode
from envs.store import EpisodeStore, verify_store, write_store
from experiments.soak.check import Found, require
from experiments.soak.toy_run import finish

STEPS_PER_EPISODE = 100
GROWTH_MB = 128.0  # that counts as flat
VERIFY_SECONDS = 600.0


def write_and_stream(folder: Path, steps: int) -> Found:
    """Writes `steps` steps, streams and verifies them, in a process of its own.

    Raises:
        NotHeldError: memory grew, or verifying took longer than ten minutes.
    """
    report = folder / "volume.json"
    require(finish(_work, folder / "store", steps, report) == 0, "It ended with an error.")
    numbers = json.loads(report.read_text("utf-8"))
    for name in ("written_mb", "streamed_mb"):
        grown = numbers[name] - numbers["start_mb"]
        require(grown < GROWTH_MB, f"Memory grew by {grown:.0f} MB ({name}).")
    require(numbers["verify_seconds"] < VERIFY_SECONDS, "Verifying took too long.")
    return Found(steps, numbers["steps"], numbers)


def _work(store: Path, steps: int, report: Path) -> None:
    episodes = steps // STEPS_PER_EPISODE
    memory: list[float] = []

    def made() -> Iterator[Episode]:
        for number in range(episodes):
            if number == episodes // 10:
                memory.append(resident_mb())  # buffers have their size by now
            yield random_episode(number)

    started = time.monotonic()
    write_store(store, made(), Card("toy", "1", "real"), expected_episodes=episodes)
    written = time.monotonic()
    after_writing = resident_mb()
    seen = sum(len(episode) for episode in EpisodeStore(store))
    streamed = time.monotonic()
    after_streaming = resident_mb()
    assert verify_store(store) == []
    numbers = {
        "steps": seen,
        "start_mb": memory[0],
        "written_mb": after_writing,
        "streamed_mb": after_streaming,
        "write_seconds": written - started,
        "stream_seconds": streamed - written,
        "verify_seconds": time.monotonic() - streamed,
        "store_mb": sum(path.stat().st_size for path in store.rglob("*.parquet")) / 1e6,
    }
    report.write_text(json.dumps(numbers), "utf-8")


def random_episode(number: int) -> Episode:
    """Episode `number` of a hundred steps; the same whenever it is asked for."""
    rng = np.random.default_rng(number)
    return Episode(
        goal="push the red disc",
        observations=rng.random((STEPS_PER_EPISODE + 1, 10), np.float32),
        actions=rng.integers(0, 40, STEPS_PER_EPISODE),
        rewards=rng.random(STEPS_PER_EPISODE, np.float32),
        terminated=True,
        source="real",
        provenance={"seed": 0, "index": number},
    )


def resident_mb() -> float:
    """Memory that this process holds now, in MB; where the system does not say, its peak."""
    status = Path("/proc/self/statm")
    if status.exists():
        import os

        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
