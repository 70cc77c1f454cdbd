"""The noisy scripted policy that collects data, and the sketch of the physics that it plans with.

One thing to know: most of its pushes do something else than the goal asks for, so that the data
show what every push does, as in the rollouts that the paper's authors released.
"""

from collections.abc import Sequence

import numpy as np

from envs.clevr.predicates import (
    NUM_BALLS,
    PUSHES,
    GoalKind,
    centres,
    pushed_towards,
)
from envs.clevr.resets import RESTING
from envs.clevr.rewards import TOUCHING, potential
from envs.world import Task

NUM_ACTIONS = NUM_BALLS * len(PUSHES)
PUSH_LENGTH = 0.2  # how far a pushed ball typically moves, in metres
RANK_EDGES = (0.6, 0.85)  # the best push, the second or the third: 60, 25 and 15 % of the time
UNIT_PUSHES = PUSHES / np.linalg.norm(PUSHES, axis=1, keepdims=True)


def sketched_pushes(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of the forty pushes would lead if balls slid through each other.

    Returns:
        The states (B, 40, 10) after each push, and by how much (B, 40) the pushed ball would cut
        into another one on its way, in metres.
    """
    balls = centres(states)
    start = np.repeat(balls, len(PUSHES), axis=1)  # (B, 40, 2) of the ball that each action pushes
    left, right, bottom, top = RESTING
    shift = np.tile(PUSH_LENGTH * UNIT_PUSHES, (NUM_BALLS, 1))
    end = np.clip(start + shift, (left, bottom), (right, top))
    after = np.repeat(balls[:, None], NUM_ACTIONS, axis=1)
    actions = np.arange(NUM_ACTIONS)
    after[:, actions, actions // len(PUSHES)] = end
    # Distance of every other ball from the segment that the pushed ball covers.
    path = end - start
    square = np.maximum((path**2).sum(axis=-1), 1e-9)
    towards = balls[:, None] - start[:, :, None]
    along = np.clip((towards * path[:, :, None]).sum(axis=-1) / square[..., None], 0.0, 1.0)
    beside = towards - along[..., None] * path[:, :, None]
    gaps = np.hypot(beside[..., 0], beside[..., 1])
    gaps[:, actions, actions // len(PUSHES)] = np.inf
    ahead = (along > 0) & (gaps < TOUCHING)
    cut = np.where(ahead, TOUCHING - gaps, 0.0).sum(axis=-1)
    return after.reshape(len(balls), NUM_ACTIONS, 2 * NUM_BALLS), cut


def sketched_values(specs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """How well each of the forty pushes serves the goals (B, 40), by `sketched_pushes`.

    Args:
        specs: (B, 10) goal numbers.
        states: (B, 10) states.
    """
    specs = np.asarray(specs)
    after, cut = sketched_pushes(states)
    repeated = np.repeat(specs, NUM_ACTIONS, axis=0)
    values = potential(repeated, after.reshape(-1, 2 * NUM_BALLS)).reshape(cut.shape) - cut
    move = np.flatnonzero(specs[:, 0] == GoalKind.MOVE)
    wanted = np.repeat(specs[move], NUM_ACTIONS, axis=0)
    pushed = pushed_towards(wanted, np.tile(np.arange(NUM_ACTIONS), len(move)))
    values[move] += pushed.reshape(len(move), NUM_ACTIONS)
    return np.asarray(values, np.float64)


class NoisyPolicy:
    """Pushes the goal's ball towards its place with probability `focus`, else any ball anywhere.

    Some episodes are idle: they never serve their goal. An episode's actions depend on its task
    alone: all its random numbers are drawn when it begins.

    Args:
        focus: probability of a push that serves the goal, outside idle episodes.
        idle: probability that an episode is idle.
        horizon_steps: steps of the longest episode.
    """

    def __init__(self, focus: float, idle: float, horizon_steps: int) -> None:
        self.focus, self.idle = focus, idle
        self._horizon_steps = horizon_steps
        self._specs = np.zeros((0, 10), np.int64)
        self._draws = np.zeros((0, horizon_steps, 3))
        self._steps = np.zeros(0, np.int64)
        self._focus = np.zeros(0)

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """Draws the random numbers of new episodes in `slots` (K,)."""
        missing = int(np.max(slots)) + 1 - len(self._steps)
        if missing > 0:
            self._specs = np.pad(self._specs, ((0, missing), (0, 0)))
            self._draws = np.pad(self._draws, ((0, missing), (0, 0), (0, 0)))
            self._steps = np.pad(self._steps, (0, missing))
            self._focus = np.pad(self._focus, (0, missing))
        self._steps[slots] = 0
        for slot, task in zip(slots, tasks, strict=True):
            self._specs[slot] = task.goal.spec
            rng = np.random.default_rng(task.seed)
            self._focus[slot] = self.focus if rng.random() >= self.idle else 0.0
            self._draws[slot] = rng.random((self._horizon_steps, 3))

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Pushes (K,) int64 for states (K, 10)."""
        draws = self._draws[slots, self._steps[slots] % self._horizon_steps]
        self._steps[slots] += 1
        actions = (draws[:, 2] * NUM_ACTIONS).astype(np.int64)
        focused = np.flatnonzero(draws[:, 0] < self._focus[slots])
        values = sketched_values(self._specs[slots[focused]], observations[focused])
        ranks = np.argsort(-values, axis=1, kind="stable")
        rank = np.searchsorted(RANK_EDGES, draws[focused, 1], side="right")
        actions[focused] = ranks[np.arange(len(ranks)), rank]
        return np.asarray(actions)
