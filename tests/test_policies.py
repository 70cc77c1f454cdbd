"""Policies act by their task alone, sample what they claim to, and plan part by part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from toy_agents import WordEncoder, behaviour_data, red_tasks

from envs import make_world
from envs.episode import Episode
from envs.rollouts import run_tasks
from envs.world import Goal, Policy, Task
from offline_rl.agents import Agent
from offline_rl.algorithms import AlgorithmConfig
from offline_rl.memory import EpisodeMemory, last_rewards
from offline_rl.policies import AgentPolicy, PlannerPolicy, RandomPolicy
from offline_rl.train import train_agent

TOY = make_world("toy")
TINY = AlgorithmConfig(hidden_sizes=(16,), transformer_width=8, num_layers=1, context_steps=3)


def trained(name: str) -> Agent:
    return train_agent(
        TOY, behaviour_data("toy"), None, WordEncoder(), name, steps=5, batch_size=16, config=TINY
    )


def run(policy: Policy, tasks: Sequence[Task], num_slots: int) -> list[Episode]:
    return list(run_tasks(TOY, policy, tasks, num_slots=num_slots))


def fixed_logits(agent: Agent, logits: Sequence[float]) -> Agent:
    """The agent with the same logits whatever it sees."""
    row = np.full(12, -np.inf, np.float32)
    row[: len(logits)] = logits
    patched: Any = agent
    patched.logits = lambda observations, goals: np.tile(row, (len(observations), 1))
    return agent


@pytest.mark.parametrize(("name", "temperature"), [("bc", 1.0), ("cql", 0.5), ("dt", 1.0)])
def test_an_episode_does_not_depend_on_how_many_run_beside_it(
    name: str, temperature: float
) -> None:
    agent, tasks = trained(name), red_tasks("toy", 12)
    alone = run(AgentPolicy(agent, WordEncoder(), temperature), tasks, 1)
    for num_slots in (5, 12):
        policy = AgentPolicy(agent, WordEncoder(), temperature)
        for one, other in zip(alone, run(policy, tasks, num_slots), strict=True):
            assert np.array_equal(one.actions, other.actions)
    assert len({tuple(episode.actions.tolist()) for episode in alone}) > 6  # and it is random


def test_random_actions_follow_each_episodes_own_stream() -> None:
    tasks = red_tasks("toy", 8)
    alone, beside = run(RandomPolicy(TOY), tasks, 1), run(RandomPolicy(TOY), tasks, 8)
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(alone, beside, strict=True))
    drawn = np.concatenate([e.actions for e in run(RandomPolicy(TOY), red_tasks("toy", 60), 60)])
    assert set(drawn.tolist()) == set(range(12))


def test_random_continuous_actions_fill_the_box() -> None:
    world = make_world("toy_continuous")
    policy = RandomPolicy(world)
    slots = np.arange(60)
    policy.begin(slots, red_tasks("toy_continuous", 60))
    actions = np.concatenate([policy.act(slots, np.zeros((60, 6))) for _ in range(20)])
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1.0
    assert np.allclose(
        np.quantile(actions, (0.25, 0.75), axis=0), [[-0.5] * 2, [0.5] * 2], atol=0.1
    )


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.75), (0.5, 0.9)])
def test_sampling_draws_from_the_softmax_at_its_temperature(
    temperature: float, share: float
) -> None:
    # Logits 0 and ln 3: shares 1 to 3 at temperature 1, and 1 to 9 at one half.
    policy = AgentPolicy(fixed_logits(trained("bc"), [0.0, np.log(3)]), WordEncoder(), temperature)
    slots = np.arange(50)
    policy.begin(slots, red_tasks("toy", 50))
    drawn = np.concatenate([policy.act(slots, np.zeros((50, 6))) for _ in range(40)])
    assert set(drawn.tolist()) == {0, 1}
    # 2,000 draws: a deviation below 0.01.
    assert drawn.mean() == pytest.approx(share, abs=0.035)


def test_without_temperature_the_best_action_is_taken() -> None:
    policy = AgentPolicy(fixed_logits(trained("bc"), [0.0, 0.1, 0.05]), WordEncoder())
    policy.begin(np.arange(9), red_tasks("toy", 9))
    assert policy.act(np.arange(9), np.zeros((9, 6))).tolist() == [1] * 9


def test_a_policy_that_does_not_fit_its_agent_is_refused() -> None:
    agent = trained("bc")
    other = WordEncoder()
    other.name = "other"
    with pytest.raises(ValueError, match="Expected the goal encoder `words`"):
        AgentPolicy(agent, other)
    with pytest.raises(ValueError, match="temperature of at least 0, got -1"):
        AgentPolicy(agent, WordEncoder(), -1.0)


def test_sampling_continuous_actions_is_refused() -> None:
    world = make_world("toy_continuous")
    agent = train_agent(
        world,
        behaviour_data("toy_continuous"),
        None,
        WordEncoder(),
        "bc",
        steps=1,
        batch_size=4,
        config=TINY,
    )
    with pytest.raises(ValueError, match="needs discrete actions"):
        AgentPolicy(agent, WordEncoder(), 0.5)


def test_a_memory_asks_for_what_is_left_of_its_target() -> None:
    memory = EpisodeMemory(spec=(0,), target_return=5.0, context_steps=3)
    for step in range(4):
        state = np.full(2, step, np.float32)
        memory.observe(state, 10 * state, reward=float(step))  # rewards 0 1 2 3
        if step < 3:
            memory.actions.append(step + 7)
    inputs, actions, returns, timesteps = memory.window()
    assert inputs.tolist() == [[10, 10], [20, 20], [30, 30]]
    assert actions[:, 0].tolist() == [8, 9, 0]  # the last one is still to be chosen
    assert returns[:, 0].tolist() == [4.0, 2.0, -1.0]  # 5 - 1, - 2, - 3
    assert timesteps.tolist() == [2, 3, 4]


def test_a_young_memory_is_padded_on_the_left() -> None:
    memory = EpisodeMemory(spec=(0,), target_return=5.0, context_steps=3)
    memory.observe(np.ones(2, np.float32), np.ones(2, np.float32), reward=0.0)
    inputs, actions, returns, timesteps = memory.window()
    assert inputs.tolist() == [[0, 0], [0, 0], [1, 1]]
    assert (actions[:, 0].tolist(), returns[:, 0].tolist()) == ([0, 0, 0], [0, 0, 5])
    assert timesteps.tolist() == [0, 0, 1]


def test_the_rewards_of_the_last_steps_are_the_worlds_own() -> None:
    moved, fresh = (EpisodeMemory((place,), 1.0, 2) for place in range(2))
    moved.observe(np.array([3.0]), np.zeros(1), 0.0)
    moved.actions.append(4)

    def reward(
        specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        assert specs.tolist() == [[0]]
        return np.asarray(before[:, 0] * 100 + actions * 10 + after[:, 0])

    after = np.array([[9.0], [5.0]])
    assert last_rewards(reward, [fresh, moved], after).tolist() == [0.0, 345.0]


class NoteTaker:
    """Stands for an agent's policy: notes what it is asked to pursue, acts as told."""

    def __init__(self, actions: Sequence[int] = ()) -> None:
        self.pursued: list[list[str]] = []
        self.begun = 0
        self._actions = iter(actions)

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        self.begun += len(tasks)

    def pursue(self, slots: np.ndarray, texts: Sequence[str]) -> None:
        self.pursued.append(list(texts))

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        return np.array([next(self._actions, 0) for _ in slots])


def planned(texts: list[str], states: Sequence[np.ndarray]) -> list[str]:
    """What a planner pursues in `states`, when decomposition answers `texts`."""
    notes = NoteTaker()
    planner = PlannerPolicy(notes, lambda text: texts, TOY)  # type: ignore[arg-type]
    hard = Goal("the whole", "hard", "two_goals", (0, 0, 1, 1, 2, 2))
    planner.begin(np.array([3]), [Task(hard, states[0], 0)])
    for state in states:
        planner.act(np.array([3]), state[None])
    return [texts for (texts,) in notes.pursued]


LEFT = "Put the red disc left of the green disc."
ABOVE = "Put the green disc above the blue disc."
NEITHER = np.array([0.5, 0.0, 0.1, -0.5, 0.1, 0.5], np.float32)  # red, green, blue
ONLY_LEFT = np.array([-0.2, -0.5, 0.1, -0.5, 0.1, 0.5], np.float32)
ONLY_ABOVE = np.array([0.5, 0.5, 0.1, 0.5, 0.1, 0.1], np.float32)
BOTH = np.array([-0.2, 0.5, 0.1, 0.5, 0.1, 0.1], np.float32)


def test_a_planner_works_on_the_first_part_that_does_not_hold() -> None:
    states = [NEITHER, ONLY_LEFT, ONLY_ABOVE, ONLY_LEFT]
    assert planned([LEFT, ABOVE], states) == [LEFT, ABOVE, LEFT, ABOVE]


def test_a_planner_falls_back_to_the_whole_goal() -> None:
    assert planned([], [NEITHER]) == ["the whole"]
    assert planned(["Do something unheard of."], [NEITHER]) == ["the whole"]
    assert planned([LEFT, ABOVE], [BOTH]) == ["the whole"]  # all parts hold, yet it still runs
    assert planned(["Do something unheard of.", ABOVE], [NEITHER]) == [ABOVE]


def test_a_planner_over_the_expert_reaches_goals_that_the_agent_was_never_told() -> None:
    # The inner policy pursues single relations only, and the scripted expert acts on them.
    relations = {goal.text: goal for goal in TOY.goals("train")}
    hard = TOY.goals("hard")[::3]
    parts = {
        goal.text: [
            text
            for place in (0, 3)
            for text, single in relations.items()
            if single.spec[:3] == goal.spec[place : place + 3] and text.startswith("Put")
        ]
        for goal in hard
    }

    class Pursuer:
        def __init__(self) -> None:
            self._specs: dict[int, tuple[int, ...]] = {}

        def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
            pass

        def pursue(self, slots: np.ndarray, texts: Sequence[str]) -> None:
            for slot, text in zip(slots.tolist(), texts, strict=True):
                if text in relations:
                    self._specs[slot] = relations[text].spec

        def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
            specs = np.array([self._specs[slot] for slot in slots.tolist()])
            return TOY.greedy_actions(specs, observations)  # type: ignore[attr-defined,no-any-return]

    starts = TOY.draw_starts(len(hard), np.random.default_rng(0))
    tasks = [Task(goal, start, 0) for goal, start in zip(hard, starts, strict=True)]
    planner = PlannerPolicy(Pursuer(), lambda text: parts[text], TOY)  # type: ignore[arg-type]
    assert all(len(texts) == 2 for texts in parts.values())
    assert np.mean([episode.success for episode in run(planner, tasks, 20)]) > 0.35
    assert np.mean([episode.success for episode in run(RandomPolicy(TOY), tasks, 20)]) < 0.1
