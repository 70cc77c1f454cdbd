"""Figures as PNG for the README and for papers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.report_charts import agent_role
from experiments.results import Results
from experiments.table import agent_label, column_label, level_columns

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
    """Draws success by level with 95 % intervals, one panel per column, and returns `path`.

    Args:
        columns: (level, kind) of each panel; whole levels by default.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = level_columns(results) if columns is None else columns
    agents = results.agents
    figure = Figure(figsize=(2.2 + 1.9 * len(columns), 1.1 + 0.3 * len(agents)), dpi=160)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, column in zip(panels, columns, strict=True):
        _draw_panel(panel, results, column)
    panels[0].set_yticks(range(len(agents)), [agent_label(*agent) for agent in agents])
    panels[0].invert_yaxis()
    figure.supxlabel("success in per cent, 95 % intervals", fontsize=9, color="#5d6570")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.png")
    figure.savefig(temporary, metadata={"Software": None})  # no version: same results, same bytes
    temporary.replace(path)
    return path


def _draw_panel(panel: Any, results: Results, column: tuple[str, str]) -> None:
    places = {agent: place for place, agent in enumerate(results.agents)}
    for row in results.select(*column):
        place = places[row.agent, row.protocol]
        success, low, high = (100 * value for value in (row.success, row.low, row.high))
        panel.barh(place, success, height=0.62, color=ROLE_COLORS[agent_role(row.agent)])
        panel.plot([low, high], [place, place], color="#1c1f24", linewidth=1.1)
        panel.text(high + 2, place, f"{success:.0f}", va="center", fontsize=8)
    panel.set_title(column_label(*column), fontsize=10, loc="left", fontweight="bold")
    panel.set_xlim(0, 112)
    panel.set_xticks([0, 50, 100])
    panel.tick_params(labelsize=8, length=0, colors="#3b4048")
    panel.xaxis.grid(True, color="#eceae4")
    panel.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        panel.spines[side].set_visible(False)
