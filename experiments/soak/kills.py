"""SIGKILL at random moments of every stage; what is resumed ends as if nothing had happened."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.presets import Preset
from experiments.soak.check import Found, NotHeldError, require
from experiments.soak.toy_run import STAGES, do_stage, ended, finish, hashes, put, start
from experiments.stage_records import done_stages
from experiments.tracking import read_metrics

MOMENTS = 50  # to draw until one lies within a stage that was quicker than before


class Baseline:
    """An uninterrupted run, with a copy from before each stage.

    Everything happens in one folder, since models name the folder of their base model.
    """

    def __init__(self, folder: Path, preset: Preset, stages: Sequence[str] = tuple(STAGES)) -> None:
        """Runs `stages` of `preset`.

        Args:
            folder: for the run and its copies.
        """
        self.folder, self.preset, self.stages = folder, preset, stages
        self.run = folder / "run"
        self.hashes: dict[str, dict[str, str]] = {}  # after each stage
        self.lines: dict[str, Counter[tuple[str, int]]] = {}
        for stage in stages:
            put(self.run, self.before(stage))
            self.do(stage)
            self.hashes[stage] = hashes(self.run)
            self.lines[stage] = _lines(self.run)

    def do(self, stage: str) -> None:
        """Does `stage` to its end."""
        code = finish(do_stage, self.preset, self.run, stage)
        require(code == 0, f"{stage} failed by itself with exit code {code}.")

    def before(self, stage: str) -> Path:
        """The copy of the run from before `stage`."""
        return self.folder / f"before-{stage}"

    def start_again(self, stage: str) -> None:
        """Puts the run back to before `stage`."""
        put(self.before(stage), self.run)

    def require_same(self, stage: str, story: str) -> None:
        """Compares the run after `stage` with the uninterrupted one; `story` says what was done."""
        found, wanted = hashes(self.run), self.hashes[stage]
        differing = sorted(n for n in found | wanted if found.get(n) != wanted.get(n))
        require(not differing, f"{story}: {differing[:5]} differ from an uninterrupted run's.")
        require(_lines(self.run) == self.lines[stage], f"{story}: metrics.jsonl has other lines.")


def _lines(folder: Path) -> Counter[tuple[str, int]]:
    return Counter((row["stage"], row["step"]) for row in read_metrics(folder))


def kill_stage(baseline: Baseline, stage: str, kills: int, seed: int = 0) -> Found:
    """Kills a stage `kills` times at work, every time from the same beginning, and resumes it.

    Raises:
        NotHeldError: a final file, or the lines of metrics, differ from the uninterrupted run's.
    """
    rng = np.random.default_rng([seed, baseline.stages.index(stage)])
    half_written = 0
    baseline.start_again(stage)
    began = time.monotonic()  # what the stage takes now: the first time it also imported packages
    baseline.do(stage)
    whole = time.monotonic() - began
    baseline.require_same(stage, f"{stage}, done twice")
    for kill in range(kills):
        seconds = _kill_at_work(baseline, stage, whole, rng)
        half_written += any(baseline.run.rglob(".*.partial"))
        story = f"{stage}, kill {kill + 1} after {seconds:.3f} s"
        code = finish(do_stage, baseline.preset, baseline.run, stage)
        require(code == 0, f"{story}: resuming ended with exit code {code}.")
        baseline.require_same(stage, story)
    return Found(kills, kills, {"left_something_half_written": half_written})


def _kill_at_work(baseline: Baseline, stage: str, whole: float, rng: np.random.Generator) -> float:
    """Seconds after which `stage`, which takes `whole`, was killed; once it ended, again."""
    for _ in range(MOMENTS):
        baseline.start_again(stage)
        seconds = float(rng.uniform(0, whole))
        if kill_after(seconds, do_stage, baseline.preset, baseline.run, stage):
            return seconds
    raise NotHeldError(f"{stage} ended before each of {MOMENTS} moments to kill it.")


def kill_after(seconds: float, work: Callable[..., None], *arguments: object) -> bool:
    """Kills a process that does `work`; whether it was still at work."""
    process = start(work, *arguments)
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def kill_within_an_epoch(baseline: Baseline, kills: int = 3, seed: int = 0) -> Found:
    """Kills grounding `kills` times within its first epoch; no sample counts twice.

    Raises:
        NotHeldError: a step saw other samples, one came twice, or the weights differ.
    """
    finetune = replace(baseline.preset.ground.finetune, batch_size=1)  # fewer steps than samples
    preset = replace(baseline.preset, ground=replace(baseline.preset.ground, finetune=finetune))
    seen = baseline.folder / "samples.txt"
    seen.unlink(missing_ok=True)
    baseline.start_again("ground")
    require(finish(ground_and_note, preset, baseline.run, seen) == 0, "It failed by itself.")
    whole, wanted = _samples(seen), hashes(baseline.run)
    seen.unlink()
    baseline.start_again("ground")
    rng = np.random.default_rng(seed)
    for kill in range(kills):
        process = start(ground_and_note, preset, baseline.run, seen)
        least = len(whole) * (kill + 1) // (kills + 1) + int(rng.integers(3))
        while process.is_alive() and len(_samples(seen)) < least:
            time.sleep(0.01)
        require(process.is_alive(), f"Grounding ended before kill {kill + 1}.")
        process.kill()
        process.join()
    require(finish(ground_and_note, preset, baseline.run, seen) == 0, "It could not be resumed.")
    counted = _samples(seen)
    require(counted == whole, "Steps saw other samples than in an uninterrupted run.")
    require(hashes(baseline.run) == wanted, "Weights differ from an uninterrupted run's.")
    drawn = [index for step in sorted(counted) for index in counted[step]]
    require(len(set(drawn)) == len(drawn) == finetune.num_steps, "A sample came twice.")
    return Found(kills, kills, {"samples": len(drawn)})


def ground_and_note(preset: Preset, folder: Path, seen: Path) -> None:
    """Grounds, and notes the samples of every step in `seen` as they are drawn."""
    from unittest.mock import patch

    import kalm.finetune

    plain = kalm.finetune.finetune

    def noting(*arguments: object, **options: object) -> object:
        def note(step: int, indices: list[int]) -> None:
            with seen.open("a") as file:
                file.write(f"{step} {' '.join(map(str, indices))}\n")

        return plain(*arguments, **{**options, "on_samples": note})  # type: ignore[arg-type]

    patching: AbstractContextManager[object] = patch("kalm.finetune.finetune", noting)
    with patching:
        do_stage(preset, folder, "ground")


def _samples(seen: Path) -> dict[int, list[int]]:
    """Samples by step; of a step that was done again the last time counts."""
    if not seen.exists():
        return {}
    lines = [
        line.split() for line in seen.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]
    return {int(words[0]): [int(word) for word in words[1:]] for words in lines if words}


def stop_gently(baseline: Baseline) -> Found:
    """Asks grounding to stop by SIGTERM; it leaves a checkpoint of that moment and can go on.

    Raises:
        NotHeldError: it did not stop by itself, or went on to something else.
    """
    stage = "ground"
    baseline.start_again(stage)
    process = start(do_stage_stoppably, baseline.preset, baseline.run, stage)
    while process.is_alive() and not any(baseline.run.rglob("step-00000010")):
        time.sleep(0.01)
    process.terminate()
    code = ended(process)
    require(code == 128 + signal.SIGTERM, f"It ended with exit code {code}.")
    require(stage not in done_stages(baseline.run), "It called a stopped stage done.")
    steps = sorted(int(path.name[5:]) for path in baseline.run.rglob("step-*"))
    require(bool(steps), "It left no checkpoint.")
    require(finish(do_stage, baseline.preset, baseline.run, stage) == 0, "It did not go on.")
    baseline.require_same(stage, "stopped by SIGTERM")
    return Found(1, 1, {"step_of_the_checkpoint": steps[-1]})


def do_stage_stoppably(preset: Preset, folder: Path, stage: str) -> None:
    """Does a stage with the command line's answer to SIGTERM."""
    from envs.stopping import Stopped, end_on_sigterm

    end_on_sigterm()
    try:
        do_stage(preset, folder, stage)
    except Stopped:
        raise SystemExit(128 + signal.SIGTERM) from None
