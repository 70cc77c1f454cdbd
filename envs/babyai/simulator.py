"""MiniGrid's rules on batches of compact states; a test proves them equal to `minigrid`'s own.

Pure functions: a batch of states and a batch of actions give the batch of next states. An action
that the rules refuse leaves the state as it is.
"""

import numpy as np

from envs.babyai.cells import (
    CAN_CARRY,
    CAN_ENTER,
    EMPTY,
    KEY_OF,
    LOCKED_TO_OPEN,
    TOGGLED,
)
from envs.babyai.states import CARRIED, DIRECTION, STEP_X, STEP_Y, GridShape, X, Y, front_index
from envs.step_count import count_steps

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
ACTION_NAMES = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
NUM_ACTIONS = len(ACTION_NAMES)
_TURN = np.array([3, 1, 0, 0, 0, 0, 0], np.uint8)  # quarters to the right, by action


def step(states: np.ndarray, actions: np.ndarray, shape: GridShape) -> np.ndarray:
    """The next states (B, D) uint8.

    Args:
        states: (B, D) uint8.
        actions: (B,) integers in 0..6.

    Raises:
        ValueError: there is not one known action a state.
    """
    actions = _checked(states, actions)
    count_steps(len(states))
    rows, front = np.arange(len(states)), front_index(states, shape)
    ahead, carried = states[rows, front], states[:, CARRIED]
    direction = states[:, DIRECTION]
    moves = (actions == FORWARD) & CAN_ENTER[ahead]
    swaps = _swaps(ahead, carried, actions)
    after = states.copy()
    after[:, X] += (STEP_X[direction] * moves).astype(np.uint8)
    after[:, Y] += (STEP_Y[direction] * moves).astype(np.uint8)
    after[:, DIRECTION] = (direction + _TURN[actions]) & 3
    after[:, CARRIED] = np.where(swaps, ahead, carried)
    left = np.where(swaps, carried, ahead)
    after[rows, front] = np.where(actions == TOGGLE, _toggled(ahead, carried), left)
    return after


def valid_actions(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """Which actions change each state, (B, 7) bool for states (B, D) uint8; `done` never does."""
    ahead = states[np.arange(len(states)), front_index(states, shape)]
    carried = states[:, CARRIED]
    valid = np.ones((len(states), NUM_ACTIONS), bool)
    valid[:, FORWARD] = CAN_ENTER[ahead]
    valid[:, PICKUP] = CAN_CARRY[ahead] & (carried == EMPTY)
    valid[:, DROP] = (ahead == EMPTY) & (carried != EMPTY)
    valid[:, TOGGLE] = _toggled(ahead, carried) != ahead
    valid[:, DONE] = False
    return valid


def _checked(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    actions = np.asarray(actions)
    if actions.shape != states.shape[:1]:
        raise ValueError(
            f"Expected one action for each of {len(states)} states, got shape {actions.shape}."
        )
    if actions.size and not 0 <= actions.min() <= actions.max() < NUM_ACTIONS:
        raise ValueError(
            f"Expected actions in 0..{NUM_ACTIONS - 1}, got {actions.min()}..{actions.max()}. "
            f"They are {', '.join(ACTION_NAMES)}."
        )
    return actions


def _swaps(ahead: np.ndarray, carried: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Where (B,) bool the hands and the cell ahead exchange what they hold."""
    picks = (actions == PICKUP) & CAN_CARRY[ahead] & (carried == EMPTY)
    drops = (actions == DROP) & (ahead == EMPTY) & (carried != EMPTY)
    swaps: np.ndarray = picks | drops
    return swaps


def _toggled(ahead: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """What (B,) uint8 the cells ahead become when toggled with `carried` (B,) in the hands."""
    unlocks = KEY_OF[ahead] == carried
    return np.where(unlocks, ahead - LOCKED_TO_OPEN, TOGGLED[ahead]).astype(np.uint8)
