"""Samples for fine-tuning on disk: questions and answers, and where each comes from.

One Parquet file with page checksums: a row a step, plan after plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from offline_rl.tasks import read_parquet, write_parquet

_KIND = "distillation"


@dataclass(frozen=True)
class DistillationSet:
    """N steps of plans."""

    questions: Sequence[str]  # the state as the goal sees it
    answers: Sequence[str]  # the action, in words
    goals: Sequence[str]  # the goal's words, one of its wordings
    programs: Sequence[str]  # what the goal was read as
    plans: np.ndarray  # (N,) int64, which plan
    steps_left: np.ndarray  # (N,) int64, this one included
    states: np.ndarray  # (N, D) uint8

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Questions and answers."""
        return list(zip(self.questions, self.answers, strict=True))

    def without(self, share: float, seed: int) -> tuple["DistillationSet", "DistillationSet"]:
        """This set without a share of its plans, at least one step, and those plans."""
        numbers = np.unique(self.plans)
        count = min(max(round(share * len(numbers)), 1), len(numbers) - 1)
        chosen = np.random.default_rng(seed).permutation(numbers)[:count]
        held_out = np.isin(self.plans, chosen)
        return self._rows(~held_out), self._rows(held_out)

    def _rows(self, wanted: np.ndarray) -> "DistillationSet":
        rows = np.flatnonzero(wanted).tolist()
        words = {
            name: [getattr(self, name)[row] for row in rows]
            for name in ("questions", "answers", "goals", "programs")
        }
        return DistillationSet(
            **words,
            plans=self.plans[rows],
            steps_left=self.steps_left[rows],
            states=self.states[rows],
        )

    def write(self, path: Path) -> None:
        """Writes one Parquet file, at once."""
        columns = {
            name: pa.array(list(getattr(self, name)), pa.string())
            for name in ("questions", "answers", "goals", "programs")
        }
        columns |= {name: pa.array(getattr(self, name)) for name in ("plans", "steps_left")}
        rows = [row.tobytes() for row in np.ascontiguousarray(self.states)]
        columns["states"] = pa.array(rows, pa.binary(self.states.shape[1]))
        table = pa.table({field.name: columns[field.name] for field in fields(self)})
        write_parquet(path, table, _KIND, {"state_size": self.states.shape[1]})

    @classmethod
    def read(cls, path: Path) -> "DistillationSet":
        """The set that `write` stored.

        Raises:
            ValueError: the file is missing, damaged, or holds something else.
        """
        table, header = read_parquet(path, _KIND)
        states = np.frombuffer(b"".join(table["states"].to_pylist()), np.uint8)
        words = ("questions", "answers", "goals", "programs")
        questions, answers, goals, programs = (table[name].to_pylist() for name in words)
        return cls(
            questions=questions,
            answers=answers,
            goals=goals,
            programs=programs,
            plans=table["plans"].to_numpy(),
            steps_left=table["steps_left"].to_numpy(),
            states=states.reshape(-1, header["state_size"]),
        )
