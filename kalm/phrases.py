"""Answers that list some of a few given sentences: which words may come next."""

from collections.abc import Sequence
from dataclasses import dataclass

from kalm.language_model import LanguageModel

# A place within an answer: sentences said before, the sentence being said, its words said so far.
_Place = tuple[frozenset[int], int, int]


@dataclass(frozen=True)
class Phrases:
    """Different sentences, each said once at most, in any order, and at least one of them."""

    first: tuple[tuple[int, ...], ...]  # words of every sentence where it opens the answer
    later: tuple[tuple[int, ...], ...]  # the same after another sentence, separator included
    end: int  # the word that ends the answer

    @classmethod
    def of(cls, model: LanguageModel, sentences: Sequence[str], separator: str) -> "Phrases":
        """The words of `sentences` in a model's vocabulary."""
        unique = list(dict.fromkeys(sentences))
        return cls(
            tuple(tuple(model.encode_text(text)) for text in unique),
            tuple(tuple(model.encode_text(separator + text)) for text in unique),
            model.end_token,
        )

    def start(self) -> "Said":
        """Nothing said yet."""
        return Said(self, frozenset((frozenset[int](), i, 0) for i in range(len(self.first))))


@dataclass(frozen=True)
class Said:
    """An answer under way: every place that its words so far may have come to."""

    phrases: Phrases
    places: frozenset[_Place]

    def following(self) -> list[int]:
        """Words that may come next, in order."""
        words = {self._words(place)[place[2]] for place in self._open()}
        if any(self._complete(place) for place in self.places):
            words.add(self.phrases.end)
        return sorted(words)

    def say(self, word: int) -> "Said":
        """The answer with one more word, which has to be one of `following`."""
        return Said(
            self.phrases,
            frozenset(
                (before, sentence, said + 1)
                for before, sentence, said in self._open()
                if self._words((before, sentence, said))[said] == word
            ),
        )

    def _words(self, place: _Place) -> tuple[int, ...]:
        before, sentence, _ = place
        return (self.phrases.later if before else self.phrases.first)[sentence]

    def _complete(self, place: _Place) -> bool:
        return place[2] == len(self._words(place))

    def _open(self) -> set[_Place]:
        """Places with a word to come: within sentences, and before every sentence not yet said."""
        places = {place for place in self.places if not self._complete(place)}
        for place in self.places - places:
            before = place[0] | {place[1]}
            places |= {(before, i, 0) for i in range(len(self.phrases.first)) if i not in before}
        return places
