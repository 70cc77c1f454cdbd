"""What was lost on the way from rows to agents, counted over all seeds of a run, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.babyai.folders import GOALS, TEST_GOALS, Arm, judgement_file
from experiments.folders import read_json
from experiments.stage import done_stages, stage_settings
from experiments.tracking import read_metrics

_DISTIL, _JUDGE = "distil-", "judge-"  # beginnings of stages' names
_REASON = "abstained: "
_WORDS = {  # counts of contestants, and of how many
    "answers_without_action": ("answers", "answers that name no action, left to chance"),
    "unknown_actions": ("actions", "words that name no action, played as one that does nothing"),
}


def loss_notes(seeds: Sequence[Path]) -> tuple[str, ...]:
    """One sentence for each kind of loss that occurred.

    Args:
        seeds: folders of a run's seeds.
    """
    found = [
        *_unread("Training goals", _numbers(seeds, GOALS)),
        *_unread("Goals of the evaluation", _numbers(seeds, TEST_GOALS)),
    ]
    for stage in dict.fromkeys(stage for seed in seeds for stage in done_stages(seed)):
        if stage.startswith(_JUDGE):
            data = stage.removeprefix(_JUDGE)
            found += _unjudged(data, _numbers(seeds, judgement_file(data)))
        elif stage.startswith(_DISTIL):
            arm = Arm.of(stage_settings(seeds[0], stage)["arms"][0])
            found += _unplanned(arm, _numbers(seeds, arm.report))
    return (*found, *_unnamed(seeds))


def _numbers(seeds: Sequence[Path], file: str) -> Counter[str]:
    """The numbers in a file of each seed, added up; seeds that lack it are left out."""
    total: Counter[str] = Counter()
    for path in (path for seed in seeds if (path := seed / file).exists()):
        total.update(read_json(path).get("numbers", {}))
    return total


def _unread(what: str, numbers: Mapping[str, int]) -> list[str]:
    reasons = {
        name.removeprefix(_REASON): count
        for name, count in numbers.items()
        if name.startswith(_REASON) and count
    }
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    whole = numbers["goal_texts"] - numbers["duplicate_texts"] if reasons else 0
    lost = sum(reasons.values())
    return [f"{what} that were not understood: {lost} of {whole} ({told})."] if lost else []


def _unjudged(data: str, numbers: Mapping[str, int]) -> list[str]:
    verdicts = sum(count for name, count in numbers.items() if name.startswith("verdicts/"))
    lost = {
        "Goals that the judge gave no labels": (numbers["goals_without_labels"], numbers["goals"]),
        "Answers of the judge that are no verdict": (numbers["verdicts/nonsense"], verdicts),
    }
    return [
        f"{what}: {part} of {whole}, in {data}." for what, (part, whole) in lost.items() if part
    ]


def _unplanned(arm: Arm, numbers: Mapping[str, int]) -> list[str]:
    lost = numbers["goals_without_plans"]
    found = [
        f"Goals that the data reaches from nowhere: {lost} of {numbers['goals']}, {arm.label}."
    ]
    missing = [f"{arm.label} has no row: it has no plans to learn from."]
    return [*(found if lost else []), *(missing if numbers["plans"] < 2 else [])]


def _unnamed(seeds: Sequence[Path]) -> list[str]:
    total: Counter[str] = Counter()
    for row in (row for seed in seeds for row in read_metrics(seed) if row["stage"] == "evaluate"):
        kinds = (*_WORDS, *(whole for whole, _ in _WORDS.values()))
        total.update({k: n for k, n in row["metrics"].items() if k.rpartition("/")[2] in kinds})
    found = []
    for name, count in total.items():
        agent, _, kind = name.rpartition("/")
        if kind in _WORDS and count:
            whole, words = _WORDS[kind]
            found.append(f"{agent}: {count} of {total[f'{agent}/{whole}']} {words}.")
    return found
