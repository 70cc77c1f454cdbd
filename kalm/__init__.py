"""The language model side: prompts, the grounded model, its fine-tuning and its generation."""
