"""The grounded model: what its hidden states read, what its losses count, what its heads write."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, grounded, task_stream, tokenizer, toy, toy_episodes

from envs.episode import Episode
from kalm.language_model import Readings, Rows, Tensors, total_loss
from kalm.layout import Kind, Packed, collate, join
from kalm.model import (
    GroundedModel,
    GroundingConfig,
    StateScale,
    make_layout,
)
from kalm.prompts import generation_prompt

LOSSES = ("state", "action", "token", "stop")


def sequence(model: GroundedModel, episode: Episode, *, loss: bool = True) -> Packed:
    words = model.layout.text(model.prompt(generation_prompt(episode.goal)))
    rollout = model.layout.rollout(
        episode.observations, episode.actions, ended=episode.success, loss=loss
    )
    answer = model.layout.text(model.encode_text("disc disc"), loss=loss)
    return join([words, rollout, answer])


def altered(packed: Packed, place: int) -> Packed:
    """`packed` with another input at one position."""
    value, token = packed.value.copy(), packed.token.copy()
    value[place] += 0.5
    token[place] += 1
    return replace(packed, value=value, token=token)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_padding_does_not_change_the_hidden_states_of_valid_positions(family: str) -> None:
    model = grounded(family=family)
    short, long = sorted((sequence(model, e) for e in toy_episodes()[:2]), key=len)
    alone = model.hidden(Tensors.of(collate([short])))[0]
    padded = model.hidden(Tensors.of(collate([long, short])))[1, : len(short)]
    assert len(long) > len(short)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_a_hidden_state_reads_its_own_and_earlier_positions_only(family: str) -> None:
    model = grounded(family=family)
    packed = sequence(model, toy_episodes()[0])
    place = len(packed) // 2
    before = model.hidden(Tensors.of(collate([packed])))[0]
    after = model.hidden(Tensors.of(collate([altered(packed, place)])))[0]
    changed = (before - after).abs().amax(-1) > 1e-6
    assert not changed[:place].any()
    assert changed[place:].all()


@torch.inference_mode()
def test_losses_are_counted_exactly_where_they_are_wanted() -> None:
    model = grounded()
    episode = toy_episodes()[0]
    sums = model(Tensors.of(collate([sequence(model, episode)])))
    steps, slots = len(episode), 3
    # Every slot of the T states after the first, T actions; after each state whether it ends.
    assert int(sums["state_count"]) == steps * slots
    assert int(sums["action_count"]) == steps
    assert int(sums["token_count"]) == len(model.encode_text("disc disc"))
    assert int(sums["stop_count"]) == steps + 1
    silent = model(Tensors.of(collate([sequence(model, episode, loss=False)])))
    assert [float(silent[f"{name}_sum"]) for name in LOSSES] == [0.0] * 4


@torch.inference_mode()
def test_the_trunk_works_where_a_loss_reads_and_nowhere_else() -> None:
    model = grounded()
    tasks = ("generation", "dynamics", "consequence", "explanation")
    streams = [task_stream(model, only=task) for task in tasks]
    samples = [stream.sample(0, index)[1] for stream in streams for index in (0, 1)]
    batch = Tensors.of(collate(samples))
    rows: list[int] = []
    assert model.trunk is not None
    model.trunk.register_forward_hook(lambda trunk, inputs, output: rows.append(len(output)))
    read = Readings.of(batch)
    found, everywhere = model(batch), model.losses(read.take(model.hidden(batch)), read)
    for name, value in everywhere.items():
        torch.testing.assert_close(found[name], value, atol=1e-4, rtol=1e-5)
    everything = Rows.of(batch.kind != Kind.TEXT)
    assert 0 < rows[0] < rows[1] == len(everything.places)


def test_chosen_rows_are_filled_up_to_few_numbers_and_only_real_ones_count() -> None:
    chosen = torch.zeros(3, 5, dtype=torch.bool)
    chosen[0, 1] = chosen[2, 4] = True
    rows, values = Rows.of(chosen), torch.arange(30.0).reshape(3, 5, 2)
    assert rows.places.tolist() == [1, 14, 1, 1, 1, 1, 1, 1]
    assert rows.real(rows.take(values)).tolist() == [[2.0, 3.0], [28.0, 29.0]]
    moved = rows.put(values, -rows.take(values))
    assert torch.equal(moved[~chosen], values[~chosen])
    assert torch.equal(moved[chosen], -values[chosen])
    assert int(rows.sum()) == 2
    numbers = {len(Rows.of(torch.ones(1, count, dtype=torch.bool)).places) for count in range(1024)}
    assert len(numbers) <= 1 + 16 + 16 * 4  # up to 128 in eights, then sixteen an octave
    assert len(Rows.of(torch.zeros(2, 3, dtype=torch.bool)).places) == 0


@torch.inference_mode()
def test_any_grouping_of_samples_gives_the_same_sums() -> None:
    model = grounded()
    samples = [sequence(model, episode) for episode in toy_episodes()[:4]]
    together = model(Tensors.of(collate(samples)))
    apart = [model(Tensors.of(collate([sample]))) for sample in samples]
    for name, value in together.items():
        total = sum(float(sums[name]) for sums in apart)
        assert float(value) == pytest.approx(total, rel=1e-4), name


def test_the_weighted_loss_of_known_sums_is_as_by_hand() -> None:
    sums = {"state_sum": 6.0, "state_count": 3.0, "action_sum": 5.0, "action_count": 5.0}
    sums |= {"token_sum": 8.0, "token_count": 2.0, "stop_sum": 0.0, "stop_count": 0.0}
    sums |= {"goal_sum": 12.0, "goal_count": 4.0}
    config = GroundingConfig(
        state_weight=0.5, action_weight=0.5, token_weight=1.0, goal_weight=0.25
    )
    # 0.5 * 6/3 + 0.5 * 5/5 + 1 * 8/2 + 0 + 0.25 * 12/4 = 6.25; nothing to end costs nothing.
    loss = total_loss(
        {name: torch.tensor(value) for name, value in sums.items()}, config.loss_weights()
    )
    assert float(loss) == 6.25


def test_a_state_head_that_predicts_no_change_copies_the_hint() -> None:
    model = grounded(state_head="regression")
    for parameter in model.state_head.parameters():
        torch.nn.init.zeros_(parameter)
    hint = torch.tensor([[0.25, -0.5]])
    state = model.next_state(torch.ones(1, 32), hint, torch.zeros(1, 2), 0.0)
    assert torch.equal(state, hint)


def test_a_change_of_one_unit_is_one_spread_of_the_real_states() -> None:
    model = grounded(state_head="regression")
    with torch.no_grad():
        model.state_head.output.weight.zero_()
        model.state_head.output.bias.fill_(1.0)
    state = model.next_state(torch.ones(1, 32), torch.zeros(1, 2), torch.zeros(1, 2), 0.0)
    spread = np.concatenate([e.observations for e in toy_episodes()]).reshape(-1, 2).std(0)
    np.testing.assert_allclose(state[0].detach().numpy(), spread, rtol=1e-5)


def test_a_scale_reaches_every_change_and_every_whole_state() -> None:
    layout = make_layout(toy().spaces, "entity")
    states = np.array([[0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2]], np.float32)
    scale = StateScale.of(states, np.diff(states, axis=0), layout)
    # Numbers 0 and 2: mean 1, spread 1; the largest number is 2, and 5 % more is 2.1.
    assert scale.offset == (1.0, 1.0)
    assert scale.scale == (1.0, 1.0)
    assert scale.limit == pytest.approx(2.1)


def test_one_position_a_state_holds_all_entities() -> None:
    entity, state = (make_layout(toy().spaces, kind) for kind in ("entity", "state"))
    assert (entity.num_slots, entity.slot_dim, entity.action_width) == (3, 2, 1)
    assert (state.num_slots, state.slot_dim, state.action_width) == (1, 6, 1)
    assert make_layout(toy("toy_continuous").spaces, "entity").action_width == 2


def test_continuous_actions_stay_within_their_box() -> None:
    model = grounded("toy_continuous")
    hidden, uniforms = torch.randn(200, 32), torch.rand(200, 2)
    actions = model.next_action(5 * hidden, uniforms, 1.0)
    assert actions.shape == (200, 2)
    assert actions.abs().max() <= 1.0


@pytest.mark.parametrize("option", ["positions", "state_head"])
def test_an_unknown_choice_is_refused_with_its_flag(option: str) -> None:
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} among .*, got `pixels`"):
        GroundingConfig(**{option: "pixels"})


def test_a_tokenizer_without_an_end_is_refused() -> None:
    model = grounded()
    model.tokenizer = type("Endless", (), {"eos_token_id": None})()
    with pytest.raises(ValueError, match="no eos_token"):
        _ = model.end_token


def test_a_prompt_begins_with_the_beginning_of_text() -> None:
    model = grounded()
    assert model.prompt("disc")[0] == tokenizer().bos_token_id
    assert model.prompt("disc")[1:] == model.encode_text("disc")
