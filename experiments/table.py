"""The result table: agents as rows, levels as columns, success with its 95 % interval."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.results import ALL_KINDS, Results, Row

WIDE = 220  # columns
PROTOCOL_NAMES = {"target": "target goals", "unseen": "unseen sentences"}


def agent_label(agent: str, protocol: str) -> str:
    """An agent's name with the protocol of its imagined goals, where it has one."""
    if not protocol:
        return agent
    words = PROTOCOL_NAMES.get(protocol, protocol)
    return f"{agent[:-1]}, {words})" if agent.endswith(")") else f"{agent} ({words})"


def column_label(level: str, kind: str) -> str:
    """A column's heading, such as ``hard`` or ``hard: gather``."""
    return level if kind == ALL_KINDS else f"{level}: {kind}"


def cell(row: Row) -> str:
    """Success in per cent with its interval, such as ``46.2 [43.0, 49.4]``."""
    return f"{100 * row.success:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def score_cell(row: Row) -> str:
    """The score with its interval, such as ``52.1 [48.0, 56.0]``; a dash without one."""
    if row.score is None:
        return "-"
    return f"{row.score:.1f} [{row.score_low:.1f}, {row.score_high:.1f}]"


def has_scores(results: Results) -> bool:
    """Whether rows have scores beside success."""
    return any(row.score is not None for row in results.rows)


def length_cell(row: Row) -> str:
    """Mean steps of an episode and share of steps that changed nothing, such as ``12.3, 4 %``."""
    steps = "-" if row.steps is None else f"{row.steps:.1f}"
    return steps if row.invalid is None else f"{steps}, {100 * row.invalid:.0f} %"


def grid(
    results: Results, columns: Sequence[tuple[str, str]], show: Callable[[Row], str] = cell
) -> list[list[str]]:
    """Header and one line per agent; a dash where an agent was not evaluated.

    Args:
        columns: (level, kind) of each column after the agent's.
        show: a row in words.
    """
    found = {(row.agent, row.protocol, row.level, row.kind): row for row in results.rows}
    lines = [["agent", *(column_label(*column) for column in columns)]]
    for agent, protocol in results.agents:
        rows = [found.get((agent, protocol, *column)) for column in columns]
        if any(rows):
            cells = [show(row) if row else "-" for row in rows]
            lines.append([agent_label(agent, protocol), *cells])
    return lines


def level_columns(results: Results) -> list[tuple[str, str]]:
    """The columns that cover whole levels."""
    return [column for column in results.columns if column[1] == ALL_KINDS]


def kind_columns(results: Results) -> list[tuple[str, str]]:
    """The columns of the kinds within levels."""
    return [column for column in results.columns if column[1] != ALL_KINDS]


def markdown_table(
    results: Results,
    columns: Sequence[tuple[str, str]] | None = None,
    show: Callable[[Row], str] = cell,
) -> str:
    """The table in Markdown; columns of whole levels by default."""
    chosen = level_columns(results) if columns is None else columns
    header, *lines = grid(results, chosen, show)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def terminal_tables(results: Results) -> list[Table]:
    """The table of levels and, where goals have kinds, the table of kinds.

    Scored goals have too many kinds for a terminal, and a table of scores instead.
    """
    levels = level_columns(results)
    if has_scores(results):
        return [
            _terminal_table(grid(results, levels, score_cell), "Score [95 % interval]"),
            _terminal_table(grid(results, levels), "Success in per cent [95 % interval]"),
        ]
    tables = []
    for columns, title in (
        (levels, "Success in per cent [95 % interval]"),
        (kind_columns(results), "By kind of goal"),
    ):
        if columns:
            tables.append(_terminal_table(grid(results, columns), title))
    return tables


def print_tables(tables: Sequence[Table]) -> None:
    """Prints tables on standard output; wide where that is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for table in tables:
        console.print(table)


def _terminal_table(lines: list[list[str]], title: str) -> Table:
    header, *body = lines
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for line in body:
        table.add_row(*map(Text, line))  # not markup: names may hold brackets
    return table
