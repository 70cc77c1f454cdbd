"""One table in plain numbers: the same bits as arrays of many tables give."""

import numpy as np
import pytest

from envs.clevr.environment import ClevrRobotEnv
from envs.clevr.one_table import PARTS, judged_of_one, reached_by_one
from envs.clevr.rewards import REWARDS, judged
from envs.clevr.world import ClevrWorld

COUNT = 2_000


def tables(seed: int) -> np.ndarray:
    """Crowded tables (COUNT, 10) float32, half of them on a grid, where sides and zeros meet."""
    rng = np.random.default_rng(seed)
    states = rng.uniform(-0.25, 0.25, (COUNT, 10))
    states[::2] = np.round(states[::2], 1) + rng.choice([0, 0.0005, 0.001], (COUNT // 2, 10))
    return states.astype(np.float32)


@pytest.mark.parametrize("reward", REWARDS)
def test_success_and_reward_are_those_of_a_batch_for_all_goals_of_relations(reward: str) -> None:
    world, before, after = ClevrWorld(reward), tables(1), tables(2)
    pairs = np.array([goal.spec for goal in world.goals("train")])
    conjunctions = np.array([g.spec for g in world.goals("hard") if g.spec[0] in PARTS])
    rng = np.random.default_rng(3)
    specs = np.concatenate(
        [rng.choice(pairs, COUNT // 4), rng.choice(conjunctions, COUNT * 3 // 4)]
    )
    specs = rng.permutation(specs)
    success, rewards = judged(reward, specs, before, np.zeros(COUNT, int), after)
    for row in range(COUNT):
        one = judged_of_one(reward, specs[row].tolist(), before[row].tolist(), after[row].tolist())
        assert one == (success[row], rewards[row])
        assert reached_by_one(specs[row].tolist(), after[row].tolist()) == success[row]
    assert {kind for kind in PARTS if success[specs[:, 0] == kind].any()} == {0, 2, 3}


@pytest.mark.parametrize("level", ClevrWorld.levels)
def test_a_plain_step_is_the_step_of_a_row_to_the_last_bit(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, slow = ClevrRobotEnv(level=level), ClevrRobotEnv(level=level)
    monkeypatch.setattr(slow.tables, "is_plain", lambda row, action: False)
    plain.reset(seed=4), slow.reset(seed=4)
    plain_steps = 0
    for action in np.random.default_rng(5).integers(40, size=120):
        plain_steps += plain.tables.is_plain(0, action)
        (state, *rest, info), (other, *others, told) = plain.step(action), slow.step(action)
        assert state.dtype == other.dtype
        assert np.array_equal(state, other)
        assert [(type(one), one) for one in rest] == [(type(one), one) for one in others]
        assert np.array_equal(info.pop("relations"), told.pop("relations"))
        assert info == told
        assert np.array_equal(plain.save(), slow.save())
        if rest[1] or rest[2]:
            plain.reset(), slow.reset()
    assert (plain_steps > 50) == (level != "easy")
