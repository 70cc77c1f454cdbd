"""What every world promises the engine; a new world is tested by its line in `WORLDS`."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from samples import RandomActions, equal_episodes, make_tasks

from envs import WORLDS, make_world
from envs.episode import Episode
from envs.rollouts import run_tasks
from envs.world import Task, World

NUM_TASKS = 24
EXPERT_TASKS_PER_LEVEL = 8  # looking ahead in a simulator is slow


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return cached_world(request.param)


@cache
def cached_world(name: str) -> World:
    return make_world(name)


@cache
def rollouts(name: str, level: str) -> tuple[list[Task], list[Episode]]:
    """Tasks of a level and the episodes of the behaviour policy."""
    world = cached_world(name)
    tasks = make_tasks(world, world.goals(level), NUM_TASKS)
    return tasks, list(run_tasks(world, world.behaviour_policy(), tasks, num_slots=NUM_TASKS))


def random_actions(world: World, count: int, rng: np.random.Generator) -> np.ndarray:
    if world.spaces.num_actions is not None:
        return rng.integers(world.spaces.num_actions, size=count)
    return rng.uniform(-1, 1, (count, world.spaces.action_dim or 0)).astype(np.float32)


def test_an_unknown_world_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"`clever_robot`\. Did you mean `clevr_robot`"):
        make_world("clever_robot")


def test_importing_the_worlds_imports_none_of_them() -> None:
    code = "import sys, envs; sys.exit(any(m in sys.modules for m in ('envs.toy', 'envs.clevr')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_name_is_its_key_and_training_is_the_first_level(world: World) -> None:
    assert WORLDS[world.name]().name == world.name
    assert world.version
    assert world.levels[0] == "train"
    assert len(world.levels) > 1
    assert world.horizon_steps > 1


def test_goals_are_distinct_and_have_specs_of_one_length(world: World) -> None:
    texts: list[str] = []
    lengths = set()
    for level in world.levels:
        goals = world.goals(level)
        assert goals
        assert all(goal.level == level and goal.text.strip() and goal.kind for goal in goals)
        texts += [goal.text for goal in goals]
        lengths |= {len(goal.spec) for goal in goals}
    assert len(lengths) == 1
    assert len(set(texts)) == len(texts), "no sentence stands for two goals or two levels"


def test_goals_keep_their_order(world: World) -> None:
    for level in world.levels:
        assert list(WORLDS[world.name]().goals(level)) == list(world.goals(level))


def test_an_unknown_level_is_refused_with_the_known_ones(world: World) -> None:
    with pytest.raises(ValueError, match=r"`impossible`.*train.*hard"):
        world.goals("impossible")


def test_starts_are_repeatable_and_differ(world: World) -> None:
    starts = world.draw_starts(5, np.random.default_rng(3))
    again = world.draw_starts(5, np.random.default_rng(3))
    assert starts.shape == (5, world.spaces.observation_dim)
    assert starts.dtype == np.float32
    np.testing.assert_array_equal(starts, again)
    assert len(np.unique(starts, axis=0)) == 5


def test_a_simulator_repeats_itself_in_any_slot(world: World) -> None:
    rng = np.random.default_rng(0)
    starts = world.draw_starts(3, rng)
    actions = [random_actions(world, 3, rng) for _ in range(8)]
    one, other = world.simulator(3), world.simulator(7)
    here, there = np.array([0, 1, 2]), np.array([6, 0, 3])
    one.reset(here, starts)
    other.reset(there, starts)
    for action in actions:
        observations = one.step(here, action)
        assert observations.shape == starts.shape
        assert observations.dtype == np.float32
        np.testing.assert_array_equal(other.step(there, action), observations)


def test_slots_do_not_touch_each_other(world: World) -> None:
    rng = np.random.default_rng(1)
    starts, actions = world.draw_starts(2, rng), random_actions(world, 1, rng)
    simulator = world.simulator(2)
    simulator.reset(np.arange(2), starts)
    untouched = simulator.save(np.array([1]))
    simulator.step(np.array([0]), actions)
    simulator.reset(np.array([0]), starts[:1])
    np.testing.assert_array_equal(simulator.save(np.array([1])), untouched)


def test_saved_states_continue_exactly_in_another_slot(world: World) -> None:
    rng = np.random.default_rng(2)
    simulator, other = world.simulator(2), world.simulator(3)
    slots = np.arange(2)
    simulator.reset(slots, world.draw_starts(2, rng))
    for _ in range(4):  # so that there is momentum to save
        simulator.step(slots, random_actions(world, 2, rng))
    states = simulator.save(slots)
    assert states.dtype == np.float64
    actions = [random_actions(world, 2, rng) for _ in range(4)]
    straight = [simulator.step(slots, action) for action in actions]
    for continued, places in ((simulator, slots), (other, np.array([2, 1]))):
        continued.load(places, states)
        for action, expected in zip(actions, straight, strict=True):
            np.testing.assert_array_equal(continued.step(places, action), expected)


def test_episodes_agree_with_the_predicates_and_rewards(world: World) -> None:
    for level in world.levels:
        for task, episode in zip(*rollouts(world.name, level), strict=True):
            steps = len(episode)
            specs = np.array([task.goal.spec] * steps)
            before, after = episode.observations[:-1], episode.observations[1:]
            success = world.success(specs, before, episode.actions, after)
            ends = world.ends(specs, success)
            rewards = world.reward(specs, before, episode.actions, after)
            assert success.shape == ends.shape == rewards.shape == (steps,)
            assert success.dtype == ends.dtype == np.bool_
            assert rewards.dtype == world.potential(specs, after).dtype == np.float32
            np.testing.assert_array_equal(rewards, episode.rewards)
            assert not ends[:-1].any(), "an episode stops at its end"
            assert (episode.success, episode.terminated) == (success[-1], ends[-1])
            assert episode.terminated or steps == world.horizon_steps
            assert not success.any() or ends[success].all()


def test_success_is_what_pays_most(world: World) -> None:
    for level in world.levels:
        _, episodes = rollouts(world.name, level)
        paid = [episode.rewards[-1] for episode in episodes if episode.success]
        unpaid = [episode.rewards[-1] for episode in episodes if not episode.success]
        earlier = [reward for episode in episodes for reward in episode.rewards[:-1]]
        assert not paid or min(paid) > max([*unpaid, *earlier], default=-np.inf)


def test_episodes_do_not_depend_on_the_number_of_slots(world: World) -> None:
    tasks, together = rollouts(world.name, "train")
    apart = run_tasks(world, world.behaviour_policy(), tasks[:6], num_slots=2)
    for one, other in zip(apart, together, strict=False):
        assert equal_episodes(one, other)


def test_the_expert_beats_random_actions_on_every_level(world: World) -> None:
    tasks = [
        task
        for level in world.levels
        for task in make_tasks(world, world.goals(level), EXPERT_TASKS_PER_LEVEL)
    ]
    successes = [
        [episode.success for episode in run_tasks(world, policy, tasks)]
        for policy in (world.expert_policy(len(tasks)), RandomActions(world))
    ]
    expert, random = (
        np.reshape(outcome, (len(world.levels), EXPERT_TASKS_PER_LEVEL)).sum(axis=1)
        for outcome in successes
    )
    assert (expert > random).all(), (expert, random)
    assert expert.sum() >= 1.5 * random.sum()


def test_the_behaviour_policy_both_succeeds_and_fails(world: World) -> None:
    outcomes = {
        episode.success for level in world.levels for episode in rollouts(world.name, level)[1]
    }
    assert outcomes == {True, False}


def test_real_states_rarely_violate_physics(world: World) -> None:
    _, episodes = rollouts(world.name, "train")
    states = np.concatenate([episode.observations[1:] for episode in episodes])
    for name, broken in world.violations(states).items():
        assert broken.shape == (len(states),), name
        assert broken.dtype == np.bool_, name
        assert broken.mean() < 0.1, name


def test_violations_notice_entities_in_one_place(world: World) -> None:
    state = np.zeros((1, world.spaces.observation_dim), np.float32)
    assert any(broken[0] for broken in world.violations(state).values())


def test_projection_makes_most_impossible_states_possible(world: World) -> None:
    spaces = world.spaces
    rng = np.random.default_rng(4)
    starts = world.draw_starts(200, rng)
    proposals = starts + rng.normal(0, 0.15, starts.shape).astype(np.float32)
    entities = proposals.reshape(200, spaces.num_entities, spaces.entity_dim)
    placed = entities[:, :0]
    for entity in range(spaces.num_entities):
        projected = world.project_entity(entity, entities[:, entity], placed)
        assert projected.shape == (200, spaces.entity_dim)
        placed = np.concatenate([placed, projected[:, None]], axis=1)
    broken, left = (
        np.any(list(world.violations(states.reshape(200, -1)).values()), axis=0).sum()
        for states in (entities, placed)
    )
    assert left < broken / 4


def test_projection_leaves_possible_places_alone(world: World) -> None:
    spaces = world.spaces
    _, episodes = rollouts(world.name, "train")
    states = np.concatenate([episode.observations[-1:] for episode in episodes])
    broken = np.any(list(world.violations(states).values()), axis=0)
    entities = states[~broken].reshape(-1, spaces.num_entities, spaces.entity_dim)
    for entity in range(spaces.num_entities):
        same = world.project_entity(entity, entities[:, entity], entities[:, :entity])
        np.testing.assert_allclose(same, entities[:, entity], atol=0.02)


def test_a_scene_shows_every_entity_and_action(world: World) -> None:
    scene = world.scene()
    assert len(scene.names) == len(scene.colors) == world.spaces.num_entities
    _, episodes = rollouts(world.name, "train")
    episode = episodes[0]
    positions = world.positions(episode.observations)
    assert positions.shape == (len(episode) + 1, world.spaces.num_entities, 2)
    left, right, bottom, top = scene.bounds
    assert (positions > [left, bottom]).all()
    assert (positions < [right, top]).all()
    strokes = world.strokes(episode.observations[:-1], episode.actions)
    assert strokes.shape == (len(episode), 4)
    assert np.isfinite(strokes).all()


def test_knowledge_holds_no_sentence_of_the_novel_levels(world: World) -> None:
    pairs = world.knowledge(500, np.random.default_rng(5))
    assert len(pairs) == 500
    assert pairs == world.knowledge(500, np.random.default_rng(5))
    assert len(set(pairs)) > 20
    novel = {goal.text for level in world.levels[1:] for goal in world.goals(level)}
    text = "\n".join(f"{question}\n{answer}" for question, answer in pairs)
    assert not [sentence for sentence in novel if sentence in text]
