"""The rollouts of a report: players as HTML, and what they play as JSON."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from experiments.report import Clip, Comparison, ReportData

OUTCOME_WORDS = {
    "accepted": "accepted",
    "rejected": "rejected",
    "reached": "goal reached",
    "missed": "goal not reached",
}


def watch(data: ReportData) -> str:
    """All galleries, under one control of speed; "" where there is nothing to watch."""
    hints = dict.fromkeys(clip.film.hint for clip in _clips(data))
    if not hints:
        return ""
    page = (
        '<div class="controls"><button id="play-all" type="button">Play all</button>'
        '<label>Speed <select id="speed"><option value="0.5">0.5&times;</option>'
        '<option value="1" selected>1&times;</option><option value="2">2&times;</option>'
        '<option value="4">4&times;</option></select></label>'
        f'<span class="hint">{escape(" ".join(hints))}</span></div>'
    )
    number = 0
    for gallery in data.galleries:
        if not gallery.comparisons:
            continue
        cards = ""
        for comparison in gallery.comparisons:
            cards += _player(comparison, number)
            number += 1
        page += f"<h3>{escape(gallery.title)}</h3><p>{escape(gallery.note)}</p>"
        page += f'<div class="players">{cards}</div>'
    return page


def payload(data: ReportData) -> str:
    """Scene and clips as JSON that cannot end its script element."""
    scene = data.scene
    content: dict[str, Any] = {
        "scene": None
        if scene is None
        else {
            "bounds": scene.bounds,
            "walls": scene.walls,
            "radius": scene.radius,
            "colors": scene.colors,
        },
        "players": [
            [{"kind": clip.film.kind, **clip.film.data()} for clip in comparison.clips]
            for gallery in data.galleries
            for comparison in gallery.comparisons
        ],
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _clips(data: ReportData) -> Iterator[Clip]:
    for gallery in data.galleries:
        for comparison in gallery.comparisons:
            yield from comparison.clips


def _player(comparison: Comparison, number: int) -> str:
    clips = "".join(_clip(clip) for clip in comparison.clips)
    large = " large" if any(clip.film.is_large for clip in comparison.clips) else ""
    wide = " wide" if len(comparison.clips) > 1 else large
    last = max(len(clip.film) for clip in comparison.clips)
    goal = escape(comparison.goal)
    reading = (
        f'<p class="reading">read as <code>{escape(comparison.reading)}</code></p>'
        if comparison.reading
        else ""
    )
    return (
        f'<article class="player{wide}" data-player="{number}" data-frame="0">'
        f'<h4><q>{goal}</q> <span class="level">{escape(comparison.level)}</span></h4>{reading}'
        f'<div class="clips">{clips}</div><div class="controls">'
        f'<button type="button" class="play" aria-label="Play or pause: {goal}">▶</button>'
        f'<input type="range" min="0" max="{last}" value="0" step="1" aria-label="Step">'
        f"<output>0 / {last}</output></div></article>"
    )


def _clip(clip: Clip) -> str:
    reason = f": {clip.reason}" if clip.reason else ""
    word = OUTCOME_WORDS[clip.outcome]
    name = f'aria-label="{escape(clip.title)}, {word}, {len(clip.film)} steps"'
    view = (
        f'<pre class="view" tabindex="0" {name}></pre>'
        if clip.film.kind == "pages"
        else f'<canvas class="view" role="img" {name}></canvas>'
    )
    return (
        f"<figure>{view}<figcaption>{escape(clip.title)} "
        f'<span class="badge {clip.outcome}">{escape(word + reason)}</span></figcaption>'
        f"{_steps(clip)}</figure>"
    )


def _steps(clip: Clip) -> str:
    """The actions in order; those that changed nothing are marked."""
    items = "".join(
        f"<li>{escape(step.action)}</li>"
        if step.valid
        else f'<li class="invalid" title="changed nothing">{escape(step.action)}</li>'
        for step in clip.film.steps
    )
    return f'<ol class="steps" tabindex="0" aria-label="Actions">{items}</ol>' if items else ""
