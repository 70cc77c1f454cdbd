"""Sets of pair relations that can hold together: which conjunctions the geometry allows.

A relation is (source, target, direction). A set is possible when a random search finds a scene
of five balls at rest (no overlap, inside the walls) in which all of its relations hold.
"""

from collections.abc import Sequence

import numpy as np

Relation = tuple[int, int, int]  # source ball, target ball, direction

NUM_BALLS = 5
MIN_DISTANCE = 0.26  # touching balls, metres
MAX_DISTANCE = 0.391  # a relation holds below this distance, metres
CENTERS_LOW = np.array([-0.47, -0.17])  # resting centres inside the walls, metres
CENTERS_HIGH = np.array([0.47, 0.57])
DIRECTION_ANGLES = (90.0, 180.0, 270.0, 0.0)  # of source minus target: behind, left, front, right
_MARGIN = 0.002  # found scenes stay this far from every limit, metres
_NUM_SCENES = 2000
_MAX_TRIES = 20


def all_relations() -> list[Relation]:
    """The 80 relations, direction-major, then source, then target."""
    return [
        (source, target, direction)
        for direction in range(4)
        for source in range(NUM_BALLS)
        for target in range(NUM_BALLS)
        if source != target
    ]


def mirrored(relation: Relation) -> Relation:
    """The same fact told from the other ball: A left of B becomes B right of A."""
    source, target, direction = relation
    return target, source, (direction + 2) % 4


def combination_key(relations: Sequence[Relation]) -> frozenset[Relation]:
    """One key for a set of relations, whatever their order and the ball each is told from."""
    return frozenset(min(relation, mirrored(relation)) for relation in relations)


def draw_combinations(
    size: int, count: int, seed: int, exclude: frozenset[frozenset[Relation]] = frozenset()
) -> list[tuple[Relation, ...]]:
    """`count` different possible sets of `size` relations, each about different pairs of balls.

    Args:
        exclude: keys of combinations that must not be drawn.

    Raises:
        ValueError: if so many different combinations were not found.
    """
    rng = np.random.default_rng([seed, size])
    relations = all_relations()
    taken = set(exclude)
    chosen: list[tuple[Relation, ...]] = []
    for _ in range(50 * count + 1000):
        if len(chosen) == count:
            return chosen
        picked = [relations[i] for i in rng.choice(len(relations), size, replace=False)]
        key = combination_key(picked)
        if len({frozenset(relation[:2]) for relation in picked}) < size or key in taken:
            continue
        if is_possible(picked):
            taken.add(key)
            chosen.append(tuple(picked))
    raise ValueError(f"Found {len(chosen)} of {count} combinations. Ask for fewer goals.")


def is_possible(relations: Sequence[Relation]) -> bool:
    """Whether some scene of five balls makes all `relations` true at once."""
    return find_scene(relations) is not None


def find_scene(relations: Sequence[Relation]) -> np.ndarray | None:
    """Ball centres (5, 2) in metres that satisfy `relations`, or None if the search finds none."""
    rng = np.random.default_rng(0)
    for _ in range(_MAX_TRIES):
        scenes = _draw_scenes(relations, rng)
        good = _are_physical(scenes)
        for source, target, direction in relations:
            good &= _holds(scenes[:, source] - scenes[:, target], direction)
        if good.any():
            scene: np.ndarray = scenes[int(np.argmax(good))]
            return scene
    return None


def _draw_scenes(relations: Sequence[Relation], rng: np.random.Generator) -> np.ndarray:
    """Random scenes (N, 5, 2): each related ball is drawn in the quadrant of one it relates to."""
    scenes = rng.uniform(CENTERS_LOW, CENTERS_HIGH, (_NUM_SCENES, NUM_BALLS, 2))
    placed = {relations[0][1]}
    pending = [step for relation in relations for step in (relation, mirrored(relation))]
    while pending:
        ready = next((step for step in pending if step[1] in placed), None)
        if ready is None:  # a group of balls that no relation ties to the first group
            placed.add(pending[0][1])
            continue
        pending.remove(ready)
        source, target, direction = ready
        if source in placed:
            continue
        radius = rng.uniform(MIN_DISTANCE, MAX_DISTANCE, _NUM_SCENES)
        angle = np.deg2rad(DIRECTION_ANGLES[direction] + rng.uniform(-45, 45, _NUM_SCENES))
        offset = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        scenes[:, source] = scenes[:, target] + offset
        placed.add(source)
    return scenes


def _are_physical(scenes: np.ndarray) -> np.ndarray:
    """Whether scenes (N, 5, 2) lie inside the walls without overlap."""
    inside = (scenes >= CENTERS_LOW) & (scenes <= CENTERS_HIGH)
    first, second = np.triu_indices(NUM_BALLS, 1)
    gaps = np.linalg.norm(scenes[:, first] - scenes[:, second], axis=-1)
    return np.asarray(inside.all((1, 2)) & (gaps >= MIN_DISTANCE + _MARGIN).all(1))


def _holds(offsets: np.ndarray, direction: int) -> np.ndarray:
    """Whether offsets (N, 2) lie well inside the quadrant of `direction` and near enough."""
    axis = np.deg2rad(DIRECTION_ANGLES[direction])
    along = offsets @ np.array([np.cos(axis), np.sin(axis)])
    across = np.abs(offsets @ np.array([-np.sin(axis), np.cos(axis)]))
    near = np.linalg.norm(offsets, axis=1) < MAX_DISTANCE - _MARGIN
    return np.asarray((along > across + _MARGIN) & near)
