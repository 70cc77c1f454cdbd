"""Tables and goals of CLEVR-Robot for tests, laid out by hand."""

import numpy as np

from envs.clevr.predicates import GoalKind

RED, BLUE, GREEN, PURPLE, CYAN = range(5)
NOTHING = np.array([-1])  # an action that no judge reads
FAR = [[-0.45, -0.15], [0.45, -0.15], [0.0, 0.2], [-0.45, 0.55], [0.45, 0.55]]


def table(**balls: tuple[float, float]) -> np.ndarray:
    """A state (1, 10): balls in the corners and the centre, save for those that are named."""
    centres = [list(centre) for centre in FAR]
    for name, centre in balls.items():
        centres[("red", "blue", "green", "purple", "cyan").index(name)] = list(centre)
    return np.array(centres, np.float64).reshape(1, 10)


def spec(kind: GoalKind, *numbers: int) -> np.ndarray:
    """A goal's numbers (1, 10), padded."""
    return np.array([[kind, *numbers, *[-1] * (9 - len(numbers))]])


def zigzag(degrees: float) -> np.ndarray:
    """Five balls in colour order, 0.2 apart along x, at alternating slopes."""
    rise = 0.2 * np.tan(np.radians(degrees))
    return np.array([[-0.4 + 0.2 * ball, rise * (ball % 2)] for ball in range(5)]).reshape(1, 10)
