"""The base model of a TEDUO run, and the chat model that reads goals and judges."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from envs.settings import Probability, Settings, Whole
from experiments.chats import ChatSettings, check_chat, open_chat
from experiments.folders import BASE_MODEL
from experiments.ground import (
    EMBEDDED,
    BaseModelSettings,
    check_base_model,
    load_base,
    torch_device,
)

if TYPE_CHECKING:
    from kalm.chat import CachedChat
    from kalm.text_model import TextModel


@dataclass(frozen=True)
class ReadSettings(Settings):
    """Which model reads goals, and which goals."""

    base: BaseModelSettings = field(default_factory=BaseModelSettings)
    half_base: bool = False  # the base model's own weights in bfloat16, for adapters alone
    chat: ChatSettings = field(default_factory=ChatSettings)  # who reads and judges
    num_goals: Whole = 0  # training goals, as many of each kind as there are; 0 takes all
    least_probability: Probability = 0.9  # of an answer; below it the goal counts as not understood
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.half_base and not self.base.lora_rank:
            raise ValueError(
                "Expected adapters on a base model in bfloat16, whose own weights are too coarse "
                "to train. Set --read.base.lora-rank, or leave --read.half-base out."
            )


def check_models(settings: ReadSettings, *, judged: bool, otherwise: str) -> None:
    """Checks every model that a run needs, before anything is written.

    Args:
        judged: whether the chat model is to judge.
        otherwise: what the user may do instead where there is none.

    Raises:
        ValueError: a model is not there, or the one that shall judge cannot chat.
    """
    check_base_model(settings.base)
    check_chat(settings.chat)
    if judged and not settings.chat.model and not is_chat_base(settings.base):
        raise ValueError(
            f"Expected a chat model to judge, got the base model `{settings.base.name}`, which has "
            f"no chat template. Set --read.chat.model, with --read.chat.url for an endpoint, or "
            f"{otherwise}."
        )


def base_path(folder: Path, settings: BaseModelSettings) -> str:
    """Folder or hub id of the base model."""
    return str(folder / BASE_MODEL) if settings.name == EMBEDDED else settings.name


def base_text_model(folder: Path, settings: ReadSettings) -> "TextModel":
    """The base model, with fresh adapters where they are asked for."""
    import torch

    from kalm.text_model import TextModel

    if settings.base.lora_rank:
        torch.manual_seed(settings.seed)  # adapters begin with random weights
    path = base_path(folder, settings.base)
    backbone, tokenizer = load_base(path, settings.base, half=settings.half_base)
    return TextModel(backbone, tokenizer).to(torch_device()).eval()


def is_chat_base(settings: BaseModelSettings) -> bool:
    """Whether the base model has a chat template."""
    from kalm.chat_template import is_chat
    from kalm.pretrained import load_tokenizer

    return settings.name != EMBEDDED and is_chat(
        load_tokenizer(
            settings.name,
            remote_code_revision=settings.remote_code_revision,
            revision=settings.revision,
        )
    )


def run_chat(folder: Path, settings: ReadSettings) -> "CachedChat":
    """The chat model that reads and judges: the one that is named, or the base model."""
    return open_chat(settings.chat, folder) if settings.chat.model else base_chat(folder, settings)


def base_chat(folder: Path, settings: ReadSettings) -> "CachedChat":
    """The base model as a chat model, before any fine-tuning."""
    base = settings.base
    return open_chat(
        replace(settings.chat, model=base.name, revision=base.revision, url=""),
        folder,
        remote_code_revision=base.remote_code_revision,
    )
