"""Score and success of every shopper: for goals of the training list, and for unseen ones."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Count, Settings, Whole
from experiments.folders import EVALUATION, OUTCOMES, REFERENCES, TASKS, WATCHED
from experiments.outcome_galleries import first_of_each_outcome
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import COLLECT, READ_TEST, TEST_GOALS, has_samples
from experiments.teduo.read import read_test_stage
from experiments.tracking import Run, read_commands
from experiments.webshop.contestants import Shopper, agents, references
from experiments.webshop.folders import (
    ShopArm,
    goal_texts,
    run_shop,
    shop_goals,
)
from experiments.webshop.read import write_requirements
from experiments.webshop.select import SELECT

if TYPE_CHECKING:
    from envs.episode import Episode
    from envs.webshop.goals import ShoppingGoal
    from offline_rl.evaluation import Record

LEVELS = ("train", "test")


@dataclass(frozen=True)
class ShopEvaluateSettings(Settings):
    """On how much, and in which variants, shoppers are evaluated."""

    task_seed: Whole = 1_000_003  # of the shoppers' draws; the same for all training seeds
    episodes: Count = 200  # goals of each level
    horizon_steps: Count = 15
    variants: bool = True  # a row without the mask


def evaluate_stage(
    run: Run,
    settings: ShopEvaluateSettings,
    read: ReadSettings,
    arms: Sequence[ShopArm],
    *,
    overwrite: bool,
    with_references: bool = True,
) -> None:
    """Evaluates references and agents on the same goals, each into a folder of its own.

    Args:
        with_references: whether rows that no training changes are wanted here.
    """
    if with_references:
        _complete(
            *(run, settings, "evaluate-references", REFERENCES, (COLLECT,), read.seed),
            lambda: references(run.folder),
            overwrite=overwrite,
        )
    read_test_stage(
        *(run, settings),
        lambda: write_requirements(run, read, READ_TEST, _texts(run, settings), TEST_GOALS),
        overwrite=overwrite,
    )
    tuned = [arm.tune_stage for arm in arms if has_samples(run.folder, arm)]
    needs = (COLLECT, READ_TEST, SELECT, *tuned)
    _complete(
        *(run, settings, "evaluate", EVALUATION, needs, read.seed),
        lambda: agents(run.folder, read, arms, variants=settings.variants),
        overwrite=overwrite,
    )


def evaluation_goals(
    folder: Path, settings: ShopEvaluateSettings
) -> "dict[str, tuple[ShoppingGoal, ...]]":
    """Goals by level: the first of the training list, and as many that training never saw.

    Raises:
        ValueError: a goal of the test is on the training list.
    """
    goals = {level: shop_goals(folder, level, settings.episodes) for level in LEVELS}
    known = set(goal_texts(folder))
    if both := [goal.text for goal in goals["test"] if goal.text in known]:
        raise ValueError(f"Expected unseen goals to test on, but `{both[0]}` was trained on.")
    return goals


def _texts(run: Run, settings: ShopEvaluateSettings) -> list[str]:
    goals = evaluation_goals(run.folder, settings)
    return [goal.text for level in LEVELS for goal in goals[level]]


def _complete(
    run: Run,
    settings: ShopEvaluateSettings,
    stage: str,
    folder: str,
    needs: tuple[str, ...],
    seed: int,
    shoppers: Callable[[], Iterator[Shopper]],
    *,
    overwrite: bool,
) -> None:
    """Writes goals, one record per episode, and the episodes that a report shows."""
    from experiments.evaluate import outcome_problems

    complete(
        run,
        Stage(stage, settings, needs, (folder,)),
        lambda: _evaluate(run, settings, stage, folder, seed, shoppers()),
        lambda: outcome_problems(run.folder / folder),
        overwrite=overwrite,
    )


def _evaluate(
    run: Run,
    settings: ShopEvaluateSettings,
    stage: str,
    folder: str,
    seed: int,
    shoppers: Iterator[Shopper],
) -> None:
    from offline_rl.evaluation import Evaluation

    goals = evaluation_goals(run.folder, settings)
    _write_tasks(run.folder / folder / TASKS, run, goals, settings.task_seed)
    records: list[Record] = []
    watched: list[Episode] = []
    for shopper in shoppers:
        chosen = {level: goals[level] for level in shopper.levels}
        total = sum(map(len, chosen.values()))
        with progress(f"evaluating {shopper.name}", total, "episodes") as advance:
            for level, own in chosen.items():
                episodes = _shop(run, settings, shopper, own)
                records += _records(shopper, level, own, episodes, seed)
                watched += _watched(shopper, episodes) if shopper.watched else []
                advance(len(own))
    kinds = {level: dict(Counter(goal.kind for goal in own)) for level, own in goals.items()}
    evaluation = Evaluation(tuple(records), kinds, LEVELS[0])
    evaluation.write(run.folder / folder / OUTCOMES)
    _write_watched(run, run.folder / folder / WATCHED, watched, settings.task_seed)
    run.rewind(stage, -1)
    run.log(
        stage, 0, {f"{r.agent}/{r.level}": r.success for r in evaluation.rows() if r.kind == "all"}
    )


def _shop(
    run: Run, settings: ShopEvaluateSettings, shopper: Shopper, goals: "Sequence[ShoppingGoal]"
) -> "list[Episode]":
    from envs.webshop.trajectories import evaluate

    return evaluate(
        *(run_shop(run.folder), goals, shopper.policy(), settings.task_seed),
        horizon_steps=settings.horizon_steps,
    )


def _records(
    shopper: Shopper,
    level: str,
    goals: "Sequence[ShoppingGoal]",
    episodes: "Sequence[Episode]",
    seed: int,
) -> "list[Record]":
    return [
        _record(shopper, level, place, goal, episode, seed if shopper.trained else 0)
        for place, (goal, episode) in enumerate(zip(goals, episodes, strict=True))
    ]


def _watched(shopper: Shopper, episodes: "Sequence[Episode]") -> "list[Episode]":
    """The first success and the first failure of every kind of goal, with the shopper's name."""
    kinds = [str(episode.provenance["kind"]) for episode in episodes]
    success = np.array([episode.success for episode in episodes])
    return [
        replace(episodes[place], provenance={**episodes[place].provenance, "agent": shopper.name})
        for place in first_of_each_outcome(kinds, success)
    ]


def _write_watched(run: Run, folder: Path, episodes: "Sequence[Episode]", seed: int) -> None:
    from envs.store import write_store
    from envs.webshop.trajectories import data_card

    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted start
    if episodes:
        command = " && ".join(read_commands(run.folder))
        write_store(folder, episodes, data_card(run_shop(run.folder), seed, command))


def _record(
    shopper: Shopper,
    level: str,
    place: int,
    goal: "ShoppingGoal",
    episode: "Episode",
    seed: int,
) -> "Record":
    from offline_rl.evaluation import Record

    pages = episode.observations
    return Record(
        agent=shopper.name,
        agent_seed=seed,
        level=level,
        kind=goal.kind,
        task=place,
        goal=goal.text,
        task_seed=place,
        success=episode.success,
        moved=None,
        steps=len(episode),
        episode_return=float(episode.rewards.sum(dtype=np.float64)),
        invalid_steps=int((pages[1:] == pages[:-1]).sum()),
    )


def _write_tasks(
    path: Path, run: Run, goals: "dict[str, tuple[ShoppingGoal, ...]]", seed: int
) -> None:
    """Every goal of every level, in words."""
    from envs.world import Goal, Task
    from offline_rl.tasks import TaskFile, write_tasks

    start = np.zeros(0, np.float32)
    tasks = {
        level: [
            Task(Goal(goal.text, level, goal.kind, ()), start, place)
            for place, goal in enumerate(own)
        ]
        for level, own in goals.items()
    }
    write_tasks(path, TaskFile("webshop", run_shop(run.folder).version, seed, tasks))
