"""What chat models and agents were asked in vain, as a section of a report; over all seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.babyai.folders import Arm, judgement_file
from experiments.report import NumberTable, Section
from experiments.stage_records import done_stages, stage_settings
from experiments.teduo.folders import DISTIL
from experiments.teduo.losses import judge_table, loss_section, lost_arms_table
from experiments.teduo.sections import jsons
from experiments.tracking import read_metrics

_JUDGE = "judge-"  # before the data sets in names of stages
_COUNTS = {  # of a contestant: what its model said, and how much of it names no action
    "answers": "answers_without_action",
    "actions": "unknown_actions",
}
_JUDGED = {
    "goals": "goals",
    "goals without labels": "goals_without_labels",
    **{
        name.replace("_", " "): f"verdicts/{name}"
        for name in ("true", "false", "not_applicable", "nonsense")
    },
}


def grid_losses(seeds: Sequence[Path]) -> Section:
    """Counts of the judge, of answers that name no action, and of arms without a row.

    Args:
        seeds: folders of a run's seeds.
    """
    done = [(seed, stage) for seed in seeds for stage in done_stages(seed)]
    data = dict.fromkeys(s.removeprefix(_JUDGE) for _, s in done if s.startswith(_JUDGE))
    judged = {
        name: [content["numbers"] for content in jsons(seeds, judgement_file(name))]
        for name in data
    }
    arms = (
        (seed, Arm.of(stage_settings(seed, stage)["arms"][0]))
        for seed, stage in done
        if stage.startswith(DISTIL)
    )
    note = (
        "An answer that is no verdict labels nothing. An answer that names no action leaves it to "
        "chance, and a word of a list that names none is played as the action that does nothing."
    )
    tables = (judge_table("data", judged, _JUDGED), _acted(seeds), lost_arms_table(arms))
    return loss_section(note, tables)


def _acted(seeds: Sequence[Path]) -> NumberTable:
    total: Counter[str] = Counter()
    for row in (row for seed in seeds for row in read_metrics(seed) if row["stage"] == "evaluate"):
        total.update(_counts(row["metrics"]))
    rows = tuple(
        (agent, f"{count:,}", f"{total[f'{agent}/{lost}']:,}")
        for name, count in total.items()
        for agent, _, said in [name.rpartition("/")]
        if (lost := _COUNTS.get(said))
    )
    return NumberTable("Actions in words", ("agent", "said", "no action"), rows)


def _counts(metrics: Mapping[str, float]) -> dict[str, int]:
    known = {*_COUNTS, *_COUNTS.values()}
    return {k: int(n) for k, n in metrics.items() if k.rpartition("/")[2] in known}
