"""`gymnasium.make_vec("kalm/ClevrRobot-v0", num_envs=...)`: many tables that step together.

One thing to know: by default an episode that ends is followed by the next one in the same step
(`final_obs` and `final_info` keep the end), so no dead step enters the data, which Gymnasium's own
default would insert.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.clevr.environment import RENDER_SIZE, ClevrRobotEnv
from envs.clevr.tables import ClevrTables, checked_options


class ClevrRobotVectorEnv(gymnasium.vector.VectorEnv):  # type: ignore[misc]  # no stubs
    """`num_envs` CLEVR-Robot environments over one batched simulator.

    `reset(options=...)` takes `positions` (5, 2) or (num_envs, 5, 2), `goal` (one for all, or a
    list of num_envs) and `reset_mask` (num_envs,) bool.

    Args:
        num_envs: environments.
        num_threads: threads of the physics; results do not depend on it.
        autoreset_mode: what happens after an episode's end: "SameStep", "NextStep", "Disabled".
        render_mode: "rgb_array" or None.
        options: see `envs.clevr.tables.ClevrTables`.
    """

    metadata = ClevrRobotEnv.metadata

    def __init__(
        self,
        num_envs: int = 1,
        num_threads: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.tables = ClevrTables(num_envs, num_threads, **options)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_action_space = self.tables.action_space
        self.single_observation_space = self.tables.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._rngs = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._rows = np.arange(num_envs)
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New episodes; environment i is seeded with seed + i, or seed[i]."""
        given = checked_options(options, ("positions", "goal", "reset_mask"))
        mask = np.asarray(given.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(f"Expected a reset_mask of {self.num_envs} booleans, got {mask}.")
        for row, own in enumerate(_seeds(seed, self.num_envs)):
            if own is not None and mask[row]:
                self._rngs[row] = seeding.np_random(own)[0]
        rows = self._rows[mask]
        positions, goals = given.get("positions"), given.get("goal")
        if positions is not None:
            positions = np.broadcast_to(positions, (self.num_envs, *np.shape(positions)[-2:]))[rows]
        if goals is not None:
            goals = goals if isinstance(goals, list) else [goals] * self.num_envs
            goals = [goals[row] for row in rows]
        self.tables.reset(rows, [self._rngs[row] for row in rows], positions, goals)
        self._ended[rows] = False
        info: dict[str, Any] = {}
        self._write(info, rows, self.tables.describe(rows))
        return self.tables.observe(self._rows), info

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Observations, rewards, terminated, truncated (num_envs, ...) each, and info."""
        rewards, info = np.zeros(self.num_envs), dict[str, Any]()
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        anew = self._ended & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        rows = self._rows[~anew]
        if len(rows):
            rewards[rows], terminated[rows], truncated[rows], described = self.tables.step(
                rows, np.asarray(actions)[rows]
            )
            self._write(info, rows, described)
        self._ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            anew = self._ended
            self._keep_final(info, anew)
        if anew.any():
            again = self._rows[anew]
            self.tables.reset(again, [self._rngs[row] for row in again])
            self._write(info, again, self.tables.describe(again))
        return self.tables.observe(self._rows), rewards, terminated, truncated, info

    def _keep_final(self, info: dict[str, Any], ended: np.ndarray) -> None:
        """Copies the last observation and info of ended rows under `final_obs`, `final_info`."""
        if not ended.any():
            return
        rows = self._rows[ended]
        final: dict[str, Any] = {}
        self._write(final, rows, {k: v[rows] for k, v in info.items() if not k.startswith("_")})
        observations = np.full(self.num_envs, None, object)
        for row, observation in zip(rows, self.tables.observe(rows), strict=True):
            observations[row] = observation
        info.update(final_obs=observations, _final_obs=ended.copy())
        info.update(final_info=final, _final_info=ended.copy())

    def _write(
        self, info: dict[str, Any], rows: np.ndarray, described: dict[str, np.ndarray]
    ) -> None:
        """Writes values (K, ...) of `rows` into arrays (num_envs, ...) and marks them in `_key`."""
        for key, values in described.items():
            if key not in info and len(rows) == self.num_envs:
                info[key], info[f"_{key}"] = values, np.ones(self.num_envs, bool)
                continue
            if key not in info:
                nothing = None if values.dtype == object else 0
                shape = (self.num_envs, *values.shape[1:])
                info[key] = np.full(shape, nothing, values.dtype)
                info[f"_{key}"] = np.zeros(self.num_envs, bool)
            info[key][rows] = values
            info[f"_{key}"][rows] = True

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture (300, 300, 3) uint8 of every table, or None without a render mode."""
        if self.render_mode is None:
            return None
        states = self.tables.simulator.observe(self._rows)
        return tuple(self.tables.picture(state, RENDER_SIZE) for state in states)

    def close_extras(self, **kwargs: Any) -> None:
        """Frees graphics contexts."""
        self.tables.close()


def _seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed, or None, for each environment."""
    if seed is None:
        return [None] * count
    if isinstance(seed, (int, np.integer)):
        return [int(seed) + row for row in range(count)]
    if len(seed) != count:
        raise ValueError(f"Expected {count} seeds, got {len(seed)}. Pass one per environment.")
    return list(seed)
