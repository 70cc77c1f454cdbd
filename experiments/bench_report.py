"""Benchmarks as data: rows and curves, the machine they come from, and tables drawn from them."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from experiments.bench_measure import BenchRow
from experiments.results import write_text

SCHEMA = "bench-1"
UNMEASURED = "unmeasured"
HEADER = ("stage", "ours", "peer", "ratio", "limit", "share of the limit", "spread", "to reach")


@dataclass(frozen=True)
class Point:
    """Cost of an amount of work."""

    work: float  # units, such as rollouts
    seconds: float  # of the work alone, set-up excluded
    peak_megabytes: float  # largest resident memory of the process


@dataclass(frozen=True)
class Curve:
    """How the cost of a stage grows with its work."""

    stage: str
    unit: str  # of work, such as "rollouts"
    points: tuple[Point, ...]


@dataclass(frozen=True)
class BenchReport:
    """What `kalm bench` measured."""

    command: str  # measures it again
    commit: str  # of the code
    size: str  # "quick", "full" or "tiny"
    machine: Mapping[str, str]  # cores, processor, threads
    load: Mapping[str, float | None]  # what else ran on the machine, in cores
    idle: bool  # nothing else ran to speak of
    versions: Mapping[str, str]
    rows: tuple[BenchRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    seconds_per_stage: Mapping[str, float] = field(default_factory=dict)


def save_report(report: BenchReport, path: Path) -> None:
    """Writes `report` as JSON; no reader ever sees half of it."""
    content = {"schema": SCHEMA, **dataclasses.asdict(report)}
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def load_report(path: Path) -> BenchReport:
    """The report stored in `path`.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"No benchmark at `{path}`. Run `kalm bench --json {path}`.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"`{path}` is not JSON ({error}). Measure again.") from None
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise ValueError(f"Expected a benchmark of schema {SCHEMA} in `{path}`. Measure again.")
    content["rows"] = tuple(_row(row) for row in content["rows"])
    content["curves"] = tuple(
        Curve(curve["stage"], curve["unit"], tuple(Point(**point) for point in curve["points"]))
        for curve in content["curves"]
    )
    return BenchReport(**content)


def _row(stored: dict[str, Any]) -> BenchRow:
    ranges = {
        name: None if stored[name] is None else tuple(stored[name])
        for name in ("ratio_range", "share_range")
    }
    samples = {name: tuple(values) for name, values in stored["samples"].items()}
    return BenchRow(**{**stored, **ranges, "samples": samples})


def cells(row: BenchRow) -> list[str]:
    """A row's cells in the order of `HEADER`."""
    share = None if row.share is None else f"{row.share:.2f}"
    return [
        f"{row.stage}: {row.name}" if row.name else row.stage,
        f"{number(row.ours)} {row.unit}" if row.ours is not None else UNMEASURED,
        _against(row.peer_name, row.peer),
        _with_range(None if row.ratio is None else f"{row.ratio:.1f}", row.ratio_range, 1),
        _against(row.limit_name, row.limit),
        _with_range(share, row.share_range, 2),
        "" if row.spread is None else f"{100 * row.spread:.0f} %",
        _aim(row),
    ]


def number(value: float | None) -> str:
    """A figure to three digits, such as ``12,300`` or ``0.0456``."""
    if value is None:
        return UNMEASURED
    if value and abs(value) < 100:
        return f"{value:.3g}"
    digits = max(0, len(str(int(abs(value)))) - 3)
    return f"{round(value, -digits):,.0f}"


def _against(name: str, value: float | None) -> str:
    return f"{number(value)} ({name})" if name else ""


def _with_range(shown: str | None, found: tuple[float, float] | None, digits: int) -> str:
    if shown is None or found is None:
        return ""
    low, high = found
    return shown if low == high else f"{shown} [{low:.{digits}f}, {high:.{digits}f}]"


def _aim(row: BenchRow) -> str:
    parts = [
        *([f"ratio {row.least_ratio:g}"] if row.least_ratio is not None else []),
        *([f"share {row.least_share:g}"] if row.least_share is not None else []),
        *([f"at most {row.at_most:g}"] if row.at_most is not None else []),
    ]
    verdict = {True: "reached", False: "missed", None: UNMEASURED}[row.reached]
    return f"{', '.join(parts)}: {verdict}" if parts else ""


def terminal_table(rows: Sequence[BenchRow], title: str) -> Table:
    """The table for a terminal; notes stand below their rows."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for place, name in enumerate(HEADER):
        table.add_column(name, justify="left" if place in (0, len(HEADER) - 1) else "right")
    for row in rows:
        table.add_row(*map(Text, cells(row)))
    return table


def notes(rows: Iterable[BenchRow]) -> list[str]:
    """What rows say besides their figures."""
    return [f"{row.stage}: {row.name}: {row.note}" for row in rows if row.note]


def markdown(reports: Sequence[BenchReport], missing: Sequence[str] = ()) -> str:
    """All rows as one Markdown table with the commands that measured them.

    Args:
        reports: a row that several hold is that of the last one.
        missing: what has no report yet, such as "one H200-class GPU".
    """
    newest = {
        (row.stage, row.name): (row, place)
        for place, report in enumerate(reports)
        for row in report.rows
    }
    lines = [f"| {' | '.join(HEADER)} |", f"| --- |{' ---: |' * (len(HEADER) - 2)} --- |"]
    lines += [f"| {' | '.join(cells(row))} |" for row, _ in newest.values()]
    blank = " |" * (len(HEADER) - 1)
    lines += [f"| {what}: {UNMEASURED} |{blank}" for what in missing]
    origins = []
    for place, report in enumerate(reports):
        stages = dict.fromkeys(row.stage for row, source in newest.values() if source == place)
        if stages:
            measured = f"{', '.join(stages)}: `{report.command}`"
            commit = report.commit or "unknown"
            origins.append(f"- {measured} at commit {commit}, {machine_line(report)}.")
    return "\n".join([*lines, "", *origins])


def machine_line(report: BenchReport) -> str:
    """The machine of a report in a few words."""
    state = "idle" if report.idle else "NOT idle"
    words = [report.machine.get("processor", ""), f"{report.machine.get('cores', '?')} cores"]
    return ", ".join([word for word in words if word] + [state])
