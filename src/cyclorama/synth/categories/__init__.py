"""Which categories are there?  One module each; a new category is a new module and a line here."""

from cyclorama.synth.categories import (
    cabinet,
    coffee,
    fruit,
    juice_carton,
    laptop,
    perfume,
    sauce,
    shampoo,
    whisky,
)
from cyclorama.synth.family import Category

CATEGORIES: tuple[Category, ...] = (
    perfume.CATEGORY,
    shampoo.CATEGORY,
    whisky.CATEGORY,
    sauce.CATEGORY,
    coffee.CATEGORY,
    juice_carton.CATEGORY,
    fruit.CATEGORY,
    cabinet.CATEGORY,
    laptop.CATEGORY,
)
"""All categories in the order in which items cycle through them."""

__all__ = ["CATEGORIES"]
