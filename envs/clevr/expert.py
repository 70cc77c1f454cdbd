"""The scripted expert: it tries pushes in a simulator of its own and climbs the potential.

One thing to know: it sees positions only, so it tries from rest and errs where balls still move.
"""

from collections.abc import Sequence

import numpy as np

from envs.clevr.physics import ClevrSimulator
from envs.clevr.policies import NUM_ACTIONS
from envs.clevr.predicates import goals_reached
from envs.clevr.rewards import potential
from envs.world import Task

REACHED = 100.0  # outweighs every potential
BETTER = 1e-3  # a push must raise the potential by more than this to count as progress
WIDTH = 6  # first pushes that are followed up where no single push helps
EXPLORED = 6  # where two pushes do not help either, one of the best so many is drawn,
EXPLORED_MORE = 4  # and of so many more each time that this happens again in an episode


class GreedyExpert:
    """Takes the best of all forty pushes; where none helps, the first of the best two pushes.

    Args:
        num_slots: episodes that run together.
        num_threads: threads of the simulator.
    """

    def __init__(self, num_slots: int, num_threads: int = 1) -> None:
        self._simulator = ClevrSimulator(num_slots * NUM_ACTIONS, num_threads)
        self._second = ClevrSimulator(WIDTH * NUM_ACTIONS, num_threads)
        self._specs = np.zeros((num_slots, 10), np.int64)
        self._rngs = [np.random.default_rng(0)] * num_slots
        self._stuck = np.zeros(num_slots, np.int64)  # how often each episode had to explore

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """Remembers the goals and random streams of new episodes in `slots` (K,)."""
        self._stuck[slots] = 0
        for slot, task in zip(slots, tasks, strict=True):
            self._specs[slot] = task.goal.spec
            self._rngs[slot] = np.random.default_rng(task.seed)

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Pushes (K,) int64 for states (K, 10)."""
        specs = self._specs[slots]
        before = np.repeat(observations, NUM_ACTIONS, axis=0)
        copies = np.arange(len(before))
        self._simulator.reset(copies, before)
        values = _try_all(self._simulator, copies, np.repeat(specs, NUM_ACTIONS, axis=0))
        values = values.reshape(len(slots), NUM_ACTIONS)
        chosen = values.argmax(axis=1)
        enough = potential(specs, observations) + BETTER
        for row in np.flatnonzero(values.max(axis=1) <= enough):
            ranked, slot = np.argsort(-values[row], kind="stable"), slots[row]
            value, first = self._look_further(specs[row], observations[row], ranked)
            if value <= enough[row]:
                explored = EXPLORED + EXPLORED_MORE * self._stuck[slot]
                first = self._rngs[slot].choice(ranked[:explored])
                self._stuck[slot] += 1
            chosen[row] = first
        return np.asarray(chosen, np.int64)

    def _look_further(
        self, spec: np.ndarray, observation: np.ndarray, ranked: np.ndarray
    ) -> tuple[float, int]:
        """The value that two pushes reach at best, and the first of them.

        Args:
            ranked: (40,) pushes, best first.
        """
        firsts, slots = ranked[:WIDTH], np.arange(WIDTH)
        self._second.reset(slots, np.tile(observation, (WIDTH, 1)))
        self._second.step(slots, firsts)
        copies = np.arange(WIDTH * NUM_ACTIONS)
        self._second.load(copies, np.repeat(self._second.save(slots), NUM_ACTIONS, axis=0))
        values = _try_all(self._second, copies, np.tile(spec, (len(copies), 1)))
        best = values.reshape(WIDTH, NUM_ACTIONS).max(axis=1)
        return float(best.max()), int(firsts[best.argmax()])


def _try_all(simulator: ClevrSimulator, slots: np.ndarray, specs: np.ndarray) -> np.ndarray:
    """Values (K,) after pushing: all forty pushes in turn over `slots` (K,)."""
    before = simulator.observe(slots)
    actions = np.arange(len(slots)) % NUM_ACTIONS
    after = simulator.step(slots, actions)
    reached = goals_reached(specs, before, actions, after)
    return np.asarray(potential(specs, after) + REACHED * reached, np.float64)
