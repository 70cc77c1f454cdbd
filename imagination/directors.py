"""Who judges imagined steps: the environment's functions on imagined states, or the model itself.

Both steer a planned rollout from sub-goal to sub-goal. Neither touches a simulator: all they see
are states that the model imagined.

Source: KALM section 4.3 (the environment's reward on imagined states); its potential as a score
over candidates, sub-goals, and the model's own judgement are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.world import Goal, World
from kalm.engine import FINISHED, Request

SUCCESS_SCORE = 100.0  # a candidate that reaches the goal beats every other


@dataclass(frozen=True)
class Plan:
    """A goal to imagine and the simpler goals that the model divided it into."""

    goal: Goal
    subgoals: tuple[Goal, ...] = ()  # empty: the goal's own words stand in the prompt


class WorldDirector:
    """Scores by the world's potential and success on imagined states; sub-goals by predicate."""

    def __init__(self, world: World, plans: Sequence[Plan]) -> None:
        self.world, self.plans = world, plans
        width = world.spaces.action_dim
        self.action_shape = () if width is None else (width,)
        self.action_type = np.int64 if width is None else np.float32

    def begin(self, index: int, start: np.ndarray) -> str:
        """The words to begin with: the first sub-goal that does not hold at the start (D,)."""
        plan = self.plans[index]
        if not plan.subgoals:
            return plan.goal.text
        rows = len(plan.subgoals)
        states = np.repeat(start[None], rows, axis=0)
        actions = np.zeros((rows, *self.action_shape), self.action_type)
        held = self.world.success(
            np.array([goal.spec for goal in plan.subgoals]), states, actions, states
        )
        waiting = [g.text for g, done in zip(plan.subgoals, held, strict=True) if not done]
        return waiting[0] if waiting else plan.goal.text

    def score(
        self,
        requests: list[Request],
        before: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """Potential of the imagined states (M,), and a bonus for reaching the goal."""
        specs = np.array([self.plans[request.index].goal.spec for request in requests])
        success = self.world.success(specs, before, actions, after)
        return self.world.potential(specs, after) + SUCCESS_SCORE * success

    def decide(self, request: Request, stop: float) -> str | None:
        """Ends at the goal; otherwise goes to the first sub-goal that does not hold."""
        plan = self.plans[request.index]
        before, after = request.observations[-2:]
        specs = np.array([plan.goal.spec, *(goal.spec for goal in plan.subgoals)])
        rows = len(specs)
        success = self.world.success(
            specs,
            np.repeat(before[None], rows, axis=0),
            np.repeat(np.asarray(request.actions[-1])[None], rows, axis=0),
            np.repeat(after[None], rows, axis=0),
        )
        if self.world.ends(specs[:1], success[:1])[0]:
            return FINISHED
        return next(
            (g.text for g, held in zip(plan.subgoals, success[1:], strict=True) if not held), None
        )


class ModelDirector:
    """Scores and ends by the model's own end-of-rollout output; needs no environment function."""

    def __init__(self, plans: Sequence[Plan], *, threshold: float = 0.5) -> None:
        self.plans, self.threshold = plans, threshold
        self._reached: dict[int, int] = {}

    def begin(self, index: int, start: np.ndarray) -> str:
        """The words to begin with: the first sub-goal, or the goal itself."""
        plan = self.plans[index]
        return plan.subgoals[0].text if plan.subgoals else plan.goal.text

    def score(
        self,
        requests: list[Request],
        before: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """The probability (M,) that each candidate completes the words of its prompt."""
        return stop

    def decide(self, request: Request, stop: float) -> str | None:
        """Ends, or goes to the next sub-goal, once the model calls the present one complete."""
        if stop < self.threshold:
            return None
        subgoals = self.plans[request.index].subgoals
        reached = self._reached.get(request.index, 0) + 1
        self._reached[request.index] = reached
        return FINISHED if reached >= len(subgoals) else subgoals[reached].text


def make_plans(
    world: World, goals: Sequence[Goal], divided: Mapping[str, Sequence[str]]
) -> tuple[list[Plan], dict[str, int]]:
    """Plans of `goals` and how many sub-goals the world's training goals do not know.

    Args:
        divided: sub-goal texts by goal text; a goal that is not in it is imagined directly.
    """
    known = {goal.text: goal for goal in world.goals(world.levels[0])}
    counts = {"subgoals": 0, "unknown_subgoals": 0, "undivided_goals": 0}
    plans = []
    for goal in goals:
        texts = divided.get(goal.text, ())
        subgoals = tuple(known[text] for text in texts if text in known)
        counts["subgoals"] += len(texts)
        counts["unknown_subgoals"] += len(texts) - len(subgoals)
        counts["undivided_goals"] += bool(divided) and not subgoals
        plans.append(Plan(goal, subgoals))
    return plans, counts
