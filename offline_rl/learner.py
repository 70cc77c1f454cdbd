"""A d3rlpy algorithm with our batches: one update, and its whole state as named tensors.

Noise inside an update (dropout, sampled actions) comes from (seed, step), like the batches, so
training needs no random state: weights, optimiser and step number say everything.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from offline_rl.algorithms import ActionKind, AlgorithmConfig, find_algorithm
from offline_rl.buffer import MixingBuffer, Transitions, Windows

_NOISE_STREAM = 2  # spawn key: updates share no random numbers with batches
_INITIAL_STREAM = 3
_AHEAD = 16  # updates whose seeds are computed together
_TARGET = "targ_"


@contextmanager
def own_random_numbers(device: str) -> Iterator[None]:
    """Whatever torch draws inside the block, it goes on as before after it."""
    # Named devices: by default fork_rng would wake every GPU, also for training on a CPU.
    with torch.random.fork_rng(devices=[] if device.startswith("cpu") else [device]):
        yield


def _draw_from(device: str, seed: int) -> None:
    """Torch draws from `seed` from here on."""
    # torch.manual_seed keeps a stack trace for every GPU that may be woken later: a tenth of an
    # update, and memory that is never given back.
    on_cpu = device.startswith("cpu")
    (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)


def _seed(*key: int) -> int:
    """A seed for torch that is a function of `key`."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=2)
def _noise_seeds(seed: int, chunk: int) -> list[int]:
    """Seeds of the noise in updates 16 * chunk and on: one at a time, each costs a cold start."""
    steps = range(chunk * _AHEAD, (chunk + 1) * _AHEAD)
    return [_seed(seed, _NOISE_STREAM, step) for step in steps]


@lru_cache(maxsize=2)
def _ones(count: int, device: str) -> torch.Tensor:
    """Intervals (B, 1) of transitions of one step, made once: a fresh tensor costs a cold start."""
    return torch.ones(count, 1, device=device)


class Learner:
    """An algorithm in training or at rest.

    Args:
        input_dim: numbers of an observation and a goal vector together, D + V.
        action_size: number of discrete actions, or numbers in a continuous one.
        seed: of the initial weights and of the noise in updates.
        device: torch device.
    """

    def __init__(
        self,
        algorithm: str,
        kind: ActionKind,
        config: AlgorithmConfig,
        input_dim: int,
        action_size: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.algorithm = find_algorithm(algorithm, kind)
        self.config, self.device, self._seed = config, device, seed
        rate = config.learning_rate or self.algorithm.learning_rate
        with own_random_numbers(device):
            _draw_from(device, _seed(seed, _INITIAL_STREAM))
            built = self.algorithm.create(config, rate, device)
            built.create_impl((input_dim,), action_size)
        self.implementation: Any = built.impl
        from offline_rl import d3rlpy_parts  # here, not in every update: the lookup takes 20 us

        self._parts = d3rlpy_parts

    def update(self, buffer: MixingBuffer, step: int) -> dict[str, float]:
        """Named losses of update `step`, counted from 1.

        It seeds torch: a caller keeps its own random numbers with `own_random_numbers`, once for
        many updates.
        """
        batch = self._batch(buffer, step, reuse=True)
        chunk, place = divmod(step, _AHEAD)
        _draw_from(self.device, _noise_seeds(self._seed, chunk)[place])
        losses: dict[str, float] = self.implementation.update(batch, step)
        return losses

    def act(self, inputs: Any) -> torch.Tensor:
        """Scores (K, A) of discrete actions, or continuous actions (K, A)."""
        self.implementation.modules.set_eval()
        with torch.no_grad():
            return self.algorithm.act(self.implementation, inputs)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Every network by name; targets start with `targ_`."""
        modules: dict[str, nn.Module] = self.implementation.modules.get_torch_modules()
        return modules

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Every optimiser by name."""
        fields = vars(self.implementation.modules)
        return {name: value.optim for name, value in fields.items() if hasattr(value, "optim")}

    @property
    def tokens(self) -> int:
        """Steps that a decision transformer has seen, which its learning rate depends on."""
        return int(getattr(self.implementation, "_tokens", 0))

    @tokens.setter
    def tokens(self, count: int) -> None:
        if self.algorithm.windows:
            self.implementation._tokens = count

    def weights(self, targets: bool) -> dict[str, torch.Tensor]:
        """Weights by name; `targets` includes the target networks, which acting does not need."""
        return {
            f"{network}/{name}": tensor
            for network, module in self.networks.items()
            if targets or not network.startswith(_TARGET)
            for name, tensor in module.state_dict().items()
        }

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Takes over weights that `weights` gave.

        Raises:
            ValueError: a weight is missing, left over or of another shape.
        """
        for network, module in self.networks.items():
            prefix = f"{network}/"
            own = {name[len(prefix) :]: t for name, t in weights.items() if name.startswith(prefix)}
            if not own and network.startswith(_TARGET):
                continue
            try:
                module.load_state_dict(own)
            except RuntimeError as error:
                raise ValueError(f"Expected the weights of this algorithm, got {error}") from error

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(values)
        return tensor if self.device == "cpu" else tensor.to(self.device)

    def _batch(self, buffer: MixingBuffer, step: int, reuse: bool = False) -> Any:
        if self.algorithm.windows:
            return self._window_batch(buffer.windows(step, self.config.context_steps))
        return self._transition_batch(buffer.transitions(step, self.algorithm.bootstraps, reuse))

    def _transition_batch(self, batch: Transitions) -> Any:
        actions, rewards = self._tensor(batch.actions), self._tensor(batch.rewards)
        inputs, after = self._tensor(batch.inputs), batch.next_inputs
        return self._parts.TorchMiniBatch(
            observations=inputs,
            actions=actions,
            rewards=rewards,
            next_observations=inputs if after is batch.inputs else self._tensor(after),
            next_actions=actions,  # no registered algorithm reads them
            returns_to_go=rewards,  # nor these
            terminals=self._tensor(batch.terminals),
            intervals=_ones(len(rewards), self.device),
            device=self.device,
        )

    def _window_batch(self, batch: Windows) -> Any:
        returns = self._tensor(batch.returns_to_go)
        return self._parts.TorchTrajectoryMiniBatch(
            observations=self._tensor(batch.inputs),
            actions=self._tensor(batch.actions),
            rewards=torch.zeros_like(returns),  # the transformer reads returns only
            returns_to_go=returns,
            terminals=torch.zeros_like(returns),
            timesteps=self._tensor(batch.timesteps),
            masks=self._tensor(batch.masks),
            device=self.device,
        )
