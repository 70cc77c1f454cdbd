"""Goals in words to programs by a language model: one call for each different text, none by state.

A reader rather abstains than guesses: on words that its model never saw, on answers that are no
program, on answers that the model itself holds unlikely. What is abstained on is counted with its
reason, and the other goals go on. Departs from the paper, which asks a judge about up to 5,000
states of every goal; `imagination.judge` does that.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from kalm.chat import Chat
from kalm.chat_template import ChatError, Conversation
from kalm.choices import score
from kalm.layout import Packed
from kalm.text import answer
from kalm.text_model import TextModel

UNKNOWN, NO_PROGRAM, UNSURE, NO_ANSWER = REASONS = (  # to abstain
    *("unknown words", "no program", "unsure", "no answer"),
)
_BATCH = 256  # texts answered together
_CHAT_BATCH = 64  # goals asked about before answers are looked at
_WORD = re.compile(r"[^\W\d_]+|\d+")


class Told(Protocol):
    """A program of some language, which can be told as text."""

    def text(self) -> str:
        """What a model answers about a goal that means this."""
        ...


P = TypeVar("P", bound=Told)


@dataclass(frozen=True)
class Language(Generic[P]):
    """A kind of programs: how models are asked for them, and how answers are understood."""

    question: Callable[[str], str]  # about a goal text, as the model was taught it
    conversation: Callable[[str], Conversation]  # the same for a chat model, which is told more
    parse: Callable[[str, str], P | None]  # goal text and answer to what the answer says
    max_tokens: int  # of an answer
    new_words: bool = False  # answers repeat words of the goal, which may be ones never seen


@dataclass(frozen=True)
class Reading(Generic[P]):
    """What one goal text was read as."""

    text: str
    program: P | None
    reason: str = ""  # why there is no program, one of REASONS
    detail: str = ""  # the words, the answer, its probability, or the model's failure


@dataclass(frozen=True)
class Answers(Generic[P]):
    """A model's answers to goal texts and what they cost."""

    readings: tuple[Reading[P], ...]  # one for each text
    calls: int
    prompt_tokens: int
    answer_tokens: int


class GoalModel(Protocol[P]):
    """A language model that reads goals; each of the texts is different."""

    def read(self, texts: Sequence[str]) -> Answers[P]:
        """One reading of each text."""


@dataclass(frozen=True)
class GoalReadings(Generic[P]):
    """The programs of a list of goals, and everything that was lost on the way."""

    readings: tuple[Reading[P], ...]  # one for each different text, in order of first mention
    num_texts: int  # duplicates included
    calls: int  # of the model; none for texts that were read before
    prompt_tokens: int
    answer_tokens: int

    @property
    def programs(self) -> dict[str, P]:
        """Programs by goal text, without the goals that were abstained on."""
        return {read.text: read.program for read in self.readings if read.program is not None}

    @property
    def abstained(self) -> dict[str, str]:
        """Why there is no program, by goal text."""
        return {
            read.text: f"{read.reason}: {read.detail}"
            for read in self.readings
            if read.program is None
        }

    def numbers(self) -> dict[str, int]:
        """Counts for a report, every reason to abstain by name."""
        reasons = Counter(read.reason for read in self.readings if read.program is None)
        return {
            "goal_texts": self.num_texts,
            "duplicate_texts": self.num_texts - len(self.readings),
            "programs": len(self.programs),
            **{f"abstained: {reason}": reasons[reason] for reason in REASONS},
            "model_calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "answer_tokens": self.answer_tokens,
        }


class ProgramReader(Generic[P]):
    """Reads lists of goals and remembers what it read."""

    def __init__(self, model: GoalModel[P]) -> None:
        self._model = model
        self._known: dict[str, Reading[P]] = {}

    def read(self, texts: Sequence[str]) -> GoalReadings[P]:
        """The programs of goals in words; equal texts are asked about once, ever.

        Raises:
            ValueError: there is no goal.
        """
        if not texts:
            raise ValueError("Expected at least one goal to read, got none.")
        unique = list(dict.fromkeys(texts))
        new = [text for text in unique if text not in self._known]
        answers = self._model.read(new) if new else Answers[P]((), 0, 0, 0)
        found = self._known | dict(zip(new, answers.readings, strict=True))
        # A model that could not answer is asked again next time.
        self._known = {text: read for text, read in found.items() if read.reason != NO_ANSWER}
        return GoalReadings(
            tuple(found[text] for text in unique),
            len(texts),
            answers.calls,
            answers.prompt_tokens,
            answers.answer_tokens,
        )


class TextModelGoals(Generic[P]):
    """Goals read by a model of words alone that was taught the questions of a language."""

    def __init__(
        self,
        model: TextModel,
        language: Language[P],
        *,
        least_probability: float = 0.9,
        whole_words: bool = True,
    ) -> None:
        """Args:
        language: `imagination.grid_language.GRID` for grids.
        least_probability: of the whole answer; below it the reader abstains; in [0, 1).
        whole_words: whether a word of several tokens is one that the model never saw, as with the
            embedded base model's tokenizer; False for tokenizers that split known words.
        """
        if not 0.0 <= least_probability < 1.0:
            raise ValueError(f"Expected a least_probability in [0, 1), got {least_probability}.")
        self._model, self._language = model, language
        self._least = least_probability
        self._whole_words = whole_words and not language.new_words

    def read(self, texts: Sequence[str]) -> Answers[P]:
        """One reading of each text; texts with unknown words cost no call."""
        unknown = [self._unknown_words(text) for text in texts]
        asked = [text for text, words in zip(texts, unknown, strict=True) if not words]
        language = self._language
        questions = self._model.questions([language.question(text) for text in asked])
        replies = answer(self._model, questions, max_tokens=language.max_tokens, batch=_BATCH)
        programs = [language.parse(*row) for row in zip(asked, replies, strict=True)]
        chances = self._probabilities(questions, programs)
        found = iter(
            _reading(*row, self._least)
            for row in zip(asked, replies, programs, chances, strict=True)
        )
        readings = tuple(
            Reading(text, None, UNKNOWN, ", ".join(words)) if words else next(found)
            for text, words in zip(texts, unknown, strict=True)
        )
        prompt_tokens = sum(len(question) for question in questions)
        answer_tokens = sum(len(ids) + 1 for ids in self._model.encode_texts(replies))
        return Answers(readings, len(asked), prompt_tokens, answer_tokens)

    def _unknown_words(self, text: str) -> list[str]:
        """Words of `text` that fall apart into several tokens wherever they stand."""
        if not self._whole_words:
            return []
        words = list(dict.fromkeys(_WORD.findall(self._language.question(text))))
        bare = self._model.encode_texts(words)
        spaced = self._model.encode_texts([f" {word}" for word in words])
        return [
            word
            for word, first, second in zip(words, bare, spaced, strict=True)
            if min(len(first), len(second)) > 1
        ]

    def _probabilities(
        self, questions: Sequence[Packed], programs: Sequence[P | None]
    ) -> np.ndarray:
        """How likely the model holds each whole answer (N,); 0 where it is no program."""
        chances = np.zeros(len(programs))
        rows = [row for row, program in enumerate(programs) if program is not None]
        texts = [program.text() for program in programs if program is not None]
        if not rows:
            return chances
        options = list(dict.fromkeys(texts))
        own = np.array(texts)[:, None] == np.array(options)
        scores = score(self._model, [questions[row] for row in rows], options, own)
        chances[rows] = np.exp(scores[own])
        return chances


class ChatGoals(Generic[P]):
    """Goals read by a chat model that is told the form of programs."""

    def __init__(self, chat: Chat, language: Language[P]) -> None:
        self._chat, self._language = chat, language

    def read(self, texts: Sequence[str]) -> Answers[P]:
        """One reading of each text; after a failure the others are abstained on, not asked."""
        before = replace(self._chat.usage)
        readings: list[Reading[P]] = []
        try:
            for first in range(0, len(texts), _CHAT_BATCH):
                asked = texts[first : first + _CHAT_BATCH]
                replies = self._chat.ask([self._language.conversation(text) for text in asked])
                lines = [_last_line(reply) for reply in replies]
                readings += [
                    _reading(text, line, self._language.parse(text, line), 1.0, 0.0)
                    for text, line in zip(asked, lines, strict=True)
                ]
        except ChatError as error:
            missing = texts[len(readings) :]
            readings += [Reading(text, None, NO_ANSWER, str(error)) for text in missing]
        cost = self._chat.usage
        return Answers(
            tuple(readings),
            cost.calls - before.calls,
            cost.prompt_tokens - before.prompt_tokens,
            cost.answer_tokens - before.answer_tokens,
        )


def _last_line(reply: str) -> str:
    """The last line of a reply without the marks that chat models put around code."""
    lines = [line.strip(" \t`*.") for line in reply.splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _reading(text: str, reply: str, program: P | None, chance: float, least: float) -> Reading[P]:
    if program is None:
        return Reading(text, None, NO_PROGRAM, reply)
    if chance < least:
        return Reading(text, None, UNSURE, f"{reply}, probability {chance:.2f}")
    return Reading(text, program)
