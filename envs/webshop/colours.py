"""Colour words and the base colours that they count as when options are compared.

The list is our own; the original's has other words, so single colour names can be judged otherwise.
Words that also name a flavour (lemon, chocolate, mint) are left out: every option is normalised.
"""

import re

_SHADES = {
    "black": "black jet ebony onyx obsidian raven",
    "white": "white snow ivory pearl alabaster eggshell chalk",
    "gray": "gray grey charcoal slate ash graphite smoke pewter gunmetal",
    "silver": "silver chrome platinum",
    "gold": "gold golden brass",
    "red": "red crimson scarlet ruby burgundy maroon brick garnet vermilion cardinal",
    "pink": "pink rose fuchsia magenta blush flamingo bubblegum",
    "orange": "orange coral amber rust terracotta copper bronze",
    "yellow": "yellow canary ochre sunflower",
    "green": "green emerald olive sage jade forest moss khaki fern army seafoam",
    "blue": "blue navy azure cobalt sapphire indigo denim cerulean royal sky",
    "turquoise": "turquoise teal aqua cyan aquamarine",
    "purple": "purple violet lavender lilac mauve orchid amethyst iris",
    "brown": "brown tan chestnut mahogany umber sienna tawny",
    "beige": "beige sand taupe nude ecru camel",
}
BASE_COLOURS = {word: base for base, words in _SHADES.items() for word in words.split()}


def normalize_colour(value: str) -> str:
    """The base colour of an option value that has a colour word, else the value in lower case.

    Base colours themselves win over shades ("sky blue", "rose gold"), and later words over earlier
    ones, because the last word of an English colour name is its head.
    """
    words = [word for word in re.findall(r"[a-z]+", value.lower()) if word in BASE_COLOURS]
    if not words:
        return value.lower()
    heads = [word for word in words if BASE_COLOURS[word] == word]
    return BASE_COLOURS[(heads or words)[-1]]
