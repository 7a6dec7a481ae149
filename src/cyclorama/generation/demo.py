"""The demo: product cut-outs with a reference each, listed in ``demo.json``, and their sheet.

The sheet shows product, image without a reference, the reference beside what it led to, and, where it is
known, the true image in the reference's style.

::

    demo.json      {"version": 2, "entries": [
                     {"product": "products/perfume/01.webp", "category": "perfume",
                      "reference": "references/perfume.jpg",
                      "reference_mask": "references/perfume-mask.png",    (may be missing, as the next)
                      "truth": "truth/perfume.jpg"}]}
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
SHOWN = 12
"""So many of the entries are shown unless all are asked for."""


@dataclass(frozen=True)
class DemoEntry:
    """A product cut-out, its category and the reference it is shown with."""

    name: str
    """Path of the product below ``products/``."""
    product: Path
    category: str
    reference: Path
    reference_mask: Path | None = None
    truth: Path | None = None
    """The product as it really looks in the reference's scene."""


@dataclass(frozen=True)
class DemoPart:
    """The images that one model made for the demo's entries."""

    folder: str
    """Below the demo's own folder."""
    labels: tuple[str, ...]
    """Captions of an entry's images: without a reference, with it; or the latter alone."""
    rows: Sequence[dict[str, Any]]
    """Results, as many for an entry as there are labels."""


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
    optional = (values.get(name) for name in ("reference_mask", "truth"))
    return DemoEntry(
        inside.as_posix(),
        _find(folder, str(product)),
        str(values["category"]),
        _find(folder, values["reference"]),
        *(None if name is None else _find(folder, name) for name in optional),
    )


def _find(folder: Path, name: str) -> Path:
    path = (folder / name).absolute()
    if not path.is_file():
        raise ModelFormatError(f"{folder / FILE_NAME} lists {name}, which is missing; reinstall cyclorama")
    return path


def build_demo_items(entries: Sequence[DemoEntry], plain: bool = True) -> list[Item]:
    """An item per entry with its reference, and, if ``plain``, one without before it.

    Both bear the product's name, so they have the same seed and only the reference differs.
    """
    items = []
    for entry in entries:
        product = str(entry.product)
        if plain:
            items.append(Item(entry.name, product, category=entry.category, folder="no-reference"))
        mask = None if entry.reference_mask is None else str(entry.reference_mask)
        items.append(
            Item(
                entry.name,
                product,
                category=entry.category,
                reference=str(entry.reference),
                reference_mask=mask,
                folder="reference",
            )
        )
    return items


OVERVIEW_NAME = "sheet.png"


def write_demo_report(
    out: Path, entries: Sequence[DemoEntry], parts: Sequence[DemoPart], summary: Sequence[str]
) -> None:
    """Write ``index.html`` and ``sheet.png`` from the ``parts``' rows. Raises OutputError."""
    names = ["product", parts[0].labels[0], "reference", *parts[0].labels[1:]]
    names += [label for part in parts[1:] for label in part.labels]
    sheet: list[SheetRow] = []
    overview: list[dict[str, Path]] = []
    for number, entry in enumerate(entries):
        cells = _build_cells(out, entry, number, parts)
        sheet.append(
            SheetRow(
                entry.name, entry.category, tuple(cells[name] for name in [*names, "truth"] if name in cells)
            )
        )
        overview.append({name: out / cell.thumbnail for name, cell in cells.items()})
    if any("truth" in row for row in overview):
        names.append("truth")
    failed = [
        row | {"name": f"{part.folder}/{row['stem']}"}
        for part in parts
        for row in part.rows
        if row["status"] == "failed"
    ]
    page = build_sheet("Cyclorama demo", summary, sheet, failed)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", errors="backslashreplace"))
    chosen = [[row.get(name) for name in names] for row in overview]
    write_atomic(out / OVERVIEW_NAME, encode_overview(chosen, names))


def _build_cells(out: Path, entry: DemoEntry, number: int, parts: Sequence[DemoPart]) -> dict[str, Cell]:
    """The entry's cells by name; those without a thumbnail are missing."""
    cells: dict[str, Cell] = {}

    def add(name: str, caption: str, alt: str, thumbnail: str, image: str | None = None) -> None:
        if name not in cells and (out / thumbnail).exists():
            cells[name] = Cell(caption, alt, thumbnail, image)

    for part in parts:
        count = len(part.labels)
        for label, row in zip(part.labels, part.rows[number * count : (number + 1) * count], strict=True):
            thumbs = name_thumbnails(row["stem"], "", True, row.get("reference_digest"))
            found = {kind: f"{part.folder}/{path}" for kind, path in thumbs.items()}
            add("product", "product", f"Product {entry.name}", found["product"])
            if "reference" in found:
                add("reference", "reference", f"Reference for {entry.name}", found["reference"])
            if row["status"] == "done":
                alt = f"{entry.category} advertisement of {entry.name}, {label}"
                (image,) = row["images"]
                caption = f"{label}, seed {image['seed']}, {row['seconds']:.1f} s"
                add(label, caption, alt, found["result"], f"{part.folder}/{row['output']}")
    if entry.truth is not None:
        shown = f"{THUMBS}/truth/{entry.truth.stem}.webp"
        write_thumbnail(out, shown, load_image(entry.truth).pixels)
        add("truth", "truth", f"Truth: {entry.name} rendered in the reference's scene", shown)
    return cells
