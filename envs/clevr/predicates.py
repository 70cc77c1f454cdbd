"""What it means to reach a goal: goal numbers, the tau predicate, the judge of every goal kind.

Directions follow the KALM convention: BEHIND is +y and FRONT is -y. The original environment
names them the other way round; its own directions live in `envs.clevr.relations`.

Source: KALM (NeurIPS 2024) task definitions and ImagineBench's Ball environment, with the defects
of the published judges mended (hard goals are judged on the ten positions, after the step).
"""

import math
from enum import IntEnum

import numpy as np

from envs.clevr.compiled import compiled

NUM_BALLS = 5
BALL_NAMES = ("red", "blue", "green", "purple", "cyan")
BALL_RADIUS = 0.13
GOAL_LENGTH = 10  # kind, then three times source, target, direction; -1 where unused
PAIR_REACH = 3 * BALL_RADIUS + 0.001  # tau asks for a smaller distance than this
GATHER_REACH = 2.5 * BALL_RADIUS  # gather asks for a smaller distance than this
LINE_COSINE = float(np.cos(np.radians(30)))  # each step of the line, inclusive
LINE_TOLERANCE = 1e-7  # keeps exactly 30 degrees inside, whatever the rounding
MOVED_DISTANCE = 0.15  # the easy level's second measure
GREEN = 2
GATHERED = (0, 1, 3, 4)  # every ball but green
ZERO_BELOW = 0.001  # components of a difference smaller than this count as zero


class GoalKind(IntEnum):
    """First number of a goal's spec."""

    PAIR = 0
    MOVE = 1
    TWO = 2
    THREE = 3
    LINE = 4
    GATHER = 5


class Direction(IntEnum):
    """Side of the target on which the source must be; KALM convention."""

    BEHIND = 0
    LEFT = 1
    FRONT = 2
    RIGHT = 3


_BEHIND, _LEFT, _FRONT, _RIGHT = map(int, Direction)
_MOVE, _LINE, _GATHER = int(GoalKind.MOVE), int(GoalKind.LINE), int(GoalKind.GATHER)
DIRECTION_VECTORS = np.array([[0, 1], [-1, 0], [0, -1], [1, 0]], np.float64)  # (4, 2) x, y
PUSHES = np.array(  # (8, 2) direction table of the pushes, by index
    [[1, 0], [0, 1], [-1, 0], [0, -1], [0.8, 0.8], [-0.8, 0.8], [0.8, -0.8], [-0.8, -0.8]]
)
PUSHES_TOWARDS = np.array(  # (4, 8) whether a push counts as moving towards a Direction
    [
        [0, 1, 0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 0, 1, 0, 1],
        [0, 0, 0, 1, 0, 0, 1, 1],
        [1, 0, 0, 0, 1, 0, 1, 0],
    ],
    bool,
)


def centres(states: np.ndarray) -> np.ndarray:
    """Ball centres (B, 5, 2) float64 of states (B, 10)."""
    return np.asarray(states, np.float64).reshape(-1, NUM_BALLS, 2)


@compiled
def quadrant(x: float, y: float) -> int:
    """The Direction in which a difference of centres points.

    The lower bound of each 90 degree quadrant belongs to it, the upper bound does not.
    """
    x = 0.0 if abs(x) < ZERO_BELOW else x
    y = 0.0 if abs(y) < ZERO_BELOW else y
    if y > -x:
        return _BEHIND if y >= x else _RIGHT
    if y > x:
        return _LEFT
    return _FRONT if y < -x else _RIGHT


@compiled
def mark_relations(balls: np.ndarray, held: np.ndarray) -> None:
    """Marks in `held` (B, 4, 20) on which side of each other near `balls` (B, 5, 2) lie."""
    for row in range(len(balls)):
        place = 0
        for first in range(NUM_BALLS):
            for second in range(NUM_BALLS):
                if first == second:
                    continue
                x = balls[row, first, 0] - balls[row, second, 0]
                y = balls[row, first, 1] - balls[row, second, 1]
                if math.sqrt(x * x + y * y) < PAIR_REACH:
                    held[row, quadrant(x, y), place] = True
                place += 1


@compiled
def _mark_parts(specs: np.ndarray, balls: np.ndarray, exist: np.ndarray, hold: np.ndarray) -> None:
    """Marks the relations of `specs` (B, 10) that there are, and those that hold: tau's."""
    for row in range(len(specs)):
        for part in range(3):
            source, target = specs[row, 1 + 3 * part], specs[row, 2 + 3 * part]
            if target < 0:
                continue
            exist[row, part], direction = True, specs[row, 3 + 3 * part]
            x = balls[row, source, 0] - balls[row, target, 0]
            y = balls[row, source, 1] - balls[row, target, 1]
            hold[row, part] = math.hypot(x, y) < PAIR_REACH and quadrant(x, y) == direction


def line_parts(balls: np.ndarray) -> np.ndarray:
    """Whether each step of the colour line (B, 4) points along +x within 30 degrees."""
    return np.asarray(line_cosines(balls) >= LINE_COSINE - LINE_TOLERANCE)


def line_cosines(balls: np.ndarray) -> np.ndarray:
    """Cosine (B, 4) between +x and each step red, blue, green, purple, cyan."""
    steps = balls[:, 1:] - balls[:, :-1]
    lengths = np.hypot(steps[..., 0], steps[..., 1])
    return np.asarray(steps[..., 0] / np.maximum(lengths, 1e-12))


def gather_parts(balls: np.ndarray) -> np.ndarray:
    """Whether red, blue, purple and cyan (B, 4) are each near green."""
    return np.asarray(gather_distances(balls) < GATHER_REACH)


def gather_distances(balls: np.ndarray) -> np.ndarray:
    """Distances (B, 4) of red, blue, purple and cyan from green."""
    differences = balls[:, list(GATHERED)] - balls[:, GREEN : GREEN + 1]
    return np.asarray(np.hypot(differences[..., 0], differences[..., 1]))


def parts_hold(specs: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which sub-goals of each goal exist and which hold, both (B, 4) bool.

    A pair has one part, conjunctions two or three, the line its four steps, gathering its four
    balls, and moving has none, since the benchmark judges the action there.

    Args:
        specs: (B, 10) goal numbers.
        states: (B, 10) ball centres.
    """
    specs, balls = np.ascontiguousarray(specs, np.int64), np.ascontiguousarray(centres(states))
    exist, hold = np.zeros((len(specs), 4), bool), np.zeros((len(specs), 4), bool)
    _mark_parts(specs, balls, exist, hold)
    for kind, judge in ((_LINE, line_parts), (_GATHER, gather_parts)):
        rows = specs[:, 0] == kind
        if rows.any():
            exist[rows], hold[rows] = True, judge(balls[rows])
    return exist, hold


def related(specs: np.ndarray, balls: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The up to three relations of each goal: whether there (B, 3), differences, directions.

    Args:
        specs: (B, 10) goal numbers.
        balls: (B, 5, 2) centres.

    Returns:
        Differences source - target (B, 3, 2) and directions (B, 3), arbitrary where not there.
    """
    parts = specs[:, 1:].reshape(-1, 3, 3)
    rows = np.arange(len(specs))[:, None]
    differences = balls[rows, parts[..., 0]] - balls[rows, parts[..., 1]]
    return parts[..., 1] >= 0, differences, parts[..., 2]


def pushed_towards(specs: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Whether each action (B,) pushes the goal's ball to the goal's side: the easy judge."""
    specs, actions = np.asarray(specs), np.asarray(actions)
    ball, push = np.divmod(actions, len(PUSHES))
    return np.asarray((ball == specs[:, 1]) & PUSHES_TOWARDS[specs[:, 3], push])


def moved_enough(specs: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether the goal's ball moved at least 0.15 to the goal's side (B,): the second easy judge.

    Args:
        specs: (B, 10) goal numbers of kind MOVE.
        before: (B, 10) states.
        after: (B, 10) states.
    """
    specs = np.asarray(specs)
    rows = np.arange(len(specs))
    shift = centres(after)[rows, specs[:, 1]] - centres(before)[rows, specs[:, 1]]
    along = (shift * DIRECTION_VECTORS[specs[:, 3]]).sum(axis=-1)
    return np.asarray(along >= MOVED_DISTANCE - 1e-9)


def goals_reached(
    specs: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Whether each step reaches its goal (B,) bool, as the benchmark judges it."""
    specs = np.asarray(specs)
    exist, hold = parts_hold(specs, after)
    return all_reached(specs, exist, hold, actions)


def all_reached(
    specs: np.ndarray, exist: np.ndarray, hold: np.ndarray, actions: np.ndarray
) -> np.ndarray:
    """Whether all parts hold (B,), or the action is right where it is judged; see `parts_hold`."""
    moves = specs[:, 0] == _MOVE
    reached = (hold == exist).all(axis=1) & ~moves
    if moves.any():
        reached[moves] = pushed_towards(specs[moves], np.asarray(actions)[moves])
    return np.asarray(reached)
