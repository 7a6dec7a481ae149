"""What is in a rendered set?  Counts by category, brand and split, and what the contact sheet shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cyclorama.files import write_atomic
from cyclorama.scenes.compose import slug_of
from cyclorama.scenes.shards import read_items
from cyclorama.scenes.sheet import Cell, build_sheet

STATISTICS_NAME = "statistics.json"
SHEET_NAME = "index.html"
PER_GROUP = 4
SHOWN_MEMBERS = ("product.png", "reference.png", "png")
MANY, FEW = 100, 10
"""Limits at which the paper describes its set's long tail (arXiv 2312.13309, section 4.2)."""


@dataclass
class _Tally:
    """Counts over some of the items."""

    categories: Counter[str] = field(default_factory=Counter)
    brands: Counter[str] = field(default_factory=Counter)
    products: dict[str, set[str]] = field(default_factory=dict)

    def add(self, metadata: dict[str, str | None]) -> None:
        category = str(metadata["category"])
        self.categories[category] += 1
        self.brands[metadata["brand"] or f"{category}: unbranded"] += 1
        self.products.setdefault(category, set()).add(str(metadata["product_id"]))

    def as_dict(self) -> dict[str, object]:
        return {
            "images": self.categories.total(),
            "images_per_category": dict(sorted(self.categories.items())),
            "images_per_brand": dict(sorted(self.brands.items())),
            "products_per_category": {k: len(v) for k, v in sorted(self.products.items())},
        }


def write_summary(folder: Path) -> dict[str, object]:
    """Write ``statistics.json`` and ``index.html`` for the set in ``folder``; the statistics.

    Both depend on the shards alone.  An item counts as one image, also if it comes with a reference.
    """
    total = _Tally()
    splits: dict[str, _Tally] = {}
    cells: dict[tuple[str, str], Cell] = {}
    for item in read_items(folder):
        data = item.metadata
        total.add(data)
        splits.setdefault(str(data["split"]), _Tally()).add(data)
        cell = cells.setdefault((str(data["category"]), _name_column(data)), Cell())
        cell.count += 1
        if len(cell.shown) < PER_GROUP:
            cell.shown.append([item.members[m] for m in SHOWN_MEMBERS if m in item.members])
    counts = list(total.categories.values())
    statistics: dict[str, object] = {
        **total.as_dict(),
        "images_per_split": {name: tally.categories.total() for name, tally in sorted(splits.items())},
        f"share_of_categories_above_{MANY}": compute_share([n > MANY for n in counts]),
        f"share_of_categories_below_{FEW}": compute_share([n < FEW for n in counts]),
        "per_split": {name: tally.as_dict() for name, tally in sorted(splits.items())},
    }
    write_atomic(folder / STATISTICS_NAME, (json.dumps(statistics, indent=1) + "\n").encode())
    write_atomic(folder / SHEET_NAME, build_sheet(cells).encode())
    return statistics


def _name_column(metadata: dict[str, str | None]) -> str:
    """The brand's name without its category, or "unbranded"."""
    brand = metadata["brand"]
    if brand is None:
        return "unbranded"
    return brand.removeprefix(f"{slug_of(str(metadata['category']))}-").replace("-", " ")


def compute_share(holds: Sequence[bool]) -> float:
    """The share of true entries, rounded to four digits; 0 for none at all."""
    return round(sum(holds) / len(holds), 4) if holds else 0.0
