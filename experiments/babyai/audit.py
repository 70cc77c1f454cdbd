"""How right the labels are: those of the training goals against the environment's verifiers."""

import json

from experiments.babyai.folders import (
    COLLECT,
    Arm,
    grid_world,
    read_goals,
    training_goals,
    transitions_folder,
)
from experiments.babyai.read import READ
from experiments.folders import whole_json
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run

AUDIT = "audit-labels"
LABELS = "evaluation/labels.json"  # relative to the run folder
MAX_ROWS = 20_000  # transitions that are judged for every goal


def audit_stage(run: Run, arm: Arm, *, overwrite: bool) -> None:
    """Writes accuracy, precision and recall by goal kind; nothing that trains reads them.

    Args:
        arm: whose data is judged.
    """
    complete(
        run,
        Stage(AUDIT, arm, (COLLECT, READ), (LABELS,)),
        lambda: _audit(run, arm),
        lambda: whole_json(run.folder / LABELS),
        overwrite=overwrite,
    )


def _audit(run: Run, arm: Arm) -> None:
    from envs.transitions import Transitions, TransitionStore
    from imagination.label_audit import audit_labels, labels_by_programs

    rows = TransitionStore(run.folder / transitions_folder(arm.data)).read()
    some = Transitions(rows.states[:MAX_ROWS], rows.actions[:MAX_ROWS], rows.next_states[:MAX_ROWS])
    shape = grid_world(run.folder).shape
    programs = {text: p for text, p in read_goals(run.folder).items() if p is not None}
    labelled = labels_by_programs(training_goals(run.folder), programs, some, shape)
    found = {kind: counts.numbers() for kind, counts in audit_labels(labelled, some, shape).items()}
    numbers = {f"{kind}/{name}": n for kind, row in found.items() for name, n in row.items()}
    known = {name: number for name, number in numbers.items() if number == number}  # no nan
    write_text(run.folder / LABELS, json.dumps(known, indent=1) + "\n")
    run.rewind(AUDIT, -1)
    run.log(AUDIT, 0, known)
