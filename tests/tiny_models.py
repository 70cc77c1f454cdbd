"""Tiny language models, grounded in toy worlds, that many tests need; all weights are random."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from envs import make_world
from envs.babyai.simulator import ACTION_NAMES
from envs.collect import collect
from envs.episode import Episode
from envs.world import World
from imagination.abstraction import vocabulary
from kalm import prompts
from kalm.layout import Packed
from kalm.model import GroundedModel, GroundingConfig, StateScale, make_layout
from kalm.pretrained import add_lora, load_backbone
from kalm.tasks import RolloutSet, TaskStream, TaskWeights
from kalm.text_model import TextModel
from kalm.tokenizer import build_tokenizer

FAMILIES = ("llama", "qwen3", "gpt2")
HIDDEN = 32


@cache
def toy(name: str = "toy") -> World:
    """A toy world; worlds hold no state."""
    return make_world(name)


@cache
def toy_episodes(count: int = 24, name: str = "toy") -> tuple[Episode, ...]:
    """Rollouts of the behaviour policy for training goals."""
    world = toy(name)
    return tuple(collect(world, world.goals("train"), count, seed=0, workers=1))


@cache
def toy_knowledge(count: int = 20) -> tuple[tuple[str, str], ...]:
    """Text-only questions and answers about the toy world's language."""
    return tuple(toy().knowledge(count, np.random.default_rng(0)))


@cache
def tokenizer() -> Any:
    """One token for each word of the toy world's training goals and of the prompts."""
    texts = [goal.text for goal in toy().goals("train")]
    texts += [text for pair in toy_knowledge() for text in pair]
    texts += [prompts.generation_prompt(""), prompts.BEFORE_EXPLANATION, prompts.DYNAMICS]
    return build_tokenizer(texts)


def backbone(family: str = "llama", *, seed: int = 0, layers: int = 2) -> Any:
    """A random causal LM of a family, its weights large enough to make clear choices."""
    words = tokenizer()
    shared = {
        "vocab_size": len(words),
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "initializer_range": 0.1,
        "max_position_embeddings": 256,
    }
    decoder = {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "gpt2":
            config = transformers.GPT2Config(
                **shared, n_embd=HIDDEN, n_layer=layers, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
                attn_pdrop=0.0,
            )  # fmt: skip
            return transformers.GPT2LMHeadModel(config)
        if family == "qwen3":
            config = transformers.Qwen3Config(**shared, **decoder, head_dim=8)
            return transformers.Qwen3ForCausalLM(config)
        config = transformers.LlamaConfig(**shared, **decoder)
        return transformers.LlamaForCausalLM(config)


def save_base(
    folder: Path, family: str = "llama", *, seed: int = 0, head_scale: float = 1.0
) -> Path:
    """A base model with its tokenizer, saved as users have them."""
    model = backbone(family, seed=seed)
    with torch.no_grad():
        model.lm_head.weight *= head_scale
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_chat(folder: Path, family: str = "llama", *, seed: int = 0) -> Path:
    """A random chat model, whose template has control strings of its own, saved as users do."""
    words = build_tokenizer([goal.text for goal in toy().goals("train")])
    controls = ["<|im_start|>", "<|im_end|>", "<unheard of>"]
    words.add_special_tokens({"additional_special_tokens": controls})
    words.eos_token, words.chat_template = "<|im_end|>", CHAT_TEMPLATE
    model = backbone(family, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.resize_token_embeddings(len(words), mean_resizing=False)
        torch.nn.init.normal_(model.lm_head.weight, std=1.0)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def save_grid_chat(folder: Path, *, likes: Sequence[str] = (), seed: int = 0) -> Path:
    """A random chat model that knows the words of grids, saved as users do.

    Args:
        likes: words, a space before each, that make up most of what it says.
    """
    words = build_tokenizer([*vocabulary(), *likes, f" {' '.join(ACTION_NAMES)}"])
    ids = words.convert_tokens_to_ids([f"\u0120{word[1:]}" for word in likes])
    return _save_word_chat(folder, words, seed, lambda weight: weight[ids] * 9, ids)


def save_shop_chat(
    folder: Path, texts: Sequence[str], *, likes: Sequence[str], seed: int = 0
) -> Path:
    """A random chat model that knows the words of texts, saved as users do.

    Args:
        likes: lines, a token each, about equally likely, that make up most of what it says.
    """
    words = build_tokenizer(texts)
    words.add_tokens(list(likes))
    ids = words.convert_tokens_to_ids(list(likes))
    return _save_word_chat(folder, words, seed, lambda w: w[ids] / 2 + 9 * w[ids[0]], ids)


def _save_word_chat(
    folder: Path,
    words: Any,
    seed: int,
    liked: Callable[[torch.Tensor], torch.Tensor],
    ids: Sequence[int],
) -> Path:
    """A random model of these words.

    Args:
        liked: the rows of the words `ids` it says most, made from all rows (V, D).
    """
    words.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    words.eos_token, words.chat_template = "<|im_end|>", CHAT_TEMPLATE
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.5,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            model.lm_head.weight[ids] = liked(model.lm_head.weight)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def grounded(
    name: str = "toy",
    *,
    family: str = "llama",
    seed: int = 0,
    base: Any = None,
    **config: Any,
) -> GroundedModel:
    """A random grounded model of a toy world, in evaluation mode; `config` as GroundingConfig."""
    world = toy(name)
    settings = GroundingConfig(**{"num_bins": 41, "num_frequencies": 2, "trunk_width": 64} | config)
    layout = make_layout(world.spaces, settings.positions)
    episodes = toy_episodes(name=name)
    states = np.concatenate([episode.observations for episode in episodes])
    changes = np.concatenate([np.diff(episode.observations, axis=0) for episode in episodes])
    scale = StateScale.of(states, changes, layout)
    chosen = backbone(family, seed=seed) if base is None else base
    spread = 0.3 if settings.state_head == "binned" else 0.1  # regressed states run away sooner
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GroundedModel(
            chosen, tokenizer(), world.spaces, settings, scale, name, num_goals=num_goals(name)
        )
        for head in (model.action_head, model.state_head, model.stop_head):
            for parameter in head.parameters():
                torch.nn.init.normal_(parameter, std=spread)
    return model.eval()


def adapted(folder: Path, *, dtype: torch.dtype = torch.float32) -> GroundedModel:
    """A model with adapters; its frozen output layer can tell words apart, as a trained one can.

    Args:
        folder: where its base model is saved.
        dtype: of the base model's weights.
    """
    base, _ = load_backbone(str(save_base(folder, head_scale=10.0)), dtype=dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return grounded(base=add_lora(base, rank=8, alpha=16, dropout=0.0))


def text_model(
    family: str = "llama", *, seed: int = 0, base: Any = None, words: Any = None
) -> TextModel:
    """A random model of words alone, in evaluation mode."""
    chosen = backbone(family, seed=seed) if base is None else base
    return TextModel(chosen, tokenizer() if words is None else words).eval()


def num_goals(name: str = "toy") -> int:
    """How many different training goals a toy world has."""
    return len({goal.spec for goal in toy(name).goals("train")})


def task_stream(
    model: GroundedModel,
    episodes: Sequence[Episode] | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> TaskStream:
    """The fine-tuning stream of toy rollouts; one task alone with `only=NAME`."""
    only = options.pop("only", None)
    weights = TaskWeights(**{t: float(t == only) for t in prompts.TASKS}) if only else TaskWeights()
    world = toy(model.world_name)
    rollouts = RolloutSet(
        world,
        toy_episodes(name=world.name) if episodes is None else episodes,
        hindsight=options.pop("hindsight", True),
    )
    return TaskStream(
        rollouts,
        toy_knowledge(),
        model.layout,
        model.prompt,
        model.encode_text,
        model.end_token,
        weights,
        seed=seed,
        **options,
    )


@dataclass(frozen=True)
class FixedStream:
    """The same few samples in every epoch: what a model can learn by heart."""

    samples: Sequence[Packed]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def order(self, epoch: int) -> np.ndarray:
        """Always the same order."""
        return np.arange(len(self.samples))

    def sample(self, epoch: int, index: int) -> tuple[str, Packed]:
        """Sample `index`, whatever the epoch."""
        return "generation", self.samples[index]


def equal_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether all parameters of two models are bitwise equal."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )
