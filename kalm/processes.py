"""How a fine-tuning run is spread over processes: copies (DDP), shards (FSDP2) or ZeRO-3.

One thing to know: weights and optimizer state are put together before they are saved, so that a
checkpoint is the same folder for any number of processes and any kind of spread. Accelerate's own
`save_state` is not used: it pickles, and its shards fit one number of processes.

`accelerate launch` says by environment variables what it was configured to do. What its
configuration says about precision, accumulation and clipping is not read: a run's own settings do.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedType,
    FullyShardedDataParallelPlugin,
    InitProcessGroupKwargs,
)
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor

from kalm import zero
from kalm.language_model import LanguageModel
from kalm.precision import has_bfloat16

Flat = dict[str, torch.Tensor]  # weights by name, or optimizer state as PLACE.PARAMETER.NAME
PATIENCE = timedelta(hours=2)  # for others: the first one writes a large model for a while


class PeerError(RuntimeError):
    """The first process could not do what all wait for; its own error says why."""


def require_spread(optimizer: str) -> None:
    """Checks that a run can be spread the way that `accelerate launch` was configured.

    Args:
        optimizer: name among `kalm.optimizers.OPTIMIZERS`.

    Raises:
        ValueError: it cannot, and how to configure it.
    """
    if _is_set("ACCELERATE_USE_DEEPSPEED"):
        zero.require(optimizer)
    elif _is_set("ACCELERATE_USE_FSDP") and (version := os.environ.get("FSDP_VERSION", "1")) != "2":
        raise ValueError(
            f"Expected fsdp_version: 2 in the configuration of `accelerate launch`, got {version}. "
            f"experiments/accelerate/fsdp_8.yaml has it."
        )


class Processes:
    """The processes of one fine-tuning run, seen from one of them."""

    def __init__(self, *, bf16: bool, optimizer: str) -> None:
        """Joins the other processes.

        Raises:
            ValueError: as `require_spread`.
        """
        require_spread(optimizer)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.bf16 = bf16 and has_bfloat16(device)
        self._accelerator = _accelerator(self.bf16)
        self.count: int = self._accelerator.num_processes
        self.rank: int = self._accelerator.process_index
        self.is_first = self.rank == 0
        self.device = self._accelerator.device
        self.kind = {DistributedType.FSDP: "shards", DistributedType.DEEPSPEED: "zero"}.get(
            self._accelerator.distributed_type, "copies"
        )

    # -------------------------------------------------------------- training

    def prepare(
        self,
        model: LanguageModel,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        clip_norm: float,
        part_size: int,
        num_parts: int,
    ) -> tuple[Any, list[Any]]:
        """The model as it is called, and its optimizers, spread over the processes.

        Args:
            clip_norm: largest gradient norm.
            part_size: most samples that a process computes at once.
            num_parts: parts of a step.
        """
        if self.kind == "zero":
            zero.configure(
                self._accelerator.deepspeed_plugin.deepspeed_config,
                bf16=self.bf16,
                clip_norm=clip_norm,
                part_size=part_size,
                num_parts=num_parts,
                num_processes=self.count,
            )
        self._held = [_held(optimizer) for optimizer in optimizers]
        self._model, *self._optimizers = self._accelerator.prepare(model, *optimizers)
        if self.kind == "shards":  # other parameters took the place of those that were held
            self._held = [_held(optimizer) for optimizer in self._optimizers]
        self._bare, self._clip_norm = model, clip_norm
        return self._model, self._optimizers

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Computes in bfloat16 inside, where `bf16` says so; ZeRO-3 does so by itself."""
        found: contextlib.AbstractContextManager[None] = self._accelerator.autocast()
        return found

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Adds the gradients of one part of a step; of the last part, those of all processes.

        Gradients are averaged over processes, so `loss` is this process's share times their number.
        """
        if self.kind == "zero":
            self._model.set_gradient_accumulation_boundary(is_boundary=last)
            self._model.backward(loss, scale_wrt_gas=False)
        else:
            torch.autograd.backward(loss)

    @contextlib.contextmanager
    def part(self, *, last: bool) -> Iterator[None]:
        """Around forward and backward of one part: only the last one talks to other processes."""
        alone = not last and self.kind != "zero"  # whose engine adds parts up by itself
        with self._accelerator.no_sync(self._model) if alone else contextlib.nullcontext():
            yield

    def clip(self) -> float:
        """Clips all gradients and returns their norm before; with ZeRO-3 it steps as well."""
        if self.kind == "zero":
            self._model.step()
            return float(self._model.get_global_grad_norm())
        trained = [p for p in self._bare.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, self._clip_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        """Moves the parameters and forgets the gradients."""
        for optimizer in self._optimizers:  # of ZeRO-3, both do nothing: `clip` has done it
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    # ------------------------------------------------------------- agreement

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum of `numbers` over all processes."""
        found: torch.Tensor = self._accelerator.reduce(numbers, reduction="sum")
        return found

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds in any process."""
        if self.count == 1:
            return flag
        return bool(self.total(torch.tensor(float(flag), device=self.device)) > 0)

    def first_does(self, work: Callable[[], int | None]) -> int:
        """The number, or 0, that `work` returns in the first process, once it is done there.

        Raises:
            PeerError: it failed there; the first process raises its own error.
        """
        found, done = 0, not self.is_first
        try:
            if self.is_first:
                found, done = work() or 0, True
        finally:
            failed = self.any(not done)
        if failed:
            raise PeerError("The first process stopped with an error, which it has told.")
        return found if self.count == 1 else int(self.total(torch.tensor(found).to(self.device)))

    # ----------------------------------------------------------- whole state

    def weights(self) -> Flat | None:
        """The whole model's weights; all processes have to ask, the first alone is answered.

        None where the model itself holds them.
        """
        if self.kind == "copies":
            return None
        if self.kind == "zero":
            found: Flat = self._accelerator.get_state_dict(self._model) or {}
            return found
        tensors = self._bare.state_dict(keep_vars=True)
        once = {id(tensor): self._for_first(tensor.detach()) for tensor in tensors.values()}
        return {name: once[id(tensor)] for name, tensor in tensors.items()}  # tied ones stay tied

    def _for_first(self, value: Any) -> torch.Tensor:
        """A number or tensor put together from its shards on the first process's CPU."""
        whole = value.full_tensor() if isinstance(value, DTensor) else torch.as_tensor(value)
        if not self.is_first:
            return whole.new_empty(())
        # `clone` waits until all shards have come, which `cpu` does not where they are there.
        return whole.cpu() if whole.is_cuda else whole.clone()

    def optimizer_state(self) -> Flat:
        """The whole optimizer state; all processes have to ask, the first alone is answered."""
        if self.kind == "zero":
            return zero.optimizer_state(self._optimizers[0].optimizer, self._held[0], self.is_first)
        flat: Flat = {}
        for place, optimizer in enumerate(self._optimizers):
            for parameter, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    flat[f"{place}.{parameter}.{name}"] = self._for_first(value).contiguous()
        return flat

    def restore(self, flat: Flat) -> None:
        """Puts optimizer state as of `optimizer_state` into place, a share in each process."""
        states: list[dict[int, Flat]] = [{} for _ in self._optimizers]
        for key, value in flat.items():
            place, parameter, name = key.split(".", 2)
            states[int(place)].setdefault(int(parameter), {})[name] = value
        if self.kind == "zero":
            zero.restore(self._optimizers[0].optimizer, self._held[0], states[0])
            return
        for optimizer, held, state in zip(self._optimizers, self._held, states, strict=True):
            for number, values in state.items():
                for name, value in values.items():
                    values[name] = _share(value, held[number])
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})


def _accelerator(bf16: bool) -> Accelerator:
    """Accelerate's view of the processes; weights stay in float32 and are cast as they are used.

    Its own policy would round states, losses and counts of positions to bfloat16 as well.
    """
    plugin = None
    if _is_set("ACCELERATE_USE_FSDP"):
        plugin = FullyShardedDataParallelPlugin(mixed_precision_policy=MixedPrecisionPolicy())
    autocast = bf16 and not _is_set("ACCELERATE_USE_DEEPSPEED")
    accelerator = Accelerator(
        mixed_precision="bf16" if autocast else "no",
        cpu=not torch.cuda.is_available(),
        fsdp_plugin=plugin,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if plugin is not None and accelerator.distributed_type == DistributedType.MULTI_CPU:
        # Accelerate shards on accelerators only; on CPUs, torch can do it too.
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = plugin
    return accelerator


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"


def _held(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Parameters of an optimizer, in the order in which its state numbers them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _share(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """This process's share of a whole tensor of optimizer state, as `parameter` is shared out."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(
        value.to(parameter.device),
        parameter.device_mesh,
        parameter.placements,
        src_data_rank=None,  # every process has the whole tensor: nothing is sent
    )
