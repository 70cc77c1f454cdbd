"""The table of a soak: what a later start keeps, and what a page shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.presets import toy
from experiments.readme import markers
from experiments.soak.commands import outcome
from experiments.soak.fuzz import options_of, put_at
from experiments.soak.rows import CHECKS
from experiments.soak.table import (
    earlier_rows,
    load_rows,
    markdown,
    put_into,
    save_rows,
)


def row(*, commit: str = "abc", passed: bool = True) -> dict[str, Any]:
    counts = {"tried": 1_000, "held": 1_000, "note": ""} if passed else {"problem": "x differs"}
    return {"claim": "bits", "commit": commit, "passed": passed, "seconds": 90.0, **counts}


def test_a_later_start_keeps_rows_that_held_at_the_same_commit_counts_and_seed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.json"
    assert earlier_rows(path, "abc", 0, quick=False) == {}
    rows = {"flips": row(), "nan": row(passed=False), "disk": row(commit="older")}
    save_rows(path, rows, 0, quick=False)
    assert list(earlier_rows(path, "abc", 0, quick=False)) == ["flips"]
    assert earlier_rows(path, "abc", 1, quick=False) == {}
    assert earlier_rows(path, "abc", 0, quick=True) == {}


def test_small_counts_are_not_shown_as_a_soak(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    with pytest.raises(ValueError, match="Run `make soak`"):
        load_rows(path)
    save_rows(path, {"flips": row()}, 0, quick=True)
    with pytest.raises(ValueError, match="Expected a whole soak"):
        load_rows(path)
    save_rows(path, {"flips": row()}, 0, quick=False)
    assert load_rows(path) == {"flips": row()}


def test_a_row_shows_counts_and_minutes_or_that_it_did_not_hold() -> None:
    rows = {"nan": row(passed=False), "flips": row()}
    assert markdown(rows).splitlines()[2:] == [  # in the order of the checks; 90 s are 1.5 minutes
        "| bits | 1,000 of 1,000 | 1.5 |",
        "| bits | no | 1.5 |",
    ]


def test_the_table_replaces_what_is_between_the_markers_of_a_page() -> None:
    begin, end = markers("soak")
    page = put_into(f"before\n{begin}\nold\n{end}\nafter\n", {"flips": row()})
    assert page.startswith(f"before\n{begin}\n`make soak` at commit abc:")
    assert page.endswith(f"| bits | 1,000 of 1,000 | 1.5 |\n{end}\nafter\n")
    assert "old" not in page
    with pytest.raises(ValueError, match="soak: begin"):
        put_into("no markers", {})


def test_every_stage_is_killed_twenty_times_in_a_whole_soak() -> None:
    kills = [name for name in CHECKS if name.startswith("kills-")]
    stages = ("collect", "ground", "imagine", "train", "evaluate")
    assert kills == [f"kills-{stage}" for stage in stages]


def test_options_of_a_preset_reach_every_field() -> None:
    options = list(options_of(toy()))
    assert "--collect.num-rollouts" in options
    assert "--imagine.rollouts.generation.num-slots" in options
    assert "--seeds" in options
    assert "--collect" not in options
    assert outcome(["run", "toy", "--collect.num-rollouts", "nan"]) == 2


def test_a_value_is_put_at_any_place_of_a_tree() -> None:
    content = json.loads('{"a": [1, {"b": 2}], "c": 3}')
    assert put_at(content, [], 9) == 9
    assert put_at(content, [1], 9) == {"a": [1, {"b": 2}], "c": 9}
    assert put_at(content, [0, 1, 5], 9) == {"a": [1, {"b": 9}], "c": 3}  # 5 modulo one key
    assert content == {"a": [1, {"b": 2}], "c": 3}
