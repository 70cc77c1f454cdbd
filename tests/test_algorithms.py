"""Every registered algorithm learns, discounts, repeats itself and resumes exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_agents import WordEncoder, behaviour_data, flat_episodes, make_episode, red_tasks

from envs import make_world
from envs.flat import FlatEpisodes
from envs.rollouts import run_tasks
from envs.world import Policy
from offline_rl.agents import Agent
from offline_rl.algorithms import ALGORITHMS, ActionKind, AlgorithmConfig, find_algorithm
from offline_rl.buffer import MixingBuffer
from offline_rl.goal_encoder import EncodedGoals
from offline_rl.learner import Learner, _draw_from, _noise_seeds, _seed, own_random_numbers
from offline_rl.normalizer import Normalizer
from offline_rl.policies import AgentPolicy, RandomPolicy
from offline_rl.train import TrainingDivergedError, train_agent

WORLDS: dict[ActionKind, str] = {"discrete": "toy", "continuous": "toy_continuous"}
NAMES = [(kind, name) for kind, known in ALGORITHMS.items() for name in known]
QUICK = AlgorithmConfig(
    hidden_sizes=(64, 64),
    learning_rate=3e-3,
    target_update_steps=50,
    transformer_width=32,
    num_layers=1,
    context_steps=4,
)
TINY = AlgorithmConfig(
    hidden_sizes=(8,), transformer_width=8, num_layers=1, context_steps=3, dropout=0.1
)


def train(kind: ActionKind, name: str, steps: int, **settings: object) -> Agent:
    defaults: dict[str, object] = {"config": TINY, "batch_size": 16}
    world = make_world(WORLDS[kind])
    data = behaviour_data(world.name)
    return train_agent(
        world,
        data,
        settings.pop("imagined", None),  # type: ignore[arg-type]
        WordEncoder(),
        name,
        steps=steps,
        **(defaults | settings),  # type: ignore[arg-type]
    )


def weights(agent: Agent) -> dict[str, torch.Tensor]:
    return agent.learner.weights(targets=True)


def assert_equal_weights(first: Agent, second: Agent) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def success_rate(world_name: str, policy: Policy) -> float:
    episodes = run_tasks(make_world(world_name), policy, red_tasks(world_name, 100), num_slots=100)
    return float(np.mean([episode.success for episode in episodes]))


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_each_algorithm_solves_its_toy_world_far_above_chance(kind: ActionKind, name: str) -> None:
    agent = train(kind, name, 250, config=QUICK, batch_size=48)
    world_name = WORLDS[kind]
    chance = success_rate(world_name, RandomPolicy(make_world(world_name)))
    assert chance < 0.45
    assert success_rate(world_name, AgentPolicy(agent, WordEncoder())) > chance + 0.35


@pytest.mark.parametrize("name", ["cql", "bcq"])
def test_values_of_a_two_step_chain_are_discounted_once_per_step(name: str) -> None:
    # One action; rewards 1 then 2, then the task ends: Q(s1) = 2, Q(s0) = 1 + 0.9 * 2 = 2.8.
    # With the discount lost, as in old d3rlpy releases, Q(s0) would be 3.
    goals = EncodedGoals(("go",), np.ones((1, 1), np.float32))
    buffer = MixingBuffer(
        flat_episodes([make_episode(2)]),
        None,
        goals,
        Normalizer.identity(2, 1),
        batch_size=8,
    )
    one_action = np.zeros(2, np.int64)
    buffer._sources["real"].episodes.actions[:] = one_action
    config = AlgorithmConfig(
        hidden_sizes=(32,),
        learning_rate=2e-2,
        gamma=0.9,
        conservative_weight=0.0,
        target_update_steps=20,
    )
    learner = Learner(name, "discrete", config, input_dim=3, action_size=1, seed=0)
    for step in range(1, 301):
        learner.update(buffer, step)
    states = torch.tensor([[0.0, 0.0, 1.0], [1.0, -1.0, 1.0]])
    assert learner.act(states)[:, 0].tolist() == pytest.approx([2.8, 2.0], abs=0.03)


def test_the_shared_forward_of_cql_is_d3rlpys_loss() -> None:
    from offline_rl.d3rlpy_parts import d3rlpy

    buffer = MixingBuffer(
        behaviour_data("toy"),
        None,
        EncodedGoals.of(WordEncoder(), behaviour_data("toy").goals),
        Normalizer.identity(6, 10),
        batch_size=64,
    )
    config = AlgorithmConfig(hidden_sizes=(16,), conservative_weight=0.7, gamma=0.8)
    ours = Learner("cql", "discrete", config, input_dim=16, action_size=12, seed=3)
    settings = d3rlpy.algos.DiscreteCQLConfig(
        encoder_factory=d3rlpy.models.VectorEncoderFactory(hidden_units=[16]), alpha=0.7, gamma=0.8
    )
    reference = settings.create("cpu")
    reference.create_impl((16,), 12)
    reference.impl.q_function.load_state_dict(ours.networks["q_funcs"].state_dict())
    reference.impl.update_target()
    batch = ours._transition_batch(buffer.transitions(0))
    targets = reference.impl.compute_target(batch)
    theirs = reference.impl.compute_loss(batch, targets)
    mine = ours.implementation.compute_loss(batch, ours.implementation.compute_target(batch))
    for part in ("loss", "td_loss", "conservative_loss"):
        assert getattr(mine, part).item() == pytest.approx(getattr(theirs, part).item(), rel=1e-5)
    assert mine.td_loss.item() > 0.001


def test_the_decision_transformer_learns_nothing_from_padding() -> None:
    goals = EncodedGoals.of(WordEncoder(), behaviour_data("toy").goals)
    buffer = MixingBuffer(
        behaviour_data("toy"), None, goals, Normalizer.identity(6, 10), batch_size=64
    )
    config = AlgorithmConfig(transformer_width=8, num_layers=1, context_steps=4)
    learner = Learner("dt", "discrete", config, input_dim=16, action_size=12, seed=0)
    batch = learner._window_batch(buffer.windows(0, context_steps=4))
    padded = batch.masks == 0
    assert padded.any()
    before = learner.implementation.compute_loss(batch).item()
    batch.actions[padded] = 11
    batch.observations[padded] = 3.0
    assert learner.implementation.compute_loss(batch).item() == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_the_same_seed_gives_the_same_weights_whatever_torch_drew_before(
    kind: ActionKind, name: str
) -> None:
    torch.manual_seed(1)
    first = train(kind, name, 3)
    drawn = torch.rand(3)
    torch.manual_seed(2)
    assert_equal_weights(first, train(kind, name, 3))
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn)  # training left the caller's stream alone


def test_another_seed_gives_other_weights() -> None:
    first, second = train("discrete", "bc", 2, seed=0), train("discrete", "bc", 2, seed=1)
    assert not all(torch.equal(t, weights(second)[n]) for n, t in weights(first).items())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("discrete", "cql"), ("discrete", "dt"), ("continuous", "td3+bc"), ("continuous", "bcq")],
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    kind: ActionKind, name: str, tmp_path: Path
) -> None:
    whole = train(kind, name, 12)
    settings = {"checkpoint_folder": tmp_path, "checkpoint_every_steps": 5}
    train(kind, name, 7, **settings)  # killed after its checkpoint at 5
    reported: list[int] = []
    resumed = train(
        kind, name, 12, log_every_steps=1, on_metrics=lambda s, m: reported.append(s), **settings
    )
    assert reported == [6, 7, 8, 9, 10, 11, 12]
    assert_equal_weights(whole, resumed)


def test_a_damaged_checkpoint_is_skipped_for_the_one_before_it(tmp_path: Path) -> None:
    settings = {"checkpoint_folder": tmp_path, "checkpoint_every_steps": 2}
    train("discrete", "bc", 6, **settings)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-000000004",
        "step-000000006",
    ]
    damaged = tmp_path / "step-000000006" / "tensors.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-3] ^= 1
    damaged.write_bytes(content)
    with pytest.warns(UserWarning, match="Skipped the checkpoint .*step-000000006"):
        resumed = train("discrete", "bc", 8, **settings)
    assert_equal_weights(resumed, train("discrete", "bc", 8))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    settings = {"checkpoint_folder": tmp_path, "checkpoint_every_steps": 2}
    train("discrete", "bc", 2, **settings)
    with pytest.raises(ValueError, match="Expected a checkpoint with seed = 1, got 0"):
        train("discrete", "bc", 4, seed=1, **settings)


def test_a_loss_that_is_not_finite_stops_before_anything_is_saved(tmp_path: Path) -> None:
    config = AlgorithmConfig(hidden_sizes=(8,), learning_rate=1e38)
    with pytest.raises(TrainingDivergedError, match="Expected a finite loss, got"):
        train(
            "continuous",
            "bc",
            50,
            config=config,
            checkpoint_folder=tmp_path,
            checkpoint_every_steps=40,
        )
    assert not list(tmp_path.iterdir())


def test_bfloat16_layers_learn_and_act_in_float32() -> None:
    losses: dict[int, float] = {}
    agent = train(
        "discrete",
        "bc",
        60,
        config=AlgorithmConfig(hidden_sizes=(32,), learning_rate=3e-3, bfloat16=True),
        batch_size=64,
        log_every_steps=20,
        on_metrics=lambda step, metrics: losses.update({step: metrics["loss"]}),
    )
    assert losses[60] < losses[20] - 0.3
    assert agent.logits(np.zeros((2, 6), np.float32), np.zeros((2, 10))).dtype == np.float32


def test_metrics_say_how_much_imagined_data_the_updates_saw() -> None:
    shares: list[float] = []
    train(
        "discrete",
        "bc",
        10,
        imagined=behaviour_data("toy"),
        imagined_fraction=0.25,
        log_every_steps=5,
        on_metrics=lambda step, metrics: shares.append(metrics["imagined_share"]),
    )
    assert shares == [0.25, 0.25]


def test_rewards_are_scaled_to_the_largest_one_unless_told_otherwise() -> None:
    largest = float(np.abs(behaviour_data("toy").rewards).max())
    assert train("discrete", "bc", 1).card.reward_scale == pytest.approx(1 / largest)
    half = AlgorithmConfig(hidden_sizes=(8,), reward_scale=0.5)
    assert train("discrete", "bc", 1, config=half).card.reward_scale == 0.5


@pytest.mark.parametrize(
    ("name", "kind", "suggestion"),
    [("clq", "discrete", "cql"), ("td3", "continuous", "td3+bc"), ("iql", "discrete", "cql")],
)
def test_an_unknown_algorithm_is_answered_with_the_nearest(
    name: str, kind: ActionKind, suggestion: str
) -> None:
    with pytest.raises(ValueError, match=f"Unknown algorithm `{name}`") as caught:
        find_algorithm(name, kind)
    assert f"Did you mean `{suggestion}`?" in str(caught.value).replace("\\", "")


@pytest.mark.parametrize(
    "settings",
    [
        {"gamma": 1.5},
        {"reward_scale": 0.0},
        {"learning_rate": -1e-3},
        {"hidden_sizes": ()},
        {"dropout": 1.0},
        {"transformer_width": 30, "num_heads": 4},
        {"target_return_quantile": 2.0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        AlgorithmConfig(**settings)  # type: ignore[arg-type]


def test_training_leaves_the_random_numbers_of_its_caller_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train("discrete", "bc", 2, config=AlgorithmConfig(hidden_sizes=(8,), dropout=0.5))
    assert torch.equal(torch.rand(3), expected)


def test_training_without_any_episodes_is_refused() -> None:
    world = make_world("toy")
    with pytest.raises(ValueError, match="Expected episodes to train on, got none"):
        train_agent(world, None, None, WordEncoder(), "bc", steps=1)
    empty: FlatEpisodes | None = None
    with pytest.raises(ValueError, match="Expected 128 imagined steps in each batch"):
        train_agent(
            world,
            behaviour_data("toy"),
            empty,
            WordEncoder(),
            "bc",
            steps=1,
            imagined_fraction=0.5,
        )


def test_seeding_an_update_on_a_cpu_draws_as_torch_does_and_queues_nothing_for_a_gpu() -> None:
    seed = int(np.random.SeedSequence((3, 2, 1)).generate_state(1, np.uint64)[0] >> 1)
    assert _seed(3, 2, 1) == _noise_seeds(3, 0)[1] == seed
    waiting = len(torch.cuda._queued_calls)
    before = torch.get_rng_state()
    with own_random_numbers("cpu"):
        _draw_from("cpu", seed)
        drawn = torch.rand(4)
    assert len(torch.cuda._queued_calls) == waiting
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(seed)))
