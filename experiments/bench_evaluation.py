"""Evaluation: episodes that step together against one environment at a time with batch-1 calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import gymnasium
import torch

from envs.rollouts import run_tasks
from envs.world import Policy, Task
from experiments.bench_measure import OURS, PEER, BenchRow, Done, Plan, measure
from experiments.bench_offline import RandomVectors, flat_of
from experiments.bench_rollouts import rollouts, world
from experiments.doctor import available_cores
from offline_rl.agents import Agent
from offline_rl.evaluation import evaluate
from offline_rl.policies import AgentPolicy
from offline_rl.tasks import make_tasks
from offline_rl.train import train_agent

SEED = 1
LEAST_RATIO = 4.0


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    episodes: int  # each repeat
    model_episodes: int  # of the language model as the policy, each repeat
    slots: int  # environments that step together
    repeats: int
    hidden: int  # width of the language model
    layers: int


SIZES = {
    "tiny": Size(3, 2, 2, 1, 32, 1),
    "quick": Size(64, 24, 64, 3, 256, 6),
    "full": Size(400, 128, 64, 5, 256, 6),
}


def rows(size: Size) -> Iterator[BenchRow]:
    """A trained agent, against MuJoCo's physics and against ours, and the language model itself."""
    yield _agent_row(size, "mujoco")
    yield _agent_row(size, "compiled")
    yield _model_row(size)


def _plan(name: str, peer: str, least_ratio: float | None = LEAST_RATIO) -> Plan:
    return Plan("evaluation", name, "episodes/s", peer=peer, least_ratio=least_ratio)


@cache
def _agent() -> Agent:
    """An agent that has learned a little, which is all that speed needs."""
    flat = flat_of(rollouts(64))
    return train_agent(world(), flat, None, RandomVectors(), "bc", steps=20)


def _tasks(count: int) -> list[Task]:
    return make_tasks(world(), world().levels[0], count, SEED)[:count]


def _agent_row(size: Size, physics: str) -> BenchRow:
    tasks = _tasks(size.episodes)

    def ours() -> Done:
        lengths: list[int] = []
        evaluate(
            world(),
            {"agent": AgentPolicy(_agent(), RandomVectors())},
            {world().levels[0]: tasks},
            num_slots=size.slots,
            num_threads=available_cores(),
            on_episode=lambda agent, level, index, episode: lengths.append(len(episode)),
        )
        return _done(lengths)

    ways = {OURS: ours, PEER: lambda: _done(_one_by_one(_agent(), tasks, physics))}
    loop = "one environment at a time, batch-1 policy calls"
    plan = (
        _plan("agent (bc)", f"{loop}, MuJoCo's stepping")
        if physics == "mujoco"
        else _plan("agent (bc), against the same physics", loop, least_ratio=None)
    )
    return measure(plan, ways, size.repeats, warmups=1)


def _done(lengths: list[int]) -> Done:
    count = len(lengths)
    return Done(count, equal={"episodes": count}, close={"steps": float(sum(lengths))})


def _one_by_one(agent: Agent, tasks: list[Task], physics: str) -> list[int]:
    """Steps of each episode in a plain Gymnasium loop."""
    environment = gymnasium.make("kalm/ClevrRobot-v0", physics=physics)
    implementation, lengths = agent.learner.implementation, []
    for task in tasks:
        vector = RandomVectors().encode([task.goal.text])
        options = {"positions": task.start.reshape(-1, 2), "goal": task.goal}
        observation, _ = environment.reset(options=options)
        ended, steps = False, 0
        while not ended:
            inputs = torch.from_numpy(agent.inputs(observation[None], vector))
            with torch.no_grad():
                action = int(implementation.predict_best_action(inputs).numpy()[0])
            observation, _, terminated, truncated, _ = environment.step(action)
            ended, steps = terminated or truncated, steps + 1
        lengths.append(steps)
    return lengths


def _model_row(size: Size) -> BenchRow:
    from experiments.bench_models import grounded
    from kalm.policy import LanguageModelPolicy

    model = grounded(size.hidden, size.layers, rollouts(64)).eval()
    tasks = _tasks(size.model_episodes)
    slots = min(size.slots, len(tasks))

    def way(num_slots: int, num_threads: int) -> Done:
        policy: Policy = LanguageModelPolicy(model, num_slots)
        episodes = run_tasks(world(), policy, tasks, num_slots=num_slots, num_threads=num_threads)
        return _done([len(episode) for episode in episodes])

    ways = {OURS: lambda: way(slots, available_cores()), PEER: lambda: way(1, 1)}
    return measure(
        _plan("the language model as policy", "the same, one environment at a time"),
        ways,
        size.repeats,
    )
