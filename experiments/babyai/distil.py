"""Samples to fine-tune on: plans of every goal that was read, or stretches of play to clone."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.folders import (
    COLLECT,
    PLANNED,
    Arm,
    empirical_model,
    grid_world,
    order_file,
    read_goals,
    training_goals,
    transitions_folder,
)
from experiments.babyai.read import READ
from experiments.folders import whole_json
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run
from offline_rl.distillation import DistillationConfig

if TYPE_CHECKING:
    from envs.babyai.goals import Spec
    from envs.babyai.world import BabyAiWorld
    from imagination.programs import Program
    from offline_rl.distillation import LabelledGoal, PlannedSteps
    from offline_rl.empirical import EmpiricalModel


@dataclass(frozen=True)
class DistilSettings:
    """What is distilled, and how much."""

    arms: tuple[str, ...] = ("teduo/bot-50", "teduo/random", "cloning/bot-50", "cloning/random")
    plans: DistillationConfig = field(default_factory=DistillationConfig)  # of each arm
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"Expected different --arms, at least one, got {self.arms}.")
        for arm in self.arms:
            Arm.of(arm)


def distil_stage(run: Run, settings: DistilSettings, *, overwrite: bool) -> None:
    """Writes the samples of every arm, and what became of its goals."""
    for arm in map(Arm.of, settings.arms):
        complete(
            run,
            Stage(
                distil_name(arm),
                replace(settings, arms=(arm.label,)),
                (COLLECT, READ),
                (arm.samples, arm.report),
            ),
            lambda arm=arm: _distil(run, settings, arm),  # type: ignore[misc]
            lambda arm=arm: _problems(run, arm),  # type: ignore[misc]
            overwrite=overwrite,
        )


def distil_name(arm: Arm) -> str:
    """The stage that makes an arm's samples."""
    return f"distil-{arm.slug}"


def training_texts(run: Run) -> "dict[Program, list[str]]":
    """The training goals' texts by what they were read as; those not understood are left out."""
    programs = read_goals(run.folder)
    texts: dict[Program, list[str]] = {}
    for goal in training_goals(run.folder):
        program = programs[goal.text]
        if program is not None:
            texts.setdefault(program, []).append(goal.text)
    if not texts:
        raise ValueError("Expected training goals that were understood, got none. Prime longer.")
    return texts


def _distil(run: Run, settings: DistilSettings, arm: Arm) -> None:
    from envs.babyai.simulator import ACTION_NAMES
    from imagination.abstraction import RAW, abstract_text
    from offline_rl.distillation_set import DistillationSet

    world, texts = grid_world(run.folder), training_texts(run)
    model = empirical_model(run.folder, arm.data)
    programs = list(texts)
    steps = _steps(run, settings, arm, world, model, programs)
    said = [
        texts[programs[goal]][plan % len(texts[programs[goal]])]
        for goal, plan in zip(steps.goals.tolist(), steps.plans.tolist(), strict=True)
    ]
    meant = [programs[goal] for goal in steps.goals.tolist()]
    states = model.states[steps.states]
    questions = abstract_text(said if arm.form == RAW else meant, states, world.shape, arm.form)
    DistillationSet(
        questions,
        [ACTION_NAMES[action] for action in steps.actions.tolist()],
        said,
        [program.text() for program in meant],
        steps.plans.astype(np.int64),
        steps.steps_left.astype(np.int64),
        states,
    ).write(run.folder / arm.samples)
    specs = {goal.text: goal.spec for goal in training_goals(run.folder)}
    report = _report(world, model, texts, specs, steps, arm)
    write_text(run.folder / arm.report, json.dumps(report, indent=1) + "\n")
    run.rewind(distil_name(arm), -1)
    run.log(distil_name(arm), 0, report["numbers"])


def _steps(
    run: Run,
    settings: DistilSettings,
    arm: Arm,
    world: "BabyAiWorld",
    model: "EmpiricalModel",
    programs: "list[Program]",
) -> "PlannedSteps":
    from offline_rl.distillation import equal_shares, plan_steps
    from offline_rl.language_policy import ACTION_ORDER

    goals = labelled_goals(programs, world)
    shares = equal_shares([program.relation for program in programs])
    config = replace(settings.plans, seed=settings.seed)
    with progress(f"distilling {arm.slug}", len(goals), "goals") as advance:
        if arm.source == PLANNED:
            return plan_steps(model, goals, shares, config, ACTION_ORDER, advance)
        return _stretches(run, arm, model, goals, shares, config)


def labelled_goals(programs: "list[Program]", world: "BabyAiWorld") -> "list[LabelledGoal]":
    """Goals that are labelled by what they were read as."""
    from offline_rl.distillation import LabelledGoal, program_labeller

    return [LabelledGoal(p.text(), program_labeller(p, world.shape)) for p in programs]


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
    world: "BabyAiWorld",
    model: "EmpiricalModel",
    texts: "dict[Program, list[str]]",
    specs: "dict[str, Spec]",
    steps: "PlannedSteps",
    arm: Arm,
) -> "dict[str, dict[str, float]]":
    """Counts, coverage and audits; replays in the environment are for this report alone."""
    programs = list(texts)
    relations = [programs[goal].relation for goal in steps.goals[steps.steps_left == 1].tolist()]
    numbers = {
        "goals": len(steps.reports),
        "goals_without_plans": len(steps.unreached),
        "plans": len(relations),
        "samples": len(steps),
        "environment_steps": steps.environment_steps,
        "labelled_edges": sum(report.labelled_edges for report in steps.reports),
        "seconds": sum(report.seconds for report in steps.reports),
        **{f"plans/{name}": count for name, count in sorted(Counter(relations).items())},
    }
    if arm.source == PLANNED:
        numbers |= _replays(world, model, texts, specs, steps)
    return {"numbers": numbers, "coverage": dataclasses.asdict(model.coverage)}


def _replays(
    world: "BabyAiWorld",
    model: "EmpiricalModel",
    texts: "dict[Program, list[str]]",
    specs: "dict[str, Spec]",
    steps: "PlannedSteps",
) -> dict[str, float]:
    """Shares of plans that reach their goal again, on the model and by the environment's truth."""
    from envs.babyai.goals import specs_array
    from offline_rl.distillation import likely_next, program_labeller, replay

    labellers = [program_labeller(program, world.shape) for program in texts]
    truth = specs_array([specs[said[0]] for said in texts.values()])

    def labelled(
        goals: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        found = np.zeros(len(goals), bool)
        for goal in np.unique(goals).tolist():
            rows = goals == goal
            found[rows] = labellers[goal](before[rows], actions[rows], after[rows])
        return found

    def judged(
        goals: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        return world.success(truth[goals], before, actions, after)

    return {
        "replayed_on_model": replay(model, steps, lambda s, a: likely_next(model, s, a), labelled),
        "replayed_in_environment": replay(model, steps, world.step_states, judged),
    }


def _problems(run: Run, arm: Arm) -> list[str]:
    from offline_rl.distillation_set import DistillationSet

    try:
        DistillationSet.read(run.folder / arm.samples)
    except ValueError as error:
        return [str(error)]
    return whole_json(run.folder / arm.report)
