"""A finished picture as PNG bytes that carry their own recipe."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from cyclorama.errors import UnreadableImageError

if TYPE_CHECKING:
    from cyclorama.types import Pixels

METADATA_KEY = "cyclorama"


def encode_png(pixels: Pixels, metadata: dict[str, Any], icc_profile: bytes | None = None) -> bytes:
    """A PNG of ``pixels`` (H, W, 3) with ``metadata`` as JSON in the text chunk ``cyclorama``.

    The colour profile is kept. Invariant: equal arguments give equal bytes, and the decoded pixels
    equal ``pixels``.
    """
    info = PngImagePlugin.PngInfo()
    info.add_itxt(METADATA_KEY, json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, format="PNG", pnginfo=info, icc_profile=icc_profile
    )
    return buffer.getvalue()


def load_metadata(path: str | Path) -> dict[str, Any]:
    """What :func:`encode_png` put into the picture at ``path``: seed, settings, category, model.

    Raises UnreadableImageError if the file is no PNG or carries nothing of ours.
    """
    try:
        with Image.open(path) as image:
            text = image.info.get(METADATA_KEY)
    except OSError as error:
        raise UnreadableImageError(f"cannot read {path}: {error}") from error
    if not isinstance(text, str):
        raise UnreadableImageError(
            f"{path} carries no Cyclorama settings; it was not made or was re-saved elsewhere"
        )
    values: dict[str, Any] = json.loads(text)
    return values
