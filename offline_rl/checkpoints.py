"""Checkpoints of training: everything an update depends on, as safetensors and JSON.

A killed run resumes from the newest checkpoint whose hash is right and ends with the weights of an
uninterrupted one, because batches and noise are functions of (seed, step).
"""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from offline_rl.learner import Learner
from offline_rl.tensor_folder import read_tensors, write_tensors

_KIND = "checkpoint"
_KEPT = 2  # the newest, and the one before it


def write_checkpoint(folder: Path, learner: Learner, step: int, identity: dict[str, Any]) -> None:
    """Publishes `folder`/step-N and removes all but the newest two.

    Args:
        identity: what the run is; `restore` refuses a checkpoint of another one.
    """
    tensors = {f"weights/{name}": t for name, t in learner.weights(targets=True).items()}
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, optimizer in learner.optimizers.items():
        state = optimizer.state_dict()
        groups[name] = state["param_groups"]
        for place, values in state["state"].items():
            for key, tensor in values.items():
                tensors[f"optimizer/{name}/{place}/{key}"] = tensor
    target = _step_folder(folder, step)
    if target.exists():
        shutil.rmtree(target)  # found damaged when the run resumed before it
    card = {"step": step, "groups": groups, "tokens": learner.tokens, "identity": identity}
    write_tensors(target, _KIND, tensors, card)
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(old)


def restore(folder: Path, learner: Learner, identity: dict[str, Any]) -> int:
    """Puts the newest sound checkpoint into `learner` and returns its step, or 0 without one.

    Raises:
        ValueError: the checkpoint is of a run with other settings or data.
    """
    for path in reversed(_steps(folder)):
        try:
            tensors, card = read_tensors(path, _KIND)
        except ValueError as error:
            warnings.warn(f"Skipped the checkpoint {path}: {error}", stacklevel=2)
            continue
        _check_identity(path, card["identity"], identity)
        _load(learner, tensors, card)
        return int(card["step"])
    return 0


def _check_identity(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if found.get(key) != value:
            raise ValueError(
                f"Expected a checkpoint with {key} = {value}, got {found.get(key)} in {path}. "
                "Use the settings of that run, or another checkpoint folder."
            )


def _load(learner: Learner, tensors: dict[str, torch.Tensor], card: dict[str, Any]) -> None:
    prefix = "weights/"
    learner.load_weights({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
    for name, optimizer in learner.optimizers.items():
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            kind, *path = key.split("/")
            if kind == "optimizer" and path[0] == name:
                state.setdefault(int(path[1]), {})[path[2]] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": card["groups"][name]})
    learner.tokens = card["tokens"]


def _step_folder(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}"


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []
