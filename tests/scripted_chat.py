"""Chat models that answer by a script, for tests of what is asked of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kalm.chat import Usage
from kalm.chat_template import ChatError, Conversation


class ScriptedChat:
    """Answers each conversation by a function of its last message, until it breaks."""

    def __init__(self, reply: Callable[[str], str], *, last_call: int | None = None) -> None:
        self.usage = Usage()
        self.conversations: list[Conversation] = []
        self._reply, self._last_call = reply, last_call

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"model": "script"}

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        replies = []
        for conversation in conversations:
            if self.usage.calls == self._last_call:
                raise ChatError("The script has ended. Write more of it.")
            self.conversations.append(conversation)
            replies.append(self._reply(conversation[-1]["content"]))
            prompt = sum(len(message["content"].split()) for message in conversation)
            self.usage.add(prompt, len(replies[-1].split()), cut=False)
        return replies
