"""Is the product in the image the one that was given?  Its pixels, its rim, its outline.

The colour difference is scikit-image's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cyclorama.errors import NothingToMeasureError
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
