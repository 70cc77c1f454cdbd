"""A script for `accelerate launch`: fine-tunes tiny models in many ways and notes what happened.

python many_processes.py FOLDER

Each process writes `FOLDER/notes-RANK.json`: by the name of a run its samples, metrics, messages,
and the error that ended it, if one did.
"""

import errno
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from accelerate.state import AcceleratorState
from tiny_models import adapted, grounded, task_stream
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from envs.stopping import Stopped, end_on_sigterm
from kalm.batches import Batches
from kalm.finetune import FinetuneConfig, NonFiniteError, finetune
from kalm.layout import Kind, Packed
from kalm.model import GroundedModel
from kalm.processes import PeerError

CONFIG = FinetuneConfig(
    num_steps=4, batch_size=6, accumulation_steps=2, warmup_steps=0, bf16=False, log_steps=1,
    bucket_batches=2, validate_steps=2, checkpoint_steps=100,
)  # fmt: skip
UNEVEN = replace(CONFIG, batch_size=5, accumulation_steps=1)
MUON = replace(CONFIG, optimizer="muon", batch_size=5, accumulation_steps=5)  # 3 parts and 2
STOPPED_AT = 1  # the step, counted from 0, in which a process is asked to stop
POISONED_AT = 2  # the step in which one sample of one process is not finite
FAMILIES = {"shards-tied-muon": "gpt2"}  # of other runs: llama


@dataclass
class Notes:
    """What a run did."""

    samples: list[list[int]] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    error: str = ""
    units: int = 0  # parts of the model that are cut and put together by themselves
    held: float = 0.0  # share of the model's numbers that this process held


def share_held(model: GroundedModel) -> float:
    """Share of a model's numbers that lie in this process."""
    parameters = list(model.parameters())
    mine = (p.to_local() if isinstance(p, DTensor) else p for p in parameters)
    return sum(p.numel() for p in mine) / sum(p.numel() for p in parameters)


def tune(
    folder: Path,
    config: FinetuneConfig,
    *,
    model: GroundedModel | None = None,
    stream: Any = None,
    base_model: str = "tiny",
    on_samples: Callable[[int], None] = lambda step: None,
) -> Notes:
    """Fine-tunes a tiny model into `folder`; what happened meanwhile."""
    notes = Notes()
    model = grounded(family=FAMILIES.get(folder.name, "llama")) if model is None else model

    def seen(step: int, indices: list[int]) -> None:
        notes.samples.append(indices)
        on_samples(step)

    try:
        finetune(
            model,
            task_stream(model) if stream is None else stream,
            task_stream(model, seed=7),
            config,
            folder,
            base_model=base_model,
            on_metrics=lambda step, metrics: notes.losses.append(metrics),
            on_samples=seen,
            on_message=notes.messages.append,
        )
    except (Stopped, NonFiniteError, PeerError, OSError, ValueError) as error:
        notes.error = f"{type(error).__name__}: {error}"
    notes.units = sum(isinstance(module, FSDPModule) for module in model.modules())
    notes.held = share_held(model)
    return notes


def stopped_and_resumed(folder: Path, config: FinetuneConfig, rank: int) -> dict[str, Notes]:
    """A run that the scheduler stops by asking one of its processes, and its second start."""

    def ask(step: int) -> None:
        if step == STOPPED_AT and rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    end_on_sigterm()
    stopped = tune(folder, config, on_samples=ask)
    end_on_sigterm()
    return {f"{folder.name}-stopped": stopped, folder.name: tune(folder, config)}


def poisoned() -> tuple[GroundedModel, Any]:
    """A model, and its stream in which one sample of the second process alone is not finite."""
    model = grounded()
    stream = task_stream(model, only="generation")
    plain = stream.sample
    _, batch = Batches(stream, CONFIG.batch_size, CONFIG.bucket_batches).at(POISONED_AT)
    chosen = batch[1][0]

    def sample(epoch: int, index: int) -> tuple[str, Packed]:
        task, packed = plain(epoch, index)
        if index == chosen:
            packed.value[packed.kind == Kind.STATE] = math.nan
        return task, packed

    stream.sample = sample  # type: ignore[method-assign]
    return model, stream


def on_full_disk(folder: Path) -> Notes:
    """A run whose first process cannot write its checkpoint."""
    full = OSError(errno.ENOSPC, "No space left on device")
    with patch("kalm.finetune.save_checkpoint", side_effect=full):
        return tune(folder, replace(CONFIG, checkpoint_steps=1))


def with_shards(folder: Path, rank: int) -> dict[str, Notes]:
    """Runs in which each process holds a share of the model."""
    model, stream = poisoned()
    each_step = replace(CONFIG, checkpoint_steps=1)
    adapters = adapted(folder / f"base-{rank}", dtype=torch.bfloat16)
    found = {
        "shards": tune(folder / "shards", CONFIG),
        "shards-tied-muon": tune(folder / "shards-tied-muon", MUON),
        "shards-nan": tune(folder / "shards-nan", each_step, model=model, stream=stream),
        "shards-adapters": tune(
            folder / "shards-adapters", CONFIG, model=adapters, base_model=str(folder / "base-0")
        ),
        **stopped_and_resumed(folder / "shards-resumed", CONFIG, rank),
    }
    AcceleratorState._reset_state(reset_partial_state=True)  # the first precision would be kept
    half = replace(CONFIG, bf16=True, num_steps=1)
    return found | {"shards-half": tune(folder / "shards-half", half)}


def with_copies(folder: Path, rank: int) -> dict[str, Notes]:
    """Runs in which each process holds the whole model."""
    model, stream = poisoned()
    each_step = replace(CONFIG, checkpoint_steps=1)
    return {
        "copies": tune(folder / "copies", UNEVEN),
        "copies-nan": tune(folder / "copies-nan", each_step, model=model, stream=stream),
        "copies-full": on_full_disk(folder / "copies-full"),
        **stopped_and_resumed(folder / "copies-resumed", UNEVEN, rank),
    }


def main(folder: Path) -> None:
    """All runs, those with shards first: the launcher was configured for them."""
    rank = int(os.environ["RANK"])
    notes = with_shards(folder, rank)
    AcceleratorState._reset_state(reset_partial_state=True)
    del os.environ["ACCELERATE_USE_FSDP"]
    notes |= with_copies(folder, rank)
    text = json.dumps({name: vars(note) for name, note in notes.items()})
    (folder / f"notes-{rank}.json").write_text(text)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
