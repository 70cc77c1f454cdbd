"""CLEVR-Robot as a world: five balls, forty pushes, four levels of goals in words.

One thing to know: resets reach beyond the walls (see `envs.clevr.resets`), so the out-of-bounds
check allows for the reset box as well, while projected balls go where balls can rest.
"""

from collections.abc import Sequence

import numpy as np

from envs.clevr.expert import GreedyExpert
from envs.clevr.model import CONTACT_MARGIN, WALLS, installed_mujoco
from envs.clevr.physics import PHYSICS, PUSHER_OFFSET, ClevrSimulator
from envs.clevr.placement import free_places
from envs.clevr.policies import UNIT_PUSHES, NoisyPolicy
from envs.clevr.predicates import (
    BALL_NAMES,
    BALL_RADIUS,
    NUM_BALLS,
    PUSHES,
    GoalKind,
    centres,
    goals_reached,
    moved_enough,
)
from envs.clevr.resets import RESET_BOXES, draw_scenes
from envs.clevr.rewards import REWARDS, judged, potential, rewards
from envs.world import Goal, Scene, Simulator, Spaces

_MOVE = int(GoalKind.MOVE)  # looking it up in the enumeration takes microseconds
LEVELS = ("train", "rephrase", "easy", "hard")
FOCUS = 0.6  # probability that the behaviour policy serves its goal in a step
IDLE = 0.15  # probability that it never does in an episode
OVERLAP = 0.20  # nearer centres than this count as overlapping balls, as in the paper
BOUNDS = (-0.505, 0.505, -0.305, 0.585)  # where real centres are, resets and impacts included
CSS_COLORS = ("#ff1a1a", "#3380ff", "#33ff00", "#cc33ff", "#33ffff")


class ClevrWorld:
    """The CLEVR-Robot environment as the engine sees it.

    Args:
        reward: one of `envs.clevr.rewards.REWARDS`.
        reset: "box" as in the original, or "inside_walls", where no ball starts inside a wall.
        physics: one of `envs.clevr.physics.PHYSICS`: "compiled", or MuJoCo's own stepping.
    """

    name = "clevr_robot"
    spaces = Spaces(NUM_BALLS, 2, num_actions=NUM_BALLS * len(PUSHES))
    horizon_steps = 50
    levels: tuple[str, ...] = LEVELS

    def __init__(
        self, reward: str = "imaginebench", reset: str = "box", physics: str = "compiled"
    ) -> None:
        options = ("reward", reward, REWARDS), ("reset", reset, RESET_BOXES)
        for option, value, known in (*options, ("physics", physics, PHYSICS)):
            if value not in known:
                raise ValueError(f"Expected {option} among {', '.join(known)}, got `{value}`.")
        self.reward_name, self.reset_name, self.physics_name = reward, reset, physics
        steps = f"mujoco={installed_mujoco()}" if physics == "mujoco" else f"physics={physics}"
        self.version = (
            f"clevr_robot-2 {steps} margin={CONTACT_MARGIN} reset={reset} reward={reward}"
        )

    def goals(self, level: str) -> Sequence[Goal]:
        """All goals of a level, in a fixed order."""
        from envs.clevr.goals import clevr_goals

        return clevr_goals(level)

    def unseen_goals(self, count: int, seed: int) -> Sequence[Goal]:
        """Novel goals whose sentences and combinations are not those of any level."""
        from envs.clevr.goals import unseen_sentence_goals

        return unseen_sentence_goals(count, seed)

    def draw_starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Fresh start states (count, 10) float32."""
        scenes = draw_scenes(count, rng, self.reset_name)
        return scenes.reshape(count, -1).astype(np.float32)

    def simulator(self, num_slots: int, num_threads: int = 1) -> Simulator:
        """`num_slots` tables that step together."""
        return ClevrSimulator(num_slots, num_threads, self.physics_name)

    def success(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Whether each step reaches its goal (B,) bool, as the benchmark judges it."""
        return goals_reached(specs, before, actions, after)

    def moved_enough(self, specs: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Whether the ball of each MOVE goal moved at least 0.15 to the goal's side (B,) bool."""
        return moved_enough(specs, before, after)

    def ends(self, specs: np.ndarray, success: np.ndarray) -> np.ndarray:
        """Whether the task ends each episode here (B,) bool; MOVE goals last one step."""
        return np.asarray(success | (np.asarray(specs)[:, 0] == _MOVE))

    def reward(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """The named reward of each step (B,) float32, success bonus included."""
        return rewards(self.reward_name, specs, before, actions, after)

    def judged(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`success` and `reward` of each step, for less than both cost apart."""
        return judged(self.reward_name, specs, before, actions, after)

    def potential(self, specs: np.ndarray, states: np.ndarray) -> np.ndarray:
        """How near states (B, 10) are to their goals (B,) float32; larger is nearer."""
        return potential(specs, states)

    def violations(self, states: np.ndarray) -> dict[str, np.ndarray]:
        """Overlapping or escaped balls of states (B, 10): named checks, True (B,) where broken."""
        balls = centres(states)
        first, second = np.triu_indices(NUM_BALLS, k=1)
        gaps = balls[:, first] - balls[:, second]
        nearest = np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1)
        left, right, bottom, top = BOUNDS
        x, y = balls[..., 0], balls[..., 1]
        outside = (x < left) | (x > right) | (y < bottom) | (y > top)
        return {
            "overlap": nearest < OVERLAP,
            "out_of_bounds": outside.any(axis=1),
        }

    def project_entity(self, entity: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Nearest free place (B, 2) float32 for a ball, given balls decoded before (B, P, 2)."""
        del entity  # all balls are alike
        return free_places(proposal, placed).astype(np.float32)

    def behaviour_policy(self, focus: float = FOCUS, idle: float = IDLE) -> NoisyPolicy:
        """The noisy scripted policy that collects real data.

        Args:
            focus: probability that a step serves the goal, outside idle episodes.
            idle: probability that an episode never serves its goal.
        """
        return NoisyPolicy(focus, idle, self.horizon_steps)

    def expert_policy(self, num_slots: int, num_threads: int = 1) -> GreedyExpert:
        """Greedy look-ahead over all forty pushes."""
        return GreedyExpert(num_slots, num_threads)

    def knowledge(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Text-only question and answer pairs about the language of balls and sides."""
        from envs.clevr.language import knowledge

        return knowledge(count, rng)

    def scene(self) -> Scene:
        """The table from above."""
        return Scene((-0.7, 0.7, -0.4, 0.8), WALLS, BALL_RADIUS, BALL_NAMES, CSS_COLORS)

    def positions(self, observations: np.ndarray) -> np.ndarray:
        """Ball centres (B, 5, 2) of states (B, 10)."""
        return centres(observations)

    def strokes(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Where the pusher starts and points in each step: (B, 4) x0, y0, x1, y1."""
        balls = centres(observations)
        ball, push = np.divmod(np.asarray(actions), len(PUSHES))
        centre = balls[np.arange(len(balls)), ball]
        start = centre - PUSHER_OFFSET * PUSHES[push]
        return np.concatenate([start, start + 0.2 * UNIT_PUSHES[push]], axis=1)
