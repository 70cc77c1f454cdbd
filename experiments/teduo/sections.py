"""What reports of any TEDUO run tell of how goals were read, and the tables they are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.folders import read_json
from experiments.report import NumberTable, Section
from experiments.teduo.folders import GOALS, TEST_GOALS

MAX_ABSTAINED = 12  # goals that were not understood and are shown
REASON = "abstained: "  # before the reasons in the numbers of a reading
Numbers = Mapping[str, float]


def reading_section(seeds: Sequence[Path]) -> Section:
    """How goals in words were read, those of the training and those of the evaluation.

    Args:
        seeds: folders of the run's seeds.
    """
    files = {"training": GOALS, "evaluation": TEST_GOALS}
    read = {name: jsons(seeds, file) for name, file in files.items()}
    counted = {
        name: added([content["numbers"] for content in contents if "numbers" in content])
        for name, contents in read.items()
    }
    counted = {name: numbers for name, numbers in counted.items() if numbers}
    if not counted:
        return Section("")
    reasons = [n for n in next(iter(counted.values())) if n.startswith(REASON)]
    columns = {
        "texts": "goal_texts",
        "said before": "duplicate_texts",
        "understood": "programs",
        **{f"not understood: {reason.removeprefix(REASON)}": reason for reason in reasons},
        "model calls": "model_calls",
        "tokens asked": "prompt_tokens",
        "tokens answered": "answer_tokens",
    }
    tables = [turned(counts_table("Goals in words, all seeds together", "goals", counted, columns))]
    abstained = {
        goal: why
        for contents in read.values()
        for content in contents
        for goal, why in content.get("abstained", {}).items()
    }
    if abstained:
        rows = tuple(list(abstained.items())[:MAX_ABSTAINED])
        caption = f"{len(rows)} of {len(abstained)} goals that were not understood"
        tables.append(NumberTable(caption, ("goal", "why"), rows, sentences=True))
    note = (
        "The language model reads each goal text once, as a small program; it is never asked about "
        "a state. A goal that it does not understand is left out, and the others go on."
    )
    return Section("How goals were read", note, tuple(tables))


def jsons(seeds: Sequence[Path], file: str) -> list[Any]:
    """The contents of a file of every seed that has it."""
    return [read_json(seed / file) for seed in seeds if (seed / file).exists()]


def added(rows: Sequence[Numbers]) -> dict[str, float]:
    """The sums of numbers by name; a name that a row lacks counts nothing there."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: sum(row.get(name, 0) for row in rows) for name in names}


def mean(rows: Sequence[Numbers]) -> dict[str, float]:
    """The means of numbers by name."""
    return {name: value / len(rows) for name, value in added(rows).items()}


def counts_table(
    caption: str, what: str, counted: Mapping[str, Numbers], columns: Mapping[str, str]
) -> NumberTable:
    """Whole numbers by name, one row each; a dash where a number is not there."""
    rows = tuple(
        (name, *(f"{numbers[n]:,.0f}" if n in numbers else "-" for n in columns.values()))
        for name, numbers in counted.items()
    )
    return NumberTable(caption, (what, *columns), rows)


def turned(table: NumberTable) -> NumberTable:
    """The table with its columns as rows."""
    header, *rows = zip(table.header, *table.rows, strict=True)
    return NumberTable(table.caption, header, tuple(rows))


def percent(value: float) -> str:
    """A share in per cent, a dash where there is none."""
    return "-" if value != value else f"{100 * value:.1f} %"
