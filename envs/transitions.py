"""Bare transitions: state, action, next state, in no order; no goals, no rewards, no episodes.

    data/part-00000.parquet ...  one row a transition, page checksums written and verified
    card.json, manifest.json, COMPLETE   as in the episode store

States are rows of bytes. The same rows and card give the same bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.card import Card
from envs.files import StoreError, publish, require_free_space, sha256_file
from envs.manifest import (
    CARD,
    MANIFEST,
    MARKER,
    Shard,
    marker_text,
    problem_of_shard,
    problem_of_size,
    problems_of_files,
    problems_of_marker,
)

SCHEMA = "transitions-1"
ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000  # rows that streaming decodes at once
MIN_FREE_BYTES = 16 << 20  # a disk with less than this is called full


@dataclass(frozen=True)
class Transitions:
    """Steps of unknown policies towards unknown goals; it checks itself on construction."""

    states: np.ndarray  # (N, D) uint8
    actions: np.ndarray  # (N,) int8
    next_states: np.ndarray  # (N, D) uint8

    def __post_init__(self) -> None:
        rows = len(self.actions)
        if self.states.ndim != 2 or self.states.shape != self.next_states.shape:
            raise ValueError(
                f"Expected states and next states of one shape (N, D), got {self.states.shape} "
                f"and {self.next_states.shape}."
            )
        if self.actions.shape != (len(self.states),):
            raise ValueError(f"Expected {len(self.states)} actions, got {self.actions.shape}.")
        types = [array.dtype.name for array in (self.states, self.actions, self.next_states)]
        if types != ["uint8", "int8", "uint8"]:
            raise ValueError(
                f"Expected uint8 states and int8 actions, got {', '.join(types)}. "
                "Convert with numpy's astype first."
            )
        if not rows:
            raise ValueError("Expected at least one transition, got none.")

    def __len__(self) -> int:
        """Number of transitions N."""
        return len(self.actions)


def write_transitions(
    folder: str | Path,
    transitions: Transitions,
    card: Card,
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> Path:
    """The folder of a new store that holds `transitions`; nothing is left there after an error.

    Raises:
        StoreError: the folder exists or is being written, or the disk is too full.
    """
    if rows_per_shard < 1:
        raise StoreError(f"Expected at least one row a shard, got {rows_per_shard}.")
    target = Path(folder)
    require_free_space(target, MIN_FREE_BYTES + 2 * transitions.states.nbytes)
    with publish(target) as partial:
        (partial / "data").mkdir()
        shards = [
            _write_shard(partial, number, _rows(transitions, first, first + rows_per_shard))
            for number, first in enumerate(range(0, len(transitions), rows_per_shard))
        ]
        (partial / CARD).write_text(card.to_json(), "utf-8")
        manifest = {
            "schema_version": SCHEMA,
            "rows": len(transitions),
            "state_size": transitions.states.shape[1],
            "shards": [asdict(shard) for shard in shards],
        }
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (partial / MANIFEST).write_text(text, "utf-8")
        (partial / MARKER).write_text(marker_text(partial), "utf-8")
    return target


class TransitionStore:
    """A published store of transitions, checked as it is read."""

    def __init__(self, folder: str | Path) -> None:
        """Opens a store.

        Raises:
            StoreError: a file is missing, truncated or altered, or the folder holds something
                else; each shard's content is checked when it is first read.
        """
        self.folder = Path(folder)
        if problems := problems_of_marker(self.folder):
            raise StoreError(problems[0])
        manifest = json.loads((self.folder / MANIFEST).read_text("utf-8"))
        if manifest["schema_version"] != SCHEMA:
            raise StoreError(
                f"Expected a store of schema `{SCHEMA}`, got `{manifest['schema_version']}`. "
                "Name a folder that `write_transitions` wrote."
            )
        self.card = Card.from_json((self.folder / CARD).read_text("utf-8"))
        self.state_size = int(manifest["state_size"])
        self.shards = tuple(Shard(**shard) for shard in manifest["shards"])
        for shard in self.shards:
            if problem := problem_of_size(self.folder / shard.file, shard):
                raise StoreError(problem)
        self._rows = int(manifest["rows"])
        self._verified: set[str] = set()

    def __len__(self) -> int:
        """Number of transitions N."""
        return self._rows

    @property
    def content_hash(self) -> str:
        """SHA-256 of the manifest, which names the content of every shard."""
        return sha256_file(self.folder / MANIFEST)

    def batches(self) -> Iterator[Transitions]:
        """All rows in order, at most `ROWS_PER_GROUP` of them in memory at a time."""
        for shard in self.shards:
            path = self.folder / shard.file
            if shard.file not in self._verified:
                if problem := problem_of_shard(path, shard):
                    raise StoreError(problem)
                self._verified.add(shard.file)
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                    yield _transitions(batch, self.state_size)

    def read(self) -> Transitions:
        """All rows, copied once into arrays of their final size."""
        states = np.empty((len(self), self.state_size), np.uint8)
        next_states, actions = np.empty_like(states), np.empty(len(self), np.int8)
        first = 0
        for batch in self.batches():
            rows = slice(first, first + len(batch))
            states[rows], next_states[rows] = batch.states, batch.next_states
            actions[rows] = batch.actions
            first += len(batch)
        return Transitions(states, actions, next_states)


def is_transition_store(folder: str | Path) -> bool:
    """Whether a folder's manifest says that it holds transitions."""
    try:
        manifest = json.loads((Path(folder) / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("schema_version") == SCHEMA


def verify_transitions(folder: str | Path) -> list[str]:
    """Problems of a store, each naming its file; empty where every byte is as written."""
    try:
        store = TransitionStore(folder)
    except StoreError as error:
        return [str(error)]
    return problems_of_files(store.folder, store.shards)


def _rows(transitions: Transitions, first: int, last: int) -> Transitions:
    """Rows `first` to `last` as views."""
    rows = slice(first, last)
    return Transitions(
        transitions.states[rows], transitions.actions[rows], transitions.next_states[rows]
    )


def _write_shard(partial: Path, number: int, rows: Transitions) -> Shard:
    name = f"data/part-{number:05d}.parquet"
    path = partial / name
    table = pa.table(
        {
            "state": _binary(rows.states),
            "action": pa.array(rows.actions),
            "next_state": _binary(rows.next_states),
        }
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=False,
        row_group_size=ROWS_PER_GROUP,
        write_page_checksum=True,
    )
    return Shard(name, len(rows), len(rows), path.stat().st_size, sha256_file(path))


def _binary(states: np.ndarray) -> pa.Array:
    """States (N, D) as Arrow values of D bytes."""
    buffer = pa.py_buffer(np.ascontiguousarray(states))
    kind = pa.binary(states.shape[1])
    return pa.Array.from_buffers(kind, len(states), [None, buffer])


def _transitions(batch: pa.RecordBatch, state_size: int) -> Transitions:
    states, next_states = (
        np.frombuffer(batch[name].buffers()[1], np.uint8).reshape(-1, state_size)[
            batch[name].offset :
        ][: batch.num_rows]
        for name in ("state", "next_state")
    )
    return Transitions(states, batch["action"].to_numpy(), next_states)
