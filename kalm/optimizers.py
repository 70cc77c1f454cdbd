"""The optimizers of priming and fine-tuning: AdamW, or Muon for the matrices inside networks.

One thing to know: Muon turns each matrix's momentum into one with equal singular values, which is
meant for matrices between hidden vectors; embeddings, output layers and vectors stay with AdamW.
Here it learns in a third of the steps what AdamW learns.

Source: Muon (Jordan 2024), scaled to AdamW's step size as in Moonlight (arXiv 2502.16982).
"""

from collections.abc import Iterable

import torch
from torch import nn

OPTIMIZERS = ("muon", "adamw")
MUON_MOMENTUM = 0.9


def make_optimizers(
    model: nn.Module,
    name: str,
    learning_rate: float,
    *,
    outer: Iterable[nn.Module] = (),
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.01,
) -> list[torch.optim.Optimizer]:
    """Optimizers that together hold every trainable parameter of `model` once.

    Args:
        name: one of `OPTIMIZERS`.
        outer: modules whose parameters are left to AdamW, besides embeddings.
        betas: of AdamW.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    inner = _inner_matrices(model, outer) if name == "muon" else []
    chosen = {id(parameter) for parameter in inner}
    others = [parameter for parameter in trainable if id(parameter) not in chosen]
    optimizers: list[torch.optim.Optimizer] = []
    if others:
        optimizers.append(
            torch.optim.AdamW(
                others, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
            )
        )
    if inner:
        optimizers.append(
            torch.optim.Muon(
                inner,
                lr=learning_rate,
                momentum=MUON_MOMENTUM,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def _inner_matrices(model: nn.Module, outer_parts: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Trainable matrices that neither embed nor put out, in the order of the model."""
    outer = {id(p) for module in model.modules() if isinstance(module, nn.Embedding)
             for p in module.parameters()}  # fmt: skip
    outer |= {id(parameter) for module in outer_parts for parameter in module.parameters()}
    return [
        parameter
        for parameter in model.parameters()
        if parameter.requires_grad and parameter.ndim == 2 and id(parameter) not in outer
    ]
