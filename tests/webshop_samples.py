"""A handful of products, goals and shops that the WebShop tests share."""

from functools import cache
from typing import Any

from envs.webshop.generation import generate_catalogue
from envs.webshop.goals import ShoppingGoal
from envs.webshop.products import Catalogue, Product
from envs.webshop.shop import Shop


def make_product(**changes: Any) -> Product:
    """A red or navy cotton shirt for 25 dollars; every field can be replaced."""
    fields: dict[str, Any] = {
        "asin": "B000000001",
        "name": "Acme Cotton Shirt",
        "query": "polo shirt",
        "category": "shirts",
        "category_path": ("Clothing", "Tops", "Polo Shirt"),
        "description": "A shirt for warm days.",
        "bullets": ("breathable fabric", "button closure"),
        "pricing": (25.0,),
        "options": {"color": ("crimson", "navy"), "size": ("small", "medium")},
        "attributes": ("machine wash", "slim fit"),
    }
    return Product(**(fields | changes))


def make_goal(**changes: Any) -> ShoppingGoal:
    """A goal that the shirt of `make_product` meets in full."""
    fields: dict[str, Any] = {
        "text": "i need a slim fit polo shirt",
        "level": "train",
        "kind": "shirts",
        "asin": "B000000001",
        "name": "Acme Cotton Shirt",
        "query": "polo shirt",
        "category_path": ("Clothing", "Tops", "Polo Shirt"),
        "attributes": ("slim fit", "machine wash"),
        "options": {"color": "crimson", "size": "small"},
        "price_upper": 30.0,
    }
    return ShoppingGoal(**(fields | changes))


def shirts(count: int) -> list[Product]:
    """`count` shirts that differ in their ids only."""
    return [make_product(asin=f"B{number:09d}") for number in range(count)]


def shop_of(*products: Product, **options: Any) -> Shop:
    """A shop that sells these products."""
    return Shop(Catalogue.of(products, "sample", seed=0), **options)


@cache
def small_catalogue() -> Catalogue:
    """600 generated products."""
    return generate_catalogue(600, seed=0)


@cache
def small_shop() -> Shop:
    """The shop of the 600 products."""
    return Shop(small_catalogue())
