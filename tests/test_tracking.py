"""Run folders: the metrics file is the truth, the wandb mirror repeats it, keys stay out."""

import json
import math
from pathlib import Path

import pytest

from experiments.mirror_file import mirrored_lines
from experiments.tracking import (
    Run,
    WandbConfig,
    mirrored_run_ids,
    read_commands,
    read_config,
    read_curve,
    read_metrics,
    read_seconds,
    rebuild_mirror,
)

DUMMY_KEY = "dummy0key1" * 4


@pytest.fixture
def offline_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", DUMMY_KEY)
    monkeypatch.setenv("WANDB_SILENT", "true")


def test_metrics_come_back_in_the_order_in_which_they_were_logged(tmp_path: Path) -> None:
    with Run(tmp_path, {"seed": 3}, "kalm run demo") as run:
        run.log("ground", 10, {"loss": 0.5})
        run.log("train/bc", 1, {"loss": 2.0})
        run.log("ground", 20, {"loss": 0.25})
    assert read_metrics(tmp_path) == [
        {"stage": "ground", "step": 10, "metrics": {"loss": 0.5}},
        {"stage": "train/bc", "step": 1, "metrics": {"loss": 2.0}},
        {"stage": "ground", "step": 20, "metrics": {"loss": 0.25}},
    ]
    assert read_curve(tmp_path, "ground", "loss") == [(10, 0.5), (20, 0.25)]
    assert json.loads((tmp_path / "config.json").read_text()) == {"seed": 3}
    assert (tmp_path / "command.txt").read_text() == "kalm run demo\n"


def test_verbs_of_one_folder_keep_each_others_settings_and_commands(tmp_path: Path) -> None:
    for verb in ("collect", "ground", "collect"):
        with Run(tmp_path, {verb: {"seed": 1}}, f"kalm {verb} here") as run, run.stage(verb):
            pass
    assert read_config(tmp_path) == {"collect": {"seed": 1}, "ground": {"seed": 1}}
    assert read_commands(tmp_path) == ["kalm collect here", "kalm ground here"]


def test_settings_and_command_of_a_start_that_did_nothing_are_not_the_runs(tmp_path: Path) -> None:
    with Run(tmp_path, {"collect": {"seed": 1}}, "kalm collect here") as run, run.stage("collect"):
        pass
    with Run(tmp_path, {"collect": {"seed": 2}}, "kalm collect here --seed 2"):
        pass  # refused, or everything was kept
    assert read_config(tmp_path) == {"collect": {"seed": 1}}
    assert read_commands(tmp_path) == ["kalm collect here"]


def test_a_step_that_does_not_grow_is_refused_also_after_reopening(tmp_path: Path) -> None:
    with Run(tmp_path, {}, "kalm") as run:
        run.log("ground", 10, {"loss": 0.5})
    with (
        Run(tmp_path, {}, "kalm") as run,
        pytest.raises(ValueError, match="Expected a step above 10 for stage `ground`, got 10"),
    ):
        run.log("ground", 10, {"loss": 0.4})


def test_rewinding_drops_only_the_later_lines_of_one_stage(tmp_path: Path) -> None:
    with Run(tmp_path, {}, "kalm") as run:
        run.log("ground", 10, {"loss": 0.5})
        run.log("ground", 20, {"loss": 0.4})
        run.log("evaluate", 90, {"success": 1.0})
        run.rewind("ground", 10)
        run.log("ground", 15, {"loss": 0.45})
    kept = [(row["stage"], row["step"]) for row in read_metrics(tmp_path)]
    assert kept == [("ground", 10), ("evaluate", 90), ("ground", 15)]


def test_a_line_torn_by_a_crash_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    with Run(tmp_path, {}, "kalm") as run:
        run.log("ground", 1, {"loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "ground", "st')
    with Run(tmp_path, {}, "kalm") as run:
        run.log("ground", 2, {"loss": 0.25})
    assert read_curve(tmp_path, "ground", "loss") == [(1, 0.5), (2, 0.25)]


def test_non_finite_numbers_are_shown_and_flagged_but_not_in_curves(tmp_path: Path) -> None:
    with Run(tmp_path, {}, "kalm") as run:
        run.log("ground", 1, {"loss": math.nan, "norm": -math.inf, "rate": 0.1})
        run.log("ground", 2, {"loss": 3.0})
    shown = read_metrics(tmp_path)[0]["metrics"]
    assert shown == {
        "loss": "NaN",
        "norm": "-Infinity",
        "rate": 0.1,
        "non_finite": ["loss", "norm"],
    }
    assert read_curve(tmp_path, "ground", "loss") == [(2, 3.0)]


def test_stage_seconds_add_up_over_starts_and_count_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 2.5, 10.0, 11.5])  # 2.5 s until the failure, then 1.5 s
    monkeypatch.setattr("experiments.tracking.time.monotonic", lambda: next(times))
    with Run(tmp_path, {}, "kalm") as run:
        with pytest.raises(KeyError), run.stage("ground"):
            raise KeyError("broken")
        with run.stage("ground"):
            pass
    assert read_seconds(tmp_path) == {"ground": 4.0}


def test_only_rank_zero_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with Run(tmp_path / "run", {}, "kalm") as run, run.stage("ground"):
        run.log("ground", 1, {"loss": 1.0})
    assert not (tmp_path / "run").exists()


def test_the_offline_mirror_holds_every_line_and_rebuilds_are_equal(
    tmp_path: Path, offline_wandb: None
) -> None:
    options = WandbConfig("offline", group="table", tags=("test",))
    with Run(tmp_path, {}, "kalm", options) as run:
        run.log("ground", 10, {"loss": 0.5})
        run.log("evaluate", 0, {"success": 0.75})
    with Run(tmp_path, {}, "kalm", options) as run:  # an offline run cannot be appended to
        run.log("ground", 20, {"loss": 0.25})
    expected = [
        {"ground/loss": 0.5, "ground/step": 10},
        {"evaluate/success": 0.75, "evaluate/step": 0},
        {"ground/loss": 0.25, "ground/step": 20},
    ]
    first, resumed = mirrored_run_ids(tmp_path)
    assert mirrored_lines(tmp_path, first) == expected[:2]
    assert mirrored_lines(tmp_path, resumed) == expected
    once, twice = (rebuild_mirror(tmp_path, options) for _ in range(2))
    assert mirrored_lines(tmp_path, once) == mirrored_lines(tmp_path, twice) == expected


def test_a_key_never_reaches_any_file_or_output(
    tmp_path: Path, offline_wandb: None, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {"note": f"key {DUMMY_KEY}"}
    with Run(tmp_path, config, f"kalm run --note {DUMMY_KEY}", WandbConfig("offline")) as run:
        run.log("ground", 1, {"loss": 1.0})
    mirrored_lines(tmp_path, *mirrored_run_ids(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    leaks = [path for path in files if DUMMY_KEY.encode() in path.read_bytes()]
    assert leaks == []
    assert DUMMY_KEY not in "".join(capfd.readouterr())


def test_a_server_that_cannot_be_reached_costs_the_mirror_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", DUMMY_KEY)

    def refuse(**options: object) -> None:
        raise wandb.errors.CommError(f"Run initialization has timed out, key {DUMMY_KEY}.")

    monkeypatch.setattr("wandb.init", refuse)
    with Run(tmp_path, {}, "kalm", WandbConfig("online")) as run:
        run.log("ground", 1, {"loss": 1.0})
        run.log("ground", 2, {"loss": 0.5})
    assert read_curve(tmp_path, "ground", "loss") == [(1, 1.0), (2, 0.5)]
    said = capfd.readouterr().err
    assert said.count("Goes on without a mirror") == 1
    assert "--wandb.mode offline" in said
    assert DUMMY_KEY not in said
