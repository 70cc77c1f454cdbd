"""What the data tells of actions that do nothing: the mask that a policy may act under.

Counted by what lies in the cell ahead (its type, and a door's state) and whether the hands are
full. Where an action was seen often enough and never changed anything, it is known to be invalid.
No rule of the environment is consulted.
"""

from dataclasses import dataclass

import numpy as np

from envs.babyai.cells import DOOR_STATE_OF, EMPTY, TYPE_OF
from envs.babyai.states import CARRIED, GridShape, front_cells
from offline_rl.empirical import EmpiricalModel

MIN_SEEN = 5  # different situations in which an action did nothing before it is called invalid
_DOOR_STATES = 4  # no door, and three of a door
_NUM_KEYS = (int(TYPE_OF.max()) + 1) * _DOOR_STATES * 2


@dataclass(frozen=True)
class KnownEffects:
    """Which actions are worth trying."""

    seen: np.ndarray  # (keys, A) int64, different (state, action) of the data
    changed: np.ndarray  # (keys, A) int64, those that led to another state

    @classmethod
    def of(cls, model: EmpiricalModel, shape: GridShape) -> "KnownEffects":
        """What the model's pairs show, each by where it led most often."""
        keys = _keys(model.states, shape)[model.pair_states]
        places = keys * model.num_actions + model.pair_actions
        size, table = _NUM_KEYS * model.num_actions, (_NUM_KEYS, model.num_actions)
        moved = model.likely_successors != model.pair_states
        seen = np.bincount(places, minlength=size).reshape(table)
        return cls(seen, np.bincount(places[moved], minlength=size).reshape(table))

    def allowed(self, states: np.ndarray, shape: GridShape) -> np.ndarray:
        """Actions (B, A) bool that are not known to do nothing in states (B, D) uint8.

        Where all of them are, all are allowed. Grids may be of another shape than the data's.
        """
        keys = _keys(states, shape)
        useless = (self.seen[keys] >= MIN_SEEN) & (self.changed[keys] == 0)
        return np.asarray(~useless | useless.all(axis=1, keepdims=True))


def _keys(states: np.ndarray, shape: GridShape) -> np.ndarray:
    """What lies ahead and whether the hands are full, as one number (N,) int64."""
    ahead = front_cells(states, shape)
    thing = TYPE_OF[ahead].astype(np.int64) * _DOOR_STATES + DOOR_STATE_OF[ahead] + 1
    return np.asarray(2 * thing + (states[:, CARRIED] != EMPTY))
