"""Small images for the contact sheet."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cyclorama.files import write_atomic

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

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
    """Write the thumbnail ``name`` (a path below ``folder``). Raises OutputError."""
    write_atomic(folder / name, encode_thumbnail(pixels, matte), durable=False)


def get_result_name(image: str) -> str:
    """``thumbs/results/a.webp`` for ``images/a.png``."""
    return _rename(image, "results")


def get_product_name(image: str) -> str:
    """``thumbs/products/a.webp`` for ``images/a.png``, an item's first image."""
    return _rename(image, "products")


def get_reference_name(digest: str) -> str:
    """``thumbs/references/….webp`` for the reference file with this digest."""
    return f"thumbs/references/{digest[:16]}.webp"


def _rename(image: str, kind: str) -> str:
    return str(PurePosixPath("thumbs", kind, *PurePosixPath(image).parts[1:]).with_suffix(".webp"))
