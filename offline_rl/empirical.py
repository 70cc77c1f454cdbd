"""The transition model of the data: which state followed which action how often, in flat arrays.

States are rows of bytes that hold everything that tells situations apart, which grid it is too, so
data sets of many grids join in one table. A state's id is the rank of its hash: the order of the
rows, and how they were split into data sets, change nothing. Only what the data shows is stored:
a pair is a (state, action) that occurs, an edge a (state, action, next state) that occurs.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

_CHUNK = 4096  # rows compared at once: a few MB, so that memory stays near the data's own


@dataclass(frozen=True)
class Triplets:
    """Unordered transitions (x, a, x'), of any and unknown behaviour.

    Source: TEDUO (arXiv 2412.06877), section 2.
    """

    states: np.ndarray  # (N, D) uint8
    actions: np.ndarray  # (N,) integers from 0 on, below 128
    next_states: np.ndarray  # (N, D) uint8

    def __post_init__(self) -> None:
        for name in ("states", "next_states"):
            _check_bytes(getattr(self, name), name)
        if self.states.shape != self.next_states.shape:
            raise ValueError(
                f"Expected next_states of shape {self.states.shape}, got "
                f"{self.next_states.shape}. Encode both sides of a transition alike."
            )
        if self.actions.shape != (len(self.states),):
            raise ValueError(
                f"Expected one action for each of {len(self.states)} states, got shape "
                f"{self.actions.shape}."
            )
        if not np.issubdtype(self.actions.dtype, np.integer):
            raise ValueError(f"Expected whole numbers as actions, got {self.actions.dtype}.")

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Coverage:
    """How much of the decision problem the data shows, and what its table costs."""

    transitions: int  # rows, repeated ones too
    states: int  # different ones, before or after an action
    acted_states: int  # those in which some action was seen
    pairs: int  # different (state, action)
    pair_share: float  # pairs / (states * actions)
    edges: int  # different (state, action, next state)
    stochastic_pairs: int  # pairs with more than one next state
    memory_bytes: int  # of all arrays, the states' bytes included
    seconds: float  # that building took


@dataclass(frozen=True)
class EmpiricalModel:
    """Counts of transitions; pairs are sorted by (state, action), edges by (pair, next state)."""

    states: np.ndarray  # (S, D) uint8, different rows in the order of their hashes
    hashes: np.ndarray  # (S,) uint64, increasing
    num_actions: int  # A
    pair_states: np.ndarray  # (P,) int32
    pair_actions: np.ndarray  # (P,) int8
    pair_edges: np.ndarray  # (P + 1,) int64: edges of pair p are pair_edges[p] to [p + 1]
    successors: np.ndarray  # (E,) int32, the state that an edge leads to
    counts: np.ndarray  # (E,) int32, from 1 on
    row_edges: np.ndarray  # (N,) int32, the edge that each row of the data is
    seconds: float  # that building took

    @classmethod
    def from_triplets(cls, *parts: Triplets, num_actions: int) -> "EmpiricalModel":
        """The model of all parts together, rows counted in the order given.

        Args:
            num_actions: A, at most 127; actions lie in [0, A).

        Raises:
            ValueError: there are no rows, parts have states of different widths, an action is out
                of range, or two different states share a hash.
        """
        began = time.perf_counter()
        actions = _checked_actions(parts, num_actions)
        blocks = [part.states for part in parts] + [part.next_states for part in parts]
        hashes, first_rows, state_ids = np.unique(
            np.concatenate([_hashes(block) for block in blocks]),
            return_index=True,
            return_inverse=True,
        )
        states = _rows_of(blocks, first_rows)
        _check_no_shared_hash(blocks, states, state_ids)
        before, after = np.split(state_ids, 2)
        keys = (before * num_actions + actions) * len(states) + after
        edges, row_edges, counts = np.unique(keys, return_inverse=True, return_counts=True)
        pairs, first_edges = np.unique(edges // len(states), return_index=True)
        return cls(
            states,
            hashes,
            num_actions,
            (pairs // num_actions).astype(np.int32),
            (pairs % num_actions).astype(np.int8),
            np.append(first_edges, len(edges)),
            (edges % len(states)).astype(np.int32),
            counts.astype(np.int32),
            row_edges.astype(np.int32),
            time.perf_counter() - began,
        )

    def ids(self, states: np.ndarray) -> np.ndarray:
        """Ids (B,) int64 of states (B, D) uint8, -1 where the data never shows one. Exact.

        Raises:
            ValueError: the states are encoded otherwise than the data's.
        """
        _check_bytes(states, "states")
        if states.shape[1] != self.states.shape[1]:
            raise ValueError(
                f"Expected states of {self.states.shape[1]} bytes as in the data, got "
                f"{states.shape[1]}. Encode them alike."
            )
        places = np.searchsorted(self.hashes, _hashes(states))
        places = np.minimum(places, len(self.states) - 1)
        seen = (self.states[places] == states).all(axis=1)
        return np.where(seen, places, -1).astype(np.int64)

    def likely_edges_of(self, state_ids: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The most likely edge (B,) int64 of each (state, action), -1 where the data has none.

        Ids and actions of -1, as other functions give for "unseen" and "no path", have none.
        """
        keys = state_ids.astype(np.int64) * self.num_actions + actions
        places = np.minimum(np.searchsorted(self._pair_keys, keys), len(self._pair_keys) - 1)
        known = (self._pair_keys[places] == keys) & (actions >= 0) & (actions < self.num_actions)
        return np.where(known, self.likely_edges[places], -1)

    def edges_of(
        self, state_ids: np.ndarray, actions: np.ndarray, next_ids: np.ndarray
    ) -> np.ndarray:
        """The edge (B,) int64 of each (state, action, next state), -1 where the data has none."""
        keys = state_ids.astype(np.int64) * self.num_actions + actions
        places = np.minimum(np.searchsorted(self._pair_keys, keys), len(self._pair_keys) - 1)
        known = (self._pair_keys[places] == keys) & (actions >= 0) & (actions < self.num_actions)
        known &= next_ids >= 0
        keys = places * len(self.states) + next_ids
        edges = np.minimum(np.searchsorted(self._edge_keys, keys), len(self._edge_keys) - 1)
        return np.where(known & (self._edge_keys[edges] == keys), edges, -1)

    def pairs_into(self, state_ids: np.ndarray) -> np.ndarray:
        """Pairs (any number,) whose most likely next state is one of `state_ids` (B,)."""
        pairs, offsets = self._incoming
        starts = offsets[state_ids]
        lengths = offsets[state_ids + 1] - starts
        shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return np.asarray(pairs[shifts + np.arange(len(shifts))])

    def labels_of_rows(self, row_labels: np.ndarray) -> np.ndarray:
        """Labels (E,) bool of edges from labels (N,) bool of the data's rows.

        An edge is labelled where all its rows are: a wrong "reached" costs more than a missed one.
        """
        if row_labels.shape != self.row_edges.shape:
            raise ValueError(
                f"Expected a label for each of {len(self.row_edges)} rows, got {row_labels.shape}."
            )
        agreeing = np.bincount(self.row_edges, row_labels != 0, minlength=len(self.counts))
        return np.asarray(agreeing == self.counts)

    def labels_of_states(self, state_labels: np.ndarray) -> np.ndarray:
        """Labels (E,) bool of edges from labels (S,) bool of states: those that lead into one."""
        if state_labels.shape != (len(self.states),):
            raise ValueError(
                f"Expected a label for each of {len(self.states)} states, got {state_labels.shape}."
            )
        return np.asarray(state_labels[self.successors] != 0)

    @cached_property
    def edge_pairs(self) -> np.ndarray:
        """The pair (E,) int64 that each edge belongs to."""
        return np.repeat(np.arange(len(self.pair_states)), np.diff(self.pair_edges))

    @cached_property
    def likely_edges(self) -> np.ndarray:
        """The edge (P,) int64 of each pair that occurred most, the first one of equals."""
        starts = self.pair_edges[:-1]
        most = np.maximum.reduceat(self.counts, starts)[self.edge_pairs]
        edges = np.arange(len(self.counts))
        chosen = np.where(self.counts == most, edges, len(edges))
        return np.asarray(np.minimum.reduceat(chosen, starts))

    @cached_property
    def likely_successors(self) -> np.ndarray:
        """The most likely next state (P,) int32 of each pair."""
        return np.asarray(self.successors[self.likely_edges])

    @cached_property
    def acted(self) -> tuple[np.ndarray, np.ndarray]:
        """States (K,) in which some action was seen, and the first pair (K,) of each."""
        states, first_pairs = np.unique(self.pair_states, return_index=True)
        return states, first_pairs

    @cached_property
    def coverage(self) -> Coverage:
        """What the data shows, in numbers."""
        num_states, num_pairs = len(self.states), len(self.pair_states)
        arrays = (getattr(self, field.name) for field in fields(self))
        return Coverage(
            transitions=len(self.row_edges),
            states=num_states,
            acted_states=len(self.acted[0]),
            pairs=num_pairs,
            pair_share=num_pairs / (num_states * self.num_actions),
            edges=len(self.counts),
            stochastic_pairs=int((np.diff(self.pair_edges) > 1).sum()),
            memory_bytes=sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)),
            seconds=self.seconds,
        )

    @cached_property
    def _pair_keys(self) -> np.ndarray:
        """State and action of each pair as one increasing number (P,) int64."""
        keys = self.pair_states.astype(np.int64) * self.num_actions + self.pair_actions
        return np.asarray(keys)

    @cached_property
    def _edge_keys(self) -> np.ndarray:
        """Pair and next state of each edge as one increasing number (E,) int64."""
        return np.asarray(self.edge_pairs * len(self.states) + self.successors)

    @cached_property
    def _incoming(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (P,) by most likely next state, and where each state's begin (S + 1,)."""
        order = np.argsort(self.likely_successors, kind="stable")
        ends = np.cumsum(np.bincount(self.likely_successors, minlength=len(self.states)))
        return order, np.append(0, ends)


def _check_bytes(states: np.ndarray, name: str) -> None:
    if states.dtype != np.uint8 or states.ndim != 2 or states.shape[1] == 0:
        raise ValueError(
            f"Expected {name} as rows (N, D) of uint8, got {states.shape} {states.dtype}."
        )


def _checked_actions(parts: Sequence[Triplets], num_actions: int) -> np.ndarray:
    """All parts' actions (N,) int64."""
    if not 1 <= num_actions <= 127:
        raise ValueError(f"Expected 1 to 127 actions, got {num_actions}.")
    widths = {part.states.shape[1] for part in parts}
    if not sum(len(part) for part in parts):
        raise ValueError("Expected at least one transition, got none. Collect data first.")
    if len(widths) > 1:
        raise ValueError(
            f"Expected states of one width, got {sorted(widths)} bytes. Pad them alike."
        )
    actions = np.concatenate([part.actions for part in parts]).astype(np.int64)
    if actions.min() < 0 or actions.max() >= num_actions:
        wrong = actions.min() if actions.min() < 0 else actions.max()
        raise ValueError(f"Expected actions from 0 to {num_actions - 1}, got {wrong}.")
    return actions


def _hashes(states: np.ndarray) -> np.ndarray:
    """Hashes (N,) uint64 of rows, the same on every machine."""
    data = np.ascontiguousarray(states).reshape(-1).data
    width, blake = states.shape[1], hashlib.blake2b
    digests = (
        blake(data[first : first + width], digest_size=8).digest()
        for first in range(0, len(data), width)
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _rows_of(blocks: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Rows (len(rows), D) of all blocks as if they were one, without joining them."""
    chosen = np.empty((len(rows), blocks[0].shape[1]), np.uint8)
    first = 0
    for block in blocks:
        inside = (rows >= first) & (rows < first + len(block))
        chosen[inside] = block[rows[inside] - first]
        first += len(block)
    return chosen


def _check_no_shared_hash(
    blocks: Sequence[np.ndarray], states: np.ndarray, state_ids: np.ndarray
) -> None:
    """Compares every row with the state that it was taken for: no chance is left to the hash."""
    first = 0
    for block in blocks:
        for start in range(0, len(block), _CHUNK):
            rows = block[start : start + _CHUNK]
            ids = state_ids[first + start : first + start + len(rows)]
            if not np.array_equal(states[ids], rows):
                raise ValueError(
                    "Two different states share a 64-bit hash. Add a constant byte to every state."
                )
        first += len(block)
