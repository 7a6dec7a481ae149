"""Training, validation and test sets that share no product.

The split is a function of the product's name and a seed alone: adding images or products never moves
an old product, and every machine agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cyclorama.data.records import Record
from cyclorama.errors import DataError, SettingsError
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


def assign_splits(
    records: Iterable[Record], seed: int = 0, fractions: Mapping[str, float] = DEFAULT_FRACTIONS
) -> list[Record]:
    """The records with ``split`` set by product; a record without ``product_id`` is its own product."""
    return [replace(r, split=assign_split(r.product_id or r.id, seed, fractions)) for r in records]


def check_splits(items: Iterable[tuple[str, str | None]]) -> None:
    """Nothing, if no product of ``items`` (product id, split) is in two splits.

    Raises DataError naming the first offending products and their splits.
    """
    splits: dict[str, set[str]] = {}
    for product_id, split in items:
        splits.setdefault(product_id, set()).add(split or "(none)")
    offending = sorted(name for name, found in splits.items() if len(found) > 1)
    if offending:
        first = "; ".join(f"{name!r} in {', '.join(sorted(splits[name]))}" for name in offending[:3])
        raise DataError(
            f"{len(offending)} of {len(splits)} products are in more than one split: {first}. "
            "Give all images of a product one split, or let assign_splits do it."
        )


def check_record_splits(records: Sequence[Record]) -> None:
    """Nothing, if no product and no image file of ``records`` is in two splits; else DataError."""
    check_splits((r.product_id or r.id, r.split) for r in records)
    check_splits((str(r.image), r.split) for r in records)
