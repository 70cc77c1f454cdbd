"""Imagination whose engine follows a script: what comes out is known before.

    python scripted_imagination.py REAL FOLDER SECONDS NAME [BUCKET]

imagines into FOLDER as one of several processes, each rollout taking SECONDS.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import grounded, toy

from envs.store import Card, EpisodeStore
from envs.toy import ToyWorld
from envs.world import Goal
from imagination.imagine import Imagination, ImagineConfig, prepare
from imagination.shards import imagine
from kalm.engine import GenerationConfig, Request

CARD = Card(environment="toy", environment_version=ToyWorld.version, source="imagined")
CONFIG = ImagineConfig(
    mode="direct", num_rollouts=60, rollouts_per_shard=20, shares={"rephrase": 1.0}, bf16=False,
    generation=GenerationConfig(max_steps=20),
)  # fmt: skip
FLAWS = ("none", "overlap", "none", "out_of_bounds", "implausible_jump", "goal_not_reached")
FIRST = np.array([-0.6, 0.0, 0.0, 0.6, 0.0, -0.6], np.float32)


class ScriptedEngine:
    """Plays the expert's rollout in imagination, and one flaw in turn."""

    asked: tuple[int, ...] = ()  # indices of all requests so far
    seconds = 0.0  # that each rollout takes
    fails_at: int | None = None  # index at which the power is cut

    def __init__(self, model: Any, director: Any, config: Any, *, project: Any = None) -> None:
        self.plans = director.plans

    def imagine(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Finished rollouts, the last one first."""
        for request in reversed(list(requests)):
            ScriptedEngine.asked += (request.index,)
            if request.index == self.fails_at:
                raise KeyboardInterrupt
            time.sleep(self.seconds)
            play(request, self.plans[request.index].goal)
            yield request


def play(request: Request, goal: Goal) -> None:
    """Fills in a rollout that reaches `goal`, unless its flaw keeps it from doing so."""
    flaw = FLAWS[request.index % len(FLAWS)]
    if flaw in ("none", "goal_not_reached"):
        follow_expert(request, goal, stop_early=flaw != "none")
        return
    last = {
        "overlap": [0.6, 0.0, 0.6, 0.05, 0.0, -0.6],
        "out_of_bounds": [-0.6, 0.0, 0.0, 0.6, 0.0, -5.0],
        "implausible_jump": [0.6, 0.0, 0.0, 0.6, 0.0, -0.6],
    }[flaw]
    request.observations = [FIRST, np.array(last, np.float32)]
    request.actions = [np.asarray(1)]


def follow_expert(request: Request, goal: Goal, *, stop_early: bool) -> None:
    """The greedy expert's rollout; stopped early, it has made one step that did not succeed."""
    world, specs = toy(), np.array([goal.spec])
    assert isinstance(world, ToyWorld)
    request.observations = [request.start.astype(np.float32)]
    for _ in range(20):
        before = request.observations[-1][None]
        action = world.greedy_actions(specs, before)
        after = world.next_states(before.astype(np.float64), action).astype(np.float32)
        if stop_early:
            after, request.finished = before, True
        request.actions.append(action[0])
        request.observations.append(after[0])
        if stop_early:
            return
        if world.success(specs, before, action, after)[0]:
            request.finished = True
            return


def scripted(real: Path, config: ImagineConfig = CONFIG) -> Imagination:
    """The imagination that all processes share."""
    imagination, _ = prepare(toy(), grounded(), "hash", EpisodeStore(real), config)
    return imagination


def main(arguments: list[str]) -> None:
    """Imagines into a folder, perhaps together with other processes."""
    ScriptedEngine.seconds = float(arguments[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imagination.imagine.GenerationEngine", ScriptedEngine)
        bucket = "".join(arguments[4:])
        imagine(scripted(Path(arguments[0])), Path(arguments[1]), CARD, bucket=bucket)
    (Path(arguments[1]) / f"asked-{arguments[3]}.txt").write_text(
        "\n".join(map(str, ScriptedEngine.asked))
    )


if __name__ == "__main__":
    main(sys.argv[1:])
