"""Conversations as token ids, by the chat template that a tokenizer brings.

One thing to know: the template is rendered around placeholders, and what people wrote is encoded
apart from it. So no content becomes a control token, whatever it says, and the template's own
control strings stay what they are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from kalm.tokenizer import encode_all

Conversation = Sequence[Mapping[str, str]]  # messages, each with `role` and `content`

ROLES = ("system", "user", "assistant")
_DATE = "26 Jul 2024"  # templates that tell the date would change every prompt overnight
# Control strings of common chat formats, also those that are ordinary words to a tokenizer.
_MARKS = re.compile(
    r"<\|[^<>|]{1,40}\|>|<\uff5c[^<>\uff5c]{1,40}\uff5c>|</?s>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|<(?:bos|eos|pad|unk)>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
)


class ChatError(RuntimeError):
    """A conversation that cannot be had; names what is wrong and the next step."""


def defuse(text: str) -> str:
    """`text` with a space put into whatever reads like a control string of a chat format."""
    return _MARKS.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", text)


def is_chat(tokenizer: Any) -> bool:
    """Whether `tokenizer` has a chat template."""
    return bool(getattr(tokenizer, "chat_template", None))


def require_chat(tokenizer: Any) -> None:
    """Refuses a tokenizer without a chat template.

    Raises:
        ChatError: it has none.
    """
    if not is_chat(tokenizer):
        raise ChatError(
            f"`{tokenizer.name_or_path}` has no chat template, so it is no chat model. Take an "
            f"instruction-tuned model, or one whose tokenizer has a chat_template."
        )


def frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids before and after a single message of a user."""
    before, after = _frames(tokenizer, ("user",))
    return before, after


def conversation_ids(tokenizer: Any, conversations: Sequence[Conversation]) -> list[list[int]]:
    """Token ids of conversations, up to where the assistant's next words begin.

    Raises:
        ChatError: no chat template, or one that refuses these roles.
    """
    kinds = [roles_of(conversation) for conversation in conversations]
    frames = {kind: _frames(tokenizer, kind) for kind in dict.fromkeys(kinds)}
    contents = [defuse(m["content"].strip()) for each in conversations for m in each]
    encoded = iter(encode_all(tokenizer, contents))
    found = []
    for kind in kinds:
        first, *others = frames[kind]
        ids = list(first)
        for piece in others:
            ids += next(encoded) + piece
        found.append(ids)
    return found


def roles_of(conversation: Conversation) -> tuple[str, ...]:
    """Who says each message.

    Raises:
        ChatError: no messages, an unknown role, or a message without text.
    """
    roles = tuple(message.get("role", "") for message in conversation)
    wrong = [role for role in roles if role not in ROLES]
    if not roles or wrong or not all(isinstance(m.get("content"), str) for m in conversation):
        raise ChatError(
            f"Expected messages with a role among {', '.join(ROLES)} and a text as content, got "
            f"{[dict(message) for message in conversation]!r:.200}."
        )
    return roles


def _frames(tokenizer: Any, roles: tuple[str, ...]) -> list[list[int]]:
    """Token ids of what the template writes around the contents of messages with `roles`."""
    require_chat(tokenizer)
    marks = [f"\ue000{place}\ue001" for place in range(len(roles))]
    messages = [{"role": r, "content": mark} for r, mark in zip(roles, marks, strict=True)]
    try:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            date_string=_DATE,
            enable_thinking=False,  # whoever wants thoughts asks for them, and they are short
        )
    except TemplateError as error:
        raise ChatError(
            f"The chat template of `{tokenizer.name_or_path}` refuses messages of "
            f"{', '.join(roles)}: {error}. Put system words into the user's message."
        ) from error
    pieces = re.split("|".join(map(re.escape, marks)), text)
    if len(pieces) != len(marks) + 1 or any(mark not in text for mark in marks):
        raise ChatError(
            f"The chat template of `{tokenizer.name_or_path}` does not write each of the messages "
            f"of {', '.join(roles)} once. Leave some of them out, or take another model."
        )
    ids: list[list[int]] = tokenizer(pieces, add_special_tokens=False, split_special_tokens=False)[
        "input_ids"
    ]
    return ids
