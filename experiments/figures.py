"""Figures as PNG for the README and for papers."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.report_charts import agent_role, is_variant
from experiments.results import Results
from experiments.table import agent_label, column_label, level_columns

PANELS_IN_LINE = 5
PART_MARK = ": "  # between the part of a suite and its level
ROLE_COLORS = {
    "imagined": "#0f766e",
    "real": "#64748b",
    "model": "#7c3aed",
    "reference": "#b3aca0",
    "distilled": "#0f766e",
    "labelled": "#64748b",
    "solver": "#7c3aed",
}


def save_figure(
    results: Results, path: Path, columns: Sequence[tuple[str, str]] | None = None
) -> Path:
    """Draws success or score by level with 95 % intervals, a panel a column, and returns `path`.

    Variants of an agent without its rules of acting are left to the tables.

    Args:
        columns: (level, kind) of each panel; those of `figure_columns` by default.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = figure_columns(results) if columns is None else columns
    agents = [agent for agent in results.agents if not is_variant(agent[0])]
    lines = math.ceil(len(columns) / PANELS_IN_LINE)
    across = math.ceil(len(columns) / lines)
    size = (2.2 + 1.9 * across, 0.4 + lines * (0.7 + 0.3 * len(agents)))
    figure = Figure(figsize=size, dpi=160)
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, across, sharey=True, squeeze=False)
    for panel in grid.flat[len(columns) :]:
        panel.set_axis_off()
    for panel, column in zip(grid.flat, columns, strict=False):
        _draw_panel(panel, results, column, agents)
    grid[0][0].invert_yaxis()
    measures = dict.fromkeys(row.measure for row in results.rows)
    words = f"{', '.join(measures)}, 95 % intervals"
    figure.supxlabel(words, fontsize=9, color="#5d6570")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.png")
    figure.savefig(temporary, metadata={"Software": None})  # no version: same results, same bytes
    temporary.replace(path)
    return path


def figure_columns(results: Results) -> list[tuple[str, str]]:
    """Whole levels; of a suite only each part's first level and those where everything is new."""
    columns = level_columns(results)
    by_part: dict[str, list[tuple[str, str]]] = {}
    for column in columns:
        part, _, level = column[0].rpartition(PART_MARK)
        if part and level != "novel":
            by_part.setdefault(part, []).append(column)
    if not by_part:
        return columns
    return [
        column
        for levels in by_part.values()
        for column in levels
        if column == levels[0] or re.search(f"{PART_MARK}(?!train).*/both$", column[0])
    ]


def _draw_panel(
    panel: Any, results: Results, column: tuple[str, str], agents: Sequence[tuple[str, str]]
) -> None:
    panel.set_yticks(range(len(agents)), [agent_label(*agent) for agent in agents])
    rows = {(row.agent, row.protocol): row for row in results.select(*column)}
    for place, row in enumerate(map(rows.get, agents)):
        if row is None:
            continue
        value, low, high = row.percent
        panel.barh(place, value, height=0.62, color=ROLE_COLORS[agent_role(row.agent)])
        panel.plot([low, high], [place, place], color="#1c1f24", linewidth=1.1)
        panel.text(high + 2, place, f"{value:.0f}", va="center", fontsize=8)
    panel.set_title(column_label(*column), fontsize=10, loc="left", fontweight="bold")
    panel.set_xlim(0, 112)
    panel.set_xticks([0, 50, 100])
    panel.tick_params(labelsize=8, length=0, colors="#3b4048")
    panel.xaxis.grid(True, color="#eceae4")
    panel.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        panel.spines[side].set_visible(False)
