"""The original CLEVR-Robot package behind our protocols: same goals and judges, its own physics.

Nothing of it is installed by default: `requirements-original.txt` says how. Only its simulation is
used. Starts, goals, judges and rewards are ours, so its defects in those (a four-value step, global
random generators, a stale goal after a reset) cannot reach a result.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from envs.clevr.model import BALL_HEIGHT
from envs.clevr.predicates import NUM_BALLS
from envs.clevr.world import ClevrWorld

MODULES = ("clevr_robot_env.env", "clevr_robot_env")  # where packagings keep `ClevrEnv`
_POSITIONS = 7 * NUM_BALLS  # numbers in qpos before the pusher's two


class OriginalEnv(Protocol):
    """The part of the original `ClevrEnv` that is used."""

    physics: Any  # dm_control's physics, with data.qpos (37,) and data.qvel (32,)

    def reset(self) -> Any:
        """Compiles a random scene."""
        ...

    def step(self, a: int) -> tuple[Any, ...]:
        """Observation (10,) first; the rest is not used."""
        ...

    def set_state(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Writes positions (37,) and velocities (32,)."""
        ...


def make_original() -> OriginalEnv:
    """The installed original environment, with forty pushes and ten numbers to observe.

    Raises:
        ImportError: it is not installed.
    """
    for module in MODULES:
        try:
            found = import_module(module)
        except ModuleNotFoundError as error:
            if error.name not in ("clevr_robot_env", module):
                raise  # the package is there, one of its own dependencies is not
            continue
        if hasattr(found, "ClevrEnv"):
            environment: OriginalEnv = found.ClevrEnv(
                action_type="perfect", obs_type="direct", direct_obs=True, num_object=NUM_BALLS
            )
            return environment
    raise ImportError(
        "Expected the original CLEVR-Robot package, found no `clevr_robot_env`. "
        "Install it as requirements-original.txt says, or use the world `clevr_robot`."
    )


class OriginalSimulator:
    """`num_slots` original environments, one after the other; they have no batches.

    Args:
        make: gives a fresh original environment.
    """

    def __init__(self, num_slots: int, make: Callable[[], OriginalEnv] = make_original) -> None:
        self.num_slots = num_slots
        self._environments = [make() for _ in range(num_slots)]
        for environment in self._environments:
            environment.reset()

    def reset(self, slots: np.ndarray, starts: np.ndarray) -> None:
        """Puts `slots` (K,) at rest in `starts` (K, 10)."""
        for slot, start in zip(slots, starts, strict=True):
            data = self._environments[slot].physics.data
            qpos, qvel = np.zeros_like(data.qpos), np.zeros_like(data.qvel)
            balls = qpos[:_POSITIONS].reshape(NUM_BALLS, 7)
            balls[:, :2] = np.asarray(start, np.float64).reshape(NUM_BALLS, 2)
            balls[:, 2:4] = BALL_HEIGHT, 1.0  # on the table, identity orientation
            self._environments[slot].set_state(qpos, qvel)

    def step(self, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Pushes a ball in each slot (K,): ball centres (K, 10) float32."""
        observations = [
            self._environments[slot].step(int(action))[0]
            for slot, action in zip(slots, actions, strict=True)
        ]
        return np.array(observations, np.float32)

    def save(self, slots: np.ndarray) -> np.ndarray:
        """Full physics states (K, 69) float64 of `slots`: positions, then velocities."""
        data = [self._environments[slot].physics.data for slot in slots]
        return np.array([np.concatenate([each.qpos, each.qvel]) for each in data], np.float64)

    def load(self, slots: np.ndarray, states: np.ndarray) -> None:
        """Restores states (K, 69) that `save` gave."""
        for slot, state in zip(slots, states, strict=True):
            environment = self._environments[slot]
            num_positions = len(environment.physics.data.qpos)
            environment.set_state(state[:num_positions].copy(), state[num_positions:].copy())


class OriginalClevrWorld(ClevrWorld):
    """CLEVR-Robot on the original package's physics; the expert still looks ahead in ours.

    Args:
        make: gives a fresh original environment.
        reward: one of `envs.clevr.rewards.REWARDS`.
        reset: one of `envs.clevr.resets.RESET_BOXES`.
    """

    name = "clevr_robot_original"

    def __init__(
        self,
        make: Callable[[], OriginalEnv] = make_original,
        reward: str = "imaginebench",
        reset: str = "box",
    ) -> None:
        super().__init__(reward=reward, reset=reset)
        self._make = make
        self.version = f"clevr_robot-original reset={reset} reward={reward}"

    def simulator(self, num_slots: int, num_threads: int = 1) -> OriginalSimulator:
        """`num_slots` original environments; they run in one thread whatever `num_threads`."""
        return OriginalSimulator(num_slots, self._make)
