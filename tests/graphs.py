"""Small transition graphs over numbered states, and the slow plain code they are checked with."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st

from offline_rl.empirical import EmpiricalModel, Triplets

Transition = tuple[int, int, int]  # state, action, next state


def encode(numbers: Iterable[int]) -> np.ndarray:
    """States as two bytes each."""
    wide = np.array(list(numbers), np.int64)
    return np.stack([wide // 256, wide % 256], axis=1).astype(np.uint8)


def triplets(transitions: Sequence[Transition]) -> Triplets:
    states, actions, next_states = zip(*transitions, strict=True)
    return Triplets(encode(states), np.array(actions, np.int8), encode(next_states))


def model_of(transitions: Sequence[Transition], num_actions: int = 3) -> EmpiricalModel:
    return EmpiricalModel.from_triplets(triplets(transitions), num_actions=num_actions)


def into(model: EmpiricalModel, *goals: int) -> np.ndarray:
    """Labels of edges: those that lead into one of `goals`, which may be unseen."""
    reached = np.zeros(len(model.states), np.bool_)
    ids = model.ids(encode(goals))
    reached[ids[ids >= 0]] = True
    return model.labels_of_states(reached)


def by_number(model: EmpiricalModel, values: np.ndarray) -> dict[int, int]:
    """Values of states by the states' numbers."""
    numbers = (model.states.astype(int) @ [256, 1]).tolist()
    return dict(sorted(zip(numbers, values.tolist(), strict=True)))


def numbers_of(model: EmpiricalModel) -> np.ndarray:
    """The states' numbers in the order of their ids."""
    return np.asarray(model.states.astype(int) @ [256, 1])


def chain(length: int) -> list[Transition]:
    """0 - 1 - ... - length: action 0 goes on, 1 goes back, 2 stays."""
    places = range(length)
    return [
        *((place, 0, place + 1) for place in places),
        *((place, 1, max(place - 1, 0)) for place in places),
        *((place, 2, place) for place in places),
    ]


def deterministic_graphs() -> st.SearchStrategy[list[Transition]]:
    """Up to 9 states and 3 actions, each pair with one next state."""
    pair = st.tuples(st.integers(0, 8), st.integers(0, 2))
    chosen = st.dictionaries(pair, st.integers(0, 8), min_size=1, max_size=27)
    return chosen.map(lambda graph: [(*key, after) for key, after in graph.items()])


def stochastic_graphs() -> st.SearchStrategy[list[Transition]]:
    """Up to 30 transitions among 6 states by 3 actions."""
    transition = st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5))
    return st.lists(transition, min_size=1, max_size=30)


def counted(transitions: Sequence[Transition]) -> dict[tuple[int, int], Counter[int]]:
    """How often each next state followed, by state and action."""
    table: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for state, action, after in transitions:
        table[state, action][after] += 1
    return table


def plain_distances(transitions: Sequence[Transition], goals: set[int]) -> dict[int, int]:
    """Actions to the goal in a deterministic graph, by relaxing until nothing changes."""
    distances: dict[int, int] = {}
    for _ in range(len(transitions) + 1):
        for state, _, after in transitions:
            steps = 1 if after in goals else distances.get(after, 10**6) + 1
            if steps < distances.get(state, 10**6):
                distances[state] = steps
    return distances
