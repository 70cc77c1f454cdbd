"""The offline RL algorithms by name: d3rlpy's, with inputs that end in a goal vector.

Where defaults differ from d3rlpy's they suit 10^4 to 10^5 updates at batch 256 instead of Atari's
10^7, and plain imitation has no penalty on its logits, so that softmax sampling is calibrated.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from envs.settings import Count, NotNegative, Positive, Probability, Settings, Share
from envs.world import Spaces

ActionKind = Literal["discrete", "continuous"]


@dataclass(frozen=True)
class AlgorithmConfig(Settings):
    """Hyper-parameters; each algorithm reads those that it has."""

    hidden_sizes: tuple[Count, ...] = (256, 256)  # units of each hidden layer
    learning_rate: Positive | None = None  # None: the algorithm's own in ALGORITHMS
    weight_decay: NotNegative = 0.0  # decoupled, per update
    dropout: Probability = 0.0  # probability, in hidden layers
    layer_norm: bool = False  # after each hidden layer
    gamma: Share = 0.99  # discount per step
    reward_scale: Positive | None = None  # factor on rewards; None: 1 / largest absolute reward
    conservative_weight: NotNegative | None = None  # CQL; None: 1 for discrete actions, else 5
    target_update_steps: Count = 1000  # updates between target copies, discrete CQL and BCQ
    logit_penalty: NotNegative = 0.0  # on squared logits of imitation; d3rlpy's default is 0.5
    context_steps: Count = 8  # window of the decision transformer
    transformer_width: Count = 128  # numbers per token of the decision transformer
    num_layers: Count = 2  # of the decision transformer
    num_heads: Count = 4  # of the decision transformer
    target_return_quantile: Share = 0.9  # of training returns, what the transformer is asked for
    success_only_real: bool = False  # train on successful real episodes only
    success_only_imagined: bool = False  # train on successful imagined episodes only
    bfloat16: bool = False  # hidden layers train in bfloat16: faster with AVX-512 BF16 or a GPU

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes:
            raise ValueError("Expected at least one number as --hidden-sizes, got none.")
        if self.transformer_width % self.num_heads:
            raise ValueError(
                f"Expected --transformer-width to be a multiple of --num-heads, "
                f"got {self.transformer_width} and {self.num_heads}."
            )


@dataclass(frozen=True)
class Algorithm:
    """One entry of ALGORITHMS."""

    create: Callable[[AlgorithmConfig, float, str], Any]  # (config, learning rate, device)
    learning_rate: float  # used where the config names none
    act: Callable[[Any, Any], torch.Tensor]  # (implementation, inputs): scores or actions
    bootstraps: bool = True  # needs next observations
    windows: bool = False  # learns from windows of steps
    values: bool = False  # scores are action values instead of logits


def action_kind(spaces: Spaces) -> ActionKind:
    """The key of ALGORITHMS that fits a world."""
    return "discrete" if spaces.num_actions is not None else "continuous"


def find_algorithm(name: str, kind: ActionKind) -> Algorithm:
    """The algorithm of that name for that kind of action.

    Raises:
        ValueError: there is none; the nearest name is suggested.
    """
    known = ALGORITHMS[kind]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"Unknown algorithm `{name}` for {kind} actions. Did you mean `{near}`? "
            f"Known: {', '.join(known)}."
        )
    return known[name]


def _networks(config: AlgorithmConfig, hidden_sizes: tuple[int, ...] = ()) -> Any:
    from offline_rl.d3rlpy_parts import Bfloat16VectorEncoderFactory, d3rlpy

    plain = d3rlpy.models.VectorEncoderFactory
    return (Bfloat16VectorEncoderFactory if config.bfloat16 else plain)(
        hidden_units=list(hidden_sizes or config.hidden_sizes),
        dropout_rate=config.dropout or None,
        use_layer_norm=config.layer_norm,
    )


def _optimizer(config: AlgorithmConfig) -> Any:
    from offline_rl.d3rlpy_parts import FusedAdamFactory

    return FusedAdamFactory(weight_decay=config.weight_decay)


def _single_network(config: AlgorithmConfig, learning_rate: float) -> dict[str, Any]:
    return {
        "learning_rate": learning_rate,
        "encoder_factory": _networks(config),
        "optim_factory": _optimizer(config),
    }


def _actor_critic(config: AlgorithmConfig, learning_rate: float) -> dict[str, Any]:
    return {
        "gamma": config.gamma,
        "actor_learning_rate": learning_rate,
        "critic_learning_rate": learning_rate,
        "actor_encoder_factory": _networks(config),
        "critic_encoder_factory": _networks(config),
        "actor_optim_factory": _optimizer(config),
        "critic_optim_factory": _optimizer(config),
    }


def _discrete_bc(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
    from offline_rl.d3rlpy_parts import d3rlpy

    return d3rlpy.algos.DiscreteBCConfig(
        **_single_network(config, learning_rate), beta=config.logit_penalty
    ).create(device)


def _discrete_cql(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
    from offline_rl.d3rlpy_parts import SharedForwardCQL, d3rlpy

    settings = d3rlpy.algos.DiscreteCQLConfig(
        **_single_network(config, learning_rate),
        gamma=config.gamma,
        alpha=1.0 if config.conservative_weight is None else config.conservative_weight,
        target_update_interval=config.target_update_steps,
    )
    return SharedForwardCQL(settings, device, False)


def _discrete_bcq(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
    from offline_rl.d3rlpy_parts import d3rlpy

    return d3rlpy.algos.DiscreteBCQConfig(
        **_single_network(config, learning_rate),
        gamma=config.gamma,
        beta=config.logit_penalty,
        target_update_interval=config.target_update_steps,
    ).create(device)


def _decision_transformer(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
    from offline_rl.d3rlpy_parts import MaskedDecisionTransformer, d3rlpy

    settings = d3rlpy.algos.DiscreteDecisionTransformerConfig(
        learning_rate=learning_rate,
        encoder_factory=_networks(config, (config.transformer_width,)),
        optim_factory=_optimizer(config),
        attn_dropout=config.dropout,
        resid_dropout=config.dropout,
        embed_dropout=config.dropout,
        context_size=config.context_steps,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
    )
    return MaskedDecisionTransformer(settings, device, False)


def _continuous(name: str, **settings: Any) -> Callable[[AlgorithmConfig, float, str], Any]:
    """A builder of one of d3rlpy's actor-critic algorithms with its published settings."""

    def create(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
        from offline_rl.d3rlpy_parts import d3rlpy

        make = getattr(d3rlpy.algos, name)
        chosen = dict(settings)
        if "conservative_weight" in chosen and config.conservative_weight is not None:
            chosen["conservative_weight"] = config.conservative_weight
        return make(**_actor_critic(config, learning_rate), **chosen).create(device)

    return create


def _continuous_bc(config: AlgorithmConfig, learning_rate: float, device: str) -> Any:
    from offline_rl.d3rlpy_parts import d3rlpy

    return d3rlpy.algos.BCConfig(**_single_network(config, learning_rate)).create(device)


def _imitated(implementation: Any, inputs: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = implementation.modules.imitator(inputs).logits
    return logits


def _valued(implementation: Any, inputs: torch.Tensor) -> torch.Tensor:
    values: torch.Tensor = implementation._q_func_forwarder.compute_expected_q(inputs)
    return values


def _constrained(implementation: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Action values; minus infinity for actions that the data hardly holds, as BCQ asks."""
    log_probabilities = torch.log_softmax(_imitated(implementation, inputs), dim=1)
    gap = log_probabilities - log_probabilities.max(dim=1, keepdim=True).values
    allowed = gap.exp() > implementation._action_flexibility
    return _valued(implementation, inputs).masked_fill(~allowed, -torch.inf)


def _transformed(implementation: Any, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    _, logits = implementation.modules.transformer(*inputs)
    last: torch.Tensor = logits[:, -1]
    return last


def _mean_action(implementation: Any, inputs: torch.Tensor) -> torch.Tensor:
    action: torch.Tensor = implementation.inner_predict_best_action(inputs)
    return action


def _best_of_candidates(implementation: Any, inputs: torch.Tensor) -> torch.Tensor:
    """The best of candidates from one fixed set of latents, so that acting is deterministic."""
    count, size = implementation._n_action_samples, implementation.action_size
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(count, 2 * size, generator=generator).clamp(-0.5, 0.5).to(inputs.device)
    repeated = inputs.repeat_interleave(count, dim=0)
    sampled = implementation.modules.vae_decoder(repeated, latents.repeat(len(inputs), 1))
    actions = implementation.modules.policy(repeated, sampled).squashed_mu
    values = implementation._q_func_forwarder.compute_expected_q(repeated, actions, "none")[0]
    best = values.view(-1, count).argmax(dim=1)
    chosen: torch.Tensor = actions.view(-1, count, size)[torch.arange(len(inputs)), best]
    return chosen


ALGORITHMS: dict[ActionKind, dict[str, Algorithm]] = {
    "discrete": {
        "bc": Algorithm(_discrete_bc, 1e-3, _imitated, bootstraps=False),
        "cql": Algorithm(_discrete_cql, 3e-4, _valued, values=True),
        "bcq": Algorithm(_discrete_bcq, 3e-4, _constrained, values=True),
        "dt": Algorithm(_decision_transformer, 6e-4, _transformed, bootstraps=False, windows=True),
    },
    "continuous": {
        "bc": Algorithm(_continuous_bc, 1e-3, _mean_action, bootstraps=False),
        "cql": Algorithm(_continuous("CQLConfig", conservative_weight=5.0), 3e-4, _mean_action),
        "bcq": Algorithm(_continuous("BCQConfig", n_action_samples=10), 1e-3, _best_of_candidates),
        "td3+bc": Algorithm(_continuous("TD3PlusBCConfig"), 3e-4, _mean_action),
        "awac": Algorithm(_continuous("AWACConfig"), 3e-4, _mean_action),
        "iql": Algorithm(_continuous("IQLConfig"), 3e-4, _mean_action),
    },
}
