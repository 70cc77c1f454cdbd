"""The embedded base model's tokenizer: one token a known word, bytes for everything else.

Every Unicode text comes back unchanged, because a word that was never seen falls apart into its
bytes. A word keeps the space before it, as in GPT-2's byte-level tokenizer.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

PAD, BEGIN, END = "<pad>", "<bos>", "<eos>"
RESERVED = tuple(f"<reserved_{index}>" for index in range(5))


def build_tokenizer(
    texts: Iterable[str], *, max_words: int = 6000, always: Iterable[str] = ()
) -> Any:
    """A fast tokenizer (transformers) that knows the commonest words of `texts`.

    Args:
        max_words: the most words of `texts` that get a token of their own.
        always: texts all of whose words get one, however rare.
    """
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split.pre_tokenize_str(text))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = sorted((word for word in counts if len(word) > 1), key=lambda w: (-counts[w], w))
    needed = {word for text in always for word, _ in split.pre_tokenize_str(text) if len(word) > 1}
    chosen = [*words[:max_words], *sorted(needed - set(words[:max_words]))]
    entries = [PAD, BEGIN, END, *RESERVED, *letters, *chosen]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(BPE(vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=list(RESERVED),
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of `text`; never a control token, whatever the text says."""
    return encode_all(tokenizer, [text])[0]


def encode_all(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """`encode` of many texts at once."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
    ids: list[list[int]] = found["input_ids"]
    return ids
