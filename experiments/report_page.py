"""The HTML of a report: sections in reading order, all text escaped, no outside address."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from experiments.measures import label, shown
from experiments.progress import clock
from experiments.report import Chart, ReportData, headline
from experiments.report_charts import agent_role, bars, is_variant, lines
from experiments.report_tables import fidelity_table, result_tables, section_body
from experiments.report_watch import payload, watch
from experiments.results import Results, Row
from experiments.table import (
    PROTOCOL_NAMES,
    column_label,
    kind_columns,
    level_columns,
)

# The browser itself refuses every request, whatever a goal's text contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
ROLE_WORDS = {
    "imagined": "real + imagined rollouts",
    "real": "real rollouts only",
    "model": "the language model acts or plans",
    "reference": "reference",
    "distilled": "plans from unlabelled rows, distilled into the language model",
    "labelled": "trained on the same rows by other means",
    "solver": "plans on the table of the rows alone",
}
SCRIPTS = ("report_drawings.js", "report_page.js")


def render_page(data: ReportData) -> str:
    """The whole page as text."""
    sections = [
        ("Result", _headline(data)),
        ("Success by level", _levels(data)),
        ("Watch", watch(data)),
        ("All numbers", result_tables(data.results)),
        *((section.title, section_body(section)) for section in data.sections),
        ("Are imagined rollouts like real ones?", fidelity_table(data.results)),
        ("Learning curves", _curves(data)),
        ("How it was made", _making(data.results)),
    ]
    filled = [(title, body) for title, body in sections if body]
    navigation = "".join(
        f'<a href="#section-{number}">{escape(title)}</a>'
        for number, (title, _) in enumerate(filled)
        if number
    )
    body = "".join(
        f'<section id="section-{number}"><h2>{escape(title)}</h2>{content}</section>'
        for number, (title, content) in enumerate(filled)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(data.title)}</title>'
        f"<style>{_asset('report_page.css')}</style></head><body>"
        f"<header><h1>{escape(data.title)}</h1><nav>{navigation}</nav>"
        '<button id="theme" type="button" aria-label="Switch between light and dark">◐</button>'
        f"</header><main>{body}</main>"
        f'<script type="application/json" id="clips">{payload(data)}</script>'
        f"<script>{''.join(map(_asset, SCRIPTS))}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return files("experiments").joinpath(name).read_text(encoding="utf-8")


def _headline(data: ReportData) -> str:
    facts = f'<p class="facts">Base model: <b>{escape(data.results.base_model)}</b>'
    if data.results.seeds:
        facts += f" · seeds {', '.join(map(str, data.results.seeds))}"
    facts += "</p>"
    found = headline(data.results)
    if found is None:
        return facts
    where = data.novelty if found.level == "novel" else f"the {found.level} level"
    protocol = PROTOCOL_NAMES.get(found.after.protocol, found.after.protocol)
    name = found.after.measure.removesuffix(" in per cent")
    unit = "%" if name == "success" else "of 100"
    shares = [
        f'<figure class="role-{agent_role(row.agent)}"><b>{row.percent[0]:.1f}'
        f"<small> {unit}</small></b><figcaption>{escape(caption)}</figcaption></figure>"
        for row, caption in zip((found.before, found.after), found.captions, strict=True)
    ]
    return (
        f'<div class="headline">{shares[0]}<span class="arrow" aria-hidden="true">→</span>'
        f'{shares[1]}<p class="verdict">{found.points:+.1f} points of {name} on {escape(where)}'
        + (f" <span>({escape(protocol)})</span>" if protocol else "")
        + f"</p></div>{facts}"
    )


def _levels(data: ReportData) -> str:
    results = data.results
    if not results.rows:
        return ""
    roles = {agent_role(row.agent) for row in results.rows}
    legend = "".join(
        f'<li class="role-{role}"><i></i>{words}</li>'
        for role, words in ROLE_WORDS.items()
        if role in roles
    )
    strict = (
        "<li>strict: no sentence of an evaluation goal was imagined</li>"
        if any(row.protocol == "unseen" for row in results.rows)
        else ""
    )
    variants = (
        "<li>variants of an agent without its rules of acting are in the tables</li>"
        if any(is_variant(row.agent) for row in results.rows)
        else ""
    )
    page = f'<ul class="legend">{legend}{strict}{variants}</ul><div class="panels">'
    page += "".join(
        _panel(results.select(*column), column, data.level_notes)
        for column in level_columns(results)
    )
    kinds = kind_columns(results)
    if kinds:
        page += '</div><h3>By kind of goal</h3><div class="panels">'
        page += "".join(_panel(results.select(*column), column, {}) for column in kinds)
    return page + "</div>"


def _panel(rows: list[Row], column: tuple[str, str], notes: Mapping[str, str]) -> str:
    rows = [row for row in rows if not is_variant(row.agent)]
    note = notes.get(column[0], "")
    episodes = sorted({row.episodes for row in rows})
    count = f"{episodes[0]:,}" if len(episodes) == 1 else f"{episodes[0]:,} to {episodes[-1]:,}"
    return (
        f'<figure class="panel"><h4>{escape(column_label(*column))}</h4>'
        f"<p>{escape(note)}{' ' if note else ''}"
        f"<span>{count} episodes per agent, {rows[0].measure}, 95 % intervals</span></p>"
        f"{bars(rows)}</figure>"
    )


def _curves(data: ReportData) -> str:
    page = ""
    for title, charts in (
        ("The language model", data.grounding_charts),
        ("Agents", data.agent_charts),
    ):
        if charts:
            panels = "".join(_chart(chart) for chart in charts)
            page += f'<h3>{title}</h3><div class="panels narrow">{panels}</div>'
    return page


def _chart(chart: Chart) -> str:
    return (
        f'<figure class="panel"><h4>{escape(chart.title)}</h4>'
        f"<p><span>{escape(chart.y_label)}</span></p>{lines(chart)}</figure>"
    )


def _making(results: Results) -> str:
    total = sum(results.seconds_per_stage.values())
    page = f'<pre class="command"><code>{escape(results.command)}</code></pre>'
    facts = {"commit": results.commit, "base model": results.base_model, **results.versions}
    page += _facts({name: value for name, value in facts.items() if value}, "Versions")
    if total:
        times = {name: clock(value) for name, value in results.seconds_per_stage.items()}
        page += _facts({**times, "all stages": clock(total)}, "Time per stage")
    if results.grounding:
        measured = {label(name): shown(name, value) for name, value in results.grounding.items()}
        page += _facts(measured, "Grounding on held-out rollouts")
    notes = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
    return f'<div class="making">{page}</div>' + (f"<ul>{notes}</ul>" if notes else "")


def _facts(facts: Mapping[str, str], title: str) -> str:
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()
    )
    return f"<div><h4>{title}</h4><dl>{items}</dl></div>"
