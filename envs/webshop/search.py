"""Keyword search over a catalogue: BM25 with English stemming and stop words.

The original searches with Lucene through Anserini. Its k1 and b, its Porter stemmer and its short
list of stop words are set here; that these are the values it ran with is an assumption. Products of
equal score come in catalogue order, so a search has one result.
"""

import logging
from collections.abc import Iterable

import bm25s
import numpy as np
import Stemmer

from envs.webshop.products import Product

K1, B = 0.9, 0.4
NUM_RESULTS = 50  # best products that a search shows
_CACHED_SEARCHES = 50_000
_WORD = r"(?u)\b\w+\b"  # single letters and digits too: they are sizes

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for its debug messages on import


def search_text(product: Product) -> str:
    """What a search looks at: title, description, first bullet, option names and values.

    Source: the index builder of the reference implementation.
    """
    options = (f"{name} {' '.join(values)}" for name, values in product.options.items())
    return " ".join([product.name, product.description, product.bullets[0], *options]).lower()


class SearchIndex:
    """The search engine of a catalogue; results are remembered.

    Raises:
        ValueError: no product has a word that can be searched.
    """

    def __init__(self, products: Iterable[Product]) -> None:
        self._stemmer = Stemmer.Stemmer("porter")
        self._engine = bm25s.BM25(k1=K1, b=B, method="lucene")
        tokens = self._tokenize([search_text(product) for product in products])
        if not any(tokens):
            raise ValueError(
                "Expected products with words to search, got none. Check their titles."
            )
        self._engine.index(tokens, show_progress=False)
        self._results: dict[str, tuple[int, ...]] = {}

    def search(self, keywords: str, count: int = NUM_RESULTS) -> tuple[int, ...]:
        """Indices of the best products, best first; only products that have one of the words."""
        key = f"{count} {keywords}"
        if key not in self._results:
            if len(self._results) >= _CACHED_SEARCHES:
                self._results.clear()
            self._results[key] = _best(self.scores(keywords), count)
        return self._results[key]

    def scores(self, keywords: str) -> np.ndarray:
        """The score of every product (N,) float32 for the keywords."""
        (words,) = self._tokenize([keywords.lower()])
        known = [word for word in words if word in self._engine.vocab_dict]
        if not known:
            return np.zeros(self._engine.scores["num_docs"], np.float32)
        return np.asarray(self._engine.get_scores(known))

    def _tokenize(self, texts: list[str]) -> list[list[str]]:
        """The stemmed words of each text, stop words left out."""
        words: list[list[str]] = bm25s.tokenize(
            texts,
            token_pattern=_WORD,
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return words


def _best(scores: np.ndarray, count: int) -> tuple[int, ...]:
    """Places of the `count` largest positive scores, equal ones in order."""
    least = np.partition(scores, -count)[-count] if len(scores) > count else 0.0
    places = np.flatnonzero((scores >= least) & (scores > 0))
    order = np.argsort(-scores[places], kind="stable")[:count]
    return tuple(places[order].tolist())
