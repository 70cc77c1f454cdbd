"""The HTML of a report: sections in reading order, all text escaped, no outside address."""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from experiments.measures import label, ordered, shown
from experiments.progress import clock
from experiments.report import Chart, Clip, Comparison, ReportData, headline
from experiments.report_charts import bars, lines
from experiments.results import Results, Row
from experiments.table import (
    PROTOCOL_NAMES,
    agent_label,
    cell,
    column_label,
    kind_columns,
    level_columns,
)

# The browser itself refuses every request, whatever a goal's text contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
OUTCOME_WORDS = {
    "accepted": "accepted",
    "rejected": "rejected",
    "reached": "goal reached",
    "missed": "goal not reached",
}
ROLE_WORDS = {
    "imagined": "real + imagined rollouts",
    "real": "real rollouts only",
    "model": "the language model acts or plans",
    "reference": "reference",
}


def render_page(data: ReportData) -> str:
    """The whole page as text."""
    sections = [
        ("Result", _headline(data)),
        ("Success by level", _levels(data)),
        ("Watch", _watch(data)),
        ("All numbers", _tables(data.results)),
        ("Are imagined rollouts like real ones?", _fidelity(data.results)),
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
        f'<script type="application/json" id="clips">{_payload(data)}</script>'
        f"<script>{_asset('report_page.js')}</script></body></html>\n"
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
    where = "goals it has no data for" if found.level == "novel" else f"the {found.level} level"
    protocol = PROTOCOL_NAMES.get(found.protocol, found.protocol)
    return (
        '<div class="headline">'
        f'<figure class="role-real"><b>{100 * found.without:.1f}<small> %</small></b>'
        f"<figcaption>{escape(found.algorithm)} on real rollouts only</figcaption></figure>"
        '<span class="arrow" aria-hidden="true">→</span>'
        f'<figure class="role-imagined"><b>{100 * found.with_imagined:.1f}<small> %</small></b>'
        f"<figcaption>{escape(found.algorithm)} on real and imagined rollouts</figcaption></figure>"
        f'<p class="verdict">{found.points:+.1f} points of success on {escape(where)}'
        + (f" <span>({escape(protocol)})</span>" if protocol else "")
        + f"</p></div>{facts}"
    )


def _levels(data: ReportData) -> str:
    results = data.results
    legend = "".join(
        f'<li class="role-{role}"><i></i>{words}</li>' for role, words in ROLE_WORDS.items()
    )
    strict = (
        "<li>strict: no sentence of an evaluation goal was imagined</li>"
        if any(row.protocol == "unseen" for row in results.rows)
        else ""
    )
    page = f'<ul class="legend">{legend}{strict}</ul><div class="panels">'
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
    note = notes.get(column[0], "")
    episodes = sorted({row.episodes for row in rows})
    count = f"{episodes[0]:,}" if len(episodes) == 1 else f"{episodes[0]:,} to {episodes[-1]:,}"
    return (
        f'<figure class="panel"><h4>{escape(column_label(*column))}</h4>'
        f"<p>{escape(note)}{' ' if note else ''}"
        f"<span>{count} episodes per agent, success in per cent, 95 % intervals</span></p>"
        f"{bars(rows)}</figure>"
    )


def _tables(results: Results) -> str:
    page = ""
    for columns, caption in (
        (level_columns(results), "Success in per cent with 95 % intervals"),
        (kind_columns(results), "By kind of goal"),
    ):
        if columns:
            page += _table(results, columns, caption)
    return page


def _table(results: Results, columns: list[tuple[str, str]], caption: str) -> str:
    found = {(row.agent, row.protocol, row.level, row.kind): row for row in results.rows}
    best = {column: max(row.success for row in results.select(*column)) for column in columns}
    head = "".join(f'<th scope="col">{escape(column_label(*column))}</th>' for column in columns)
    body = ""
    for agent, protocol in results.agents:
        rows = [found.get((agent, protocol, *column)) for column in columns]
        if any(rows):
            cells = "".join(
                _cell(row, best[column]) for row, column in zip(rows, columns, strict=True)
            )
            body += f'<tr><th scope="row">{escape(agent_label(agent, protocol))}</th>{cells}</tr>'
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">agent</th>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _cell(row: Row | None, best: float) -> str:
    if row is None:
        return "<td>-</td>"
    success, interval = cell(row).split(" ", 1)
    mark = ' class="best"' if row.success == best else ""
    return f"<td{mark}>{success} <small>{interval}</small></td>"


def _watch(data: ReportData) -> str:
    galleries = [gallery for gallery in data.galleries if gallery.comparisons]
    if data.scene is None or not galleries:
        return ""
    controls = (
        '<div class="controls"><button id="play-all" type="button">Play all</button>'
        '<label>Speed <select id="speed"><option value="0.5">0.5&times;</option>'
        '<option value="1" selected>1&times;</option><option value="2">2&times;</option>'
        '<option value="4">4&times;</option></select></label>'
        '<span class="hint">The arrow is the push; pale tracks show where a ball has been.'
        "</span></div>"
    )
    page, number = controls, 0
    for gallery in galleries:
        cards = ""
        for comparison in gallery.comparisons:
            cards += _player(comparison, number)
            number += 1
        page += f"<h3>{escape(gallery.title)}</h3><p>{escape(gallery.note)}</p>"
        page += f'<div class="players">{cards}</div>'
    return page


def _player(comparison: Comparison, number: int) -> str:
    clips = "".join(_clip(clip) for clip in comparison.clips)
    wide = " wide" if len(comparison.clips) > 1 else ""
    last = max(len(clip.strokes) for clip in comparison.clips)
    goal = escape(comparison.goal)
    return (
        f'<article class="player{wide}" data-player="{number}" data-frame="0">'
        f'<h4><q>{goal}</q> <span class="level">{escape(comparison.level)}</span></h4>'
        f'<div class="clips">{clips}</div><div class="controls">'
        f'<button type="button" class="play" aria-label="Play or pause: {goal}">▶</button>'
        f'<input type="range" min="0" max="{last}" value="0" step="1" aria-label="Step">'
        f"<output>0 / {last}</output></div></article>"
    )


def _clip(clip: Clip) -> str:
    reason = f": {clip.reason}" if clip.reason else ""
    steps = len(clip.strokes)
    word = OUTCOME_WORDS[clip.outcome]
    return (
        f'<figure><canvas role="img" aria-label="{escape(clip.title)}, {word}, {steps} steps">'
        f"</canvas><figcaption>{escape(clip.title)} "
        f'<span class="badge {clip.outcome}">{escape(word + reason)}</span></figcaption></figure>'
    )


def _payload(data: ReportData) -> str:
    """Scene and clips as JSON that cannot end its script element."""
    scene = data.scene
    content: dict[str, Any] = {"scene": None, "players": []}
    if scene is not None:
        content["scene"] = {
            "bounds": scene.bounds,
            "walls": scene.walls,
            "radius": scene.radius,
            "colors": scene.colors,
        }
        content["players"] = [
            [_clip_data(clip) for clip in comparison.clips]
            for gallery in data.galleries
            for comparison in gallery.comparisons
        ]
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _clip_data(clip: Clip) -> dict[str, Any]:
    return {
        "frames": np.round(clip.frames.astype(np.float64), 3).tolist(),
        "strokes": np.round(clip.strokes.astype(np.float64), 3).tolist(),
    }


def _fidelity(results: Results) -> str:
    if not results.fidelity:
        return ""
    sources = list(dict.fromkeys(name for row in results.fidelity.values() for name in row))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in sources)
    body = ""
    for measure in ordered(results.fidelity):
        values = results.fidelity[measure]
        cells = "".join(
            f"<td>{shown(measure, values[name]) if name in values else '-'}</td>"
            for name in sources
        )
        body += f'<tr><th scope="row">{escape(label(measure))}</th>{cells}</tr>'
    return (
        '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">measure</th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _curves(data: ReportData) -> str:
    page = ""
    for title, charts in (
        ("Grounding the language model", data.grounding_charts),
        ("Training the agents", data.agent_charts),
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
