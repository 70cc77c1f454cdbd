"""Loading files of the original's form: fields, cleaning, counts and errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from envs.webshop.goals import human_goals
from envs.webshop.original import catalogue_of, load_catalogue, parse_pricing
from envs.webshop.products import Catalogue, Instruction
from envs.webshop.shop import Session, Shop


def row(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "asin": "B01ABCDEF0",
        "name": "Acme Oak Desk",
        "query": " Standing Desk ",
        "category": "furniture",
        "product_category": "Home & Kitchen \u203a Furniture \u203a Desks",
        "full_description": "A desk.",
        "small_description": ["solid wood", "easy assembly"],
        "pricing": "$120.00",
        "customization_options": {
            "Color": [{"value": " Black/White ", "image": None}, {"value": "Oak"}],
            "Size": None,
        },
        "images": ["https://example.org/desk.jpg"],
        "brand": "Acme",  # fields that nobody reads are ignored
    }
    return fields | changes


ATTRIBUTES = {"B01ABCDEF0": {"attributes": ["Solid Wood", "height adjustable"]}}
WRITTEN = {
    "B01ABCDEF0": [
        {
            "instruction": "I want a solid wood desk in oak.",
            "instruction_attributes": ["solid wood"],
            "instruction_options": ["oak"],
        }
    ]
}
REVIEWS = [{"asin": "B01ABCDEF0", "reviews": [{"review": "It stands."}, {"stars": 3}]}]


def load(*rows: dict[str, Any], strict: bool = False) -> tuple[Catalogue, dict[str, int]]:
    return catalogue_of(rows, ATTRIBUTES, WRITTEN, REVIEWS, name="test", strict=strict)


def test_every_field_arrives() -> None:
    catalogue, dropped = load(row())
    (desk,) = catalogue.products
    assert dropped == {}
    assert (desk.asin, desk.name, desk.query) == ("B01ABCDEF0", "Acme Oak Desk", "standing desk")
    assert desk.category_path == ("Home & Kitchen", "Furniture", "Desks")
    assert desk.bullets == ("solid wood", "easy assembly")
    assert desk.options == {"color": ("black | white", "oak")}
    assert desk.attributes == ("solid wood", "height adjustable")
    assert desk.instructions == (
        Instruction("I want a solid wood desk in oak.", ("solid wood",), ("oak",)),
    )
    assert desk.reviews == ("It stands.", "")
    assert catalogue.prices == (120.0,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$10.99", (10.99,)),
        ("$1,299.00", (1299.0,)),
        ("$5.00$7.50", (5.0, 7.5)),
        ("$5.00 - $7.50", (5.0, 7.5)),
        ("$1.00$2.00$3.00", (1.0, 2.0)),
        ("", ()),
        (None, ()),
        ("currently unavailable", ()),
        ("$", ()),
    ],
)
def test_prices_are_read_from_text(text: str | None, expected: tuple[float, ...]) -> None:
    assert parse_pricing(text) == expected


def test_no_price_costs_100_and_a_range_is_drawn_from_the_seed() -> None:
    rows = [row(pricing=""), row(asin="B2", pricing="$10.00$20.00")]
    prices = load(*rows)[0].prices
    assert prices[0] == 100.0
    assert 10.0 < prices[1] < 20.0
    assert load(*rows[::-1])[0].prices == prices[::-1]


def test_a_single_bullet_and_no_bullet_are_accepted() -> None:
    rows = [row(small_description="one"), row(asin="B2", small_description=[])]
    assert [product.bullets for product in load(*rows)[0].products] == [("one",), ("",)]


def test_bad_and_repeated_ids_are_dropped_and_counted() -> None:
    rows = [row(), row(name="Again"), row(asin="nan"), row(asin="B0123456789")]
    catalogue, dropped = load(*rows)
    assert [product.name for product in catalogue.products] == ["Acme Oak Desk"]
    assert dropped == {"duplicate id": 1, "bad id": 2}


@pytest.mark.parametrize("field", ["asin", "name", "query", "product_category", "full_description"])
def test_a_missing_field_is_counted_or_named_with_its_product(field: str) -> None:
    broken = row(asin="B2") | {field: None}
    catalogue, dropped = load(row(), broken)
    assert len(catalogue) == 1
    assert dropped == {f"missing {field}": 1}
    who = "None" if field == "asin" else "B2"
    with pytest.raises(ValueError, match=rf"`{field}` in product {who} \(number 1\), got None"):
        load(row(), broken, strict=True)


def test_missing_options_images_and_attributes_are_empty() -> None:
    bare = {key: value for key, value in row(asin="B2").items() if key not in ("images", "pricing")}
    product = load(bare | {"customization_options": ""})[0].products[0]
    assert (product.options, product.images, product.attributes) == ({}, (), ())


def test_files_are_loaded_cut_and_shopped_in(tmp_path: Path) -> None:
    contents = {
        "items_shuffle.json": [row(), row(asin="B2", name="Acme Pine Shelf")],
        "items_ins_v2.json": ATTRIBUTES,
        "items_human_ins.json": WRITTEN,
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
    paths = [tmp_path / name for name in contents]
    assert len(load_catalogue(*paths)[0]) == 2
    catalogue, _ = load_catalogue(*paths, num_products=1, seed=3)
    assert (len(catalogue), catalogue.name) == (1, "items_shuffle.json products=1 seed=3")
    (goal,) = human_goals(catalogue)["test"]
    assert goal.text.startswith("I want a solid wood desk in oak, and price lower than 1")
    session = Session(Shop(catalogue), goal)
    for action in ("search[oak desk]", "click[b01abcdef0]", "click[oak]"):
        session.step(action)
    assert session.step("click[buy now]")[1] == 1.0


def test_files_in_the_wrong_order_or_form_are_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.json", tmp_path / "b.json"
    good.write_text(json.dumps(ATTRIBUTES), "utf-8")
    bad.write_text("{", "utf-8")
    with pytest.raises(ValueError, match=r"Expected a JSON list in .*a\.json, got dict"):
        load_catalogue(good, good)
    with pytest.raises(ValueError, match=r"Expected JSON in .*b\.json"):
        load_catalogue(bad, good)
