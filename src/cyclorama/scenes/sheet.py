"""How is a set looked over?  One page with a row for each category and a column for each brand."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass, field

from PIL import Image

THUMBNAIL = 96

_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#222}td,th{padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}img{margin:1px;border-radius:3px}th{font-weight:600;white-space:nowrap}"
    "small{display:block;color:#666;font-weight:400}td div{white-space:nowrap}"
)


@dataclass
class Cell:
    """The items of one category and brand: how many, and the PNG images of the few that are shown."""

    count: int = 0
    shown: list[list[bytes]] = field(default_factory=list)


def build_sheet(cells: dict[tuple[str, str], Cell]) -> str:
    """The page as HTML; the keys of ``cells`` are (category, brand)."""
    categories = sorted({category for category, _ in cells})
    brands = sorted({brand for _, brand in cells})
    heads = "".join(f"<th>{html.escape(brand)}</th>" for brand in brands)
    rows = []
    for category in categories:
        row = [cells.get((category, brand), Cell()) for brand in brands]
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


def _build_cell(cell: Cell) -> str:
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
