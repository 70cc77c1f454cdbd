"""Samples to fine-tune on: plans of every goal that was read, or stretches of play to clone."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Settings, Whole
from envs.step_count import counted_steps
from experiments.babyai.folders import (
    Arm,
    asked_goals,
    empirical_model,
    grid_world,
    order_file,
    read_goals,
    transitions_folder,
)
from experiments.babyai.label import JUDGE, LabelSettings, judged_labels, label_needs
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.folders import COLLECT, PLANNED, READ, sample_problems
from experiments.teduo.losses import say_if_lost
from experiments.tracking import Run
from offline_rl.distillation import DistillationConfig

if TYPE_CHECKING:
    from envs.babyai.world import BabyAiWorld
    from imagination.programs import Program
    from offline_rl.distillation import LabelledGoal, Labeller, PlannedSteps
    from offline_rl.empirical import EmpiricalModel


@dataclass(frozen=True)
class DistilSettings(Settings):
    """What is distilled, and how much."""

    arms: tuple[str, ...] = ("teduo/bot-50", "teduo/random", "cloning/bot-50", "cloning/random")
    plans: DistillationConfig = field(default_factory=DistillationConfig)  # of each arm
    labels: LabelSettings = field(default_factory=LabelSettings)
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"Expected different --arms, at least one, got {self.arms}.")
        for arm in self.arms:
            Arm.of(arm)


@dataclass(frozen=True)
class MeantGoal:
    """A goal to plan for: its words, what they were read as, and which steps reach it."""

    wordings: tuple[str, ...]
    program: "Program | None"  # None where it was not understood, yet judged
    label: "Labeller | np.ndarray"  # as in `LabelledGoal`

    @property
    def name(self) -> str:
        """Its program, or its words where it has none."""
        return self.program.text() if self.program else self.wordings[0]

    @property
    def group(self) -> str:
        """Goals of a group share plans equally, and so do the groups."""
        return self.program.relation if self.program else "not read"


def distil_stage(run: Run, settings: DistilSettings, *, overwrite: bool) -> None:
    """Writes the samples of every arm, and what became of its goals."""
    for arm in map(Arm.of, settings.arms):
        complete(
            run,
            Stage(
                arm.distil_stage,
                replace(settings, arms=(arm.label,)),
                (COLLECT, READ, *label_needs(settings.labels, arm.data)),
                (arm.samples, arm.report),
            ),
            lambda arm=arm: _distil(run, settings, arm),  # type: ignore[misc]
            lambda arm=arm: _problems(run, arm),  # type: ignore[misc]
            overwrite=overwrite,
        )
        say_if_lost(run.folder, arm)


def meant_goals(run: Run, settings: DistilSettings, arm: Arm) -> list[MeantGoal]:
    """The training goals that have labels, and a meaning where the arm tells states by it."""
    from imagination.abstraction import RAW
    from offline_rl.distillation import program_labeller

    programs, shape = read_goals(run.folder), grid_world(run.folder).shape
    if settings.labels.way == JUDGE:
        return [
            MeantGoal((text,), programs[text], labels)
            for text, labels in judged_labels(run.folder, arm.data).items()
            if labels is not None and (arm.form == RAW or programs[text] is not None)
        ]
    texts: dict[Program, list[str]] = {}
    for goal in asked_goals(run.folder):
        program = programs[goal.text]
        if program is not None:
            texts.setdefault(program, []).append(goal.text)
    return [
        MeantGoal(tuple(said), program, program_labeller(program, shape))
        for program, said in texts.items()
    ]


def _distil(run: Run, settings: DistilSettings, arm: Arm) -> None:
    from offline_rl.distillation_set import DistillationSet

    world, goals = grid_world(run.folder), meant_goals(run, settings, arm)
    model = empirical_model(run.folder, arm.data)
    with counted_steps() as taken:
        steps = _steps(run, settings, arm, model, goals)
    numbered = list(zip(steps.goals.tolist(), steps.plans.tolist(), strict=True))
    said = [goals[goal].wordings[plan % len(goals[goal].wordings)] for goal, plan in numbered]
    meant = [goals[goal] for goal, _ in numbered]
    states = model.states[steps.states]
    DistillationSet(
        _questions(arm, said, meant, states, world),
        _answers(arm, steps),
        said,
        [goal.program.text() if goal.program else "" for goal in meant],
        steps.plans.astype(np.int64),
        steps.steps_left.astype(np.int64),
        states,
    ).write(run.folder / arm.samples)
    report = _report(run, model, goals, steps, arm, taken.steps)
    write_text(run.folder / arm.report, json.dumps(report, indent=1) + "\n")
    run.rewind(arm.distil_stage, -1)
    run.log(arm.distil_stage, 0, report["numbers"])


def _questions(
    arm: Arm, said: list[str], meant: list[MeantGoal], states: np.ndarray, world: "BabyAiWorld"
) -> list[str]:
    """The states as their goals see them."""
    from imagination.abstraction import RAW, abstract_text

    programs = [goal.program for goal in meant if goal.program is not None]
    return abstract_text(said if arm.form == RAW else programs, states, world.shape, arm.form)


def _answers(arm: Arm, steps: "PlannedSteps") -> list[str]:
    """The next action of every step, or all that are left."""
    from envs.babyai.simulator import ACTION_NAMES

    names = [ACTION_NAMES[action] for action in steps.actions.tolist()]
    counts = steps.steps_left.tolist() if arm.lists else [1] * len(names)
    return [" ".join(names[row : row + count]) for row, count in enumerate(counts)]


def _steps(
    run: Run,
    settings: DistilSettings,
    arm: Arm,
    model: "EmpiricalModel",
    meant: list[MeantGoal],
) -> "PlannedSteps":
    from offline_rl.distillation import equal_shares, plan_steps
    from offline_rl.language_policy import ACTION_ORDER

    goals = labelled_goals(meant)
    shares = equal_shares([goal.group for goal in meant])
    config = replace(settings.plans, seed=settings.seed)
    with progress(f"distilling {arm.slug}", len(goals), "goals") as advance:
        if arm.source == PLANNED:
            return plan_steps(model, goals, shares, config, ACTION_ORDER, advance)
        return _stretches(run, arm, model, goals, shares, config)


def labelled_goals(meant: list[MeantGoal]) -> "list[LabelledGoal]":
    """The goals as planning has them."""
    from offline_rl.distillation import LabelledGoal

    return [LabelledGoal(goal.name, goal.label) for goal in meant]


def _stretches(
    run: Run,
    arm: Arm,
    model: "EmpiricalModel",
    goals: "list[LabelledGoal]",
    shares: list[float],
    config: DistillationConfig,
) -> "PlannedSteps":
    from envs.transitions import TransitionStore
    from offline_rl.cloning import stretch_steps
    from offline_rl.tasks import read_parquet

    rows = TransitionStore(run.folder / transitions_folder(arm.data)).read()
    order, _ = read_parquet(run.folder / order_file(arm.data), "order")
    turns = np.argsort(order["turn"].to_numpy())
    plays = order["play"].to_numpy()[turns]
    ids, actions = model.ids(rows.states[turns]), rows.actions[turns]
    return stretch_steps(model, ids, actions, plays, goals, shares, config)


def _report(
    run: Run,
    model: "EmpiricalModel",
    goals: list[MeantGoal],
    steps: "PlannedSteps",
    arm: Arm,
    environment_steps: int,
) -> "dict[str, dict[str, float]]":
    """Counts, coverage and audits; replays in the environment are for this report alone."""
    groups = [goals[goal].group for goal in steps.goals[steps.steps_left == 1].tolist()]
    numbers = {
        "goals": len(steps.reports),
        "goals_without_plans": len(steps.unreached),
        "plans": len(groups),
        "samples": len(steps),
        "environment_steps": environment_steps,
        "labelled_edges": sum(report.labelled_edges for report in steps.reports),
        "seconds": sum(report.seconds for report in steps.reports),
        **{f"plans/{name}": count for name, count in sorted(Counter(groups).items())},
    }
    if arm.source == PLANNED:
        numbers |= _replays(run, model, goals, steps)
    return {"numbers": numbers, "coverage": dataclasses.asdict(model.coverage)}


def _replays(
    run: Run, model: "EmpiricalModel", goals: list[MeantGoal], steps: "PlannedSteps"
) -> dict[str, float]:
    """Shares of plans that reach their goal again, on the model and by the environment's truth."""
    from envs.babyai.goals import specs_array
    from offline_rl.distillation import goal_labels, likely_next, replay

    world = grid_world(run.folder)
    specs = {goal.text: goal.spec for goal in asked_goals(run.folder)}
    truth = specs_array([specs[goal.wordings[0]] for goal in goals])

    def judged(
        numbers: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return world.success(truth[numbers], before, actions, after)

    labelled = goal_labels(model, labelled_goals(goals))
    return {
        "replayed_on_model": replay(model, steps, lambda s, a: likely_next(model, s, a), labelled),
        "replayed_in_environment": replay(model, steps, world.step_states, judged),
    }


def _problems(run: Run, arm: Arm) -> list[str]:
    from offline_rl.distillation_set import DistillationSet

    return sample_problems(run.folder, arm, DistillationSet)
