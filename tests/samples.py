"""Small episodes and policies that many tests need."""

from collections.abc import Mapping, Sequence

import numpy as np

from envs.episode import Episode, Scalar
from envs.world import Goal, Task, World


def make_episode(
    steps: int = 3,
    *,
    seed: int = 0,
    goal: str = "Put the red disc above the blue disc.",
    observations: np.ndarray | None = None,
    actions: np.ndarray | None = None,
    rewards: np.ndarray | None = None,
    terminated: bool = True,
    source: str = "real",
    level: str = "train",
    success: bool = True,
    provenance: Mapping[str, Scalar] | None = None,
) -> Episode:
    """A random episode of three observation numbers; every part can be replaced."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(steps + 1, 3)).astype(np.float32)
    return Episode(
        goal=goal,
        observations=drawn if observations is None else observations,
        actions=rng.integers(0, 4, steps) if actions is None else actions,
        rewards=rng.normal(size=steps).astype(np.float32) if rewards is None else rewards,
        terminated=terminated,
        source=source,
        level=level,
        success=success,
        provenance={"seed": seed, "index": 0} if provenance is None else provenance,
    )


def equal_episodes(one: Episode, other: Episode) -> bool:
    """Whether two episodes agree in every field, array types included."""
    arrays = ("observations", "actions", "rewards")
    words = ("goal", "terminated", "source", "level", "success")
    return (
        all(getattr(one, name) == getattr(other, name) for name in words)
        and dict(one.provenance) == dict(other.provenance)
        and all(getattr(one, name).dtype == getattr(other, name).dtype for name in arrays)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


class RandomActions:
    """A policy that draws uniformly from the stream of each task."""

    def __init__(self, world: World) -> None:
        self._spaces = world.spaces
        self._rngs: dict[int, np.random.Generator] = {}

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots`."""
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self._rngs[slot] = np.random.default_rng(task.seed)

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Random actions of `slots`."""
        rngs = [self._rngs[slot] for slot in slots.tolist()]
        if self._spaces.num_actions is not None:
            return np.array([rng.integers(self._spaces.num_actions) for rng in rngs])
        draws = [rng.uniform(-1, 1, self._spaces.action_dim) for rng in rngs]
        return np.stack(draws).astype(np.float32)


def make_tasks(world: World, goals: Sequence[Goal], count: int, seed: int = 0) -> list[Task]:
    """Tasks of goals drawn uniformly, from fresh starts."""
    rng = np.random.default_rng(seed)
    starts = world.draw_starts(count, rng)
    drawn = rng.integers(len(goals), size=count)
    return [Task(goals[drawn[index]], starts[index], index) for index in range(count)]
