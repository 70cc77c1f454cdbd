"""Fine-tuning the base model on the samples of each arm, with the loop that grounding uses."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from envs.settings import NotNegative, Part, Settings, Share
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.stage_metrics import StageMetrics
from experiments.stage_records import is_done
from experiments.teduo.base import ReadSettings, base_path, base_text_model
from experiments.teduo.folders import Distilled, has_samples
from experiments.tracking import Run
from kalm.finetune import FinetuneConfig


@dataclass(frozen=True)
class TuneSettings(Settings):
    """How each arm's model is fine-tuned."""

    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    validation_share: Part = 0.02  # of the plans, held out; the best model on them is kept
    epochs: NotNegative = 0.0  # passes over the samples; above 0 they set the number of steps
    warmup_share: Share = 0.01  # of these steps


def tune_stage(
    run: Run,
    settings: TuneSettings,
    read: ReadSettings,
    arms: Sequence[Distilled],
    *,
    overwrite: bool,
) -> None:
    """Fine-tunes one model an arm that has something to learn from.

    Args:
        read: whose base model is fine-tuned.
    """
    from kalm.pretrained import verify_model

    for arm in (arm for arm in arms if has_samples(run.folder, arm)):
        needs = (
            arm.distil_stage,
            *(["base-model"] if is_done(run.folder, "base-model") else []),
        )
        complete(
            run,
            Stage(arm.tune_stage, settings, needs, (arm.model,), shared=True),
            lambda arm=arm: _tune(run, settings, read, arm),  # type: ignore[misc]
            lambda arm=arm: verify_model(run.folder / arm.model / "best"),  # type: ignore[misc]
            overwrite=overwrite,
        )


def _tune(run: Run, settings: TuneSettings, read: ReadSettings, arm: Distilled) -> None:
    from kalm.finetune import finetune
    from kalm.text_stream import TextStream
    from offline_rl.distillation_set import TextSamples

    samples = TextSamples.read(run.folder / arm.samples)
    model = base_text_model(run.folder, read)
    train, held_out = samples.without(settings.validation_share, read.seed)
    config = replace(_config(settings, len(train)), seed=read.seed)
    name = arm.tune_stage
    with progress(f"fine-tuning {arm.slug}", config.num_steps, "steps") as advance:
        finetune(
            model,
            TextStream(train.pairs, model, read.seed),
            TextStream(held_out.pairs, model, read.seed),
            config,
            run.folder / arm.model,
            base_model=base_path(run.folder, read.base),
            on_metrics=StageMetrics(run, name),
            on_samples=lambda step, indices: advance(step + 1),
        )


def _config(settings: TuneSettings, samples: int) -> FinetuneConfig:
    """The loop's settings, with its steps where passes over the samples are asked for."""
    config = settings.finetune
    if not settings.epochs:
        return config
    steps = max(1, round(settings.epochs * samples / config.batch_size))
    return replace(config, num_steps=steps, warmup_steps=round(settings.warmup_share * steps))
