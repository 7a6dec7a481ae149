"""Is there anything behind the product, or is it a studio background?

White, grey or coloured seamless backdrops, with their gradients, vignettes and the product's own soft shadow,
have no structure: nothing in them changes quickly. Only what lies outside the product is looked at.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat
from scipy import ndimage

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.records import Finding, RuleImage, Verdict
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import reduce_size, resize_pixels, resize_plane
from cyclorama.types import Matte, Pixels

Flags = npt.NDArray[np.bool_]


class BlankSettings(Settings):
    """What counts as structure in a background, and how much of it an image must have."""

    ordered: ClassVar[Order] = (("min_busy_share", "doubtful_share"),)
    min_busy_share: Share = 0.05
    """Least share of the background that shows structure, 0-1; below it the background is blank."""
    doubtful_share: Share = 0.05
    """Between ``min_busy_share`` and this the image goes to review instead; equal = never."""
    busy_slope: PositiveFloat = 1.3
    """Change in L*a*b* units per pixel of the working image from which a place shows structure."""
    margin: Share = 0.025
    """Width of the ring round the product that is left out, as a share of the shorter side: soft rims."""
    working_side: Annotated[int, Field(ge=32)] = 256
    """Shorter side, in pixels, at which structure is measured; smaller images are taken as they are."""
    min_background: Share = 0.02
    """Least share of the image that must be background for a judgement, 0-1; with less it is kept."""


class BlankRule:
    """Drops images whose background has no content."""

    name = "blank"

    def __init__(self, settings: BlankSettings | None = None) -> None:
        self.settings = settings or BlankSettings()

    def judge(self, image: RuleImage) -> Finding:
        """Drop or review below the limits, keep above; without a mask a frame along the border is judged."""
        settings = self.settings
        share, background = measure_structure(image.pixels, image.mask, settings)
        numbers = {"busy_share": share, "background_share": background}
        if background < settings.min_background:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)  # nothing there to be blank
        if share >= settings.doubtful_share:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        blank = share < settings.min_busy_share
        limit = settings.min_busy_share if blank else settings.doubtful_share
        where = "background" if image.mask is not None else "image's border, without a mask,"
        reason = f"{share:.1%} of the {where} shows structure, the limit is {limit:.1%}"
        return Finding(self.name, Verdict.DROP if blank else Verdict.REVIEW, reason, numbers)


def measure_structure(
    pixels: Pixels, mask: Matte | None, settings: BlankSettings | None = None
) -> tuple[float, float]:
    """(share of the background with structure, share of the image that is background), each 0-1.

    ``pixels`` uint8 (H, W, 3), ``mask`` (H, W), 1 = product. Structure is a change of L*a*b* faster than
    ``busy_slope`` after a light blur, which takes noise and compression away. Invariant: what is on the
    product, or within half the margin of it, has no influence.
    """
    settings = settings or BlankSettings()
    size = reduce_size(pixels.shape, settings.working_side)
    background = _find_background(mask, size, settings)
    total = int(background.sum())
    if not total:
        return 0.0, 0.0
    lab = _fill_product(to_lab(resize_pixels(pixels, size)), background)
    slopes = (ndimage.gaussian_filter(lab, (1.5, 1.5, 0), order=way) for way in ((1, 0, 0), (0, 1, 0)))
    slope = np.hypot(*(np.linalg.norm(one, axis=2) for one in slopes))
    busy = (slope >= settings.busy_slope) & background
    return float(busy.sum()) / total, float(background.mean())


def _find_background(mask: Matte | None, size: tuple[int, int], settings: BlankSettings) -> Flags:
    if mask is None:
        frame = np.ones(size, dtype=bool)
        rows, columns = size[0] // 8, size[1] // 8
        frame[rows:-rows, columns:-columns] = False
        return frame
    product = resize_plane(mask, size) > 0.05
    return ~dilate(product, max(2, round(settings.margin * min(size))))


def _fill_product(lab: npt.NDArray[np.float32], background: Flags) -> npt.NDArray[np.float32]:
    """``lab`` (H, W, 3) with the nearest background colour everywhere else: no edge at the product's rim."""
    if background.all():
        return lab
    rows, columns = ndimage.distance_transform_edt(~background, return_distances=False, return_indices=True)
    filled: npt.NDArray[np.float32] = lab[rows, columns]
    return filled
