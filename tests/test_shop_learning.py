"""From unlabelled plays to samples and to a shopper: filtering, planning, judging, acting."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scripted_chat import ScriptedChat
from webshop_samples import make_goal, make_product, shop_of

from envs.webshop.requirements import require
from envs.webshop.shop import Session
from envs.webshop.trajectories import run_episode
from imagination.purchases import Play, Purchase, PurchaseTable, find_purchases
from imagination.requirements import Offer
from imagination.shop_judge import ShopJudgeSettings, judge_purchases, read_reward, spread
from imagination.shop_roles import RAW, ROLES
from offline_rl.distillation_set import TextSamples
from offline_rl.shop_distillation import (
    FilterConfig,
    Rewards,
    best_search,
    filter_plays,
    samples_from,
    samples_of,
    search_worths,
)
from offline_rl.shop_planning import PlanConfig, RoleTable, planned_samples, role_plays
from offline_rl.shop_policy import LanguageShopper, ReplayShopper

GOAL = "i need a cotton shirt in crimson, small"
SHIRT = require("cotton shirt", (), ("crimson", "small"), 30.0)
SHOP = shop_of(make_product(), make_product(asin="B000000002", name="Acme Wool Lamp"))


def _play(*actions: str) -> Play:
    session = Session(SHOP, make_goal())
    pages = [session.text(), *(session.step(action)[0] for action in actions)]
    return Play(tuple(pages), actions)


HALF = _play("search[cotton shirt]", "click[b000000001]", "click[small]", "click[buy now]")
WHOLE = _play(
    *("search[shirt]", "click[b000000001]", "click[description]", "click[< prev]", "click[navy]"),
    *("click[crimson]", "click[small]", "click[buy now]"),
)
LAMP = _play("search[lamp]", "click[b000000002]", "click[buy now]")
NOTHING = _play("search[lamp]")
PLAYS = [LAMP, HALF, NOTHING, WHOLE]


def _table(plays: Sequence[Play]) -> tuple[list[Purchase], Rewards]:
    purchases = find_purchases(plays)
    return purchases, _rewards(purchases)


def _rewards(purchases: Sequence[Purchase]) -> Rewards:
    goals, table = {GOAL: SHIRT, "a dress": require("dress")}, PurchaseTable(purchases)
    return lambda goal: table.rewards(goals[goal])


def test_the_best_play_of_all_is_kept_for_a_goal_without_its_loops() -> None:
    purchases, rewards = _table(PLAYS)
    # Rewards by hand, of 2 options + price: lamp 0, half 2 / 3, whole 1.
    np.testing.assert_allclose(rewards(GOAL), [0, 2 / 3, 1])
    found = filter_plays([GOAL], PLAYS, purchases, rewards, FilterConfig())
    (kept,) = found.kept
    assert (kept.play, kept.reward) == (3, 1.0)
    assert kept.trace.actions == (
        *("search[shirt]", "click[b000000001]", "click[navy]", "click[crimson]", "click[small]"),
        "click[buy now]",
    )


def test_goals_that_no_purchase_serves_are_left_without_plays() -> None:
    purchases, rewards = _table(PLAYS)
    goals = {"a dress": require("dress"), GOAL: SHIRT}
    found = filter_plays(goals, PLAYS, purchases, rewards, FilterConfig())
    assert [kept.goal for kept in found.kept] == [GOAL]
    assert found.best == {"a dress": 0.0, GOAL: 1.0}
    with pytest.raises(ValueError, match=r"got none\. Collect more"):
        filter_plays(goals, [NOTHING], [], rewards, FilterConfig())


def test_role_samples_leave_out_steps_that_change_nothing_for_the_goal() -> None:
    purchases, rewards = _table(PLAYS)
    config = FilterConfig(least_searches=1)
    kept = filter_plays([GOAL], PLAYS, purchases, rewards, config).kept
    roles = samples_of(kept, {GOAL: SHIRT}, {"options": (1.0, 9)}, ROLES, config)
    assert roles.answers == ["options", "1", "wanted", "wanted", "buy"]
    assert roles.steps_left.tolist() == [5, 4, 3, 2, 1]
    raw = samples_of(kept, {GOAL: SHIRT}, {"options": (1.0, 9)}, RAW, config)
    assert raw.answers[0] == "search[cotton shirt crimson small]"
    assert "click[navy]" in raw.answers


def _purchase(keywords: str, chosen: tuple[str, ...]) -> Purchase:
    return Purchase(0, "b1", keywords, Offer("Cotton Shirt", "$9.00", chosen=chosen))


def test_the_kind_of_search_that_was_worth_most_is_asked_for() -> None:
    purchases = [
        _purchase("cotton shirt", ()),  # 1 / 3
        _purchase("shirt cotton", ("small",)),  # 2 / 3: the mean of the kind is 1 / 2
        _purchase("cotton shirt crimson small", ("crimson", "small")),  # 1
        _purchase("blue lamp", ()),
    ]
    worths = search_worths({GOAL: SHIRT}, purchases, _rewards(purchases))
    assert worths == {"product": (pytest.approx(0.5), 2), "options": (pytest.approx(1.0), 1)}
    assert best_search(SHIRT, worths, 1) == "options"
    assert best_search(SHIRT, worths, 2) == "product"  # one search is too few to believe in
    assert best_search(SHIRT, {}, 1) == "product"


def test_values_of_a_hand_made_table() -> None:
    # From "a" the answer x leads to "b" twice and buys never; b is worth 1 (mean of 1, 1, 1).
    # y buys at once for 0.2. Discount 0.5: y 0.1, x 0.5 * (0.5 * 1) = 0.25.
    table = RoleTable()
    for _ in range(3):
        table.add(("a", "b"), ("x", "buy"), 1.0)
        table.add(("a",), ("y",), 0.2)
    table.add(("a",), ("rare",), 1.0)
    values = table.solve(discount=0.5, least_count=2)
    assert values.pairs == pytest.approx({("b", "buy"): 0.5, ("a", "y"): 0.1, ("a", "x"): 0.25})
    assert values.greedy() == {"a": ("x", pytest.approx(0.25)), "b": ("buy", pytest.approx(0.5))}


def test_plans_join_what_different_plays_show_and_end_in_a_good_purchase() -> None:
    first = _play("search[shirt]", "click[b000000001]", "click[crimson]", "click[buy now]")
    plays = [WHOLE, HALF, first] * 2
    purchases, rewards = _table(plays)
    config = PlanConfig(least_count=1, plans_per_goal=1)
    found = list(role_plays({GOAL: SHIRT}, plays, purchases, rewards, config))
    assert len(found) == 6
    samples = planned_samples({GOAL: SHIRT}, found, {"options": (1.0, 9)}, 1, config)
    assert samples.answers == ["options", "1", "wanted", "wanted", "buy"]
    strict = PlanConfig(least_count=1, threshold=1.0)
    assert not len(planned_samples({GOAL: SHIRT}, found, {}, 1, strict))  # discounted: below 1


def test_purchases_that_nobody_judged_are_neither_kept_nor_planned_with_nor_worth_nothing() -> None:
    plays = [WHOLE, HALF, LAMP]
    purchases, _ = _table(plays)
    judged = np.array([np.nan, 0.7, np.nan])
    found = filter_plays([GOAL], plays, purchases, lambda goal: judged, FilterConfig())
    assert [kept.play for kept in found.kept] == [1]
    (told,) = role_plays({GOAL: SHIRT}, plays, purchases, lambda goal: judged, PlanConfig())
    assert told[-1] == 0.7
    # Of the two searches for a shirt one led to a judged purchase: its mean is 0.7, not 0.35.
    worths = search_worths({GOAL: SHIRT}, purchases, lambda goal: judged)
    assert worths == {"product": (0.7, 1)}


class FixedScores:
    """Prefers answers in a fixed order."""

    def __init__(self, *order: str) -> None:
        self._order = order

    def of(self, question: str, answers: tuple[str, ...]) -> np.ndarray:
        last = len(self._order)
        places = [self._order.index(a) if a in self._order else last for a in answers]
        return -10.0 * np.array(places, np.float64)


def _shopper(*order: str, **rules: bool) -> LanguageShopper:
    return LanguageShopper(FixedScores(*order), {make_goal().text: SHIRT}, **rules)  # type: ignore[arg-type]


def test_a_shopper_takes_its_favourite_among_the_pages_actions() -> None:
    goal = make_goal()
    shopper = _shopper("wanted", "buy", "1", "options")
    episode = run_episode(Session(SHOP, goal), shopper, goal, np.random.default_rng(0))
    assert episode.actions.tolist() == [
        *("search[cotton shirt crimson small]", "click[b000000001]", "click[crimson]"),
        *("click[small]", "click[buy now]"),
    ]
    assert episode.success


def test_without_the_mask_an_answer_that_does_nothing_changes_nothing() -> None:
    goal = make_goal()
    shopper = _shopper("buy", "1", "options", mask=False, loop_break=False)
    episode = run_episode(Session(SHOP, goal), shopper, goal, np.random.default_rng(0), 3)
    assert episode.actions.tolist() == ["click[buy]"] * 3
    assert len(set(episode.observations.tolist())) == 1


def test_hidden_fields_of_a_goal_change_nothing() -> None:
    other = make_goal(asin="B0", attributes=(), options={}, price_upper=1.0, name="", query="x")
    taken = []
    for goal in (make_goal(), other):
        shopper = _shopper("wanted", "buy", "1", "options")
        shopper.begin(goal, np.random.default_rng(0))
        session = Session(SHOP, make_goal())
        taken.append([shopper.act(session.text(), session.valid_actions())])
    assert taken[0] == taken[1]


def test_goals_that_were_not_understood_are_shopped_for_at_random() -> None:
    shopper = LanguageShopper(FixedScores(), {make_goal().text: None})  # type: ignore[arg-type]
    episode = run_episode(
        Session(SHOP, make_goal()), shopper, make_goal(), np.random.default_rng(0)
    )
    assert len(episode) >= 1


def test_a_replay_repeats_a_play_and_is_random_without_one() -> None:
    goal = make_goal()
    replay = ReplayShopper({goal.text: HALF.actions})
    episode = run_episode(Session(SHOP, goal), replay, goal, np.random.default_rng(0))
    assert tuple(episode.actions.tolist()) == HALF.actions
    other = ReplayShopper({})
    assert len(run_episode(Session(SHOP, goal), other, goal, np.random.default_rng(0))) >= 1


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        # (2 + 1 + 1) / (2 + 1 + 1) and half of (1 + 0 + 0) / (2 + 2 + 1)
        ("kind: yes; properties: 2 of 2; options: 1 of 1; price: yes", 1.0),
        ("Well.\nKind: no; properties: 1 of 2; options: 0 of 2; price: no", 0.1),
        *(
            ("it is fine", None),
            ("kind: yes; properties: 3 of 2; options: 0 of 0; price: no", None),
        ),
    ],
)
def test_a_verdict_comes_to_a_reward_or_is_nonsense(reply: str, reward: float | None) -> None:
    found = read_reward(reply)
    assert np.isnan(found) if reward is None else found == pytest.approx(reward)


def test_a_judge_is_asked_about_near_purchases_and_its_nonsense_is_counted() -> None:
    purchases, _ = _table(PLAYS)

    def reply(text: str) -> str:
        good = "kind: yes; properties: 0 of 0; options: 2 of 2; price: yes"
        return good if "crimson, small" in text.split("chosen:")[1] else "who knows"

    chat = ScriptedChat(reply)
    (judged,) = judge_purchases(chat, [GOAL], purchases)
    assert chat.usage.calls == 2  # the lamp shares no word with the goal
    assert judged.num_nonsense == 1
    np.testing.assert_array_equal(spread(judged.rows, 3), [np.nan, np.nan, 1.0])
    with pytest.raises(ValueError, match="--max-purchases of at least 1"):
        ShopJudgeSettings(0)


def test_goals_after_a_judges_failure_are_not_asked_about() -> None:
    purchases, _ = _table(PLAYS)
    chat = ScriptedChat(lambda text: "who knows", last_call=2)
    first, second, third = judge_purchases(chat, [GOAL, GOAL, GOAL], purchases)
    assert (len(first.places), len(second.places), len(third.places)) == (2, 0, 0)
    assert "script has ended" in second.problem
    assert third.problem == second.problem


def test_doubtful_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="--plays-per-goal of at least 1"):
        FilterConfig(plays_per_goal=0)
    with pytest.raises(ValueError, match="--discount in"):
        PlanConfig(discount=1.0)


def test_samples_come_back_from_disk_and_whole_plans_are_held_out(tmp_path: Path) -> None:
    plans = [(GOAL, [("a", "x"), ("b", "buy")]), (GOAL, [("c", "buy")]), (GOAL, [("d", "buy")])]
    samples = samples_from(plans, {GOAL: SHIRT})
    samples.write(tmp_path / "samples.parquet")
    again = TextSamples.read(tmp_path / "samples.parquet")
    assert again.pairs == [("a", "x"), ("b", "buy"), ("c", "buy"), ("d", "buy")]
    assert again.plans.tolist() == [0, 0, 1, 2]
    train, held_out = again.without(0.34, seed=0)
    assert len(train) + len(held_out) == 4
    assert not set(train.plans) & set(held_out.plans)
