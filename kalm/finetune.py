"""The fine-tuning loop on Accelerate: one process on a laptop, many with `accelerate launch`.

One thing to know: the batches of an epoch are one global list, a pure function of (seed, epoch);
process r of P takes every P-th sample of each batch, and losses are averaged over the global
counts. So the number of processes changes neither the order of samples nor what a step optimises,
and resuming, by any number of processes, needs the step number only. `kalm.processes` spreads the
model itself.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from envs.files import publish
from envs.settings import Count, NotNegative, Positive, Settings, Whole
from envs.stopping import Stopped, deferred
from kalm.batches import Batches, SampleStream, share
from kalm.checkpoints import (
    drop_from,
    keep_newest,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from kalm.language_model import LanguageModel, Tensors, total_loss
from kalm.layout import Packed, collate
from kalm.optimizers import OPTIMIZERS, make_optimizers
from kalm.precision import no_bfloat16
from kalm.pretrained import save_model, train_quickly
from kalm.processes import Processes

Metrics = dict[str, float]
# What a CPU computes at once: intermediate results of more do not fit its caches, and what a part
# costs in itself weighs on less. Measured with 128 and 256 hidden units.
CPU_POSITIONS = 1_500


class NonFiniteError(RuntimeError):
    """A loss became NaN or infinite; nothing was saved after it."""


@dataclass(frozen=True)
class FinetuneConfig(Settings):
    """How long and how fast the model is fine-tuned."""

    num_steps: Count = 4000  # optimizer steps
    batch_size: Count = 32  # samples per step, over all processes and accumulation
    accumulation_steps: Whole = 0  # parts of a batch; 0: one, on a CPU as its caches like
    learning_rate: Positive = 1e-3  # peak; 5e-5 for a pretrained 7B model (paper)
    optimizer: str = "adamw"  # "adamw", or "muon" for the matrices inside networks
    warmup_steps: Whole = 100  # linear rise of the learning rate
    schedule: str = "cosine"  # "cosine" or "linear" fall to zero
    weight_decay: NotNegative = 0.01  # times the learning rate, each step
    clip_norm: Positive = 1.0  # largest gradient norm
    bf16: bool = True  # bfloat16 autocast, where the device has it; off for exactness tests
    bucket_batches: Count = 32  # batches that are sorted by length together
    log_steps: Count = 50  # steps between metrics
    validate_steps: Count = 500  # steps between validations
    checkpoint_steps: Count = 500  # steps between checkpoints
    seed: Whole = 0  # of the sample stream

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule not in ("cosine", "linear"):
            raise ValueError(f"Expected --schedule cosine or linear, got `{self.schedule}`.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"Expected --optimizer among {', '.join(OPTIMIZERS)}, got `{self.optimizer}`."
            )
        if self.accumulation_steps and self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"Expected --batch-size ({self.batch_size}) to be a multiple of "
                f"--accumulation-steps ({self.accumulation_steps})."
            )

    def rate(self, step: int) -> float:
        """The learning rate of optimizer step `step`, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        share = min(1.0, step / max(self.num_steps, 1))
        fall = 0.5 * (1 + math.cos(math.pi * share)) if self.schedule == "cosine" else 1 - share
        return self.learning_rate * rise * fall


@dataclass
class Finetuning:
    """What a run ended with."""

    folder: Path  # the final model
    best_folder: Path  # the model with the lowest validation loss
    best_loss: float
    seconds: float  # of this process, set-up excluded


def finetune(
    model: LanguageModel,
    stream: SampleStream,
    validation: SampleStream | None,
    config: FinetuneConfig,
    folder: Path,
    *,
    base_model: str,
    on_metrics: Callable[[int, Metrics], None] = lambda step, metrics: None,
    on_samples: Callable[[int, list[int]], None] = lambda step, indices: None,
    on_message: Callable[[str], None] = lambda message: None,
) -> Finetuning:
    """Fine-tunes `model` into `folder`/last and `folder`/best; resumes from its checkpoints.

    Args:
        base_model: name of the backbone, recorded in the saved model.
        on_metrics: receives the metrics of a step in one call, before its checkpoint is written.
        on_samples: receives the sample indices of every step, all processes together.
        on_message: receives words for the user, such as skipped checkpoints.

    Raises:
        NonFiniteError: a loss or gradient was not finite; the last checkpoint is still good.
        Stopped: the process was asked to end, and left a checkpoint.
    """
    run = _Run(model, stream, config, folder, base_model, on_message)
    started = time.perf_counter()
    with deferred() as asked_to_stop:
        _train(run, validation, on_metrics, on_samples, asked_to_stop)
    return run.finish(time.perf_counter() - started)


def _train(
    run: "_Run",
    validation: SampleStream | None,
    on_metrics: Callable[[int, Metrics], None],
    on_samples: Callable[[int, list[int]], None],
    asked_to_stop: Callable[[], bool],
) -> None:
    """All steps that are left, or those until the process is asked to stop."""
    config = run.config
    largest_norm = 0.0  # since the last line: a spike between two lines must not go unseen
    for step in range(run.step, config.num_steps):
        last = step + 1 == config.num_steps
        metrics = run.train_step(step, on_samples)
        largest_norm = max(largest_norm, metrics["gradient_norm"])
        told: Metrics = {}
        if last or (step + 1) % config.log_steps == 0:
            told, largest_norm = metrics | {"largest_gradient_norm": largest_norm}, 0.0
        if validation is not None and (last or (step + 1) % config.validate_steps == 0):
            told = told | run.validate(step + 1, validation)
        if told:
            on_metrics(step + 1, told)
        stops = not last and run.processes.any(asked_to_stop())
        if stops or ((step + 1) % config.checkpoint_steps == 0 and not last):
            run.checkpoint(step + 1)
        if stops:
            run.say(f"Stops as asked, with a checkpoint of step {step + 1}.")
            raise Stopped


class _Run:
    """The moving parts of one fine-tuning run."""

    def __init__(
        self,
        model: LanguageModel,
        stream: SampleStream,
        config: FinetuneConfig,
        folder: Path,
        base_model: str,
        on_message: Callable[[str], None],
    ) -> None:
        self.processes = Processes(bf16=config.bf16, optimizer=config.optimizer)
        if config.batch_size < self.processes.count:
            raise ValueError(
                f"Expected --batch-size of at least one sample for each of "
                f"{self.processes.count} processes, got {config.batch_size}."
            )
        self.config, self.folder, self.base_model = config, Path(folder), base_model
        self.batches = Batches(stream, config.batch_size, config.bucket_batches)
        self.say = on_message
        if config.bf16 and not self.processes.bf16:
            self.say(no_bfloat16(self.processes.device))
        self.bare = model
        self.step, self.best_loss = 0, math.inf
        train_quickly(model.backbone)
        state = self._resume()  # before the model is spread: each process reads whole weights
        optimizers = make_optimizers(
            model,
            config.optimizer,
            config.learning_rate,
            outer=model.outer_parts(),
            weight_decay=config.weight_decay,
        )
        self.model, self.optimizers = self.processes.prepare(
            model,
            optimizers,
            clip_norm=config.clip_norm,
            part_size=self._part_size(max(1, config.accumulation_steps)),
            num_parts=max(1, config.accumulation_steps),
        )
        if state is not None:
            self.processes.restore(state)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def _most_samples(self) -> int:
        """Of a batch, in one process."""
        return math.ceil(self.config.batch_size / self.processes.count)

    def _part_size(self, num_parts: int) -> int:
        """Most samples that a process computes at once."""
        return math.ceil(self._most_samples / num_parts)

    def _num_parts(self, sequences: list[Packed]) -> int:
        """In how many parts a process computes its share of the global batch `sequences`."""
        if self.config.accumulation_steps:
            return self.config.accumulation_steps
        if self.processes.device.type != "cpu" or self.processes.kind == "zero":
            return 1  # ZeRO-3's engine is told the number once, before it has seen a batch
        positions = self._most_samples * max(map(len, sequences))
        return max(1, round(positions / CPU_POSITIONS))

    def _resume(self) -> dict[str, torch.Tensor] | None:
        """Loads the newest verified checkpoint's weights; its optimizer state, if there is one."""
        step = self.processes.first_does(self._find_checkpoint)
        if not step:
            return None
        newest = self._checkpoint_folder(step)
        progress, state = load_checkpoint(newest, self.bare)
        self.step, self.best_loss = progress["step"], progress["best_loss"] or math.inf
        self.say(f"Resumed at step {self.step} from {newest}.")
        before = progress.get("num_processes", self.processes.count)
        if before != self.processes.count:
            self.say(
                f"It was saved by {before} processes and goes on with {self.processes.count}: the "
                f"order of samples stays, the last bits of sums may differ."
            )
        return state

    def _checkpoint_folder(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}"

    def _find_checkpoint(self) -> int | None:
        """The step of the newest verified checkpoint."""
        for name in ("best", "last"):  # killed between removing the old one and renaming
            fresh, target = self.folder / f"{name}.new", self.folder / name
            if fresh.exists() and not target.exists():
                fresh.rename(target)
        newest = newest_checkpoint(self.checkpoints, on_skip=self.say)
        return None if newest is None else int(newest.name.removeprefix("step-"))

    def train_step(self, step: int, on_samples: Callable[[int, list[int]], None]) -> Metrics:
        started = time.perf_counter()
        _, samples = self.batches.at(step)
        on_samples(step, [index for index, _ in samples])
        for group in (group for each in self.optimizers for group in each.param_groups):
            group["lr"] = self.config.rate(step)
        self.model.train()
        parts = list(self._parts([packed for _, packed in samples]))
        counts = self._counts(parts)
        totals: dict[str, torch.Tensor] = {}
        for number, part in enumerate(parts):
            last = number + 1 == len(parts)
            with self.processes.part(last=last), self.processes.autocast():
                sums = self.model(part)
                loss = total_loss(sums | counts, self.bare.loss_weights) * self.processes.count
                self.processes.backward(loss, last=last)
            for name in self.bare.loss_weights:
                added = sums[f"{name}_sum"].detach()
                totals[name] = totals.get(name, torch.zeros_like(added)) + added
        norm = self.processes.clip()
        losses = self._global_losses(totals, counts)
        self._require_finite(step, losses | {"gradient_norm": norm})
        self.processes.step()
        seconds = time.perf_counter() - started
        return losses | {
            "gradient_norm": norm,
            "learning_rate": self.config.rate(step),
            "samples_per_second": len(samples) / seconds,
            "positions_per_second": sum(len(packed) for _, packed in samples) / seconds,
        }

    def _parts(self, sequences: list[Packed]) -> Iterator[Tensors]:
        """This process's share of a batch, in parts: as many in every process."""
        mine = share(sequences, self.processes.rank, self.processes.count)
        size = self._part_size(self._num_parts(sequences))
        for first in range(0, len(mine), size):
            yield Tensors.of(collate(mine[first : first + size]), self.processes.device)

    def _counts(self, parts: list[Tensors]) -> dict[str, torch.Tensor]:
        """How many positions of the whole global batch carry each loss."""
        names = list(self.bare.loss_weights)
        found = [self.bare.loss_counts(part) for part in parts]
        local = torch.stack([torch.stack([counts[name] for name in names]) for counts in found])
        total = self.processes.total(local.sum(0).float())
        return {f"{name}_count": total[place] for place, name in enumerate(names)}

    def _global_losses(
        self, totals: dict[str, torch.Tensor], counts: dict[str, torch.Tensor]
    ) -> Metrics:
        weights = self.bare.loss_weights
        sums = self.processes.total(torch.stack([totals[n] for n in weights]))
        losses = {
            f"{name}_loss": float(sums[place] / counts[f"{name}_count"].clamp(min=1))
            for place, name in enumerate(weights)
        }
        losses["loss"] = sum(weight * losses[f"{n}_loss"] for n, weight in weights.items())
        return losses

    def _require_finite(self, step: int, values: Metrics) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NonFiniteError(
                f"{', '.join(bad)} became NaN or infinite at step {step + 1}. Nothing was saved "
                f"after the last checkpoint; lower --learning-rate or look at the data."
            )

    def validate(self, step: int, validation: SampleStream) -> Metrics:
        losses = validation_losses(self.model, validation, self.config.batch_size, self.processes)
        self._require_finite(step, losses)
        if losses["loss"] < self.best_loss:
            self.best_loss = losses["loss"]
            self._save(self.folder / "best")
        return {f"validation_{name}": value for name, value in losses.items()}

    def checkpoint(self, step: int) -> None:
        target = self._checkpoint_folder(step)
        weights, state = self.processes.weights(), self.processes.optimizer_state()
        progress = {
            "step": step,
            "best_loss": None if math.isinf(self.best_loss) else self.best_loss,
            "num_processes": self.processes.count,
        }

        def write() -> None:
            drop_from(self.checkpoints, target.name)
            save_checkpoint(
                *(target, self.bare, state, progress), base_model=self.base_model, weights=weights
            )
            keep_newest(self.checkpoints, 2)

        self.processes.first_does(write)

    def _save(self, target: Path) -> None:
        weights = self.processes.weights()

        def write() -> None:
            fresh = target.with_name(f"{target.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            with publish(fresh) as partial:
                save_model(self.bare, partial, base_model=self.base_model, weights=weights)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)

        self.processes.first_does(write)

    def finish(self, seconds: float) -> Finetuning:
        self._save(self.folder / "last")
        best = self.folder / "best"
        return Finetuning(
            self.folder / "last",
            best if best.exists() else self.folder / "last",
            self.best_loss,
            seconds,
        )


@torch.no_grad()  # shards that are put together in inference mode could not be trained after it
def validation_losses(
    model: Any,
    stream: SampleStream,
    batch_size: int,
    processes: Processes | None = None,
) -> Metrics:
    """Average losses over every sample of a held-out stream's first epoch.

    Args:
        model: a language model as it is called; the processes may have wrapped it.
        batch_size: samples at once, over all processes.
    """
    model.eval()
    weights = getattr(model, "module", model).loss_weights
    rank, count = (0, 1) if processes is None else (processes.rank, processes.count)
    names = [f"{name}_{part}" for name in weights for part in ("sum", "count")]
    totals = dict.fromkeys(names, 0.0)
    samples = [stream.sample(0, index)[1] for index in range(len(stream))]
    samples.sort(key=len)
    device = next(model.parameters()).device
    for first in range(0, len(samples), batch_size):
        mine = share(samples[first : first + batch_size], rank, count)
        with nullcontext() if processes is None else processes.autocast():
            sums = model(Tensors.of(collate(mine), device))
        for name, value in sums.items():
            totals[name] += float(value)
    if processes is not None and count > 1:
        found = torch.tensor(list(totals.values()), dtype=torch.float64, device=device)
        totals = dict(zip(totals, processes.total(found).tolist(), strict=True))
    losses = {f"{n}_loss": totals[f"{n}_sum"] / max(totals[f"{n}_count"], 1) for n in weights}
    losses["loss"] = sum(weight * losses[f"{n}_loss"] for n, weight in weights.items())
    return losses
