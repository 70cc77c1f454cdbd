"""Toy worlds that tests and examples use: three discs on a square table, moved one at a time.

A move lifts a disc and puts it down one step further; where another disc lies it is carried on, so
discs never overlap. In `ToyWorld` an action is one of 3 discs times 4 directions, in
`ContinuousToyWorld` it is a displacement of the red disc. Everything is numpy and deterministic.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from envs import toy_goals
from envs.toy_goals import DIRECTIONS, DISCS
from envs.world import Goal, Policy, Scene, Simulator, Spaces, Task

RADIUS = 0.1
WALL = 1.0 - RADIUS  # centres stay within +-WALL on both axes
STEP = 0.2  # length of a full move
MAX_CARRY = 4  # steps that a lifted disc is carried on before it is put back
REACH = 0.6  # discs further apart than this are in no relation
IDEAL = 0.4  # distance of two discs that a relation's potential aims at
MOVED = 0.05  # a disc moved in a direction if it went further than this
SUCCESS_REWARD = 5.0  # more than any progress that one move can make
_AXES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # in the order of DIRECTIONS


def _discs(states: np.ndarray) -> np.ndarray:
    return states.reshape(*states.shape[:-1], len(DISCS), 2)


def move_disc(states: np.ndarray, discs: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """States (B, 6) float64 after moving `discs` (B,) by `shifts` (B, 2); blocked moves stay."""
    after = states.copy()
    positions, moved = _discs(states), _discs(after)
    rows = np.arange(len(states))
    waiting = np.ones(len(states), bool)
    for carried in range(1, MAX_CARRY + 1):
        landing = np.clip(positions[rows, discs] + carried * shifts, -WALL, WALL)
        gaps = np.linalg.norm(positions - landing[:, None], axis=-1)
        gaps[rows, discs] = np.inf
        lands = waiting & (gaps.min(axis=1) >= 2 * RADIUS)
        moved[rows[lands], discs[lands]] = landing[lands]
        waiting &= ~lands
    return after


class ToySimulator:
    """Copies of the toy world that step together."""

    def __init__(self, world: "ToyWorld", num_slots: int) -> None:
        self.num_slots = num_slots
        self._world = world
        self._states: np.ndarray = np.zeros((num_slots, world.spaces.observation_dim))

    def reset(self, slots: np.ndarray, starts: np.ndarray) -> None:
        """Puts `slots` (K,) int in `starts` (K, 6)."""
        self._states[slots] = starts

    def step(self, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Applies `actions` in `slots` (K,); observations (K, 6) float32."""
        self._states[slots] = self._world.next_states(self._states[slots], actions)
        return np.asarray(self._states[slots], np.float32)

    def save(self, slots: np.ndarray) -> np.ndarray:
        """States (K, 6) float64 of `slots`."""
        return np.array(self._states[slots])

    def load(self, slots: np.ndarray, states: np.ndarray) -> None:
        """Restores states (K, 6) that `save` gave."""
        self._states[slots] = states


class GreedyToyPolicy:
    """Takes the candidate action whose outcome is best for the goal; noisy when asked."""

    def __init__(self, world: "ToyWorld", noise: float) -> None:
        self._world = world
        self._noise = noise  # share of random actions
        self._specs: dict[int, tuple[int, ...]] = {}
        self._rngs: dict[int, np.random.Generator] = {}

    def begin(self, slots: np.ndarray, tasks: Sequence[Task]) -> None:
        """New episodes start in `slots` (K,)."""
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self._specs[slot] = task.goal.spec
            self._rngs[slot] = np.random.default_rng(task.seed)

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Actions for `observations` (K, 6) of `slots` (K,)."""
        specs = np.array([self._specs[slot] for slot in slots.tolist()])
        actions = self._world.greedy_actions(specs, observations)
        for row, slot in enumerate(slots.tolist()):
            rng = self._rngs[slot]
            if rng.random() < self._noise:
                actions[row] = self._world.random_action(rng)
        return actions


class ToyWorld:
    """Three discs, twelve discrete actions: disc times direction."""

    name = "toy"
    version = "1-progress"
    spaces = Spaces(num_entities=len(DISCS), entity_dim=2, num_actions=12)
    horizon_steps = 20
    levels: tuple[str, ...] = toy_goals.LEVELS
    sources: tuple[int, ...] = (0, 1, 2)  # discs that goals may ask to move
    start_width = 0.8  # half the side of the square of starts
    behaviour_noise = 0.3

    def goals(self, level: str) -> Sequence[Goal]:
        """All goals of a level, in a fixed order."""
        return toy_goals.goals(level, self.sources)

    def draw_starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Starts (count, 6) float32: discs uniform in a square, none overlapping."""
        starts = np.empty((0, self.spaces.observation_dim), np.float32)
        while len(starts) < count:
            draws = rng.uniform(-self.start_width, self.start_width, (count, starts.shape[1]))
            draws = draws.astype(np.float32)
            starts = np.concatenate([starts, draws[~_overlapping(draws)]])
        return starts[:count]

    def simulator(self, num_slots: int, num_threads: int = 1) -> Simulator:
        """A batched simulator; threads would not help it."""
        return ToySimulator(self, num_slots)

    def next_states(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States (B, 6) float64 after `actions` (B,)."""
        discs, directions = np.divmod(actions, len(DIRECTIONS))
        return move_disc(states, discs, STEP * _AXES[directions])

    def success(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Whether each step (B,) reaches its goal; one-step goals ask for movement."""
        held = np.ones(len(specs), bool)
        for source, direction, target in np.split(specs.T, specs.shape[1] // 3):
            moves, relates = (source >= 0) & (target < 0), target >= 0
            held &= ~moves | (_progress(source, direction, before, after) > MOVED)
            held &= ~relates | _related(source, direction, target, after)
        return held

    def ends(self, specs: np.ndarray, success: np.ndarray) -> np.ndarray:
        """Success ends an episode; one-step goals always end."""
        return success | (specs[:, 2] < 0)

    def reward(
        self, specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Progress of the potential, plus a bonus of 5 at success (B,) float32."""
        progress = self.potential(specs, after) - self.potential(specs, before)
        bonus = SUCCESS_REWARD * self.success(specs, before, actions, after)
        return np.asarray(progress + bonus, np.float32)

    def potential(self, specs: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Minus the distance still to go, over all parts of the goal (B,) float32."""
        squared, along = np.zeros(len(specs)), np.zeros(len(specs))
        rows, positions = np.arange(len(specs)), _discs(states.astype(np.float64))
        for source, direction, target in np.split(specs.T, specs.shape[1] // 3):
            place = positions[rows, source]
            distance = place - positions[rows, target] - IDEAL * _AXES[direction]
            squared += np.where(target >= 0, (distance**2).sum(axis=-1), 0.0)
            moves = (source >= 0) & (target < 0)
            along += np.where(moves, (place * _AXES[direction]).sum(axis=-1), 0.0)
        return np.asarray(along - np.sqrt(squared), np.float32)

    def violations(self, states: np.ndarray) -> dict[str, np.ndarray]:
        """Overlapping discs, and discs outside the walls (B,) bool."""
        return {
            "overlap": _overlapping(states),
            "out_of_bounds": (np.abs(states) > WALL + 1e-4).any(axis=-1),
        }

    def project_entity(self, entity: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Nearest free place (B, 2) within the walls for a disc, given discs placed (B, P, 2)."""
        place = np.clip(proposal, -WALL, WALL)
        for _ in range(MAX_CARRY):
            for other in np.moveaxis(placed, 1, 0):
                away = place - other
                gap = np.linalg.norm(away, axis=-1, keepdims=True)
                outward = np.where(gap > 1e-6, away / np.maximum(gap, 1e-6), -np.sign(other + 1e-9))
                outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
                place = np.where(gap < 2 * RADIUS, other + 2.001 * RADIUS * outward, place)
            place = np.clip(place, -WALL, WALL)
        return np.asarray(place, np.float32)

    def behaviour_policy(self) -> Policy:
        """Greedy with three random actions in ten."""
        return GreedyToyPolicy(self, self.behaviour_noise)

    def expert_policy(self, num_slots: int, num_threads: int = 1) -> Policy:
        """Greedy without noise."""
        return GreedyToyPolicy(self, 0.0)

    def random_action(self, rng: np.random.Generator) -> np.ndarray:
        """One action drawn uniformly."""
        return np.asarray(rng.integers(len(DISCS) * len(DIRECTIONS)))

    def greedy_actions(self, specs: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Candidate actions (B,) whose next states have the largest potential."""
        candidates = self._candidates()
        count = len(candidates)
        after = self.next_states(
            np.repeat(states.astype(np.float64), count, axis=0),
            np.concatenate([candidates] * len(states)),
        )
        potential = self.potential(np.repeat(specs, count, axis=0), after)
        best: np.ndarray = candidates[potential.reshape(-1, count).argmax(axis=1)]
        return best

    def _candidates(self) -> np.ndarray:
        return np.arange(12)

    def unseen_goals(self, count: int, seed: int) -> Sequence[Goal]:
        """Conjunctions in words that no level uses."""
        return toy_goals.unseen_goals(count, seed, self.sources)

    def knowledge(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Text-only question and answer pairs on paraphrases and composite goals."""
        return toy_goals.knowledge(count, rng, self.sources)

    def scene(self) -> Scene:
        """What a report needs to draw states from above."""
        square = (-1.0, 1.0, -1.0, 1.0)
        return Scene((-1.1, 1.1, -1.1, 1.1), square, RADIUS, DISCS, DISCS)

    def positions(self, observations: np.ndarray) -> np.ndarray:
        """Disc centres (B, 3, 2)."""
        return _discs(observations)

    def strokes(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Segments (B, 4) from a disc's centre to where its move points."""
        discs, directions = np.divmod(actions, len(DIRECTIONS))
        begin = _discs(observations)[np.arange(len(actions)), discs]
        return np.concatenate([begin, begin + STEP * _AXES[directions]], axis=1)


class ContinuousToyWorld(ToyWorld):
    """The red disc is moved by a continuous displacement; the others lie still.

    So most conjunctions have no solution from most starts: the expert's row is the ceiling.
    """

    name = "toy_continuous"
    spaces = Spaces(num_entities=len(DISCS), entity_dim=2, action_dim=2)
    sources = (0,)
    start_width = 0.5  # red must reach both of the others, which lie still

    def next_states(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States (B, 6) float64 after displacements (B, 2), clipped to [-1, 1] full moves."""
        shifts = STEP * np.clip(actions.astype(np.float64), -1.0, 1.0)
        return move_disc(states, np.zeros(len(states), np.int64), shifts)

    def random_action(self, rng: np.random.Generator) -> np.ndarray:
        """One action (2,) float32 drawn uniformly."""
        return rng.uniform(-1.0, 1.0, 2).astype(np.float32)

    def _candidates(self) -> np.ndarray:
        angles = np.arange(16) * np.pi / 8
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.concatenate([circle, circle / 2, circle / 4]).astype(np.float32)

    def strokes(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Segments (B, 4) from the red disc's centre along its displacement."""
        begin = _discs(observations)[:, 0]
        return np.concatenate([begin, begin + STEP * actions], axis=1)


def _overlapping(states: np.ndarray) -> np.ndarray:
    positions = _discs(states)
    gaps = [
        np.linalg.norm(positions[..., first, :] - positions[..., second, :], axis=-1)
        for first, second in combinations(range(len(DISCS)), 2)
    ]
    overlapping: np.ndarray = np.min(gaps, axis=0) < 2 * RADIUS - 1e-4
    return overlapping


def _progress(
    source: np.ndarray, direction: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    rows = np.arange(len(source))
    moved = (_discs(after) - _discs(before))[rows, source]
    along: np.ndarray = (moved * _AXES[direction]).sum(axis=-1)
    return along


def _related(
    source: np.ndarray, direction: np.ndarray, target: np.ndarray, states: np.ndarray
) -> np.ndarray:
    rows, positions = np.arange(len(source)), _discs(states)
    offset = positions[rows, source] - positions[rows, target]
    along = (offset * _AXES[direction]).sum(axis=-1)
    across = np.abs(offset * _AXES[direction][:, ::-1]).sum(axis=-1)
    related: np.ndarray = (along > across) & (np.linalg.norm(offset, axis=-1) < REACH)
    return related
