"""Success of every agent on every cell: grids trained on or new, goals trained on or new."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Count, NotNegative, Settings, Whole
from experiments.babyai.baselines import BaselineSettings, taught
from experiments.babyai.contestants import GridContestant, Playing, agents, references
from experiments.babyai.folders import (
    Arm,
    grid_worlds,
    new_worlds,
)
from experiments.babyai.read import write_programs
from experiments.babyai.watched import watched_episodes, write_watched
from experiments.folders import EVALUATION, OUTCOMES, REFERENCES, TASKS, WATCHED
from experiments.names import require_known
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import COLLECT, READ_TEST, TEST_GOALS, has_samples
from experiments.teduo.read import read_test_stage
from experiments.tracking import Run, read_commands

if TYPE_CHECKING:
    from envs.babyai.world import BabyAiWorld, GridTask
    from envs.episode import Episode
    from envs.world import Task
    from offline_rl.evaluation import Record
    from offline_rl.grid_play import Plays

SPLITS = ("train", "wording", "combination", "both", "kind")


@dataclass(frozen=True)
class GridEvaluateSettings(Settings):
    """On how much, and in which variants, agents are evaluated."""

    task_seed: Whole = 1_000_003  # of goals and starts; the same for all agents and training seeds
    episodes: Count = 200  # tasks per cell
    num_new_layouts: Count = 20  # grids that no training uses
    splits: tuple[str, ...] = SPLITS  # goals; each on training and on new grids
    transfer: tuple[str, ...] = ()  # other sizes of grids to test on; names of GridSize
    variants: bool = True  # rows without mask, without loop-break, and without both
    temperature: NotNegative = 0.0  # of language models' actions; 0.7 in the paper
    in_context: Whole = 0  # episodes per cell of a chat model with examples; 0 leaves the row out

    def __post_init__(self) -> None:
        super().__post_init__()
        from envs.babyai.layouts import SIZES

        if not self.splits:
            raise ValueError(f"Expected --splits among {', '.join(SPLITS)}, got none.")
        for split in self.splits:
            require_known("split", split, SPLITS)
        for size in self.transfer:
            require_known("grid size", size, SIZES)


@dataclass(frozen=True)
class Cell:
    """A column of the table."""

    grids: str  # "train", "new", or the name of another size; with several sizes, which one
    split: str  # of SPLITS
    world: "BabyAiWorld"
    tasks: "Sequence[GridTask]"

    @property
    def level(self) -> str:
        """Its name in tables, such as ``new/combination``."""
        return f"{self.grids}/{self.split}"


def evaluate_stage(
    run: Run,
    settings: GridEvaluateSettings,
    read: ReadSettings,
    arms: Sequence[Arm],
    baselines: BaselineSettings,
    *,
    overwrite: bool,
    with_references: bool = True,
) -> None:
    """Evaluates references and agents on the same tasks, each into a folder of its own.

    Args:
        with_references: whether rows that no training changes are wanted here.
    """
    match = _Match(run, settings, read.seed)
    if with_references:
        match.complete(
            "evaluate-references", REFERENCES, (COLLECT,), lambda: references(), overwrite
        )
    match.read_goals(read, overwrite)
    learned = taught(run.folder, baselines.imitators + baselines.agents)
    tuned = (arm.tune_stage for arm in arms if has_samples(run.folder, arm))
    needs = (COLLECT, READ_TEST, *tuned, *(baseline.stage for baseline in learned))
    playing = Playing(settings.variants, settings.temperature, settings.in_context)
    match.complete(
        "evaluate",
        EVALUATION,
        needs,
        lambda: agents(run.folder, read, arms, baselines, playing),
        overwrite,
    )


def make_cells(folder: Path, settings: GridEvaluateSettings) -> list[Cell]:
    """The cells of a run; those whose grids allow no such goal are left out."""
    known, count = grid_worlds(folder), settings.num_new_layouts
    new = new_worlds(folder, [world.size for world in known], count)
    several = len(known) > 1
    worlds = [(f"train {w.size}" if several else "train", w) for w in known]
    worlds += [(f"new {w.size}" if several else "new", w) for w in new]
    worlds += [(w.size, w) for w in new_worlds(folder, settings.transfer, count)]
    return [
        Cell(grids, split, world, world.tasks(split, settings.episodes, settings.task_seed))
        for split in settings.splits
        for grids, world in worlds
        if world.goals(split)
    ]


class _Match:
    """Evaluates contestants on one list of tasks."""

    def __init__(self, run: Run, settings: GridEvaluateSettings, seed: int) -> None:
        self._run, self._settings, self._seed = run, settings, seed

    def read_goals(self, read: ReadSettings, overwrite: bool) -> None:
        """Reads the goals of all tasks, as the agents will need them."""
        read_test_stage(
            *(self._run, self._settings),
            lambda: write_programs(self._run, read, READ_TEST, self._texts(), TEST_GOALS),
            overwrite=overwrite,
        )

    def _texts(self) -> list[str]:
        cells = make_cells(self._run.folder, self._settings)
        return [task.goal.text for cell in cells for task in cell.tasks]

    def complete(
        self,
        stage: str,
        folder: str,
        needs: tuple[str, ...],
        contestants: Callable[[], Iterator[GridContestant]],
        overwrite: bool,
    ) -> None:
        """Writes tasks, one record per episode, and the episodes that a report shows."""
        from experiments.evaluate import outcome_problems

        complete(
            self._run,
            Stage(stage, self._settings, needs, (folder,)),
            lambda: self._evaluate(stage, self._run.folder / folder, contestants()),
            lambda: outcome_problems(self._run.folder / folder),
            overwrite=overwrite,
        )

    def _evaluate(self, stage: str, folder: Path, contestants: Iterator[GridContestant]) -> None:
        from offline_rl.evaluation import Evaluation

        cells = make_cells(self._run.folder, self._settings)
        _write_tasks(folder / TASKS, cells, self._settings.task_seed)
        records: list[Record] = []
        watched: list[Episode] = []
        counts: dict[str, float] = {}
        for contestant in contestants:
            mine = [_share(cell, contestant) for cell in cells if contestant.can_play(cell.world)]
            total = sum(len(cell.tasks) for cell in mine)
            with progress(f"evaluating {contestant.name}", total, "episodes") as advance:
                done = 0
                for cell in mine:
                    plays, found = self._play(contestant, cell, lambda n, d=done: advance(d + n))  # type: ignore[misc]
                    records += found
                    if contestant.watched:
                        watched += watched_episodes(
                            cell.world, cell.level, cell.tasks, plays, contestant.name
                        )
                    done += len(cell.tasks)
            counts |= {f"{contestant.name}/{k}": n for k, n in contestant.counts().items()}
        kinds = {
            cell.level: dict.fromkeys(sorted({task.goal.kind for task in cell.tasks}), 1)
            for cell in cells
        }
        write_watched(
            folder / WATCHED,
            watched,
            [cell.world for cell in cells],
            " && ".join(read_commands(self._run.folder)),
            self._settings.task_seed,
        )
        evaluation = Evaluation(tuple(records), kinds, cells[0].level)
        evaluation.write(folder / OUTCOMES)
        self._run.rewind(stage, -1)
        rows = {f"{r.agent}/{r.level}/{r.kind}": r.success for r in evaluation.rows()}
        self._run.log(stage, 0, rows | counts)

    def _play(
        self, contestant: GridContestant, cell: Cell, on_step: Callable[[int], None]
    ) -> "tuple[Plays, list[Record]]":
        from offline_rl.grid_play import play

        player = contestant.player(cell.world)
        plays = play(cell.world, player, cell.tasks, self._settings.task_seed, on_step)
        names = contestant.names(player, np.stack([task.start for task in cell.tasks]))
        return plays, _records(cell, plays, names, self._seed if contestant.trained else 0)


def _share(cell: Cell, contestant: GridContestant) -> Cell:
    """The cell with the tasks that the contestant plays."""
    return replace(cell, tasks=cell.tasks[: contestant.episodes])


def _records(cell: Cell, plays: "Plays", names: Sequence[str], seed: int) -> "list[Record]":
    from offline_rl.evaluation import Record

    return [
        Record(
            agent=name,
            agent_seed=seed,
            level=cell.level,
            kind=task.goal.kind,
            task=index,
            goal=task.goal.text,
            task_seed=task.layout_seed,
            success=bool(plays.success[index]),
            moved=None,
            steps=int(plays.steps[index]),
            episode_return=float(plays.success[index]),
            invalid_steps=int(plays.invalid[index]),
        )
        for index, (task, name) in enumerate(zip(cell.tasks, names, strict=True))
    ]


def _write_tasks(path: Path, cells: Sequence[Cell], seed: int) -> None:
    """Every episode of every cell; a task's seed is that of its grid."""
    from envs.world import Task
    from offline_rl.tasks import TaskFile, write_tasks

    def stored(task: "GridTask") -> "Task":
        return Task(task.goal, task.start.astype(np.float32), task.layout_seed)

    world = cells[0].world
    tasks = {cell.level: [stored(task) for task in cell.tasks] for cell in cells}
    write_tasks(path, TaskFile(world.name, world.version, seed, tasks))
