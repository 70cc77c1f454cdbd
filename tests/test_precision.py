"""bfloat16 where the device has it and float32 elsewhere, which the user is told."""

import platform
from pathlib import Path

import pytest
import torch
from tiny_models import backbone, grounded, task_stream

from experiments.bench_machine import machine
from experiments.doctor import device_findings
from kalm.finetune import FinetuneConfig, finetune
from kalm.optimizers import make_optimizers
from kalm.precision import has_bfloat16
from kalm.pretrained import decode_quickly
from kalm.processes import Processes

TOLD = "Computes in float32: this processor has no bfloat16 arithmetic."
PROBES = [
    (torch.cpu, "_is_avx512_bf16_supported"),
    (torch.ops.mkldnn, "_is_mkldnn_bf16_supported"),
]


@pytest.fixture(params=[True, False])
def processor_has_it(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A processor with bfloat16, and one without."""
    has_it = bool(request.param)
    for holder, name in PROBES:
        monkeypatch.setattr(holder, name, lambda: has_it)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return has_it


def test_models_decode_in_what_the_processor_has(processor_has_it: bool) -> None:
    model = backbone()
    decode_quickly(model)
    assert model.dtype == (torch.bfloat16 if processor_has_it else torch.float32)
    assert machine()["arithmetic"] == str(model.dtype).removeprefix("torch.")


def test_training_autocasts_where_it_helps_and_says_where_it_cannot(
    processor_has_it: bool, tmp_path: Path
) -> None:
    said: list[str] = []
    model = grounded()
    seen: list[bool] = []
    model.decoder().register_forward_pre_hook(
        lambda *_: seen.append(torch.is_autocast_enabled("cpu"))
    )
    config = FinetuneConfig(num_steps=2, batch_size=4, warmup_steps=0, optimizer="muon")
    finetune(
        model,
        task_stream(model),
        None,
        config,
        tmp_path / "model",
        base_model="tiny",
        on_message=said.append,
    )
    assert seen == [processor_has_it] * 2
    assert (TOLD in said) is not processor_has_it


@pytest.mark.parametrize("asked", [True, False])
def test_nobody_gets_bfloat16_unasked(asked: bool, processor_has_it: bool) -> None:
    assert Processes(bf16=asked, optimizer="adamw").bf16 is (asked and processor_has_it)


def test_muon_keeps_its_products_out_of_bfloat16_where_there_is_none(
    processor_has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded: list[torch.Size] = []
    plain = torch.Tensor.bfloat16
    monkeypatch.setattr(
        torch.Tensor, "bfloat16", lambda self: rounded.append(self.shape) or plain(self)
    )
    layer = torch.nn.Linear(8, 4)
    _, muon = make_optimizers(layer, "muon", 0.1)
    layer(torch.randn(3, 8)).square().sum().backward()
    muon.step()
    assert bool(rounded) is processor_has_it


def test_the_doctor_says_what_it_costs(processor_has_it: bool) -> None:
    assert has_bfloat16("cpu") is processor_has_it
    found = [finding.problem for finding in device_findings()]
    assert any(TOLD in text for text in found) is not processor_has_it


@pytest.mark.parametrize(
    ("processor", "avx512_bf16", "onednn", "has_it"),
    [
        ("x86_64", True, True, True),
        ("AMD64", True, True, True),
        ("x86_64", False, True, False),  # AVX-512 alone: oneDNN converts
        ("x86_64", False, False, False),
        ("aarch64", False, True, True),
        ("arm64", False, False, False),
    ],
)
def test_each_kind_of_processor_is_asked_for_its_own_instructions(
    processor: str,
    avx512_bf16: bool,
    onednn: bool,
    has_it: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: processor)
    for (holder, name), answer in zip(PROBES, (avx512_bf16, onednn), strict=True):
        monkeypatch.setattr(holder, name, lambda answer=answer: answer)
    assert has_bfloat16("cpu") is has_it


def test_torch_without_onednn_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    monkeypatch.delattr(torch.ops, "mkldnn")
    assert not has_bfloat16("cpu")
