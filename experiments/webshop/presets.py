"""Presets of TEDUO on WebShop: what `kalm run webshop_...` does, each number with its reason."""

from collections.abc import Callable
from dataclasses import replace

from experiments.chats import ChatSettings
from experiments.teduo.base import ReadSettings
from experiments.teduo.presets import CHAT_BASE, CHAT_FINETUNE, SMALL_BASE, SMALL_FINETUNE
from experiments.teduo.tune import TuneSettings
from experiments.webshop.collect import ShopCollectSettings
from experiments.webshop.judge import LabelSettings
from experiments.webshop.pipeline import ShopPreset


def webshop_cpu() -> ShopPreset:
    """5,000 products, 5,000 unlabelled plays, 1,500 instructions: the published CPU result."""
    return ShopPreset(
        collect=ShopCollectSettings(shop_seed=1),  # 0 was looked at while this was built
        read=ReadSettings(
            replace(SMALL_BASE, knowledge_pairs=30_000),
            least_probability=0.1,  # a wrong phrase costs a part of the score, no reading all of it
        ),
        tune=TuneSettings(replace(SMALL_FINETUNE, num_steps=600)),
        seeds=(0, 1, 2),
    )


def webshop_gpu() -> ShopPreset:
    """The paper's settings with an 8B chat model that reads and judges, on one 80 GB card."""
    return ShopPreset(
        read=ReadSettings(
            CHAT_BASE, half_base=True, chat=ChatSettings(max_tokens=256, together=64)
        ),
        labels=LabelSettings(judged=True),
        methods=("teduo-raw", "teduo-filtered", "teduo"),
        tune=TuneSettings(
            replace(CHAT_FINETUNE, batch_size=16, learning_rate=2e-6),  # four on each of four
            validation_share=0.1,
            epochs=20.0,
        ),
        free_gigabytes=200.0,  # checkpoints with the state of 1.4 billion adapter weights
    )


SHOP_PRESETS: dict[str, Callable[[], ShopPreset]] = {
    "webshop_cpu": webshop_cpu,
    "webshop_gpu": webshop_gpu,
}
