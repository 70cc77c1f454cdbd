"""Evaluation: policies on fixed tasks, one record per episode, and rows with intervals.

Success counts once per episode, at its end. A level with several kinds of goals is weighted by its
number of goals per kind, whatever the number of episodes; `novel` is the plain mean of all levels
but the training one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from envs.episode import Episode
from envs.rollouts import run_tasks
from envs.world import Policy, Task, World
from offline_rl.statistics import (
    Interval,
    Stratum,
    mean_interval,
    paired_difference,
    success_interval,
    weighted_mean,
)
from offline_rl.tasks import goals_by_kind, make_tasks, read_parquet, write_parquet

__all__ = ["Evaluation", "EvaluationRow", "Record", "evaluate", "make_tasks"]

ALL, NOVEL = "all", "novel"
OnEpisode = Callable[[str, str, int, Episode], None]


@runtime_checkable
class MeasuresMovement(Protocol):
    """A world that also judges one-step goals by what moved."""

    def moved_enough(self, specs: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Whether the step moved what the goal names (B,) bool."""
        ...


@dataclass(frozen=True)
class Record:
    """One episode of an evaluation."""

    agent: str
    agent_seed: int  # training seed
    level: str
    kind: str
    task: int  # number within the level
    goal: str
    task_seed: int
    success: bool
    moved: bool | None  # second judge of one-step goals, where the world has one
    steps: int
    episode_return: float  # undiscounted, unscaled
    invalid_steps: int | None = None  # steps that changed nothing, where they were counted


@dataclass(frozen=True)
class EvaluationRow:
    """Success of one agent on one level, or one kind of goal within it."""

    agent: str
    level: str  # or "novel"
    kind: str  # or "all"
    success: float
    low: float  # of the 95 % interval
    high: float
    episodes: int
    seeds: tuple[int, ...]
    steps: float  # of an episode, on average
    invalid: float | None  # share of steps that changed nothing, where they were counted


@dataclass(frozen=True)
class Evaluation:
    """Records of any number of agents and seeds on the same tasks."""

    records: tuple[Record, ...]
    kind_goals: Mapping[str, Mapping[str, int]]  # number of goals by level and kind
    training_level: str

    @classmethod
    def merge(cls, parts: Iterable["Evaluation"]) -> "Evaluation":
        """All records of `parts`, which must be of one world.

        Raises:
            ValueError: there are no parts, worlds differ, or an episode is there twice.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("Expected at least one evaluation, got none. Evaluate an agent first.")
        first = parts[0]
        if any(
            (part.kind_goals, part.training_level) != (first.kind_goals, first.training_level)
            for part in parts
        ):
            raise ValueError("Expected evaluations of one world with the same levels.")
        records = tuple(record for part in parts for record in part.records)
        keys = {(r.agent, r.agent_seed, r.level, r.task) for r in records}
        if len(keys) < len(records):
            raise ValueError("Expected each episode once. The same evaluation was merged twice.")
        return cls(records, first.kind_goals, first.training_level)

    @property
    def agents(self) -> list[str]:
        """Agents in order of first appearance."""
        return list(dict.fromkeys(record.agent for record in self.records))

    @property
    def levels(self) -> list[str]:
        """Levels in order of first appearance."""
        return list(dict.fromkeys(record.level for record in self.records))

    def rows(self, measure: str = "success") -> list[EvaluationRow]:
        """Rows of every agent: levels, kinds where there are several, and `novel`.

        Args:
            measure: "success" or "moved"; levels without it are left out.
        """
        rows = []
        for agent in self.agents:
            for level, kind in self._cells():
                strata = self.strata(agent, level, kind, measure)
                if strata:
                    rows.append(self._row(agent, level, kind, strata))
        return rows

    def difference(self, first: str, second: str, level: str, kind: str = ALL) -> Interval:
        """How much higher agent `first` scores than `second`, paired by task.

        Raises:
            ValueError: an agent has no episodes there, or their tasks differ.
        """
        sides = {agent: self.strata(agent, level, kind) for agent in (first, second)}
        for agent, strata in sides.items():
            if not strata:
                raise ValueError(f"No episodes of agent `{agent}` on `{level}`. Evaluate it first.")
        return paired_difference(sides[first], sides[second])

    def mean_return(self, agent: str, level: str, kind: str = ALL) -> Interval:
        """The mean return of an agent's episodes with its 95 % interval, by bootstrap."""
        return mean_interval(self.strata(agent, level, kind, "episode_return"))

    def strata(
        self, agent: str, level: str, kind: str = ALL, measure: str = "success"
    ) -> list[Stratum]:
        """Outcomes of an agent by kind, with their weights; none where they were not measured.

        Raises:
            ValueError: the agent's seeds ran different tasks.
        """
        levels = [level]
        if level == NOVEL:
            levels = [name for name in self.kind_goals if name != self.training_level]
        strata: list[Stratum] = []
        for name in levels:
            kinds = self.kind_goals[name] if kind == ALL else {kind: 1}
            total = sum(kinds.values())
            for one, count in kinds.items():
                outcomes = self._outcomes(agent, name, one, measure)
                if outcomes is None:
                    return []
                strata.append(Stratum(count / total / len(levels), outcomes))
        return strata

    def write(self, path: Path) -> None:
        """Writes the records as one Parquet file, at once."""
        columns = {
            field.name: [getattr(record, field.name) for record in self.records]
            for field in fields(Record)
        }
        header = {
            "kind_goals": {level: dict(kinds) for level, kinds in self.kind_goals.items()},
            "training_level": self.training_level,
        }
        write_parquet(path, pa.table(columns, _SCHEMA), "evaluation", header)

    @classmethod
    def read(cls, path: Path) -> "Evaluation":
        """The evaluation that `write` stored.

        Raises:
            ValueError: the file is missing, damaged, or holds something else.
        """
        table, header = read_parquet(path, "evaluation")
        records = tuple(Record(**row) for row in table.to_pylist())
        return cls(records, header["kind_goals"], header["training_level"])

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str, str], list[Record]]:
        cells: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            cells.setdefault((record.agent, record.level, record.kind), []).append(record)
        return cells

    def _cells(self) -> list[tuple[str, str]]:
        cells = []
        for level in self.levels:
            cells.append((level, ALL))
            kinds = self.kind_goals[level]
            cells += [(level, kind) for kind in kinds] if len(kinds) > 1 else []
        return [*cells, (NOVEL, ALL)]

    def _row(self, agent: str, level: str, kind: str, strata: Sequence[Stratum]) -> EvaluationRow:
        interval = success_interval(strata)
        seeds = sorted({r.agent_seed for r in self.records if r.agent == agent})
        episodes = sum(stratum.episodes for stratum in strata)
        return EvaluationRow(
            agent,
            level,
            kind,
            interval.value,
            interval.low,
            interval.high,
            episodes,
            tuple(seeds),
            *self._lengths(agent, level, kind),
        )

    def _lengths(self, agent: str, level: str, kind: str) -> tuple[float, float | None]:
        """Mean steps of an episode, and the share of them that changed nothing."""
        steps = weighted_mean(self.strata(agent, level, kind, "steps"))
        invalid = self.strata(agent, level, kind, "invalid_steps")
        return steps, weighted_mean(invalid) / max(steps, 1.0) if invalid else None

    def _outcomes(self, agent: str, level: str, kind: str, measure: str) -> np.ndarray | None:
        """Outcomes (S, N) of an agent on one kind of goals, by seed and task; NaN: not run."""
        records = self._by_cell.get((agent, level, kind), [])
        if not records or any(getattr(record, measure) is None for record in records):
            return None
        seeds = sorted({r.agent_seed for r in self.records if r.agent == agent})
        told = {record.task: (record.goal, record.task_seed) for record in records}
        numbers = {task: place for place, task in enumerate(sorted(told))}
        outcomes = np.full((len(seeds), len(numbers)), np.nan)
        for record in records:
            if told[record.task] != (record.goal, record.task_seed):
                raise ValueError(
                    f"Expected the same tasks of `{level}` for every seed of agent `{agent}`. "
                    "Evaluate all seeds on one task file."
                )
            place = seeds.index(record.agent_seed), numbers[record.task]
            outcomes[place] = getattr(record, measure)
        return outcomes


_SCHEMA = pa.schema(
    {
        "agent": pa.string(),
        "agent_seed": pa.int64(),
        "level": pa.string(),
        "kind": pa.string(),
        "task": pa.int64(),
        "goal": pa.string(),
        "task_seed": pa.int64(),
        "success": pa.bool_(),
        "moved": pa.bool_(),
        "steps": pa.int64(),
        "episode_return": pa.float64(),
        "invalid_steps": pa.int64(),
    }
)


def evaluate(
    world: World,
    policies: Mapping[str, Policy],
    tasks: Mapping[str, Sequence[Task]],
    *,
    seed: int = 0,
    num_slots: int = 64,
    num_threads: int = 1,
    on_episode: OnEpisode = lambda agent, level, index, episode: None,
) -> Evaluation:
    """Records of every policy on every task.

    Args:
        policies: by the agent's name in the table.
        tasks: by level, such as `make_tasks` makes them.
        seed: training seed of the agents; 0 for those without one.
        on_episode: called with agent, level, task number and episode as each ends, in order.
    """
    places = [(level, index) for level, many in tasks.items() for index in range(len(many))]
    flat = [tasks[level][index] for level, index in places]
    records = []
    for agent, policy in policies.items():
        episodes = run_tasks(world, policy, flat, num_slots=num_slots, num_threads=num_threads)
        for (level, index), task, episode in zip(places, flat, episodes, strict=True):
            records.append(
                Record(
                    agent=agent,
                    agent_seed=seed,
                    level=level,
                    kind=task.goal.kind,
                    task=index,
                    goal=task.goal.text,
                    task_seed=task.seed,
                    success=episode.success,
                    moved=_moved(world, task, episode),
                    steps=len(episode),
                    episode_return=float(episode.rewards.sum(dtype=np.float64)),
                )
            )
            on_episode(agent, level, index, episode)
    kind_goals = {
        level: {kind: len(goals) for kind, goals in goals_by_kind(world, level).items()}
        for level in world.levels
    }
    return Evaluation(tuple(records), kind_goals, world.levels[0])


def _moved(world: World, task: Task, episode: Episode) -> bool | None:
    """The second judge's word on a one-step goal: one that ends though it is not reached."""
    specs = np.array([task.goal.spec])
    if not isinstance(world, MeasuresMovement) or not world.ends(specs, np.array([False]))[0]:
        return None
    before, after = episode.observations[:1], episode.observations[1:2]
    return bool(world.moved_enough(specs, before, after)[0])
