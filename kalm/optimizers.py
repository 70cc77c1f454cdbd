"""The optimizers of priming and fine-tuning: AdamW, or Muon for the matrices inside networks.

One thing to know: Muon turns each matrix's momentum into one with equal singular values, which is
meant for matrices between hidden vectors; embeddings, output layers and vectors stay with AdamW.
Here it learns in a third of the steps what AdamW learns.

Source: Muon (Jordan 2024), scaled to AdamW's step size as in Moonlight (arXiv 2502.16982).
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from kalm.precision import has_bfloat16

OPTIMIZERS = ("muon", "adamw")
MUON_MOMENTUM = 0.9


class Float32Muon(torch.optim.Muon):
    """torch's Muon with products in float32; torch's own are in bfloat16, whatever the device.

    Both keep the same state, so that a run may go on on another machine.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update with Nesterov momentum, decoupled weight decay and AdamW's step size."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            rate, momentum = float(group["lr"]), group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                update = orthogonal(
                    matrix.grad.lerp(mean, momentum), group["ns_coefficients"], group["ns_steps"]
                )
                matrix.mul_(1 - rate * group["weight_decay"])
                matrix.add_(update, alpha=-rate * 0.2 * math.sqrt(max(matrix.shape)))
        return loss


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """A matrix (A, B) with the singular vectors of `matrix` and singular values near 1.

    Source: the quintic Newton-Schulz iteration of Muon (Jordan 2024).
    """
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / found.norm().clamp(min=1e-7)
    linear, cubic, quintic = coefficients
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(
            found,
            torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic),
            found,
            beta=linear,
        )
    return found.T if tall else found


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
        muon = torch.optim.Muon if has_bfloat16(inner[0].device) else Float32Muon
        optimizers.append(
            muon(
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
