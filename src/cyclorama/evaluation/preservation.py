"""Is the product in the image the one that was given?  Its pixels, its rim, its outline, the text on it.

The colour difference is scikit-image's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cyclorama.errors import MissingDependencyError, NothingToMeasureError
from cyclorama.evaluation.resize import check_same_size
from cyclorama.evaluation.rim import build_rim, find_product_like, get_unit
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import erode

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels

RIM_WIDTH = 3.0
"""Units (1/256 of the shorter side) of the rim's band, just inside the product."""
GROWTH_REACH = 24.0
"""Units outside the product in which the default segmenter looks for more of it."""
SEGMENTER_NAME = "rim-colours-1"

Segmenter = Callable[["Pixels", "Matte"], "npt.NDArray[np.bool_]"]
"""(pixels (H, W, 3), mask given (H, W)) -> where the product is in ``pixels``, bool (H, W)."""


def compute_interior_difference(pixels: Pixels, original: Pixels, mask: Matte) -> tuple[int, float]:
    """(largest, mean) absolute difference of a channel where ``mask`` is 1, 0-255.

    Both images uint8 (H, W, 3). Raises ImageSizeError, NothingToMeasureError. Invariant: (0, 0) for a
    composite.
    """
    check_same_size(pixels, original, "image", "original")
    check_same_size(pixels, mask, "image", "mask")
    opaque = mask >= 1
    if not opaque.any():
        raise NothingToMeasureError(
            f"no pixel of the mask is fully product (largest {float(mask.max()):.3f}), so nothing is proved; "
            "give a solid mask"
        )
    difference = np.abs(pixels[opaque].astype(np.int16) - original[opaque])
    return int(difference.max()), float(difference.mean())


def compute_rim_delta_e(pixels: Pixels, original: Pixels, mask: Matte) -> float:
    """Mean CIEDE2000 of ``pixels`` and ``original`` in the band 3 units wide inside the product's edge.

    About 1 is just visible side by side. Raises ImageSizeError, NothingToMeasureError.
    """
    from skimage.color import deltaE_ciede2000  # takes a while to import

    check_same_size(pixels, original, "image", "original")
    solid = mask >= 0.5
    band = solid & ~erode(solid, max(1, round(RIM_WIDTH * get_unit(mask))))
    if not band.any():
        raise NothingToMeasureError("the product has no edge inside the image; there is no rim to measure")
    return float(deltaE_ciede2000(to_lab(pixels[band]), to_lab(original[band])).mean())


def compute_expansion(segmented: npt.NDArray[np.bool_], mask: Matte) -> float:
    """(area(m_out ∪ m_in) - area(m_in)) / area(m_in), 0 or more (the paper's object expansion, relative)."""
    check_same_size(segmented, mask, "segmented mask", "mask")
    given = mask >= 0.5
    if not given.any():
        raise NothingToMeasureError("the mask marks no product; there is nothing that could have grown")
    return float((segmented & ~given).sum() / given.sum())


def segment_by_rim_colours(pixels: Pixels, mask: Matte) -> npt.NDArray[np.bool_]:
    """``mask`` and what has grown out of it: connected pixels outside that carry the product's colours.

    Named ``rim-colours-1``. Within 24 units of the edge a pixel counts if its colour is near (ΔE 12) to the
    product's just inside and clearly farther from the scene beyond. Blind where product and scene have one
    colour, and to growth in another colour than the nearest part of the product. Raises
    NothingToMeasureError where they have one colour all round.
    """
    rim = build_rim(mask, GROWTH_REACH)
    like, _ = find_product_like(to_lab(pixels), rim)
    grown = rim.solid.copy()
    grown[rim.rows[like], rim.columns[like]] = True
    labels, _ = ndimage.label(grown)
    kept = np.unique(labels[rim.solid])
    connected: npt.NDArray[np.bool_] = np.isin(labels, kept[kept > 0])
    return connected


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
