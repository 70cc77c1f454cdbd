"""The report of a run as plain data, and its one self-contained HTML file.

The page needs no server and asks for nothing: styles, script, charts and rollouts are inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envs.world import Scene
from experiments.films import Film
from experiments.results import Results, Row, write_text

OUTCOMES = ("accepted", "rejected", "reached", "missed")


@dataclass(frozen=True)
class Clip:
    """A rollout to play."""

    title: str  # who made it, such as "imagined" or "real-only/cql"
    source: str  # "imagined" or "real"
    outcome: str  # one of OUTCOMES
    film: Film  # what is seen
    reason: str = ""  # more on the outcome, such as why a rejected rollout was rejected

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(
                f"Expected an outcome among {', '.join(OUTCOMES)}, got `{self.outcome}`."
            )


@dataclass(frozen=True)
class Comparison:
    """Clips of one goal that play side by side under one control."""

    goal: str
    level: str
    clips: tuple[Clip, ...]
    reading: str = ""  # what the goal was read as, where it was


@dataclass(frozen=True)
class Gallery:
    """A titled set of comparisons."""

    title: str
    note: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, list[tuple[float, float]]]  # name -> (x, y) in order of x
    logarithmic: bool = False  # y axis; values must be positive then


@dataclass(frozen=True)
class NumberTable:
    """A table in words, as it is shown."""

    caption: str
    header: tuple[str, ...]  # of the columns, that of the rows' names first
    rows: tuple[tuple[str, ...], ...]  # a name and its cells each
    sentences: bool = False  # cells hold sentences, not numbers

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"Expected {len(self.header)} cells in a row of `{self.caption}`, got {row}."
                )


@dataclass(frozen=True)
class Section:
    """A part of a report that only some runs have."""

    title: str
    note: str = ""
    tables: tuple[NumberTable, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # words -> path from the page


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows."""

    title: str
    results: Results
    scene: Scene | None = None  # how pushes are drawn; None where none are shown
    galleries: tuple[Gallery, ...] = ()
    grounding_charts: tuple[Chart, ...] = ()
    agent_charts: tuple[Chart, ...] = ()
    level_notes: Mapping[str, str] = field(default_factory=dict)  # what a level asks for
    sections: tuple[Section, ...] = ()  # after the tables of results
    novelty: str = "goals it has no data for"  # what the novel level is


def write_report(data: ReportData, path: Path) -> Path:
    """Writes the page to `path` and returns `path`."""
    from experiments.report_page import render_page

    write_text(path, render_page(data))
    return path


@dataclass(frozen=True)
class Headline:
    """The one comparison that a run is about."""

    level: str
    before: Row
    after: Row
    captions: tuple[str, str]  # what the two did, in words
    algorithm: str = ""  # that both have in common, where there is a choice

    @property
    def points(self) -> float:
        """Points gained of 100, of what figures show of the rows."""
        return self.after.percent[0] - self.before.percent[0]


def headline(results: Results) -> Headline | None:
    """What imagined rollouts, or plans from unlabelled rows, bring; None where neither was tried.

    On novel goals where pooled rows exist. The agent shown is the one that does best *with* them,
    not the one that gains most: no pick of the widest gap.
    """
    levels = list(dict.fromkeys(row.level for row in results.rows))
    if not levels:
        return None
    level = "novel" if "novel" in levels else levels[-1]
    rows = results.select(level)
    return _imagination(level, rows) or _distillation(level, rows)


def _imagination(level: str, rows: Sequence[Row]) -> Headline | None:
    """An algorithm without and with imagined rollouts."""
    base = {row.agent.split("/", 1)[1]: row for row in rows if row.agent.startswith("real-only/")}
    pairs = [
        (row, base[row.agent.split("/", 1)[1]])
        for row in rows
        if row.agent.startswith("real+imagined/") and row.agent.split("/", 1)[1] in base
    ]
    if not pairs:
        return None
    best, real = max(pairs, key=lambda pair: pair[0].success)
    algorithm = best.agent.split("/", 1)[1]
    captions = f"{algorithm} on real rollouts only", f"{algorithm} on real and imagined rollouts"
    return Headline(level, real, best, captions, algorithm)


def _distillation(level: str, rows: Sequence[Row]) -> Headline | None:
    """The base model as it was, and with plans from unlabelled rows distilled into it."""
    untuned = [row for row in rows if row.agent == "untuned"]
    tuned = [row for row in rows if row.agent.startswith("teduo") and "(" not in row.agent]
    if not untuned or not tuned:
        return None
    best = max(tuned, key=lambda row: row.percent)
    return Headline(level, untuned[0], best, ("the base model untuned", best.agent))
