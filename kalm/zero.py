"""DeepSpeed ZeRO-3: how its engine is configured for our loop, and its optimizer's whole state.

One thing to know: nothing here was run on GPUs so far, only on two CPU processes. DeepSpeed itself
is not imported before `accelerate launch` was configured to use it.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


def require(optimizer: str) -> None:
    """Checks that ZeRO can train with `optimizer`, and as it was configured.

    Raises:
        ValueError: it cannot, and what to change.
    """
    if not is_installed():
        raise ValueError(
            "Expected DeepSpeed to be installed, as `accelerate launch` is configured to use it, "
            "got none. Install the extra: pip install 'kalm[deepspeed]'."
        )
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    file = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if stage != "3" or file != "none":
        raise ValueError(
            f"Expected zero_stage: 3 and no deepspeed_config_file in the configuration of "
            f"`accelerate launch`, got stage {stage} and file {file}. "
            f"experiments/accelerate/zero3_8.yaml has it."
        )
    if optimizer != "adamw":
        raise ValueError(
            f"Expected --finetune.optimizer adamw with DeepSpeed, which cuts matrices into pieces "
            f"and takes one optimizer, got `{optimizer}`. FSDP2 and DDP train with every optimizer."
        )


def is_installed() -> bool:
    """Whether DeepSpeed can be imported."""
    return importlib.util.find_spec("deepspeed") is not None


def configure(
    config: dict[str, Any],
    *,
    bf16: bool,
    clip_norm: float,
    part_size: int,
    num_parts: int,
    num_processes: int,
) -> None:
    """Fills DeepSpeed's configuration in with the settings of a run; arguments as of `prepare`.

    Weights stay in float32, and autocast computes as it does without DeepSpeed: heads and losses
    leave it on purpose, which weights in bfloat16 could not.
    """
    config |= {
        "train_micro_batch_size_per_gpu": part_size,
        "gradient_accumulation_steps": num_parts,
        "train_batch_size": part_size * num_parts * num_processes,
        "gradient_clipping": clip_norm,
        "torch_autocast": {
            "enabled": bf16,
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],  # what is sent stays in float32 too
        },
    }


def optimizer_state(
    optimizer: Any, held: Sequence[torch.Tensor], is_first: bool
) -> dict[str, torch.Tensor]:
    """The whole state of ZeRO's AdamW, named as that of an optimizer of whole parameters.

    Args:
        optimizer: DeepSpeed's, around ours.
        held: the parameters of our optimizer.
        is_first: whether this process keeps it; all have to ask.
    """
    from deepspeed.utils import safe_get_full_optimizer_state

    steps = next(iter(optimizer.optimizer.state.values()))["step"]
    flat: dict[str, torch.Tensor] = {}
    for number, parameter in enumerate(held):
        moments = {name: safe_get_full_optimizer_state(parameter, name) for name in MOMENTS}
        if is_first:
            named = {"step": torch.as_tensor(steps).clone(), **moments}
            flat |= {f"0.{number}.{name}": value.cpu() for name, value in named.items()}
    return flat


def restore(
    optimizer: Any,
    held: Sequence[torch.Tensor],
    state: Mapping[int, Mapping[str, torch.Tensor]],
) -> None:
    """Puts the whole state of each parameter, by its number, into ZeRO's AdamW."""
    from deepspeed.utils import safe_get_local_optimizer_state, safe_set_local_optimizer_state

    for flat in optimizer.fp32_partitioned_groups_flat:
        empty = {name: torch.zeros_like(flat) for name in MOMENTS}
        step = state[0]["step"].clone().to(flat.device)
        optimizer.optimizer.state[flat] = {"step": step, **empty}
    for number, parameter in enumerate(held):
        for name in MOMENTS:
            size = safe_get_local_optimizer_state(parameter, name).numel()
            mine = piece(state[number][name], size, torch.distributed.get_rank())
            safe_set_local_optimizer_state(parameter, mine.to(flat.device), name)


def piece(whole: torch.Tensor, size: int, rank: int) -> torch.Tensor:
    """The numbers (size,) of a tensor that process `rank` holds; zeros fill up the last piece.

    DeepSpeed's own way to cut a whole tensor refuses those that cannot be divided evenly.
    """
    found = torch.zeros(size, dtype=whole.dtype)
    there = whole.flatten()[rank * size : (rank + 1) * size]
    found[: len(there)] = there
    return found
