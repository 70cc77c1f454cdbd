"""A causal language model with words alone: questions in, answers out.

One thing to know: its sequences are those of a grounded model whose world has no numbers, so the
fine-tuning loop, the decoder and the saving code are the same.
"""

from typing import Any

from kalm.language_model import LanguageModel
from kalm.layout import Layout

WORDS_ONLY = Layout(num_slots=0, slot_dim=0, action_width=0)


class TextModel(LanguageModel):
    """A causal LM that answers questions in words."""

    def __init__(self, backbone: Any, tokenizer: Any) -> None:
        super().__init__(backbone, tokenizer, WORDS_ONLY, {"token": 1.0})
