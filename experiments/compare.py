"""`kalm compare`: runs side by side, and what the same agent gained or lost between them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from experiments.figures import save_figure
from experiments.pool import UNTRAINED, pooled_evaluation, seed_folders, table_row
from experiments.results import Results, load_results
from experiments.table import (
    agent_label,
    markdown_table,
    print_tables,
    terminal_tables,
)
from experiments.tracking import mirrored_run_ids

if TYPE_CHECKING:
    from offline_rl.evaluation import Evaluation
    from offline_rl.statistics import Interval

OFFLINE_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(\w+)")


@dataclass(frozen=True)
class Command:
    """Compares runs, named by folder, by results file, or by wandb run id or offline folder."""

    runs: tyro.conf.Positional[tuple[str, ...]]  # the first one is the baseline of differences
    root: Path = Path("runs")  # where wandb run ids are looked for
    figure: Path | None = None  # also draw the comparison into this PNG
    markdown: Path | None = None  # also write the tables into this file


@dataclass(frozen=True)
class Difference:
    """How much higher an agent scores in a run than in the baseline run, on the same tasks."""

    run: str
    agent: str
    level: str
    interval: "Interval"


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm compare")
    if len(command.runs) < 2:
        raise ValueError(f"Expected at least two runs to compare, got {len(command.runs)}.")
    folders = [find_run(name, command.root) for name in command.runs]
    names = distinct_names(folders)
    joined = join([_results(folder) for folder in folders], names)
    tables = [markdown_table(joined)]
    print_tables(terminal_tables(joined)[:1])
    found = differences(folders, names)
    if found:
        tables.append(difference_table(found))
        print(tables[-1])
    if command.markdown is not None:
        command.markdown.write_text("\n\n".join(tables) + "\n", encoding="utf-8")
    if command.figure is not None:
        save_figure(joined, command.figure)
    return 0


def find_run(name: str, root: Path) -> Path:
    """The run folder or results file that a user means.

    Args:
        name: a folder, a results file, a wandb offline folder, or a wandb run id.
        root: searched for the run that was mirrored under that id.

    Raises:
        ValueError: nothing of that name was found.
    """
    path = Path(name)
    if path.is_file() or (path / "results.json").exists() or seed_folders(path):
        return path
    match = OFFLINE_FOLDER.fullmatch(path.name)
    run_id = match.group(1) if match else name
    if match and path.parent.name == "wandb" and run_id in mirrored_run_ids(path.parent.parent):
        return path.parent.parent
    mirrored = [marker.parent for marker in sorted(root.rglob("wandb.json"))]
    known = {one: folder for folder in mirrored for one in mirrored_run_ids(folder)}
    if run_id in known:
        return known[run_id]
    raise ValueError(
        f"No run `{name}`: it is no run folder or results file, and no run under `{root}` was "
        f"mirrored to wandb under that id. Known ids: {', '.join(known) or 'none'}."
    )


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Short names that tell the runs apart: the last parts of their paths that differ."""
    parts = [folder.absolute().with_suffix("").parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"Expected different runs, got `{folders[0]}` twice.")


def join(results: Sequence[Results], names: Sequence[str]) -> Results:
    """All rows in one table, agents of one name together and marked with their run."""
    rows = []
    for result, name in zip(results, names, strict=True):
        label = f" [{name}]"
        rows += [
            replace(row, agent=agent_label(row.agent, row.protocol) + label, protocol="")
            for row in result.rows
        ]
    order = list(dict.fromkeys(row.agent.rsplit(" [", 1)[0] for row in rows))
    rows.sort(key=lambda row: order.index(row.agent.rsplit(" [", 1)[0]))
    return replace(results[0], name=" and ".join(names), rows=tuple(rows), notes=())


def differences(folders: Sequence[Path], names: Sequence[str]) -> list[Difference]:
    """Paired differences of every agent that the baseline run has too, where tasks are the same.

    Results files hold no single episodes, so they give no differences.
    """
    evaluations = [pooled_evaluation(f) if f.is_dir() else None for f in folders]
    base = evaluations[0]
    if base is None:
        return []
    found = []
    for name, other in zip(names[1:], evaluations[1:], strict=True):
        if other is None or not same_tasks(base, other):
            print(f"{name}: other tasks than {names[0]}, so no paired differences.")
            continue
        found += _paired(base, other, name)
    return found


def same_tasks(first: "Evaluation", second: "Evaluation") -> bool:
    """Whether two evaluations ran the same tasks, so that their episodes can be paired."""
    one, other = (
        {(r.level, r.task, r.goal, r.task_seed) for r in evaluation.records}
        for evaluation in (first, second)
    )
    return one == other


def _paired(base: "Evaluation", other: "Evaluation", name: str) -> list[Difference]:
    from offline_rl.evaluation import Evaluation

    mark = "\0other"
    renamed = tuple(replace(record, agent=record.agent + mark) for record in other.records)
    both = Evaluation.merge([base, replace(other, records=renamed)])
    agents = [agent for agent in other.agents if agent in base.agents and agent not in UNTRAINED]
    levels = ["novel", *other.levels]
    found = []
    for agent in agents:
        for level in levels:
            if both.strata(agent, level) and both.strata(agent + mark, level):
                interval = both.difference(agent + mark, agent, level)
                found.append(Difference(name, agent, level, interval))
    return found


def difference_table(found: Sequence[Difference]) -> str:
    """Differences in points of success as a Markdown table; those that exclude 0 are bold."""
    levels = list(dict.fromkeys(difference.level for difference in found))
    cells = {(d.run, d.agent, d.level): d.interval for d in found}
    lines = [["difference in points", *levels], ["---", *["---:"] * len(levels)]]
    for run, agent in dict.fromkeys((d.run, d.agent) for d in found):
        label, _, protocol = agent.partition("@")
        row = [f"{agent_label(label, protocol)} [{run}]"]
        row += [
            points(cells[run, agent, level]) if (run, agent, level) in cells else "-"
            for level in levels
        ]
        lines.append(row)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def points(interval: "Interval") -> str:
    """A difference in points with its interval, such as ``**+12.0 [8.1, 15.9]**``."""
    value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
    text = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _results(path: Path) -> Results:
    """The stored results of a run, or those of its evaluations where none were published."""
    if path.is_file():
        return load_results(path)
    if (path / "results.json").exists():
        return load_results(path / "results.json")
    rows = tuple(table_row(row) for row in pooled_evaluation(path).rows())
    return Results(path.name, rows, "", "", "")
