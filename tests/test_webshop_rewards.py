"""The text shop's reward: each part by hand, and the whole against a plain formula."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz
from webshop_samples import make_goal, make_product, small_catalogue

from envs.webshop.colours import BASE_COLOURS, normalize_colour
from envs.webshop.goals import ShoppingGoal, generate_goals
from envs.webshop.nouns import nouns
from envs.webshop.products import Product
from envs.webshop.rewards import (
    attributes_met,
    is_same_type,
    options_met,
    phrases_match,
    score_purchase,
    title_score,
    type_factor,
)

CHOSEN = {"color": "crimson", "size": "small"}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Acme Cotton Shirt", {"acme", "cotton", "shirt"}),
        ("The 2 Soft Blankets for Kids", {"blankets", "kids"}),
        ("Breathable and Waterproof Boots, 12 Pairs", {"boots", "pairs"}),
        ("Coffee Table - Gluten-Free", {"coffee", "table"}),
        ("7up 100% Very New", set()),
    ],
)
def test_nouns_are_what_is_no_number_function_word_or_adjective(
    title: str, expected: set[str]
) -> None:
    assert nouns(title) == expected


def test_the_title_score_is_the_share_of_the_wanted_nouns() -> None:
    # Wanted: acme, cotton, shirt. Bought: zeta, cotton, shirt, men.
    assert title_score("Acme Cotton Shirt", "Zeta Cotton Shirt for Men") == pytest.approx(2 / 3)
    # The other way round two of four are found.
    assert title_score("Zeta Cotton Shirt for Men", "Acme Cotton Shirt") == pytest.approx(2 / 4)
    assert title_score("Acme Cotton Shirt", "Walnut Desk") == 0.0
    assert title_score("Very New 100%", "Walnut Desk") == 0.2  # nothing to find


@pytest.mark.parametrize(
    ("match", "score", "expected"),
    [
        (True, 1.0, 1.0),
        (True, 0.1, 1.0),  # not below 0.1
        (False, 0.15, 0.5),
        (True, 0.05, 0.1),
        (False, 0.05, 0.1),
        (True, 0.0, 0.0),
        (False, 0.0, 0.0),
    ],
)
def test_the_type_factor_takes_its_steps(match: bool, score: float, expected: float) -> None:
    assert type_factor(match, score) == expected


def test_query_or_two_shared_categories_or_title_make_a_match() -> None:
    goal = make_goal()
    other = {"name": "Walnut Desk", "query": "desk", "category_path": ("Home", "Office", "Desk")}
    assert not is_same_type(goal, make_product(**other))
    assert is_same_type(goal, make_product(**(other | {"query": "polo shirt"})))
    assert is_same_type(goal, make_product(**(other | {"name": "Acme Desk"})))  # 1/3 > 0.2
    two, one = ("Polo Shirt", "Tops", "Sale"), ("Tops", "Sale")  # in any order
    assert is_same_type(goal, make_product(**(other | {"category_path": two})))
    assert not is_same_type(goal, make_product(**(other | {"category_path": one})))


def test_a_title_score_of_exactly_one_fifth_is_no_match() -> None:
    goal = make_goal(name="Shirt Collar Cuff Yoke Hem")
    other = make_product(name="Shirt", query="x", category_path=("A",))
    assert title_score(goal.name, other.name) == 0.2
    assert not is_same_type(goal, other)
    assert is_same_type(make_goal(name="Shirt Collar Cuff Yoke"), other)  # 1/4


def test_phrases_match_above_a_token_set_ratio_of_85() -> None:
    assert phrases_match("wash machine", "Machine-Wash!")  # same words: 100
    assert phrases_match("machine wash", "machine wash cold")  # words contained: 100
    # "color" and "colour": 2 * 5 / 11 = 91 %.
    assert phrases_match("color", "colour")
    # "slims" and "slit": s, l, i in common: 2 * 3 / 9 = 67 %.
    assert not phrases_match("slims", "slit")
    # Words shared: "easy"; best of easy / easy use: 8 / 12, easy use / easy clean: 13 / 18.
    assert not phrases_match("easy use", "easy clean")
    # "count 3" and "count 6" share six of seven letters: 12 / 14 = 86 %, just enough.
    assert phrases_match("3 count", "6 count")
    # 17 of 20 letters: 85 % is not above 85 %.
    assert fuzz.ratio("abcdefghijklmnopqrst", "abcdefghijklmnopqXYZ".lower()) == 85.0
    assert not phrases_match("abcdefghijklmnopqrst", "abcdefghijklmnopqxyz")
    assert not phrases_match("", "")


def test_attributes_are_met_by_attributes_or_else_by_the_texts() -> None:
    product = make_product()
    assert attributes_met(["slim fit", "wash machine"], product) == 2
    assert attributes_met(["breathable fabric"], product) == 1  # a bullet
    assert attributes_met(["warm days"], product) == 1  # the description
    assert attributes_met(["cotton shirt"], product) == 1  # the title
    assert attributes_met(["shirt cotton"], product) == 0  # texts are searched as they are
    assert attributes_met(["waterproof"], product) == 0
    assert attributes_met([], product) == 0


def test_options_are_met_by_chosen_values_with_colours_by_base_colour() -> None:
    assert options_met(["crimson", "small"], ["small", "crimson"]) == 2
    assert options_met(["red"], ["burgundy plaid"]) == 1
    assert options_met(["navy", "small"], ["crimson", "small"]) == 1
    assert options_met(["small"], []) == 0
    assert options_met([], ["small"]) == 0  # what nobody asked for counts nothing


def test_a_perfect_purchase_gives_1_and_every_lack_its_share() -> None:
    goal, shirt = make_goal(), make_product()
    assert score_purchase(goal, shirt, 25.0, CHOSEN).reward == 1.0
    # 2 attributes + 2 options + the price: five things were asked for.
    assert score_purchase(goal, shirt, 30.0, CHOSEN).price_met  # the limit itself is allowed
    assert score_purchase(goal, shirt, 30.01, CHOSEN).reward == pytest.approx(4 / 5)
    assert score_purchase(goal, shirt, 25.0, {"color": "navy"}).reward == pytest.approx(3 / 5)
    plain = make_product(attributes=("slim fit",))
    assert score_purchase(goal, plain, 25.0, CHOSEN).reward == pytest.approx(4 / 5)


def test_another_type_lowers_all_of_it() -> None:
    goal = make_goal(name="Acme Cotton Shirt Collar Cuff Yoke")  # six nouns
    desk = make_product(name="Acme Desk", query="desk", category_path=("Home",))
    score = score_purchase(goal, desk, 25.0, CHOSEN)
    # One noun of six is found: 0.17, no match, factor 0.5; all five things are met.
    assert (score.type_factor, score.type_match, score.reward) == (0.5, False, 0.5)
    sofa = make_product(name="Sofa", query="polo shirt")
    assert score_purchase(goal, sofa, 25.0, CHOSEN).reward == 0.0


def plain_reward(goal: ShoppingGoal, product: Product, price: float, chosen: list[str]) -> float:
    """The formula of the specification, written again from its table."""

    def same(one: str, other: str) -> bool:
        def clean(text: str) -> str:
            return re.sub(r"[\W_]+", " ", text.lower()).strip()

        return round(fuzz.token_set_ratio(clean(one), clean(other))) > 85

    wanted, bought = set(nouns(goal.name)), set(nouns(product.name))
    title = len(wanted & bought) / len(wanted) if wanted else 0.2
    shared = {node for node in goal.category_path if node in product.category_path}
    r_type = 1.0 if goal.query == product.query or len(shared) > 1 or title > 0.2 else 0.5
    if title < 0.1:
        r_type = 0.1
    if title == 0:
        r_type = 0.0
    n_att = 0
    for attribute in goal.attributes:
        found = [own for own in product.attributes if same(own, attribute)]
        text = [product.name, "\n".join(product.bullets), product.description]
        n_att += 1 if found or any(attribute in part.lower() for part in text) else 0
    n_opt = 0
    for option in goal.options.values():
        colour = normalize_colour(option)
        n_opt += 1 if [v for v in chosen if same(normalize_colour(v), colour)] else 0
    below = 1 if price <= goal.price_upper else 0
    total = len(goal.attributes) + len(goal.options) + 1
    return r_type * (n_att + n_opt + below) / total


GOALS = generate_goals(small_catalogue(), "train", 60) + generate_goals(
    small_catalogue(), "test", 40
)


@given(st.data())
def test_the_reward_equals_a_plain_formula_on_generated_products(data: st.DataObject) -> None:
    goal = data.draw(st.sampled_from(GOALS))
    alike = [product for product in small_catalogue().products if product.category == goal.kind]
    pool = data.draw(st.sampled_from([alike, list(small_catalogue().products)]))
    product = data.draw(st.sampled_from(pool))
    values = [value for own in product.options.values() for value in own]
    chosen = data.draw(st.lists(st.sampled_from([*values, *goal.options.values()]), max_size=4))
    price = data.draw(st.floats(1, 400))
    reward = score_purchase(goal, product, price, chosen).reward
    assert reward == plain_reward(goal, product, price, chosen)
    assert 0.0 <= reward <= 1.0


WORDS = st.sampled_from(
    [
        "red",
        "navy",
        "large",
        "x-large",
        "shirt",
        "desk",
        "lamp",
        "soft",
        "12",
        "wash",
        "fit",
        "slim",
    ]
)
PHRASES = st.lists(WORDS, max_size=4).map(" ".join)


@given(st.data())
def test_the_reward_equals_a_plain_formula_on_random_words(data: st.DataObject) -> None:
    def phrases(least: int = 0) -> tuple[str, ...]:
        return tuple(data.draw(st.lists(PHRASES, min_size=least, max_size=3)))

    product = make_product(
        name=data.draw(PHRASES),
        query=data.draw(WORDS),
        category_path=phrases(),
        description=data.draw(PHRASES),
        bullets=phrases(1),
        attributes=phrases(),
    )
    goal = make_goal(
        name=data.draw(PHRASES),
        query=data.draw(WORDS),
        category_path=phrases(),
        attributes=phrases(),
        options={str(number): value for number, value in enumerate(phrases())},
    )
    chosen = list(phrases())
    price = data.draw(st.sampled_from([29.99, 30.0, 30.01]))
    reward = score_purchase(goal, product, price, chosen).reward
    assert reward == plain_reward(goal, product, price, chosen)


def test_buying_the_very_product_with_the_wanted_options_gives_1() -> None:
    catalogue = small_catalogue()
    for goal in GOALS:
        place = catalogue.places[goal.asin.lower()]
        product, price = catalogue.products[place], catalogue.prices[place]
        assert score_purchase(goal, product, price, goal.options).reward == 1.0


def test_every_base_colour_is_its_own() -> None:
    assert all(BASE_COLOURS[base] == base for base in BASE_COLOURS.values())
