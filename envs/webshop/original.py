"""Loading the original's data files: products, their hidden attributes, what people wrote, reviews.

The files are those that the original's set-up script fetches, small (1,000 products) or full; their
field names and cleaning rules are the reference implementation's:

* products, a list: `asin`, `name`, `query`, `category`, `product_category` (nodes separated by
  "›"), `full_description`, `small_description` (a list of bullets, or one), `pricing` ("$1.00", or
  "$1.00$2.00" for a range, or nothing), `customization_options` ({name: [{"value": ...}]}, or
  nothing), `images`;
* attributes, by product id: {"attributes": [...]};
* instructions, by product id: [{"instruction", "instruction_attributes", "instruction_options"}];
* reviews, a list: {"asin", "reviews": [{"review": ...}]}.

Products with a bad or a repeated id are dropped. A product that lacks a field is dropped as well,
or is an error when asked for; all are counted. It departs from the original in two points: a
product without hidden attributes has none instead of a dummy one, and prices are drawn from a seed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envs.webshop.products import Catalogue, Instruction, Product

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "asin": str,
    "name": str,
    "query": str,
    "category": str,
    "product_category": str,
    "full_description": str,
    "small_description": (list, str),
}
_NODE_SEPARATOR = "\u203a"  # a single angle quotation mark


def load_catalogue(
    products: str | Path,
    attributes: str | Path,
    instructions: str | Path | None = None,
    reviews: str | Path | None = None,
    *,
    num_products: int | None = None,
    seed: int = 0,
    strict: bool = False,
) -> tuple[Catalogue, dict[str, int]]:
    """The catalogue of the files, and how many products were dropped for each reason.

    Args:
        products: items_shuffle.json or items_shuffle_1000.json.
        attributes: items_ins_v2.json or items_ins_v2_1000.json.
        instructions: items_human_ins.json.
        reviews: reviews.json.
        num_products: use this many products from the beginning of the file.
        seed: of the prices that are drawn from a range.
        strict: a product that lacks a field is an error and not dropped.

    Raises:
        ValueError: a file is not of the expected form, no product is left, or, if strict, a
            product lacks a field.
    """
    rows = _read(products, list)
    catalogue, dropped = catalogue_of(
        rows[:num_products],
        _read(attributes, dict),
        {} if instructions is None else _read(instructions, dict),
        [] if reviews is None else _read(reviews, list),
        name=f"{Path(products).name} products={num_products or len(rows)} seed={seed}",
        seed=seed,
        strict=strict,
    )
    return catalogue, dropped


def catalogue_of(
    rows: Iterable[Mapping[str, Any]],
    attributes: Mapping[str, Mapping[str, Any]],
    instructions: Mapping[str, list[Mapping[str, Any]]],
    reviews: Iterable[Mapping[str, Any]],
    *,
    name: str,
    seed: int = 0,
    strict: bool = False,
) -> tuple[Catalogue, dict[str, int]]:
    """The catalogue of the files' content, and how many products were dropped for each reason."""
    review_lists = {str(entry.get("asin")): entry.get("reviews") or [] for entry in reviews}
    found: dict[str, Product] = {}
    dropped: Counter[str] = Counter()
    for number, row in enumerate(rows):
        asin = str(row.get("asin"))
        if problem := _problem(row):
            if strict:
                raise ValueError(
                    f"Expected field `{problem}` in product {asin} (number {number}), got "
                    f"{row.get(problem)!r}. Correct the file, or load it with strict=False."
                )
            dropped[f"missing {problem}"] += 1
        elif not asin or asin == "nan" or len(asin) > 10:
            dropped["bad id"] += 1
        elif asin.lower() in found:
            dropped["duplicate id"] += 1
        else:
            product = _product(
                row,
                attributes.get(asin, {}),
                instructions.get(asin, []),
                review_lists.get(asin, []),
            )
            found[asin.lower()] = product
    return Catalogue.of(list(found.values()), name, seed), dict(dropped)


def parse_pricing(text: str | None) -> tuple[float, ...]:
    """The prices of a text such as "$1,299.00" or "$5.00 - $7.50": none, one or two, in dollars."""
    parts = (re.sub(r"[^\d.]", "", part) for part in (text or "").split("$")[1:])
    prices = [float(part.strip(".")) for part in parts if re.search(r"\d", part)]
    return tuple(prices[:2])


def _problem(row: Mapping[str, Any]) -> str | None:
    """The first required field that is missing or of another type."""
    for field, kind in _REQUIRED.items():
        if not isinstance(row.get(field), kind):
            return field
    return None


def _product(
    row: Mapping[str, Any],
    attributes: Mapping[str, Any],
    instructions: Iterable[Mapping[str, Any]],
    reviews: Iterable[Mapping[str, Any]],
) -> Product:
    bullets = row["small_description"]
    bullets = [bullets] if isinstance(bullets, str) else [str(bullet) for bullet in bullets]
    return Product(
        asin=row["asin"],
        name=row["name"],
        query=row["query"].lower().strip(),
        category=row["category"],
        category_path=_path(row["product_category"]),
        description=row["full_description"],
        bullets=tuple(bullets) or ("",),
        pricing=parse_pricing(row.get("pricing")),
        options=_options(row.get("customization_options")),
        images=tuple(str(image) for image in row.get("images") or ()),
        attributes=_lower(attributes.get("attributes")),
        instructions=tuple(_instruction(entry) for entry in instructions),
        reviews=tuple(str(entry.get("review") or "") for entry in reviews),
    )


def _path(text: str) -> tuple[str, ...]:
    return tuple(node.strip() for node in text.split(_NODE_SEPARATOR))


def _options(groups: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Option values by name, lower case; a slash becomes a bar, as in the original."""
    options = {}
    for name, contents in (groups or {}).items():
        if contents:
            values = (str(content["value"]).strip().replace("/", " | ") for content in contents)
            options[name.lower()] = tuple(value.lower() for value in values if value)
    return options


def _instruction(entry: Mapping[str, Any]) -> Instruction:
    return Instruction(
        str(entry.get("instruction", "")),
        _lower(entry.get("instruction_attributes")),
        _lower(entry.get("instruction_options")),
    )


def _lower(values: Any) -> tuple[str, ...]:
    """Texts of a list, or the values of a mapping, in lower case."""
    if isinstance(values, Mapping):
        values = values.values()
    return tuple(str(value).lower() for value in values or ())


def _read(path: str | Path, kind: type) -> Any:
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"Expected JSON in {path}, got an error: {error}. Fetch it again."
        ) from error
    if not isinstance(content, kind):
        raise ValueError(
            f"Expected a JSON {kind.__name__} in {path}, got {type(content).__name__}. "
            "Check that the files are given in the order products, attributes, instructions."
        )
    return content
