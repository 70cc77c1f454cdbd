"""Checkpoints of a fine-tuning run: written aside, hashed, renamed; the newest good one wins.

A checkpoint is a saved model (`kalm.pretrained`) with the optimizer's state as safetensors and the
progress as JSON. There is no random state to save: the sample stream is a pure function.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from envs.files import publish, sha256_file
from kalm.language_model import LanguageModel
from kalm.pretrained import HASHES, load_weights, save_model, verify_model

OPTIMIZER, PROGRESS = "optimizer.safetensors", "progress.json"


def save_checkpoint(
    folder: Path,
    model: LanguageModel,
    optimizers: Sequence[torch.optim.Optimizer],
    progress: dict[str, Any],
    *,
    base_model: str,
) -> None:
    """Writes `folder` (it must not exist) with everything that a resumed run needs."""
    with publish(folder) as partial:
        save_model(model, partial, base_model=base_model)
        save_file(_flatten(optimizers), partial / OPTIMIZER)
        (partial / PROGRESS).write_text(json.dumps(progress, indent=2) + "\n")
        hashes = json.loads((partial / HASHES).read_text())
        hashes |= {name: sha256_file(partial / name) for name in (OPTIMIZER, PROGRESS)}
        (partial / HASHES).write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n")


def load_checkpoint(
    folder: Path, model: LanguageModel, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any]:
    """Puts weights and optimizer state of `folder` into place and returns its progress."""
    load_weights(model, folder)
    _restore(optimizers, load_file(folder / OPTIMIZER))
    progress: dict[str, Any] = json.loads((folder / PROGRESS).read_text())
    return progress


def newest_checkpoint(
    folder: Path, *, on_skip: Callable[[str], None] = lambda problem: None
) -> Path | None:
    """The newest verified checkpoint in `folder`, or None; each skipped one is told with why."""
    candidates = sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True)
    for candidate in candidates:
        problems = verify_model(candidate)
        if not problems and (candidate / PROGRESS).is_file():
            return candidate
        on_skip(
            f"Skipped checkpoint {candidate.name}: {(problems or [f'{PROGRESS} is missing.'])[0]}"
        )
    return None


def drop_from(folder: Path, name: str) -> None:
    """Removes checkpoint `name` and later ones: a run that is not there yet found them unusable."""
    for skipped in folder.glob("step-*"):
        if skipped.name >= name:
            shutil.rmtree(skipped)


def keep_newest(folder: Path, count: int) -> None:
    """Removes all but the `count` newest checkpoints, the oldest first."""
    for old in sorted(folder.glob("step-*"))[:-count]:
        shutil.rmtree(old)


def _flatten(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    return {
        f"{place}.{parameter}.{name}": torch.as_tensor(value).contiguous()
        for place, optimizer in enumerate(optimizers)
        for parameter, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _restore(optimizers: Sequence[torch.optim.Optimizer], flat: dict[str, torch.Tensor]) -> None:
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for key, value in flat.items():
        place, parameter, name = key.split(".", 2)
        states[int(place)].setdefault(int(parameter), {})[name] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
