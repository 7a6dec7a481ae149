"""Training, validation and test sets that share no product.

The split is a function of the product's name and a seed alone: adding images or products never moves
an old product, and every machine agrees.
"""

from __future__ import annotations

from collections.abc import Mapping

from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED, compute_seed

DEFAULT_FRACTIONS = {"train": 0.9, "validation": 0.05, "test": 0.05}


def assign_split(product_id: str, seed: int = 0, fractions: Mapping[str, float] = DEFAULT_FRACTIONS) -> str:
    """The split of a product: ``fractions`` of all products, in the order of the mapping.

    Raises SettingsError if the fractions are not positive or do not sum to 1.
    """
    total = sum(fractions.values())
    if not fractions or min(fractions.values()) < 0 or abs(total - 1) > 1e-6:
        raise SettingsError(f"split fractions {dict(fractions)} must be >= 0 and sum to 1, not {total:g}")
    point = compute_seed(seed, product_id, "split") / (MAX_SEED + 1)
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if point < bound:
            return name
    return [name for name, fraction in fractions.items() if fraction > 0][-1]
