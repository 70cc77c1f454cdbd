"""Episodes kept and shown by their outcome: the main agent level by level, and where others fail.

Unlike the rollouts of `experiments.clips` these are chosen by outcome, because an agent that nearly
always succeeds would show no failure; the page says so.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from envs.episode import Episode
from experiments.films import Film, PageFilm, Step
from experiments.report import Clip, Comparison, Gallery

MAX_LEVELS = 4
MAX_EPISODES = 6  # of a level
MAX_FAILURES = 3  # of an agent; of a level where it is the first agent
MAX_STEPS = 120  # longer episodes are cut in a report
NOT_UNDERSTOOD = "nothing: the goal was not understood"
NOTE = (
    "The first success and the first failure of each kind of goal, where there is one. "
    "How often either comes is in the tables."
)


def first_of_each_outcome(kinds: Sequence[str], success: np.ndarray) -> list[int]:
    """Places of the first success and the first failure of every kind, in order of place.

    Args:
        kinds: of each episode (N,).
        success: (N,) bool.
    """
    found: dict[tuple[str, bool], int] = {}
    for place, key in enumerate(zip(kinds, success.tolist(), strict=True)):
        found.setdefault(key, place)
    return sorted(found.values())


def outcome_galleries(
    episodes: Sequence[Episode],
    make_clip: Callable[[Episode], Clip],
    readings: Mapping[str, str] | None = None,
) -> tuple[Gallery, ...]:
    """Galleries of the first agent by level, then one of the failures of the others.

    Args:
        episodes: each names its agent in its provenance.
        readings: what goals were read as; "" for those that were not understood.
    """
    agents = list(dict.fromkeys(agent_of(episode) for episode in episodes))
    if not agents:
        return ()

    def compared(chosen: Iterable[Episode]) -> tuple[Comparison, ...]:
        return tuple(
            Comparison(e.goal, e.level, (make_clip(e),), _reading(e.goal, readings)) for e in chosen
        )

    main = [episode for episode in episodes if agent_of(episode) == agents[0]]
    found = [
        Gallery(f"{agents[0]} in {level}", NOTE, compared(_first(main, level)))
        for level in _levels(main)
    ]
    others = [[e for e in episodes if agent_of(e) == agent] for agent in agents[1:]]
    failures = [episode for theirs in others for episode in _failures(theirs)]
    note = "The first failures of each of the other agents."
    found.append(Gallery("Other agents, where they fail", note, compared(failures)))
    return tuple(gallery for gallery in found if gallery.comparisons)


def text_clip(episode: Episode) -> Clip:
    """An episode of a text world as a clip; actions that left the page as it was are marked."""
    steps = min(len(episode), MAX_STEPS)
    pages = tuple(map(str, episode.observations[: steps + 1]))
    changes = (before != after for before, after in pairwise(pages))
    acts = tuple(map(Step, map(str, episode.actions[:steps]), changes))
    return outcome_clip(episode, PageFilm(pages, acts))


def outcome_clip(episode: Episode, film: Film) -> Clip:
    """A clip with the agent's name, the outcome and the length of an episode.

    Args:
        film: of the whole episode, or of its first steps.
    """
    length = f"{len(episode)} step{'s' if len(episode) > 1 else ''}"
    return Clip(
        title=agent_of(episode),
        source=episode.source,
        outcome="reached" if episode.success else "missed",
        film=film,
        reason=length if len(film) == len(episode) else f"{length}, the first {len(film)} shown",
    )


def agent_of(episode: Episode) -> str:
    """Who acted, as the table calls it."""
    return str(episode.provenance["agent"])


def _reading(goal: str, readings: Mapping[str, str] | None) -> str:
    return "" if readings is None else readings.get(goal) or NOT_UNDERSTOOD


def _first(episodes: Sequence[Episode], level: str) -> list[Episode]:
    """The episodes to show of a level, failures first, as they are rarer."""
    there = [episode for episode in episodes if episode.level == level]
    successes = [episode for episode in there if episode.success]
    return [*_failures(there), *successes][:MAX_EPISODES]


def _failures(episodes: Sequence[Episode]) -> list[Episode]:
    return [episode for episode in episodes if not episode.success][:MAX_FAILURES]


def _levels(episodes: Sequence[Episode]) -> list[str]:
    """The levels to show: the first, then those where all is new, then others."""
    levels = list(dict.fromkeys(episode.level for episode in episodes))
    new = [name for name in levels if name.endswith("/both") and not name.startswith("train")]
    return list(dict.fromkeys([*levels[:1], *new, *levels]))[:MAX_LEVELS]
