"""The adapter for the original package, against a small fake with the same interface."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from samples import make_tasks

from envs.clevr import original
from envs.clevr.model import BALL_HEIGHT
from envs.clevr.original import OriginalClevrWorld, OriginalSimulator
from envs.clevr.predicates import PUSHES
from envs.rollouts import run_tasks
from envs.world import Simulator


class FakeClevrEnv:
    """As the original: 37 positions, 32 velocities, a four-value step; balls glide for ever."""

    def __init__(self) -> None:
        self.physics = SimpleNamespace(data=SimpleNamespace(qpos=np.ones(37), qvel=np.ones(32)))
        self.resets = 0

    def reset(self) -> np.ndarray:
        self.resets += 1
        return self._observation()

    def step(self, a: int) -> tuple[np.ndarray, float, bool, dict[str, Any]]:
        ball, push = divmod(a, 8)
        qpos, qvel = self.physics.data.qpos, self.physics.data.qvel
        qvel[6 * ball : 6 * ball + 2] += 0.1 * PUSHES[push]
        for number in range(5):
            qpos[7 * number : 7 * number + 2] += qvel[6 * number : 6 * number + 2]
        return self._observation(), 0.0, False, {}

    def set_state(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        assert qpos.shape == (37,)
        assert qvel.shape == (32,)
        self.physics.data.qpos[:], self.physics.data.qvel[:] = qpos, qvel

    def _observation(self) -> np.ndarray:
        return self.physics.data.qpos[:35].reshape(5, 7)[:, :2].ravel().copy()


START = np.array([[-0.4, 0.0, 0.4, 0.0, 0.0, 0.2, -0.4, 0.5, 0.4, 0.5]])
SLOT = np.zeros(1, np.int64)


def test_a_reset_puts_balls_at_rest_on_the_table() -> None:
    made: list[FakeClevrEnv] = []

    def make() -> FakeClevrEnv:
        made.append(FakeClevrEnv())
        return made[-1]

    simulator = OriginalSimulator(1, make)
    simulator.reset(SLOT, START)
    data = made[0].physics.data
    assert made[0].resets == 1
    np.testing.assert_allclose(data.qpos[:7], [-0.4, 0.0, BALL_HEIGHT, 1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(data.qpos[35:], 0.0)
    assert not data.qvel.any()


def test_actions_reach_the_environment_of_their_slot() -> None:
    simulator = OriginalSimulator(2, FakeClevrEnv)
    slots = np.arange(2)
    simulator.reset(slots, np.repeat(START, 2, axis=0))
    after = simulator.step(np.array([1]), np.array([8 * 2 + 1]))  # green to the back
    assert after.dtype == np.float32
    np.testing.assert_allclose(after[0, 4:6], [0.0, 0.3], atol=1e-6)
    np.testing.assert_allclose(simulator.save(slots)[0, 14:16], [0.0, 0.2])


def test_a_saved_state_keeps_momentum() -> None:
    simulator = OriginalSimulator(1, FakeClevrEnv)
    simulator.reset(SLOT, START)
    simulator.step(SLOT, np.array([0]))
    state = simulator.save(SLOT)
    expected = simulator.step(SLOT, np.array([9]))
    simulator.load(SLOT, state)
    assert state.shape == (1, 69)
    assert np.array_equal(simulator.step(SLOT, np.array([9])), expected)
    assert expected[0, 0] == pytest.approx(-0.4 + 0.1 + 0.1)  # red glides on


def test_its_world_runs_the_same_tasks_by_the_same_loop() -> None:
    world = OriginalClevrWorld(FakeClevrEnv)
    simulator: Simulator = world.simulator(2)
    assert simulator.num_slots == 2
    tasks = make_tasks(world, world.goals("train"), 6)
    episodes = list(run_tasks(world, world.behaviour_policy(), tasks, num_slots=2))
    assert [episode.goal for episode in episodes] == [task.goal.text for task in tasks]
    assert "original" in world.version


def test_without_the_package_the_error_says_what_to_do() -> None:
    with pytest.raises(ImportError, match=r"Install it as requirements-original\.txt says"):
        OriginalSimulator(1)


def test_the_package_is_found_where_its_packagings_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, Any] = {}

    def make(**options: Any) -> FakeClevrEnv:
        wanted.update(options)
        return FakeClevrEnv()

    def fake_import(module: str) -> Any:
        if module == "clevr_robot_env":
            return SimpleNamespace(ClevrEnv=make)
        raise ModuleNotFoundError(module, name=module)

    monkeypatch.setattr(original, "import_module", fake_import)
    OriginalSimulator(1)
    assert wanted["action_type"] == "perfect"
    assert wanted["direct_obs"] is True
    assert wanted["num_object"] == 5


def test_a_dependency_that_it_misses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake_import(module: str) -> Any:
        raise ModuleNotFoundError("No module named 'dm_control'", name="dm_control")

    monkeypatch.setattr(original, "import_module", fake_import)
    with pytest.raises(ModuleNotFoundError, match="dm_control"):
        OriginalSimulator(1)
