"""Chat models: a Hugging Face model here, or any OpenAI-compatible endpoint; answers are cached.

One thing to know: an answer is a pure function of the model, its settings and the messages, which
is what the cache keys on. Whether an answer makes sense is the caller's matter.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from kalm.chat_template import (
    ChatError,
    Conversation,
    conversation_ids,
    defuse,
    require_chat,
    roles_of,
)
from kalm.endpoint import Endpoint
from kalm.pretrained import load_backbone
from kalm.text import Sampling, write
from kalm.text_model import TextModel

ANSWERS = "answers.jsonl"


@dataclass
class Usage:
    """What the answers of a chat have cost so far."""

    calls: int = 0  # conversations that the model answered, those from a cache left out
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cut_answers: int = 0  # answers that were not at their end after `max_tokens`

    def add(self, prompt_tokens: int, answer_tokens: int, *, cut: bool) -> None:
        """Counts one answer."""
        self.calls += 1
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens
        self.cut_answers += cut


class Chat(Protocol):
    """Answers conversations."""

    usage: Usage

    @property
    def settings(self) -> Mapping[str, Any]:
        """Whatever an answer depends on besides the messages."""
        ...

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        """The assistant's next words in each conversation.

        Raises:
            ChatError: no answer can be had.
        """
        ...


def ask_user(text: str) -> Conversation:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


class HfChat:
    """A causal LM of Hugging Face with a chat template, on this machine."""

    def __init__(
        self,
        name_or_folder: str,
        *,
        revision: str | None = None,
        remote_code_revision: str | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        max_tokens: int = 512,
        batch: int = 8,
        seed: int = 0,
    ) -> None:
        """Args:
        revision: commit, tag or branch of a model on the hub.
        remote_code_revision: 40 hexadecimal digits; allows the model's own code at that revision.
        temperature: 0 takes the likeliest words.
        top_k: words that are drawn among; all of them by default.
        max_tokens: longest answer.
        batch: conversations answered together.
        seed: of the draws.

        Raises:
            ChatError: the model has no chat template.
            ModelError: it cannot be loaded.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        backbone, tokenizer = load_backbone(
            name_or_folder,
            remote_code_revision=remote_code_revision,
            revision=revision,
            dtype=dtype,
        )
        require_chat(tokenizer)
        self.model = TextModel(backbone, tokenizer).to(device).eval()
        self.name, self.revision, self.batch = name_or_folder, revision, batch
        self.sampling, self.max_tokens = Sampling(temperature, top_k, seed), max_tokens
        self.usage = Usage()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Model and sampling."""
        own = {"model": self.name, "revision": self.revision, "max_tokens": self.max_tokens}
        return own | asdict(self.sampling)

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        """The assistant's next words in each conversation; as in `Chat`."""
        ids = conversation_ids(self.model.tokenizer, conversations)
        questions = [self.model.layout.text(tokens) for tokens in ids]
        answers = write(
            *(self.model, questions),
            max_tokens=self.max_tokens,
            batch=self.batch,
            sampling=self.sampling,
        )
        for tokens, answer in zip(ids, answers, strict=True):
            self.usage.add(len(tokens), len(answer), cut=len(answer) == self.max_tokens)
        return self.model.texts(answers)


class EndpointChat:
    """A model behind an OpenAI-compatible endpoint (`POST URL/chat/completions`)."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        max_tokens: int = 512,
        key_variable: str | None = None,
        workers: int = 8,
        timeout_seconds: float = 120.0,
        tries: int = 3,
        wait_seconds: float = 1.0,
    ) -> None:
        """Args:
        url: base address; it usually ends in /v1.
        top_k: words that are drawn among; not every endpoint knows it.
        max_tokens: longest answer.
        key_variable: name of the environment variable that holds the key, if one is needed.
        workers: requests under way together.
        timeout_seconds: of one request.
        tries: times that a request is sent before it is given up.
        wait_seconds: pause before the second try; doubled before each further one.

        Raises:
            ChatError: not a web address, or the environment variable is not set.
        """
        base = url.strip().rstrip("/").removesuffix("/chat/completions")
        self.endpoint = Endpoint(
            f"{base}/chat/completions",
            key_variable=key_variable,
            timeout_seconds=timeout_seconds,
            tries=tries,
            wait_seconds=wait_seconds,
        )
        self.model, self.workers, self.usage = model, workers, Usage()
        self.sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        if top_k is not None:
            self.sampling["top_k"] = top_k

    @property
    def settings(self) -> Mapping[str, Any]:
        """Address, model and sampling; never the key."""
        return {"url": self.endpoint.url, "model": self.model} | self.sampling

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        """The assistant's next words in each conversation; as in `Chat`."""
        for conversation in conversations:
            roles_of(conversation)
        with ThreadPoolExecutor(self.workers) as pool:
            replies = list(pool.map(self._ask_one, conversations))
        for _, prompt_tokens, answer_tokens, cut in replies:
            self.usage.add(prompt_tokens, answer_tokens, cut=cut)
        return [reply[0] for reply in replies]

    def _ask_one(self, conversation: Conversation) -> tuple[str, int, int, bool]:
        messages = [{"role": m["role"], "content": defuse(m["content"])} for m in conversation]
        reply = self.endpoint.post({"model": self.model, "messages": messages} | self.sampling)
        try:
            choice = reply["choices"][0]
            answer, cut = choice["message"]["content"] or "", choice.get("finish_reason")
            counts = reply.get("usage") or {}
            tokens = [int(counts.get(f"{n}_tokens") or 0) for n in ("prompt", "completion")]
            return str(answer).strip(), tokens[0], tokens[1], cut == "length"
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise ChatError(
                f"{self.endpoint.url} answered no chat completion but `{reply!r:.200}`. Give the "
                f"base address of an OpenAI-compatible endpoint, which usually ends in /v1."
            ) from None


class CachedChat:
    """A chat that asks nothing twice: answers are kept in a folder, one JSON line each."""

    def __init__(self, chat: Chat, folder: Path, *, chunk: int = 64) -> None:
        """Args:
        chunk: conversations after which answers are written down; an error loses no more.
        """
        self.chat, self.chunk = chat, chunk
        self.usage = chat.usage
        self.hits = 0  # answers that were found in the folder
        self.num_damaged = 0  # lines that were cut off or altered, and are asked again
        self.path = Path(folder) / ANSWERS
        self._answers = self._read()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the chat that is asked."""
        return self.chat.settings

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        """The assistant's next words in each conversation; as in `Chat`."""
        requests = [
            {"settings": dict(self.settings), "messages": [dict(m) for m in conversation]}
            for conversation in conversations
        ]
        keys = [_digest(request) for request in requests]
        wanted = {key: place for place, key in enumerate(keys) if key not in self._answers}
        self.hits += len(keys) - len(wanted)
        places = sorted(wanted.values())
        for first in range(0, len(places), self.chunk):
            chosen = places[first : first + self.chunk]
            answers = self.chat.ask([conversations[place] for place in chosen])
            self._keep({keys[p]: (requests[p], a) for p, a in zip(chosen, answers, strict=True)})
        return [self._answers[key] for key in keys]

    def _keep(self, answered: Mapping[str, tuple[dict[str, Any], str]]) -> None:
        """Appends lines; several processes may share the folder."""
        lines = [""]  # ends a line that a crash cut off
        for key, (request, answer) in answered.items():
            record = {"key": key, **request, "answer": answer}
            lines.append(json.dumps(record | {"sha256": _digest(record)}))
            self._answers[key] = answer
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(("\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> dict[str, str]:
        answers: dict[str, str] = {}
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for line in filter(None, lines):
            try:
                record = json.loads(line)
                sound = record.pop("sha256") == _digest(record)
            except (ValueError, KeyError, TypeError, AttributeError):
                sound = False
            if sound:
                answers[record["key"]] = record["answer"]
            else:
                self.num_damaged += 1
        return answers


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
