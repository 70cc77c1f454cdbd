"""Comparing runs: found by any name, joined into one table, differences paired by task."""

import json
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.compare import differences, distinct_names, find_run
from experiments.folders import EVALUATION, OUTCOMES, REFERENCES
from experiments.pool import pooled_evaluation, results_of
from experiments.results import save_results
from experiments.tracking import Run, WandbConfig
from offline_rl.evaluation import Evaluation, Record

KINDS = {"train": {"pair": 2}, "hard": {"two_goals": 2}}


def make_records(agent: str, outcomes: str, seed: int = 0, task_seed: int = 7) -> list[Record]:
    """Records of an agent on tasks 0, 1, ... of both levels; `x` is a success, `.` is none."""
    return [
        Record(
            agent=agent,
            agent_seed=seed,
            level=level,
            kind=next(iter(KINDS[level])),
            task=index,
            goal="go",
            task_seed=task_seed + index,
            success=mark == "x",
            moved=None,
            steps=3,
            episode_return=1.0,
        )
        for level in KINDS
        for index, mark in enumerate(outcomes)
    ]


def make_run(folder: Path, *records: Record, references: tuple[Record, ...] = ()) -> Path:
    """A run folder with an evaluation and nothing else."""
    (folder / "stages").mkdir(parents=True)
    Evaluation(records, KINDS, "train").write(folder / EVALUATION / OUTCOMES)
    if references:
        Evaluation(references, KINDS, "train").write(folder / REFERENCES / OUTCOMES)
    return folder


def test_differences_are_paired_by_task(tmp_path: Path) -> None:
    first = make_run(tmp_path / "one", *make_records("real-only/bc", "xx......"))
    second = make_run(tmp_path / "two", *make_records("real-only/bc", "xxxx...."))
    found = differences([first, second], ["one", "two"])
    assert [(item.run, item.level) for item in found] == [
        ("two", "novel"),
        ("two", "train"),
        ("two", "hard"),
    ]
    # Two of eight tasks were gained and none was lost.
    assert found[0].interval.value == pytest.approx(0.25)
    assert found[0].interval.low >= 0


def test_runs_on_other_tasks_are_not_paired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run(tmp_path / "one", *make_records("real-only/bc", "x."))
    second = make_run(tmp_path / "two", *make_records("real-only/bc", "x.", task_seed=99))
    assert differences([first, second], ["one", "two"]) == []
    assert "two: other tasks than one" in capsys.readouterr().out


def test_compare_prints_both_runs_and_writes_table_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run(tmp_path / "one", *make_records("real-only/bc", "x..."))
    second = make_run(tmp_path / "two", *make_records("real-only/bc", "xxx."))
    figure, table = tmp_path / "f.png", tmp_path / "t.md"
    code = main(
        ["compare", str(first), str(second), "--figure", str(figure), "--markdown", str(table)]
    )
    assert code == 0
    shown = capsys.readouterr().out
    assert "real-only/bc [one]" in shown
    assert "real-only/bc [two]" in shown
    assert "| real-only/bc [two] | +50.0" in table.read_text()
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_results_file_can_stand_for_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run(tmp_path / "one", *make_records("real-only/bc", "x..."))
    file = save_results(results_of(first, "one", "primed"), tmp_path / "published.json")
    second = make_run(tmp_path / "two", *make_records("real-only/bc", "xxx."))
    assert main(["compare", str(file), str(second)]) == 0
    assert "real-only/bc [published]" in capsys.readouterr().out


def test_a_run_is_found_by_the_id_of_its_wandb_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    folder = make_run(tmp_path / "runs" / "one", *make_records("real-only/bc", "x."))
    with Run(folder, {}, "kalm", WandbConfig("offline")) as run:
        run.log("evaluate", 0, {"success": 0.5})
    (run_id,) = json.loads((folder / "wandb.json").read_text())["run_ids"]
    assert find_run(run_id, tmp_path / "runs") == folder
    (offline,) = (folder / "wandb").glob("offline-run-*")
    assert find_run(str(offline), tmp_path / "elsewhere") == folder


def test_an_unknown_run_is_refused_with_the_ids_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/wandb.json").write_text('{"run_ids": ["abcd1234"]}')
    with pytest.raises(ValueError, match=r"No run `abcd9999`.*Known ids: abcd1234"):
        find_run("abcd9999", tmp_path)


def test_runs_of_one_name_are_told_apart_by_their_parents() -> None:
    names = distinct_names([Path("a/seed-0"), Path("b/seed-0")])
    assert names == ["a/seed-0", "b/seed-0"]


def test_seeds_are_pooled_and_references_counted_once(tmp_path: Path) -> None:
    for seed, outcomes in ((0, "x..."), (1, "xxx.")):
        make_run(
            tmp_path / f"seed-{seed}",
            *make_records("real-only/bc", outcomes, seed),
            references=tuple(make_records("random", "....")),
        )
    evaluation = pooled_evaluation(tmp_path)
    assert evaluation.agents == ["random", "real-only/bc"]
    results = results_of(tmp_path, "pooled", "primed")
    rows = {(row.agent, row.level): row for row in results.rows}
    # Four of eight episodes on each level; "novel" is the hard level alone here.
    assert rows["real-only/bc", "train"].success == 0.5
    assert rows["real-only/bc", "novel"].success == 0.5
    assert rows["real-only/bc", "train"].episodes == 8
    assert rows["random", "train"].episodes == 4
    assert results.seeds == (0, 1)


def test_a_protocol_is_a_column_of_its_own_and_not_part_of_the_name(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "one", *make_records("real+imagined/bc@unseen", "x."))
    row = results_of(folder, "one", "primed").rows[0]
    assert (row.agent, row.protocol) == ("real+imagined/bc", "unseen")


def test_a_run_without_an_evaluation_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    with pytest.raises(ValueError, match="Run `kalm evaluate` on it first"):
        pooled_evaluation(tmp_path)
