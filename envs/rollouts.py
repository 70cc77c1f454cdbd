"""Running tasks: the one loop that collection and evaluation share.

Slots are refilled as episodes end, so the simulator is always full; results come out in task order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.episode import Episode
from envs.world import Policy, Simulator, Task, World


@dataclass
class _Running:
    """An episode in the making."""

    index: int
    observations: list[np.ndarray]
    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


def run_tasks(
    world: World,
    policy: Policy,
    tasks: Sequence[Task],
    *,
    num_slots: int = 64,
    num_threads: int = 1,
    on_episode: Callable[[int], None] = lambda index: None,
) -> Iterator[Episode]:
    """Real episodes of `policy`, one per task and in the order of the tasks.

    Args:
        num_slots: environments that step together.
        num_threads: threads of the simulator.
        on_episode: called with the index of each task whose episode has ended.
    """
    num_slots = min(num_slots, max(len(tasks), 1))
    simulator = world.simulator(num_slots, num_threads)
    running: dict[int, _Running] = {}
    finished: dict[int, Episode] = {}
    next_task, next_result = 0, 0
    while next_result < len(tasks):
        free = [slot for slot in range(num_slots) if slot not in running]
        started = free[: len(tasks) - next_task]
        if started:
            fresh = [tasks[next_task + offset] for offset in range(len(started))]
            slots = np.array(started)
            simulator.reset(slots, np.stack([task.start for task in fresh]))
            policy.begin(slots, fresh)
            for offset, slot in enumerate(started):
                start = fresh[offset].start.astype(np.float32)
                running[slot] = _Running(next_task + offset, [start])
            next_task += len(started)
        for index, episode in _step(world, policy, tasks, simulator, running):
            finished[index] = episode
            on_episode(index)
        while next_result in finished:
            yield finished.pop(next_result)
            next_result += 1


def _step(
    world: World,
    policy: Policy,
    tasks: Sequence[Task],
    simulator: Simulator,
    running: dict[int, _Running],
) -> list[tuple[int, Episode]]:
    """Advances every running slot by one step and returns the episodes that ended."""
    slots = np.array(sorted(running))
    before = np.stack([running[slot].observations[-1] for slot in slots])
    actions = policy.act(slots, before)
    after = simulator.step(slots, actions)
    specs = np.array([tasks[running[slot].index].goal.spec for slot in slots])
    success = world.success(specs, before, actions, after)
    rewards = world.reward(specs, before, actions, after)
    ends = world.ends(specs, success)
    ended: list[tuple[int, Episode]] = []
    for row, slot in enumerate(slots):
        episode = running[slot]
        episode.observations.append(after[row])
        episode.actions.append(actions[row])
        episode.rewards.append(float(rewards[row]))
        if ends[row] or len(episode.actions) == world.horizon_steps:
            task = tasks[episode.index]
            ended.append(
                (episode.index, _finish(episode, task, bool(ends[row]), bool(success[row])))
            )
            del running[slot]
    return ended


def _finish(episode: _Running, task: Task, ends: bool, success: bool) -> Episode:
    return Episode(
        goal=task.goal.text,
        observations=np.stack(episode.observations),
        actions=np.stack(episode.actions),
        rewards=np.array(episode.rewards, np.float32),
        terminated=ends,
        source="real",
        level=task.goal.level,
        success=success,
        provenance={"seed": task.seed, "index": episode.index, "kind": task.goal.kind},
    )
