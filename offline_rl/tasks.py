"""Evaluation tasks: a fixed, addressable list of goals and starts that training never sees.

Task i of a kind of goals is a function of (seed, level, kind, i) alone, from a stream of its own,
so that more episodes only add tasks. They are stored with a hash and checked when read back.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.world import Goal, Task, World

MIN_PER_KIND = 20
_EVALUATION_STREAM = 5  # spawn key: collection uses keys of one number, these have four


def make_tasks(
    world: World, level: str, episodes: int, seed: int, min_per_kind: int = MIN_PER_KIND
) -> list[Task]:
    """At least `episodes` tasks of a level, kind by kind.

    Kinds get episodes by their number of goals, but no fewer than `min_per_kind` where a level has
    several; goals of a kind come in a shuffled round, so that each is asked about equally often.

    Raises:
        ValueError: the level is unknown, or `episodes` is not positive.
    """
    if level not in world.levels:
        raise ValueError(f"Unknown level `{level}`. Known: {', '.join(world.levels)}.")
    if episodes < 1:
        raise ValueError(f"Expected at least one episode, got {episodes}.")
    kinds = goals_by_kind(world, level)
    total = sum(len(goals) for goals in kinds.values())
    least = min_per_kind if len(kinds) > 1 else 1
    tasks: list[Task] = []
    for place, goals in enumerate(kinds.values()):
        count = max(least, -(-episodes * len(goals) // total))
        key = (_EVALUATION_STREAM, world.levels.index(level), place)
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        shuffled = order.permutation(len(goals))
        for index in range(count):
            goal = goals[shuffled[index % len(goals)]]
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*key, index)))
            tasks.append(Task(goal, world.draw_starts(1, rng)[0], int(rng.integers(2**62))))
    return tasks


def goals_by_kind(world: World, level: str) -> dict[str, list[Goal]]:
    """Goals of a level by kind, both in the world's order."""
    kinds: dict[str, list[Goal]] = {}
    for goal in world.goals(level):
        kinds.setdefault(goal.kind, []).append(goal)
    return kinds


@dataclass(frozen=True)
class TaskFile:
    """Tasks by level, and what they belong to."""

    world: str
    world_version: str
    seed: int
    tasks: Mapping[str, Sequence[Task]]  # by level

    @property
    def sha256(self) -> str:
        """Hash of the world, the seed and every task's content."""
        digest = hashlib.sha256(f"{self.world}\n{self.world_version}\n{self.seed}\n".encode())
        for level, tasks in self.tasks.items():
            for task in tasks:
                goal = task.goal
                fields = (level, goal.level, goal.kind, goal.text, list(goal.spec), task.seed)
                digest.update(json.dumps(fields).encode() + b"\n")
                digest.update(np.asarray(task.start, "<f4").tobytes())
        return digest.hexdigest()


def write_tasks(path: Path, tasks: TaskFile) -> str:
    """Writes a Parquet file at once and returns the tasks' hash."""
    rows = [(level, task) for level, many in tasks.tasks.items() for task in many]
    columns = {
        "level": [level for level, _ in rows],
        "goal_level": [task.goal.level for _, task in rows],
        "kind": [task.goal.kind for _, task in rows],
        "text": [task.goal.text for _, task in rows],
        "spec": [list(task.goal.spec) for _, task in rows],
        "start": [np.asarray(task.start, np.float32) for _, task in rows],
        "seed": [task.seed for _, task in rows],
    }
    header = {
        "world": tasks.world,
        "world_version": tasks.world_version,
        "seed": tasks.seed,
        "sha256": tasks.sha256,
    }
    write_parquet(path, pa.table(columns), "tasks", header)
    return tasks.sha256


def read_tasks(path: Path) -> TaskFile:
    """The tasks that `write_tasks` stored.

    Raises:
        ValueError: the file holds no tasks, or was altered.
    """
    table, header = read_parquet(path, "tasks")
    by_level: dict[str, list[Task]] = {}
    for row in table.to_pylist():
        goal = Goal(row["text"], row["goal_level"], row["kind"], tuple(row["spec"]))
        task = Task(goal, np.array(row["start"], np.float32), row["seed"])
        by_level.setdefault(row["level"], []).append(task)
    tasks = TaskFile(header["world"], header["world_version"], header["seed"], by_level)
    if tasks.sha256 != header["sha256"]:
        raise ValueError(f"The tasks in {path} are not those of their hash. Make them again.")
    return tasks


def write_parquet(path: Path, table: pa.Table, kind: str, header: Mapping[str, object]) -> None:
    """Replaces `path` at once by a table with page checksums and a JSON header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    stamped = table.replace_schema_metadata({f"kalm_{kind}": json.dumps(header)})
    pq.write_table(stamped, partial, compression="zstd", write_page_checksum=True)
    partial.replace(path)


def read_parquet(path: Path, kind: str) -> tuple[pa.Table, dict[str, Any]]:
    """A table that `write_parquet` wrote, and its header.

    Raises:
        ValueError: the file is missing, damaged, or of another kind.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"Cannot read {kind} from {path}: {error}. Make it again.") from error
    metadata = table.schema.metadata or {}
    key = f"kalm_{kind}".encode()
    if key not in metadata:
        raise ValueError(f"Expected {kind} in {path}, found another table. Check the path.")
    header: dict[str, Any] = json.loads(metadata[key])
    return table, header
