"""What one GPU does: training, imagining and offline RL against its own matrix rate and bandwidth.

Weights are random, since speed does not depend on them. Every part runs on a CPU as well, at a
size that only shows that it runs.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.bench_growth import peak_megabytes
from experiments.bench_imagination import Lengths, requests_for
from experiments.bench_measure import LIMIT, OURS, BenchRow, Plan, row_of
from experiments.bench_models import tokenizer
from experiments.bench_offline import buffer_of, flat_of, ready_batches, train
from experiments.bench_rollouts import rollouts, world
from experiments.ground import grounded_around, torch_device
from kalm.engine import GenerationConfig, GenerationEngine
from kalm.finetune import FinetuneConfig, finetune
from kalm.model import GroundedModel, GroundingConfig

SEED = 0
PUBLISHED = {
    "full": "published: 16.9k tokens/s, 7B, H100, packed text",
    "LoRA": "published: 24.8k tokens/s, 7B, H100, FP8, packed text",
    "imagination": "published: about 12.5k tokens/s served by an 8B model on one H100",
}
LEAST_SHARE = {"full": 0.5, "LoRA": 0.45, "imagination": 0.5}


@dataclass(frozen=True)
class Shape:
    """Of a Llama."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    words: int


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    full: Shape  # trained whole
    adapted: Shape  # trained with LoRA
    rank: int  # of the adapters
    batch: int  # rollouts in a batch of training
    updates: int
    imagined: tuple[int, ...]  # rollouts imagined at once
    steps: int  # of each
    matrix: int  # rows and columns of the measured product
    repeats: int


_TINY = Shape(64, 128, 2, 2, 1, 4096)
_LARGE = Size(
    full=Shape(2048, 5632, 22, 32, 4, 32_000),  # 1.1 B
    adapted=Shape(4096, 14_336, 32, 32, 8, 128_256),  # 8 B
    rank=64,
    batch=64,
    updates=20,
    imagined=(1, 16, 64, 256, 1024, 4096),
    steps=10,
    matrix=8192,
    repeats=10,
)
SIZES = {
    "tiny": Size(_TINY, _TINY, 2, 2, 2, (1, 2), 2, 128, 2),
    "quick": _LARGE,
    "full": _LARGE,
}


def rows(size: Size) -> Iterator[BenchRow]:
    """Rates of the device, then training, imagination, agreement and offline RL."""
    device = torch_device()
    rate, bandwidth = matrix_rate(size, device), memory_bandwidth(size, device)
    yield row_of(Plan("GPU", "bf16 matrix rate", "TFLOP/s"), {OURS: [rate / 1e12]})
    yield row_of(Plan("GPU", "memory bandwidth", "GB/s"), {OURS: [bandwidth / 1e9]})
    yield from _training(size, "full", rate)
    yield from _training(size, "LoRA", rate)
    yield from _imagination(size, device, rate, bandwidth)
    yield _agreement(device)
    for algorithm in ("bc", "cql"):
        yield _offline(algorithm, size, device)


def matrix_rate(size: Size, device: str) -> float:
    """Operations per second of a large product in bfloat16."""
    left = torch.randn(size.matrix, size.matrix, device=device, dtype=torch.bfloat16)
    return 2 * size.matrix**3 / _seconds(lambda: left @ left, size.repeats, device)


def memory_bandwidth(size: Size, device: str) -> float:
    """Bytes per second that a copy reads and writes."""
    source = torch.zeros(4 * size.matrix**2, device=device, dtype=torch.bfloat16)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), size.repeats, device)


def _seconds(work: Callable[[], object], repeats: int, device: str) -> float:
    """Median seconds of `work`, its end awaited."""
    found = []
    for _ in range(repeats + 2):
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found[2:])


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def llama(shape: Shape, device: str, dtype: torch.dtype) -> Any:
    """A Llama with random weights, made where it is used."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=max(shape.words, len(tokenizer())),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=4096,
        bos_token_id=tokenizer().bos_token_id,
        eos_token_id=tokenizer().eos_token_id,
        pad_token_id=tokenizer().pad_token_id,
    )
    torch.manual_seed(SEED)
    with torch.device(device):
        return LlamaForCausalLM(config).to(dtype)


def _grounded(backbone: Any, positions: str = "entity") -> GroundedModel:
    config = GroundingConfig(positions=positions)
    model = grounded_around(backbone, tokenizer(), config, world(), rollouts(16))
    return model.to(backbone.device)


def _block_parameters(model: GroundedModel) -> int:
    """Weights that every position is multiplied with."""
    return sum(p.numel() for name, p in model.decoder().named_parameters() if "layers." in name)


def _training(size: Size, how: str, rate: float) -> Iterator[BenchRow]:
    """Positions and rollouts per second of the product's own loop, and its memory."""
    from experiments.bench_grounding import WholeRollouts
    from kalm.pretrained import add_lora

    _forget_peak()
    shape = size.full if how == "full" else size.adapted
    backbone = llama(shape, torch_device(), torch.float32 if how == "full" else torch.bfloat16)
    if how == "LoRA":
        backbone = add_lora(backbone, rank=size.rank, alpha=2 * size.rank, dropout=0.0)
    model = _grounded(backbone)
    weights = _block_parameters(model)
    work = (6 if how == "full" else 4) * weights  # frozen weights need no gradients of their own
    metrics: list[dict[str, float]] = []
    config = FinetuneConfig(
        num_steps=size.updates,
        batch_size=size.batch,
        log_steps=1,
        validate_steps=size.updates + 1,
        checkpoint_steps=size.updates + 1,
    )
    stream = WholeRollouts(model, rollouts(size.batch * size.updates, 12))
    with tempfile.TemporaryDirectory() as folder:
        finetune(
            *(model, stream, None, config, Path(folder) / "model"),
            base_model="benchmark",
            on_metrics=lambda step, found: metrics.append(found),
        )
    peak = f"{_peak_gigabytes():.1f} GB at most; {PUBLISHED[how]}"
    warm = metrics[len(metrics) // 4 :]
    name = f"{how}, {weights / 1e9:.1f} B"
    plan = Plan(
        "GPU grounding",
        f"{name}, positions",
        "positions/s",
        limit="the matrix rate",
        least_share=LEAST_SHARE[how],
    )
    positions = [found["positions_per_second"] for found in warm]
    yield row_of(plan, {OURS: positions, LIMIT: [rate / work] * len(warm)}, peak)
    samples = [found["samples_per_second"] for found in warm]
    yield row_of(Plan("GPU grounding", f"{name}, rollouts", "rollouts/s"), {OURS: samples})


def _imagination(size: Size, device: str, rate: float, bandwidth: float) -> Iterator[BenchRow]:
    """Steps per second of the engine, for growing batches."""
    model = _grounded(llama(size.full, device, torch.bfloat16)).eval()
    weights, positions = _block_parameters(model), model.layout.num_slots + 1
    starts = rollouts(64)
    for batch in size.imagined:
        _forget_peak()
        config = GenerationConfig(num_slots=batch, max_steps=size.steps)
        engine = GenerationEngine(model, Lengths([size.steps] * batch), config)
        found = []
        for _ in range(3):
            _wait(device)
            began = time.perf_counter()
            done = list(engine.imagine(requests_for(starts, batch)))
            _wait(device)
            found.append(sum(len(r.actions) for r in done) / (time.perf_counter() - began))
        seconds = max(2 * weights / bandwidth, 2 * weights * batch / rate)
        plan = Plan(
            "GPU imagination",
            f"{batch:,} at once",
            "steps/s",
            limit="weights through memory, or through the matrix units",
            least_share=LEAST_SHARE["imagination"],
        )
        floor = batch / (positions * seconds)
        note = f"{_peak_gigabytes():.1f} GB at most; {PUBLISHED['imagination']}"
        yield row_of(plan, {OURS: found[1:], LIMIT: [floor] * 2}, note)


def _agreement(device: str) -> BenchRow:
    """Share of actions that the engine here and the plain reference on a CPU agree on."""
    from experiments.bench_models import grounded
    from kalm.reference import imagine_plainly

    steps, count, starts = 4, 8, rollouts(8)
    plain = grounded(64, 2, starts).eval()
    here = deepcopy(plain).to(device)
    config = GenerationConfig(num_slots=count, max_steps=steps)
    director = Lengths([steps] * count)
    engine = GenerationEngine(here, director, config)
    found = sorted(engine.imagine(requests_for(starts, count)), key=lambda request: request.index)
    same, largest = 0, 0.0
    for request, other in zip(requests_for(starts, count), found, strict=True):
        imagine_plainly(plain, director, config, request)
        same += sum(int(a == b) for a, b in zip(request.actions, other.actions, strict=True))
        first = np.abs(request.observations[1] - other.observations[1])
        largest = max(largest, float(first.max()))
    plan = Plan("GPU imagination", "actions that agree with the reference", "%")
    note = f"first states differ by {largest:.1e} at most, in float32"
    return row_of(plan, {OURS: [100 * same / (steps * count)]}, note)


def _offline(algorithm: str, size: Size, device: str) -> BenchRow:
    """Updates per second, against the update alone with its batches on the device."""
    flat = flat_of(rollouts(64))
    learner, batches = ready_batches(buffer_of(flat), algorithm, device)
    ours, bare = [], []
    for _ in range(3):
        done = train(flat, algorithm, 10 * size.updates, device)
        assert done.seconds is not None
        ours.append(done.units / done.seconds)
        _wait(device)
        began = time.perf_counter()
        for step in range(1, 10 * size.updates + 1):
            learner.implementation.update(batches[step % len(batches)], step)
        _wait(device)
        bare.append(10 * size.updates / (time.perf_counter() - began))
    plan = Plan("GPU offline RL", algorithm, "updates/s", limit="the update alone")
    return row_of(plan, {OURS: ours[1:], LIMIT: bare[1:]}, _buffer_note(int(flat.lengths.sum())))


def _buffer_note(steps: int) -> str:
    return f"batches are gathered on the CPU, from {steps:,} steps"


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gigabytes() -> float:
    """Largest memory of the device since `_forget_peak`; on a CPU of the process so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_megabytes() / 1e3
