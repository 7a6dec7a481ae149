"""From a category to the texts the networks read (method: prompts and identifiers)."""

from __future__ import annotations

from dataclasses import dataclass

EMPTY_PROMPT = ""
GENERAL = "studio"
"""The category of products that have none of their own."""
PRODUCT_PROMPT = "A photo of {category}"
"""The product prompt as a template."""


@dataclass(frozen=True)
class Prompts:
    """The three texts of one category.

    ``product`` and ``background`` go to the category generator, ``full`` to the base and to the
    personality generator. The unconditional branch of guidance takes :data:`EMPTY_PROMPT` everywhere.
    """

    product: str
    background: str
    full: str


EMPTY_PROMPTS = Prompts(EMPTY_PROMPT, EMPTY_PROMPT, EMPTY_PROMPT)


def build_identifier(category_id: int) -> str:
    """The plain-text identifier ``sks {id}`` of a category (arXiv 2312.13309, 3.2).

    Raises ValueError for a negative id.
    """
    if category_id < 0:
        raise ValueError(f"category id must be 0 or more, got {category_id}")
    return f"sks {category_id}"


def build_prompts(category: str, identifier: str) -> Prompts:
    """Product, background and full prompt of ``category`` with its ``identifier``.

    >>> build_prompts("perfume", "sks 0").full
    'A photo of perfume, in the background of sks 0'
    """
    product = PRODUCT_PROMPT.replace("{category}", category)
    background = f"in the background of {identifier}"
    return Prompts(product, background, full=f"{product}, {background}")
