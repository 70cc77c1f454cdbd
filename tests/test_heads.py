"""Encoders and heads: values worked by hand, distributions inverted exactly."""

import math

import pytest
import torch

from kalm.heads import BinnedHead, RegressionHead, RelationEncoder, draw, fourier


def head_with(logits: list[float], limit: float) -> BinnedHead:
    """A head of one number that always gives these logits."""
    head = BinnedHead(hidden_size=3, slot_dim=1, num_bins=len(logits), limit=limit)
    with torch.no_grad():
        head.outputs[0].weight.zero_()
        head.outputs[0].bias.copy_(torch.tensor(logits))
    return head


HIDDEN = torch.zeros(1, 3)


def test_fourier_features_are_the_number_its_sines_and_its_cosines() -> None:
    # 0.5 at octaves pi and 2 pi: sin(pi/2) = 1, sin(pi) = 0; cos(pi/2) = 0, cos(pi) = -1.
    features = fourier(torch.tensor([[0.5]]), 2)
    torch.testing.assert_close(
        features, torch.tensor([[0.5, 1.0, 0.0, 0.0, -1.0]]), atol=1e-6, rtol=0
    )


def test_no_frequencies_keep_numbers_plain() -> None:
    values = torch.tensor([[0.5, -2.0]])
    assert fourier(values, 0) is values


def test_a_value_between_bins_is_split_over_both_of_them() -> None:
    # Bins -2, -1, 0, 1, 2. The change 0.25 lies a quarter of the way from 0 to 1: 0.75 and 0.25.
    # Logits log(0.75), log(0.25) there: cross-entropy -(0.75 ln 0.75 + 0.25 ln 0.25) = 0.56233.
    head = head_with([-50.0, -50.0, math.log(0.75), math.log(0.25), -50.0], limit=2.0)
    loss = head.loss(HIDDEN, torch.tensor([[0.25]]))
    assert loss.item() == pytest.approx(0.56233, abs=1e-5)


def test_uniform_logits_cost_the_logarithm_of_the_number_of_bins() -> None:
    loss = head_with([0.0] * 5, limit=2.0).loss(HIDDEN, torch.tensor([[1.9]]))
    assert loss.item() == pytest.approx(math.log(5), abs=1e-6)


def test_the_mean_of_the_two_hot_distribution_is_the_value_itself() -> None:
    head = head_with([-50.0, -50.0, math.log(0.75), math.log(0.25), -50.0], limit=2.0)
    assert head.mean(HIDDEN).item() == pytest.approx(0.25, abs=1e-6)


def test_a_head_that_minimised_its_loss_means_its_target() -> None:
    head = head_with([0.0] * 5, limit=2.0)
    target = torch.tensor([[0.37]])
    for _ in range(300):
        head.zero_grad()
        head.loss(HIDDEN, target).sum().backward()
        with torch.no_grad():
            head.outputs[0].bias -= head.outputs[0].bias.grad
    assert head.mean(HIDDEN).item() == pytest.approx(0.37, abs=0.02)


def test_a_change_beyond_the_limit_belongs_to_the_last_bin() -> None:
    head = head_with([0.0, 0.0, 0.0, 0.0, 3.0], limit=2.0)
    # log-softmax of the last bin: 3 - ln(4 + e^3) = -0.18161.
    loss = head.loss(HIDDEN, torch.tensor([[7.0]]))
    assert loss.item() == pytest.approx(0.18161, abs=1e-4)


def test_the_second_number_depends_on_the_bin_of_the_first() -> None:
    head = BinnedHead(hidden_size=3, slot_dim=2, num_bins=3, limit=1.0)
    with torch.no_grad():
        head.previous[0].weight.copy_(torch.tensor([[9.0, 0, 0], [0, 0, 0], [0, 9.0, 0]]))
        head.outputs[1].weight.copy_(torch.tensor([[0, 9.0, 0], [0, 0, 9.0], [9.0, 0, 0]]))
        head.outputs[1].bias.zero_()
    # A first number of -1 (bin 0) raises the last bin of the second, +1 (bin 2) the first bin.
    opposite = head.loss(HIDDEN.repeat(2, 1), torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
    same = head.loss(HIDDEN.repeat(2, 1), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    assert (same - opposite > 10).all()


def test_sampling_inverts_the_distribution_at_the_uniform_numbers() -> None:
    # Shares 0.2, 0.5, 0.3 have the bounds 0.2 and 0.7.
    logits = torch.tensor([0.2, 0.5, 0.3]).log().repeat(6, 1)
    uniforms = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999])
    assert draw(logits, uniforms).tolist() == [0, 0, 1, 1, 2, 2]


def test_evenly_spread_uniforms_give_every_bin_its_share() -> None:
    head = head_with(torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]).log().tolist(), limit=2.0)
    uniforms = ((torch.arange(1000) + 0.5) / 1000)[:, None]
    changes = head.sample(HIDDEN.repeat(1000, 1), uniforms, 1.0)[:, 0]
    values, counts = changes.unique(return_counts=True)
    assert values.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert counts.tolist() == [100, 200, 400, 200, 100]


def test_temperature_zero_gives_the_mean_and_a_low_one_the_likeliest_bin() -> None:
    head = head_with([0.0, 0.0, 1.0, 0.0, 0.0], limit=2.0)
    uniforms = torch.tensor([[0.01]])
    assert head.sample(HIDDEN, uniforms, 0.0).item() == head.mean(HIDDEN).item()
    assert head.sample(HIDDEN, uniforms, 0.01).item() == 0.0
    assert head.sample(HIDDEN, uniforms, 1.0).item() == -2.0


def test_an_even_number_of_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number of bins, got 10"):
        BinnedHead(3, 1, 10, 1.0)


def test_the_regression_loss_is_the_mean_squared_error_of_the_change() -> None:
    head = RegressionHead(hidden_size=3, slot_dim=2)
    with torch.no_grad():
        head.output.weight.zero_()
        head.output.bias.copy_(torch.tensor([1.0, -1.0]))
    # Errors 1 - 0.5 = 0.5 and -1 - 1 = -2: (0.25 + 4) / 2 = 2.125.
    assert head.loss(HIDDEN, torch.tensor([[0.5, 1.0]])).item() == pytest.approx(2.125)
    assert head.sample(HIDDEN, torch.zeros(1, 2), 1.0).tolist() == [[1.0, -1.0]]


def relation_encoder(num_slots: int = 3) -> RelationEncoder:
    torch.manual_seed(0)
    return RelationEncoder(num_slots, slot_dim=2, hidden_size=16, num_frequencies=1, width=4)


def test_the_order_in_which_slots_are_given_changes_nothing_but_what_comes_next() -> None:
    encoder = relation_encoder()
    state = torch.randn(3, 2)
    pairs: list[torch.Tensor] = []
    encoder.relation.register_forward_hook(lambda module, inputs, output: pairs.append(output))
    for following in range(3):
        encoder(state.roll(-following, dims=0), torch.tensor(following))
    # Rows: three slots against the next one, then the pairs (0, 1), (0, 2), (1, 2).
    for features in pairs[1:]:
        torch.testing.assert_close(features[3:], pairs[0][3:])
    assert not torch.allclose(pairs[0][:3], pairs[1][:3])


def test_a_relation_looks_the_same_wherever_its_pair_is() -> None:
    encoder = relation_encoder(2)
    seen: list[torch.Tensor] = []
    encoder.relation.register_forward_hook(lambda module, inputs, output: seen.append(output))
    state = torch.tensor([[0.0, 0.25], [0.5, 0.25]])
    encoder(state, torch.tensor(0))
    encoder(state + 0.125, torch.tensor(0))
    torch.testing.assert_close(seen[0], seen[1])
    assert not torch.allclose(encoder(state, torch.tensor(0)), encoder(-state, torch.tensor(0)))


def test_embeddings_of_states_have_unit_scale() -> None:
    embedded = relation_encoder()(torch.randn(50, 3, 2) * 10, torch.zeros(50, dtype=torch.long))
    torch.testing.assert_close(
        embedded.std(dim=-1, correction=0), torch.ones(50), atol=1e-3, rtol=0
    )
