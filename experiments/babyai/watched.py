"""Episodes of grid agents that are kept for the report: few, and whole, so that they replay.

Of every cell, an agent's first success and first failure of each kind of goal.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from envs.episode import Episode
from envs.store import write_store
from experiments.folders import data_card
from experiments.outcome_galleries import first_of_each_outcome

if TYPE_CHECKING:
    from envs.babyai.world import BabyAiWorld, GridTask
    from offline_rl.grid_play import Plays


def watched_episodes(
    world: "BabyAiWorld", level: str, tasks: "Sequence[GridTask]", plays: "Plays", agent: str
) -> list[Episode]:
    """The chosen episodes of an agent in a cell, their states worked out anew."""
    chosen = first_of_each_outcome([task.goal.kind for task in tasks], plays.success)
    return [_episode(world, level, tasks[place], plays, place, agent) for place in chosen]


def _episode(
    world: "BabyAiWorld", level: str, task: "GridTask", plays: "Plays", place: int, agent: str
) -> Episode:
    actions = plays.actions[place, : plays.steps[place]].astype(np.int64)
    reached = bool(plays.success[place])
    rewards = np.zeros(len(actions), np.float32)
    rewards[-1] = reached
    return Episode(
        goal=task.goal.text,
        observations=trajectory(world, task.start, actions),
        actions=actions,
        rewards=rewards,
        terminated=reached,
        source="real",
        level=level,
        success=reached,
        provenance={
            "agent": agent,
            "task": place,
            "kind": task.goal.kind,
            "size": world.size,
            "layout_seed": task.layout_seed,
        },
    )


def trajectory(world: "BabyAiWorld", start: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """States (T + 1, D) uint8 from a start (D,) under actions (T,)."""
    states = [start[None]]
    for action in actions:
        states.append(world.step_states(states[-1], action[None]))
    return np.concatenate(states)


def write_watched(
    folder: Path,
    episodes: Sequence[Episode],
    worlds: "Iterable[BabyAiWorld]",
    command: str,
    seed: int,
) -> None:
    """Writes a store for each size of grid, as states of one store have one length.

    Args:
        seed: of the tasks.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted start
    for size, world in {world.size: world for world in worlds}.items():
        kept = [episode for episode in episodes if episode.provenance["size"] == size]
        if kept:
            write_store(folder / size, kept, data_card(world, "real", command, seed))
