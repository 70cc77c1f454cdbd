"""Tables with a goal on each: what the single and the vector environment have in common.

One thing to know: row i of a vector environment seeded with s + i lives through the same episodes
as a single environment seeded with s + i, because both are rows of this class.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.clevr.drawing import MujocoPainter, draw_table
from envs.clevr.one_table import PARTS, judged_of_one, reached_by_one
from envs.clevr.physics import SUBSTEPS, ClevrSimulator
from envs.clevr.predicates import GOAL_LENGTH, NUM_BALLS, PUSHES, GoalKind
from envs.clevr.relations import CONVENTIONS, order_invariant, relations
from envs.clevr.world import ClevrWorld
from envs.world import Goal

_MOVE = int(GoalKind.MOVE)
ACTIONS = ("perfect", "discrete", "continuous")
OBSERVATIONS = ("vector", "order_invariant", "image")
RENDERERS = ("flat", "mujoco")
IMAGE_SIZE = 64
_LOW, _HIGH = np.array((-0.7, -0.4)), np.array((0.7, 0.8))  # centres stay inside, by far
_GRID = 10  # of `discrete`: columns and rows where the pusher can be put


class ClevrTables:
    """`num_rows` tables, each with a goal, a random stream and a step counter.

    Args:
        num_rows: tables.
        num_threads: threads of the physics.
        action: "perfect" (forty pushes), "discrete" (800 pushes from a grid) or "continuous"
            (x, y, angle and duration of a push), as in the original.
        observation: "vector" (ten numbers), "order_invariant" (a row per ball) or "image".
        level: goal level that new goals are drawn from.
        reward: one of `envs.clevr.rewards.REWARDS`.
        reset: one of `envs.clevr.resets.RESET_BOXES`.
        convention: of the 80 relations reported; one of `envs.clevr.relations.CONVENTIONS`.
        physics: one of `envs.clevr.physics.PHYSICS`.
        renderer: "flat" needs no graphics stack, "mujoco" does.
        horizon_steps: an episode is truncated after this many steps.
    """

    def __init__(
        self,
        num_rows: int,
        num_threads: int = 1,
        *,
        action: str = "perfect",
        observation: str = "vector",
        level: str = "train",
        reward: str = "imaginebench",
        reset: str = "box",
        convention: str = "kalm",
        physics: str = "compiled",
        renderer: str = "flat",
        horizon_steps: int = ClevrWorld.horizon_steps,
    ) -> None:
        _check("action", action, ACTIONS)
        _check("observation", observation, OBSERVATIONS)
        _check("level", level, ClevrWorld.levels)
        _check("convention", convention, tuple(CONVENTIONS))
        _check("renderer", renderer, RENDERERS)
        if horizon_steps < 1:
            raise ValueError(f"Expected horizon_steps of at least 1, got {horizon_steps}.")
        self.world = ClevrWorld(reward=reward, reset=reset, physics=physics)
        self.goals = list(self.world.goals(level))
        self.simulator = ClevrSimulator(num_rows, num_threads, physics)
        self.action_space = _action_space(action)
        self.observation_space = _observation_space(observation)
        self._action, self._observation, self._convention = action, observation, convention
        self._plain = (action, observation, convention) == ("perfect", "vector", "kalm")
        self._renderer, self._painters = renderer, dict[int, MujocoPainter]()
        self._horizon_steps = horizon_steps
        self._row_goals = [self.goals[0]] * num_rows
        self._names = np.full((3, num_rows), None, object)  # text, level and kind of the goals
        self._specs = np.zeros((num_rows, GOAL_LENGTH), np.int64)
        self._steps = np.zeros(num_rows, np.int64)
        self._running = np.zeros(num_rows, bool)

    def reset(
        self,
        rows: np.ndarray,
        rngs: Sequence[np.random.Generator],
        positions: np.ndarray | None = None,
        goals: Sequence[Goal | str | int] | None = None,
    ) -> None:
        """Starts an episode in `rows` (K,), from drawn or given centres and goals.

        Args:
            rngs: K random streams.
            positions: (K, 5, 2) ball centres.
            goals: K goals, texts of goals, or indices into the level.
        """
        starts = np.empty((len(rows), 2 * NUM_BALLS), np.float32)
        chosen = []
        for number, rng in enumerate(rngs):
            if positions is None:
                starts[number] = self.world.draw_starts(1, rng)[0]
            else:
                starts[number] = checked_positions(positions[number])[0]
            start = starts[number : number + 1]
            goal = self._draw_goal(start, rng) if goals is None else self.find_goal(goals[number])
            chosen.append(goal)
        self.simulator.reset(rows, starts)
        for row, goal in zip(rows, chosen, strict=True):
            self._row_goals[row], self._specs[row] = goal, goal.spec
            self._names[:, row] = goal.text, goal.level, goal.kind
        self._steps[rows], self._running[rows] = 0, True

    def _draw_goal(self, start: np.ndarray, rng: np.random.Generator) -> Goal:
        """A goal of the level that does not hold yet in `start` (1, 10)."""
        state, nothing = start[0].tolist(), np.array([-1])
        while True:
            goal = self.goals[rng.integers(len(self.goals))]
            if goal.spec[0] in PARTS:
                holds = reached_by_one(goal.spec, state)
            else:
                holds = self.world.success(np.array([goal.spec]), start, nothing, start)[0]
            if not holds:
                return goal

    def find_goal(self, goal: Goal | str | int) -> Goal:
        """A goal itself, by its text at any level, or by its index in the level.

        Raises:
            ValueError: no such goal; the nearest text is suggested.
        """
        if isinstance(goal, Goal):
            return goal
        if isinstance(goal, (int, np.integer)):
            if not 0 <= goal < len(self.goals):
                raise ValueError(f"Expected a goal index below {len(self.goals)}, got {goal}.")
            return self.goals[int(goal)]
        for level in self.world.levels:
            for known in self.world.goals(level):
                if known.text == goal:
                    return known
        texts = [known.text for known in self.goals]
        near = difflib.get_close_matches(goal[:200], texts, n=1, cutoff=0.0)[0]
        raise ValueError(f"Unknown goal `{goal[:200]}`. Did you mean `{near}`? Or pass a Goal.")

    def step(
        self, rows: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """One step in `rows` (K,): rewards, terminated, truncated (K,) each, and what happened.

        Args:
            actions: (K,) int, or (K, 4) float32 for `continuous`.

        Raises:
            ValueError: an episode has ended, or an action lies outside its space.
        """
        if not self._running[rows].all():
            raise ValueError("The episode has ended or not begun. Call reset before step.")
        self._check_actions(actions)
        before = self.simulator.observe(rows)
        after, pushes = self._push(rows, np.asarray(actions))
        specs = self._specs[rows]
        moves = specs[:, 0] == _MOVE
        moved = np.zeros(len(rows), bool)
        if moves.any():
            moved[moves] = self.world.moved_enough(specs[moves], before[moves], after[moves])
        success, rewards = self.world.judged(specs, before, pushes, after)
        rewards = rewards.astype(np.float64)
        if self._action != "perfect":  # no ball is named, so the movement is judged
            success[moves], rewards[moves] = moved[moves], moved[moves]
        self._steps[rows] += 1
        terminated = self.world.ends(specs, success)
        truncated = ~terminated & (self._steps[rows] >= self._horizon_steps)
        self._running[rows] = ~(terminated | truncated)
        return rewards, terminated, truncated, self._describe(rows, after, success, moved)

    def step_one(
        self, row: int, action: int
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Observation (10,), reward, terminated, truncated and info of a plain step in a row.

        This is `step` to the last bit, and wants `is_plain`.
        """
        before = self.simulator.observe_one(row).tolist()
        self.simulator.push(row, action)
        observation = self.simulator.observe_one(row)
        after, goal = observation.tolist(), self._row_goals[row]
        success, reward = judged_of_one(self.world.reward_name, goal.spec, before, after)
        self._steps[row] += 1
        truncated = not success and bool(self._steps[row] >= self._horizon_steps)
        self._running[row] = not (success or truncated)
        info = {
            "success": success,
            "moved_enough": False,
            "goal": goal.text,
            "level": goal.level,
            "kind": goal.kind,
            "relations": relations(observation[None], self._convention)[0],
        }
        return observation, reward, success, truncated, info

    def is_plain(self, row: int, action: Any) -> bool:
        """Whether `step_one` can do a step: a push towards a goal of relations, as by default."""
        return bool(
            self._plain
            and (type(action) is int or isinstance(action, np.integer))
            and 0 <= action < self.action_space.n
            and self._row_goals[row].spec[0] in PARTS
            and self._running[row]
        )

    def _check_actions(self, actions: np.ndarray) -> None:
        """Refuses actions outside their space; numbered ones are looked at all at once."""
        space, numbers = self.action_space, np.asarray(actions)
        numbered = isinstance(space, spaces.Discrete) and numbers.dtype.kind in "iu"
        if numbered and numbers.min() >= 0 and numbers.max() < space.n:
            return
        for action in actions:
            if not space.contains(action):
                raise ValueError(f"Expected an action in {space}, got {action}.")

    def _push(self, rows: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The states (K, 10) after moving, and the pushes (K,), -1 where none of the forty."""
        if self._action == "perfect":
            return self.simulator.step(rows, actions), actions
        substeps: int | np.ndarray = SUBSTEPS
        if self._action == "discrete":
            direction, cell = np.divmod(actions, _GRID * _GRID)
            column, line = np.divmod(cell, _GRID)
            at = np.stack([-0.7 + 0.14 * column, -0.35 + 0.12 * line], axis=1)
            controls = 1.1 * PUSHES[direction]
        else:
            x, y, theta, duration = actions.astype(np.float64).T
            at = 0.7 * np.stack([x, y], axis=1)
            controls = 1.2 * np.stack([np.cos(np.pi * theta), np.sin(np.pi * theta)], axis=1)
            substeps = ((duration + 1.0) * 60.0 + 1e-5).astype(np.int64)  # 1.1 means 126
        return self.simulator.drive(rows, at, controls, substeps), np.full(len(rows), -1)

    def describe(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What `info` says of `rows` (K,) before their first step: one array (K, ...) per key."""
        none = np.zeros(len(rows), bool)
        return self._describe(rows, self.simulator.observe(rows), none, none)

    def _describe(
        self, rows: np.ndarray, states: np.ndarray, success: np.ndarray, moved: np.ndarray
    ) -> dict[str, np.ndarray]:
        texts, levels, kinds = self._names[:, rows]
        return {
            "success": success,
            "moved_enough": moved,
            "goal": texts,
            "level": levels,
            "kind": kinds,
            "relations": relations(states, self._convention),
        }

    def observe(self, rows: np.ndarray) -> np.ndarray:
        """Observations (K, ...) of `rows` (K,) in the declared space."""
        states = self.simulator.observe(rows)
        if self._observation == "vector":
            return states
        if self._observation == "order_invariant":
            return order_invariant(states)
        return np.stack([self.picture(state, IMAGE_SIZE) for state in states])

    def picture(self, state: np.ndarray, size: int) -> np.ndarray:
        """A picture (size, size, 3) uint8 of a state (10,), by the chosen renderer."""
        if self._renderer == "flat":
            return draw_table(state, size)
        if size not in self._painters:
            self._painters[size] = MujocoPainter(size)
        return self._painters[size].draw(state)

    def close(self) -> None:
        """Frees graphics contexts."""
        for painter in self._painters.values():
            painter.close()
        self._painters.clear()


def checked_positions(positions: Any) -> np.ndarray:
    """A start state (1, 10) float32 from given ball centres.

    Raises:
        ValueError: not five finite centres on the table.
    """
    centres = np.asarray(positions, np.float64)
    if centres.shape != (NUM_BALLS, 2):
        raise ValueError(f"Expected positions of shape (5, 2), got {centres.shape}.")
    if not (np.isfinite(centres).all() and (centres >= _LOW).all() and (centres <= _HIGH).all()):
        raise ValueError(
            f"Expected centres with x in [-0.7, 0.7] and y in [-0.4, 0.8], got {centres.tolist()}."
        )
    return np.asarray(centres.reshape(1, -1), np.float32)


def checked_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """Reset options as a dict.

    Raises:
        ValueError: an option that nobody reads.
    """
    for name in options or {}:
        _check("a reset option", name, known)
    return dict(options or {})


def _check(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"Expected {what} among {', '.join(known)}, got `{value}`. Did you mean `{near}`?"
        )


def _action_space(action: str) -> spaces.Space[Any]:
    if action == "continuous":
        return spaces.Box(-1.0, 1.1, (4,), np.float32)
    return spaces.Discrete(len(PUSHES) * (NUM_BALLS if action == "perfect" else _GRID * _GRID))


def _observation_space(observation: str) -> spaces.Box:
    if observation == "image":
        return spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    low, high = np.tile(_LOW, (NUM_BALLS, 1)), np.tile(_HIGH, (NUM_BALLS, 1))
    if observation == "order_invariant":
        kinds = np.zeros((NUM_BALLS, 10))
        low, high = np.hstack([low, kinds]), np.hstack([high, kinds + 1.0])
    else:
        low, high = low.ravel(), high.ravel()
    return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
