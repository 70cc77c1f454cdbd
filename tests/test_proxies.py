"""Proxy networks of goals: they learn, alone or together alike, and rather miss than poison."""

from dataclasses import replace

import numpy as np
import pytest

from envs.babyai.cells import EMPTY, TYPE_OF, WALL_TYPE
from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.layouts import make_layout
from envs.babyai.simulator import PICKUP
from envs.babyai.states import CARRIED, DIRECTION, X, Y
from envs.transitions import Transitions
from imagination.pictures import transition_pictures
from imagination.programs import parse_program, program_labels
from imagination.proxies import (
    NEVER,
    GoalSamples,
    ProxySettings,
    precise_threshold,
    train_proxies,
)

SHAPE = make_layout("room", 0).shape
QUICK = ProxySettings(
    channels=16, hidden=16, learning_rate=1e-2, max_epochs=6, patience_epochs=6, batch_size=64
)


@pytest.fixture(scope="module")
def rows() -> Transitions:
    config = CollectionConfig("room", (0, 1), 1500, expert_share=0.7, expert="planner")
    return collect_transitions(config)


@pytest.fixture(scope="module")
def pictures(rows: Transitions) -> np.ndarray:
    return transition_pictures(rows.states, rows.actions, rows.next_states, SHAPE)


def samples(rows: Transitions, text: str, count: int) -> GoalSamples:
    """The first rows of the data with the labels of a program."""
    program = parse_program(text)
    assert program is not None
    labels = program_labels(program, rows.states, rows.actions, rows.next_states, SHAPE)
    return GoalSamples(np.arange(count), labels[:count])


def test_a_picture_shows_the_cells_and_what_the_agent_did(
    rows: Transitions, pictures: np.ndarray
) -> None:
    assert pictures.shape == (1500, 8, 8, 13 + 4 + 7 + 3 * 13)
    after = rows.next_states
    # Plane 1 is the walls; of the agent's planes the first four are its direction.
    np.testing.assert_array_equal(pictures[..., 1], TYPE_OF[SHAPE.cells(after)] == WALL_TYPE)
    index = np.arange(len(rows))
    own = pictures[index, after[:, Y], after[:, X]]
    np.testing.assert_array_equal(own[:, 13:17].argmax(1), after[:, DIRECTION])
    np.testing.assert_array_equal(own[:, 17:24].argmax(1), rows.actions)
    # Held before and held now: the first plane of each is "nothing".
    np.testing.assert_array_equal(own[:, 24] == 1, rows.states[:, CARRIED] == EMPTY)
    np.testing.assert_array_equal(own[:, 37] == 1, after[:, CARRIED] == EMPTY)
    assert pictures[..., 13:].sum((1, 2)).max() == 1  # on the agent's cell alone
    assert (rows.actions == PICKUP).any()


def test_hand_worked_thresholds() -> None:
    labels = np.array([True, True, False, True, False])
    chances = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    assert precise_threshold(chances, labels, 0.95) == 0.8  # 2 of 2 are right
    assert precise_threshold(chances, labels, 0.75) == 0.6  # 3 of 4 are right
    assert precise_threshold(chances, labels, 0.5) == 0.1  # 3 of 5 are right
    assert precise_threshold(chances, ~labels, 0.95) == NEVER  # the likeliest is wrong
    # Of equally likely samples all are taken or none: 1 of 2 is right.
    assert precise_threshold(np.array([0.9, 0.9]), np.array([True, False]), 0.95) == NEVER
    assert precise_threshold(np.array([]), np.array([], bool), 0.95) == NEVER


def test_networks_learn_different_goals_together(rows: Transitions, pictures: np.ndarray) -> None:
    texts = ("holding any ball", "standing_on 3 3")
    goals = [samples(rows, text, 1200) for text in texts]
    proxies = train_proxies(pictures, goals, QUICK)
    claimed = proxies.labels(pictures[1200:])
    for goal, text in enumerate(texts):
        truth = samples(rows, text, 1500).labels[1200:]
        assert truth.sum() >= 3
        assert claimed[goal][truth].mean() > 0.5
        assert claimed[goal][~truth].mean() < 0.02
    assert proxies.num_silent == 0


def test_a_network_is_the_same_alone_and_beside_others(
    rows: Transitions, pictures: np.ndarray
) -> None:
    goals = [samples(rows, text, 300) for text in ("holding any ball", "facing any box")]
    few = ProxySettings(channels=4, hidden=4, learning_rate=3e-2, max_epochs=6, batch_size=64)
    together = train_proxies(pictures, goals, few).probabilities(pictures[:100])
    alone = [train_proxies(pictures, [g], few).probabilities(pictures[:100])[0] for g in goals]
    np.testing.assert_allclose(together, np.array(alone), atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.002


def test_a_goal_without_successes_labels_nothing_and_is_counted(
    rows: Transitions, pictures: np.ndarray
) -> None:
    goals = [
        samples(rows, "facing any box", 300),
        GoalSamples(np.arange(300), np.zeros(300, bool)),
    ]
    proxies = train_proxies(pictures, goals, replace(QUICK, least_precision=0.3, max_epochs=12))
    assert proxies.num_silent == 1
    assert proxies.labels(pictures)[0].any()
    assert not proxies.labels(pictures)[1].any()


def test_the_epoch_with_the_best_validation_loss_is_kept(
    rows: Transitions, pictures: np.ndarray
) -> None:
    # Far too large steps: later epochs are worse, and training ends when patience does.
    wild = ProxySettings(
        channels=4, hidden=4, learning_rate=2.0, max_epochs=40, patience_epochs=3, batch_size=64
    )
    losses: list[float] = []
    goal = samples(rows, "facing any box", 300)
    train_proxies(
        pictures, [goal], wild, on_epoch=lambda epoch, found: losses.append(float(found[0]))
    )
    assert len(losses) == int(np.argmin(losses)) + 1 + 3


def test_too_few_samples_and_wrong_settings_are_refused(pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Expected at least one goal, and two samples of each"):
        train_proxies(pictures, [GoalSamples(np.arange(1), np.ones(1, bool))])
    with pytest.raises(ValueError, match="--max-epochs of at least 1"):
        ProxySettings(max_epochs=0)
    with pytest.raises(ValueError, match="--validation-share in"):
        ProxySettings(validation_share=0.0)
