"""Does the product still wear the background it was photographed on, as a rim or as a margin?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.evaluation.rim import LIKENESS, Rim, build_rim
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.transforms import check_same_size

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels

LEAST_SHARE = 0.1
"""Least share of the edge where old background, product and scene differ, for a value."""
_INSIDE, _BACKDROP = 5.0, 5.0
"""Depth at which the product's colour is taken, distance at which the photo's old background is; in units."""
_RIM, _MARGIN = ((-1.0, 0.0, 1.0), 5.0), ((2.0, 3.0, 4.0, 5.0), 16.0)
"""Offsets that are looked at, and the offset at which the new scene is taken for them; in units."""


def compute_halo(pixels: Pixels, photo: Pixels, mask: Matte) -> float | None:
    """Share (0-1) of the product's edge that wears the photo's old background, or None.

    ``pixels`` and ``photo`` uint8 (H, W, 3), ``mask`` float (H, W), 1 = product. Looked at along the edge's
    normals, in units of 1/256 of the shorter side, twice: the rim (any place from 1 inside to 1 outside,
    the new scene taken 5 outside) and a margin (all places from 2 to 5 outside, the scene 16 outside). A
    place wears the old background (``photo``, 5 outside) if it is at most half as far from it as from
    product and scene. Edges where these do not differ by ΔE 12 (CIE76) say nothing. The larger of the two
    shares; None where too little of the edge is left for either, for instance when old and new background
    are alike.

    Blind to halos of another colour, and fooled by a product with a narrow rim of the backdrop's colour.
    Raises ImageSizeError, MaskError.
    """
    check_same_size(pixels, photo, "output", "photo")
    check_same_size(pixels, mask, "output", "mask")
    rim, lab, old = build_rim(mask, 1.5), to_lab(pixels), to_lab(photo)
    shares = [
        share
        for share in (
            _compute_share(rim, lab, old, *_RIM, every=False),
            _compute_share(rim, lab, old, *_MARGIN, every=True),
        )
        if share is not None
    ]
    return max(shares, default=None)


def _compute_share(
    rim: Rim,
    lab: npt.NDArray[np.float32],
    old: npt.NDArray[np.float32],
    offsets: Sequence[float],
    beyond: float,
    every: bool,
) -> float | None:
    """Share of the usable edge whose places at any, or ``every``, offset look like the old background."""
    scene, product = rim.sample(lab, beyond), rim.sample(lab, -_INSIDE)
    backdrop = rim.sample(old, _BACKDROP)
    usable = rim.is_outside(beyond) & rim.is_outside(_BACKDROP) & rim.is_inside(_INSIDE)
    usable &= (_distance(backdrop, scene) >= LIKENESS) & (_distance(backdrop, product) >= LIKENESS)
    if usable.sum() < max(1.0, LEAST_SHARE * len(usable)):
        return None
    places = []
    for offset in offsets:
        here = rim.sample(lab, offset)
        others = np.minimum(_distance(here, product), _distance(here, scene))
        places.append(_distance(here, backdrop) <= 0.5 * others)
    worn = np.all(places, axis=0) if every else np.any(places, axis=0)
    return float(worn[usable].mean())


def _distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ΔE (CIE76) row by row."""
    distance: npt.NDArray[Any] = np.linalg.norm(first - second, axis=1)
    return distance
