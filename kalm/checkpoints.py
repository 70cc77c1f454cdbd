"""Checkpoints of a fine-tuning run: written aside, hashed, renamed; the newest good one wins.

A checkpoint is a saved model (`kalm.pretrained`) with the optimizer's state as safetensors and the
progress as JSON. There is no random state to save: the sample stream is a pure function.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from envs.files import publish, sha256_file
from kalm.language_model import LanguageModel
from kalm.pretrained import HASHES, load_weights, save_model, verify_model

OPTIMIZER, PROGRESS = "optimizer.safetensors", "progress.json"


def save_checkpoint(
    folder: Path,
    model: LanguageModel,
    optimizer_state: Mapping[str, Tensor],
    progress: dict[str, Any],
    *,
    base_model: str,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes `folder` (it must not exist) with everything that a resumed run needs.

    Args:
        weights: of `model`, where it holds a share of them only.
    """
    with publish(folder) as partial:
        save_model(model, partial, base_model=base_model, weights=weights)
        save_file(dict(optimizer_state), partial / OPTIMIZER)
        (partial / PROGRESS).write_text(json.dumps(progress, indent=2) + "\n")
        hashes = json.loads((partial / HASHES).read_text())
        hashes |= {name: sha256_file(partial / name) for name in (OPTIMIZER, PROGRESS)}
        (partial / HASHES).write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n")


def load_checkpoint(folder: Path, model: LanguageModel) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Puts the weights of `folder` into `model`; returns progress and optimizer state."""
    load_weights(model, folder)
    progress: dict[str, Any] = json.loads((folder / PROGRESS).read_text())
    return progress, load_file(folder / OPTIMIZER)


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
