"""CLEVR-Robot's speed: one environment against the original's, a batch against one core.

Single environments are measured in steps per second of processor time, as the original was, so
that other processes matter less; batches by the clock, since that is what threads are for. MuJoCo's
own stepping goes through the states that ours went through and has to end each step where ours did.
"""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.synchronize import Barrier
from typing import Self

import gymnasium
import numpy as np

from envs.clevr.environment import ClevrRobotEnv
from envs.clevr.physics import SUBSTEPS, MujocoPhysics, ball_centres, put_pusher
from envs.clevr.predicates import NUM_BALLS, PUSHES, Direction
from envs.clevr.vector_environment import ClevrRobotVectorEnv
from envs.stopping import end_with_parent
from experiments.bench_measure import LIMIT, OURS, PEER, BenchRow, Done, Plan, constant, measure
from experiments.doctor import available_cores

ORIGINAL, ORIGINAL_WITH_RESETS = 910.0, 514.0  # steps per CPU-second of the 2019 environment
RESET_STEPS = 100  # the original's horizon
NUM_ACTIONS = NUM_BALLS * len(PUSHES)
SAME_PLACE = 1e-4  # m; MuJoCo's solver stops within its tolerance, ours at the minimum
FIRST = np.zeros(1, np.int64)  # the slot of a state that is alone
SEED = 0
_MEET_SECONDS = 120.0  # until every process is there; the first time each of them imports


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    steps: int  # of the single environment, each repeat
    num_envs: int  # that step together
    batched_steps: int  # of all of them together, each repeat
    repeats: int


SIZES = {
    "tiny": Size(60, 8, 40, 2),
    "quick": Size(2_000, 256, 8_192, 5),
    "full": Size(10_000, 256, 40_960, 9),
}


def rows(size: Size) -> Iterator[BenchRow]:
    """A single environment without and with resets, and many at once."""
    yield _without_resets(size)
    yield _with_resets(size)
    yield _batched(size)


def _without_resets(size: Size) -> BenchRow:
    plan = Plan(
        "environment",
        "single, no resets",
        "steps/CPU-s",
        peer="the original, as measured with MuJoCo 3.0.1",
        limit="bare mj_step of the same states",
        least_ratio=2.5,
        least_share=0.85,
    )
    single = _Single(size.steps, horizon_steps=10**9)
    ways = {OURS: single.run, LIMIT: single.bare_physics, PEER: constant(ORIGINAL)}
    return measure(plan, ways, size.repeats, warmups=1)


def _with_resets(size: Size) -> BenchRow:
    plan = Plan(
        "environment",
        f"single, reset every {RESET_STEPS} steps",
        "steps/CPU-s",
        peer="the original, as measured with MuJoCo 3.0.1",
        least_ratio=4.5,
    )
    single = _Single(size.steps, horizon_steps=RESET_STEPS)
    ways = {OURS: single.run, PEER: constant(ORIGINAL_WITH_RESETS)}
    return measure(plan, ways, size.repeats, warmups=1)


class _Single:
    """Random pushes towards a goal that cannot be reached: a ball behind itself."""

    def __init__(self, steps: int, horizon_steps: int) -> None:
        self._environment: ClevrRobotEnv = gymnasium.make(
            "kalm/ClevrRobot-v0", horizon_steps=horizon_steps
        ).unwrapped
        goal = self._environment.tables.goals[0]
        kind, source, _, _, *unused = goal.spec
        never = (kind, source, source, int(Direction.BEHIND), *unused)
        self._options = {"goal": replace(goal, spec=never)}
        self._actions = np.random.default_rng(SEED).integers(NUM_ACTIONS, size=steps)

    def run(self) -> Done:
        """All pushes through the environment, and a reset wherever the episode ends."""
        environment = self._environment
        environment.reset(seed=SEED, options=self._options)
        began = time.process_time()
        for action in self._actions:
            _, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                environment.reset(options=self._options)
        seconds = time.process_time() - began
        return Done(len(self._actions), seconds, close={"steps that end alike": 1.0})

    def bare_physics(self) -> Done:
        """The same pushes of the same states; only MuJoCo's own stepping counts."""
        befores, afters = self._states
        physics, near = _WatchedPhysics(), 0
        for state, after, action in zip(befores.copy(), afters, self._actions, strict=True):
            physics(state[None], FIRST, PUSHES[action % len(PUSHES), None], SUBSTEPS)
            apart = np.abs(ball_centres(state[None]) - ball_centres(after[None]))
            near += bool(apart.max() < SAME_PLACE)
        share = near / len(self._actions)
        return Done(len(self._actions), physics.seconds, close={"steps that end alike": share})

    @cached_property
    def _states(self) -> tuple[np.ndarray, np.ndarray]:
        """Full states (N, S) that each push starts and ends in, with the pusher put down."""
        environment = self._environment
        environment.reset(seed=SEED, options=self._options)
        befores, afters = [], []
        for action in self._actions:
            state = environment.save()
            put_pusher(state, int(action))
            befores.append(state)
            environment.step(action)
            afters.append(environment.save())
        return np.array(befores), np.array(afters)


class _WatchedPhysics(MujocoPhysics):
    """MuJoCo's stepping with a watch that runs meanwhile."""

    seconds = 0.0  # of processor time in mj_step

    def _step(self, count: int) -> None:
        began = time.process_time()
        super()._step(count)
        self.seconds += time.process_time() - began


def _batched(size: Size) -> BenchRow:
    threads = available_cores()
    plan = Plan(
        "environment",
        f"{size.num_envs} at once on {threads} cores, 80 relations each step",
        "steps/s",
        peer="the same on one core",
        limit="a process a core, with nothing in common",
        least_ratio=1.8,
    )
    with _Processes(size, threads) as apart:
        ways = {OURS: _Batch(size, threads).run, PEER: _Batch(size, 1).run, LIMIT: apart.run}
        return measure(plan, ways, size.repeats, warmups=1)


class _Batch:
    """Random pushes in many environments that step together."""

    def __init__(self, size: Size, num_threads: int) -> None:
        self._environments: ClevrRobotVectorEnv = gymnasium.make_vec(
            "kalm/ClevrRobot-v0", num_envs=size.num_envs, num_threads=num_threads
        )
        shape = (max(1, size.batched_steps // size.num_envs), size.num_envs)
        self._actions = np.random.default_rng(SEED).integers(NUM_ACTIONS, size=shape)

    def run(self) -> Done:
        """All steps; resets where episodes end belong to them."""
        self._environments.reset(seed=SEED)
        began = time.perf_counter()
        held = 0
        for actions in self._actions:
            observations, _, _, _, info = self._environments.step(actions)
            held += int(info["relations"].sum())
        seconds = time.perf_counter() - began
        same = {"relations that held": float(held), **_sum("final state", observations)}
        return Done(self._actions.size, seconds, equal=same)


class _Processes:
    """As many batches at once, each in a process of its own: what the machine's cores can give."""

    def __init__(self, size: Size, count: int) -> None:
        self._count = count
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(
            count, context, initializer=_prepare, initargs=(size, context.Barrier(count))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()

    def run(self) -> Done:
        """All steps in every process, which begin together; the slowest one's time counts."""
        jobs = [self._executor.submit(_run_beside_others) for _ in range(self._count)]
        done = [job.result() for job in jobs]
        units, seconds = (sum(one.units for one in done), max(one.seconds or 0.0 for one in done))
        return Done(units, seconds, equal=done[0].equal)


_beside: tuple[_Batch, Barrier] | None = None  # of a process of `_Processes`


def _prepare(size: Size, barrier: Barrier) -> None:
    """Readies a process: it ends with its parent, and has tables of its own."""
    global _beside
    end_with_parent()
    _beside = _Batch(size, 1), barrier


def _run_beside_others() -> Done:
    """One repeat, once every process has come this far."""
    assert _beside is not None
    batch, barrier = _beside
    barrier.wait(timeout=_MEET_SECONDS)
    return batch.run()


def _sum(name: str, state: np.ndarray) -> dict[str, float]:
    """One number that tells whether states are the same."""
    return {name: float(np.abs(state, dtype=np.float64).sum())}
