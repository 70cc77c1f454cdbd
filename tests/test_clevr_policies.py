"""The scripted policies: what the noisy one collects, and how far the expert gets."""

import numpy as np
import pytest
from clevr_tables import FAR, GREEN, RED, spec, table
from samples import equal_episodes, make_tasks

from envs.clevr.expert import GreedyExpert
from envs.clevr.policies import NUM_ACTIONS, NoisyPolicy, sketched_pushes, sketched_values
from envs.clevr.predicates import Direction, GoalKind
from envs.clevr.world import ClevrWorld
from envs.episode import Episode
from envs.rollouts import run_tasks
from envs.world import Goal, Task

WORLD = ClevrWorld()
NUM_TASKS = 80


def goals_of(kind: str) -> list[Goal]:
    return [goal for level in WORLD.levels for goal in WORLD.goals(level) if goal.kind == kind]


@pytest.fixture(scope="module")
def collected() -> tuple[list[Task], list[Episode]]:
    tasks = make_tasks(WORLD, WORLD.goals("train"), NUM_TASKS)
    return tasks, list(run_tasks(WORLD, WORLD.behaviour_policy(), tasks))


def test_most_collected_episodes_reach_their_goal_and_some_fail(
    collected: tuple[list[Task], list[Episode]],
) -> None:
    _, episodes = collected
    assert 0.8 <= np.mean([episode.success for episode in episodes]) < 1.0
    assert 4 <= np.mean([len(episode) for episode in episodes if episode.success]) <= 12


def test_most_collected_actions_push_some_other_ball_than_the_goals(
    collected: tuple[list[Task], list[Episode]],
) -> None:
    touched = [
        episode.actions // 8 == task.goal.spec[1] for task, episode in zip(*collected, strict=True)
    ]
    assert 0.2 <= np.concatenate(touched).mean() <= 0.5


def test_collected_states_are_physically_plausible(
    collected: tuple[list[Task], list[Episode]],
) -> None:
    states = np.concatenate([episode.observations for episode in collected[1]])
    broken = WORLD.violations(states)
    assert set(broken) == {"overlap", "out_of_bounds"}
    assert broken["overlap"].mean() < 0.03
    assert broken["out_of_bounds"].mean() == 0.0


def test_an_episode_depends_on_its_task_and_not_on_slots(
    collected: tuple[list[Task], list[Episode]],
) -> None:
    tasks, episodes = collected
    again = run_tasks(WORLD, WORLD.behaviour_policy(), tasks[10:16], num_slots=3)
    for one, other in zip(again, episodes[10:16], strict=True):
        assert np.array_equal(one.actions, other.actions)
        assert np.array_equal(one.observations, other.observations)


@pytest.mark.parametrize("kind", ["pair", "two", "gather", "move"])
def test_a_focused_policy_serves_goals_of_every_kind(kind: str) -> None:
    tasks = make_tasks(WORLD, goals_of(kind), 16)
    policy = NoisyPolicy(focus=0.8, idle=0.0, horizon_steps=WORLD.horizon_steps)
    success = np.mean([episode.success for episode in run_tasks(WORLD, policy, tasks)])
    # A random policy reaches 7.5 % of the moves, and next to no conjunction.
    assert success >= {"pair": 0.9, "two": 0.7, "gather": 0.7, "move": 0.4}[kind]


def test_an_idle_policy_pushes_everything_alike() -> None:
    policy = NoisyPolicy(focus=1.0, idle=1.0, horizon_steps=50)
    goal = goals_of("pair")[0]
    slots = np.arange(100)
    policy.begin(slots, [Task(goal, np.ravel(FAR), seed) for seed in slots])
    actions = [policy.act(slots, np.tile(np.ravel(FAR), (100, 1))) for _ in range(40)]
    counts = np.bincount(np.concatenate(actions), minlength=NUM_ACTIONS)
    assert len(counts) == NUM_ACTIONS
    assert counts.min() > 60  # 100 expected, standard deviation 10
    assert counts.max() < 140


def test_a_sketched_push_moves_one_ball_by_its_length_and_stops_at_walls() -> None:
    after, _ = sketched_pushes(table())
    balls = after.reshape(NUM_ACTIONS, 5, 2)
    np.testing.assert_allclose(balls[8 * GREEN, GREEN], [0.2, 0.2])
    np.testing.assert_allclose(balls[8 * GREEN + 4, GREEN], [0.2 / 2**0.5, 0.2 + 0.2 / 2**0.5])
    np.testing.assert_allclose(balls[8 * RED + 2, RED], [-0.47, -0.15])  # 0.02 to the wall
    for action in range(NUM_ACTIONS):
        others = np.arange(5) != action // 8
        np.testing.assert_allclose(balls[action, others], np.array(FAR)[others])


def test_a_sketched_push_counts_how_far_it_cuts_into_a_ball_in_its_way() -> None:
    # Red 0.3 left of green: pushed right by 0.2 it would end 0.1 from green, cutting 0.16.
    _, cut = sketched_pushes(table(red=(-0.3, 0.2)))
    assert cut[0, 8 * RED] == pytest.approx(0.16)
    assert cut[0, 8 * RED + 2] == 0.0  # pushed away from green


def test_the_sketch_goes_around_a_ball_that_is_in_the_way() -> None:
    # Red must get from the right of green to its left: straight through costs more than around.
    goal = spec(GoalKind.PAIR, RED, GREEN, Direction.LEFT)
    values = sketched_values(goal, table(red=(0.3, 0.2)))[0]
    best = int(values.argmax())
    assert best != 8 * RED + 2


@pytest.mark.parametrize(("kind", "count"), [("pair", 6), ("two", 3), ("gather", 3), ("line", 1)])
def test_the_expert_reaches_goals_of_every_kind(kind: str, count: int) -> None:
    tasks = make_tasks(WORLD, goals_of(kind), count)
    episodes = list(run_tasks(WORLD, WORLD.expert_policy(count), tasks))
    assert np.mean([episode.success for episode in episodes]) >= 0.6
    assert len(episodes) == count


def test_the_expert_reaches_every_easy_goal_in_its_one_step() -> None:
    easy = {goal.spec: goal for goal in WORLD.goals("easy")}
    assert len(easy) == 20
    tasks = make_tasks(WORLD, list(easy.values()), 6)
    episodes = run_tasks(WORLD, WORLD.expert_policy(6), tasks)
    assert all(episode.success and len(episode) == 1 for episode in episodes)


def test_the_expert_repeats_itself_and_ignores_its_neighbours() -> None:
    tasks = make_tasks(WORLD, goals_of("three"), 2)
    short = ClevrWorld()
    short.horizon_steps = 4
    together = list(run_tasks(short, GreedyExpert(2), tasks, num_slots=2))
    alone = list(run_tasks(short, GreedyExpert(1), tasks[:1], num_slots=1))
    assert equal_episodes(together[0], alone[0])
