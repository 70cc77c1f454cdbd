"""Episodes as rows of an Arrow table: one row an episode, arrays flattened into lists.

A `Layout` holds what the lists drop, the element type and the shape of one step's value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from envs.episode import Episode, Scalar
from envs.files import StoreError

TEXT = "text"
_ARRAYS = ("observations", "actions", "rewards")
_WORDS = ("goal", "level", "source")
_FLAGS = ("success", "terminated")


@dataclass(frozen=True)
class Column:
    """Element type and shape of one step's value, such as float32 and (10,)."""

    dtype: str  # numpy name, or TEXT
    shape: tuple[int, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> "Column":
        """The column that holds `values` (T, ...).

        Raises:
            StoreError: the elements are neither numbers nor text, or text has more than one axis.
        """
        if values.dtype.kind == "U" and values.ndim == 1:
            return cls(TEXT, ())
        if values.dtype.kind not in "fiub":
            raise StoreError(
                f"Expected numbers or a line of text per step, got {values.dtype} "
                f"{values.shape}. Convert with numpy's astype first."
            )
        return cls(values.dtype.name, values.shape[1:])

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of the flattened list."""
        return pa.list_(pa.string() if self.dtype == TEXT else pa.from_numpy_dtype(self.dtype))

    def flatten(self, values: np.ndarray) -> object:
        """What goes into Arrow for `values` (T, ...)."""
        return values.tolist() if self.dtype == TEXT else values.reshape(-1)

    def restore(self, values: pa.ListScalar) -> np.ndarray:
        """The array (T, ...) of one row."""
        if self.dtype == TEXT:
            return np.array(values.as_py(), dtype=np.str_)
        flat = values.values.to_numpy(zero_copy_only=False)
        return np.array(flat, dtype=self.dtype).reshape(-1, *self.shape)


@dataclass(frozen=True)
class Layout:
    """Columns of every episode in a store."""

    observations: Column
    actions: Column
    rewards: Column

    @classmethod
    def of(cls, episode: Episode) -> "Layout":
        """The layout that holds `episode`."""
        return cls(*(Column.of(getattr(episode, name)) for name in _ARRAYS))

    @classmethod
    def from_json(cls, values: Mapping[str, Mapping[str, object]]) -> "Layout":
        """The layout that `to_json` gave.

        Raises:
            TypeError: a shape is no list.
        """
        columns = {}
        for name in _ARRAYS:
            shape = values[name]["shape"]
            if not isinstance(shape, list):
                raise TypeError(f"Expected a list as the shape of {name}, got {shape!r}.")
            columns[name] = Column(str(values[name]["dtype"]), tuple(shape))
        return cls(**columns)

    def to_json(self) -> dict[str, dict[str, object]]:
        """Type and shape by column name."""
        columns = {name: getattr(self, name) for name in _ARRAYS}
        return {
            name: {"dtype": column.dtype, "shape": list(column.shape)}
            for name, column in columns.items()
        }

    def table(self, episodes: Sequence[Episode]) -> pa.Table:
        """Rows of `episodes`."""
        columns: dict[str, pa.Array] = {}
        for name in _WORDS:
            columns[name] = pa.array([getattr(episode, name) for episode in episodes], pa.string())
        for name in _FLAGS:
            flags = [bool(getattr(episode, name)) for episode in episodes]
            columns[name] = pa.array(flags, pa.bool_())
        for name in _ARRAYS:
            column: Column = getattr(self, name)
            lists = [column.flatten(getattr(episode, name)) for episode in episodes]
            columns[name] = pa.array(lists, column.arrow)
        provenance = [_provenance_json(episode.provenance) for episode in episodes]
        columns["provenance"] = pa.array(provenance, pa.string())
        return pa.table(columns)

    def episodes(self, table: pa.Table | pa.RecordBatch) -> list[Episode]:
        """Episodes of rows that `table` made."""
        words = {name: table[name].to_pylist() for name in (*_WORDS, *_FLAGS, "provenance")}
        found = []
        for row in range(table.num_rows):
            arrays = {name: getattr(self, name).restore(table[name][row]) for name in _ARRAYS}
            fields = {name: words[name][row] for name in (*_WORDS, *_FLAGS)}
            provenance = json.loads(words["provenance"][row])
            found.append(Episode(**fields, **arrays, provenance=provenance))
        return found


def _provenance_json(provenance: Mapping[str, Scalar]) -> str:
    try:
        return json.dumps(dict(provenance), sort_keys=True, allow_nan=False, default=_plain)
    except ValueError as error:
        raise StoreError(
            f"Expected finite numbers and text as provenance, got {dict(provenance)}."
        ) from error


def _plain(value: object) -> object:
    """A numpy scalar as a Python one."""
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"Expected a scalar, got {type(value).__name__}.")
