"""What judges were asked in vain, and methods that found nothing to learn from, for reports."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from experiments.origin import say
from experiments.report import NumberTable, Section
from experiments.teduo.folders import Distilled, has_samples
from experiments.teduo.sections import Numbers, added, counts_table

_COSTS = ("model_calls", "cached_answers", "prompt_tokens", "answer_tokens")


def say_if_lost(folder: Path, arm: Distilled) -> None:
    """Tells the user of a method that has nothing to learn from; the run goes on without it."""
    if not has_samples(folder, arm):
        say(
            f"{arm.label}: no plans to learn from, as no goal was understood or the data "
            f"reaches none; left out. {folder / arm.report} counts the goals."
        )


def loss_section(note: str, tables: Iterable[NumberTable]) -> Section:
    """The section of a report; tables without rows are left out."""
    shown = tuple(table for table in tables if table.rows)
    return Section("What was asked in vain", note, shown)


def lost_arms_table(arms: Iterable[tuple[Path, Distilled]]) -> NumberTable:
    """How many seeds each method has nothing to learn from in.

    Args:
        arms: every method whose samples were made, with the folder of its seed.
    """
    lost = Counter(arm.label for seed, arm in arms if not has_samples(seed, arm))
    rows = tuple((label, str(count)) for label, count in lost.items())
    return NumberTable("Arms without plans to learn from", ("arm", "seeds"), rows)


def judge_table(
    what: str, said: Mapping[str, Sequence[Numbers]], columns: Mapping[str, str]
) -> NumberTable:
    """What a judge said and what that cost, one row for each data set.

    Args:
        said: numbers of every seed, by data set.
        columns: headers, and the numbers below them.
    """
    shown = {**columns, **{name.replace("_", " "): name for name in _COSTS}}
    none = dict.fromkeys(shown.values(), 0.0)
    counted = {name: none | added(rows) for name, rows in said.items()}
    return counts_table("What the judge said", what, counted, shown)
