"""Instructions as requirements: what is read, what is refused, and what pages are worth by it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webshop_samples import make_goal, make_product, shop_of, small_catalogue

from envs.webshop.goals import generate_goals
from envs.webshop.knowledge import is_held_out, knowledge, lexicon
from envs.webshop.requirements import (
    UNCLEAR,
    Requirement,
    is_copied,
    parse_requirement,
    require,
    requirement_question,
)
from envs.webshop.shop import Session
from envs.webshop.wordings import WORDINGS
from imagination.purchases import Play, PurchaseTable, find_purchases
from imagination.readers import NO_PROGRAM, ProgramReader, TextModelGoals
from imagination.requirements import SHOP, Offer, estimate, parse_reading, price_mark
from kalm.pretrained import load_backbone
from kalm.primer import PrimerConfig, build_base_model
from kalm.text_model import TextModel

SHIRT = require("polo shirt", ("slim fit", "machine wash"), ("crimson", "small"), 30.0)


def test_a_requirement_reads_back_in_the_order_of_mention() -> None:
    text = "feature: bpa free | product: marble run | option: navy | price: 49.50"
    found = parse_requirement(text)
    assert found is not None
    assert (found.product, found.features) == ("marble run", ("bpa free",))
    assert (found.options, found.price) == (("navy",), 49.5)
    assert found.text() == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            UNCLEAR,
            "feature: soft",
            "product: hat | product: cap",
            "product: hat | size: small",
        ),
        *("product: hat | price: cheap", "product: hat | price: 5 | price: 6", "product: "),
    ],
)
def test_what_is_no_requirement_is_not_understood(text: str) -> None:
    assert parse_requirement(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    found = parse_requirement(text)
    assert found is None or isinstance(found, Requirement)


def test_what_is_not_in_the_instructions_own_words_is_not_believed() -> None:
    said = "i need a slim fit polo shirt, color: navy, under 30.00 dollars"
    assert is_copied(require("polo shirt", ("slim fit",), ("navy",), 30.0), said)
    for wrong in (
        require("shirt dress"),
        require("polo shirt", ("slim",), ("crimson",)),
        require("polo shirt", price=40.0),
    ):
        assert not is_copied(wrong, said)
    assert parse_reading(said, "product: shirt dress") is None


def test_marks_stand_apart_from_words_in_the_question() -> None:
    asked = requirement_question("Find  a hat; under $50.")
    assert asked == "What does this ask for: find a hat ; under $ 50 Answer:"


def test_knowledge_holds_no_wording_of_the_test_goals() -> None:
    for goal in generate_goals(small_catalogue(), "test", 60):
        assert is_held_out(goal.text)
    ends = [frame.split("}")[-1] for frame in WORDINGS["test"].prices]
    for question, _ in knowledge(3_000, np.random.default_rng(0)):
        assert not is_held_out(question)
        assert not ("do not spend above" in question and ends[0] in question)
        assert "my budget ends at" not in question
        assert "and insists on" not in question


def test_knowledge_answers_repeat_the_question_and_hold_invented_words() -> None:
    pairs = knowledge(400, np.random.default_rng(1))
    read = [(question, parse_requirement(answer)) for question, answer in pairs]
    assert sum(found is None for _, found in read) == sum(a == UNCLEAR for _, a in pairs) > 0
    assert all(found is None or is_copied(found, question) for question, found in read)
    products = [found.product for _, found in read if found is not None]
    invented = sum(product not in lexicon().products for product in products)
    assert 0.1 < invented / len(products) < 0.3  # a fifth, by design


def test_estimates_follow_the_formula_by_hand() -> None:
    # 2 features + 2 options + price = 5 parts. Title: polo and shirt, slim fit; chosen: crimson.
    offer = Offer("Acme Slim Fit Polo Shirt", "$25.00", chosen=("crimson",))
    found = estimate(SHIRT, offer)
    assert (found.product, found.features, found.options, found.price) == ("all", 1, 1, "ok")
    assert found.reward == pytest.approx(3 / 5)
    # A visited attributes page tells the other feature; half is lost for "shirt" without "polo".
    told = Offer("Acme Slim Fit Shirt", "$25.00", attributes=("machine wash",))
    assert estimate(SHIRT, told).reward == pytest.approx(0.5 * 3 / 5)
    assert estimate(SHIRT, Offer("Lamp", "$5.00")).reward == 0.0


@pytest.mark.parametrize(
    ("tag", "mark"),
    [("$30.00", "ok"), ("$30.01", "over"), ("$25.00 to $35.00", "unsure"), ("$1,000.00", "over")],
)
def test_price_tags_keep_to_a_limit_of_30_or_not(tag: str, mark: str) -> None:
    assert price_mark(SHIRT, tag) == mark
    assert price_mark(require("polo shirt"), tag) == "ok"


def _bought(visits: tuple[str, ...]) -> Play:
    """A play in a shop of one shirt: search, open it, visit sub-pages, choose crimson, buy."""
    session = Session(shop_of(make_product()), make_goal())
    pages, actions = [session.text()], []
    clicks = [step for visit in visits for step in (f"click[{visit}]", "click[< prev]")]
    for action in (
        *("search[shirt]", "click[b000000001]", *clicks, "click[crimson]", "click[buy now]"),
    ):
        pages.append(session.step(action)[0])
        actions.append(action)
    return Play(tuple(pages), tuple(actions))


def test_what_any_play_visits_is_known_of_every_purchase_of_that_product() -> None:
    purchases = find_purchases([_bought(()), _bought(("attributes", "description"))])
    for purchase in purchases:
        assert purchase.asin == "b000000001"
        assert purchase.keywords == "shirt"
        assert purchase.offer.chosen == ("crimson",)
        assert "slim fit" in purchase.offer.attributes
        assert "a shirt for warm days." in purchase.offer.texts


def test_the_table_of_purchases_equals_single_estimates() -> None:
    purchases = find_purchases([_bought(()), _bought(("attributes",))])
    table = PurchaseTable(purchases)
    for requirement in (SHIRT, require("cotton shirt"), require("lamp", ("soft",), (), 3.0)):
        singles = [estimate(requirement, purchase.offer).reward for purchase in purchases]
        np.testing.assert_allclose(table.rewards(requirement), singles)


def test_a_play_without_a_purchase_is_none() -> None:
    play = _bought(())
    assert find_purchases([Play(play.pages[:-1], play.actions[:-1])]) == []


def test_a_model_reads_what_it_was_taught_and_nonsense_is_counted(tmp_path: Path) -> None:
    learned = {
        "i need a soft hat": "feature: soft | product: hat",
        "get me some hat, under 20 dollars": "product: hat | price: 20",
        "how are you": UNCLEAR,
    }
    pairs = [(requirement_question(said), meant) for said, meant in learned.items()]
    folder = tmp_path / "base"
    config = PrimerConfig(hidden=64, layers=2, heads=2, epochs=120, batch_tokens=256, bf16=False)
    build_base_model(folder, pairs, [], config)
    model = TextModel(*load_backbone(str(folder))).eval()
    found = ProgramReader(TextModelGoals(model, SHOP)).read([*learned, "how are you"])
    assert found.programs["i need a soft hat"] == parse_requirement(learned["i need a soft hat"])
    assert found.programs["get me some hat, under 20 dollars"].price == 20.0
    assert found.abstained == {"how are you": f"{NO_PROGRAM}: {UNCLEAR}"}
    assert found.numbers()["duplicate_texts"] == 1
    assert found.calls == 3
