"""Is the text on the pack still there?  Character error rate between two readings of the product."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import MissingDependencyError
from cyclorama.evaluation.resize import check_same_size

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

Reader = Callable[["Pixels"], str]
"""Pixels (H, W, 3) -> the text in them, lines joined by newlines; empty for none."""

READER_NAME = "rapidocr"
_MARGIN = 0.03


def compute_text_error(pixels: Pixels, original: Pixels, mask: Matte, reader: Reader) -> float | None:
    """The character error rate of the product's text in ``pixels`` against that in ``original``, 0 or more.

    Both readings are of the product's bounding box alone, so that text in a background does not count; None
    where ``reader`` finds no text in the original. Raises ImageSizeError.
    """
    check_same_size(pixels, original, "image", "original")
    check_same_size(pixels, mask, "image", "mask")
    window = _get_window(mask)
    expected = reader(original[window]).strip()
    if not expected:
        return None
    return compute_edit_distance(expected, reader(pixels[window]).strip()) / len(expected)


def _get_window(mask: Matte) -> tuple[slice, slice]:
    solid = mask >= 0.5
    margin = round(_MARGIN * min(mask.shape))
    windows = []
    for axis in (1, 0):
        places = np.flatnonzero(solid.any(axis=axis))
        low, high = (int(places[0]), int(places[-1])) if len(places) else (0, mask.shape[1 - axis] - 1)
        windows.append(slice(max(0, low - margin), high + margin + 1))
    return windows[0], windows[1]


def compute_edit_distance(expected: str, found: str) -> int:
    """Fewest insertions, deletions and replacements of a character that turn one text into the other."""
    row = list(range(len(found) + 1))
    for i, wanted in enumerate(expected, start=1):
        previous, row[0] = row[0], i
        for j, character in enumerate(found, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, previous + (wanted != character))
            previous, row[j] = row[j], best
    return row[-1]


def build_rapidocr_reader() -> Reader:
    """A reader of RapidOCR, which carries its models and needs no network. Raises MissingDependencyError.

    Lines without a letter or digit (it reads a plain box as "■") do not count as text.
    """
    try:
        engine = import_module("rapidocr").RapidOCR(params={"Global.log_level": "critical"})
    except ImportError as error:
        raise MissingDependencyError(
            'reading text needs RapidOCR: pip install "cyclorama[evaluate]", or leave the metric "text" out'
        ) from error

    def read(pixels: Pixels) -> str:
        result = engine(np.ascontiguousarray(pixels[..., ::-1]))  # it takes BGR
        return "\n".join(line for line in result.txts or () if any(map(str.isalnum, line)))

    return read
