"""The text shop's scripted shoppers, their trajectories in the store, and their ranking."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from samples import equal_episodes
from webshop_samples import make_goal, make_product, shop_of, small_catalogue, small_shop

from envs.store import EpisodeStore, write_store
from envs.webshop.environment import generated_shop
from envs.webshop.goals import generate_goals
from envs.webshop.policies import (
    POLICIES,
    CollectionPolicy,
    ExpertPolicy,
    RulePolicy,
    UniformPolicy,
    keywords_of,
    title_words,
)
from envs.webshop.shop import Session
from envs.webshop.trajectories import collect, data_card, evaluate, run_episode, summarize

GOALS = generate_goals(small_catalogue(), "train", 40)


def test_keywords_leave_out_fillers_and_prices() -> None:
    text = "i am looking for a marble run that is bpa free, in sporty style, under 50 dollars"
    assert keywords_of(text) == ["marble", "run", "bpa", "free", "sporty", "style"]
    assert keywords_of("shoes, size 10.5, that costs less than $90") == ["shoes", "size", "10.5"]


def test_the_rule_searches_the_instruction_and_buys_the_first_result() -> None:
    shop, goal = small_shop(), GOALS[0]
    episode = run_episode(Session(shop, goal), RulePolicy(), goal, np.random.default_rng(0))
    first = shop.catalogue.products[shop.index.search(goal.text)[0]].asin.lower()
    expected = [f"search[{goal.text}]", f"click[{first}]", "click[buy now]"]
    assert episode.actions.tolist() == expected
    assert episode.terminated


def test_the_expert_finds_options_and_buys_with_reward_1() -> None:
    shop, goal = shop_of(make_product()), make_goal()
    episode = run_episode(Session(shop, goal), ExpertPolicy(), goal, np.random.default_rng(0))
    assert episode.actions.tolist()[1:] == [
        "click[b000000001]",
        "click[crimson]",
        "click[small]",
        "click[buy now]",
    ]
    assert episode.rewards.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert episode.success


def test_the_uniform_policy_takes_every_valid_action_equally_often() -> None:
    policy = UniformPolicy()
    policy.begin(make_goal(), np.random.default_rng(0))
    actions = ["click[a]", "click[b]", "search[keywords]"]
    counts = Counter(policy.act("", actions).split("[")[0] for _ in range(3000))
    assert counts["search"] == pytest.approx(1000, abs=110)  # four standard errors


def test_random_searches_use_the_given_words() -> None:
    policy = UniformPolicy(words=["zebra"], random_share=1.0)
    policy.begin(make_goal(), np.random.default_rng(0))
    assert policy.act("", ["search[keywords]"]) == "search[zebra]"


def test_title_words_are_those_of_all_titles() -> None:
    products = make_product(name="Soft Desk"), make_product(asin="B2", name="Desk-Lamp 2x")
    assert title_words(shop_of(*products).catalogue) == ("2x", "desk", "lamp", "soft")


def test_the_collection_policy_searches_the_first_keywords_of_the_instruction() -> None:
    policy = CollectionPolicy()
    policy.begin(make_goal(), np.random.default_rng(0))
    searches = {policy.act("", ["search[keywords]"]) for _ in range(100)}
    assert searches == {"search[slim fit]", "search[slim fit polo]", "search[slim fit polo shirt]"}


def test_every_action_of_every_policy_does_something() -> None:
    shop = small_shop()
    for make in POLICIES.values():
        for index, goal in enumerate(GOALS[:10]):
            rng = np.random.default_rng(index)
            episode = run_episode(Session(shop, goal), make(), goal, rng, 30)
            session = Session(shop, goal)
            for action in episode.actions:
                legal = session.valid_actions()
                assert action in legal or (
                    action.startswith("search[") and "search[keywords]" in legal
                )
                session.step(action)


def test_trajectories_survive_the_store_and_replay(tmp_path: Path) -> None:
    shop = small_shop()
    episodes = list(collect(shop, GOALS, CollectionPolicy(), 12, seed=5, horizon_steps=20))
    write_store(tmp_path / "real", episodes, data_card(shop, seed=5))
    store = EpisodeStore(tmp_path / "real")
    assert store.card.environment == "webshop"
    assert "size=600 seed=0" in store.card.environment_version
    assert len(store) == 12
    assert all(map(equal_episodes, store, episodes))
    goals = {goal.text: goal for goal in GOALS}
    for episode in store:
        session = Session(shop, goals[episode.goal])
        assert session.text() == episode.observations[0]
        for action, after, reward in zip(
            episode.actions, episode.observations[1:], episode.rewards, strict=True
        ):
            text, again, _ = session.step(str(action))
            assert (text, np.float32(again)) == (after, reward)
        assert not any(episode.goal in page for page in episode.observations)


def test_collection_is_reproducible_and_episode_i_does_not_depend_on_the_count() -> None:
    shop = small_shop()
    few = list(collect(shop, GOALS, UniformPolicy(), 5, seed=1, horizon_steps=20))
    many = list(collect(shop, GOALS, UniformPolicy(), 9, seed=1, horizon_steps=20))
    assert all(map(equal_episodes, few, many[:5]))
    other = list(collect(shop, GOALS, UniformPolicy(), 5, seed=2, horizon_steps=20))
    assert not all(map(equal_episodes, few, other))
    assert [episode.provenance["index"] for episode in many] == list(range(9))


def test_collection_refuses_no_goals_and_counts_progress() -> None:
    with pytest.raises(ValueError, match="Expected at least one goal, got none"):
        collect(small_shop(), [], UniformPolicy(), 1)
    with pytest.raises(ValueError, match="Expected count of at least 0, got -1"):
        collect(small_shop(), GOALS, UniformPolicy(), -1)
    seen: list[int] = []
    list(collect(small_shop(), GOALS, RulePolicy(), 3, on_progress=seen.append))
    assert seen == [1, 2, 3]


def test_a_summary_counts_what_was_not_bought_as_0() -> None:
    shop, goal = shop_of(make_product()), make_goal()
    bought = evaluate(shop, [goal], ExpertPolicy())  # five steps, reward 1
    cut = evaluate(shop, [goal], ExpertPolicy(), horizon_steps=3)
    result = summarize(bought + cut)
    assert (result.score, result.success_percent, result.bought_percent) == (50.0, 50.0, 50.0)
    assert result.steps == 4.0


@pytest.mark.parametrize("split", ["train", "test"])
def test_shoppers_rank_uniform_collection_rule_expert(split: str) -> None:
    shop = generated_shop(5000, 0)
    goals = generate_goals(shop.catalogue, split, 100)
    results = {name: summarize(evaluate(shop, goals, make())) for name, make in POLICIES.items()}
    scores = [results[name].score for name in ("uniform", "collection", "rule", "expert")]
    assert scores == sorted(scores)
    assert results["expert"].success_percent >= 97.0
    assert results["rule"].success_percent < 15.0  # the task is not solved by searching alone
    assert results["uniform"].success_percent < 5.0
