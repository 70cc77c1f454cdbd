"""The parts of a BabyAI report besides success: what goals were read as, how right labels are,
what was distilled, and how much of the world the rows show; over all seeds of a run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.babyai.folders import METHODS, Arm
from experiments.babyai.losses import grid_losses
from experiments.report import NumberTable, Section
from experiments.stage_records import done_stages, stage_settings
from experiments.teduo.folders import AUDIT_FILE, DISTIL
from experiments.teduo.sections import (
    Numbers,
    added,
    counts_table,
    jsons,
    mean,
    percent,
    reading_section,
    turned,
)

PLANS = "plans/"  # before the relations in the numbers of a distillation


def grid_sections(seeds: Sequence[Path]) -> tuple[Section, ...]:
    """The sections of a run; those whose stages are not done are left out.

    Args:
        seeds: folders of the run's seeds.
    """
    found = (reading_section(seeds), _labels(seeds), _distillation(seeds), grid_losses(seeds))
    return tuple(section for section in found if section.tables)


def _labels(seeds: Sequence[Path]) -> Section:
    from envs.babyai.goals import KINDS
    from envs.babyai.program_text import RELATIONS
    from imagination.label_audit import LabelCounts
    from imagination.programs import MEANINGS

    total: dict[str, LabelCounts] = {}
    names = tuple(vars(LabelCounts()))
    for numbers in jsons(seeds, AUDIT_FILE):
        for kind in dict.fromkeys(name.split("/")[0] for name in numbers if "/" in name):
            counts = LabelCounts(**{name: int(numbers[f"{kind}/{name}"]) for name in names})
            total[kind] = total.get(kind, LabelCounts()) + counts
    meanings = {kind: MEANINGS[relation] for kind, relation in zip(KINDS, RELATIONS, strict=True)}
    kinds = [kind for kind in (*KINDS, "all") if kind in total]
    rows = tuple((kind.replace("_", " "), *_label_cells(total[kind])) for kind in kinds)
    header = (
        *("kind of goal", "goals", "without labels", "accuracy", "precision", "recall"),
        *("right", "wrong", "missed"),
    )
    rates = NumberTable("Labels of rows against the environment's verifiers", header, rows)
    means = tuple((kind.replace("_", " "), meanings[kind]) for kind in kinds if kind in meanings)
    says = ("kind of goal", "what a label says of a row")
    said = NumberTable("What labels claim", says, means, sentences=True)
    note = (
        "A row is labelled for a goal by the program that the goal was read as, or by a judge and "
        "its proxies where the run says so. The verifiers are "
        "asked for this audit alone: nothing that is trained sees them. Goals that were not "
        "understood label nothing, which costs recall. Right, wrong and missed count labels of "
        "success, all seeds together."
    )
    return Section("How right the labels are", note, (rates, said) if rows else ())


def _label_cells(counts: Any) -> tuple[str, ...]:
    return (
        f"{counts.goals:,}",
        f"{counts.unlabelled_goals:,}",
        *(percent(rate) for rate in (counts.accuracy, counts.precision, counts.recall)),
        f"{counts.true_positives:,}",
        f"{counts.false_positives:,}",
        f"{counts.false_negatives:,}",
    )


def _distillation(seeds: Sequence[Path]) -> Section:
    arms = _arms(seeds)
    reports = {arm: jsons(seeds, arm.report) for arm in arms}
    if not any(reports.values()):
        return Section("")
    counted = {arm.label: added([r["numbers"] for r in reports[arm]]) for arm in arms}
    kinds = list(dict.fromkeys(n for row in counted.values() for n in row if n.startswith(PLANS)))
    columns = {
        "goals": "goals",
        "without a plan": "goals_without_plans",
        "plans": "plans",
        **{name.removeprefix(PLANS).replace("_", " "): name for name in kinds},
        "samples": "samples",
        "environment steps": "environment_steps",
    }
    table = counts_table("Samples of each arm, all seeds together", "arm", counted, columns)
    planned = [arm for arm in arms if any(_replayed(report) for report in reports[arm])]
    replays = NumberTable(
        "Plans that reach their goal when they are played again",
        ("arm", "on the rows' table", "in the environment"),
        tuple(
            (
                arm.label,
                *(
                    percent(_weighted(reports[arm], f"replayed_{where}"))
                    for where in ("on_model", "in_environment")
                ),
            )
            for arm in planned
        ),
    )
    note = (
        "Plans come from the table of rows alone, and only those that end in a labelled success "
        "are kept; environment steps counts what planning took from the environment. Playing plans "
        "again in the environment is an audit: no plan is dropped for it. An arm that clones takes "
        "stretches of play that end in a label instead."
    )
    tables = (table, *([replays] if planned else []), _coverage(arms, reports))
    return Section("What was distilled", note, tables)


def _coverage(arms: Sequence[Arm], reports: "Mapping[Arm, list[Any]]") -> NumberTable:
    """What the rows of each data set show, on average over seeds; arms share data sets."""
    by_data = {arm.data: reports[arm] for arm in arms if reports[arm]}
    columns = {
        "rows": "transitions",
        "different states": "states",
        "states acted in": "acted_states",
        "(state, action) pairs": "pairs",
        "(state, action, next) edges": "edges",
        "pairs with several ends": "stochastic_pairs",
    }
    rows = []
    for data, contents in by_data.items():
        average = mean([content["coverage"] for content in contents])
        counts = (f"{average[name]:,.0f}" for name in columns.values())
        rows.append(
            (data, *counts, percent(average["pair_share"]), f"{average['memory_bytes'] / 1e6:,.1f}")
        )
    header = ("data", *columns, "pairs of all in those states", "megabytes")
    return turned(NumberTable("What the rows cover, mean of the seeds", header, tuple(rows)))


def _arms(seeds: Sequence[Path]) -> list[Arm]:
    """The arms whose samples are there, planned ones first."""
    labels = dict.fromkeys(
        stage_settings(seed, stage)["arms"][0]
        for seed in seeds
        for stage in done_stages(seed)
        if stage.startswith(DISTIL)
    )
    return sorted(map(Arm.of, labels), key=lambda arm: (list(METHODS).index(arm.method), arm.data))


def _replayed(report: Any) -> bool:
    return "replayed_on_model" in report["numbers"]


def _weighted(reports: Sequence[Any], name: str) -> float:
    """The share of all plans, from the shares of each seed's."""
    numbers: list[Numbers] = [report["numbers"] for report in reports if _replayed(report)]
    plans = sum(row["plans"] for row in numbers)
    return sum(row[name] * row["plans"] for row in numbers) / plans if plans else float("nan")
