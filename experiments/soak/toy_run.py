"""The smallest whole run, stage by stage, in processes of their own that may be killed.

Processes come from a fork server that has loaded the libraries, so that one takes milliseconds.
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from envs.files import sha256_file
from experiments.collect import CollectSettings, collect_stage
from experiments.evaluate import evaluate_stage
from experiments.folders import open_run
from experiments.ground import ground_stage
from experiments.imagine import imagine_stage
from experiments.presets import Preset, toy
from experiments.publish import publish
from experiments.soak.check import NotHeldError
from experiments.tracking import WandbConfig
from experiments.train import train_stage
from experiments.verbs import StageFunction

COMMAND = "kalm run toy"
STAGES: dict[str, StageFunction] = {
    "collect": collect_stage,
    "ground": ground_stage,
    "imagine": imagine_stage,
    "train": train_stage,
    "evaluate": evaluate_stage,
}
LIMIT_SECONDS = 1_200  # on an idle machine the longest process takes a fifth of that
PUBLISHED = ("data", "models", "evaluation")  # parts of a run that must not depend on kills


def tiny(*, train_steps: int = 40) -> Preset:
    """The toy preset, smaller still, with checkpoints and shards close together.

    Args:
        train_steps: of agents, whose checkpoints are a thousand steps apart.
    """
    preset = toy()
    base = replace(
        preset.ground.base,
        knowledge_pairs=100,
        primer=replace(preset.ground.base.primer, hidden=32, heads=2),
    )
    finetune = replace(
        preset.ground.finetune,
        num_steps=60,
        batch_size=8,
        log_steps=5,
        validate_steps=20,
        checkpoint_steps=10,
    )
    rollouts = replace(
        preset.imagine.rollouts, num_rollouts=96, rollouts_per_shard=16, shares={"easy": 1.0}
    )
    return replace(
        preset,
        collect=CollectSettings("toy", num_rollouts=90, ceiling_rollouts=12),
        ground=replace(
            preset.ground,
            base=base,
            finetune=finetune,
            decomposition_pairs=50,
            validation_rollouts=9,
        ),
        imagine=replace(preset.imagine, rollouts=replace(rollouts, bf16=False)),
        train=replace(preset.train, steps=train_steps, mixes=("real-only", "real+imagined")),
        evaluate=replace(preset.evaluate, episodes=4, min_per_kind=2),
    )


def do_stage(preset: Preset, folder: Path, stage: str) -> None:
    """Does one stage of `preset` in `folder`, as the pipeline would."""
    with open_run(folder, "run", preset, COMMAND, WandbConfig()) as run:
        STAGES[stage](run, getattr(preset, stage), COMMAND, overwrite=False)


def publish_run(folder: Path) -> None:
    """Writes results, table, figure and page of a run."""
    publish(folder)


def processes() -> Any:
    """Where processes come from that have loaded what stages need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.soak.preloaded"])
    return context


def start(work: Callable[..., None], *arguments: object, words: Path | None = None) -> BaseProcess:
    """A process of its own that does `work` on one thread.

    Args:
        words: file for what it says; by default that is thrown away.
    """
    process: BaseProcess = processes().Process(target=_alone, args=(words, work, *arguments))
    process.start()
    return process


def _alone(words: Path | None, work: Callable[..., None], *arguments: object) -> None:
    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    said = os.open(words or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(said, stream)
    with patch("experiments.folders.commit", lambda: ""):  # cards must not tell of edits meanwhile
        work(*arguments)


def finish(work: Callable[..., None], *arguments: object, words: Path | None = None) -> int:
    """The exit code of a process that did `work`; arguments as of `start`."""
    return ended(start(work, *arguments, words=words))


def ended(process: BaseProcess) -> int:
    """The exit code of a process, when it has ended.

    Raises:
        NotHeldError: it hangs.
    """
    process.join(LIMIT_SECONDS)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
        raise NotHeldError(f"A process was still at work after {LIMIT_SECONDS} s.")
    return code


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by name of everything that a run published; hidden files are not."""
    found = {}
    for part in PUBLISHED:
        for path in sorted((folder / part).rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and not any(piece.startswith(".") for piece in name.parts):
                found[name.as_posix()] = sha256_file(path)
    return found


def put(source: Path, target: Path) -> None:
    """Makes `target` a copy of `source`, whatever was there."""
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target)
