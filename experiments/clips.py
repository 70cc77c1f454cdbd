"""Rollouts to watch in a report: chosen by their place in the data, never by their outcome."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from envs.episode import Episode
from envs.store import EpisodeStore
from envs.world import World
from experiments.contestants import PROTOCOL_MARK
from experiments.films import PushFilm
from experiments.folders import EVALUATION, REFERENCES, WATCHED, imagined_folder, watched_stores
from experiments.pool import protocols
from experiments.report import Clip, Comparison, Gallery
from experiments.table import agent_label

MAX_COMPARISONS = 7
MAX_IMAGINED = 8  # accepted rollouts, and as many rejected ones
MAX_FRAMES = 60  # longer rollouts are cut in a report


def galleries(folder: Path, world: World, algorithm: str) -> tuple[Gallery, ...]:
    """The galleries of a run: agents in the real environment, then imagined rollouts.

    Args:
        algorithm: whose agents are shown; "" shows those of every algorithm.
    """
    shown = [_agents(folder, world, algorithm)]
    for protocol in protocols([folder]):
        imagined = folder / imagined_folder(protocol)
        shown += [
            _imagined(world, imagined / "accepted", f"Imagined and accepted ({protocol})"),
            _imagined(world, imagined / "rejected", f"Imagined and rejected ({protocol})"),
        ]
    return tuple(gallery for gallery in shown if gallery.comparisons)


def make_clip(world: World, episode: Episode, title: str) -> Clip:
    """An episode as a clip; the verdict of its checks, or of the world, is its outcome."""
    steps = min(len(episode), MAX_FRAMES)
    observations, actions = episode.observations[: steps + 1], episode.actions[:steps]
    reason = str(episode.provenance.get("reason", "")).replace("_", " ")
    if episode.source == "imagined":
        outcome = "rejected" if reason else "accepted"
    else:
        outcome = "reached" if episode.success else "missed"
    return Clip(
        title=title,
        source=episode.source,
        outcome=outcome,
        film=PushFilm(
            np.asarray(world.positions(observations)),
            np.asarray(world.strokes(observations[:-1], actions)),
        ),
        reason=reason,
    )


def _agents(folder: Path, world: World, algorithm: str) -> Gallery:
    """Agents on the first task of every kind, then the second, side by side; hard ones first."""
    by_task: dict[tuple[str, int], list[Episode]] = {}
    for part in (EVALUATION, REFERENCES):
        for episode in watched(folder / part):
            if _is_shown(str(episode.provenance["agent"]), algorithm):
                key = (episode.level, int(episode.provenance["task"]))
                by_task.setdefault(key, []).append(episode)
    ranks = _ranks(by_task)
    order = sorted(by_task, key=lambda key: (ranks[key], -world.levels.index(key[0]), key[1]))
    comparisons = [
        Comparison(
            by_task[key][0].goal,
            key[0],
            tuple(make_clip(world, episode, _name(episode)) for episode in by_task[key]),
        )
        for key in order[:MAX_COMPARISONS]
    ]
    note = "Same start, same goal. The first tasks of every kind, not chosen by their outcome."
    return Gallery("Agents in the real environment", note, tuple(comparisons))


def watched(evaluation: Path) -> Iterator[Episode]:
    """The episodes that an evaluation kept for the report; none where it kept none."""
    for store in watched_stores(evaluation / WATCHED):
        yield from EpisodeStore(store).episodes()


def _ranks(by_task: dict[tuple[str, int], list[Episode]]) -> dict[tuple[str, int], int]:
    """Each task's place among those of its level and kind, so that every kind comes once first."""
    seen: dict[tuple[str, str], int] = {}
    ranks = {}
    for level, task in sorted(by_task):
        group = (level, str(by_task[level, task][0].provenance["kind"]))
        ranks[level, task] = seen[group] = seen.get(group, -1) + 1
    return ranks


def _is_shown(agent: str, algorithm: str) -> bool:
    label = agent.partition(PROTOCOL_MARK)[0]
    if label == "expert":
        return True
    mix, _, of = label.partition("/")
    return mix in ("real-only", "real+imagined") and (not algorithm or of == algorithm)


def _name(episode: Episode) -> str:
    agent, _, protocol = str(episode.provenance["agent"]).partition(PROTOCOL_MARK)
    return agent_label(agent, protocol)


def _imagined(world: World, folder: Path, title: str) -> Gallery:
    """Imagined rollouts: the first of every kind of goal, or of every reason of rejection."""
    if not folder.exists():
        return Gallery(title, "", ())
    note = "Every move is imagined; the environment never ran."
    if folder.name == "rejected":
        note = "Each with the check that refused it; agents never see these."
    chosen = first_of_each(EpisodeStore(folder).episodes(), MAX_IMAGINED)
    return Gallery(
        title,
        note,
        tuple(
            Comparison(episode.goal, episode.level, (make_clip(world, episode, "imagined"),))
            for episode in chosen
        ),
    )


def first_of_each(episodes: Iterable[Episode], count: int) -> list[Episode]:
    """`count` episodes in rounds: the first of every (reason, level, kind), then the second, ...

    Args:
        episodes: read in order; at most `count` of each group are kept.
    """
    groups: dict[tuple[str, str, str], list[Episode]] = {}
    for episode in episodes:
        provenance = episode.provenance
        key = (str(provenance.get("reason", "")), episode.level, str(provenance.get("kind", "")))
        group = groups.setdefault(key, [])
        if len(group) < count:
            group.append(episode)
    rounds = [
        group[place] for place in range(count) for group in groups.values() if len(group) > place
    ]
    return rounds[:count]
