"""Which pixels are the product, according to a mask file, and can that be believed?

Everywhere inside the package 1 means product. A file of the other polarity is turned round once, here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.errors import (
    EmptyMaskError,
    FullMaskError,
    InvertedMaskError,
    MaskError,
    MaskSizeError,
    ProductTooSmallError,
    SettingsError,
)
from cyclorama.imaging.inputs import ImageLike, read_mask
from cyclorama.imaging.loading import LoadedImage, LoadLimits, load_image
from cyclorama.imaging.transforms import check_same_size, resize_plane
from cyclorama.types import Matte, Pixels, Size

MaskMeans = Literal["product", "background", "alpha"]
ASPECT_TOLERANCE = 0.01
"""A mask of another size is resampled if its aspect differs by at most this share."""
LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})
NEUTRAL = 128
"""Grey level (0-255) that stands where the product was."""
GROWTH = 0.008
"""The filled region reaches beyond the product by this share of the shorter side: its soft rim goes too."""
LEAST_PIXELS, LEAST_SHARE = 64, 0.001
"""Fewest product pixels (matte at least one half), and least share of the image."""
LEAST_BACKGROUND = 0.002
"""Least share of the image that must be background."""
_SNAP = 12.0 / 255.0  # compression noise around 0 and 1 in masks saved lossily


def load_mask(
    source: ImageLike,
    size: Size,
    means: MaskMeans | None = None,
    allow_inverted: bool = False,
    limits: LoadLimits | None = None,
) -> Matte:
    """The product mask in ``source``, float32 (H, W) in [0, 1], 1 = product, at ``size`` (height, width).

    EXIF orientation is applied. Where the file has an alpha channel that is not constant, alpha is the mask,
    otherwise luminance. ``means`` says what white marks in the file (None: the product), or that it must have
    alpha. Another size of the same aspect (within 1 %) is resampled with antialiasing. Float arrays in [0, 1]
    and bool arrays are taken as they are.

    Raises MaskSizeError, EmptyMaskError, FullMaskError, ProductTooSmallError, InvertedMaskError (unless
    ``allow_inverted``), MaskError (coloured, not finite) and the errors of :func:`load_image`.
    """
    mask, name = read_matte(source, size, means, limits)
    check_mask(mask, name)
    inverted, border_share = detect_inversion(mask)
    if inverted and not allow_inverted:
        flag = "product" if means == "background" else "background"
        raise InvertedMaskError(
            f"{name}: the product would cover {border_share:.0%} of the image's border, all four corners and "
            f"{(mask >= 0.5).mean():.0%} of its area, read with --mask-means {means or 'product'}; "
            f"that is how a background looks. Use --mask-means {flag}, or allow_inverted=True if it is right"
        )
    return mask


def read_matte(
    source: ImageLike, size: Size, means: MaskMeans | None = None, limits: LoadLimits | None = None
) -> tuple[Matte, str]:
    """What :func:`load_mask` gives, however much or little it marks, and its name.

    Raises MaskSizeError, MaskError, EmptyMaskError (values up to 2 of 255) and those of :func:`load_image`.
    """
    means = means or "product"
    if means not in get_args(MaskMeans):
        raise SettingsError(f"--mask-means is {means!r}; use 'product', 'background' or 'alpha'")
    source = read_mask(source)
    if isinstance(source, np.ndarray) and source.dtype.kind == "f":
        name, mask = "array", check_matte(source, None, "mask array")
    else:
        loaded = load_image(source, limits)
        if means == "alpha" and loaded.alpha is None:
            raise MaskError(
                f"{loaded.name}: mask_means is 'alpha' but the file has no alpha channel; use 'product' or "
                "'background'"
            )
        name, mask = loaded.name, _read_mask(loaded)
    if mask.shape != tuple(size):
        mask = _fit_size(mask, size, name)
    if means == "background":
        mask = np.float32(1) - mask
    return mask, name


def check_matte(matte: Any, size: Size | None, name: str) -> Matte:
    """``matte`` (H, W), float from 0 to 1 or bool, as float32; ``size``: what it must have, None for any.

    Raises MaskError (type, shape, range, not finite), MaskSizeError.
    """
    if not isinstance(matte, np.ndarray) or matte.dtype.kind not in "fb":
        kind = matte.dtype if isinstance(matte, np.ndarray) else type(matte).__name__
        raise MaskError(f"{name} is {kind}; give a float array from 0 to 1, or bool (matte / 255 of uint8)")
    if matte.ndim != 2:
        raise MaskError(f"{name} has shape {matte.shape}; give (height, width)")
    if size is not None and matte.shape != size:
        raise MaskSizeError(
            f"{name} has size {matte.shape}, the pixels {size} (height, width); give one size"
        )
    if not np.isfinite(matte).all():
        raise MaskError(f"{name}: {int((~np.isfinite(matte)).sum())} values are not finite; use 0 to 1")
    if matte.min(initial=0) < 0 or matte.max(initial=0) > 1:
        raise MaskError(f"{name} goes from {matte.min():.4g} to {matte.max():.4g}; give values from 0 to 1")
    return matte.astype(np.float32, copy=False)


def check_mask(mask: Matte, name: str = "mask", least_share: float = LEAST_SHARE) -> None:
    """Nothing, if ``mask`` (H, W), 1 = product, shows a product of usable size and some background.

    Raises EmptyMaskError, FullMaskError, ProductTooSmallError.
    """
    total = mask.size
    product = int((mask >= 0.5).sum())
    if product == 0:
        raise EmptyMaskError(
            f"{name} marks 0 of {total} pixels as product "
            f"(largest value {float(mask.max(initial=0)):.3f} of 1); paint the product white, the rest black"
        )
    free = int((mask < 0.5).sum())
    if free < LEAST_BACKGROUND * total:
        raise FullMaskError(
            f"{name} leaves {free} of {total} pixels ({free / total:.2%}) as background, the least is "
            f"{LEAST_BACKGROUND:.1%}; paint the background black"
        )
    if product < LEAST_PIXELS or product < least_share * total:
        raise ProductTooSmallError(
            f"{name} marks {product} pixels ({product / total:.3%}) as product, the least is "
            f"{LEAST_PIXELS} pixels and {least_share:.1%}; "
            "crop the image closer or mend the mask"
        )


def detect_inversion(mask: Matte) -> tuple[bool, float]:
    """(does ``mask`` (H, W) look as if 1 meant background?, its share of the image's border, 0-1).

    It does if it covers all four corners and most of the border: a large product leaves the top corners free,
    the background of a product never does.
    """
    solid = mask >= 0.5
    border = np.concatenate([solid[0], solid[-1], solid[1:-1, 0], solid[1:-1, -1]])
    side = max(1, min(mask.shape) // 50)
    patches = (
        end[:, edge] for end in (solid[:side], solid[-side:]) for edge in (slice(side), slice(-side, None))
    )
    share = float(border.mean())
    return share >= 0.6 and all(patch.mean() >= 0.5 for patch in patches), share


def has_shape(alpha: Matte | None) -> bool:
    """Whether an alpha channel tells anything: more than 0.1 % of it is below one half or between."""
    return alpha is not None and bool((alpha < 0.99).mean() > 0.001)


def is_soft(mask: Matte) -> bool:
    """Whether ``mask`` brings its own soft rim: a fair share of its outline has values between 0 and 1."""
    solid = mask >= 0.5
    outline = ndimage.binary_dilation(solid) & ~ndimage.binary_erosion(solid, border_value=1)
    between = (mask > 0.02) & (mask < 0.98)
    return bool(outline.any()) and float(between[outline].mean()) > 0.2


def erode(mask: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """``mask`` without what lies within ``radius`` pixels (Euclidean) of its outside.

    The image's border does not count as outside: a product that runs out of the frame keeps its edge.
    """
    return ~dilate(~mask, radius)


def average_near(
    values: npt.NDArray[np.floating], where: npt.NDArray[np.bool_], side: int
) -> npt.NDArray[np.floating]:
    """The mean of ``values`` (H, W) over what ``where`` (H, W) marks within ``side`` x ``side`` pixels.

    Near 0 where that marks next to nothing.
    """
    share = ndimage.uniform_filter(where.astype(np.float32), side)
    return np.asarray(ndimage.uniform_filter(values * where, side) / np.maximum(share, 1e-3))


def dilate(mask: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """``mask`` and what lies within ``radius`` pixels (Euclidean) of it.

    A disc is a stack of rows: ``mask`` widened to each row's width, moved up and down by that row's height.
    """
    wide, grown, width = mask.copy(), mask.copy(), 0
    if radius < 1 or not mask.any():
        return grown
    for up in range(min(int(radius), len(mask) - 1), -1, -1):
        while (width + 1) ** 2 + up**2 <= radius**2:
            width += 1
            wide[:, width:] |= mask[:, :-width]
            wide[:, :-width] |= mask[:, width:]
        grown[up:] |= wide[: len(wide) - up]
        grown[: len(wide) - up] |= wide[up:]
    return grown


def grow_mask(mask: Matte) -> Matte:
    """``mask`` (H, W) and everything within GROWTH of it."""
    return np.maximum(mask, dilate(mask >= 0.5, math.ceil(GROWTH * min(mask.shape))).astype(np.float32))


def fill_product(pixels: Pixels, mask: Matte) -> Pixels:
    """uint8 (H, W, 3): ``pixels`` with the product, and a narrow rim round it, replaced by neutral grey.

    ``mask`` float (H, W) in [0, 1], 1 = product. Invariant: what was inside the product has no influence.
    Raises ImageSizeError.
    """
    check_same_size(pixels, mask, "image", "mask")
    cover = grow_mask(mask)[..., None]
    return np.rint(pixels * (1 - cover) + np.float32(NEUTRAL) * cover).astype(np.uint8)


def find_window(mask: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The rows and columns that hold ``mask``, widened by ``margin``."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


def iterate_tiles(mask: npt.NDArray[np.bool_], step: int = 128) -> Iterator[tuple[slice, slice]]:
    """Windows of at most ``step`` pixels each way that together hold ``mask``, each as small as it can be."""
    for top in range(0, mask.shape[0], step):
        for left in range(0, mask.shape[1], step):
            tile = mask[top : top + step, left : left + step]
            if tile.any():
                rows, columns = find_window(tile, 0)
                yield (
                    slice(top + rows.start, top + rows.stop),
                    slice(left + columns.start, left + columns.stop),
                )


def _read_mask(loaded: LoadedImage) -> Matte:
    if loaded.alpha is not None and has_shape(loaded.alpha):
        return loaded.alpha
    values = loaded.pixels
    spread = values.max(axis=2).astype(np.int16) - values.min(axis=2)
    if float((spread > 24).mean()) > 0.005:
        raise MaskError(
            f"{loaded.name}: {float((spread > 24).mean()):.1%} of its pixels are coloured, a mask is grey; "
            "save it as black and white (white = product), not as a label map or overlay"
        )
    if 0 < int(values.max()) <= 2:
        raise EmptyMaskError(
            f"{loaded.name} holds only values 0 to {int(values.max())} of 255, so it marks nothing; "
            "multiply it by 255 before saving"
        )
    grey = values.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    mask: Matte = np.where(spread == 0, values[..., 0], grey).astype(np.float32) / np.float32(255)
    if loaded.format in LOSSY_FORMATS:
        mask = np.where(mask <= _SNAP, 0, np.where(mask >= 1 - _SNAP, 1, mask)).astype(np.float32)
    return mask


def _fit_size(mask: Matte, size: Size, name: str) -> Matte:
    height, width = mask.shape
    aspect = (width / height) / (size[1] / size[0])
    if not 1 / (1 + ASPECT_TOLERANCE) <= aspect <= 1 + ASPECT_TOLERANCE:
        turned = (width, height) == (size[0], size[1])
        hint = "it looks turned by 90 degrees; " if turned else ""
        raise MaskSizeError(
            f"{name} has {width} x {height} pixels, its image {size[1]} x {size[0]}; {hint}"
            "export the mask from the upright, uncropped image (the aspect may differ by at most 1 %)"
        )
    return np.clip(resize_plane(mask, size), 0, 1)
