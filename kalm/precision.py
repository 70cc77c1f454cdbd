"""Whether a device computes in bfloat16 by itself; where it does not, float32 is the quick way.

A processor without the instructions goes through such products number by number, some hundred
times slower than in float32, so that `bf16` in the settings means "where it helps".
"""

import torch


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether products in bfloat16 run on units of `device` that were made for them.

    On a CPU that needs AVX-512, AMX or the like, as oneDNN sees it.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch._C._has_mkldnn:  # torch is built without oneDNN on some systems
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def quick_dtype(device: torch.device | str) -> torch.dtype:
    """The format in which a model that only decodes is quickest on `device`."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def no_bfloat16(device: torch.device | str) -> str:
    """What a user is told who asked for bfloat16 on a `device` that has none."""
    kind = "this GPU" if torch.device(device).type == "cuda" else "this processor"
    return f"Computes in float32: {kind} has no bfloat16 arithmetic."
