"""The embedded base model: a small Llama primed on generated text, for where no weights can be had.

It stands in for the knowledge of language that a pretrained model brings: synonyms, negations, what
composite goals mean. It sees texts only (no states, no actions, no sentence of a novel level) and
its card says so. Departs from the paper, which starts from Llama-2-7b-chat.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.files import publish
from envs.settings import Count, NotNegative, Positive, Settings, Share
from envs.world import Goal
from kalm import prompts
from kalm.optimizers import make_optimizers
from kalm.precision import has_bfloat16
from kalm.pretrained import train_quickly
from kalm.tokenizer import build_tokenizer, encode

NAME = "embedded base model, primed on generated text only"
CARD = "primer.json"
_IGNORED = -100
_PROMPT_TEXTS = (  # their words get tokens too
    prompts.BEFORE_EXPLANATION,
    prompts.AFTER_EXPLANATION,
    prompts.DYNAMICS,
    prompts.generation_prompt(""),
    prompts.consequence_prompt(""),
    prompts.decomposition_prompt(""),
)


@dataclass(frozen=True)
class PrimerConfig(Settings):
    """Size and training of the embedded base model."""

    hidden: Count = 256  # width of the residual stream
    layers: Count = 6  # transformer blocks
    heads: Count = 8  # attention heads a block; divides `hidden`
    epochs: Count = 1  # passes over the pairs
    batch_tokens: Count = 1024  # padded tokens in one batch
    learning_rate: Positive = 4e-3  # peak of the schedule, for Muon and AdamW alike
    warmup_share: Share = 0.06  # of all steps, linear; cosine to a twentieth afterwards
    question_weight: NotNegative = 0.05  # weight of the loss on questions; answers weigh 1
    sentence_share: NotNegative = 0.05  # plain training sentences added, as a share of the pairs
    bf16: bool = True  # bfloat16 arithmetic, where the device has it (weights stay float32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % self.heads:
            raise ValueError(
                f"Expected --hidden divisible by --heads, got {self.hidden} and {self.heads}."
            )


@dataclass(frozen=True)
class _Sample:
    """One text: token ids, of which the first `num_question` are the question."""

    tokens: list[int]
    num_question: int


def build_base_model(
    folder: Path,
    knowledge_pairs: Sequence[tuple[str, str]],
    train_sentences: Sequence[str],
    config: PrimerConfig = PrimerConfig(),
    *,
    seed: int = 0,
    vocabulary: Sequence[str] = (),
    on_progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Path:
    """Primes a model from scratch and writes it, its tokenizer and its card to `folder`.

    Args:
        knowledge_pairs: questions and answers, texts only.
        train_sentences: sentences of the training level, for plain language modelling.
        vocabulary: texts whose words get tokens and are learned later, by fine-tuning.
        seed: weights and order of texts are a pure function of it (on one machine).
        on_progress: called with step, number of steps and loss.

    Raises:
        ValueError: if `folder` exists already.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already. Delete it or choose another folder.")
    questions = [question for question, _ in knowledge_pairs]
    answers = [answer for _, answer in knowledge_pairs]
    texts = [*questions, *answers, *train_sentences, *_PROMPT_TEXTS, *vocabulary]
    tokenizer = build_tokenizer(texts, always=vocabulary)
    model = new_llama(tokenizer, config, seed).to("cuda" if torch.cuda.is_available() else "cpu")
    samples = _samples(tokenizer, knowledge_pairs, train_sentences, config, seed)
    steps, loss = _prime(model, samples, config, seed, on_progress)
    card = {
        "name": NAME,
        "seed": seed,
        "steps": steps,
        "final_loss": loss,
        "corpus_sha256": corpus_hash(knowledge_pairs, train_sentences),
        "num_pairs": len(knowledge_pairs),
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "config": asdict(config),
    }
    return _publish(folder, model, tokenizer, card)


def new_llama(tokenizer: Any, config: PrimerConfig, seed: int) -> Any:
    """A Llama (transformers) for `tokenizer` with random weights that depend on `seed` alone."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=config.hidden,
                intermediate_size=64 * math.ceil(config.hidden * 8 / 3 / 64),
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=2048,
                initializer_range=config.hidden**-0.5,  # 0.02 is too little for narrow models
                tie_word_embeddings=True,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )


def corpus_hash(pairs: Sequence[tuple[str, str]], sentences: Sequence[str]) -> str:
    """SHA-256 of all texts that prime a model, in order."""
    return hashlib.sha256(json.dumps([list(pairs), list(sentences)]).encode()).hexdigest()


def answer_greedily(
    model: Any, tokenizer: Any, questions: Sequence[str], *, max_tokens: int = 64
) -> list[str]:
    """The model's likeliest answer to each question; questions of one length form a batch."""
    rows = [[tokenizer.bos_token_id, *encode(tokenizer, question)] for question in questions]
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    answers = [""] * len(rows)
    for length, indices in by_length.items():
        tokens = torch.tensor([rows[index] for index in indices], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                do_sample=False,
                max_new_tokens=max_tokens,
            )
        texts = tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)
        for index, text in zip(indices, texts, strict=True):
            answers[index] = text
    return answers


def audit_decomposition(
    model: Any,
    tokenizer: Any,
    goals: Sequence[Goal],
    reference: Callable[[Goal], list[str]],
    *,
    max_tokens: int = 64,
) -> dict[str, float]:
    """Share of goals whose decomposition is exactly the reference's, by "level/kind".

    A measurement only: references are never training data.
    """
    questions = [prompts.decomposition_prompt(goal.text) for goal in goals]
    answers = answer_greedily(model, tokenizer, questions, max_tokens=max_tokens)
    hits: dict[str, list[bool]] = {}
    for goal, answer in zip(goals, answers, strict=True):
        right = prompts.split_subgoals(answer) == reference(goal)
        hits.setdefault(f"{goal.level}/{goal.kind}", []).append(right)
    return {name: float(np.mean(values)) for name, values in hits.items()}


def _samples(
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    sentences: Sequence[str],
    config: PrimerConfig,
    seed: int,
) -> list[_Sample]:
    """Tokens of all pairs, and of training sentences drawn as plain text."""
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    samples = []
    for question, answer in pairs:
        asked = [begin, *encode(tokenizer, question)]
        samples.append(_Sample([*asked, *encode(tokenizer, answer), end], len(asked)))
    rng = np.random.default_rng([seed, 1])
    for _ in range(round(len(pairs) * config.sentence_share) if sentences else 0):
        sentence = sentences[int(rng.integers(len(sentences)))]
        tokens = [begin, *encode(tokenizer, sentence), end]
        samples.append(_Sample(tokens, len(tokens)))
    return samples


def _prime(
    model: Any,
    samples: Sequence[_Sample],
    config: PrimerConfig,
    seed: int,
    on_progress: Callable[[int, int, float], None],
) -> tuple[int, float]:
    """Trains `model` in place; number of steps and mean loss of the last twentieth."""
    batches = [
        batch
        for epoch in range(config.epochs)
        for batch in _batches(samples, config.batch_tokens, np.random.default_rng([seed, 2, epoch]))
    ]
    # With AdamW alone the model needs several times the texts to keep the balls of a conjunction
    # apart (12,000 pairs, width 128: 41 against 99 of 100 two-goal conjunctions divided rightly).
    optimizers = make_optimizers(
        model, "muon", config.learning_rate, outer=[model.lm_head], betas=(0.9, 0.98)
    )
    losses = []
    half = config.bf16 and has_bfloat16(model.device)
    train_quickly(model)
    model.train()
    for step, batch in enumerate(batches):
        rate = _rate(step, len(batches), config.warmup_share) * config.learning_rate
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            loss = _loss(model, [samples[index] for index in batch], config.question_weight)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"Priming loss is {loss.item()} at step {step}.")
        model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
        on_progress(step + 1, len(batches), losses[-1])
    model.eval()
    return len(batches), float(np.mean(losses[-max(1, len(losses) // 20) :]))


def _batches(
    samples: Sequence[_Sample], batch_tokens: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Indices of samples of about one length, in batches of `batch_tokens`, in random order."""
    lengths = np.array([len(sample.tokens) for sample in samples]) + rng.random(len(samples))
    batches: list[list[int]] = [[]]
    for index in np.argsort(lengths):
        if (len(batches[-1]) + 1) * math.floor(lengths[index]) > batch_tokens and batches[-1]:
            batches.append([])
        batches[-1].append(int(index))
    return (batches[place] for place in rng.permutation(len(batches)))


def _rate(step: int, steps: int, warmup_share: float) -> float:
    """Learning rate as a share of its peak."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _loss(model: Any, samples: Sequence[_Sample], question_weight: float) -> Tensor:
    """Mean token loss; answers weigh 1, questions `question_weight`."""
    length = max(len(sample.tokens) for sample in samples)
    tokens = torch.zeros((len(samples), length), dtype=torch.long)
    labels = torch.full((len(samples), length), _IGNORED)
    weights = torch.ones((len(samples), length))
    for row, sample in enumerate(samples):
        tokens[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
        labels[row, : len(sample.tokens)] = tokens[row, : len(sample.tokens)]
        weights[row, : sample.num_question] = question_weight
    tokens, labels, weights = (table.to(model.device) for table in (tokens, labels, weights))
    wanted = labels[:, 1:] != _IGNORED
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1][wanted])
    losses = functional.cross_entropy(logits.float(), labels[:, 1:][wanted], reduction="none")
    weight = weights[:, 1:][wanted]
    return (losses * weight).sum() / weight.sum()


def _publish(folder: Path, model: Any, tokenizer: Any, card: dict[str, Any]) -> Path:
    """Writes everything beside `folder`, then renames: a folder that exists is complete."""
    with publish(folder) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    return folder
