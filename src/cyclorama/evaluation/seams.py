"""Does a product sit in its image, or does it look pasted?  Halo, contact and ghosts at its edge.

Functions of (pixels, mask) alone: no truth, no network, so a catalogue's gate can use them. All are
heuristics on colours along the edge; their limits are in each docstring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import NothingToMeasureError
from cyclorama.evaluation.resize import check_same_size
from cyclorama.evaluation.rim import build_rim, find_product_like, get_unit
from cyclorama.imaging.colour import to_lab

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

GHOST_REACH = 20.0
_BELOW = 40


@dataclass(frozen=True)
class Contact:
    """The shadow under a product's lowest edge."""

    depth: float
    """L* by which the darkest strip below lies under the ground farther off; 0 or more, 0 = no shadow."""
    gap: float
    """Units (1/256 of the shorter side) from the product to that strip; 0 = right at the edge."""
    floating: float
    """0 (a shadow meets the product) to 1 (none, or one far below)."""


def compute_seam_energy(pixels: Pixels, mask: Matte) -> float:
    """ΔE (CIE76), 0 to about 100, by which a narrow band round the product stands out from the scene.

    Along the edge's normals: the difference between the band 1.5–3 units outside and the scene 6–8 units
    outside, less the scene's own change over the next 5 units; mean over the edge, so that props behind the
    edge, which change the scene either way, cancel. Below the product, where a
    contact shadow belongs, nothing is counted. Raises ImageSizeError, MaskError, NothingToMeasureError.
    """
    check_same_size(pixels, mask, "image", "mask")
    lab = to_lab(pixels)
    rim = build_rim(mask, 1.5)
    near, middle, far = (
        np.mean([rim.sample(lab, offset) for offset in offsets], axis=0)
        for offsets in ((1.5, 2.0, 3.0), (6.0, 8.0), (11.0, 13.0))
    )
    usable = rim.is_outside(3.0) & rim.is_outside(8.0) & rim.is_outside(13.0) & (rim.normals[:, 0] < 0.5)
    if not usable.any():
        raise NothingToMeasureError(
            "no part of the product's edge has 13 units of scene above or beside it; a seam cannot be seen"
        )
    step = np.linalg.norm(near - middle, axis=1) - np.linalg.norm(middle - far, axis=1)
    return max(0.0, float(step[usable].mean()))


def compute_contact(pixels: Pixels, mask: Matte) -> Contact | None:
    """The shadow below the product, or None where the product reaches the frame's lower edge.

    L* is averaged over the columns in which the product comes within 4 % of its height of its lowest point,
    from 1 to 40 units below it. Dark ground hides shadows: there the depth is small although nothing floats.
    Raises ImageSizeError, MaskError.
    """
    check_same_size(pixels, mask, "image", "mask")
    build_rim(mask, 1.0)  # refuses empty and full masks
    solid, unit = mask >= 0.5, get_unit(mask)
    columns = np.flatnonzero(solid.any(axis=0))
    lowest = solid.shape[0] - 1 - solid[::-1].argmax(axis=0)[columns]
    height = int(lowest.max()) - int(solid.any(axis=1).argmax()) + 1
    touching = lowest >= lowest.max() - 0.04 * height
    columns, lowest = columns[touching], lowest[touching]
    reach = min(round(_BELOW * unit), solid.shape[0] - 1 - int(lowest.max()))
    if reach < 8 * unit:
        return None
    light = to_lab(pixels)[..., 0]
    offsets = np.arange(1, reach + 1)
    profile = light[lowest[None] + offsets[:, None], columns[None]].mean(axis=1)
    ground = float(np.median(profile[len(profile) // 2 :]))
    strip = profile[: max(1, round(0.75 * len(profile)))]
    darkest = int(strip.argmin())
    depth = max(0.0, ground - float(strip[darkest]))
    at_edge = max(0.0, ground - float(profile[: max(1, round(2 * unit))].mean()))
    floating = 1.0 if depth < 2 else 1 - min(1.0, at_edge / depth)
    return Contact(depth, (darkest + 1) / unit if depth >= 2 else 0.0, floating)


def compute_ghost_energy(pixels: Pixels, mask: Matte) -> float:
    """Share (0-1) of the ring 3–20 units outside the product that looks like more product.

    A doubled edge, a bottle that grew a neck, a second bottle right beside it. Only where product and scene
    differ (ΔE 12) can it be told; elsewhere nothing is counted. Raises ImageSizeError, MaskError,
    NothingToMeasureError.
    """
    check_same_size(pixels, mask, "image", "mask")
    rim = build_rim(mask, GHOST_REACH)
    like, clear = find_product_like(to_lab(pixels), rim)
    ring = rim.distance >= 3.0
    if not clear[ring].any():
        raise NothingToMeasureError(
            "product and scene have one colour in the whole ring; no ghost can be told"
        )
    return float(like[ring].sum() / clear[ring].sum())
