"""One image that shows many: rows of images side by side, for a README or a quick look."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

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
