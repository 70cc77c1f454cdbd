"""Optimizers: every trainable parameter once, each where it belongs, and both learn."""

import pytest
import torch
from tiny_models import FAMILIES, grounded

from kalm.optimizers import OPTIMIZERS, Float32Muon, make_optimizers, orthogonal


def held_by(optimizer: torch.optim.Optimizer) -> list[int]:
    return [id(p) for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_trainable_parameter_is_held_once(family: str, name: str) -> None:
    model = grounded(family=family)
    model.stop_head.bias.requires_grad_(False)
    optimizers = make_optimizers(model, name, 1e-3, outer=model.outer_parts())
    held = [place for optimizer in optimizers for place in held_by(optimizer)]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("family", FAMILIES)
def test_muon_holds_the_matrices_of_the_blocks_and_nothing_else(family: str) -> None:
    model = grounded(family=family)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    _, muon = make_optimizers(model, "muon", 1e-3, outer=model.outer_parts())
    held = {names[place] for place in held_by(muon)}
    blocks = ("backbone.model.layers.", "backbone.transformer.h.")
    assert held == {
        name
        for name, parameter in model.named_parameters()
        if name.startswith(blocks) and parameter.ndim == 2
    }
    assert len(held) >= 8


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_matrix_between_hidden_vectors_is_learned(name: str) -> None:
    torch.manual_seed(0)
    wanted = torch.nn.init.orthogonal_(torch.empty(8, 8))
    layer = torch.nn.Linear(8, 8)
    optimizers = make_optimizers(layer, name, 0.05)
    for step in range(300):
        inputs = torch.randn(64, 8)
        loss = (layer(inputs) - inputs @ wanted.T).square().mean()
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.05 * (1 - step / 300)
            optimizer.step()
            optimizer.zero_grad()
    assert loss.item() < 1e-3


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_muon_in_float32_moves_a_matrix_as_torchs_own_does(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    start, gradients = torch.randn(shape), torch.randn(5, *shape)
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    moved = []
    for kind in (torch.optim.Muon, Float32Muon):
        matrix = torch.nn.Parameter(start.clone())
        optimizer = kind([matrix], **settings)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            optimizer.step()
        moved.append(matrix.detach() - start)
        assert set(optimizer.state[matrix]) == {"momentum_buffer"}
    torch.testing.assert_close(moved[1], moved[0], rtol=0.03, atol=0.03 * moved[0].abs().max())


def test_an_orthogonal_matrix_keeps_the_directions_and_loses_the_lengths() -> None:
    torch.manual_seed(2)
    matrix = torch.randn(5, 9) @ torch.diag(torch.logspace(-1, 1, 9))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix, (3.4445, -4.7750, 2.0315), 5)
    inside = left.T @ found @ right.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), atol=1e-4, rtol=0)
    assert inside.diagonal().min() > 0.5
    assert inside.diagonal().max() < 1.5
