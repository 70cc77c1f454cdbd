"""The text shop's search: what is indexed, the BM25 score, order and limits."""

import math

import numpy as np
import pytest
from webshop_samples import make_product, shirts, small_catalogue

from envs.webshop.products import Product
from envs.webshop.search import SearchIndex, search_text


def test_search_looks_at_title_description_first_bullet_and_options_only() -> None:
    text = search_text(make_product())
    assert text == (
        "acme cotton shirt a shirt for warm days. breathable fabric "
        "color crimson navy size small medium"
    )


def plain_product(asin: str, name: str) -> Product:
    return make_product(asin=asin, name=name, description="", bullets=("",), options={})


def test_scores_are_bm25_with_k1_of_0_9_and_b_of_0_4() -> None:
    names = ["lamp lamp desk", "lamp chair", "sofa", "rug mirror"]
    index = SearchIndex([plain_product(str(i), name) for i, name in enumerate(names)])
    # 4 products of 3, 2, 1 and 2 words, 2 on average; "lamp" is in 2 of them.
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    first = idf * 2 / (2 + 0.9 * (1 - 0.4 + 0.4 * 3 / 2))
    second = idf * 1 / (1 + 0.9 * (1 - 0.4 + 0.4 * 2 / 2))
    assert index.scores("lamp") == pytest.approx([first, second, 0, 0], rel=1e-5)
    assert index.search("lamp") == (0, 1)


def test_words_are_stemmed_and_stop_words_find_nothing() -> None:
    index = SearchIndex([plain_product("1", "running shoes"), plain_product("2", "oak table")])
    assert index.search("Shoe for the RUNNER run") == (0,)
    assert index.search("for the and") == ()
    assert index.search("zebra") == ()


def test_single_letters_and_digits_are_words() -> None:
    """They are sizes; the library leaves them out by default."""
    index = SearchIndex([plain_product("1", "boots 10"), plain_product("2", "boots 7 s")])
    assert index.search("7") == index.search("s") == (1,)


def test_equal_scores_come_in_catalogue_order_and_at_most_fifty() -> None:
    assert SearchIndex(shirts(70)).search("cotton shirt") == tuple(range(50))


def test_the_best_of_many_are_the_best_of_all() -> None:
    index = SearchIndex(small_catalogue().products)
    words = "slim fit cotton shirt navy"
    scores = index.scores(words)
    expected = sorted(np.flatnonzero(scores > 0), key=lambda place: (-scores[place], place))[:50]
    assert index.search(words) == tuple(expected)
    assert index.search(words) is index.search(words)  # remembered
    assert len(index.search(words, count=3)) == 3


def test_a_products_own_title_finds_it_first() -> None:
    index = SearchIndex(small_catalogue().products)
    found = [
        index.search(product.name)[0] == place
        for place, product in enumerate(small_catalogue().products)
    ]
    assert np.mean(found) > 0.95


def test_products_without_any_word_are_refused_and_one_among_others_is_not_found() -> None:
    empty = plain_product("1", "")
    assert SearchIndex([empty, plain_product("2", "oak desk")]).search("desk") == (1,)
    with pytest.raises(ValueError, match="Expected products with words to search, got none"):
        SearchIndex([empty])
