"""The vector environment: its rows are single environments, and endings follow the chosen mode."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from clevr_tables import FAR
from gymnasium.vector import AutoresetMode

import envs  # noqa: F401 - registers the environment
from envs.clevr.environment import ClevrRobotEnv
from envs.clevr.vector_environment import ClevrRobotVectorEnv
from envs.world import Goal

NAME = "kalm/ClevrRobot-v0"
RED_LEFT_OF_GREEN = Goal("red left of green", "train", "pair", (0, 0, 2, 1, *[-1] * 6))


def test_rows_of_a_batch_live_through_the_episodes_of_single_environments() -> None:
    batch = gymnasium.make_vec(NAME, num_envs=3, level="hard")
    assert isinstance(batch.unwrapped, ClevrRobotVectorEnv)
    singles = [ClevrRobotEnv(level="hard") for _ in range(3)]
    states, infos = batch.reset(seed=10)
    firsts = [single.reset(seed=10 + row) for row, single in enumerate(singles)]
    assert np.array_equal(states, [state for state, _ in firsts])
    assert infos["goal"].tolist() == [info["goal"] for _, info in firsts]
    actions = np.random.default_rng(0).integers(40, size=(6, 3))
    for row_actions in actions:
        states, rewards, terminated, truncated, infos = batch.step(row_actions)
        for row, single in enumerate(singles):
            state, reward, ended, cut, info = single.step(row_actions[row])
            assert np.array_equal(states[row], state)
            assert (rewards[row], terminated[row], truncated[row]) == (reward, ended, cut)
            assert np.array_equal(infos["relations"][row], info["relations"])


def steps_to_the_end(mode: str) -> tuple[ClevrRobotVectorEnv, list[tuple[Any, ...]]]:
    """Two rows with a horizon of two steps: what three steps return."""
    batch = ClevrRobotVectorEnv(2, autoreset_mode=mode, horizon_steps=2)
    batch.reset(seed=0, options={"positions": FAR, "goal": RED_LEFT_OF_GREEN})
    return batch, [batch.step(np.array([32, 32])) for _ in range(3 if mode != "Disabled" else 2)]


def test_by_default_an_ended_row_starts_anew_in_the_same_step() -> None:
    batch, steps = steps_to_the_end("SameStep")
    assert batch.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert ClevrRobotVectorEnv(1).autoreset_mode is AutoresetMode.SAME_STEP
    states, _, _, truncated, infos = steps[1]
    assert truncated.all()
    assert infos["_final_obs"].all()
    last = infos["final_obs"][0]
    np.testing.assert_allclose(last[:2], FAR[0], atol=1e-3)  # where the episode ended
    assert np.abs(states[0] - last).max() > 0.05  # where the next one starts
    assert infos["final_info"]["goal"][0] == "red left of green"
    assert infos["goal"][0] != "red left of green"
    assert not steps[2][3].any()


def test_next_step_mode_spends_a_step_on_the_reset() -> None:
    _, steps = steps_to_the_end("NextStep")
    assert steps[1][3].all()
    states, rewards, terminated, truncated, infos = steps[2]
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert np.abs(states[0] - steps[1][0][0]).max() > 0.05
    assert infos["goal"][0] != "red left of green"


def test_disabled_mode_wants_a_reset_of_the_ended_rows_and_only_of_those() -> None:
    batch, _ = steps_to_the_end("Disabled")
    with pytest.raises(ValueError, match="The episode has ended"):
        batch.step(np.array([0, 0]))
    before = batch.tables.simulator.observe(np.arange(2))
    after, infos = batch.reset(options={"reset_mask": np.array([False, True])})
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    assert infos["_goal"].tolist() == [False, True]


def test_threads_change_nothing() -> None:
    for rows in (3, 21):  # fewer and more of them than shares of the work
        one, two = ClevrRobotVectorEnv(rows), ClevrRobotVectorEnv(rows, num_threads=2)
        assert np.array_equal(one.reset(seed=5)[0], two.reset(seed=5)[0])
        for action in range(4):
            actions = np.full(rows, 9 * action)
            assert np.array_equal(one.step(actions)[0], two.step(actions)[0])


def test_every_row_takes_its_own_centres_and_goals() -> None:
    batch = ClevrRobotVectorEnv(2, render_mode="rgb_array")
    turned = np.array(FAR)[::-1]
    goals = [goal.text for goal in batch.tables.goals[:2]]
    states, infos = batch.reset(options={"positions": np.stack([FAR, turned]), "goal": goals})
    np.testing.assert_allclose(states, [np.ravel(FAR), np.ravel(turned)], atol=1e-7)
    assert infos["goal"].tolist() == goals
    pictures = batch.render()
    assert pictures is not None
    assert len(pictures) == 2
    assert not np.array_equal(*pictures)


def test_bad_batch_resets_are_refused() -> None:
    batch = ClevrRobotVectorEnv(2)
    with pytest.raises(ValueError, match="Expected 2 seeds, got 3"):
        batch.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="Expected a reset_mask of 2 booleans"):
        batch.reset(options={"reset_mask": np.array([1, 0])})
