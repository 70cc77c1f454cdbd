"""The episode checks itself on construction."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from samples import make_episode

from envs.world import Spaces


def test_its_length_is_the_number_of_actions() -> None:
    assert len(make_episode(steps=3)) == 3


def test_a_dropped_final_observation_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 4 observations for 3 actions, got 3"):
        make_episode(steps=3, observations=np.zeros((3, 2), np.float32))


def test_a_reward_for_every_action_is_required() -> None:
    with pytest.raises(ValueError, match="Expected 3 rewards for 3 actions, got 4"):
        make_episode(steps=3, rewards=np.zeros(4, np.float32))


def test_an_episode_without_actions_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected at least one action, got none"):
        make_episode(steps=0)


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="among real, imagined, distilled, got `dreamt`"):
        make_episode(source="dreamt")


@pytest.mark.parametrize("name", ["observations", "actions", "rewards"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    episode = make_episode(steps=2, actions=np.zeros((2, 1), np.float32))
    values = getattr(episode, name).copy()
    values.flat[-1] = bad
    changes: dict[str, Any] = {name: values}
    with pytest.raises(ValueError, match=f"Expected finite {name}"):
        dataclasses.replace(episode, **changes)


def test_text_episodes_are_episodes() -> None:
    episode = make_episode(
        observations=np.array(["a room", "a door", "a key"]),
        actions=np.array(["go", "open"]),
        rewards=np.zeros(2, np.float32),
    )
    assert len(episode) == 2


def test_an_episode_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_episode().goal = "another"  # type: ignore[misc]


def test_spaces_need_exactly_one_kind_of_action() -> None:
    assert Spaces(num_entities=3, entity_dim=2, num_actions=4).observation_dim == 6
    with pytest.raises(ValueError, match="exactly one of num_actions and action_dim"):
        Spaces(num_entities=3, entity_dim=2)
    with pytest.raises(ValueError, match="exactly one of num_actions and action_dim"):
        Spaces(num_entities=3, entity_dim=2, num_actions=4, action_dim=2)
