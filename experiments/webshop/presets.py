"""Presets of TEDUO on WebShop: what `kalm run webshop_...` does, each number with its reason."""

from collections.abc import Callable
from dataclasses import replace

from experiments.babyai.presets import SMALL_BASE, SMALL_FINETUNE
from experiments.babyai.read import ReadSettings
from experiments.babyai.tune import TuneSettings
from experiments.ground import BaseModelSettings
from experiments.webshop.judge import LabelSettings
from experiments.webshop.pipeline import ShopPreset
from kalm.finetune import FinetuneConfig


def webshop_cpu() -> ShopPreset:
    """5,000 products, 5,000 unlabelled plays, 1,500 instructions: the published CPU result."""
    return ShopPreset(
        read=ReadSettings(replace(SMALL_BASE, knowledge_pairs=30_000)),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=600)),
        seeds=(0, 1, 2),
    )


def webshop_gpu() -> ShopPreset:
    """An 8B chat model with the paper's settings, on pages in their own words and as roles."""
    return ShopPreset(
        read=ReadSettings(
            BaseModelSettings(
                "meta-llama/Meta-Llama-3-8B-Instruct",
                lora_rank=512,
                lora_alpha=512,
                lora_dropout=0.1,
            )
        ),
        labels=LabelSettings(judged=True),
        methods=("teduo-raw", "teduo-filtered", "teduo"),
        tune=TuneSettings(
            FinetuneConfig(
                num_steps=40_000,  # about twenty epochs
                batch_size=4,
                learning_rate=2e-6,
                warmup_steps=400,
                clip_norm=0.3,
                validate_steps=1_000,
                checkpoint_steps=1_000,
            ),
            validation_share=0.1,
        ),
        seeds=(0, 1, 2),
        free_gigabytes=120.0,
    )


SHOP_PRESETS: dict[str, Callable[[], ShopPreset]] = {
    "webshop_cpu": webshop_cpu,
    "webshop_gpu": webshop_gpu,
}
