"""The nouns of a product title, without a tagger.

The original asks a large spaCy model which words are nouns. This is a small heuristic instead: a
word is a noun unless it is a number, a function word, a common adjective or verb of product
titles, or ends like an adjective or adverb. Titles are mostly nouns, so it agrees on most words,
not on all; title scores can differ from the original's for that reason alone.
"""

import re
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTION_WORDS = _words(
    "a about above all an and any are as at be both but by can for from has have in into is it its "
    "more most no non not of off on one or our out over own so than that the their them these they "
    "this those to too two under up very was we when which will with without you your three four "
    "five six ten each every other via per plus"
)
_ADJECTIVES = _words(
    "adult best big black blue brown casual classic clean clear cold compact cool cotton-free cute "
    "dark deep double dry easy elegant everyday extra fast fine flat formal free fresh full funny "
    "good gray great green hand-made handmade handy happy hard healthy heavy high hot huge instant "
    "large lazy light long loose low main male female matte mild mini modern natural new nice old "
    "organic original perfect petite pink plain pure purple quick quiet rapid raw real red refined "
    "regular rich round safe sharp short silent simple slim small smart smooth soft solid special "
    "strong sturdy super sweet tall thick thin tiny top true ultra universal vegan vintage warm "
    "wet white wide wild wired wireless yellow young"
)
_VERBS = _words(
    "add bring buy carry come enjoy fit fits get give gives go hold holds keep keeps let lets make "
    "makes made need needs stay stays take use uses wear works"
)
_ADJECTIVE_ENDINGS = (
    *("able", "ible", "ful", "less", "ous", "ish", "ive", "ular", "proof", "weight", "resistant"),
    *("free", "ly", "ally", "ized", "ated", "est"),
)
_NOUNS_WITH_ENDINGS = _words(
    "table cable vegetable jelly belly family butterfly dish fish polish radish tie olive chest "
    "vest harvest weight guest forest dive sleeve assembly supply fly"
)


@lru_cache(maxsize=100_000)
def nouns(text: str) -> frozenset[str]:
    """The different nouns of a title, in lower case."""
    return frozenset(word for word in re.findall(r"[a-z0-9'-]+", text.lower()) if _is_noun(word))


def _is_noun(word: str) -> bool:
    if not any(letter.isalpha() for letter in word) or word[0].isdigit() or len(word) < 2:
        return False
    if word in _FUNCTION_WORDS or word in _ADJECTIVES or word in _VERBS:
        return False
    return word in _NOUNS_WITH_ENDINGS or not word.endswith(_ADJECTIVE_ENDINGS)
