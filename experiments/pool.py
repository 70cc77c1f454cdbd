"""Results of a run: the evaluations of its seeds together, as rows with intervals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.contestants import PROTOCOL_MARK
from experiments.folders import (
    EVALUATION,
    GROUNDING_METRICS,
    OUTCOMES,
    REFERENCES,
    fidelity_file,
    read_json,
)
from experiments.origin import commit, versions
from experiments.results import Results, Row
from experiments.stage_records import done_stages, made_by, stage_settings
from experiments.tracking import read_commands, read_seconds

if TYPE_CHECKING:
    from offline_rl.evaluation import Evaluation, EvaluationRow

MOVEMENT = "by movement"  # the second judge of one-step goals
UNTRAINED = ("random", "expert")


def seed_folders(folder: Path) -> list[Path]:
    """The folders of a run's seeds; the folder itself where it is a single run."""
    seeds = [path for path in folder.glob("seed-*") if (path / "stages").is_dir()]
    if seeds:
        return sorted(seeds, key=lambda path: int(path.name.removeprefix("seed-")))
    return [folder] if (folder / "stages").is_dir() else []


def pooled_evaluation(folder: Path) -> "Evaluation":
    """All records of a run, references first and once.

    Raises:
        ValueError: nothing of the run was evaluated.
    """
    from offline_rl.evaluation import Evaluation

    seeds = seed_folders(folder)
    files = [seed / REFERENCES / OUTCOMES for seed in seeds]
    chosen = [path for path in files if path.exists()][:1]
    chosen += [path for seed in seeds if (path := seed / EVALUATION / OUTCOMES).exists()]
    if not chosen:
        raise ValueError(f"Nothing was evaluated in `{folder}`. Run `kalm evaluate` on it first.")
    return Evaluation.merge(Evaluation.read(path) for path in chosen)


def results_of(folder: Path, name: str, base_model: str, *, scored: bool = False) -> Results:
    """The results of the run in `folder`, all finished seeds together.

    Args:
        scored: rewards are shares of 1, and rows tell their means too; the one level that is novel
            needs no mean beside it.
    """
    evaluation = pooled_evaluation(folder)
    seeds = seed_folders(folder)
    rows = [table_row(row) for row in evaluation.rows()]
    if scored:
        rows = [_scored(row, evaluation) for row in rows if row.level != "novel"]
    rows += [
        replace(table_row(row), kind=MOVEMENT)
        for row in evaluation.rows("moved")
        if row.kind == "all" and row.level != "novel"
    ]
    return Results(
        name=name,
        rows=tuple(ordered(rows)),
        base_model=base_model,
        command=" && ".join(read_commands(folder)),
        commit=", ".join(dict.fromkeys(c for s in seeds for c in made_by(s))) or commit(),
        seeds=tuple(sorted({r.agent_seed for r in evaluation.records if r.agent not in UNTRAINED})),
        seconds_per_stage=_added([read_seconds(seed) for seed in seeds]),
        versions=versions(),
        grounding=_averaged([read_json(p) for s in seeds if (p := s / GROUNDING_METRICS).exists()]),
        fidelity=_fidelity(seeds),
    )


def table_row(row: "EvaluationRow") -> Row:
    """A row of an evaluation as a row of a table, its protocol apart from its name."""
    agent, _, protocol = row.agent.partition(PROTOCOL_MARK)
    return Row(
        agent=agent,
        level=row.level,
        kind=row.kind,
        protocol=protocol,
        success=row.success,
        low=row.low,
        high=row.high,
        episodes=row.episodes,
        seeds=tuple(row.seeds),
        steps=round(row.steps, 2),
        invalid=None if row.invalid is None else round(row.invalid, 4),
    )


def _scored(row: Row, evaluation: "Evaluation") -> Row:
    """`row` with the mean reward of its episodes."""
    found = evaluation.mean_return(row.agent, row.level, row.kind)
    score, low, high = (round(100 * value, 2) for value in (found.value, found.low, found.high))
    return replace(row, score=score, score_low=low, score_high=high)


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows of an agent together, the mean of the novel levels before the levels."""
    agents = list(dict.fromkeys((row.agent, row.protocol) for row in rows))
    return sorted(
        rows, key=lambda row: (agents.index((row.agent, row.protocol)), row.level != "novel")
    )


def _added(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Seconds per stage over all seeds, those of many agents under one name."""
    total: dict[str, float] = {}
    for values in seconds:
        for stage, value in values.items():
            name = "train" if stage.startswith("train-") else stage
            total[name] = round(total.get(name, 0.0) + value, 1)
    return total


def _averaged(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over seeds of the measures that all of them have."""
    if not measured:
        return {}
    names = [name for name in measured[0] if all(name in other for other in measured)]
    return {name: sum(other[name] for other in measured) / len(measured) for name in names}


def _fidelity(seeds: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Measure -> group -> mean over seeds; groups of later protocols carry the protocol's name."""
    table: dict[str, dict[str, float]] = {}
    for place, protocol in enumerate(protocols(seeds)):
        files = [seed / fidelity_file(protocol) for seed in seeds]
        means = _averaged([json.loads(path.read_text()) for path in files if path.exists()])
        for group in ("real", "imagined", "accepted") if place == 0 else ("imagined", "accepted"):
            column = group if place == 0 else f"{group}, {protocol}"
            for name, value in means.items():
                if name.startswith(f"{group}/"):
                    table.setdefault(name.removeprefix(f"{group}/"), {})[column] = value
    return table


def protocols(seeds: Sequence[Path]) -> list[str]:
    """Protocols under which a run imagined, the target goals first."""
    names = {
        str(stage_settings(seed, stage)["protocol"])
        for seed in seeds
        for stage in done_stages(seed)
        if stage.startswith("imagine-")
    }
    return sorted(names)
