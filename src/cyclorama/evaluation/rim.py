"""What lies along a product's edge, and does the product sit in its image or look pasted?

For every pixel near the edge: the product colour within and the scene beyond; from these halo, contact and
ghosts. Functions of (pixels, mask) alone: no truth, no network, so the gate can use them. All are heuristics
on colours; their limits are in each docstring. Lengths scale with the image: one unit is 1/256 of its
shorter side, at least one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.errors import MaskError, NothingToMeasureError
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.transforms import check_same_size
from cyclorama.types import Matte, Pixels

Lab = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

INNER_DEPTH = 3.0
"""Units inside the edge at which the product's own colour is taken."""
LIKENESS = 12.0
"""ΔE (CIE76) below which a colour passes for another."""


@dataclass(frozen=True, eq=False)
class Rim:
    """The pixels outside a product within ``reach`` units of it, N of them.

    ``rows``, ``columns`` int (N); ``distance`` float (N), in units; ``edges`` and ``normals`` float (N, 2)
    as (row, column): the nearest product pixel and the unit vector away from it.
    """

    solid: Flags
    unit: float
    reach: float
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    distance: npt.NDArray[np.float64]
    edges: npt.NDArray[np.float64]
    normals: npt.NDArray[np.float64]

    def sample(self, plane: npt.NDArray[Any], offset: float) -> npt.NDArray[Any]:
        """``plane`` (H, W, ...) at ``offset`` units along each pixel's normal from the edge, (N, ...).

        Negative offsets are inside the product. Positions beyond the frame take the nearest pixel.
        """
        rows, columns = self._locate(offset)
        return plane[rows, columns]

    def is_outside(self, offset: float) -> Flags:
        """Whether the position at ``offset`` is in the frame and off the product, bool (N)."""
        height, width = self.solid.shape
        place = self.edges + self.normals * (offset * self.unit)
        inside = (place[:, 0] >= 0) & (place[:, 0] <= height - 1)
        inside &= (place[:, 1] >= 0) & (place[:, 1] <= width - 1)
        rows, columns = self._locate(offset)
        return np.asarray(inside & ~self.solid[rows, columns])

    def is_inside(self, offset: float) -> Flags:
        """Whether the position at ``-offset`` is still on the product, bool (N)."""
        rows, columns = self._locate(-offset)
        return self.solid[rows, columns]

    def _locate(self, offset: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        place = np.rint(self.edges + self.normals * (offset * self.unit)).astype(np.intp)
        height, width = self.solid.shape
        return np.clip(place[:, 0], 0, height - 1), np.clip(place[:, 1], 0, width - 1)


def get_unit(mask: Matte) -> float:
    """1/256 of the shorter side of ``mask`` (H, W) in pixels, at least 1."""
    return float(max(1.0, min(mask.shape) / 256))


def build_rim(mask: Matte, reach: float) -> Rim:
    """The rim of ``mask`` (H, W), 1 = product (one half and above counts), out to ``reach`` units.

    Raises MaskError if there is no product or no background.
    """
    solid = mask >= 0.5
    if not solid.any() or solid.all():
        raise MaskError(f"the mask marks {int(solid.sum())} of {solid.size} pixels; an edge needs both kinds")
    unit = get_unit(mask)
    distance, nearest = ndimage.distance_transform_edt(~solid, return_indices=True)
    rows, columns = np.nonzero((distance > 0) & (distance <= reach * unit))
    edges = np.stack([nearest[0][rows, columns], nearest[1][rows, columns]], axis=1).astype(np.float64)
    lengths = distance[rows, columns]
    normals = (np.stack([rows, columns], axis=1) - edges) / lengths[:, None]
    return Rim(solid, unit, reach, rows, columns, lengths / unit, edges, normals)


def find_product_like(lab: Lab, rim: Rim) -> tuple[Flags, Flags]:
    """(like, clear), bool (N): whether a rim pixel looks like the product beside it; whether one can tell.

    ``lab`` float32 (H, W, 3). A pixel is like the product if it is within LIKENESS of the product's colour
    just inside and at most half as far from it as from the scene just beyond ``reach``. Where product and
    scene are themselves within LIKENESS nothing can be told: ``clear`` is False, and ``like`` too. Raises
    NothingToMeasureError if it is nowhere clear.
    """
    product = rim.sample(lab, -INNER_DEPTH)
    scene = rim.sample(lab, rim.reach + INNER_DEPTH)
    here = lab[rim.rows, rim.columns]
    to_product = np.linalg.norm(here - product, axis=1)
    to_scene = np.linalg.norm(here - scene, axis=1)
    clear = np.linalg.norm(product - scene, axis=1) >= LIKENESS
    clear &= rim.is_outside(rim.reach + INNER_DEPTH) & rim.is_inside(INNER_DEPTH)
    if not clear.any():
        raise NothingToMeasureError(
            "nowhere along its edge does the product differ from the scene beyond it inside the frame (ΔE "
            f"{LIKENESS:g}); what looks like product cannot be told"
        )
    like = clear & (to_product < LIKENESS) & (to_product <= 0.5 * to_scene)
    return like, clear


GHOST_REACH = 20.0
_BELOW = 40


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


def compute_floating(pixels: Pixels, mask: Matte) -> float | None:
    """0 (a shadow meets the product from below) to 1 (none, or one far below); None where the product reaches
    the frame's lower edge.

    L* is averaged over the columns in which the product comes within 4 % of its height of its lowest point,
    from 1 to 40 units below it. Dark ground hides shadows: there 1 says little. Raises ImageSizeError,
    MaskError.
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
    offsets = np.arange(1, reach + 1)
    profile = to_lab(pixels)[..., 0][lowest[None] + offsets[:, None], columns[None]].mean(axis=1)
    ground = float(np.median(profile[len(profile) // 2 :]))
    depth = ground - float(profile[: round(0.75 * len(profile))].min())
    at_edge = max(0.0, ground - float(profile[: round(2 * unit)].mean()))
    return 1.0 if depth < 2 else 1 - min(1.0, at_edge / depth)


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
