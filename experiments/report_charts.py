"""Charts as SVG text; colours come from the page's style sheet, so they follow its theme."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from experiments.report import Chart
from experiments.results import Row
from experiments.table import agent_label

BAR_HEIGHT = 26
LABEL_WIDTH = 228
BAR_WIDTH = 270
VALUE_WIDTH = 62


ROLES = {  # the group that an agent is coloured by, by the beginning of its name
    "real+imagined": "imagined",
    "real-only": "real",
    **dict.fromkeys(("planner", "lm", "language-model"), "model"),
    "teduo": "distilled",
    **dict.fromkeys(("cloning/", "gru/", "cql/"), "labelled"),
    "solver/": "solver",
}


def agent_role(agent: str) -> str:
    """One of the values of `ROLES`, or "reference"."""
    found = (role for beginning, role in ROLES.items() if agent.startswith(beginning))
    return next(found, "reference")


def is_variant(agent: str) -> bool:
    """Whether an agent of a grid run lacks a rule of acting; pictures leave these to the tables."""
    acts_by_rules = agent_role(agent) in ("distilled", "labelled")
    return acts_by_rules and agent.endswith(("(no mask)", "(no loop-break)", "(greedy)"))


def bars(rows: Sequence[Row]) -> str:
    """Horizontal bars of success or score with interval whiskers, one row per agent."""
    height = BAR_HEIGHT * len(rows) + 24
    width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH
    description = "; ".join(
        f"{agent_label(row.agent, row.protocol)} {row.percent[0]:.1f} of 100" for row in rows
    )
    parts = [
        f'<svg class="bars" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(description)}">'
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = LABEL_WIDTH + share * BAR_WIDTH
        parts.append(
            f'<line class="gridline" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}"/>'
            f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">'
            f"{100 * share:.0f}</text>"
        )
    parts += [_bar(row, position) for position, row in enumerate(rows)]
    return "".join(parts) + "</svg>"


def _bar(row: Row, position: int) -> str:
    top = position * BAR_HEIGHT
    middle = top + BAR_HEIGHT / 2
    value, least, most = row.percent
    end, low, high = (LABEL_WIDTH + BAR_WIDTH * part / 100 for part in row.percent)
    label = agent_label(row.agent, row.protocol)
    tooltip = (
        f"{label}: {value:.1f} [{least:.1f}, {most:.1f}], {row.measure}, {row.episodes:,} episodes"
    )
    return (
        f'<g class="role-{agent_role(row.agent)}"><title>{escape(tooltip)}</title>'
        f'<text class="label" x="{LABEL_WIDTH - 10}" y="{middle + 4:.1f}" text-anchor="end">'
        f"{escape(row.agent)}{_protocol_mark(row.protocol)}</text>"
        f'<rect class="bar" x="{LABEL_WIDTH}" y="{top + 5}" '
        f'width="{max(end - LABEL_WIDTH, 1):.1f}" height="{BAR_HEIGHT - 10}" rx="2"/>'
        f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}'
        f'M{low:.1f} {middle - 4:.1f}v8M{high:.1f} {middle - 4:.1f}v8"/>'
        f'<text class="value" x="{LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH - 4}" '
        f'y="{middle + 4:.1f}" text-anchor="end">{value:.1f}</text></g>'
    )


def _protocol_mark(protocol: str) -> str:
    """A short mark for the stricter protocol, which the page's legend explains."""
    return ' <tspan class="mark">strict</tspan>' if protocol == "unseen" else ""


def lines(chart: Chart) -> str:
    """A line chart with axes and one colour per series."""
    points = [point for values in chart.series.values() for point in values]
    if not points:
        return '<p class="empty">No points were logged.</p>'
    x_ticks = ticks(min(x for x, _ in points), max(x for x, _ in points))
    heights = [_height(y, chart.logarithmic) for _, y in points]
    y_ticks = ticks(min(heights), max(heights))
    frame = _Frame(x_ticks[0], x_ticks[-1], y_ticks[0], y_ticks[-1])
    parts = [
        f'<svg class="lines" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(chart.title)}">'
    ]
    for value in y_ticks:
        y = frame.y(value)
        shown = f"{10**value:.3g}" if chart.logarithmic else _number(value)
        parts.append(
            f'<line class="gridline" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" '
            f'text-anchor="end">{shown}</text>'
        )
    for value in x_ticks:
        parts.append(
            f'<text class="tick" x="{frame.x(value):.1f}" y="{frame.bottom + 16}" '
            f'text-anchor="middle">{_number(value)}</text>'
        )
    parts.append(
        f'<text class="axis" x="{frame.right}" y="{frame.height - 2}" text-anchor="end">'
        f"{escape(chart.x_label)}</text>"
    )
    parts += _curves(chart, frame)
    return "".join(parts) + "</svg>" + _legend(chart.series)


class _Frame:
    """Where data lands on the picture."""

    width, height = 460, 250
    left, right, top, bottom = 52, 450, 10, 214

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self._x_low, self._x_span = x_low, (x_high - x_low) or 1.0
        self._y_low, self._y_span = y_low, (y_high - y_low) or 1.0

    def x(self, value: float) -> float:
        return self.left + (value - self._x_low) / self._x_span * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self._y_low) / self._y_span * (self.bottom - self.top)


def _curves(chart: Chart, frame: _Frame) -> list[str]:
    parts = []
    for color, (name, values) in enumerate(chart.series.items()):
        places = [(frame.x(x), frame.y(_height(y, chart.logarithmic))) for x, y in values]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        last = f"{values[-1][1]:.4g}" if values else ""
        title = f"<title>{escape(name)}: {last} at the end</title>"
        parts.append(f'<g class="series-{color % 8}">{title}<polyline points="{path}"/>')
        if len(places) <= 40:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in places]
        parts.append("</g>")
    return parts


def _legend(series: Mapping[str, list[tuple[float, float]]]) -> str:
    if len(series) < 2:
        return ""
    items = "".join(
        f'<li class="series-{color % 8}"><i></i>{escape(name)}</li>'
        for color, name in enumerate(series)
    )
    return f'<ul class="legend">{items}</ul>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high] in about `count` equal steps."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(position * step, 12) for position in range(first, last + 1)]


def _height(value: float, logarithmic: bool) -> float:
    return math.log10(max(value, 1e-12)) if logarithmic else value


def _number(value: float) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1000:g} k" if abs(value) >= 1000 else f"{value:g}"
