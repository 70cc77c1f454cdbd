"""Playing grid tasks: episodes end where the truth says so, and each on its own."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from envs.babyai.layouts import SIZES
from envs.babyai.simulator import DONE, NUM_ACTIONS, valid_actions
from envs.babyai.world import BabyAiWorld, GridTask
from offline_rl.grid_play import NO_ACTION, GridPlayer, RandomPlayer, ScriptPlayer, play


@pytest.fixture(scope="module")
def world() -> BabyAiWorld:
    return BabyAiWorld("room", range(3))


def everything(states: np.ndarray) -> np.ndarray:
    return np.ones((len(states), NUM_ACTIONS), bool)


def expert(world: BabyAiWorld) -> Callable[[Sequence[GridTask], int], list[list[int]]]:
    return lambda tasks, _: [world.expert_actions(task) for task in tasks]


def test_a_scripted_expert_reaches_every_goal_in_the_steps_of_its_script(
    world: BabyAiWorld,
) -> None:
    tasks = world.tasks("train", 12, seed=1)
    scripts = [world.expert_actions(task) for task in tasks]
    plays = play(world, ScriptPlayer(expert(world)), tasks, seed=0)
    assert plays.success.all()
    assert plays.steps.tolist() == [len(script) for script in scripts]
    assert not plays.invalid.any()
    for taken, script in zip(plays.actions.tolist(), scripts, strict=True):
        assert taken == script + [NO_ACTION] * (SIZES["room"].horizon_steps - len(script))


def test_a_player_that_does_nothing_is_cut_at_the_horizon(world: BabyAiWorld) -> None:
    tasks = world.tasks("train", 3, seed=1)
    plays = play(world, ScriptPlayer(lambda tasks, _: [[] for _ in tasks]), tasks, seed=0)
    assert not plays.success.any()
    assert plays.steps.tolist() == plays.invalid.tolist() == [SIZES["room"].horizon_steps] * 3
    assert (plays.actions == DONE).all()


def test_an_episode_depends_on_no_other_episode(world: BabyAiWorld) -> None:
    tasks = world.tasks("train", 8, seed=2)
    together = play(world, RandomPlayer(everything), tasks, seed=5)
    fewer = play(world, RandomPlayer(everything), tasks[:3], seed=5)
    np.testing.assert_array_equal(together.actions[:3], fewer.actions)


def test_a_masked_random_player_takes_no_masked_action_and_all_others_alike(
    world: BabyAiWorld,
) -> None:
    tasks = world.tasks("train", 60, seed=3)
    player: GridPlayer = RandomPlayer(lambda states: valid_actions(states, world.shape))
    plays = play(world, player, tasks, seed=0)
    assert not plays.invalid.any()
    # Turning left and right is always valid, so both are drawn alike: 0.5 within 4 sigma.
    turns = np.bincount(plays.actions[plays.actions >= 0], minlength=2)[:2]
    assert abs(turns[0] / turns.sum() - 0.5) < 4 * 0.5 / turns.sum() ** 0.5


def test_progress_counts_ended_episodes(world: BabyAiWorld) -> None:
    tasks: list[GridTask] = world.tasks("train", 4, seed=1)
    ended: list[int] = []
    play(world, ScriptPlayer(expert(world)), tasks, 0, ended.append)
    assert ended[-1] == 4
    assert ended == sorted(ended)
