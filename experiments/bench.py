"""`kalm bench`: every stage against what people use today and against the limit, side by side."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import tyro

from experiments.bench_machine import IDLE_CORES, OtherLoad, load_average, machine
from experiments.bench_measure import BenchRow, UnequalWorkError
from experiments.bench_report import (
    BenchReport,
    Curve,
    load_report,
    markdown,
    notes,
    save_report,
    terminal_table,
)
from experiments.names import require_known
from experiments.origin import command_line, commit, say, versions
from experiments.progress import clock
from experiments.readme import put_between_markers
from experiments.results import write_text
from experiments.table import print_tables

STAGES = {  # in the order of the pipeline; every module has SIZES and rows(size)
    "environment": "experiments.bench_environment",
    "grounding": "experiments.bench_grounding",
    "imagination": "experiments.bench_imagination",
    "offline": "experiments.bench_offline",
    "evaluation": "experiments.bench_evaluation",
    "store": "experiments.bench_store",
    "startup": "experiments.bench_startup",
}
ALONE = {  # only where they are named; they have figures of their own
    "growth": "experiments.bench_growth",
    "gpu": "experiments.bench_gpu",
}


@dataclass(frozen=True)
class Command:
    """Measures stages side by side with what people use today, or draws the README's table."""

    stages: tyro.conf.Positional[tuple[str, ...]] = ()  # none: all but `growth` and `gpu`
    quick: bool = False  # under a minute a stage, with wider spreads
    json: Path | None = None  # where the figures go, such as experiments/results/bench_cpu.json
    table: tuple[Path, ...] = ()  # draw the table of these files; of equal rows, the last counts
    readme: Path | None = None  # put that table between the page's markers


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments; 1 where ways did not do equal work."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm bench")
    for stage in command.stages:
        require_known("stage", stage, [*STAGES, *ALONE])
    if command.table:
        return _draw(command.table, command.readme)
    if command.readme is not None:
        raise ValueError("Expected --table with --readme: name the files to draw.")
    unfinished = command.json and command.json.with_suffix(".unfinished.json")
    report, whole = run_stages(
        command.stages or tuple(STAGES),
        "quick" if command.quick else "full",
        command_line("bench", arguments),
        unfinished=unfinished,
    )
    if command.json is not None:
        save_report(report, command.json)
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        if report.curves:
            from experiments.bench_growth import save_figure

            save_figure(report.curves, command.json.with_suffix(".png"))
        say(f"figures: {command.json}")
    return 0 if whole else 1


def run_stages(
    stages: Sequence[str],
    size: str,
    command: str,
    *,
    show: bool = True,
    unfinished: Path | None = None,
) -> tuple[BenchReport, bool]:
    """The report of `stages`, and whether all ways of all rows did equal work.

    Args:
        size: a key of the stages' SIZES.
        unfinished: written after each stage; the same command on the same machine and commit goes
            on from it.
    """
    average, others = load_average(), OtherLoad()
    if average is not None and average > IDLE_CORES:
        say(
            f"WARNING: the machine is not idle (load {average:.1f} before the start). Speeds are "
            f"too low; ratios, measured in turn, suffer less. Stop what else runs, then repeat."
        )
    new = BenchReport(command, commit(), size, machine(), {}, True, versions())
    report = _earlier(unfinished, new) or new
    idle, whole = report.idle and (average or 0.0) <= IDLE_CORES, True
    for stage in stages:
        if stage in report.seconds_per_stage:
            say(f"{stage}: measured before, kept")
            continue
        began = time.monotonic()
        rows, curves, equal = _run_stage(stage, size)
        whole &= equal
        seconds = time.monotonic() - began
        busy = others.cores()
        report = replace(
            report,
            load={"average_before": average, "other_cores": busy},
            idle=idle and (busy or 0.0) <= IDLE_CORES,
            rows=(*report.rows, *rows),
            curves=(*report.curves, *curves),
            seconds_per_stage={**report.seconds_per_stage, stage: round(seconds, 1)},
        )
        if unfinished is not None and whole:
            save_report(report, unfinished)
        say(f"{stage}: measured in {clock(seconds)}")
        if show:
            print_tables([terminal_table(rows, f"{stage}, {size}")])
            for note in notes(rows):
                print(f"  {note}")
    if not report.idle:
        busy = report.load["other_cores"] or 0.0
        say(f"WARNING: other processes kept {busy:.1f} cores busy meanwhile.")
    return report, whole


def _earlier(path: Path | None, new: BenchReport) -> BenchReport | None:
    """What the same command measured before it was stopped, if that is comparable."""
    if path is None or not path.exists():
        return None
    try:
        found = load_report(path)
    except ValueError:
        return None
    same = ("command", "commit", "size", "machine", "versions")
    return found if all(getattr(found, name) == getattr(new, name) for name in same) else None


def _run_stage(stage: str, size: str) -> tuple[list[BenchRow], list[Curve], bool]:
    """Rows and curves of a stage; False where its ways did not do equal work."""
    module = import_module({**STAGES, **ALONE}[stage])
    rows: list[BenchRow] = []
    curves: list[Curve] = []
    try:
        for found in module.rows(module.SIZES[size]):
            if isinstance(found, Curve):
                curves.append(found)
            else:
                rows.append(found)
                say(f"{stage}: {found.name}: done")
    except UnequalWorkError as error:
        say(f"error: {stage}: {error}")
        return rows, curves, False
    return rows, curves, True


def _draw(files: Sequence[Path], readme: Path | None) -> int:
    """Prints the table of reports, or puts it into a page."""
    reports = [_with_newest_demo(load_report(path)) for path in files if path.exists()]
    table = markdown(reports, [_what_lacks(path) for path in files if not path.exists()])
    if readme is None:
        print(table)
        return 0
    write_text(readme, put_between_markers(readme.read_text("utf-8"), "speed", table))
    say(f"table: {readme}")
    return 0


def _with_newest_demo(report: BenchReport) -> BenchReport:
    """`report` with the demo's time as published now: its row is quoted, not measured."""
    from experiments.bench_startup import DEMO, demo_row

    newest = demo_row(DEMO)
    rows = [newest if row.stage == newest.stage else row for row in report.rows]
    return replace(report, rows=tuple(rows))


def _what_lacks(path: Path) -> str:
    """What a file that is not there would tell, such as "gpu" for bench_gpu.json."""
    return path.stem.removeprefix("bench_")
