"""Labels by a chat model that judges transitions, the paper's way; programs need no such stage.

What is judged are the different transitions of a data set, which are the edges of its empirical
model. A goal that the judge says too little about has no labels; it is counted with its reason.
"""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.babyai.folders import (
    Arm,
    asked_goals,
    empirical_model,
    grid_world,
    judgement_file,
    labels_file,
)
from experiments.chats import chat_costs
from experiments.folders import whole_json
from experiments.names import require_known
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.base import ReadSettings, run_chat
from experiments.teduo.folders import COLLECT, READ
from experiments.tracking import Run
from imagination.judge import JudgeSettings
from imagination.proxies import ProxySettings

if TYPE_CHECKING:
    from envs.transitions import Transitions
    from imagination.judge import Judgement
    from offline_rl.empirical import EmpiricalModel

PROGRAMS, JUDGE = "programs", "judge"
_KIND = "goal-labels"


@dataclass(frozen=True)
class LabelSettings:
    """Who says which transitions reach a goal."""

    way: str = PROGRAMS  # "programs", one call a goal, or "judge", thousands of them and proxies
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    proxies: ProxySettings = field(default_factory=ProxySettings)
    spread: bool = True  # equal transitions share a verdict; the paper leaves them to the proxies

    def __post_init__(self) -> None:
        require_known("way to label", self.way, (PROGRAMS, JUDGE))


@dataclass(frozen=True)
class _Judged:
    """What identifies the stage: the settings with the seed of the judge's choices."""

    labels: LabelSettings
    seed: int


def label_stage(
    run: Run,
    settings: LabelSettings,
    seed: int,
    read: ReadSettings,
    arms: list[Arm],
    *,
    overwrite: bool,
) -> None:
    """Has every data set judged for every goal, unless programs label.

    Args:
        read: says which chat model judges.
    """
    for data in dict.fromkeys(arm.data for arm in arms if settings.way == JUDGE):
        complete(
            run,
            Stage(
                label_name(data),
                _Judged(settings, seed),
                (COLLECT, READ),
                (labels_file(data), judgement_file(data)),
            ),
            lambda data=data: _label(run, settings, seed, read, data),  # type: ignore[misc]
            lambda data=data: _problems(run, data),  # type: ignore[misc]
            overwrite=overwrite,
        )


def label_name(data: str) -> str:
    """The stage that has a data set judged."""
    return f"judge-{data}"


def label_needs(settings: LabelSettings, data: str) -> tuple[str, ...]:
    """The stages that whoever reads labels of a data set needs."""
    return (label_name(data),) if settings.way == JUDGE else ()


def judged_labels(folder: Path, data: str) -> dict[str, np.ndarray | None]:
    """Labels of a data set's edges by goal text, packed (ceil(E / 8),) uint8; None without any."""
    from offline_rl.tasks import read_parquet

    table, _ = read_parquet(folder / labels_file(data), _KIND)
    rows = zip(table["goal"].to_pylist(), table["labels"].to_pylist(), strict=True)
    return {goal: None if bits is None else np.frombuffer(bits, np.uint8) for goal, bits in rows}


def _label(run: Run, settings: LabelSettings, seed: int, read: ReadSettings, data: str) -> None:
    import pyarrow as pa

    from imagination.judge import judge_goals
    from imagination.judged_labels import labels_by_judge
    from offline_rl.tasks import write_parquet

    texts = list(dict.fromkeys(goal.text for goal in asked_goals(run.folder)))
    steps = _edges(empirical_model(run.folder, data))
    shape, chat = grid_world(run.folder).shape, run_chat(run.folder, read)
    judge = replace(settings.judge, seed=seed)
    judgements: list[Judgement] = []
    with progress(f"judging {data}", len(texts), "goals") as advance:
        for judgement in judge_goals(chat, texts, steps, shape, judge):
            judgements.append(judgement)
            advance(len(judgements))
    labelled = labels_by_judge(
        judgements, steps, shape, settings.proxies, seed=seed, spread=settings.spread
    )
    bits = {goal: None if own is None else np.packbits(own).tobytes() for goal, own in labelled}
    table = pa.table({"goal": list(bits), "labels": pa.array(bits.values(), pa.binary())})
    write_parquet(run.folder / labels_file(data), table, _KIND, {"edges": len(steps)})
    silent = sum(own is None for own in bits.values())
    numbers = _counts(judgements) | {"goals_without_labels": silent} | chat_costs(chat)
    _report(run, data, judgements, numbers)


def _edges(model: "EmpiricalModel") -> "Transitions":
    """The different transitions of the data."""
    from envs.transitions import Transitions

    pairs = model.edge_pairs
    before, after = model.states[model.pair_states[pairs]], model.states[model.successors]
    return Transitions(before, model.pair_actions[pairs], after)


def _counts(judgements: "list[Judgement]") -> dict[str, float]:
    verdicts: Counter[str] = Counter()
    for judgement in judgements:
        verdicts.update(judgement.numbers())
    return {"goals": len(judgements), **{f"verdicts/{name}": n for name, n in verdicts.items()}}


def _report(run: Run, data: str, judgements: "list[Judgement]", numbers: dict[str, float]) -> None:
    """Writes what the judge said about each goal, and why it said nothing."""
    goals = {
        judgement.goal: {
            "features": judgement.features,
            **judgement.numbers(),
            "problem": judgement.problem,
        }
        for judgement in judgements
    }
    content = {"numbers": numbers, "goals": goals}
    write_text(run.folder / judgement_file(data), json.dumps(content, indent=1) + "\n")
    problems = [judgement.problem for judgement in judgements if judgement.problem]
    if problems:
        say(
            f"{label_name(data)}: {len(problems)} of {len(judgements)} goals were not judged to "
            f"the end: {problems[0]}"
        )
    run.rewind(label_name(data), -1)
    run.log(label_name(data), 0, numbers)


def _problems(run: Run, data: str) -> list[str]:
    try:
        judged_labels(run.folder, data)
    except ValueError as error:
        return [str(error)]
    return whole_json(run.folder / judgement_file(data))
