"""Results as data: success rows with intervals, and everything needed to make them again.

`experiments/results/*.json` have this schema; tables, figures and pages are drawn from them.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.files import well_formed

ALL_KINDS = "all"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """Success of one agent on one level (or one kind of goal within it)."""

    agent: str  # such as "real+imagined/cql"
    level: str  # such as "hard", or "novel" for the mean of all novel levels
    kind: str  # a kind of goal within the level, or "all"
    protocol: str  # how goals to imagine were chosen; "" where nothing is imagined
    success: float  # share of episodes in [0, 1]
    low: float  # lower end of the 95 % interval
    high: float  # upper end of the 95 % interval
    episodes: int
    seeds: tuple[int, ...]  # training seeds pooled in this row
    steps: float | None = None  # of an episode, on average
    invalid: float | None = None  # share of steps that changed nothing, where they were counted
    score: float | None = None  # 100 times the mean reward, where rewards are shares of 1
    score_low: float | None = None  # lower end of the score's 95 % interval
    score_high: float | None = None  # upper end of it

    def __post_init__(self) -> None:
        for name in ("success", "low", "high"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise ValueError(
                    f"Expected {name} in [0, 1] for agent `{self.agent}` on `{self.level}`, "
                    f"got {value}. Evaluate this agent again."
                )
        if not self.low <= self.success <= self.high:
            raise ValueError(
                f"Expected low <= success <= high for agent `{self.agent}` on `{self.level}`, "
                f"got {self.low}, {self.success}, {self.high}."
            )
        if self.episodes < 1:
            raise ValueError(f"Expected at least one episode, got {self.episodes}.")

    @property
    def measure(self) -> str:
        """What figures show of this row: "score", or "success in per cent" where it has none."""
        return "success in per cent" if self.score is None else "score"

    @property
    def percent(self) -> tuple[float, float, float]:
        """That measure with the ends of its 95 % interval, of 100."""
        if self.score is None or self.score_low is None or self.score_high is None:
            return 100 * self.success, 100 * self.low, 100 * self.high
        return self.score, self.score_low, self.score_high


@dataclass(frozen=True)
class Results:
    """The outcome of a run, with what is needed to make it again."""

    name: str  # preset or run name
    rows: tuple[Row, ...]
    base_model: str  # which language model was grounded
    command: str  # makes these results again
    commit: str  # of the code, "" outside a git checkout
    seeds: tuple[int, ...] = ()
    seconds_per_stage: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    grounding: Mapping[str, float] = field(default_factory=dict)  # held-out metrics by name
    fidelity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # measure, source
    notes: tuple[str, ...] = ()

    def select(self, level: str, kind: str = ALL_KINDS) -> list[Row]:
        """Rows of one level and kind, in their stored order."""
        return [row for row in self.rows if row.level == level and row.kind == kind]

    @property
    def agents(self) -> list[tuple[str, str]]:
        """(agent, protocol) in order of first appearance."""
        return list(dict.fromkeys((row.agent, row.protocol) for row in self.rows))

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(level, kind) in order of first appearance."""
        return list(dict.fromkeys((row.level, row.kind) for row in self.rows))


def save_results(results: Results, path: Path) -> Path:
    """Writes `results` as JSON and returns `path`; no reader ever sees half of it."""
    content = {"schema": SCHEMA_VERSION, **dataclasses.asdict(results)}
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return path


def load_results(path: Path) -> Results:
    """The results stored in `path`.

    Raises:
        ValueError: the file is missing, is not JSON, or breaks the schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"No results at `{path}`. Run `kalm evaluate` first.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"`{path}` is not JSON ({error}). Evaluate again.") from None
    with well_formed(path):
        return parse_results(content, str(path))


def parse_results(content: Any, origin: str) -> Results:
    """The results in parsed JSON `content`; `origin` names it in errors."""
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"Expected results of schema {SCHEMA_VERSION} in `{origin}`.")
    _check_keys(Results, content.keys() - {"schema"}, origin)
    for row in content["rows"]:
        _check_keys(Row, row.keys(), f"{origin}, a row")
    rows = tuple(Row(**{**row, "seeds": tuple(row["seeds"])}) for row in content["rows"])
    known = {name: value for name, value in content.items() if name != "schema"}
    lists = {name: tuple(content.get(name, ())) for name in ("seeds", "notes")}
    return Results(**{**known, **lists, "rows": rows})


def _check_keys(kind: type[Any], keys: Iterable[str], origin: str) -> None:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    unknown = sorted(set(keys) - fields.keys())
    required = {
        name
        for name, item in fields.items()
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(keys))
    if unknown or missing:
        raise ValueError(
            f"`{origin}` breaks the results schema: missing {missing or 'nothing'}, "
            f"unknown {unknown or 'nothing'}."
        )


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` through a temporary file, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
