"""Base models and fine-tuning that the presets of both worlds begin with."""

from experiments.ground import BaseModelSettings
from kalm.finetune import FinetuneConfig
from kalm.primer import PrimerConfig

SMALL_BASE = BaseModelSettings(  # 0.7 M parameters: learns to act and to read in minutes
    knowledge_pairs=30_000,
    primer=PrimerConfig(hidden=128, layers=3, heads=4, batch_tokens=1024),
)
SMALL_FINETUNE = FinetuneConfig(
    batch_size=32,
    accumulation_steps=1,  # as published; 0 is quicker, and differs in the last bits
    learning_rate=4e-3,
    optimizer="muon",
    warmup_steps=30,
    log_steps=50,
    validate_steps=200,
    checkpoint_steps=200,
)
CHAT_BASE = BaseModelSettings(
    "Qwen/Qwen3-8B",  # may be had by everyone; the paper takes Llama-3-8B-Instruct
    revision="b968826d9c46dd6066d109eabc6255188de91218",
    lora_rank=512,
    lora_alpha=512,
    lora_dropout=0.1,
)
CHAT_FINETUNE = FinetuneConfig(  # the paper's, as far as it tells them
    batch_size=40,  # ten on each of four devices
    accumulation_steps=4,  # on one device; with four of them, 1 is faster
    learning_rate=2e-5,
    clip_norm=0.3,
    log_steps=20,
    validate_steps=500,
    checkpoint_steps=500,
)
