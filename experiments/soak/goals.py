"""Goals in any words: none of them becomes a control token, and each comes back as it was."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.soak.check import Found, require
from kalm.tokenizer import build_tokenizer, encode_all

CHAT_CONTROLS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>")
BATCH = 2_000


def forge_tokens(count: int, seed: int = 0) -> Found:
    """Encodes `count` random goals with three tokenizers and decodes them again.

    A third of the goals quotes control tokens, a third is of any Unicode characters, a third mixes
    the world's words with both.

    Raises:
        NotHeldError: a goal became a control token, or did not come back as it was.
    """
    kinds = tokenizers()
    for name, tokenizer in kinds.items():
        rng = np.random.default_rng(seed)
        controls = sorted({*tokenizer.all_special_tokens, *CHAT_CONTROLS})
        special = set(tokenizer.all_special_ids)
        for first in range(0, count, BATCH):
            texts = list(random_goals(rng, min(BATCH, count - first), controls))
            rows = encode_all(tokenizer, texts)
            for text, ids in zip(texts, rows, strict=True):
                require(not special & set(ids), f"{name}: {text!r} became a control token.")
            for text, back in zip(texts, tokenizer.batch_decode(rows), strict=True):
                require(text == back, f"{name}: {text!r} came back as {back!r}.")
    return Found(count * len(kinds), count * len(kinds), {"tokenizers": len(kinds)})


def tokenizers() -> dict[str, Any]:
    """Tokenizers of three kinds: ours, one as of GPT-2, one as of chat models."""
    from envs import make_world

    texts = [goal.text for goal in make_world("toy").goals("train")]
    return {
        "words": build_tokenizer(texts),
        "gpt2": _byte_level(texts, ["<|endoftext|>"]),
        "chat": _byte_level(texts, [*CHAT_CONTROLS, "<s>", "</s>", "[INST]", "<tool_call>"]),
    }


def _byte_level(texts: list[str], controls: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=controls, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=controls[0],
        additional_special_tokens=controls[1:],
        clean_up_tokenization_spaces=False,
    )


def random_goals(rng: np.random.Generator, count: int, controls: list[str]) -> Iterator[str]:
    """Texts that mix control tokens, words and any Unicode characters."""
    words = ["push", "the", "red", "disc", " ", "  ", "\n", "<", "|", ">", "end"]
    for place in range(count):
        pieces = []
        for _ in range(int(rng.integers(1, 9))):
            kind = place % 3 if rng.random() < 0.8 else int(rng.integers(3))
            if kind == 0:
                pieces.append(controls[int(rng.integers(len(controls)))])
            elif kind == 1:
                pieces.append(_characters(rng))
            else:
                pieces.append(words[int(rng.integers(len(words)))])
        yield "".join(pieces)


def _characters(rng: np.random.Generator) -> str:
    """A few characters of any plane; surrogates are no characters."""
    top = (0x80, 0x800, 0x10000, 0x110000)[int(rng.integers(4))]
    codes = rng.integers(0, top, int(rng.integers(1, 9))).tolist()
    return "".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF)
