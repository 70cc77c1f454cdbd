"""A causal language model with words alone: questions in, answers out.

One thing to know: its sequences are those of a grounded model whose world has no numbers, so the
fine-tuning loop, the decoder and the saving code are the same. A chat model's questions are put as
a user's message, through its own template.
"""

from typing import Any

from kalm import chat_template
from kalm.language_model import LanguageModel
from kalm.layout import Layout

WORDS_ONLY = Layout(num_slots=0, slot_dim=0, action_width=0)


class TextModel(LanguageModel):
    """A causal LM that answers questions in words."""

    def __init__(self, backbone: Any, tokenizer: Any) -> None:
        super().__init__(backbone, tokenizer, WORDS_ONLY, {"token": 1.0})

    def frame(self) -> tuple[list[int], list[int]]:
        """Token ids before and after the text of a prompt: the chat template's, if it has one."""
        if chat_template.is_chat(self.tokenizer):
            return chat_template.frame(self.tokenizer)
        return super().frame()
