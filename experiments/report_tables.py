"""The tables of a report as HTML, all text escaped."""

from collections.abc import Callable, Sequence
from html import escape

from experiments.measures import label, ordered, shown
from experiments.report import NumberTable, Section
from experiments.results import Results, Row
from experiments.table import (
    agent_label,
    cell,
    column_label,
    has_scores,
    kind_columns,
    length_cell,
    level_columns,
    score_cell,
)

SCORES = "Score, 100 times the mean reward, with 95 % intervals"
LENGTHS = "Steps of an episode on average, and share of steps that changed nothing"


def result_tables(results: Results) -> str:
    """Scores where there are some, success by level and kind of goal, and counted lengths."""
    levels, kinds = level_columns(results), kind_columns(results)
    page = ""
    if has_scores(results):
        page += _results(results, levels, SCORES, score_cell)
    if levels:
        page += _results(results, levels, "Success in per cent with 95 % intervals", _success)
    if kinds:
        page += _results(results, kinds, "By kind of goal", _success)
    if any(row.invalid is not None for row in results.rows):
        page += _results(results, levels, LENGTHS, length_cell)
    return page


def section_body(section: Section) -> str:
    """A section's note, links and tables."""
    page = f"<p>{escape(section.note)}</p>" if section.note else ""
    links = "".join(
        f'<li><a href="{escape(path)}">{escape(words)}</a></li>'
        for words, path in section.links.items()
    )
    if links:
        page += f'<ul class="links">{links}</ul>'
    return page + "".join(map(number_table, section.tables))


def number_table(table: NumberTable) -> str:
    """A table whose cells are words already."""
    rows = [(row[0], [f"<td>{escape(text)}</td>" for text in row[1:]]) for row in table.rows]
    return _html(table.header, rows, table.caption, "sentences" if table.sentences else "numbers")


def fidelity_table(results: Results) -> str:
    """How imagined rollouts compare with real ones; "" where that was not measured."""
    if not results.fidelity:
        return ""
    sources = list(dict.fromkeys(name for row in results.fidelity.values() for name in row))
    rows = [
        (
            label(measure),
            [
                f"<td>{shown(measure, values[name]) if name in values else '-'}</td>"
                for name in sources
            ],
        )
        for measure in ordered(results.fidelity)
        for values in [results.fidelity[measure]]
    ]
    return _html(("measure", *sources), rows, "")


def _results(
    results: Results, columns: list[tuple[str, str]], caption: str, show: Callable[[Row], str]
) -> str:
    """One line per agent; the best of a column is marked where columns show success."""
    found = {(row.agent, row.protocol, row.level, row.kind): row for row in results.rows}
    best = {column: max(row.success for row in results.select(*column)) for column in columns}
    lines = []
    for agent, protocol in results.agents:
        rows = [found.get((agent, protocol, *column)) for column in columns]
        if any(rows):
            cells = [
                "<td>-</td>"
                if row is None
                else f"<td{_mark(row, best[column], show)}>{show(row)}</td>"
                for row, column in zip(rows, columns, strict=True)
            ]
            lines.append((agent_label(agent, protocol), cells))
    return _html(("agent", *(column_label(*column) for column in columns)), lines, caption)


def _success(row: Row) -> str:
    success, interval = cell(row).split(" ", 1)
    return f"{success} <small>{interval}</small>"


def _mark(row: Row, best: float, show: Callable[[Row], str]) -> str:
    return ' class="best"' if show is _success and row.success == best else ""


def _html(
    header: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    caption: str,
    style: str = "numbers",
) -> str:
    """A table; cells are HTML with their element, names and header are words."""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>' for name, cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="{style}">{title}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
