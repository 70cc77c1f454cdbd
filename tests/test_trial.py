"""`kalm trial`: trials of a sweep share a run's data and keep everything else apart."""

import json
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.collect import CollectSettings, collect_stage
from experiments.folders import REAL, open_run
from experiments.tracking import WandbConfig, read_metrics
from experiments.trial import run_trial

SWEEP = Path(__file__).parents[1] / "experiments/sweeps/train.yaml"
SMALL = [
    "--train.algorithms=bc",
    "--train.mixes=real-only",
    "--train.steps=20",
    "--evaluate.episodes=4",
    "--evaluate.min-per-kind=2",
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has collected rollouts of the toy world."""
    folder = tmp_path_factory.mktemp("sweep") / "run"
    settings = CollectSettings("toy", num_rollouts=40)
    with open_run(folder, "collect", settings, "kalm collect", WandbConfig()) as run:
        collect_stage(run, settings, "kalm collect", overwrite=False)
    return folder


def test_a_sweep_file_starts_trials_as_wandb_expands_it(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    config = sweeps.load_sweep_config(str(SWEEP))
    # A value that the server would draw for each parameter.
    drawn = {"train.algorithm.learning-rate": 0.003, "train.imagined-fraction": 0.25}
    assert set(drawn) | {"train.seed"} == set(config["parameters"])
    found = {}
    for seed in (0, 1):
        values = {**drawn, "train.seed": seed}
        flags = sweeps.create_sweep_command_args(
            {"args": {name: {"value": value} for name, value in values.items()}}
        )["args"]
        program, verb, _, _, placeholder = config["command"]
        assert (program, verb, placeholder) == ("kalm", "trial", "${args}")
        assert main([verb, str(run_folder), *SMALL, *flags]) == 0
        found[seed] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert set(found[seed]) > {"success", "real-only/bc/train", "real-only/bc/novel"}
    trials = sorted((run_folder.parent / "run-trials").iterdir())
    assert len(trials) == 2
    for trial in trials:
        assert (trial / REAL).resolve() == (run_folder / REAL).resolve()
        assert (trial / "models/agents/real-only-bc").is_dir()
        (row,) = [row for row in read_metrics(trial) if row["stage"] == "trial"]
        assert row["metrics"] in found.values()
    metric, goal = config["metric"]["name"], config["metric"]["goal"]
    assert (metric, goal) == ("trial/success", "maximize")
    assert not (run_folder / "models/agents").exists()


def test_a_trial_that_is_asked_for_again_is_kept(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(run_folder), *SMALL, "--train.seed=7"]
    first = run_trial(arguments)
    capsys.readouterr()
    assert run_trial(arguments) == first
    assert "train-real-only-bc: done before, kept" in capsys.readouterr().err


def test_a_trial_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trial", str(tmp_path / "nothing")]) == 2
    assert "No finished stage in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
