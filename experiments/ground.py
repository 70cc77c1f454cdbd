"""`kalm ground`: a language model learns to read and write the rollouts of a world.

`accelerate launch -m experiments ground RUN_FOLDER ...` is the same on many devices.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from envs.episode import Episode
from envs.files import require_free_space
from envs.settings import Count, Probability, Settings, Whole
from envs.world import World
from experiments.folders import (
    BASE_MODEL,
    GROUNDED,
    GROUNDING,
    GROUNDING_METRICS,
    real_data,
    whole_json,
)
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.stage_metrics import StageMetrics
from experiments.tracking import Run
from experiments.verbs import StageCommand, start_verb
from kalm.finetune import FinetuneConfig
from kalm.model import GroundingConfig
from kalm.primer import PrimerConfig
from kalm.tasks import TaskWeights

if TYPE_CHECKING:
    from kalm.model import GroundedModel

EMBEDDED = "embedded"
POINTS_IN_CURVE = 40  # of the base model's loss
KNOWLEDGE_KEY = 3_001  # keeps texts for decomposition apart from other streams
FREE_BYTES_PER_PARAMETER = 4 * (1 + 1 + 3 * 3)  # last, best, three checkpoints with optimizer


@dataclass(frozen=True)
class BaseModelSettings(Settings):
    """Which language model is grounded."""

    name: str = EMBEDDED  # "embedded", a hub id, or a folder with config.json and safetensors
    revision: str | None = None  # commit, tag or branch on the hub; pin it for tables
    remote_code_revision: str | None = None  # 40 hex digits; lets the model run its own code
    knowledge_pairs: Count = 40_000  # text-only questions and answers that prime the embedded model
    primer: PrimerConfig = field(default_factory=PrimerConfig)  # of the embedded model
    lora_rank: Whole = 0  # 0 trains every weight; above, low-rank adapters of this rank
    lora_alpha: Whole = 32  # scale of the adapters
    lora_dropout: Probability = 0.0  # probability in the adapters


@dataclass(frozen=True)
class GroundSettings(Settings):
    """How the model is grounded; the seed of `finetune` is the stage's own."""

    seed: Whole = 0  # of initial weights and of the sample stream
    base: BaseModelSettings = field(default_factory=BaseModelSettings)
    grounding: GroundingConfig = field(default_factory=GroundingConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    decomposition_pairs: Whole = 20_000  # text-only pairs in the fine-tuning stream
    validation_rollouts: Count = 500  # last ones collected, never trained on
    max_sample_steps: Count = 12  # longest stretch of a rollout in one sample
    explained_goals: Count = 4  # most goals that an explanation names; 1 in the paper
    hindsight: bool = True  # relabel rollouts with training goals that they reached


@dataclass(frozen=True)
class Command(StageCommand):
    """Grounds a language model in RUN_FOLDER/data/real, into RUN_FOLDER/models/grounding."""

    settings: Annotated[GroundSettings, tyro.conf.arg(name="")] = field(
        default_factory=GroundSettings
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    return start_verb("ground", Command, ground_stage, arguments)


def ground_stage(run: Run, settings: GroundSettings, command: str, *, overwrite: bool) -> None:
    """Primes the embedded base model if that is the one, then fine-tunes."""
    from kalm.pretrained import verify_model
    from kalm.processes import require_spread

    check_base_model(settings.base)
    require_spread(settings.finetune.optimizer)
    needs: tuple[str, ...] = ("collect",)
    if settings.base.name == EMBEDDED:
        base = replace(settings.base, lora_rank=0, lora_alpha=0, lora_dropout=0.0)
        complete(
            run,
            Stage(
                "base-model",
                replace(GroundSettings(settings.seed), base=base),
                needs,
                (BASE_MODEL,),
            ),
            lambda: _prime(run, settings),
            lambda: base_model_problems(run.folder / BASE_MODEL),
            overwrite=overwrite,
        )
        needs = ("collect", "base-model")
    complete(
        run,
        Stage("ground", settings, needs, (GROUNDING,), shared=True),
        lambda: _finetune(run, settings),
        lambda: verify_model(run.folder / GROUNDED),
        overwrite=overwrite,
    )
    complete(
        run,
        Stage("measure-grounding", settings, ("ground",), (GROUNDING_METRICS,)),
        lambda: _measure(run, settings),
        lambda: whole_json(run.folder / GROUNDING_METRICS),
        overwrite=overwrite,
    )


def base_model_name(settings: GroundSettings) -> str:
    """What tables call the base model."""
    if settings.base.name != EMBEDDED:
        adapters = f", LoRA rank {settings.base.lora_rank}" if settings.base.lora_rank else ""
        return settings.base.name + adapters
    primer = settings.base.primer
    return f"embedded Llama {primer.hidden}x{primer.layers}, from scratch, primed on text only"


def check_base_model(settings: BaseModelSettings) -> None:
    """Checks that the base model is there, before any long work.

    Raises:
        ValueError: neither a folder nor a hub id that can be reached, or code of its own that
            was not allowed at a pinned revision.
    """
    if settings.name == EMBEDDED:
        return
    from transformers import AutoConfig

    code = settings.remote_code_revision
    try:
        AutoConfig.from_pretrained(
            settings.name,
            trust_remote_code=code is not None,
            revision=code or settings.revision or "main",
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No base model at `{settings.name}`: {str(error).splitlines()[0]} Give a folder with "
            f"config.json and *.safetensors, or a hub id that can be reached."
        ) from error


def _knowledge(world: World, count: int, seed: int) -> list[tuple[str, str]]:
    """Text-only pairs about the world's language."""
    return world.knowledge(count, np.random.default_rng([seed, KNOWLEDGE_KEY]))


def _prime(run: Run, settings: GroundSettings) -> None:
    world, _ = real_data(run.folder)
    sentences = [goal.text for goal in world.goals(world.levels[0])]
    pairs = _knowledge(world, settings.base.knowledge_pairs, settings.seed)
    prime_base_model(run, settings.base, pairs, sentences, settings.seed)


def prime_base_model(
    run: Run,
    settings: BaseModelSettings,
    pairs: list[tuple[str, str]],
    sentences: Sequence[str],
    seed: int,
    vocabulary: Sequence[str] = (),
) -> None:
    """Makes the embedded base model of a run and logs its loss; arguments as of the primer."""
    from kalm.primer import build_base_model

    run.rewind("base-model", -1)
    with progress("priming the base model", 0, "steps") as advance:

        def on_progress(step: int, steps: int, loss: float) -> None:
            advance(step)
            if step % max(1, steps // POINTS_IN_CURVE) == 0 or step == steps:
                run.log("base-model", step, {"loss": loss})

        build_base_model(
            run.folder / BASE_MODEL,
            pairs,
            list(dict.fromkeys(sentences)),
            settings.primer,
            seed=seed,
            vocabulary=vocabulary,
            on_progress=on_progress,
        )


def base_model_problems(folder: Path) -> list[str]:
    """What is missing of a primed base model."""
    return [] if (folder / "config.json").is_file() else [f"{folder} is missing."]


def _finetune(run: Run, settings: GroundSettings) -> None:
    from kalm.finetune import finetune
    from kalm.tasks import RolloutSet, TaskStream

    world, store = real_data(run.folder)
    episodes = list(store.episodes())
    train, validation = split(episodes, settings.validation_rollouts)
    model = build_model(run, settings, world, train)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    require_free_space(run.folder, FREE_BYTES_PER_PARAMETER * parameters)
    say(f"ground: {parameters / 1e6:.1f} M trainable parameters, {len(train):,} rollouts")
    pairs = _knowledge(world, settings.decomposition_pairs, settings.seed)

    def stream(chosen: list[Episode]) -> TaskStream:
        return TaskStream(
            RolloutSet(world, chosen, hindsight=settings.hindsight),
            pairs,
            model.layout,
            model.prompt,
            model.encode_text,
            model.end_token,
            settings.tasks,
            seed=settings.seed,
            max_steps=settings.max_sample_steps,
            explained_goals=settings.explained_goals,
        )

    config = replace(settings.finetune, seed=settings.seed)
    with progress("grounding", config.num_steps, "steps") as advance:
        finetune(
            model,
            stream(train),
            stream(validation) if validation else None,
            config,
            run.folder / GROUNDING,
            base_model=str(_base_path(run.folder, settings)),
            on_metrics=StageMetrics(run, "ground"),
            on_samples=lambda step, indices: advance(step + 1),
            on_message=say,
        )


def split(episodes: list[Episode], validation: int) -> tuple[list[Episode], list[Episode]]:
    """Training and held-out rollouts: the last `validation`, a tenth of all at most."""
    held_out = min(validation, math.ceil(len(episodes) / 10))
    return episodes[: len(episodes) - held_out], episodes[len(episodes) - held_out :]


def build_model(
    run: Run, settings: GroundSettings, world: World, train: list[Episode]
) -> "GroundedModel":
    """The base model with fresh encoders and heads for `world`, scaled by its real data."""
    import torch

    torch.manual_seed(settings.seed)
    backbone, tokenizer = load_base(str(_base_path(run.folder, settings)), settings.base)
    return grounded_around(
        *(backbone, tokenizer, settings.grounding, world, train), hindsight=settings.hindsight
    )


def grounded_around(
    backbone: Any,
    tokenizer: Any,
    grounding: GroundingConfig,
    world: World,
    train: Sequence[Episode],
    *,
    hindsight: bool = True,
) -> "GroundedModel":
    """A language model with fresh encoders and heads for `world`, scaled by its real data.

    Args:
        hindsight: whether the model learns to recognise every training goal.
    """
    from kalm.model import GroundedModel, StateScale, make_layout

    layout = make_layout(world.spaces, grounding.positions)
    observations = np.concatenate([episode.observations for episode in train])
    changes = np.concatenate([np.diff(episode.observations, axis=0) for episode in train])
    scale = StateScale.of(observations, changes, layout)
    known = len({goal.spec for goal in world.goals(world.levels[0])}) if hindsight else 0
    return GroundedModel(
        *(backbone, tokenizer, world.spaces, grounding, scale, world.name),
        num_goals=known if grounding.goal_weight else 0,
    )


def load_base(path: str, settings: BaseModelSettings, *, half: bool = False) -> tuple[Any, Any]:
    """The base model at `path`, with fresh adapters where they are asked for, and its tokenizer.

    Args:
        half: weights in bfloat16; adapters are in float32.
    """
    import torch

    from kalm.pretrained import add_lora, load_backbone

    backbone, tokenizer = load_backbone(
        path,
        remote_code_revision=settings.remote_code_revision,
        revision=settings.revision,
        dtype=torch.bfloat16 if half else torch.float32,
    )
    if settings.lora_rank:
        backbone = add_lora(
            backbone,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
        )
    return backbone, tokenizer


def _measure(run: Run, settings: GroundSettings) -> None:
    """Predictions and explanations of rollouts that the model was not trained on."""
    from kalm.metrics import explanation_metrics, prediction_metrics
    from kalm.pretrained import load_grounded

    world, store = real_data(run.folder)
    _, held_out = split(list(store.episodes()), settings.validation_rollouts)
    model = load_grounded(run.folder / GROUNDED, world_name=world.name).to(torch_device())
    successful = [e for e in held_out if e.success and len(e) <= settings.max_sample_steps]
    with progress("measuring the grounded model", 2, "measures") as advance:
        metrics = prediction_metrics(model, held_out, max_steps=settings.max_sample_steps)
        advance(1)
        if successful:
            metrics |= explanation_metrics(world, model, successful)
        advance(2)
    run.rewind("measure-grounding", -1)
    run.log("measure-grounding", settings.finetune.num_steps, metrics)
    content = metrics | {"held_out_rollouts": len(held_out)}
    write_text(run.folder / GROUNDING_METRICS, json.dumps(content, indent=1) + "\n")


def torch_device() -> str:
    """This process's accelerator where there is one, else the CPU.

    A launcher numbers the processes of a machine in LOCAL_RANK; each takes a device of its own.
    """
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    rank = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
    return f"cuda:{rank}" if rank else "cuda"


def _base_path(folder: Path, settings: GroundSettings) -> Path | str:
    return folder / BASE_MODEL if settings.base.name == EMBEDDED else settings.base.name
