"""The batched simulator of CLEVR-Robot: full physics states, pushes, save and load.

One thing to know: a step changes nothing but the pusher before it starts. Balls keep the momentum
of the step before, so ten coordinates are not a full state; `ClevrSimulator.save` gives one. The
pusher of a push starts inside the ball, as in the original, and the solver always starts cold.

Source: the step of google-research's CLEVR-Robot (2019), whose defects of placement are mended.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np

from envs.clevr.compiled import compiled
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
_PART = (
    2  # a thread takes its share of what is left, divided by this: much at first, little at last
)
_NUM_ACTIONS = NUM_BALLS * len(PUSHES)
_FIRST = np.zeros(1, np.int64)  # slots, of an array of one state
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


@compiled
def _aim(states: np.ndarray, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """`put_pusher` of `slots` (K,) in states (N, S), and the controls (K, 2) of their pushes."""
    controls = np.empty((len(slots), 2))
    for number in range(len(slots)):
        ball, push = divmod(actions[number], len(PUSHES))
        state, x = states[slots[number]], _TIME + 7 * ball
        state[0] = 0.0
        for axis in range(2):
            state[_PUSHER + axis] = state[x + axis] - _BESIDE[push, axis]
            state[_PUSHER_VELOCITY + axis] = 0.0
            controls[number, axis] = PUSHES[push, axis]
    return controls


@compiled
def _centres_in(states: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Ball centres (K, 10) float32 of `slots` (K,) in states (N, S)."""
    found = np.empty((len(slots), 2 * NUM_BALLS), np.float32)
    for number in range(len(slots)):
        state = states[slots[number]]
        for ball in range(NUM_BALLS):
            found[number, 2 * ball] = state[_TIME + 7 * ball]
            found[number, 2 * ball + 1] = state[_TIME + 7 * ball + 1]
    return found


@compiled
def _first_outside(numbers: np.ndarray, limit: int) -> int:
    """Where the first of `numbers` (K,) lies that is not in [0, limit), or -1."""
    for place in range(len(numbers)):
        if not 0 <= numbers[place] < limit:
            return place
    return -1


def _require_within(what: str, numbers: np.ndarray, limit: int) -> None:
    """Refuses indices that compiled code would take beyond the end of an array.

    Raises:
        IndexError: a number is not in [0, limit).
    """
    place = _first_outside(numbers, limit)
    if place >= 0:
        raise IndexError(
            f"Expected {what} from 0 to {limit - 1}, got {numbers[place]} in row {place}. "
            f"Pass {what} that this simulator has."
        )


Advance = Callable[[np.ndarray, np.ndarray, np.ndarray, int], None]  # see `dynamics.advance`


class MujocoPhysics:
    """MuJoCo's own stepping: seven times slower, and within its solver's tolerance of `advance`."""

    def __init__(self) -> None:
        self._model = make_model()
        self._data = mujoco.MjData(self._model)

    def __call__(
        self, states: np.ndarray, slots: np.ndarray, controls: np.ndarray, count: int
    ) -> None:
        """Advances `slots` (K,) of states (N, S) in place, as `dynamics.advance` does."""
        for slot, control in zip(slots, controls, strict=True):
            mujoco.mj_resetData(self._model, self._data)
            mujoco.mj_setState(self._model, self._data, states[slot], _STATE)
            self._data.ctrl[:] = control
            self._step(count)
            mujoco.mj_getState(self._model, self._data, states[slot], _STATE)

    def _step(self, count: int) -> None:
        mujoco.mj_step(self._model, self._data, count)


PHYSICS: dict[str, Callable[[], Advance]] = {  # one of each for a thread
    "compiled": lambda: advance,
    "mujoco": MujocoPhysics,
}


class ClevrSimulator:
    """`num_slots` tables that step together, each a pure function of its own state.

    Args:
        num_slots: tables.
        num_threads: threads of the physics, the caller's among them; results do not depend on it.
        physics: one of `PHYSICS`.
    """

    def __init__(self, num_slots: int, num_threads: int = 1, physics: str = "compiled") -> None:
        self.num_slots = num_slots
        self._advances = [PHYSICS[physics]() for _ in range(max(1, num_threads))]
        self._helpers = ThreadPoolExecutor(num_threads - 1) if num_threads > 1 else None
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
        actions = np.asarray(actions)
        _require_within("slots", slots, self.num_slots)
        _require_within("actions", actions, _NUM_ACTIONS)
        controls = _aim(self._states, slots, actions)
        self._advance(slots, controls, SUBSTEPS)
        return self.observe(slots)

    def push(self, slot: int, action: int) -> None:
        """`step` of one slot, for less than arrays of one row cost."""
        put_pusher(self._states[slot], action)
        push = PUSHES[action % len(PUSHES), None]
        self._advances[0](self._states[slot, None], _FIRST, push, SUBSTEPS)

    def drive(
        self, slots: np.ndarray, at: np.ndarray, controls: np.ndarray, substeps: int | np.ndarray
    ) -> np.ndarray:
        """Puts the pusher down and drives it: ball centres (K, 10) float32 afterwards.

        Args:
            at: (K, 2) world position where the pusher starts, at rest.
            controls: (K, 2) motor controls, held.
            substeps: physics steps of 0.01 s, one number or (K,).
        """
        self._states[slots, 0] = 0.0
        self._states[slots, _PUSHER : _PUSHER + 2] = at
        self._states[slots, _PUSHER_VELOCITY : _PUSHER_VELOCITY + 2] = 0.0
        controls, counts = np.asarray(controls, np.float64), np.broadcast_to(substeps, len(slots))
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            self._advance(slots[rows], controls[rows], int(count))
        return self.observe(slots)

    def _advance(self, slots: np.ndarray, controls: np.ndarray, count: int) -> None:
        """`count` physics steps of `slots` (K,) under constant controls, from a cold solver."""
        if count == 0:
            return
        if self._helpers is None or len(slots) < 2:
            self._advances[0](self._states, slots, controls, count)
            return
        untaken = iter(portions(len(slots), len(self._advances)))

        def work(own: Advance) -> None:
            for rows in untaken:  # threads share the iterator: each takes what nobody has taken
                own(self._states, slots[rows], controls[rows], count)

        jobs = [self._helpers.submit(work, own) for own in self._advances[1:]]
        work(self._advances[0])
        for job in jobs:
            job.result()

    def observe(self, slots: np.ndarray) -> np.ndarray:
        """Ball centres (K, 10) float32 of `slots` (K,) as they are."""
        _require_within("slots", slots, self.num_slots)
        return np.asarray(_centres_in(self._states, slots))

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


def portions(num_rows: int, num_threads: int) -> list[slice]:
    """Rows in portions that become smaller, so that all threads end at nearly the same time.

    Tables take unequal time and cores are unequally fast; few large portions first cost little,
    single rows last leave nobody waiting for more than one of them.

    Source: guided self-scheduling (Polychronopoulos and Kuck, 1987).
    """
    parts, first = list[slice](), 0
    while first < num_rows:
        last = first + max(1, (num_rows - first) // (_PART * num_threads))
        parts.append(slice(first, last))
        first = last
    return parts
