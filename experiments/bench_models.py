"""The language models of the benchmarks, and rollouts written as text for what people use today.

One tokenizer serves both sides, so that their backbones are the same to the last weight. It writes
a number with three decimals in three tokens (four with a sign), which is as short as tokenizers of
released models make it.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from envs.episode import Episode
from experiments.bench_rollouts import world
from experiments.ground import grounded_around
from kalm.model import GroundedModel, GroundingConfig
from kalm.primer import PrimerConfig, new_llama
from kalm.prompts import generation_prompt
from kalm.tokenizer import build_tokenizer, encode

HEAD_WIDTH = 32  # numbers of an attention head
ACTION_WORD = " action"  # no goal says it
SEED = 0


@cache
def tokenizer() -> Any:
    """One token for each word of the training goals, and for each group of digits."""
    goals = [generation_prompt(goal.text) for goal in world().goals(world().levels[0])]
    digits = [f" 0.{number:03d} -1.{number:03d}" for number in range(1000)]
    actions = [f"{ACTION_WORD} {action}" for action in range(world().spaces.num_actions or 0)]
    return build_tokenizer([*goals, *digits, *actions])


def backbone(hidden: int, layers: int) -> Any:
    """A Llama with random weights, the same each time."""
    config = PrimerConfig(hidden=hidden, layers=layers, heads=max(1, hidden // HEAD_WIDTH))
    return new_llama(tokenizer(), config, SEED)


def grounded(
    hidden: int, layers: int, episodes: Sequence[Episode], config: GroundingConfig | None = None
) -> GroundedModel:
    """`backbone` with encoders and heads (default: the product's), fresh but the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return grounded_around(
            backbone(hidden, layers),
            tokenizer(),
            config or GroundingConfig(),
            world(),
            list(episodes),
        )


def state_text(state: Any) -> str:
    """A state in words: its numbers with three decimals."""
    return "".join(f" {value:.3f}" for value in state)


def prompt_text(episode: Episode) -> str:
    """What a rollout as text begins with: the goal and the first state."""
    return generation_prompt(episode.goal) + state_text(episode.observations[0])


def rollout_text(episode: Episode) -> str:
    """A rollout in words: prompt, then every push and the state that it leads to."""
    steps = zip(episode.actions, episode.observations[1:], strict=True)
    return prompt_text(episode) + "".join(
        f"{ACTION_WORD} {int(action)}{state_text(state)}" for action, state in steps
    )


def tokens_per_step(episodes: Sequence[Episode]) -> float:
    """Tokens that a push and a state take as text, on average."""
    whole = sum(len(encode(tokenizer(), rollout_text(episode))) for episode in episodes)
    prompts = sum(len(encode(tokenizer(), prompt_text(episode))) for episode in episodes)
    return (whole - prompts) / sum(map(len, episodes))
