"""Optimizers: every trainable parameter once, each where it belongs, and both learn."""

import pytest
import torch
from tiny_models import FAMILIES, grounded

from kalm.optimizers import OPTIMIZERS, make_optimizers


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
