"""The text shop's goals: upper prices, splits, wordings, and what people wrote."""

import re
from collections import Counter
from itertools import product as every

import numpy as np
import pytest
from webshop_samples import make_product, small_catalogue

from envs.webshop.goals import (
    NO_LIMIT,
    draw_price_upper,
    generate_goals,
    human_goals,
    split_of,
)
from envs.webshop.products import Catalogue, Instruction
from envs.webshop.wordings import WORDINGS


def uppers(price: float, count: int) -> list[float | None]:
    rng = np.random.default_rng(0)
    return [draw_price_upper(price, rng) for _ in range(count)]


def test_the_upper_price_is_the_larger_of_two_of_the_next_four_tens() -> None:
    counts = Counter(uppers(25.0, 6000))
    # Of 30, 40, 50, 60 two are drawn: 6 pairs, whose larger is 40 once, 50 twice, 60 three times.
    assert set(counts) == {40.0, 50.0, 60.0}
    for upper, share in ((40.0, 1 / 6), (50.0, 2 / 6), (60.0, 3 / 6)):
        assert counts[upper] / 6000 == pytest.approx(share, abs=0.02)


def test_the_upper_price_is_above_a_price_that_is_itself_a_multiple_of_ten() -> None:
    assert set(uppers(30.0, 200)) == {50.0, 60.0, 70.0}


def test_near_1000_dollars_there_is_no_limit() -> None:
    assert uppers(975.0, 3) == [990.0] * 3  # 980 and 990 are left
    assert uppers(985.0, 3) == [None] * 3


def test_goals_are_made_of_their_product() -> None:
    catalogue = small_catalogue()
    for goal in generate_goals(catalogue, "train", 100):
        place = catalogue.places[goal.asin.lower()]
        product, price = catalogue.products[place], catalogue.prices[place]
        assert set(goal.attributes) <= set(product.attributes)
        assert 1 <= len(goal.attributes) <= 3
        assert set(goal.options) == set(product.options)
        assert all(goal.options[name] in values for name, values in product.options.items())
        assert price < goal.price_upper <= price + 40 or goal.price_upper == NO_LIMIT
        assert (goal.kind, goal.level) == (product.category, "train")
        mentioned = [product.query, *goal.attributes, *goal.options.values()]
        assert all(part in goal.text for part in mentioned)
        assert f"{goal.price_upper:.0f}" in goal.text


def test_the_same_seed_gives_the_same_goals_and_more_goals_begin_with_them() -> None:
    catalogue = small_catalogue()
    goals = generate_goals(catalogue, "train", 30, seed=1)
    assert generate_goals(catalogue, "train", 50, seed=1)[:30] == goals
    assert generate_goals(catalogue, "train", 30, seed=2) != goals


def test_train_and_test_share_no_product_and_no_instruction() -> None:
    catalogue = small_catalogue()
    train = generate_goals(catalogue, "train", 900)  # more than there are products
    test = generate_goals(catalogue, "test", 200)
    assert len({goal.text for goal in train}) == 900
    assert not {goal.asin for goal in train} & {goal.asin for goal in test}
    assert not {goal.text for goal in train} & {goal.text for goal in test}
    share = np.mean([split_of(product) == "test" for product in catalogue.products])
    assert share == pytest.approx(0.2, abs=0.05)


def skeleton(frame: str) -> str:
    return re.sub(r"\{[^}]*\}", "_", frame)


def test_no_wording_of_the_test_split_is_one_of_train() -> None:
    for part in ("requests", "options", "prices"):
        train, test = (
            {skeleton(frame) for frame in getattr(WORDINGS[split], part)}
            for split in ("train", "test")
        )
        assert len(train) == len(getattr(WORDINGS["train"], part))
        assert not train & test
    # No train instruction can be parsed as a test instruction: every request pattern is anchored.
    patterns = [
        re.compile(re.escape(skeleton(frame)).replace("_", ".+") + r".*")
        for frame in WORDINGS["test"].requests
    ]
    for goal, pattern in every(generate_goals(small_catalogue(), "train", 200), patterns):
        assert not pattern.fullmatch(goal.text), (goal.text, pattern.pattern)


def test_unknown_splits_and_too_many_goals_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected a split among train, test, got `dev`"):
        generate_goals(small_catalogue(), "dev", 1)
    one = make_product(options={}, attributes=("slim fit",), pricing=(990.0,))
    split = split_of(one)
    wordings = len(WORDINGS[split].requests)  # and no limit, no options: nothing else can differ
    with pytest.raises(ValueError, match=f"Found {wordings} of 50 goals"):
        generate_goals(Catalogue.of([one], "one", 0), split, 50)


def written(count: int) -> Catalogue:
    products = [
        make_product(
            asin=f"B{number:06d}",
            instructions=(
                Instruction(f"i want shirt number {number}.", ("slim fit",), ("navy", "small")),
                Instruction("nothing asked", (), ()),
            ),
        )
        for number in range(count)
    ]
    return Catalogue.of(products, "written", 0)


def test_written_goals_are_split_at_500_and_1500_and_empty_ones_left_out() -> None:
    splits = human_goals(written(1600))
    assert {level: len(goals) for level, goals in splits.items()} == {
        "test": 500,
        "validation": 1000,
        "train": 100,
    }
    goal = splits["test"][0]
    assert re.fullmatch(
        r"i want shirt number \d+, and price lower than \d\d\.00 dollars", goal.text
    )
    assert goal.options == {"color": "navy", "size": "small"}
    assert goal.level == "test"
    assert human_goals(written(1600)) == splits


def test_written_goals_that_repeat_an_earlier_split_can_be_kept() -> None:
    same = [
        make_product(
            asin=f"B{number:06d}",
            instructions=(Instruction("i want a shirt", ("slim fit",), ()),),
        )
        for number in range(501)
    ]
    catalogue = Catalogue.of(same, "same", 0)
    assert len(human_goals(catalogue)["validation"]) == 0
    assert len(human_goals(catalogue, disjoint=False)["validation"]) == 1
