"""The text shop's products: ids, prices, and the generated catalogue."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from webshop_samples import make_product, small_catalogue

from envs.webshop.colours import BASE_COLOURS, normalize_colour
from envs.webshop.departments import DEPARTMENTS
from envs.webshop.generation import generate_catalogue
from envs.webshop.products import Catalogue, draw_price
from envs.webshop.rewards import options_met
from envs.webshop.vocabulary import OPTION_VALUES


@pytest.mark.parametrize("asin", ["", "nan", "B0123456789"])
def test_a_bad_product_id_is_refused(asin: str) -> None:
    with pytest.raises(ValueError, match="Expected a product id of 1 to 10 characters"):
        make_product(asin=asin)


def test_duplicate_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="got duplicates"):
        Catalogue.of([make_product(), make_product()], "twice", seed=0)


def test_no_price_costs_100_and_one_price_costs_that() -> None:
    assert draw_price(make_product(pricing=()), seed=3) == 100.0
    assert draw_price(make_product(pricing=(7.5,)), seed=3) == 7.5


def test_a_price_range_is_drawn_uniformly_and_by_seed_and_id_alone() -> None:
    products = [make_product(asin=f"B{number:05d}", pricing=(10.0, 20.0)) for number in range(2000)]
    prices = [draw_price(product, seed=1) for product in products]
    assert min(prices) >= 10.0
    assert max(prices) <= 20.0
    # The mean of 2,000 uniform draws has a standard error of 10 / sqrt(12 * 2000) = 0.065.
    assert abs(np.mean(prices) - 15.0) < 0.26
    assert np.std(prices) == pytest.approx(10 / np.sqrt(12), rel=0.05)
    backwards = Catalogue.of(products[::-1], "backwards", seed=1)
    assert list(backwards.prices[::-1]) == prices
    assert draw_price(products[0], seed=2) != prices[0]


def test_price_tags_say_number_range_or_default() -> None:
    tags = [make_product(pricing=pricing).price_tag for pricing in ((), (5.0,), (5.0, 7.25))]
    assert tags == ["$100.00", "$5.00", "$5.00 to $7.25"]


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another() -> None:
    assert generate_catalogue(100, seed=4) == generate_catalogue(100, seed=4)
    assert generate_catalogue(100, seed=4).products != generate_catalogue(100, seed=5).products


def test_a_larger_catalogue_begins_with_the_smaller_one() -> None:
    assert generate_catalogue(150).products[:100] == generate_catalogue(100).products


def test_every_department_kind_and_form_of_price_is_for_sale() -> None:
    products = generate_catalogue(1500).products
    assert len({product.category for product in products}) == len(DEPARTMENTS) >= 20
    kinds = [
        kind for department in DEPARTMENTS for own in department.shelves.values() for kind in own
    ]
    assert len(kinds) == len(set(kinds)) == 144
    assert {product.query for product in products} == set(kinds)
    forms = Counter(len(product.pricing) for product in products)
    assert set(forms) == {0, 1, 2}
    assert forms[1] > forms[2] > forms[0]
    assert all(len(product.category_path) == 3 for product in products)
    assert all(product.query in product.name.lower() for product in products)
    assert all(3 <= len(set(product.attributes)) <= 6 for product in products)


def test_every_label_of_a_generated_product_is_lower_case_and_unique() -> None:
    for product in small_catalogue().products:
        values = [value for own in product.options.values() for value in own]
        assert len(values) == len(set(values))
        assert all(value == value.lower() for value in values)
        assert all(len(own) >= 2 for own in product.options.values())


def test_no_two_values_of_an_option_count_as_each_other() -> None:
    """Otherwise a shopper could choose wrongly and be rewarded."""
    for name, values in OPTION_VALUES.items():
        for one, other in combinations(values, 2):
            if name == "color" and normalize_colour(one) == normalize_colour(other):
                continue  # never in one product, see below
            assert options_met([one], [other]) == 0, (one, other)
    for product in small_catalogue().products:
        for own in product.options.values():
            assert not any(options_met([one], [other]) for one, other in combinations(own, 2))


def test_about_ninety_colour_words_have_a_base_colour() -> None:
    assert 85 <= len(BASE_COLOURS) <= 105
    assert set(BASE_COLOURS.values()) <= set(BASE_COLOURS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Crimson", "red"),
        ("navy", "blue"),
        ("rose gold", "gold"),  # a base colour wins over a shade
        ("black | white", "white"),  # the last base colour wins
        ("burgundy plaid", "red"),
        ("Size 10", "size 10"),
        ("tanned leather", "tanned leather"),  # whole words only
    ],
)
def test_colours_are_normalized_to_base_colours(value: str, expected: str) -> None:
    assert normalize_colour(value) == expected


def test_sizes_and_seeds_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected at least one product"):
        generate_catalogue(0)
    with pytest.raises(ValueError, match="Expected a seed of at least 0, got -1"):
        generate_catalogue(1, seed=-1)
