"""The text shop in Gymnasium: the checker, seeds, options, endings, speed."""

import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from webshop_samples import make_goal, make_product, shop_of

import envs  # noqa: F401 - registers the environment
from envs.webshop.environment import WebShopEnv, generated_shop
from envs.webshop.goals import generate_goals
from envs.webshop.policies import CollectionPolicy
from envs.webshop.trajectories import collect

NAME = "kalm/WebShop-v0"
BUY = ("search[cotton shirt]", "click[b000000001]", "click[crimson]", "click[small]")


def make(**options: Any) -> WebShopEnv:
    environment = gymnasium.make(NAME, **({"num_products": 600, "num_goals": 50} | options))
    assert isinstance(environment.unwrapped, WebShopEnv)
    return environment.unwrapped


def sample_environment(**options: Any) -> WebShopEnv:
    return make(shop=shop_of(make_product()), goals=(make_goal(),), **options)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_environment_checker_finds_nothing(split: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(split=split, render_mode="ansi"))


def test_every_observation_of_random_shoppers_lies_in_its_space() -> None:
    environment = make()
    rng = np.random.default_rng(0)
    for seed in range(10):
        observation, info = environment.reset(seed=seed)
        for _ in range(20):
            assert environment.observation_space.contains(observation)
            assert all(environment.action_space.contains(a) for a in info["valid_actions"])
            actions = info["valid_actions"]
            action = actions[int(rng.integers(len(actions)))]
            if action == "search[keywords]":
                action = f"search[{info['goal']}]"
            observation, _, terminated, _, info = environment.step(action)
            if terminated:
                break
        assert environment.observation_space.contains(observation)


def test_the_same_seed_gives_the_same_goal_in_every_instance() -> None:
    one, other = make(), make()
    other.reset(seed=9)
    assert one.reset(seed=3)[0] == other.reset(seed=3)[0]
    assert one.reset()[0] == other.reset()[0]  # the streams go on alike
    assert len({one.reset(seed=seed)[1]["goal"] for seed in range(20)}) > 10


def test_a_goal_is_given_by_itself_its_text_or_its_index() -> None:
    environment = make()
    goal = environment.goals[7]
    for given in (goal, goal.text, 7):
        observation, info = environment.reset(options={"goal": given})
        assert info["goal"] == goal.text
        assert observation.startswith(f"Instruction: {goal.text} [SEP] WebShop [SEP] Search\n")


def test_unknown_goals_and_options_are_refused_with_the_nearest() -> None:
    environment = make()
    with pytest.raises(ValueError, match="Did you mean"):
        environment.reset(options={"goal": environment.goals[7].text + "!"})
    with pytest.raises(ValueError, match="Expected a goal index below 50, got 50"):
        environment.reset(options={"goal": 50})
    with pytest.raises(ValueError, match="Expected the reset option goal only, got"):
        environment.reset(options={"positions": 1})


def test_a_perfect_purchase_terminates_with_reward_1() -> None:
    environment = sample_environment()
    environment.reset()
    for action in BUY:
        _, reward, terminated, truncated, info = environment.step(action)
        assert (reward, terminated, truncated, info["success"]) == (0.0, False, False, False)
    _, reward, terminated, truncated, info = environment.step("click[buy now]")
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert info["score"].attributes_met == 2
    with pytest.raises(ValueError, match="Call reset before step"):
        environment.step("click[buy now]")


def test_the_horizon_truncates_but_not_a_purchase_at_it() -> None:
    environment = sample_environment(horizon_steps=3)
    environment.reset()
    endings = [environment.step("click[zebra]")[2:4] for _ in range(3)]
    assert endings == [(False, False), (False, False), (False, True)]
    environment.reset()
    for action in BUY[:2]:
        environment.step(action)
    assert environment.step("click[buy now]")[2:4] == (True, False)


def test_the_instruction_can_be_left_out() -> None:
    observation, _ = sample_environment(show_instruction=False).reset()
    assert observation.startswith("WebShop [SEP] Search")


def test_an_action_that_is_no_text_is_refused() -> None:
    environment = sample_environment()
    environment.reset()
    with pytest.raises(ValueError, match=r"Expected an action like `click\[buy now\]`, got 3"):
        environment.step(3)  # type: ignore[arg-type]


def test_shoppers_make_more_than_1000_steps_a_second_among_5000_products() -> None:
    shop = generated_shop(5000, 0)
    goals = generate_goals(shop.catalogue, "train", 100)
    fastest = 0.0
    for seed in range(3):  # the fastest of three: other processes share the machine
        began = time.process_time()
        steps = sum(map(len, collect(shop, goals, CollectionPolicy(), 40, seed, 50)))
        fastest = max(fastest, steps / (time.process_time() - began))
    assert fastest > 1000
