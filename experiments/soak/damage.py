"""Damaged checkpoints and shards: the newest whole one is used, and what was skipped is named."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from experiments.folders import GROUNDING, imagined_folder
from experiments.soak.check import Found, require
from experiments.soak.kills import Baseline
from experiments.soak.toy_run import do_stage, finish, put, start


def _halve(unit: Path) -> None:
    largest = max(unit.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])


def _remove(name: str) -> Callable[[Path], None]:
    return lambda unit: (unit / name).unlink()


def _empty(unit: Path) -> None:
    shutil.rmtree(unit)
    unit.mkdir()


def _plant(unit: Path) -> None:
    (unit / "pytorch_model.bin").write_bytes(b"not ours")


CHECKPOINT_DAMAGE: dict[str, Callable[[Path], None]] = {
    "half-written": _halve,
    "without its marker": _remove("hashes.json"),
    "empty": _empty,
    "with a foreign file": _plant,
}
SHARD_DAMAGE: dict[str, Callable[[Path], None]] = {
    "half-written": _halve,
    "without its marker": _remove("COMPLETE"),
    "empty": _empty,
}


def damage_newest(baseline: Baseline, only: str = "") -> Found:
    """Damages the newest checkpoint of a killed grounding, and a shard of a killed imagination.

    Args:
        only: one kind of damage; by default all in turn.

    Raises:
        NotHeldError: it was used, was not named, or the run ended differently.
    """
    tried = 0
    checkpoints = f"{GROUNDING}/checkpoints"
    shards = f"{imagined_folder('target')}/shards"
    for stage, place, pattern, damages in (
        ("ground", checkpoints, "step-*", CHECKPOINT_DAMAGE),
        ("imagine", shards, "shard-*", SHARD_DAMAGE),
    ):
        killed = baseline.folder / f"killed-{stage}"
        _kill_with_two(baseline, stage, place, pattern)
        put(baseline.run, killed)
        for name, harm in damages.items():
            if only not in ("", name):
                continue
            put(killed, baseline.run)
            newest = max((baseline.run / place).glob(pattern))
            harm(newest)
            words = baseline.folder / "words.txt"
            words.unlink(missing_ok=True)
            story = f"{newest.name} {name}"
            code = finish(do_stage, baseline.preset, baseline.run, stage, words=words)
            require(code == 0, f"{story}: resuming ended with exit code {code}.")
            said = words.read_text()
            require(newest.name in said, f"{story}: nobody said that it was skipped.")
            baseline.require_same(stage, story)
            tried += 1
    return Found(tried, tried)


def _kill_with_two(baseline: Baseline, stage: str, place: str, pattern: str) -> None:
    """Kills a stage when it has published two units, or soon after."""
    baseline.start_again(stage)
    process = start(do_stage, baseline.preset, baseline.run, stage)
    while process.is_alive() and len(list((baseline.run / place).glob(pattern))) < 2:
        time.sleep(0.005)
    require(process.is_alive(), f"{stage} ended before it had published two units.")
    process.kill()
    process.join()
