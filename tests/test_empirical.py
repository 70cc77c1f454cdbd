"""The transition table counts exactly what the data shows, in whatever order it comes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_rl import empirical
from offline_rl.empirical import EmpiricalModel, Triplets
from tests.graphs import (
    Transition,
    by_number,
    counted,
    encode,
    model_of,
    numbers_of,
    stochastic_graphs,
    triplets,
)

# 0 --a0--> 1 twice, 0 --a0--> 2 once, 1 --a1--> 0
SMALL: list[Transition] = [(0, 0, 1), (0, 0, 2), (1, 1, 0), (0, 0, 1)]


def edges(model: EmpiricalModel) -> dict[tuple[int, int, int], int]:
    """Counts by (state, action, next state)."""
    numbers = numbers_of(model)
    before = numbers[model.pair_states[model.edge_pairs]].tolist()
    actions = model.pair_actions[model.edge_pairs].tolist()
    after = numbers[model.successors].tolist()
    return dict(zip(zip(before, actions, after, strict=True), model.counts.tolist(), strict=True))


def test_coverage_of_a_small_graph() -> None:
    coverage = model_of(SMALL, num_actions=2).coverage
    assert (coverage.transitions, coverage.states, coverage.acted_states) == (4, 3, 2)
    assert (coverage.pairs, coverage.edges, coverage.stochastic_pairs) == (2, 3, 1)
    assert coverage.pair_share == 2 / (3 * 2)
    # 3 states of 2 + 8 bytes, 2 pairs of 4 + 1 bytes, 3 offsets of 8, 3 edges of 8, 4 rows of 4.
    assert coverage.memory_bytes == 3 * 10 + 2 * 5 + 3 * 8 + 3 * 8 + 4 * 4
    assert coverage.seconds > 0


@given(stochastic_graphs())
@settings(max_examples=60)
def test_counts_are_those_of_a_plain_table(transitions: list[Transition]) -> None:
    model = model_of(transitions)
    table = counted(transitions)
    assert edges(model) == {
        (*pair, after): count for pair, row in table.items() for after, count in row.items()
    }
    ids = by_number(model, np.arange(len(model.states)))
    for (state, action), row in table.items():
        likely = min(row, key=lambda after: (-row[after], ids[after]))
        edge = model.likely_edges_of(np.array([ids[state]]), np.array([action]))[0]
        assert model.successors[edge] == ids[likely]
    assert list(zip(model.pair_states, model.pair_actions, strict=True)) == sorted(
        (ids[state], action) for state, action in table
    )


@given(stochastic_graphs(), st.randoms(use_true_random=False), st.integers(0, 30))
@settings(max_examples=30)
def test_neither_order_nor_division_into_data_sets_matters(
    transitions: list[Transition], random: object, cut: int
) -> None:
    shuffled = list(transitions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parts = [triplets(part) for part in (shuffled[:cut], shuffled[cut:]) if part]
    first = model_of(transitions)
    second = EmpiricalModel.from_triplets(*parts, num_actions=3)
    for name in ("states", "pair_states", "pair_actions", "pair_edges", "successors", "counts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.likely_edges, second.likely_edges)
    order = dict(zip(transitions, first.row_edges, strict=True))
    assert [order[transition] for transition in shuffled] == second.row_edges.tolist()


@given(stochastic_graphs())
@settings(max_examples=30)
def test_reversed_edges_are_the_edges(transitions: list[Transition]) -> None:
    model = model_of(transitions)
    chosen = np.arange(0, len(model.states), 2)[::-1]
    expected = np.flatnonzero(np.isin(model.likely_successors, chosen))
    assert sorted(model.pairs_into(chosen).tolist()) == expected.tolist()
    assert len(model.pairs_into(chosen[:0])) == 0


def test_states_are_found_again_and_others_are_not() -> None:
    model = model_of([(300, 0, 7), (7, 1, 44)])
    ids = model.ids(encode([7, 8, 300, 7, 44 + 512]))
    assert (ids >= 0).tolist() == [True, False, True, True, False]
    assert numbers_of(model)[ids[[0, 2, 3]]].tolist() == [7, 300, 7]
    assert model.ids(encode([7])[:0]).shape == (0,)


def test_pairs_that_the_data_lacks_have_no_edge() -> None:
    model = model_of(SMALL)
    ids = by_number(model, np.arange(3))
    # State 2 was never acted in, action 1 never taken in state 0, and -1 is no state.
    asked = np.array([ids[2], ids[0], -1, ids[0]])
    found = model.likely_edges_of(asked, np.array([0, 1, 0, 0]))
    assert (found >= 0).tolist() == [False, False, False, True]
    # Nor is an action outside 0 to 2 one of a neighbouring state.
    every = model_of([(state, action, 0) for state in range(5) for action in range(3)])
    for action in (-1, 3):
        outside = every.likely_edges_of(np.arange(5), np.full(5, action))
        assert outside.tolist() == [-1] * 5


@given(stochastic_graphs())
@settings(max_examples=30)
def test_an_edge_is_found_by_its_two_states_and_its_action(transitions: list[Transition]) -> None:
    model = model_of(transitions)
    pairs = model.edge_pairs
    known = (model.pair_states[pairs], model.pair_actions[pairs], model.successors)
    np.testing.assert_array_equal(model.edges_of(*known), np.arange(len(model.counts)))
    seen = set(zip(*(column.tolist() for column in known), strict=True))
    everything = [
        (before, action, after)
        for before in range(-1, len(model.states))
        for action in range(-1, model.num_actions + 1)
        for after in range(-1, len(model.states))
    ]
    found = model.edges_of(*np.array(everything).T)
    assert [edge >= 0 for edge in found.tolist()] == [one in seen for one in everything]


def test_a_shared_hash_is_refused_and_never_taken_for_equality(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(empirical, "_hashes", lambda states: np.zeros(len(states), np.uint64))
    with pytest.raises(ValueError, match="share a 64-bit hash"):
        model_of([(0, 0, 1)])
    alone = model_of([(5, 0, 5)])
    assert alone.ids(encode([5, 6])).tolist() == [0, -1]


def test_an_edge_is_labelled_where_all_its_rows_are() -> None:
    model = model_of(SMALL)
    labels = model.labels_of_rows(np.array([True, True, True, False]))
    assert labels[model.row_edges].tolist() == [False, True, True, False]


def test_a_labelled_state_labels_the_edges_into_it() -> None:
    model = model_of(SMALL)
    labels = model.labels_of_states(numbers_of(model) == 1)
    assert labels[model.row_edges].tolist() == [True, False, False, True]


def test_building_needs_little_memory_beside_the_different_states() -> None:
    # 20,000 rows of 500 bytes twice are 20 MB; the 50 different states are 25 kB.
    rng = np.random.default_rng(0)
    pool = rng.integers(0, 9, (50, 500), dtype=np.uint8)
    before, after = pool[rng.integers(50, size=(2, 20_000))]
    rows = Triplets(before, rng.integers(7, size=20_000), after)
    tracemalloc.start()
    model = EmpiricalModel.from_triplets(rows, num_actions=7)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(model.states) == 50
    assert peak < 10e6


@pytest.mark.parametrize(
    ("states", "actions", "next_states", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2, int), np.zeros((2, 3)), "states as rows"),
        (encode([1, 2]), np.zeros(3, int), encode([1, 2]), "one action for each of 2"),
        (encode([1, 2]), np.zeros(2), encode([1, 2]), "whole numbers"),
        (encode([1, 2]), np.zeros(2, int), encode([1]), r"shape \(2, 2\)"),
    ],
)
def test_malformed_rows_are_refused(
    states: np.ndarray, actions: np.ndarray, next_states: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Triplets(states, actions, next_states)


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected actions from 0 to 1, got 2"):
        model_of([(0, 2, 1)], num_actions=2)
    with pytest.raises(ValueError, match="Expected actions from 0 to 1, got -1"):
        model_of([(0, -1, 1)], num_actions=2)
    with pytest.raises(ValueError, match="1 to 127 actions, got 128"):
        model_of(SMALL, num_actions=128)
    with pytest.raises(ValueError, match="at least one transition"):
        EmpiricalModel.from_triplets(num_actions=2)
    wide = Triplets(np.zeros((1, 3), np.uint8), np.zeros(1, int), np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match=r"one width, got \[2, 3\]"):
        EmpiricalModel.from_triplets(triplets(SMALL), wide, num_actions=2)
    with pytest.raises(ValueError, match="states of 2 bytes"):
        model_of(SMALL).ids(np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="each of 4 rows"):
        model_of(SMALL).labels_of_rows(np.ones(3, np.bool_))
    with pytest.raises(ValueError, match="each of 3 states"):
        model_of(SMALL).labels_of_states(np.ones(4, np.bool_))
