"""Which categories are there?  One YAML file each in ``categories``, read when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cyclorama.errors import SettingsError
from cyclorama.scenes.family import Category
from cyclorama.scenes.grammar.reader import read_category

FOLDER = Path(__file__).with_name("categories")

NAMES: tuple[str, ...] = (
    "perfume",
    "skincare bottle",
    "cream jar",
    "lipstick",
    "shampoo",
    "hand cream",
    "laptop",
    "phone",
    "speaker",
    "camera",
    "game console",
    "suitcase",
    "rice cooker",
    "kettle",
    "refrigerator",
    "washing machine",
    "armchair",
    "cabinet",
    "table lamp",
    "whisky",
    "sauce",
    "drink can",
    "juice carton",
    "milk carton",
    "coffee",
    "mug",
    "fruit",
)
"""All categories in the order in which items cycle through them."""


def check_name(name: str) -> None:
    """Raise SettingsError for a name that the set does not have."""
    if name not in NAMES:
        raise SettingsError(f"no category {name!r} in the rendered set; known: {', '.join(NAMES)}")


@cache
def load_category(name: str) -> Category:
    """The category called ``name``.

    Raises:
        SettingsError: for a name that the set does not have.
    """
    check_name(name)
    return read_category(FOLDER / f"{name.replace(' ', '_')}.yaml")


def load_categories(names: Sequence[str] = NAMES) -> tuple[Category, ...]:
    """The categories called ``names``, in that order."""
    return tuple(load_category(name) for name in names)
