"""The demo: product cut-outs with two references each, listed in ``demo.json``, and their sheet.

The sheet shows product, result without a reference, and each reference beside what it led to; where the true
image in a reference's style is known, it stands beside the result.

::

    demo.json      {"version": 1, "entries": [
                     {"product": "products/perfume/01.png", "category": "perfume",
                      "references": [
                        {"image": "references/perfume-a.png", "mask": "references/perfume-a-mask.png"},
                        {"image": "references/perfume-b.png", "mask": null,
                         "truth": "truth/perfume-b.png"}]}]}
    products/      RGBA images
    references/    images, and where known the mask of their own product (white = product)
    truth/         where known, the rendered image of the product in its reference's scene; only shown
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.files import write_atomic
from cyclorama.generation.items import Item
from cyclorama.generation.sheet import (
    SHEET_NAME,
    THUMBS,
    Cell,
    SheetRow,
    build_sheet,
    encode_overview,
    name_thumbnails,
    write_thumbnail,
)
from cyclorama.imaging.loading import load_image

FILE_NAME = "demo.json"
LETTERS = ("a", "b")


@dataclass(frozen=True)
class DemoReference:
    """A reference image and, where known, the mask of its own product and the true image in its style."""

    image: Path
    mask: Path | None = None
    truth: Path | None = None


@dataclass(frozen=True)
class DemoEntry:
    """A product cut-out, its category and the two references it is shown with."""

    name: str
    """Path of the product below ``products/``."""
    product: Path
    category: str
    references: tuple[DemoReference, ...]


def get_demo_folder() -> Path:
    """The folder of the demo's images inside the package."""
    return Path(__file__).resolve().parent.parent / "weights" / "demo"


def load_demo(folder: str | Path) -> list[DemoEntry]:
    """The entries of ``folder``'s listing, in its order.

    Raises ModelNotFoundError (no listing), ModelFormatError (not of this form, a listed file is missing).
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    if not path.is_file():
        raise ModelNotFoundError(f"no demo images in {folder} ({FILE_NAME} is missing); reinstall cyclorama")
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["entries"]
        entries = [_parse_entry(folder, values) for values in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFormatError(f"{path} is not a demo listing: {type(error).__name__} {error}") from error
    if not entries:
        raise ModelFormatError(f"{path} lists no products")
    return entries


def _parse_entry(folder: Path, values: dict[str, Any]) -> DemoEntry:
    product = PurePosixPath(values["product"])
    inside = product.relative_to("products") if product.parts[:1] == ("products",) else product
    references = tuple(
        DemoReference(
            _find(folder, r["image"]),
            *(_find(folder, r[name]) if r.get(name) else None for name in ("mask", "truth")),
        )
        for r in values["references"]
    )
    if len(references) != len(LETTERS):
        raise ModelFormatError(
            f"{folder / FILE_NAME}: {product} has {len(references)} references, the demo shows 2"
        )
    return DemoEntry(inside.as_posix(), _find(folder, str(product)), str(values["category"]), references)


def _find(folder: Path, name: str) -> Path:
    path = (folder / name).absolute()
    if not path.is_file():
        raise ModelFormatError(f"{folder / FILE_NAME} lists {name}, which is missing; reinstall cyclorama")
    return path


def build_demo_items(entries: list[DemoEntry]) -> list[Item]:
    """Three items per entry, in order: without a reference, with the first, with the second.

    All three bear the product's name, so they start from the same noise and only the reference differs.
    """
    items = []
    for entry in entries:
        items.append(Item(entry.name, str(entry.product), category=entry.category, folder="no-reference"))
        for letter, reference in zip(LETTERS, entry.references, strict=True):
            items.append(
                Item(
                    entry.name,
                    str(entry.product),
                    category=entry.category,
                    reference=str(reference.image),
                    reference_mask=None if reference.mask is None else str(reference.mask),
                    folder=f"reference-{letter}",
                )
            )
    return items


OVERVIEW_NAME = "sheet.png"
LABELS = (
    "product",
    "no reference",
    "reference A",
    "result A",
    "truth A",
    "reference B",
    "result B",
    "truth B",
)
_PER_ENTRY = 1 + len(LETTERS)
_TRUTHS = (4, 7)


def write_demo_report(
    out: Path, entries: Sequence[DemoEntry], rows: Sequence[dict[str, Any]], summary: Sequence[str]
) -> None:
    """Write ``index.html`` and ``sheet.png`` from the run's ``rows``, three per entry. Raises OutputError."""
    sheet: list[SheetRow] = []
    overview: list[list[Path | None]] = []
    for number, entry in enumerate(entries):
        ours = rows[number * _PER_ENTRY : (number + 1) * _PER_ENTRY]
        cells = _build_cells(out, entry, ours)
        sheet.append(SheetRow(entry.name, entry.category, tuple(cell for cell in cells if cell is not None)))
        overview.append([None if cell is None else out / cell.thumbnail for cell in cells])
    failed = [row | {"name": row["stem"]} for row in rows if row["status"] == "failed"]
    page = build_sheet("Cyclorama demo", summary, sheet, failed)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", errors="backslashreplace"))
    shown = [i for i in range(len(LABELS)) if i not in _TRUTHS or any(row[i] for row in overview)]
    chosen = [[row[i] for i in shown] for row in overview]
    write_atomic(out / OVERVIEW_NAME, encode_overview(chosen, [LABELS[i] for i in shown]))


def _build_cells(out: Path, entry: DemoEntry, rows: Sequence[dict[str, Any]]) -> list[Cell | None]:
    """Eight cells in the order of :data:`LABELS`; None where there is no such thumbnail."""
    cells: list[Cell | None] = []

    def add(thumbnail: str | None, alt: str, image: str | None = None) -> None:
        there = thumbnail is not None and (out / thumbnail).exists()
        cells.append(Cell(LABELS[len(cells)], alt, thumbnail, image) if thumbnail and there else None)

    names = [name_thumbnails(row["stem"], "", True, row.get("reference_digest")) for row in rows]
    done = [row["status"] == "done" for row in rows]
    add(names[done.index(True)]["product"] if any(done) else None, f"Product {entry.name}")
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        if number:
            add(name.get("reference"), f"{LABELS[len(cells)].capitalize()} for {entry.name}")
        alt = f"{entry.category} advertisement of {entry.name}, {LABELS[len(cells)]}"
        add(name["result"] if done[number] else None, alt, row.get("output"))
        if number:
            truth, shown = entry.references[number - 1].truth, None
            if truth is not None:
                shown = f"{THUMBS}/truth/{truth.stem}.webp"
                write_thumbnail(out, shown, load_image(truth).pixels)
            add(shown, f"{LABELS[len(cells)].capitalize()}: {entry.name} rendered in this style")
    return cells
