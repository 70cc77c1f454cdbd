"""`gymnasium.make("kalm/ClevrRobot-v0")`: CLEVR-Robot as a Gymnasium environment.

One thing to know: the goal is not part of the observation; `info["goal"]` says it in words. The
observation is not the full physics either: `save` and `load` keep momentum.
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np

from envs.clevr.tables import ClevrTables, checked_options
from envs.world import Goal

RENDER_SIZE = 300
_ROW = np.zeros(1, np.int64)


class ClevrRobotEnv(gymnasium.Env):  # type: ignore[misc]  # no stubs
    """Five balls, a pusher and a goal in words; success terminates, the horizon truncates.

    `reset(options=...)` takes `positions` (5, 2), ball centres at rest, and `goal`, which is a
    goal's text, its index in the level, or a `Goal`.

    Args:
        render_mode: "rgb_array" or None.
        options: see `envs.clevr.tables.ClevrTables`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        self.tables = ClevrTables(1, **options)
        self.render_mode = render_mode
        self.action_space = self.tables.action_space
        self.observation_space = self.tables.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode; the same seed gives the same one in every instance."""
        super().reset(seed=seed)
        given = checked_options(options, ("positions", "goal"))
        positions: Any = [given["positions"]] if "positions" in given else None
        goals: list[Goal | str | int] | None = [given["goal"]] if "goal" in given else None
        self.tables.reset(_ROW, [self.np_random], positions, goals)
        return self.tables.observe(_ROW)[0], _single(self.tables.describe(_ROW))

    def step(
        self, action: int | np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated (success), truncated (horizon), info."""
        if self.tables.is_plain(0, action):
            return self.tables.step_one(0, int(action))
        rewards, terminated, truncated, info = self.tables.step(_ROW, np.asarray(action)[None])
        observation = self.tables.observe(_ROW)[0]
        ended = bool(terminated[0]), bool(truncated[0])
        return observation, float(rewards[0]), *ended, _single(info)

    def render(self) -> np.ndarray | None:
        """A picture (300, 300, 3) uint8 from above, or None without a render mode."""
        if self.render_mode is None:
            return None
        return self.tables.picture(self.tables.simulator.observe(_ROW)[0], RENDER_SIZE)

    def save(self) -> np.ndarray:
        """The full physics state (S,) float64: time, positions, velocities."""
        return np.array(self.tables.simulator.save(_ROW)[0])

    def load(self, state: np.ndarray) -> None:
        """Restores a physics state (S,) that `save` gave; goal and step count stay."""
        self.tables.simulator.load(_ROW, state[None])

    def close(self) -> None:
        """Frees graphics contexts."""
        self.tables.close()


def _single(info: dict[str, np.ndarray]) -> dict[str, Any]:
    """The first row of each array, booleans as Python's own."""
    return {
        key: values[0] if values.ndim > 1 else values[:1].tolist()[0]
        for key, values in info.items()
    }
