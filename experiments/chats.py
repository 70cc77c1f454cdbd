"""Which chat model a run asks, and where its answers are kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from envs.settings import Count, NotNegative, Settings

if TYPE_CHECKING:
    from kalm.chat import CachedChat, Chat

ANSWERS = "answers"  # folder of a run; what was asked once is never asked again


@dataclass(frozen=True)
class ChatSettings(Settings):
    """A chat model: one of Hugging Face on this machine, or one behind an endpoint."""

    model: str = ""  # hub id, folder, or its name at the endpoint; "" for the run's base model
    revision: str | None = None  # commit, tag or branch on the hub
    url: str = ""  # base address of an OpenAI-compatible endpoint; "" runs the model here
    key_variable: str | None = None  # environment variable that holds the endpoint's key
    temperature: NotNegative = 0.0  # of its words; 0 takes the likeliest
    top_k: Count | None = None  # words that are drawn among; all by default
    max_tokens: Count = 512  # longest answer
    together: Count = 8  # questions asked at once
    tries: Count = 3  # times that a request to the endpoint is sent before it is given up

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url and not self.model:
            raise ValueError(f"Expected --chat.model for the endpoint {self.url}. Name the model.")
        if urlsplit(self.url).password is not None:
            raise ValueError(
                "Expected --chat.url without a password, which the run folder would keep. Put it "
                "into an environment variable and give its name as --chat.key-variable."
            )


def check_chat(settings: ChatSettings) -> None:
    """Checks an endpoint's address and key, and that a model is there, before any long work.

    Raises:
        ValueError: no web address, a key's variable that is empty, or an unknown model.
    """
    from kalm.chat_template import ChatError, require_chat
    from kalm.pretrained import load_tokenizer

    try:
        if settings.url:
            _endpoint(settings)
        elif settings.model:
            require_chat(load_tokenizer(settings.model, revision=settings.revision))
    except ChatError as error:
        raise ValueError(str(error)) from error


def open_chat(
    settings: ChatSettings, folder: Path, *, remote_code_revision: str | None = None
) -> "CachedChat":
    """The chat model, with the answers that run `folder` has already.

    Args:
        remote_code_revision: 40 hexadecimal digits; allows a model's own code at that revision.
    """
    from kalm.chat import CachedChat

    chat = _endpoint(settings) if settings.url else _here(settings, remote_code_revision)
    return CachedChat(chat, folder / ANSWERS)


def chat_costs(chat: "CachedChat") -> dict[str, float]:
    """What the answers of `chat` have cost since it was opened, for a stage's metrics."""
    return {
        "model_calls": chat.usage.calls,
        "cached_answers": chat.hits,
        "prompt_tokens": chat.usage.prompt_tokens,
        "answer_tokens": chat.usage.answer_tokens,
        "cut_answers": chat.usage.cut_answers,
        "damaged_answers": chat.num_damaged,
    }


def _endpoint(settings: ChatSettings) -> "Chat":
    from kalm.chat import EndpointChat

    return EndpointChat(
        settings.url,
        settings.model,
        temperature=settings.temperature,
        top_k=settings.top_k,
        max_tokens=settings.max_tokens,
        key_variable=settings.key_variable,
        workers=settings.together,
        tries=settings.tries,
    )


def _here(settings: ChatSettings, remote_code_revision: str | None) -> "Chat":
    from kalm.chat import HfChat

    return HfChat(
        settings.model,
        revision=settings.revision,
        remote_code_revision=remote_code_revision,
        temperature=settings.temperature,
        top_k=settings.top_k,
        max_tokens=settings.max_tokens,
        batch=settings.together,
    )
