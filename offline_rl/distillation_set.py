"""Samples for fine-tuning on disk: questions and answers, and where each comes from.

One Parquet file with page checksums: a row a step, plan after plan. Grids keep their states too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from offline_rl.tasks import read_parquet, write_parquet

_KIND = "distillation"
_WORDS = ("questions", "answers", "goals", "programs")
_NUMBERS = ("plans", "steps_left")


@dataclass(frozen=True)
class TextSamples:
    """N steps of plans, in words."""

    questions: Sequence[str]  # the state as the goal sees it
    answers: Sequence[str]  # the action, in words
    goals: Sequence[str]  # the goal's words, one of its wordings
    programs: Sequence[str]  # what the goal was read as
    plans: np.ndarray  # (N,) int64, which plan
    steps_left: np.ndarray  # (N,) int64, this one included

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Questions and answers."""
        return list(zip(self.questions, self.answers, strict=True))

    def without(self, share: float, seed: int) -> tuple[Self, Self]:
        """These samples without a share of their plans, at least one step, and those plans."""
        numbers = np.unique(self.plans)
        count = min(max(round(share * len(numbers)), 1), len(numbers) - 1)
        chosen = np.random.default_rng(seed).permutation(numbers)[:count]
        held_out = np.isin(self.plans, chosen)
        return self._rows(~held_out), self._rows(held_out)

    def _rows(self, wanted: np.ndarray) -> Self:
        rows = np.flatnonzero(wanted).tolist()
        columns: dict[str, Any] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            is_array = isinstance(values, np.ndarray)
            columns[field.name] = values[rows] if is_array else [values[row] for row in rows]
        return replace(self, **columns)

    def write(self, path: Path) -> None:
        """Writes one Parquet file, at once."""
        write_parquet(path, pa.table(self._columns()), _KIND, self._header())

    def _columns(self) -> dict[str, pa.Array]:
        columns = {name: pa.array(list(getattr(self, name)), pa.string()) for name in _WORDS}
        return columns | {name: pa.array(getattr(self, name)) for name in _NUMBERS}

    def _header(self) -> dict[str, int]:
        return {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """The samples that `write` stored.

        Raises:
            ValueError: the file is missing, damaged, or holds something else.
        """
        return cls(**cls._parts(*read_parquet(path, _KIND)))

    @classmethod
    def _parts(cls, table: pa.Table, header: dict[str, Any]) -> dict[str, Any]:
        words = {name: table[name].to_pylist() for name in _WORDS}
        return words | {name: table[name].to_numpy() for name in _NUMBERS}


@dataclass(frozen=True)
class DistillationSet(TextSamples):
    """N steps of plans in grids."""

    states: np.ndarray  # (N, D) uint8

    def _columns(self) -> dict[str, pa.Array]:
        rows = [row.tobytes() for row in np.ascontiguousarray(self.states)]
        return super()._columns() | {"states": pa.array(rows, pa.binary(self.states.shape[1]))}

    def _header(self) -> dict[str, int]:
        return {"state_size": self.states.shape[1]}

    @classmethod
    def _parts(cls, table: pa.Table, header: dict[str, Any]) -> dict[str, Any]:
        states = np.frombuffer(b"".join(table["states"].to_pylist()), np.uint8)
        return super()._parts(table, header) | {"states": states.reshape(-1, header["state_size"])}
