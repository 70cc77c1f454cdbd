"""Collection: the same episodes however many processes help, failures kept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from samples import equal_episodes

from envs import make_world
from envs.collect import EPISODES_PER_CHUNK, collect, draw_task
from envs.episode import Episode
from envs.toy import ToyWorld
from envs.world import Goal, Policy, Task

COUNT = 2 * EPISODES_PER_CHUNK + 30


class BrokenWorld(ToyWorld):
    """A world whose policy fails."""

    def behaviour_policy(self) -> Policy:
        return BrokenPolicy()


class BrokenPolicy:
    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        raise RuntimeError("The arm is stuck.")

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def train_goals() -> Sequence[Goal]:
    return ToyWorld().goals("train")


def collected(count: int, seed: int = 3, workers: int = 1, num_slots: int = 64) -> list[Episode]:
    world = make_world("toy")
    return list(collect(world, world.goals("train"), count, seed, workers, num_slots))


def test_two_processes_collect_what_one_collects() -> None:
    alone, helped = collected(COUNT), collected(COUNT, workers=2)
    assert len(alone) == len(helped) == COUNT
    assert all(map(equal_episodes, alone, helped))


def test_an_episode_depends_on_seed_and_index_alone() -> None:
    few, many = collected(7), collected(EPISODES_PER_CHUNK + 3, num_slots=5)
    assert all(map(equal_episodes, few, many))
    others = collected(7, seed=4)
    assert not any(map(equal_episodes, few, others))


def test_provenance_addresses_the_episode() -> None:
    episodes = collected(EPISODES_PER_CHUNK + 3, seed=11)
    last = episodes[-1]
    assert last.provenance["seed"] == 11
    assert last.provenance["index"] == EPISODES_PER_CHUNK + 2
    task = draw_task(ToyWorld(), train_goals(), 11, EPISODES_PER_CHUNK + 2)
    assert task.goal.text == last.goal
    np.testing.assert_array_equal(task.start, last.observations[0])


def test_failures_are_kept_and_marked() -> None:
    world = make_world("toy_continuous")
    episodes = list(collect(world, world.goals("hard"), 60, 0, workers=1))
    failed = [episode for episode in episodes if not episode.success]
    assert 0 < len(failed) < 60
    assert all(len(episode) == world.horizon_steps for episode in failed)
    assert not any(episode.terminated for episode in failed)


def test_goals_and_starts_vary() -> None:
    episodes = collected(60)
    assert len({episode.goal for episode in episodes}) > 30
    assert len({episode.observations[0].tobytes() for episode in episodes}) == 60


def test_progress_counts_up_to_the_end() -> None:
    seen: list[int] = []
    list(collect(ToyWorld(), train_goals(), COUNT, 0, workers=1, on_progress=seen.append))
    assert seen == [EPISODES_PER_CHUNK, 2 * EPISODES_PER_CHUNK, COUNT]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_reaches_the_caller(workers: int) -> None:
    with pytest.raises(RuntimeError, match="The arm is stuck"):
        list(collect(BrokenWorld(), train_goals(), COUNT, 0, workers=workers))


def test_a_reader_may_stop_early() -> None:
    episodes = collect(ToyWorld(), train_goals(), COUNT, 0, workers=2)
    assert equal_episodes(next(episodes), collected(1, seed=0)[0])
    episodes.close()  # type: ignore[attr-defined]  # a generator; workers end with it
    assert list(episodes) == []


def test_nothing_to_collect_is_no_episodes() -> None:
    assert collected(0) == []


def test_impossible_requests_are_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match="at least one goal, got none"):
        collect(ToyWorld(), [], 3, 0)
    with pytest.raises(ValueError, match="workers of at least 1, got 0"):
        collect(ToyWorld(), train_goals(), 3, 0, workers=0)
    with pytest.raises(ValueError, match="count of at least 0, got -1"):
        collect(ToyWorld(), train_goals(), -1, 0)


KILLED_COLLECTION = """
import os, signal, sys
from envs import make_world
from envs.collect import collect

if __name__ == "__main__":
    world = make_world("toy")
    episodes = collect(world, world.goals("train"), 1_000, seed=0, workers=2)
    next(episodes)  # the workers are at work by now
    import multiprocessing
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_killed_collection(tmp_path: Path) -> None:
    script = tmp_path / "collection.py"
    script.write_text(KILLED_COLLECTION)
    said = tmp_path / "said.txt"  # a pipe would wait for workers that live on
    with said.open("w") as out:
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    assert done.returncode == -signal.SIGKILL
    workers = [int(word) for word in said.read_text().split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived the process that it worked for"
        time.sleep(0.05)


def _is_running(process: int) -> bool:
    """Whether a process is there, and more than a record that nobody has asked for yet."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True)
    return found.stdout.strip()[:1] not in (b"", b"Z")
