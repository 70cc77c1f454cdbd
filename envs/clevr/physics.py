"""The batched simulator of CLEVR-Robot: full physics states, pushes, save and load.

One thing to know: a step changes nothing but the pusher before it starts. Balls keep the momentum
of the step before, so ten coordinates are not a full state; `ClevrSimulator.save` gives one. The
pusher of a push starts inside the ball, as in the original, and the solver always starts cold.

Source: the step of google-research's CLEVR-Robot (2019), whose defects of placement are mended.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import mujoco
import numpy as np

from envs.clevr.dynamics import advance
from envs.clevr.model import BALL_HEIGHT, make_model
from envs.clevr.predicates import NUM_BALLS, PUSHES

PUSHER_OFFSET = 0.15  # of the pusher from the ball's centre, in lengths of the push
SUBSTEPS = 40  # physics steps of 0.01 s in one push
_TIME, _POSITION, _VELOCITY = 1, 37, 32  # numbers in a physics state: time, qpos, qvel
STATE_LENGTH = _TIME + _POSITION + _VELOCITY
_BALL_X = _TIME + 7 * np.arange(NUM_BALLS)  # where a state holds each ball's x; y and z follow
_BALL_XY = _BALL_X[:, None] + np.arange(2)  # (5, 2)
_COORDINATES = _BALL_XY.ravel()
_PUSHER = _TIME + 7 * NUM_BALLS  # where a state holds the pusher's x; y follows
_PUSHER_VELOCITY = _TIME + _POSITION + 6 * NUM_BALLS
_STATE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)  # an enumeration costs the call twice as much
_SHARES = 4  # of the tables for each thread: some take longer, and who is done takes another
_BESIDE = PUSHER_OFFSET * PUSHES  # (8, 2) from where the pusher starts to the ball's centre


def rest_states(positions: np.ndarray) -> np.ndarray:
    """Full physics states (B, S) of balls at rest with identity orientation.

    Args:
        positions: (B, 5, 2) ball centres.
    """
    states = np.zeros((len(positions), STATE_LENGTH))
    states[:, _BALL_XY] = positions
    states[:, _BALL_X + 2] = BALL_HEIGHT
    states[:, _BALL_X + 3] = 1.0  # identity orientation
    return states


def ball_centres(states: np.ndarray) -> np.ndarray:
    """Ball centres (B, 5, 2) float64 of full physics states (B, S)."""
    return np.asarray(states[:, _BALL_XY])


def put_pusher(state: np.ndarray, action: int) -> None:
    """Puts the pusher of a full state (S,) down, at rest, where a push of the forty starts."""
    ball, push = divmod(action, len(PUSHES))
    x = _TIME + 7 * ball
    state[0] = 0.0
    state[_PUSHER : _PUSHER + 2] = state[x : x + 2] - _BESIDE[push]
    state[_PUSHER_VELOCITY : _PUSHER_VELOCITY + 2] = 0.0


Advance = Callable[[np.ndarray, np.ndarray, int], None]  # states (K, S), controls (K, 2), count


class MujocoPhysics:
    """MuJoCo's own stepping: seven times slower, and within its solver's tolerance of `advance`."""

    def __init__(self) -> None:
        self._model = make_model()
        self._data = mujoco.MjData(self._model)

    def __call__(self, states: np.ndarray, controls: np.ndarray, count: int) -> None:
        """Advances states (K, S) in place, each by `count` physics steps under (K, 2) controls."""
        for state, control in zip(states, controls, strict=True):
            mujoco.mj_resetData(self._model, self._data)
            mujoco.mj_setState(self._model, self._data, state, _STATE)
            self._data.ctrl[:] = control
            self._step(count)
            mujoco.mj_getState(self._model, self._data, state, _STATE)

    def _step(self, count: int) -> None:
        mujoco.mj_step(self._model, self._data, count)


PHYSICS: dict[str, Callable[[], Advance]] = {  # one of each for a share of the tables
    "compiled": lambda: advance,
    "mujoco": MujocoPhysics,
}


class ClevrSimulator:
    """`num_slots` tables that step together, each a pure function of its own state.

    Args:
        num_slots: tables.
        num_threads: threads of the physics; results do not depend on it.
        physics: one of `PHYSICS`.
    """

    def __init__(self, num_slots: int, num_threads: int = 1, physics: str = "compiled") -> None:
        self.num_slots = num_slots
        shares = num_threads * _SHARES if num_threads > 1 else 1
        self._advances = [PHYSICS[physics]() for _ in range(shares)]
        self._threads = ThreadPoolExecutor(num_threads) if num_threads > 1 else None
        self._states = rest_states(np.zeros((num_slots, NUM_BALLS, 2)))

    def reset(self, slots: np.ndarray, starts: np.ndarray) -> None:
        """Puts `slots` (K,) at rest in `starts` (K, 10)."""
        positions = np.asarray(starts, np.float64).reshape(-1, NUM_BALLS, 2)
        self._states[slots] = rest_states(positions)

    def step(self, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Pushes a ball in each slot (K,): ball centres (K, 10) float32 after 40 sub-steps.

        Args:
            actions: (K,) int, 8 * ball + direction.

        Source: the original's `perfect` action type.
        """
        balls, pushes = np.divmod(np.asarray(actions), len(PUSHES))
        at = self._states[slots[:, None], _BALL_XY[balls]] - _BESIDE[pushes]
        return self.drive(slots, at, PUSHES[pushes], SUBSTEPS)

    def push(self, slot: int, action: int) -> None:
        """`step` of one slot, for less than arrays of one row cost."""
        state = self._states[slot]
        put_pusher(state, action)
        self._advances[0](state[None], PUSHES[action % len(PUSHES), None], SUBSTEPS)

    def drive(
        self, slots: np.ndarray, at: np.ndarray, controls: np.ndarray, substeps: int | np.ndarray
    ) -> np.ndarray:
        """Puts the pusher down and drives it: ball centres (K, 10) float32 afterwards.

        Args:
            at: (K, 2) world position where the pusher starts, at rest.
            controls: (K, 2) motor controls, held.
            substeps: physics steps of 0.01 s, one number or (K,).
        """
        states = self._states[slots]
        states[:, 0] = 0.0
        states[:, _PUSHER : _PUSHER + 2] = at
        states[:, _PUSHER_VELOCITY : _PUSHER_VELOCITY + 2] = 0.0
        controls = np.asarray(controls, np.float64)
        if np.ndim(substeps) == 0:
            states = self._advance(states, controls, int(substeps))
        else:
            for count in np.unique(substeps):
                rows = np.flatnonzero(substeps == count)
                states[rows] = self._advance(states[rows], controls[rows], int(count))
        self._states[slots] = states
        return self.observe(slots)

    def _advance(self, states: np.ndarray, controls: np.ndarray, count: int) -> np.ndarray:
        """States (K, S) after `count` physics steps under constant controls, from a cold solver."""
        if count == 0:
            return states
        if self._threads is None:
            self._advances[0](states, controls, count)
            return states
        bounds = np.linspace(0, len(states), len(self._advances) + 1).astype(int)
        jobs = [
            self._threads.submit(own, states[first:last], controls[first:last], count)
            for own, (first, last) in zip(self._advances, pairwise(bounds), strict=True)
        ]
        for job in jobs:
            job.result()
        return states

    def observe(self, slots: np.ndarray) -> np.ndarray:
        """Ball centres (K, 10) float32 of `slots` (K,) as they are."""
        return np.asarray(self._states[slots[:, None], _COORDINATES], np.float32)

    def observe_one(self, slot: int) -> np.ndarray:
        """Ball centres (10,) float32 of one slot."""
        return np.asarray(self._states[slot, _COORDINATES], np.float32)

    def save(self, slots: np.ndarray) -> np.ndarray:
        """Full physics states (K, S) float64 of `slots`: time, positions, velocities."""
        return np.array(self._states[slots])

    def load(self, slots: np.ndarray, states: np.ndarray) -> None:
        """Restores states (K, S) that `save` gave.

        Raises:
            ValueError: the states have another length.
        """
        if np.shape(states)[1:] != (STATE_LENGTH,):
            raise ValueError(
                f"Expected states of {STATE_LENGTH} numbers, got shape {np.shape(states)}. "
                "Pass what `save` returned."
            )
        self._states[slots] = states
