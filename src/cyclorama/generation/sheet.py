"""The contact sheet: one HTML file beside the images without a single outside resource, its small images, and
one PNG that shows many."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cyclorama.evaluation.tables import ReportText, format_page
from cyclorama.files import write_atomic
from cyclorama.generation.writers import build_ending

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle
    from cyclorama.generation.settings import RunConfig
    from cyclorama.types import Matte, Pixels

THUMBS = "journal/thumbs"
SHOWN_ROWS = 1000
"""The sheet shows so many of the first rows; thumbnails are made for these alone."""
SIDE = 320
"""Longest side of a thumbnail in pixels."""


def encode_thumbnail(pixels: Pixels, matte: Matte | None = None, side: int = SIDE) -> bytes:
    """A WebP of ``pixels`` (H, W, 3), at most ``side`` px; transparent where ``matte`` (H, W) is 0."""
    if matte is None:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    else:
        alpha = np.rint(matte * 255).astype(np.uint8)
        image = Image.fromarray(np.dstack([pixels, alpha]))
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=85, method=2)
    return buffer.getvalue()


def write_thumbnail(folder: Path, name: str, pixels: Pixels, matte: Matte | None = None) -> None:
    """Write the thumbnail ``name`` (a path below ``folder``), which other threads may write, too.

    Raises OutputError.
    """
    write_atomic(folder / name, encode_thumbnail(pixels, matte), durable=False, shared=True)


def name_thumbnails(output: str, ending: str, first: bool, reference: str | None) -> dict[str, str]:
    """Names of the thumbnails of one image, by kind, below the output folder.

    ``output`` is the row's path without suffix, ``ending`` that of the image; the product's is that of the
    row's ``first`` image. ``reference`` is its file's digest.
    """
    names = {"result": f"{THUMBS}/results/{output}{ending}.webp"}
    if first:
        names["product"] = f"{THUMBS}/products/{output}.webp"
        names["second"] = f"{THUMBS}/seconds/{output}.webp"
    if reference is not None:
        names["reference"] = f"{THUMBS}/references/{reference[:16]}.webp"
    return names


SHEET_NAME = "index.html"


@dataclass(frozen=True)
class Cell:
    """One image of a row; ``thumbnail`` and ``image`` are paths relative to the sheet."""

    caption: str
    alt: str
    thumbnail: str
    output: str | None = None
    """Where a click leads; None for no link."""


@dataclass(frozen=True)
class SheetRow:
    """One card of the sheet: images side by side."""

    title: str
    note: str
    cells: tuple[Cell, ...]


def describe_run(model: ModelHandle, config: RunConfig, done: int, failed: int, shown: int) -> list[str]:
    """Counts, model and settings of a run as lines of text."""
    counts = f"{done} of {done + failed} inputs done" + (f", {failed} failed" if failed else "")
    if shown < done + failed:
        counts += f"; the first {shown} are shown, all are in results.jsonl and results.parquet"
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in config.describe_settings(model.learned).items()
        if value is not None
    )
    run = f"Model {model.name} ({model.hash}), run seed {config.run.seed}"
    return [counts, run, settings]


def build_sheet_row(out: Path, row: dict[str, Any], candidates: int) -> SheetRow:
    """The sheet's line for one finished row; cells whose thumbnail is gone are left out, images never are."""
    category, stem = row["category"], row["stem"]
    names = name_thumbnails(stem, "", True, row.get("reference_digest"))
    cells = []
    if (out / names["product"]).exists():
        cells.append(Cell("product", f"Product of {row['name']}, cut out", names["product"]))
    if (out / names["second"]).exists():
        alt = f"Product of {row['name']} as a network sees it"
        cells.append(Cell("a network sees", alt, names["second"]))
    if "reference" in names and (out / names["reference"]).exists():
        caption = f"reference {row['reference']}"
        cells.append(Cell(caption, caption.capitalize(), names["reference"]))
    notes = []
    for image in row["images"]:
        layout, number = image.get("layout_name") or "", image["candidate"]
        parts = [layout, f"candidate {number}" if len(row["images"]) > 1 and candidates > 1 else ""]
        label = " ".join(part for part in parts if part) or "result"
        ending = build_ending(layout, number, candidates)
        thumbnail = name_thumbnails(stem, ending, False, None)["result"]
        output = None if ":" in image["output"] else image["output"]
        shown = thumbnail if (out / thumbnail).exists() else output or ""
        alt = f"{row['name']} as {category} advertisement, {label}"
        cells.append(Cell(f"{label}, seed {image['seed']}", alt, shown, output))
        notes.append(f"{image['width']} × {image['height']} px, {_describe_exactness(image['report'])}")
        notes += image.get("placement", {}).get("notes", ())
    notes = [f"{category} ({row['category_source']})", *notes, *(row.get("notes") or ())]
    if row.get("seconds"):
        notes.append(f"{row['seconds']:.1f} s")
    return SheetRow(row["name"], " · ".join(dict.fromkeys(notes)), tuple(cells))


def _describe_exactness(report: dict[str, Any]) -> str:
    if report["exact"] is None:
        text = "no pixel is fully product, nothing to prove"
    else:
        text = "product exact" if report["exact"] else f"product off by {report['max_difference']}"
    if report.get("file_max_difference") is not None:
        text += f" before encoding, off by up to {report['file_max_difference']} in the file"
    return text


def build_sheet(
    title: str, summary: Sequence[str], rows: Sequence[SheetRow], failed: Sequence[Mapping[str, Any]]
) -> str:
    """The HTML page: ``summary`` paragraphs, a card per finished row, then the ``failed`` result rows.

    Every text is escaped, every image has an alternative text, the page reads without scripts, and
    nothing is fetched from elsewhere.
    """
    reasons = [f"{row['name']}: {row['error']}: {row['reason']}" for row in failed]
    text = ReportText(title, summary, (), (), {f"Failed ({len(failed)})": reasons})
    last = "<footer class='soft'>Made with Cyclorama. Each image carries its own settings and seed.</footer>"
    return format_page(text, map(_format_card, rows), [last])


def _format_card(row: SheetRow) -> str:
    figures = ""
    for cell in row.cells:
        image = (
            f'<img src="{escape(quote(cell.thumbnail))}" alt="{escape(cell.alt)}" '
            'loading="lazy" decoding="async" width="256" height="256">'
        )
        if cell.output is not None:
            image = f'<a href="{escape(quote(cell.output))}">{image}</a>'
        figures += f"<figure>{image}<figcaption>{escape(cell.caption)}</figcaption></figure>"
    note = f'<p class="soft">{escape(row.note)}</p>' if row.note else ""
    title = escape(row.title)
    return f'<article class="row"><h3>{title}</h3><div class="cells">{figures}</div>{note}</article>'


CELL = 192
"""Side of a cell in pixels."""
GAP = 8
LABEL = 22
PAPER = (246, 245, 242)
INK = (35, 33, 29)


def encode_overview(rows: Sequence[Sequence[Path | None]], labels: Sequence[str]) -> bytes:
    """A PNG with a row of cells per row of image files, under one line of ``labels``; None stays empty.

    Every row has as many cells as there are labels. Images are fitted whole; transparent parts show paper.
    """
    width = len(labels) * (CELL + GAP) + GAP
    height = len(rows) * (CELL + GAP) + GAP + LABEL
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for column, label in enumerate(labels):
        draw.text((GAP + column * (CELL + GAP), GAP // 2), label, fill=INK, font=font)
    for number, row in enumerate(rows):
        for column, path in enumerate(row):
            if path is not None:
                _paste(sheet, path, GAP + column * (CELL + GAP), LABEL + GAP + number * (CELL + GAP))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _paste(sheet: Image.Image, path: Path, left: int, top: int) -> None:
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    offset = (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2)
    sheet.paste(image, offset, image)
