"""Fine-tuning: it learns, resumes exactly, and neither processes nor parts change what it does."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    FAMILIES,
    FixedStream,
    adapted,
    equal_weights,
    grounded,
    task_stream,
    toy_episodes,
)

from kalm.batches import Batches
from kalm.checkpoints import newest_checkpoint
from kalm.engine import FINISHED, GenerationConfig, GenerationEngine, Request
from kalm.finetune import (
    FinetuneConfig,
    NonFiniteError,
    finetune,
    validation_losses,
)
from kalm.heads import BinnedHead
from kalm.layout import STOP, Kind, Packed
from kalm.model import GroundedModel
from kalm.pretrained import load_grounded, verify_model

CONFIG = FinetuneConfig(
    num_steps=6, batch_size=4, warmup_steps=2, bf16=False, log_steps=1, checkpoint_steps=2,
    bucket_batches=2,
)  # fmt: skip
Losses = dict[int, dict[str, float]]


def run(
    folder: Path,
    config: FinetuneConfig = CONFIG,
    model: GroundedModel | None = None,
    stream: Any = None,
    **options: Any,
) -> tuple[GroundedModel, Losses]:
    """The fine-tuned model and its metrics by step."""
    model = grounded() if model is None else model
    losses: Losses = {}
    finetune(
        model,
        task_stream(model) if stream is None else stream,
        options.pop("validation", None),
        config,
        folder,
        base_model="tiny",
        on_metrics=lambda step, metrics: losses.setdefault(step, {}).update(metrics),
        **options,
    )
    return model, losses


# ---------------------------------------------------------------------------------- learning


def four_samples(model: GroundedModel) -> list[Packed]:
    """Two rollouts, an explanation and a decomposition."""
    samples: list[Packed] = []
    for only, count in (("generation", 2), ("explanation", 1), ("decomposition", 1)):
        stream = task_stream(model, only=only)
        drawn = [stream.sample(0, index) for index in range(len(stream))]
        samples += [packed for task, packed in drawn if task == only][:count]
    return samples


def unavoidable(model: GroundedModel, samples: Sequence[Packed]) -> float:
    """The state loss of a perfect prediction: the entropy of targets that lie between two bins."""
    head = model.state_head
    assert isinstance(head, BinnedHead)
    entropies = []
    for packed in samples:
        rows = np.flatnonzero(packed.loss & (packed.kind == Kind.STATE))
        width = model.layout.slot_dim
        change = (packed.value[rows] - packed.hint[rows - 1, :width]) / model.unit.numpy()
        share = np.modf((change + head.limit) / head.width)[0].clip(1e-12, 1 - 1e-12)
        entropies.append(-share * np.log(share) - (1 - share) * np.log(1 - share))
    return float(np.concatenate(entropies).mean())


@pytest.mark.parametrize("family", [*FAMILIES, "lora"])
def test_four_examples_are_learned_by_heart(family: str, tmp_path: Path) -> None:
    model = adapted(tmp_path / "base") if family == "lora" else grounded(family=family)
    samples = four_samples(model)
    config = replace(
        CONFIG, num_steps=150, learning_rate=1e-2, checkpoint_steps=1000, log_steps=150,
        weight_decay=0.0,
    )  # fmt: skip
    _, losses = run(tmp_path / "run", config, model, FixedStream(samples))
    last = losses[150]
    for name in ("action_loss", "token_loss", "stop_loss"):
        assert last[name] < 0.05, name
    assert last["state_loss"] - unavoidable(model, samples) < 0.05


class UntilTheEnd:
    """Goes on until the model itself calls the rollout complete."""

    def score(self, *_: Any) -> np.ndarray:
        raise AssertionError("One candidate needs no score.")

    def decide(self, request: Request, stop: float) -> str | None:
        """Ends where the end is likelier than not."""
        return FINISHED if stop > 0.5 else None


def test_a_rollout_learned_by_heart_is_imagined_step_by_step_to_its_end(tmp_path: Path) -> None:
    model = grounded()
    stream = task_stream(model, only="generation")
    drawn = [stream.sample(epoch, index)[1] for epoch in range(8) for index in range(24)]
    samples = [
        packed
        for packed in drawn
        if (packed.kind == Kind.ACTION).sum() >= 2
        and packed.loss[packed.kind == Kind.ACTION].all()
        and packed.stop[-1] == STOP
    ][:2]
    assert len(samples) == 2
    config = replace(
        CONFIG, num_steps=250, batch_size=2, learning_rate=1e-2, checkpoint_steps=1000,
        weight_decay=0.0,
    )  # fmt: skip
    run(tmp_path / "run", config, model, FixedStream(samples))
    settings = GenerationConfig(num_slots=2, action_temperature=0.0, max_steps=10)
    engine = GenerationEngine(model.eval(), UntilTheEnd(), settings)
    for packed in samples:
        text = model.tokenizer.decode(packed.token[packed.kind == Kind.TEXT][1:])
        goal = text.removeprefix("Imagine: ").removesuffix(" Rollout:")
        states = packed.value[packed.kind == Kind.STATE].reshape(-1, 6)
        (done,) = engine.imagine([Request(0, goal, states[0], (0,))])
        actions = packed.action[packed.kind == Kind.ACTION][:, 0]
        assert [int(action) for action in done.actions] == actions.tolist()
        assert done.finished
        np.testing.assert_allclose(np.stack(done.observations), states, atol=0.05)


def test_adapters_change_while_the_base_model_stays(tmp_path: Path) -> None:
    model = adapted(tmp_path / "base")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(tmp_path / "run", CONFIG, model)
    after = model.state_dict()
    frozen = [n for n in before if n.startswith("backbone.") and "lora_" not in n]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert any(not torch.equal(before[n], after[n]) for n in before if "lora_B" in n)
    assert equal_weights(load_grounded_from(tmp_path / "run" / "last"), model)


def load_grounded_from(folder: Path) -> GroundedModel:
    """The saved model, its base model found beside the run as the test left it."""
    description = json.loads((folder / "grounded.json").read_text())
    assert description["part"] == "adapter"
    description["base_model"] = str(folder.parent.parent / "base")
    (folder / "grounded.json").write_text(json.dumps(description))
    hashes = json.loads((folder / "hashes.json").read_text())
    from envs.files import sha256_file

    hashes["grounded.json"] = sha256_file(folder / "grounded.json")
    (folder / "hashes.json").write_text(json.dumps(hashes))
    return load_grounded(folder)


# ---------------------------------------------------------------------------------- resuming


class Interrupted(Exception):  # noqa: N818 -- nothing went wrong
    """A power cut."""


def interrupt_at(step: int) -> Any:
    def on_samples(now: int, indices: list[int]) -> None:
        if now == step:
            raise Interrupted

    return on_samples


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[GroundedModel, Losses]:
    """An uninterrupted run of six steps over 24 rollouts, six batches an epoch."""
    return run(tmp_path_factory.mktemp("whole") / "run")


def test_muon_resumes_to_bitwise_equal_weights(tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer="muon")
    whole, _ = run(tmp_path / "whole", config)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", config, on_samples=interrupt_at(3))
    resumed, _ = run(tmp_path / "run", config)
    assert equal_weights(resumed, whole)
    assert not equal_weights(resumed, run(tmp_path / "adamw")[0])


@pytest.mark.parametrize("steps", [(3,), (2, 5)])
def test_an_interrupted_run_resumes_to_bitwise_equal_weights(
    steps: tuple[int, ...], whole: tuple[GroundedModel, Losses], tmp_path: Path
) -> None:
    for step in steps:
        with pytest.raises(Interrupted):
            run(tmp_path / "run", on_samples=interrupt_at(step))
    said: list[str] = []
    model, losses = run(tmp_path / "run", on_message=said.append)
    assert equal_weights(model, whole[0])
    assert equal_weights(load_grounded(tmp_path / "run" / "last"), whole[0])
    assert "Resumed at step" in said[0]
    for step, metrics in losses.items():
        for name in ("loss", "gradient_norm", "learning_rate"):
            assert metrics[name] == whole[1][step][name]


def test_adapters_resume_to_bitwise_equal_weights(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole", model=adapted(tmp_path / "base"))
    model = adapted(tmp_path / "base-2")
    with pytest.raises(Interrupted):
        run(tmp_path / "run", model=model, on_samples=interrupt_at(3))
    resumed, _ = run(tmp_path / "run", model=adapted(tmp_path / "base-3"))
    assert equal_weights(resumed, whole)


def test_every_sample_is_seen_once_an_epoch_across_a_resume(tmp_path: Path) -> None:
    seen: dict[int, list[int]] = {}

    def record(step: int, indices: list[int]) -> None:
        interrupted = step == 3 and step not in seen
        seen[step] = indices
        if interrupted:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(tmp_path / "run", on_samples=record)
    run(tmp_path / "run", on_samples=record)
    assert sorted(index for indices in seen.values() for index in indices) == list(range(24))


def corrupt(checkpoint: Path) -> None:
    content = bytearray((checkpoint / "heads.safetensors").read_bytes())
    content[-1] ^= 1
    (checkpoint / "heads.safetensors").write_bytes(content)


def test_a_corrupt_newest_checkpoint_is_named_skipped_and_replaced(
    whole: tuple[GroundedModel, Losses], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path / "run", on_samples=interrupt_at(5))
    checkpoints = tmp_path / "run" / "checkpoints"
    corrupt(checkpoints / "step-00000004")
    said: list[str] = []
    with pytest.raises(Interrupted):
        run(tmp_path / "run", on_message=said.append, on_samples=interrupt_at(5))
    assert "Skipped checkpoint step-00000004" in said[0]
    assert "heads.safetensors was altered" in said[0]
    assert "Resumed at step 2" in said[1]
    assert verify_model(checkpoints / "step-00000004") == []
    model, _ = run(tmp_path / "run")
    assert equal_weights(model, whole[0])


def test_a_checkpoint_that_was_not_written_to_its_end_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path / "run", on_samples=interrupt_at(3))
    checkpoints = tmp_path / "run" / "checkpoints"
    half = checkpoints / "step-00000099"
    shutil.copytree(checkpoints / "step-00000002", half)
    (half / "hashes.json").unlink()
    said: list[str] = []
    assert newest_checkpoint(checkpoints, on_skip=said.append) == checkpoints / "step-00000002"
    assert "step-00000099" in said[0]


def test_a_best_model_that_was_about_to_be_renamed_is_found_again(tmp_path: Path) -> None:
    config = replace(CONFIG, validate_steps=2)
    validation = task_stream(grounded(), toy_episodes()[:4])
    with pytest.raises(Interrupted):
        run(tmp_path, config, validation=validation, on_samples=interrupt_at(3))
    (tmp_path / "best").rename(tmp_path / "best.new")
    with pytest.raises(Interrupted):
        run(tmp_path, config, validation=validation, on_samples=interrupt_at(3))
    assert verify_model(tmp_path / "best") == []
    assert not (tmp_path / "best.new").exists()


def test_only_the_two_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path / "run", replace(CONFIG, checkpoint_steps=1))
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000005"]


# ------------------------------------------------------------------------------------- parts


def gradients(accumulation_steps: int, tmp_path: Path, monkeypatch: Any) -> dict[str, Any]:
    """Gradients of the first step, before they are clipped."""
    found: dict[str, torch.Tensor] = {}
    model = grounded()

    def keep(self: Any, *_: Any, **__: Any) -> None:
        raise Interrupted

    monkeypatch.setattr("torch.optim.AdamW.step", keep)
    config = replace(CONFIG, accumulation_steps=accumulation_steps, clip_norm=1e9)
    with pytest.raises(Interrupted):
        run(tmp_path / f"run-{accumulation_steps}", config, model)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad
    return found


def test_accumulating_over_parts_gives_the_gradients_of_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves, quarters = (gradients(n, tmp_path, monkeypatch) for n in (1, 2, 4))
    assert any(value.abs().max() > 1e-2 for value in whole.values())
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(quarters[name], value, atol=1e-6, rtol=1e-4)


def test_on_a_cpu_long_batches_are_computed_in_parts_with_the_gradients_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[torch.Size] = []
    forward = GroundedModel.forward

    def watched(self: GroundedModel, batch: Any) -> dict[str, torch.Tensor]:
        computed.append(batch.kind.shape)
        return forward(self, batch)

    monkeypatch.setattr(GroundedModel, "forward", watched)
    whole = gradients(0, tmp_path / "short", monkeypatch)
    ((rows, length),) = computed
    assert rows == CONFIG.batch_size
    monkeypatch.setattr("kalm.finetune.CPU_POSITIONS", rows * length // 2)
    halves = gradients(0, tmp_path / "long", monkeypatch)
    assert [part[0] for part in computed[1:]] == [rows // 2, rows // 2]
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, atol=1e-6, rtol=1e-4)


def test_the_batches_of_an_epoch_hold_every_rollout_once_and_like_lengths_together() -> None:
    stream = task_stream(grounded())
    batches = Batches(stream, CONFIG.batch_size, bucket_batches=6)
    drawn = [batches.at(step)[1] for step in range(6)]
    assert sorted(index for batch in drawn for index, _ in batch) == list(range(24))
    spreads = [max(map(len, packed)) - min(map(len, packed)) for packed in
               ([sample for _, sample in batch] for batch in drawn)]  # fmt: skip
    lengths = [len(sample) for batch in drawn for _, sample in batch]
    assert np.mean(spreads) < (max(lengths) - min(lengths)) / 2
    assert batches.at(7)[0] == 1


def test_a_batch_does_not_depend_on_the_batches_asked_for_before() -> None:
    stream = task_stream(grounded())
    forwards = [
        Batches(stream, CONFIG.batch_size, CONFIG.bucket_batches).at(step) for step in range(8)
    ]
    batches = Batches(stream, CONFIG.batch_size, CONFIG.bucket_batches)
    for step in reversed(range(8)):
        epoch, samples = batches.at(step)
        assert epoch == forwards[step][0]
        assert [index for index, _ in samples] == [index for index, _ in forwards[step][1]]


# -------------------------------------------------------------------------------- validation


def test_the_best_model_is_the_one_with_the_lowest_validation_loss(tmp_path: Path) -> None:
    model = grounded()
    held_out = task_stream(model, toy_episodes()[:8], seed=9)
    config = replace(CONFIG, num_steps=8, validate_steps=2, learning_rate=3e-2)
    done = finetune(
        model, task_stream(model), held_out, config, tmp_path / "run", base_model="tiny"
    )
    best = load_grounded(done.best_folder)
    assert validation_losses(best, held_out, 3)["loss"] == pytest.approx(done.best_loss, rel=1e-4)
    assert validation_losses(model, held_out, 8)["loss"] >= done.best_loss - 1e-4


def test_the_learning_rate_rises_and_falls_as_by_hand() -> None:
    config = FinetuneConfig(num_steps=100, warmup_steps=10, learning_rate=1.0)
    # Warm-up: (step + 1) / 10. Cosine: half at half time, 0 at the end.
    assert config.rate(0) == pytest.approx(0.1 * 1.0)
    assert config.rate(50) == pytest.approx(0.5)
    assert config.rate(100) == pytest.approx(0.0)
    linear = replace(config, schedule="linear")
    assert linear.rate(25) == pytest.approx(0.75)
    assert linear.rate(4) == pytest.approx(0.5 * 0.96)


# --------------------------------------------------------------------------------- bad input


def poisoned(model: GroundedModel) -> Any:
    """A stream whose samples from the second epoch on hold a NaN."""
    stream = task_stream(model, toy_episodes()[:8])
    sample = stream.sample

    def with_nan(epoch: int, index: int) -> tuple[str, Packed]:
        task, packed = sample(epoch, index)
        if epoch:
            packed.value[packed.kind == Kind.STATE] = math.nan
        return task, packed

    stream.sample = with_nan  # type: ignore[method-assign]
    return stream


def test_a_loss_that_is_not_finite_stops_the_run_and_nothing_is_saved_after(
    tmp_path: Path,
) -> None:
    model = grounded()
    with pytest.raises(NonFiniteError, match=r"NaN or infinite at step 3.*--learning-rate"):
        run(tmp_path / "run", replace(CONFIG, checkpoint_steps=1), model, poisoned(model))
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-00000001", "step-00000002"]
    assert not (tmp_path / "run" / "last").exists()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_fewer_samples_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 400 samples \(one batch\), got 24"):
        run(tmp_path / "run", replace(CONFIG, batch_size=400))


def test_a_batch_that_cannot_be_divided_is_refused_with_its_flags() -> None:
    with pytest.raises(ValueError, match=r"--batch-size \(4\).*--accumulation-steps \(3\)"):
        FinetuneConfig(batch_size=4, accumulation_steps=3)


def test_an_unknown_optimizer_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match="--optimizer among muon, adamw, got `sgd`"):
        FinetuneConfig(optimizer="sgd")


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="cosine or linear, got `step`"):
        FinetuneConfig(schedule="step")
