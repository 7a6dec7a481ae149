"""What is in a rendered set?  Counts by category, brand and split, and a page of samples to look over."""

from __future__ import annotations

import base64
import html
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from cyclorama.files import write_atomic
from cyclorama.scenes.compose import slug_of
from cyclorama.scenes.shards import read_items

STATISTICS_NAME = "statistics.json"
SHEET_NAME = "index.html"
PER_GROUP = 4
THUMBNAIL = 96
SHOWN_MEMBERS = ("product.png", "reference.png", "png")
MANY, FEW = 100, 10
"""Limits at which the paper describes its set's long tail (arXiv 2312.13309, section 4.2)."""

_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#222}td,th{padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}img{margin:1px;border-radius:3px}th{font-weight:600;white-space:nowrap}"
    "small{display:block;color:#666;font-weight:400}td div{white-space:nowrap}"
)


@dataclass
class SheetCell:
    """The items of one category and brand: how many, and the PNG images of the few that are shown."""

    count: int = 0
    shown: list[list[bytes]] = field(default_factory=list)


def _count(names: Iterable[str | None]) -> dict[str, int]:
    """How often each of ``names`` comes, in their order."""
    return dict(sorted(Counter(map(str, names)).items()))


def _describe(items: list[dict[str, str | None]]) -> dict[str, object]:
    """Counts over the metadata of some of the items."""
    products = {(data["category"], data["product_id"]) for data in items}
    return {
        "images": len(items),
        "images_per_category": _count(data["category"] for data in items),
        "images_per_brand": _count(data["brand"] or f"{data['category']}: unbranded" for data in items),
        "products_per_category": _count(category for category, _ in products),
    }


def write_summary(folder: Path) -> dict[str, object]:
    """Write ``statistics.json`` and ``index.html`` for the set in ``folder``; the statistics.

    Both depend on the shards alone.  An item counts as one image, also if it comes with a reference.
    """
    found: list[dict[str, str | None]] = []
    cells: dict[tuple[str, str], SheetCell] = {}
    for item in read_items(folder):
        data = item.metadata
        found.append(data)
        category = str(data["category"])
        brand = (data["brand"] or "unbranded").removeprefix(f"{slug_of(category)}-").replace("-", " ")
        cell = cells.setdefault((category, brand), SheetCell())
        cell.count += 1
        if len(cell.shown) < PER_GROUP:
            cell.shown.append([item.members[m] for m in SHOWN_MEMBERS if m in item.members])
    counts = _count(data["category"] for data in found).values()
    splits = _count(data["split"] for data in found)
    statistics: dict[str, object] = {
        **_describe(found),
        "images_per_split": splits,
        f"share_of_categories_above_{MANY}": compute_share([n > MANY for n in counts]),
        f"share_of_categories_below_{FEW}": compute_share([n < FEW for n in counts]),
        "per_split": {name: _describe([d for d in found if d["split"] == name]) for name in splits},
    }
    write_atomic(folder / STATISTICS_NAME, (json.dumps(statistics, indent=1) + "\n").encode())
    write_atomic(folder / SHEET_NAME, build_sheet(cells).encode())
    return statistics


def compute_share(holds: Sequence[bool]) -> float:
    """The share of true entries, rounded to four digits; 0 for none at all."""
    return round(sum(holds) / len(holds), 4) if holds else 0.0


def build_sheet(cells: dict[tuple[str, str], SheetCell]) -> str:
    """The page as HTML; the keys of ``cells`` are (category, brand)."""
    categories = sorted({category for category, _ in cells})
    brands = sorted({brand for _, brand in cells})
    heads = "".join(f"<th>{html.escape(brand)}</th>" for brand in brands)
    rows = []
    for category in categories:
        row = [cells.get((category, brand), SheetCell()) for brand in brands]
        number = sum(cell.count for cell in row)
        rows.append(
            f"<tr><th>{html.escape(category)}<small>{number}</small></th>"
            f"{''.join(_build_cell(cell) for cell in row)}</tr>"
        )
    total = sum(cell.count for cell in cells.values())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Rendered set</title><style>{_STYLE}'
        f"</style><h1>Rendered set: {total} images</h1><table><tr><th></th>{heads}</tr>"
        f"{''.join(rows)}</table></html>\n"
    )


def _build_cell(cell: SheetCell) -> str:
    groups = [
        "".join(f'<img alt="" src="{_encode_thumbnail(image)}">' for image in group) for group in cell.shown
    ]
    if all(len(group) == 1 for group in cell.shown):  # single images: two in a line
        groups = ["".join(groups[k : k + 2]) for k in range(0, len(groups), 2)]
    lines = "".join(f"<div>{group}</div>" for group in groups)
    return f"<td><small>{cell.count}</small>{lines}</td>"


def _encode_thumbnail(png: bytes) -> str:
    """A JPEG data address; transparent parts are shown on white."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    white = Image.new("RGBA", image.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
