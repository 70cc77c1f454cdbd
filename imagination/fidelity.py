"""How faithful imagined rollouts are: the same numbers for real, imagined and accepted rollouts.

The simulator appears here to *measure* imagination only: nothing that it answers becomes training
data. Groups: `real`, `imagined` (before checks, accepted and rejected together) and `accepted`.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from envs.episode import Episode
from envs.world import Goal, World

CELLS = 6  # of the coverage grid, along each side of the walls
MAX_STATES = 20_000  # states or transitions of a group that are looked at
MAX_STEPPED = 1_000  # transitions of a group that are put into the simulator
MAX_NEIGHBOURS = 5_000  # transitions of a group whose nearest real neighbour is sought
STILL = 1e-3  # an entity that moved less than this, in state units, lay still

Specs = dict[str, tuple[int, ...]]


def fidelity(
    world: World,
    real: Iterable[Episode],
    imagined_accepted: Iterable[Episode],
    imagined_rejected: Iterable[Episode],
    *,
    goals: Iterable[Goal] = (),
    replay_slots: int = 64,
    max_replays: int = 300,
    seed: int = 0,
) -> dict[str, float]:
    """Numbers named `GROUP/MEASURE`, such as `accepted/violations/overlap`; a measurement only.

    Args:
        goals: goals that belong to no level, such as the strict protocol's; others are known.
        replay_slots: copies of the simulator that step together.
        max_replays: rollouts of a group that are replayed in the simulator.
        seed: of the subsamples.

    Raises:
        ValueError: there are no real rollouts to compare with.
    """
    accepted = list(imagined_accepted)
    groups = {
        "real": list(real),
        "imagined": accepted + list(imagined_rejected),
        "accepted": accepted,
    }
    if not groups["real"]:
        raise ValueError("Expected real rollouts to compare with, got none. Collect some first.")
    groups = {name: episodes for name, episodes in groups.items() if episodes}
    specs = {goal.text: goal.spec for level in world.levels for goal in world.goals(level)}
    specs |= {goal.text: goal.spec for goal in goals}
    numbers = _coverage(world, groups, seed) | _novelty(groups, seed)
    for name, episodes in groups.items():
        replayed = [episodes[place] for place in _chosen(len(episodes), max_replays, seed)]
        measures = (
            _counts(episodes)
            | _violations(world, episodes)
            | _goals_reached(world, episodes, specs)
            | _one_step(world, episodes, replay_slots, seed)
            | _replay(world, replayed, specs, replay_slots)
        )
        numbers |= {f"{name}/{measure}": value for measure, value in measures.items()}
    if "accepted" in groups:
        covered = numbers["accepted/goals"] / numbers["imagined/goals"]
        numbers["accepted/goals_covered"] = covered
    return dict(sorted(numbers.items()))


def _counts(episodes: Sequence[Episode]) -> dict[str, float]:
    steps = sum(len(episode) for episode in episodes)
    return {
        "rollouts": float(len(episodes)),
        "transitions": float(steps),
        "mean_length": steps / len(episodes),
        "goals": float(len({episode.goal for episode in episodes})),
    }


def _violations(world: World, episodes: Sequence[Episode]) -> dict[str, float]:
    """Share of states, first ones left out, that break each physical check, and any of them."""
    states = np.concatenate([episode.observations[1:] for episode in episodes])
    broken = world.violations(states)
    shares = {f"violations/{name}": float(rows.mean()) for name, rows in broken.items()}
    anything = np.any([np.zeros(len(states), bool), *broken.values()], axis=0)
    return shares | {"violations/any": float(anything.mean())}


def _goals_reached(world: World, episodes: Sequence[Episode], specs: Specs) -> dict[str, float]:
    """Share of rollouts whose last step reaches the goal by the world's predicate."""
    known = [episode for episode in episodes if episode.goal in specs]
    unknown = {"goals_unknown": 1 - len(known) / len(episodes)}
    if not known:
        return unknown
    success = world.success(
        np.array([specs[episode.goal] for episode in known]),
        np.stack([episode.observations[-2] for episode in known]),
        np.stack([episode.actions[-1] for episode in known]),
        np.stack([episode.observations[-1] for episode in known]),
    )
    return unknown | {"goal_reached": float(success.mean())}


def _one_step(
    world: World, episodes: Sequence[Episode], num_slots: int, seed: int
) -> dict[str, float]:
    """Each (state, action) put into the simulator at rest, against the next state of the rollout.

    For real rollouts this is the floor: what their momentum, which states do not hold, amounts to.
    Agreement is over steps in which the simulator moves something: does the same entity move most,
    and (cosine) in the same direction?
    """
    before, actions, after = _transitions(episodes, MAX_STEPPED, seed)
    truth = _simulate(world, before, actions, num_slots)
    shape = (len(before), world.spaces.num_entities, world.spaces.entity_dim)
    shift, true_shift = (after - before).reshape(shape), (truth - before).reshape(shape)
    error = np.linalg.norm(shift - true_shift, axis=-1)
    length, true_length = np.linalg.norm(shift, axis=-1), np.linalg.norm(true_shift, axis=-1)
    numbers = {"one_step_error": float(error.mean())}
    rows = np.flatnonzero(true_length.max(axis=1) > STILL)
    if not len(rows):
        return numbers
    mover = true_length[rows].argmax(axis=1)
    dot = (shift[rows, mover] * true_shift[rows, mover]).sum(axis=-1)
    cosine = dot / np.maximum(length[rows, mover] * true_length[rows, mover], 1e-12)
    return numbers | {
        "one_step_error_of_mover": float(error[rows, mover].mean()),
        "action_consistency": float((length[rows].argmax(axis=1) == mover).mean()),
        "direction_cosine": float(cosine.mean()),
    }


def _simulate(world: World, states: np.ndarray, actions: np.ndarray, num_slots: int) -> np.ndarray:
    """Next states (M, D) of `states` (M, D) put at rest into the simulator."""
    simulator = world.simulator(num_slots)
    after = np.empty_like(states)
    for first in range(0, len(states), num_slots):
        rows = slice(first, first + num_slots)
        slots = np.arange(len(states[rows]))
        simulator.reset(slots, states[rows])
        after[rows] = simulator.step(slots, actions[rows])
    return after


def _replay(
    world: World, episodes: Sequence[Episode], specs: Specs, num_slots: int
) -> dict[str, float]:
    """How often a rollout's actions, replayed open loop from its start, reach the goal.

    As in evaluation, a goal is reached once it holds after any step. Also by level, and how far the
    replay ends from where the rollout ended (mean over entities).
    """
    known = sorted((e for e in episodes if e.goal in specs), key=len)
    if not known:
        return {}
    reached: list[bool] = []
    gaps: list[np.ndarray] = []
    simulator = world.simulator(num_slots)
    for first in range(0, len(known), num_slots):
        chunk = known[first : first + num_slots]
        slots, lengths = np.arange(len(chunk)), np.array([len(episode) for episode in chunk])
        wanted = np.array([specs[episode.goal] for episode in chunk])
        states = np.stack([episode.observations[0] for episode in chunk])
        done = np.zeros(len(chunk), bool)
        simulator.reset(slots, states)
        for step in range(lengths[-1]):
            rows = np.flatnonzero(lengths > step)
            actions = np.stack([chunk[row].actions[step] for row in rows])
            after = simulator.step(slots[rows], actions)
            done[rows] |= world.success(wanted[rows], states[rows], actions, after)
            states[rows] = after
        reached += done.tolist()
        gaps += [state - e.observations[-1] for state, e in zip(states, chunk, strict=True)]
    distance = np.linalg.norm(np.reshape(gaps, (-1, world.spaces.entity_dim)), axis=-1)
    numbers = {"replay_success": float(np.mean(reached)), "replay_error": float(distance.mean())}
    for level in sorted({episode.level for episode in known}):
        share = [hit for hit, e in zip(reached, known, strict=True) if e.level == level]
        numbers[f"replay_success/{level}"] = float(np.mean(share))
    return numbers


def _coverage(world: World, groups: dict[str, list[Episode]], seed: int) -> dict[str, float]:
    """Share of the cells of a coarse grid, over the places of every two entities, that occur.

    Every group gives equally many states, so that groups compare.
    """
    states = {name: np.concatenate([e.observations[1:] for e in es]) for name, es in groups.items()}
    count = min(MAX_STATES, *(len(rows) for rows in states.values()))
    left, right, bottom, top = world.scene().walls
    low, size = np.array([left, bottom]), np.array([right - left, top - bottom])
    numbers: dict[str, float] = {}
    for name, rows in states.items():
        places = world.positions(rows[_chosen(len(rows), count, seed)])
        cells = np.clip((places - low) / size * CELLS, 0, CELLS - 1).astype(np.int64)
        cell = cells[..., 0] * CELLS + cells[..., 1]
        pairs = list(combinations(range(cell.shape[1]), 2))
        occupied = [len(np.unique(cell[:, a] * CELLS**2 + cell[:, b])) / CELLS**4 for a, b in pairs]
        alone = len(np.unique(cell)) / CELLS**2
        numbers[f"{name}/coverage"] = float(np.mean(occupied)) if pairs else alone
    return numbers


def _novelty(groups: dict[str, list[Episode]], seed: int) -> dict[str, float]:
    """Mean distance of transitions to the nearest one in one half of the real rollouts.

    The other half is the real group: the novelty that real data has for itself. A transition is a
    state and its change, both in units of their spread in the real data.
    """
    halves = groups["real"][::2], groups["real"][1::2] or groups["real"]
    compared = groups | {"real": halves[1]}
    known_before, _, known_after = _transitions(halves[0], MAX_NEIGHBOURS, seed)
    scale = known_before.std(axis=0) + 1e-6, (known_after - known_before).std(axis=0) + 1e-6

    def features(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([before / scale[0], (after - before) / scale[1]], axis=1)

    tree = cKDTree(features(known_before, known_after))
    numbers: dict[str, float] = {}
    for name, episodes in compared.items():
        before, _, after = _transitions(episodes, MAX_NEIGHBOURS // 5, seed)
        numbers[f"{name}/novelty"] = float(tree.query(features(before, after))[0].mean())
    return numbers


def _transitions(
    episodes: Sequence[Episode], limit: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most `limit` of all steps: states (M, D), actions (M,) or (M, A), next states (M, D)."""
    before = np.concatenate([episode.observations[:-1] for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    after = np.concatenate([episode.observations[1:] for episode in episodes])
    rows = _chosen(len(before), limit, seed)
    return before[rows], actions[rows], after[rows]


def _chosen(count: int, limit: int, seed: int) -> np.ndarray:
    """At most `limit` of the indices below `count`, in order, drawn without replacement."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
