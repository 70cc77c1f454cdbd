"""The solver alone as a player: greedy where the data shows a way, random elsewhere."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from envs.babyai.states import GridShape
from envs.babyai.world import GridTask
from imagination.programs import Program
from offline_rl.distillation import packed_labels, program_labeller, unpacked
from offline_rl.empirical import EmpiricalModel
from offline_rl.grid_play import streams
from offline_rl.tabular import NO_PATH, Solution, plan_backward


class TabularPlayer:
    """Solves every goal that it is given on the data's own model, then acts on the solutions.

    Source: TEDUO (arXiv 2412.06877), steps 1 and 2; at random in unseen states (review thread).
    """

    def __init__(
        self,
        model: EmpiricalModel,
        programs: Mapping[str, Program | None],
        shape: GridShape,
        allowed: Callable[[np.ndarray], np.ndarray],
        action_order: Sequence[int],
    ) -> None:
        """Args:
        programs: what goals were read as, by their words; None where they were not understood.
        allowed: which actions (B, A) bool may be drawn in states (B, D).
        action_order: of equally short ways the first action in it is taken.
        """
        self._model, self._programs, self._shape = model, programs, shape
        self._allowed, self._order = allowed, action_order
        self._solutions: dict[Program | None, Solution | None] = {}
        self._episodes: list[Solution | None] = []
        self._streams: list[np.random.Generator] = []

    def knows(self, states: np.ndarray) -> np.ndarray:
        """Whether the data shows each of states (N, D), (N,) bool."""
        return np.asarray(self._model.ids(states) >= 0)

    def begin(self, tasks: Sequence[GridTask], seed: int) -> None:
        """Solves the goals of new episodes, each different one once."""
        programs = [self._programs[task.goal.text] for task in tasks]
        self._solve([p for p in dict.fromkeys(programs) if p not in self._solutions])
        self._episodes = [self._solutions[program] for program in programs]
        self._streams = streams(seed, len(tasks))

    def act(self, episodes: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Actions (B,)."""
        ids, allowed = self._model.ids(states), self._allowed(states)
        actions = np.full(len(states), NO_PATH, np.int64)
        for row, (episode, number) in enumerate(zip(episodes.tolist(), ids.tolist(), strict=True)):
            solution = self._episodes[episode]
            if solution is not None and number >= 0:
                actions[row] = solution.actions[number]
            if actions[row] == NO_PATH:
                actions[row] = self._streams[episode].choice(np.flatnonzero(allowed[row]))
        return actions

    def _solve(self, programs: Sequence[Program | None]) -> None:
        self._solutions[None] = None
        known = [program for program in programs if program is not None]
        packed = packed_labels(self._model, [program_labeller(p, self._shape) for p in known])
        for program, labels in zip(known, packed, strict=True):
            solution = plan_backward(self._model, unpacked(self._model, labels), self._order)
            self._solutions[program] = solution
