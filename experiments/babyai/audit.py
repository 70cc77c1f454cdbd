"""How right the labels are: those of the training goals against the environment's verifiers."""

import json
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.folders import (
    Arm,
    asked_goals,
    empirical_model,
    grid_world,
    judgement_file,
    read_goals,
    transitions_folder,
)
from experiments.babyai.label import JUDGE, LabelSettings, judged_labels, label_needs
from experiments.folders import read_json, whole_json
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.folders import AUDIT, AUDIT_FILE, COLLECT, GOALS, READ
from experiments.tracking import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envs.world import Goal

COSTS = ("model_calls", "prompt_tokens", "answer_tokens")
MAX_ROWS = 20_000  # transitions that are judged for every goal


def audit_stage(run: Run, settings: LabelSettings, arm: Arm, *, overwrite: bool) -> None:
    """Writes accuracy, precision and recall by goal kind; nothing that trains reads them.

    Args:
        arm: whose data's labels are audited.
    """
    complete(
        run,
        Stage(AUDIT, arm, (COLLECT, READ, *label_needs(settings, arm.data)), (AUDIT_FILE,)),
        lambda: _audit(run, settings, arm),
        lambda: whole_json(run.folder / AUDIT_FILE),
        overwrite=overwrite,
    )


def _audit(run: Run, settings: LabelSettings, arm: Arm) -> None:
    from envs.transitions import Transitions, TransitionStore
    from imagination.label_audit import audit_labels, labels_by_programs

    rows = TransitionStore(run.folder / transitions_folder(arm.data)).read()
    some = Transitions(rows.states[:MAX_ROWS], rows.actions[:MAX_ROWS], rows.next_states[:MAX_ROWS])
    shape, goals = grid_world(run.folder).shape, asked_goals(run.folder)
    if settings.way == JUDGE:
        labelled = _judged(run, arm.data, goals)
        costs = read_json(run.folder / judgement_file(arm.data))["numbers"]
    else:
        programs = {text: p for text, p in read_goals(run.folder).items() if p is not None}
        labelled = labels_by_programs(goals, programs, some, shape)
        costs = read_json(run.folder / GOALS).get("numbers", {})
    found = {kind: counts.numbers() for kind, counts in audit_labels(labelled, some, shape).items()}
    numbers = {f"{kind}/{name}": n for kind, row in found.items() for name, n in row.items()}
    numbers |= {name: costs[name] for name in COSTS if name in costs}
    known = {name: number for name, number in numbers.items() if number == number}  # no nan
    write_text(run.folder / AUDIT_FILE, json.dumps(known, indent=1) + "\n")
    run.rewind(AUDIT, -1)
    run.log(AUDIT, 0, known)


def _judged(run: Run, data: str, goals: "list[Goal]") -> "Iterator[tuple[Goal, np.ndarray | None]]":
    """Each goal with the judge's labels of the first rows, if any."""
    from offline_rl.distillation import unpacked

    model, labels = empirical_model(run.folder, data), judged_labels(run.folder, data)
    edges = model.row_edges[:MAX_ROWS]
    for goal in goals:
        packed = labels[goal.text]
        yield goal, None if packed is None else unpacked(model, packed)[edges]
