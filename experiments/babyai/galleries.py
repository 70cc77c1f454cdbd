"""What the report of a BabyAI run lets one watch: the main agent by cell, and where others fail."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from envs.episode import Episode
from experiments.babyai.folders import TEST_GOALS
from experiments.clips import watched
from experiments.films import GridFilm, Step
from experiments.folders import EVALUATION, read_json
from experiments.report import Clip, Comparison, Gallery

MAX_CELLS = 4
MAX_EPISODES = 6  # of a cell; failures first, as they are rarer
MAX_STEPS = 120  # longer episodes are cut in a report
NOT_UNDERSTOOD = "nothing: the goal was not understood"
NOTE = (
    "The first success and the first failure of each kind of goal, where there is one. "
    "How often either comes is in the tables."
)


def grid_galleries(folder: Path) -> tuple[Gallery, ...]:
    """Galleries of the run of one seed; none where its evaluation kept no episodes."""
    episodes = list(watched(folder / EVALUATION))
    if not episodes:
        return ()
    readings: dict[str, str] = read_json(folder / TEST_GOALS)["programs"]
    agents = list(dict.fromkeys(_agent(episode) for episode in episodes))
    main = [episode for episode in episodes if _agent(episode) == agents[0]]
    found = [
        Gallery(f"{agents[0]} in {level}", NOTE, _comparisons(_first(main, level), readings))
        for level in _levels(main)
    ]
    failures = [e for e in episodes if _agent(e) != agents[0] and not e.success]
    note = "The first failures of each of the other arms."
    chosen = [e for agent in agents for e in [f for f in failures if _agent(f) == agent][:3]]
    found.append(Gallery("Other arms, where they fail", note, _comparisons(chosen, readings)))
    return tuple(gallery for gallery in found if gallery.comparisons)


def grid_clip(episode: Episode) -> Clip:
    """An episode as a clip; its actions that changed nothing are marked."""
    from envs.babyai.drawing import draw_grid
    from envs.babyai.layouts import SIZES
    from envs.babyai.simulator import ACTION_NAMES

    shape = SIZES[str(episode.provenance["size"])].shape
    steps = min(len(episode), MAX_STEPS)
    states = episode.observations[: steps + 1]
    changed = (states[1:] != states[:-1]).any(axis=1)
    acts = zip(episode.actions[:steps].tolist(), changed.tolist(), strict=True)
    length = f"{len(episode)} step{'s' if len(episode) > 1 else ''}"
    return Clip(
        title=_agent(episode),
        source=episode.source,
        outcome="reached" if episode.success else "missed",
        film=GridFilm(
            tuple(draw_grid(state, shape) for state in states),
            tuple(Step(ACTION_NAMES[action], valid) for action, valid in acts),
        ),
        reason=length if steps == len(episode) else f"{length}, the first {steps} shown",
    )


def _comparisons(episodes: Iterable[Episode], readings: dict[str, str]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            episode.goal,
            episode.level,
            (grid_clip(episode),),
            readings.get(episode.goal) or NOT_UNDERSTOOD,
        )
        for episode in episodes
    )


def _first(episodes: Sequence[Episode], level: str) -> list[Episode]:
    """The episodes to show of a level, failures first."""
    there = [episode for episode in episodes if episode.level == level]
    return sorted(there, key=lambda episode: episode.success)[:MAX_EPISODES]


def _levels(episodes: Sequence[Episode]) -> list[str]:
    """The cells to show: the first, then those where grids and goals are new, then others."""
    levels = list(dict.fromkeys(episode.level for episode in episodes))
    new = [name for name in levels if name.endswith("/both") and not name.startswith("train")]
    return list(dict.fromkeys([*levels[:1], *new, *levels]))[:MAX_CELLS]


def _agent(episode: Episode) -> str:
    return str(episode.provenance["agent"])
