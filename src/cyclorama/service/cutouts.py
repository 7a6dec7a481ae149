"""Which part of an asset is its product, after a designer's strokes? Told before any model runs.

The work is done in a child process (:mod:`cyclorama.service.children`); what its functions are handed are
paths and plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.errors import EmptyMaskError, FullMaskError, MaskError, ProductTooSmallError
from cyclorama.imaging.cutout import CutoutConfig
from cyclorama.imaging.loading import LoadedImage
from cyclorama.imaging.masks import MaskMeans, check_mask, detect_inversion, find_window, read_matte
from cyclorama.imaging.product import build_product
from cyclorama.service.photos import LIMITS, hide_paths, load_photo
from cyclorama.service.schemas import CutoutWarning, Stroke
from cyclorama.service.strokes import draw_strokes
from cyclorama.types import Matte

_AS_GENERATE = CutoutConfig(decontaminate=False)
"""The matte is the same; the product's own colours under its rim are not needed here."""
_OPAQUE = round(_AS_GENERATE.opaque_from * 255)
"""From here on 255."""
_TOUCHES = 0.02
"""Share of a side along which a product is cut off by the image's frame."""


def prepare() -> None:
    """Load what cut-outs need, and compile matting."""
    pixels = np.full((48, 48, 3), 250, np.uint8)
    pixels[16:32, 16:32] = 30
    mask = np.zeros((48, 48), np.float32)
    mask[16:32, 16:32] = 1
    build_product(LoadedImage(pixels), mask, _AS_GENERATE)


def cut_out(
    image: Path, mask: Path | None, mask_means: MaskMeans | None, strokes: Sequence[Stroke], matte: Path
) -> dict[str, Any]:
    """Facts of the product in ``image``, as ``generate`` would take it; ``matte`` becomes its matte, a PNG.

    Without strokes and mask it raises MissingMaskError where nothing tells the product from its background;
    with strokes the designer may begin with nothing.
    """
    with hide_paths({image: "the image"} | ({mask: "the mask"} if mask else {})):
        found, source, confidence, notes = _begin(image, mask, mask_means, bool(strokes))
    if strokes:
        loaded = load_photo(image)
        found, remarks = draw_strokes(found, loaded.pixels, strokes)
        found, _, _, cleaning = _settle(loaded, _close(found))
        source, notes = f"{source}+strokes" if source else "strokes", (*notes, *remarks, *cleaning)
    levels = np.rint(_close(found) * 255).astype(np.uint8)
    Image.fromarray(levels).save(matte, "PNG", compress_level=1)
    rows, columns = find_window(found >= 0.5, 0) if (found >= 0.5).any() else (slice(0, 0), slice(0, 0))
    return {
        "mask_source": source,
        "mask_confidence": confidence,
        "width": found.shape[1],
        "height": found.shape[0],
        "box": {
            "left": columns.start,
            "top": rows.start,
            "width": columns.stop - columns.start,
            "height": rows.stop - rows.start,
        },
        "share": round(float(found.mean(dtype=np.float64)), 6),
        "warnings": find_warnings(found),
        "notes": list(dict.fromkeys(notes)),
    }


def find_warnings(matte: Matte) -> list[CutoutWarning]:
    """What looks wrong in ``matte`` (H, W), 1 = product: ``empty``, ``small``, ``full``, ``inverted``,
    ``cut_by_frame``."""
    try:
        check_mask(matte)
    except EmptyMaskError:
        return ["empty"]
    except ProductTooSmallError:
        return ["small"]
    except FullMaskError:
        return ["full"]
    if detect_inversion(matte)[0]:
        return ["inverted"]
    sides = matte[0], matte[-1], matte[:, 0], matte[:, -1]
    return ["cut_by_frame"] if max(float((side >= 0.5).mean()) for side in sides) > _TOUCHES else []


@lru_cache(2)
def _begin(
    image: Path, mask: Path | None, mask_means: MaskMeans | None, may_be_empty: bool
) -> tuple[Matte, str, float | None, tuple[str, ...]]:
    """(matte, source, confidence, notes) before any stroke."""
    loaded = load_photo(image)
    if mask is not None:
        return _settle(loaded, read_matte(mask, loaded.size, mask_means, LIMITS)[0])
    try:
        product = build_product(loaded, None, _AS_GENERATE)
    except MaskError as error:
        if not may_be_empty:
            raise
        return np.zeros(loaded.size, np.float32), "", None, (str(error),)
    return product.matte, product.mask_source, product.mask_confidence, product.notes


def _settle(loaded: LoadedImage, matte: Matte) -> tuple[Matte, str, float | None, tuple[str, ...]]:
    """``matte`` as ``generate`` would use it; as it is where ``generate`` would refuse it."""
    try:
        product = build_product(loaded, matte, _AS_GENERATE)
    except MaskError:
        return matte, "mask", None, ()
    return product.matte, product.mask_source, product.mask_confidence, product.notes


def _close(matte: Matte) -> Matte:
    """``matte`` in steps of 1/255, opaque from _OPAQUE of them on."""
    levels = np.rint(matte * 255)
    return (np.where(levels >= _OPAQUE, 255, levels) / np.float32(255)).astype(np.float32)
