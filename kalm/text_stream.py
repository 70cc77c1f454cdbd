"""Question and answer pairs as fine-tuning samples, pure functions of (seed, epoch, index).

One thing to know: everything is tokenised once, up front; the loss is on the answer and on the
token that ends it, never on the question.
"""

from collections.abc import Callable, Sequence

import numpy as np

from kalm.language_model import LanguageModel
from kalm.layout import Packed

_Encode = Callable[[Sequence[str]], list[list[int]]]


class TextStream:
    """Fine-tuning samples by (epoch, index): each pair once an epoch, in a fresh order."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        model: LanguageModel,
        seed: int,
        *,
        allow_truncated: bool = False,
    ) -> None:
        """Args:
        pairs: questions and their answers.
        model: tokenises them, and limits their length.
        allow_truncated: cuts the beginnings of questions that are too long and counts them in
            `num_truncated`, instead of refusing them.

        Raises:
            ValueError: a sample is longer than the model can read.
        """
        self.seed, self.layout, self.num_truncated = seed, model.layout, 0
        self._questions = _encode_once([question for question, _ in pairs], model.prompts)
        answers = _encode_once([answer for _, answer in pairs], model.encode_texts)
        self._answers = [np.append(answer, model.end_token) for answer in answers]
        if model.max_positions is not None:
            self._fit(model.max_positions, allow_truncated)

    def __len__(self) -> int:
        """Samples in one epoch: one per pair."""
        return len(self._questions)

    def order(self, epoch: int) -> np.ndarray:
        """The pairs' indices (N,) in the order of this epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self))

    def sample(self, epoch: int, index: int) -> tuple[str, Packed]:
        """`answer` and the sequence of pair `index`, the same in every epoch."""
        question, answer = self._questions[index], self._answers[index]
        packed = self.layout.text(np.concatenate([question, answer]))
        packed.loss[len(question) :] = True
        return "answer", packed

    def _fit(self, limit: int, allow_truncated: bool) -> None:
        lengths = [len(q) + len(a) for q, a in zip(self._questions, self._answers, strict=True)]
        long = [index for index, length in enumerate(lengths) if length > limit]
        if long and not allow_truncated:
            raise ValueError(
                f"Expected samples of at most {limit} tokens, the base model's limit, got "
                f"{len(long)} of {len(lengths)} that are longer, {max(lengths)} tokens the "
                f"longest. Shorten them, or take a base model with a longer context."
            )
        for index in long:
            question, room = self._questions[index], limit - len(self._answers[index])
            self._questions[index] = np.append(question[:1], question[len(question) - room + 1 :])
        self.num_truncated = len(long)


def _encode_once(texts: Sequence[str], encode: _Encode) -> list[np.ndarray]:
    """Token ids (L,) int32 of all texts, each different one encoded once."""
    unique = list(dict.fromkeys(texts))
    ids = [np.array(tokens, np.int32) for tokens in encode(unique)]
    found = dict(zip(unique, ids, strict=True))
    return [found[text] for text in texts]
