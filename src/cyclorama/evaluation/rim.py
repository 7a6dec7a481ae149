"""What lies along a product's edge: for every pixel near it, the product colour within and the scene beyond.

Lengths scale with the image: one unit is 1/256 of its shorter side, at least one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from cyclorama.errors import MaskError, NothingToMeasureError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte

    Lab = npt.NDArray[np.float32]
    Flags = npt.NDArray[np.bool_]

INNER_DEPTH = 3.0
"""Units inside the edge at which the product's own colour is taken."""
LIKENESS = 12.0
"""ΔE (CIE76) below which a colour passes for another in this room."""


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
        values: npt.NDArray[Any] = plane[rows, columns]
        return values

    def is_outside(self, offset: float) -> Flags:
        """Whether the position at ``offset`` is in the frame and off the product, bool (N)."""
        height, width = self.solid.shape
        place = self.edges + self.normals * (offset * self.unit)
        inside = (place[:, 0] >= 0) & (place[:, 0] <= height - 1)
        inside &= (place[:, 1] >= 0) & (place[:, 1] <= width - 1)
        rows, columns = self._locate(offset)
        outside: Flags = inside & ~self.solid[rows, columns]
        return outside

    def is_inside(self, offset: float) -> Flags:
        """Whether the position at ``-offset`` is still on the product, bool (N)."""
        rows, columns = self._locate(-offset)
        inside: Flags = self.solid[rows, columns]
        return inside

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
