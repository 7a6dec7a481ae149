"""How does an image get to a network's input size, and how is its product taken out of sight?

Networks take squares; as is the custom for feature distances, the whole image is squeezed into the square,
aspect not kept. Resampling is Pillow's, whose filters widen when shrinking (antialiased), on float planes, so
that nothing is rounded in between.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cyclorama.errors import ImageSizeError
from cyclorama.imaging.masks import dilate

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels, Size

NEUTRAL = 128
"""Grey level (0-255) that stands where the product was."""
GROWTH = 0.008
"""The filled region reaches beyond the product by this share of the shorter side: its soft rim goes too."""


def resize_planes(pixels: Pixels, size: Size) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3) in [0, 255] (clipped, not rounded) of ``pixels`` at ``size`` (height, width).

    Bicubic. Invariant: at equal size the values are the pixels'.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels.astype(np.float32)
    wanted, channels = (size[1], size[0]), np.moveaxis(pixels, -1, 0).astype(np.float32)
    planes = [np.asarray(Image.fromarray(c).resize(wanted, Image.Resampling.BICUBIC)) for c in channels]
    clipped: npt.NDArray[np.float32] = np.clip(np.stack(planes, axis=-1), 0, 255)
    return clipped


def resize_to(pixels: Pixels, size: Size) -> Pixels:
    """uint8 (H, W, 3) at ``size`` (height, width), rounded half to even."""
    return np.rint(resize_planes(pixels, size)).astype(np.uint8)


def grow_mask(mask: Matte, share: float = GROWTH) -> Matte:
    """``mask`` (H, W) and everything within ``share`` of the shorter side (at least one pixel) of it."""
    radius = max(1, math.ceil(share * min(mask.shape)))
    grown = dilate(mask >= 0.5, radius)
    return np.maximum(mask, grown.astype(np.float32))


def fill_product(pixels: Pixels, mask: Matte, value: int = NEUTRAL, growth: float = GROWTH) -> Pixels:
    """uint8 (H, W, 3): ``pixels`` with the product, and a narrow rim round it, replaced by neutral grey.

    ``mask`` float (H, W) in [0, 1], 1 = product. Invariant: what was inside the product has no influence.
    Raises ImageSizeError.
    """
    check_same_size(pixels, mask, "image", "mask")
    cover = grow_mask(mask, growth)[..., None]
    filled = pixels * (1 - cover) + np.float32(value) * cover
    filled = np.where(cover >= 1, np.float32(value), filled)
    return np.rint(filled).astype(np.uint8)


def check_same_size(
    first: npt.NDArray[Any], second: npt.NDArray[Any], first_name: str, second_name: str
) -> None:
    """Raise ImageSizeError unless both arrays have one height and width."""
    if first.shape[:2] != second.shape[:2]:
        raise ImageSizeError(
            f"{first_name} is {first.shape[1]} x {first.shape[0]}, {second_name} {second.shape[1]} x "
            f"{second.shape[0]} pixels; bring both to one size before scoring"
        )
