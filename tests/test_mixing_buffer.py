"""The mixing buffer gives every step once, with its own ending, at the stated mix."""

import numpy as np
import pytest
from toy_agents import flat_episodes, make_episode

from envs.flat import FlatEpisodes
from offline_rl.buffer import MixingBuffer
from offline_rl.goal_encoder import EncodedGoals
from offline_rl.normalizer import Normalizer

GOALS = EncodedGoals(("go", "stop"), np.array([[7.0], [9.0]], np.float32))
PLAIN = Normalizer.identity(observation_dim=2, goal_dim=1)


def make_buffer(
    real: FlatEpisodes | None, imagined: FlatEpisodes | None = None, **settings: object
) -> MixingBuffer:
    defaults: dict[str, object] = {"batch_size": 32, "seed": 0}
    return MixingBuffer(real, imagined, GOALS, PLAIN, **(defaults | settings))  # type: ignore[arg-type]


def drawn_steps(buffer: MixingBuffer, batches: int = 40) -> dict[tuple[float, float], list[float]]:
    """Reward, next observation, terminal and goal by (observation, goal), over some batches."""
    found: dict[tuple[float, float], list[float]] = {}
    for step in range(batches):
        batch = buffer.transitions(step)
        for row in range(len(batch.inputs)):
            key = (float(batch.inputs[row, 0]), float(batch.inputs[row, 2]))
            found[key] = [
                float(batch.rewards[row, 0]),
                float(batch.next_inputs[row, 0]),
                float(batch.terminals[row, 0]),
                float(batch.actions[row, 0]),
            ]
    return found


def test_every_step_is_drawn_and_none_crosses_from_one_episode_into_the_next() -> None:
    # Observations 0 1 2 (goal 7, terminated) and 10 11 12 13 (goal 9, cut): 2 + 3 steps.
    data = flat_episodes(
        [make_episode(2), make_episode(3, goal="stop", terminated=False, first=10.0)]
    )
    buffer = make_buffer(data)
    assert buffer.num_transitions == {"real": 5}
    assert drawn_steps(buffer) == {
        (0.0, 7.0): [1.0, 1.0, 0.0, 0.0],
        (1.0, 7.0): [2.0, 2.0, 1.0, 1.0],  # the task ended here
        (10.0, 9.0): [1.0, 11.0, 0.0, 0.0],
        (11.0, 9.0): [2.0, 12.0, 0.0, 1.0],
        (12.0, 9.0): [3.0, 13.0, 0.0, 0.0],  # cut: bootstraps from the true final observation
    }


@pytest.mark.parametrize(
    ("fraction", "imagined_rows"),
    [(0.0, 0), (0.1, 3), (0.25, 8), (0.5, 16), (0.484375, 16), (0.46, 15), (1.0, 32)],
)
def test_each_batch_holds_exactly_the_stated_share_of_imagined_steps(
    fraction: float, imagined_rows: int
) -> None:
    # 0.1 * 32 = 3.2 and 0.46 * 32 = 14.72 go to the nearest, 0.484375 * 32 = 15.5 goes up.
    real, imagined = flat_episodes([make_episode(2)]), flat_episodes([make_episode(5, first=50.0)])
    buffer = make_buffer(real, imagined, imagined_fraction=fraction)
    for step in range(200):
        batch = buffer.transitions(step)
        assert batch.imagined.sum() == imagined_rows
        assert np.array_equal(batch.inputs[:, 0] >= 50.0, batch.imagined)
    assert buffer.drawn == {"real": 200 * (32 - imagined_rows), "imagined": 200 * imagined_rows}


def test_steps_are_drawn_uniformly_within_a_data_set() -> None:
    buffer = make_buffer(flat_episodes([make_episode(1), make_episode(7, first=10.0)]))
    drawn = np.concatenate([buffer.transitions(step).inputs[:, 0] for step in range(500)])
    # 16,000 draws of 8 steps: 2,000 each, with a deviation of 42.
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(counts) == 8
    assert np.abs(counts - 2000).max() < 5 * 42


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    data = flat_episodes([make_episode(9)])
    forwards, backwards = make_buffer(data), make_buffer(data)
    first = [forwards.transitions(step).inputs for step in range(40)]
    second = [backwards.transitions(step).inputs for step in reversed(range(40))][::-1]
    assert np.array_equal(first, second)
    alone = [make_buffer(data).transitions(step).inputs for step in (0, 15, 16, 39)]
    assert np.array_equal(alone, [first[step] for step in (0, 15, 16, 39)])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(make_buffer(data, seed=1).transitions(0).inputs, first[0])


def test_a_batch_that_is_reused_is_written_over_and_no_other_is() -> None:
    data = flat_episodes([make_episode(9)])
    buffer, expected = make_buffer(data), make_buffer(data)
    kept, reused = buffer.transitions(0), buffer.transitions(1, reuse=True)
    assert np.array_equal(reused.inputs, expected.transitions(1).inputs)
    assert np.array_equal(reused.next_inputs, expected.transitions(1).next_inputs)
    again = buffer.transitions(2, reuse=True)
    assert again.inputs is reused.inputs
    assert np.array_equal(again.inputs, expected.transitions(2).inputs)
    assert np.array_equal(kept.inputs, expected.transitions(0).inputs)


def test_imitation_sees_the_same_steps_without_those_that_follow() -> None:
    data = flat_episodes([make_episode(4), make_episode(2, first=10.0)])
    whole, short = make_buffer(data), make_buffer(data)
    for step in (0, 1, 2):  # of one chunk, drawn anew when a caller asks for what follows
        expected = whole.transitions(step)
        for with_next in (False, True):
            found = short.transitions(step, with_next)
            followed = expected.next_inputs if with_next else expected.inputs
            assert np.array_equal(found.inputs, expected.inputs)
            assert np.array_equal(found.next_inputs, followed)
            assert np.array_equal(found.actions, expected.actions)
            assert np.array_equal(found.rewards, expected.rewards)
            assert np.array_equal(found.terminals, expected.terminals)


def test_only_successful_episodes_are_drawn_when_asked() -> None:
    data = flat_episodes([make_episode(4, terminated=False), make_episode(2, first=10.0)])
    buffer = make_buffer(data, success_only_real=True)
    assert buffer.num_transitions == {"real": 2}
    assert {observation for observation, _ in drawn_steps(buffer)} == {10.0, 11.0}


def test_windows_end_at_a_drawn_step_and_carry_the_returns_still_to_come() -> None:
    data = flat_episodes([make_episode(2), make_episode(3, goal="stop", first=10.0)])
    batch = make_buffer(data, reward_scale=0.5).windows(0, context_steps=3)
    rows = {float(inputs[-1, 0]): row for row, inputs in enumerate(batch.inputs)}
    # The window that ends at the second step of the second episode, rewards 1 2 3 times 0.5.
    row = rows[11.0]
    assert batch.inputs[row].tolist() == [[0, 0, 0], [10, -10, 9], [11, -11, 9]]
    assert batch.actions[row, :, 0].tolist() == [0, 0, 1]
    assert batch.returns_to_go[row, :, 0].tolist() == [0.0, 3.0, 2.5]
    assert batch.timesteps[row].tolist() == [0, 1, 2]
    assert batch.masks[row].tolist() == [0.0, 1.0, 1.0]
    # The first episode's last step: its return is its own reward, 2 times 0.5.
    assert batch.returns_to_go[rows[1.0], -1, 0] == 1.0


def test_continuous_actions_keep_their_numbers() -> None:
    data = flat_episodes([make_episode(2)])
    actions = np.array([[0.5, -0.5], [0.25, 1.0]], np.float32)
    data = FlatEpisodes(**(vars(data) | {"actions": actions}))
    batch = make_buffer(data).transitions(0)
    assert {tuple(action) for action in batch.actions.tolist()} == {(0.5, -0.5), (0.25, 1.0)}


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_a_fraction_outside_zero_and_one_is_refused(fraction: float) -> None:
    data = flat_episodes([make_episode(2)])
    with pytest.raises(ValueError, match="imagined-fraction between 0 and 1"):
        make_buffer(data, data, imagined_fraction=fraction)


def test_asking_for_imagined_steps_without_imagined_episodes_is_refused() -> None:
    data = flat_episodes([make_episode(2)])
    with pytest.raises(ValueError, match="Expected 16 imagined steps in each batch, got no"):
        make_buffer(data, None, imagined_fraction=0.5)
    with pytest.raises(ValueError, match="no real episodes"):
        make_buffer(None, data, imagined_fraction=0.5)


def test_a_batch_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="--batch-size of at least 1, got 0"):
        make_buffer(flat_episodes([make_episode(2)]), batch_size=0)


def test_filtering_for_success_where_there_is_none_is_refused() -> None:
    data = flat_episodes([make_episode(2, terminated=False)])
    with pytest.raises(ValueError, match="Expected successful real episodes, got none among 1"):
        make_buffer(data, success_only_real=True)


def test_goal_vectors_are_centred_and_share_one_scale() -> None:
    data = flat_episodes([make_episode(2)])
    normalizer = Normalizer.of(data, GOALS.vectors)
    # Goals 7 and 9: mean 8, deviation 1.  Observations 0 1 2: mean 1, deviation sqrt(2/3).
    assert normalizer.goals(GOALS.vectors).tolist() == [[-1.0], [1.0]]
    scaled = normalizer.observations(data.observations)
    assert np.allclose(scaled[:, 0], np.array([-1, 0, 1]) / np.sqrt(2 / 3))


def test_numbers_that_never_change_are_left_unscaled() -> None:
    data = flat_episodes([make_episode(2)])
    still = FlatEpisodes(**(vars(data) | {"observations": np.full((3, 2), 4.0, np.float32)}))
    normalizer = Normalizer.of(still, GOALS.vectors[:1])
    assert normalizer.observations(np.array([[4.0, 5.0]])).tolist() == [[0.0, 1.0]]
    assert normalizer.goals(np.array([[8.0]])).tolist() == [[1.0]]
