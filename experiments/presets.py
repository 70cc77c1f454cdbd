"""Presets of the whole pipeline: what `kalm run NAME` does, each number with its reason."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from envs.settings import NotNegative, Settings, Whole
from experiments.collect import CollectSettings
from experiments.evaluate import EvaluateSettings
from experiments.ground import BaseModelSettings, GroundSettings
from experiments.imagine import ImagineSettings
from experiments.names import require_different_seeds
from experiments.train import TrainSettings
from imagination.imagine import ImagineConfig
from kalm.engine import GenerationConfig
from kalm.finetune import FinetuneConfig
from kalm.primer import PrimerConfig
from offline_rl.algorithms import AlgorithmConfig


@dataclass(frozen=True)
class Preset(Settings):
    """Settings of every stage; a seed of the pipeline replaces the seed of each."""

    collect: CollectSettings = field(default_factory=CollectSettings)
    ground: GroundSettings = field(default_factory=GroundSettings)
    imagine: ImagineSettings = field(default_factory=ImagineSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    seeds: tuple[Whole, ...] = (0,)  # runs that the table pools; each may run alone
    free_gigabytes: NotNegative = 1.0  # disk that a seed needs; asked for before anything starts

    def __post_init__(self) -> None:
        super().__post_init__()
        require_different_seeds(self.seeds)
        missing = sorted(set(self.train.protocols) - set(self.imagine.protocols))
        if missing and any("imagined" in mix for mix in self.train.mixes):
            raise ValueError(
                f"Agents are to train on protocol `{missing[0]}`, which is not imagined. "
                f"Add it to --imagine.protocols."
            )
        if "real+real" in self.train.mixes and not self.collect.ceiling_rollouts:
            raise ValueError(
                "The mix `real+real` needs real rollouts of novel goals. "
                "Set --collect.ceiling-rollouts."
            )


def toy() -> Preset:
    """Seconds on the toy world: every stage once, for tests and for reading along."""
    return Preset(
        collect=CollectSettings("toy", num_rollouts=400, ceiling_rollouts=40),
        ground=GroundSettings(
            base=BaseModelSettings(
                knowledge_pairs=400, primer=PrimerConfig(hidden=64, layers=2, heads=2, epochs=1)
            ),
            finetune=FinetuneConfig(
                num_steps=150,
                batch_size=16,
                learning_rate=4e-3,
                warmup_steps=5,
                bf16=False,
                log_steps=10,
                validate_steps=50,
            ),
            decomposition_pairs=200,
            validation_rollouts=40,
        ),
        imagine=ImagineSettings(
            rollouts=ImagineConfig(
                num_rollouts=256,
                rollouts_per_shard=64,
                generation=GenerationConfig(num_candidates=12, max_steps=12),
            )
        ),
        train=TrainSettings(
            algorithms=("bc",),
            mixes=("real-only", "real+imagined", "real+real"),
            steps=600,
            algorithm=AlgorithmConfig(hidden_sizes=(64, 64)),
        ),
        evaluate=EvaluateSettings(episodes=12, min_per_kind=6),
        free_gigabytes=0.1,
    )


SMALL_BASE = BaseModelSettings(  # about one million parameters: learns fastest per second here
    knowledge_pairs=12_000,
    primer=PrimerConfig(
        hidden=128, layers=4, heads=4, epochs=1, batch_tokens=1024, learning_rate=4e-3
    ),
)
SMALL_FINETUNE = FinetuneConfig(
    batch_size=64,
    accumulation_steps=1,  # as published; 0 is quicker, and differs in the last bits
    learning_rate=4e-3,
    optimizer="muon",
    validate_steps=500,
    checkpoint_steps=500,
)


def demo() -> Preset:
    """Five minutes with bfloat16, ten to twelve without: imagination helps, on one seed."""
    return Preset(
        collect=CollectSettings(num_rollouts=6_000),
        ground=GroundSettings(
            base=SMALL_BASE,
            finetune=replace(SMALL_FINETUNE, num_steps=900),
            decomposition_pairs=8_000,
            validation_rollouts=200,
        ),
        imagine=ImagineSettings(
            rollouts=ImagineConfig(num_rollouts=1_500, generation=CLEVR_GENERATION)
        ),
        train=TrainSettings(steps=4_000),
        evaluate=EvaluateSettings(
            episodes=100, min_per_kind=25, greedy_too=False, language_model=False
        ),
    )


CLEVR_GENERATION = GenerationConfig(
    num_candidates=8,  # actions that are imagined and compared, each step
    max_steps=30,  # imagined rollouts that take longer rarely reach their goal
    max_context_steps=12,  # the longest stretch of the training samples
)


def clevr_cpu() -> Preset:
    """The published CPU result: three seeds, two algorithms, all rows, at most 2.5 hours."""
    return Preset(
        collect=CollectSettings(num_rollouts=12_000, ceiling_rollouts=1_000),
        ground=GroundSettings(
            base=SMALL_BASE,
            finetune=replace(SMALL_FINETUNE, num_steps=2_400),
        ),
        imagine=ImagineSettings(
            protocols=("target", "unseen"),
            rollouts=ImagineConfig(num_rollouts=4_000, generation=CLEVR_GENERATION),
        ),
        train=TrainSettings(
            mixes=("real-only", "real+imagined", "real+real"),
            protocols=("target", "unseen"),
            steps=4_000,
        ),
        evaluate=EvaluateSettings(min_per_kind=100, greedy_too=False),
        seeds=(0, 1, 2),
        free_gigabytes=3.0,
    )


def clevr_gpu() -> Preset:
    """A 7B-class model with LoRA; start `ground` with `accelerate launch` on several devices."""
    return Preset(
        collect=CollectSettings(num_rollouts=100_000, ceiling_rollouts=5_000),
        ground=GroundSettings(
            base=BaseModelSettings("Qwen/Qwen2.5-7B", lora_rank=64, lora_alpha=128),
            finetune=FinetuneConfig(
                num_steps=40_000,
                batch_size=64,
                accumulation_steps=2,
                learning_rate=1e-4,
                warmup_steps=1_000,
                validate_steps=2_000,
                checkpoint_steps=2_000,
            ),
            validation_rollouts=2_000,
        ),
        imagine=ImagineSettings(
            protocols=("target", "unseen"),
            rollouts=ImagineConfig(
                num_rollouts=80_000, generation=GenerationConfig(num_slots=512, num_candidates=4)
            ),
        ),
        train=TrainSettings(
            algorithms=("bc", "cql", "bcq", "dt"),
            mixes=("real-only", "real+imagined", "real+real"),
            protocols=("target", "unseen"),
            steps=200_000,
        ),
        evaluate=EvaluateSettings(episodes=400),
        seeds=(0, 1, 2),
        free_gigabytes=120.0,
    )


def clevr_gpu_scratch() -> Preset:
    """A model of about 100 M parameters from scratch, primed on text, on one or more GPUs."""
    preset = clevr_gpu()
    return Preset(
        collect=preset.collect,
        ground=GroundSettings(
            base=BaseModelSettings(
                knowledge_pairs=200_000,
                primer=PrimerConfig(hidden=768, layers=12, heads=12, learning_rate=6e-4),
            ),
            finetune=FinetuneConfig(
                num_steps=60_000,
                batch_size=128,
                learning_rate=6e-4,
                warmup_steps=2_000,
                validate_steps=2_000,
                checkpoint_steps=2_000,
            ),
            decomposition_pairs=100_000,
            validation_rollouts=2_000,
        ),
        imagine=preset.imagine,
        train=preset.train,
        evaluate=preset.evaluate,
        seeds=preset.seeds,
        free_gigabytes=20.0,
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    "demo": demo,
    "clevr_cpu": clevr_cpu,
    "clevr_gpu": clevr_gpu,
    "clevr_gpu_scratch": clevr_gpu_scratch,
    "toy": toy,
}
