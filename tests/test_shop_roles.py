"""Pages as requirements see them: marks, what answers stand for, searches of its own words."""

from webshop_samples import make_goal, make_product, shop_of

from envs.webshop.requirements import require
from envs.webshop.shop import Session
from imagination.shop_pages import BOUGHT, ITEM, OTHER, RESULTS, SEARCH, SUB_PAGE, view
from imagination.shop_roles import (
    RAW,
    ROLE_ACTIONS,
    ROLES,
    nearest_search,
    searches,
    situation,
    vocabulary,
)

SHIRT = require("cotton shirt", ("slim fit",), ("crimson", "small"), 30.0)


def _session() -> Session:
    products = (
        make_product(name="Acme Cotton Shirt"),
        make_product(asin="B000000002", name="Acme Shirt, Slim Fit"),
        make_product(asin="B000000003", name="Beta Cotton Shirt"),
        make_product(asin="B000000004", name="Gamma Cotton Shirt", pricing=(90.0,)),
    )
    return Session(shop_of(*products), make_goal())


def test_every_page_of_the_shop_is_known() -> None:
    session, kinds = _session(), []
    kinds.append(view(session.text()).kind)
    for action in (
        *("search[cotton shirt]", "click[b000000001]", "click[description]", "click[< prev]"),
        *("click[crimson]", "click[buy now]"),
    ):
        kinds.append(view(session.step(action)[0]).kind)
    assert kinds == [SEARCH, RESULTS, ITEM, SUB_PAGE, ITEM, ITEM, BOUGHT]
    assert view("a page of another shop").kind == OTHER


def test_an_item_page_tells_title_price_values_and_choices() -> None:
    session = _session()
    session.step("search[cotton shirt]")
    session.step("click[b000000001]")
    page = view(session.step("click[navy]")[0])
    assert (page.title, page.price_tag, page.chosen) == ("Acme Cotton Shirt", "$25.00", ("navy",))
    assert page.values == ("crimson", "navy", "small", "medium")


def test_results_that_look_alike_are_one_choice_and_the_first_stands_for_them() -> None:
    session = _session()
    text, _, _ = session.step("search[cotton shirt]")
    shown = [result.asin.lower() for result in view(text).results]
    seen = situation(SHIRT, "goal", text, ROLES)
    alike = [asin for asin in shown if asin in ("b000000001", "b000000003")]
    answer = seen.answer(f"click[{alike[1]}]")
    assert answer is not None
    assert seen.actions[answer] == tuple(f"click[{asin}]" for asin in alike)
    assert f"{answer} product all features 0 of 1 price ok" in seen.text
    assert "product some features 1 of 1 price ok" in seen.text
    assert "product all features 0 of 1 price over" in seen.text


def test_options_are_wanted_until_they_are_chosen() -> None:
    session = _session()
    session.step("search[cotton shirt]")
    before = situation(SHIRT, "goal", session.step("click[b000000001]")[0], ROLES)
    assert before.actions["wanted"] == ("click[crimson]", "click[small]")
    assert before.actions["other"] == ("click[navy]", "click[medium]")
    assert "options 2 chosen 0 open 2 missing 0" in before.text
    after = situation(SHIRT, "goal", session.step("click[crimson]")[0], ROLES)
    assert after.actions["wanted"] == ("click[small]",)
    assert "options 2 chosen 1 open 1 missing 0" in after.text
    assert after.answer("click[crimson]") is None  # it is chosen already


def test_every_answer_is_an_action_of_the_page_and_a_known_word() -> None:
    session = _session()
    for action in ("", "search[shirt]", "click[b000000001]", "click[features]"):
        if action:
            session.step(action)
        seen = situation(SHIRT, "goal", session.text(), ROLES)
        assert set(seen.actions) <= set(ROLE_ACTIONS)
        legal = set(session.valid_actions())
        for own in seen.actions.values():
            assert all(one in legal or one.startswith("search[") for one in own)


def test_searches_are_made_of_the_requirements_own_words() -> None:
    assert searches(SHIRT)["everything"] == "cotton shirt slim fit crimson small"
    assert searches(require("hat")) == {"product": "hat"}
    assert nearest_search(SHIRT, "cotton shirt slim") == "features"
    assert nearest_search(SHIRT, "garden hose") is None


def test_the_raw_form_tells_instruction_and_page_and_offers_its_actions() -> None:
    session = _session()
    first = situation(SHIRT, "a slim fit shirt", session.text(), RAW)
    assert first.text.startswith("Instruction: a slim fit shirt [SEP] WebShop")
    assert "search[cotton shirt]" in first.actions
    text, _, _ = session.step("search[cotton shirt]")
    found = situation(SHIRT, "a slim fit shirt", text, RAW)
    assert set(found.actions) == set(session.valid_actions())
    assert all(own == (action,) for action, own in found.actions.items())


def test_the_vocabulary_holds_every_word_of_the_roles() -> None:
    known = {word for text in vocabulary() for word in text.split()}
    session = _session()
    for action in ("", "search[shirt]", "click[b000000001]", "click[features]"):
        if action:
            session.step(action)
        assert set(situation(SHIRT, "goal", session.text(), ROLES).text.split()) <= known | {"-"}
