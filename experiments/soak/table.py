"""What a soak found, as a file that it goes on from, and as a table for a page."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.origin import versions
from experiments.readme import put_between_markers
from experiments.results import write_text
from experiments.soak.rows import CHECKS

SCHEMA = "soak-1"

Row = Mapping[str, Any]


def save_rows(path: Path, rows: Mapping[str, Row], seed: int, *, quick: bool) -> None:
    """Writes rows by name; no reader ever sees half of them."""
    content = {
        "schema": SCHEMA,
        "quick": quick,
        "command": "python -m experiments.soak" + (" --quick" if quick else ""),
        "seed": seed,
        "versions": versions(),
        "rows": {name: rows[name] for name in CHECKS if name in rows},
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def load_rows(path: Path) -> dict[str, Row]:
    """The rows of a whole soak.

    Raises:
        ValueError: the file is missing, holds something else, or small counts.
    """
    if not path.exists():
        raise ValueError(f"No soak at `{path}`. Run `make soak`.")
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or content["quick"]:
        raise ValueError(f"Expected a whole soak of schema {SCHEMA} in `{path}`. Run `make soak`.")
    return dict(content["rows"])


def earlier_rows(path: Path, commit: str, seed: int, *, quick: bool) -> dict[str, Row]:
    """Rows of an earlier start that held: of this commit, at these counts; by name."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text("utf-8"))
    if [found.get(key) for key in ("schema", "quick", "seed")] != [SCHEMA, quick, seed]:
        return {}
    rows = found["rows"]
    return {name: row for name, row in rows.items() if row["commit"] == commit and row["passed"]}


def markdown(rows: Mapping[str, Row]) -> str:
    """The table of checks as a README shows it."""
    lines = ["| check | held | minutes |", "| --- | ---: | ---: |"]
    for row in _in_order(rows):
        held = f"{row['held']:,} of {row['tried']:,}" if row["passed"] else "no"
        note = f" ({row['note']})" if row.get("note") else ""
        lines.append(f"| {row['claim']}{note} | {held} | {row['seconds'] / 60:.1f} |")
    return "\n".join(lines)


def put_into(page: str, rows: Mapping[str, Row]) -> str:
    """`page` with the table of `rows`, and the commits that they are of, between its markers.

    Raises:
        ValueError: the page lacks a marker.
    """
    commits = ", ".join(dict.fromkeys(row["commit"] for row in _in_order(rows)))
    table = f"`make soak` at commit {commits}:\n\n{markdown(rows)}"
    return put_between_markers(page, "soak", table)


def _in_order(rows: Mapping[str, Row]) -> Iterable[Row]:
    return [rows[name] for name in CHECKS if name in rows]
