"""`kalm evaluate`: success of every agent of a run on every level, on fixed and stored tasks."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from envs.card import Card
from envs.episode import Episode
from envs.settings import Count, NotNegative, Settings, Whole
from envs.world import Task, World
from experiments.contestants import (
    Acting,
    Contestant,
    Trained,
    grounded_model,
    language_model,
    references,
)
from experiments.doctor import available_cores
from experiments.folders import (
    EVALUATION,
    OUTCOMES,
    REFERENCES,
    TASKS,
    WATCHED,
    data_card,
    real_data,
    watched_stores,
)
from experiments.names import require_known
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.stage_records import is_done
from experiments.tracking import Run
from experiments.train import AgentName, trained_agents
from experiments.verbs import StageCommand, start_verb

if TYPE_CHECKING:
    from offline_rl.evaluation import Evaluation


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """Which agents are evaluated, and on how much."""

    task_seed: Whole = 1_000_003  # of goals, starts and policies' draws; the same for all agents
    episodes: Count = 200  # tasks per level
    min_per_kind: Count = 80  # tasks per kind of goal, in levels with several kinds
    levels: tuple[str, ...] = ()  # empty: all levels of the world
    imitation_temperature: NotNegative = 1.0  # of agents whose policy is a distribution (bc, dt)
    value_temperature: NotNegative = 0.5  # of agents that rank actions by value (cql, bcq)
    greedy_too: bool = True  # adds rows that take the best action, temperature 0
    references: bool = True  # rows of a random policy and of the scripted expert
    language_model: bool = True  # a row of the grounded model itself as the policy
    planner: bool = True  # rows of real-only agents that follow the model's sub-goals
    num_slots: Count = 64  # environments that step together
    watched_per_kind: Whole = 2  # tasks per kind whose episodes are kept for the report


@dataclass(frozen=True)
class Command(StageCommand):
    """Evaluates the agents in RUN_FOLDER/models into RUN_FOLDER/evaluation."""

    settings: Annotated[EvaluateSettings, tyro.conf.arg(name="")] = EvaluateSettings()


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    return start_verb("evaluate", Command, evaluate_stage, arguments)


def evaluate_stage(run: Run, settings: EvaluateSettings, command: str, *, overwrite: bool) -> None:
    """Evaluates references and agents on the same tasks, each into a folder of its own."""
    world, _ = real_data(run.folder)
    for level in settings.levels:
        require_known("level", level, world.levels)
    agents = trained_agents(run.folder)
    uses_model = (settings.language_model or settings.planner) and is_done(run.folder, "ground")
    if not agents and not uses_model and not settings.references:
        raise ValueError(f"No agents in {run.folder}. Run `kalm train {run.folder}` first.")
    match = _Match(run, world, settings, command)
    if settings.references:
        match.complete(
            "evaluate-references",
            REFERENCES,
            ("collect",),
            lambda tasks: references(world, settings.num_slots),
            overwrite,
        )
    if agents or uses_model:
        match.complete(
            "evaluate",
            EVALUATION,
            ("collect", *(name.stage for name in agents), *(["ground"] if uses_model else [])),
            lambda tasks: _contestants(run.folder, world, settings, agents, uses_model, tasks),
            overwrite,
        )


def _contestants(
    folder: Path,
    world: World,
    settings: EvaluateSettings,
    agents: Sequence[AgentName],
    uses_model: bool,
    tasks: dict[str, list[Task]],
) -> Iterator[Contestant]:
    acting = Acting(settings.imitation_temperature, settings.value_temperature, settings.greedy_too)
    trained = Trained(folder, world, agents)
    yield from trained.contestants(acting)
    if not uses_model:
        return
    model = grounded_model(folder, world)
    if settings.planner:
        goals = [task.goal.text for many in tasks.values() for task in many]
        yield from trained.planners(model, goals, acting)
    if settings.language_model:
        yield language_model(
            model, settings.num_slots, settings.imitation_temperature, trained.seed
        )


class _Match:
    """Evaluates contestants on one list of tasks."""

    def __init__(self, run: Run, world: World, settings: EvaluateSettings, command: str) -> None:
        self.run, self.world, self.settings, self.command = run, world, settings, command

    def complete(
        self,
        stage: str,
        folder: str,
        needs: tuple[str, ...],
        contestants: "Contestants",
        overwrite: bool,
    ) -> None:
        """Writes tasks, one record per episode, and the episodes that a report shows."""
        settings = replace(self.settings, references=True)  # these have a stage of their own
        complete(
            self.run,
            Stage(stage, settings, needs, (folder,)),
            lambda: self._evaluate(stage, self.run.folder / folder, contestants),
            lambda: outcome_problems(self.run.folder / folder),
            overwrite=overwrite,
        )

    def _evaluate(self, stage: str, folder: Path, contestants: "Contestants") -> None:
        from offline_rl.evaluation import Evaluation, evaluate

        tasks = self._tasks(folder)
        watched = _Watched(tasks, self.settings.watched_per_kind)
        total = sum(map(len, tasks.values()))
        parts = []
        for contestant in contestants(tasks):
            with progress(f"evaluating {contestant.name}", total, "episodes") as advance:
                counted = _Counted(advance, watched)
                part = evaluate(
                    self.world,
                    {contestant.name: contestant.policy},
                    tasks,
                    seed=contestant.seed,
                    num_slots=self.settings.num_slots,
                    num_threads=available_cores(),
                    on_episode=counted,
                )
            parts.append(part)
            _log(self.run, f"{stage}/{contestant.name}", part)
        card = data_card(self.world, "real", self.command, self.settings.task_seed)
        watched.write(folder / WATCHED, card)
        Evaluation.merge(parts).write(folder / OUTCOMES)

    def _tasks(self, folder: Path) -> dict[str, list[Task]]:
        from offline_rl.tasks import TaskFile, make_tasks, write_tasks

        settings, world = self.settings, self.world
        tasks = {
            level: make_tasks(
                world, level, settings.episodes, settings.task_seed, settings.min_per_kind
            )
            for level in settings.levels or world.levels
        }
        write_tasks(folder / TASKS, TaskFile(world.name, world.version, settings.task_seed, tasks))
        return tasks


def outcome_problems(folder: Path) -> list[str]:
    """Problems of an evaluation's files; empty where they can be read whole."""
    from envs.store import verify_store
    from offline_rl.evaluation import Evaluation
    from offline_rl.tasks import read_tasks

    try:
        read_tasks(folder / TASKS)
        Evaluation.read(folder / OUTCOMES)
    except ValueError as error:
        return [str(error)]
    return [
        problem for store in watched_stores(folder / WATCHED) for problem in verify_store(store)
    ]


def _log(run: Run, stage: str, part: "Evaluation") -> None:
    run.rewind(stage, -1)
    rows = {f"success/{row.level}/{row.kind}": row.success for row in part.rows()}
    run.log(stage, 0, rows)


class _Counted:
    """Counts episodes for the progress bar and shows them to `watched`."""

    def __init__(self, advance: Callable[[int], None], watched: "_Watched") -> None:
        self._advance, self._watched, self._count = advance, watched, 0

    def __call__(self, agent: str, level: str, index: int, episode: Episode) -> None:
        self._count += 1
        self._advance(self._count)
        self._watched.add(agent, level, index, episode)


class _Watched:
    """Keeps the episodes of the first tasks of every kind, whatever their outcome."""

    def __init__(self, tasks: dict[str, list[Task]], per_kind: int) -> None:
        self._chosen: set[tuple[str, int]] = set()
        self._episodes: list[Episode] = []
        for level, many in tasks.items():
            counts: dict[str, int] = {}
            for index, task in enumerate(many):
                counts[task.goal.kind] = counts.get(task.goal.kind, 0) + 1
                if counts[task.goal.kind] <= per_kind:
                    self._chosen.add((level, index))

    def add(self, agent: str, level: str, index: int, episode: Episode) -> None:
        """Keeps `episode` if its task is among the chosen."""
        if (level, index) in self._chosen:
            provenance = {**episode.provenance, "agent": agent, "task": index}
            self._episodes.append(replace(episode, provenance=provenance))

    def write(self, folder: Path, card: Card) -> None:
        """Writes a store of the kept episodes."""
        from envs.store import write_store

        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted start
        if self._episodes:
            write_store(folder, self._episodes, card)


Contestants = Callable[[dict[str, list[Task]]], Iterator[Contestant]]
