"""WebShop in pure Python: a text shop where an instruction in words asks for one product.

Source: WebShop (arXiv 2207.01206) and its reference implementation (MIT). No Java, no tagger and
no download: search is BM25 over numpy, and a catalogue of any size is generated from a seed.
"""

from importlib.util import find_spec

_MISSING = [name for name in ("bm25s", "rapidfuzz", "Stemmer") if find_spec(name) is None]
if _MISSING:
    raise ImportError(
        f"Expected the packages of the text shop, {', '.join(_MISSING)} missing. "
        "Install the extra: pip install 'kalm[webshop]'."
    )
