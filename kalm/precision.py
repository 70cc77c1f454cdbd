"""Whether a device computes in bfloat16 by itself; where it does not, float32 is the quick way.

A processor without the instructions converts the numbers of such a product one by one, four to a
hundred times slower than float32, so that `bf16` in the settings means "where it helps".
"""

import platform

import torch


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether products in bfloat16 run on units of `device` that were made for them.

    On x86 that needs AVX-512 BF16, which every processor with AMX has too; AVX-512 alone is not
    enough, although oneDNN calls it so.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch._C._has_mkldnn:  # torch is built without oneDNN on some systems
        return False
    if platform.machine() in {"x86_64", "AMD64"}:
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def quick_dtype(device: torch.device | str) -> torch.dtype:
    """The format in which a model that only decodes is quickest on `device`."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def no_bfloat16(device: torch.device | str) -> str:
    """What a user is told who asked for bfloat16 on a `device` that has none."""
    kind = "this GPU" if torch.device(device).type == "cuda" else "this processor"
    return f"Computes in float32: {kind} has no bfloat16 arithmetic."
