"""The solver alone as a player: perfect where the data shows the way, random elsewhere."""

import numpy as np

from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.program_text import spec_text
from envs.babyai.simulator import valid_actions
from envs.babyai.world import BabyAiWorld
from imagination.programs import parse_program
from offline_rl.empirical import EmpiricalModel, Triplets
from offline_rl.grid_play import play
from offline_rl.language_policy import ACTION_ORDER
from offline_rl.tabular_player import TabularPlayer

WORLD = BabyAiWorld("room", range(2))
UNKNOWN = BabyAiWorld("room", range(50, 52))


def player() -> TabularPlayer:
    rows = collect_transitions(CollectionConfig("room", (0, 1), 12_000, 0.0))
    triplets = Triplets(rows.states, rows.actions, rows.next_states)
    model = EmpiricalModel.from_triplets(triplets, num_actions=7)
    programs = {
        goal.text: parse_program(spec_text(goal.spec))
        for world in (WORLD, UNKNOWN)
        for goal in world.goals("train")
    }
    return TabularPlayer(
        model,
        programs,
        WORLD.shape,
        lambda states: valid_actions(states, WORLD.shape),
        ACTION_ORDER,
    )


def test_goals_of_known_grids_are_reached_and_new_grids_are_unseen() -> None:
    solver = player()
    tasks = [task for task in WORLD.tasks("train", 40, 0) if task.goal.kind != "put_next"]
    plays = play(WORLD, solver, tasks, seed=0)
    seen = solver.knows(np.stack([task.start for task in tasks]))
    assert seen.mean() > 0.9
    assert plays.success[seen].mean() > 0.9
    assert plays.steps[seen & plays.success].mean() < 12
    elsewhere = UNKNOWN.tasks("train", 40, 0)
    assert not solver.knows(np.stack([task.start for task in elsewhere])).any()
    assert play(UNKNOWN, solver, elsewhere, seed=0).success.mean() < 0.6
