"""What chat models and agents were asked in vain, as a section of a report; over all seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.babyai.folders import Arm, judgement_file
from experiments.folders import read_json
from experiments.report import NumberTable, Section
from experiments.stage import done_stages, stage_settings
from experiments.teduo.folders import DISTIL, has_samples
from experiments.tracking import read_metrics

_JUDGE = "judge-"  # before the data sets in names of stages
_COUNTS = {  # of a contestant: what its model said, and how much of it names no action
    "answers": "answers_without_action",
    "actions": "unknown_actions",
}
_VERDICTS = ("true", "false", "not_applicable", "nonsense")


def loss_section(seeds: Sequence[Path]) -> Section:
    """Counts of the judge, of answers that name no action, and of arms without a row.

    Args:
        seeds: folders of a run's seeds.
    """
    stages = dict.fromkeys(stage for seed in seeds for stage in done_stages(seed))
    data = [stage.removeprefix(_JUDGE) for stage in stages if stage.startswith(_JUDGE)]
    tables = [table for table in (_judged(seeds, data), _acted(seeds)) if table.rows]
    arms = [
        (seed, Arm.of(stage_settings(seed, stage)["arms"][0]))
        for seed in seeds
        for stage in done_stages(seed)
        if stage.startswith(DISTIL)
    ]
    lost = Counter(arm.label for seed, arm in arms if not has_samples(seed, arm))
    rows = tuple((label, str(count)) for label, count in lost.items())
    if rows:
        tables.append(NumberTable("Arms without plans to learn from", ("arm", "seeds"), rows))
    note = (
        "An answer that is no verdict labels nothing. An answer that names no action leaves it to "
        "chance, and a word of a list that names none is played as the action that does nothing."
    )
    return Section("What was asked in vain", note, tuple(tables))


def _judged(seeds: Sequence[Path], data: Sequence[str]) -> NumberTable:
    names = ("goals", "goals_without_labels", *(f"verdicts/{name}" for name in _VERDICTS))
    costs = ("model_calls", "cached_answers", "prompt_tokens", "answer_tokens")
    rows = []
    for name in data:
        total: Counter[str] = Counter()
        for path in (path for seed in seeds if (path := seed / judgement_file(name)).exists()):
            total.update(read_json(path)["numbers"])
        rows.append((name, *(f"{total[key]:,}" for key in (*names, *costs))))
    words = tuple(name.removeprefix("verdicts/").replace("_", " ") for name in (*names, *costs))
    return NumberTable("What the judge said", ("data", *words), tuple(rows))


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
