"""Small images for the contact sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cyclorama.files import write_atomic

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

FOLDER = "journal/thumbs"
SHOWN_ROWS = 1000
"""The sheet shows so many of the first rows; thumbnails are made for these alone."""
SIDE = 320
"""Longest side of a thumbnail in pixels."""


def encode_thumbnail(pixels: Pixels, matte: Matte | None = None) -> bytes:
    """A WebP of ``pixels`` (H, W, 3), at most 320 px; transparent where ``matte`` (H, W) is 0."""
    if matte is None:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    else:
        alpha = np.rint(matte * 255).astype(np.uint8)
        image = Image.fromarray(np.dstack([pixels, alpha]))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
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
    names = {"result": f"{FOLDER}/results/{output}{ending}.webp"}
    if first:
        names["product"] = f"{FOLDER}/products/{output}.webp"
    if reference is not None:
        names["reference"] = f"{FOLDER}/references/{reference[:16]}.webp"
    return names
