"""What the report of a BabyAI run lets one watch: episodes in grids, drawn from their states."""

from pathlib import Path

from envs.episode import Episode
from experiments.clips import watched
from experiments.films import GridFilm, Step
from experiments.folders import EVALUATION, read_json
from experiments.outcome_galleries import MAX_STEPS, outcome_clip, outcome_galleries
from experiments.report import Clip, Gallery
from experiments.teduo.folders import TEST_GOALS


def grid_galleries(folder: Path) -> tuple[Gallery, ...]:
    """Galleries of the run of one seed; none where its evaluation kept no episodes."""
    episodes = list(watched(folder / EVALUATION))
    if not episodes:
        return ()
    return outcome_galleries(episodes, grid_clip, read_json(folder / TEST_GOALS)["programs"])


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
    film = GridFilm(
        tuple(draw_grid(state, shape) for state in states),
        tuple(Step(ACTION_NAMES[action], valid) for action, valid in acts),
    )
    return outcome_clip(episode, film)
