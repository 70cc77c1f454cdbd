"""Two processes, with copies or shards of a model, do what one does, and stop together."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from many_processes import CONFIG, FAMILIES, MUON, UNEVEN, Notes, tune
from tiny_models import grounded, task_stream

from experiments.ground import GroundSettings, ground_stage
from experiments.tracking import Run
from kalm import zero
from kalm.batches import share, silent
from kalm.finetune import FinetuneConfig
from kalm.language_model import Tensors
from kalm.layout import collate
from kalm.model import GroundedModel
from kalm.pretrained import load_grounded, model_hash, verify_model
from kalm.processes import require_spread

CONFIGS = Path(__file__).parent.parent / "experiments" / "accelerate"
LOSSES = ("state_loss", "action_loss", "token_loss", "stop_loss", "goal_loss", "loss")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two CPU processes did everything that `many_processes` does."""
    folder = tmp_path_factory.mktemp("processes")
    rooms = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": rooms, "OMP_NUM_THREADS": "1"}
    environment |= {"CUDA_VISIBLE_DEVICES": ""}
    launch = ["-m", "accelerate.commands.launch", "--main_process_port", "0"]
    launch += ["--config_file", str(CONFIGS / "cpu_2_fsdp.yaml")]
    script = Path(__file__).with_name("many_processes.py")
    subprocess.run([sys.executable, *launch, str(script), str(folder)], check=True, env=environment)
    return folder


def notes(ran: Path, name: str) -> tuple[Notes, Notes]:
    """What each of the two processes noted about a run."""
    first, second = (json.loads((ran / f"notes-{rank}.json").read_text()) for rank in (0, 1))
    return Notes(**first[name]), Notes(**second[name])


def alone(folder: Path, config: FinetuneConfig, **options: Any) -> Notes:
    """The same run by one process."""
    return tune(folder, config, **options)


# ------------------------------------------------------------------------- the same as one


@pytest.mark.parametrize(
    ("name", "config"), [("copies", UNEVEN), ("shards", CONFIG), ("shards-tied-muon", MUON)]
)
def test_two_processes_do_what_one_does(
    name: str, config: FinetuneConfig, ran: Path, tmp_path: Path
) -> None:
    one = alone(tmp_path / name, config)
    together = notes(ran, name)
    for two in together:
        assert two.samples == one.samples  # the same samples, in the same order
        for mine, theirs in zip(two.losses, one.losses, strict=True):
            for loss in (*LOSSES, "gradient_norm", *(f"validation_{loss}" for loss in LOSSES)):
                if loss in theirs:
                    assert mine[loss] == pytest.approx(theirs[loss], rel=1e-3, abs=1e-5), loss
    assert "validation_loss" in together[0].losses[1]
    start = weights(grounded(family=FAMILIES.get(name, "llama")))
    saved = weights(load_grounded(ran / name / "last"))
    expected = weights(load_grounded(tmp_path / name / "last"))
    matrices = [weight for weight, value in expected.items() if value.ndim == 2]
    part = 0.25 if config.optimizer == "muon" else 0.01  # Muon's own sums are in bfloat16
    for weight in matrices:  # vectors whose true gradient is 0, as of keys, move by rounding alone
        moved = (expected[weight] - start[weight]).norm()
        assert (saved[weight] - expected[weight]).norm() <= part * moved + 1e-6, weight


def weights(model: GroundedModel) -> dict[str, torch.Tensor]:
    """Trained tensors of a model by their names."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def test_each_process_holds_half_of_a_sharded_model_block_by_block(ran: Path) -> None:
    for note in notes(ran, "shards"):
        # Two blocks, and one unit for everything else; odd rows make shares a little unequal.
        assert note.units == 3
        assert 0.45 < note.held < 0.55
    assert [note.held for note in notes(ran, "copies")] == [1.0, 1.0]


def test_adapters_over_a_half_precision_base_are_sharded_and_saved_whole(ran: Path) -> None:
    for note in notes(ran, "shards-adapters"):
        assert note.error == ""
        assert 0.45 < note.held < 0.55
    folder = ran / "shards-adapters" / "last"
    assert verify_model(folder) == []
    assert load_grounded(folder).backbone.peft_config  # its base's fingerprint was checked


def test_sharded_weights_stay_in_full_precision_where_sums_are_in_half(
    ran: Path, tmp_path: Path
) -> None:
    one = alone(tmp_path / "half", replace(CONFIG, bf16=True, num_steps=1))
    half, _ = notes(ran, "shards-half")
    # The same sums in bfloat16; a policy that rounded states to it would be off by per cents.
    assert half.losses[0]["state_loss"] == pytest.approx(one.losses[0]["state_loss"], rel=2e-3)
    saved = load_grounded(ran / "shards-half" / "last").state_dict()
    assert any(not torch.equal(v, v.bfloat16().float()) for v in saved.values())


# ------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize(
    ("name", "whole"), [("shards-resumed", "shards"), ("copies-resumed", "copies")]
)
def test_one_process_that_is_asked_to_stop_stops_all_and_they_resume_exactly(
    name: str, whole: str, ran: Path
) -> None:
    stopped, resumed = notes(ran, f"{name}-stopped"), notes(ran, name)
    for first, second, uninterrupted in zip(stopped, resumed, notes(ran, whole), strict=True):
        assert first.error.startswith("Stopped")
        assert second.error == ""
        assert first.samples + second.samples == uninterrupted.samples
        assert "Resumed at step 2" in second.messages[0]
    assert model_hash(ran / name / "last") == model_hash(ran / whole / "last")


@pytest.mark.parametrize(
    ("name", "config"), [("shards-resumed", CONFIG), ("copies-resumed", UNEVEN)]
)
def test_what_two_processes_saved_one_goes_on_from_in_the_same_order(
    name: str, config: FinetuneConfig, ran: Path, tmp_path: Path
) -> None:
    folder = tmp_path / name
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = folder / "checkpoints" / "step-00000002"
    checkpoint.symlink_to(ran / name / "checkpoints" / "step-00000002")
    assert verify_model(checkpoint) == []
    one, two = alone(folder, config), notes(ran, name)[0]
    assert one.samples == two.samples
    assert "saved by 2 processes and goes on with 1: the order of samples stays" in one.messages[1]
    for mine, theirs in zip(one.losses, two.losses, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)


# ------------------------------------------------------------------------ ending together


@pytest.mark.parametrize("name", ["shards-nan", "copies-nan"])
def test_a_number_that_is_not_finite_in_one_process_stops_all(name: str, ran: Path) -> None:
    for note in notes(ran, name):
        assert note.error.startswith("NonFiniteError")
        assert "at step 3" in note.error
        assert all(math.isfinite(losses["loss"]) for losses in note.losses)
    kept = sorted(path.name for path in (ran / name / "checkpoints").iterdir())
    assert kept == ["step-00000001", "step-00000002"]
    assert not (ran / name / "last").exists()


def test_a_checkpoint_that_the_first_process_cannot_write_ends_all(ran: Path) -> None:
    first, second = notes(ran, "copies-full")
    assert "No space left on device" in first.error
    assert second.error.startswith("PeerError: The first process stopped with an error")
    assert first.samples == second.samples


# -------------------------------------------------------------------------------- sharing


def test_every_process_gets_as_many_samples_and_together_they_are_the_batch() -> None:
    stream = task_stream(grounded())
    batch = [stream.sample(0, index)[1] for index in range(5)]
    shares = [share(batch, rank, 3) for rank in range(3)]  # 0 3, 1 4, 2 and a silent one
    assert [len(mine) for mine in shares] == [2, 2, 2]
    assert shares[0] == [batch[0], batch[3]]
    assert shares[2][0] is batch[2]
    assert not shares[2][1].loss.any()
    assert share(batch, 0, 1) == batch


def test_a_silent_sample_adds_nothing_to_any_loss() -> None:
    model = grounded()
    stream = task_stream(model, only="generation")
    sample = stream.sample(0, 0)[1]
    with torch.no_grad():
        sums = model(Tensors.of(collate([silent(sample)])))
        heard = model(Tensors.of(collate([sample])))
    assert all(float(value) == 0 for value in sums.values())
    assert float(heard["state_sum"]) > 0
    np.testing.assert_array_equal(silent(sample).value, sample.value)


# -------------------------------------------------------------------------- configurations


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that `accelerate launch` told nothing."""
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "FSDP_VERSION"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_older_way_of_sharding_is_refused_with_the_file_that_has_the_newer(
    configured: pytest.MonkeyPatch,
) -> None:
    configured.setenv("ACCELERATE_USE_FSDP", "true")
    configured.setenv("FSDP_VERSION", "1")
    with pytest.raises(ValueError, match=r"fsdp_version: 2.*got 1\. .*fsdp_8\.yaml"):
        require_spread("adamw")


def test_deepspeed_is_refused_where_it_cannot_train(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    configured.setattr(zero, "is_installed", lambda: False)
    with pytest.raises(ValueError, match=r"DeepSpeed to be installed.*kalm\[deepspeed\]"):
        require_spread("adamw")
    configured.setattr(zero, "is_installed", lambda: True)
    configured.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    with pytest.raises(ValueError, match=r"zero_stage: 3.*got stage 2.*zero3_8\.yaml"):
        require_spread("adamw")
    configured.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    with pytest.raises(ValueError, match=r"--finetune\.optimizer adamw.*got `muon`"):
        require_spread("muon")
    require_spread("adamw")


def test_what_cannot_be_spread_is_refused_before_anything_is_made(
    configured: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    configured.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    configured.setattr(zero, "is_installed", lambda: True)
    settings = GroundSettings(finetune=FinetuneConfig(optimizer="muon"))
    with pytest.raises(ValueError, match=r"--finetune\.optimizer adamw"):
        ground_stage(Run(tmp_path, {}, "kalm ground"), settings, "", overwrite=False)
    assert not (tmp_path / "stages").exists()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_read_by_accelerate_to_the_last_key(path: Path) -> None:
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    config = load_config_from_file(str(path))  # refuses keys that it does not know
    assert isinstance(config, ClusterConfig)
    assert config.num_processes == yaml.safe_load(path.read_text())["num_processes"]


def test_deepspeed_is_told_the_settings_of_the_run() -> None:
    config: dict[str, Any] = {"train_batch_size": "auto", "gradient_clipping": "auto"}
    zero.configure(config, bf16=True, clip_norm=0.5, part_size=2, num_parts=3, num_processes=4)
    assert config["train_batch_size"] == 24  # 2 samples x 3 parts x 4 processes
    assert config["gradient_clipping"] == 0.5
    assert config["torch_autocast"]["enabled"] is True


def test_a_tensor_is_cut_into_pieces_for_deepspeed_the_last_one_filled_up() -> None:
    whole = torch.arange(5.0)
    assert zero.piece(whole, 3, 0).tolist() == [0, 1, 2]
    assert zero.piece(whole, 3, 1).tolist() == [3, 4, 0]
    assert zero.piece(torch.ones(2, 1), 1, 3).tolist() == [0]  # more processes than numbers
