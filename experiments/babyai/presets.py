"""Presets of TEDUO on BabyAI: what `kalm run babyai_...` does, each number with its reason."""

from collections.abc import Callable
from dataclasses import replace

from experiments.babyai.baselines import BaselineSettings
from experiments.babyai.collect import GridCollectSettings
from experiments.babyai.distil import DistilSettings
from experiments.babyai.evaluate import GridEvaluateSettings
from experiments.babyai.pipeline import GridPreset
from experiments.babyai.suite import GridSuite
from experiments.chats import ChatSettings
from experiments.teduo.base import ReadSettings
from experiments.teduo.presets import CHAT_BASE, CHAT_FINETUNE, SMALL_BASE, SMALL_FINETUNE
from experiments.teduo.tune import TuneSettings
from offline_rl.distillation import DistillationConfig
from offline_rl.imitation import ImitationConfig


def babyai_demo() -> GridPreset:
    """At most ten minutes on two cores: one room, half-bot and random-only data, all splits."""
    return GridPreset(
        collect=GridCollectSettings(num_layouts=40, num_rows=80_000),
        read=ReadSettings(SMALL_BASE),
        distil=DistilSettings(
            ("teduo/bot-50", "teduo/random", "cloning/random"),
            DistillationConfig(6_000, longest_steps=64),
        ),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=800)),
        baselines=BaselineSettings(
            network=ImitationConfig(updates=600), offline_rl=(), labelled_steps=20_000
        ),
        evaluate=GridEvaluateSettings(episodes=100, splits=("train", "combination", "both")),
    )


def babyai_room() -> GridPreset:
    """One 8x8 room: every method on half-bot and on random-only data, three seeds."""
    return GridPreset(
        collect=GridCollectSettings(num_layouts=100, num_rows=200_000),
        read=ReadSettings(SMALL_BASE),
        distil=DistilSettings(
            (
                *("teduo/bot-50", "teduo/random", "cloning/bot-50", "cloning/random"),
                *("teduo-absolute/bot-50", "teduo-raw/bot-50"),
            ),
            DistillationConfig(10_000, longest_steps=64),
        ),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=1_200)),
        baselines=BaselineSettings(network=ImitationConfig(updates=3_000), updates=8_000),
        seeds=(0, 1, 2),
        free_gigabytes=2.0,
    )


def babyai_2x2() -> GridPreset:
    """Four rooms with doors: half-bot and random-only data, three seeds."""
    return GridPreset(
        collect=GridCollectSettings(("rooms_2x2",), num_layouts=100, num_rows=600_000),
        read=ReadSettings(SMALL_BASE),
        distil=DistilSettings(
            ("teduo/bot-50", "teduo/random", "cloning/random"),
            DistillationConfig(12_000, longest_steps=100),
        ),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=2_000)),
        baselines=BaselineSettings(imitation=(), offline_rl=()),
        evaluate=GridEvaluateSettings(variants=False),
        seeds=(0, 1, 2),
        free_gigabytes=4.0,
    )


def babyai_synth() -> GridPreset:
    """Nine rooms, the paper's grids and number of rows; larger grids to test on; three seeds."""
    return GridPreset(
        collect=GridCollectSettings(("synth",), num_rows=800_000, expert_shares=(0.5,)),
        read=ReadSettings(SMALL_BASE),
        distil=DistilSettings(("teduo/bot-50",), DistillationConfig(8_000, longest_steps=150)),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=3_000)),
        baselines=BaselineSettings(imitation=(), offline_rl=()),
        evaluate=GridEvaluateSettings(
            splits=("train", "both"), transfer=("rooms_4x4", "rooms_5x5"), variants=False
        ),
        seeds=(0, 1, 2),
        free_gigabytes=6.0,
    )


def babyai_trio() -> GridPreset:
    """Trained on gap and box (A) and on doors (B), tested on a box behind a door (C)."""
    return GridPreset(
        collect=GridCollectSettings(("trio_a", "trio_b"), num_layouts=100, num_rows=200_000),
        read=ReadSettings(SMALL_BASE),
        distil=DistilSettings(
            ("teduo/bot-50", "teduo/random", "cloning/random"),
            DistillationConfig(6_000, longest_steps=40),
        ),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=1_000)),
        baselines=BaselineSettings(imitation=(), offline_rl=()),
        evaluate=GridEvaluateSettings(
            splits=("train", "both"), transfer=("trio_c",), variants=False
        ),
        seeds=(0, 1, 2),
    )


def babyai_gpu() -> GridPreset:
    """The paper's settings with an 8B chat model on one 80 GB card; programs label, not a judge."""
    return GridPreset(
        collect=GridCollectSettings(("synth",), num_rows=800_000, expert_shares=(0.5,)),
        read=ReadSettings(
            CHAT_BASE, half_base=True, chat=ChatSettings(max_tokens=256, together=64), num_goals=500
        ),
        distil=DistilSettings(
            ("teduo/bot-50", "teduo-absolute/bot-50", "teduo-list/bot-50"),
            DistillationConfig(2_000, longest_steps=150),
        ),
        tune=TuneSettings(CHAT_FINETUNE, validation_share=0.1, epochs=3.0),
        baselines=BaselineSettings(imitation=("bot-50",), offline_rl=()),
        evaluate=GridEvaluateSettings(episodes=400, temperature=0.7, in_context=20, variants=False),
        free_gigabytes=200.0,  # checkpoints with the state of 1.4 billion adapter weights
    )


def babyai_cpu() -> GridSuite:
    """The published CPU result: one room, four rooms, nine rooms and the trio, three seeds."""
    return GridSuite(babyai_room(), babyai_2x2(), babyai_synth(), babyai_trio())


SUITES: dict[str, Callable[[], GridSuite]] = {"babyai_cpu": babyai_cpu}
GRID_PRESETS: dict[str, Callable[[], GridPreset]] = {
    "babyai_demo": babyai_demo,
    "babyai_room": babyai_room,
    "babyai_2x2": babyai_2x2,
    "babyai_synth": babyai_synth,
    "babyai_trio": babyai_trio,
    "babyai_gpu": babyai_gpu,
}
