"""How does an image of any size and aspect get into the model's shape and tensors, and back out exactly?

Products are padded, never cropped; references are cropped to cover. Colour under soft alpha is resampled
premultiplied, so that what lies under transparency never bleeds into the rim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.errors import ImageSizeError, SettingsError
from cyclorama.types import Matte, Pixels, Size

Crop = tuple[float, float, float, float]
MAX_ASPECT = 2.0
"""Longest model shape; images beyond 2:1 or 1:2 are padded."""


def resize_plane(plane: npt.NDArray[Any], size: Size, box: Crop | None = None) -> npt.NDArray[np.float32]:
    """A float32 plane (H, W) at ``size``: area average going down, bicubic going up (may overshoot).

    ``box`` (left, top, right, bottom) is the part that is resampled, always bicubic with antialiasing.
    Invariant: at equal size the values come back bit for bit.
    """
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    if plane.shape == tuple(size) and box is None:
        return plane.copy()
    shrinking = box is None and size[0] * size[1] < plane.shape[0] * plane.shape[1]
    method = Image.Resampling.BOX if shrinking else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(plane).resize((size[1], size[0]), method, box), dtype=np.float32)


def reduce_size(shape: tuple[int, ...], side: int) -> Size:
    """The size of an image of ``shape`` (H, W, …) with at most ``side`` pixels on its shorter side."""
    scale = min(1.0, side / min(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize_pixels(pixels: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    """``pixels`` (H, W, C) at ``size`` in the same dtype; uint8 is rounded (half to even) and clipped."""
    if pixels.shape[:2] == tuple(size):
        return pixels.copy()
    return _as_dtype(_resize_planes(pixels, size), pixels.dtype)


def resize_rgba(pixels: Pixels, alpha: Matte, size: Size, box: Crop | None = None) -> tuple[Pixels, Matte]:
    """(pixels, alpha), or their part ``box`` (:func:`resize_plane`), at ``size``, resampled premultiplied.

    ``pixels`` uint8 (H, W, 3), ``alpha`` float32 (H, W) in [0, 1], straight in and out. Where the result is
    fully transparent the colours are the plainly resampled ones. Enlarged, a hard outline is smoothed, by up
    to one of its own pixels. Invariant: colours under alpha 0 have no influence on pixels with alpha above 0.
    """
    if alpha.shape == tuple(size) and box is None:
        return pixels.copy(), alpha.copy()
    colours = pixels.astype(np.float32) * alpha[..., None]
    weight = resize_plane(alpha, size, box)  # may overshoot, as the premultiplied colours do alongside
    premultiplied, shown = _resize_planes(colours, size, box), weight
    source = alpha.shape if box is None else (box[3] - box[1], box[2] - box[0])
    width = min(1.0, math.sqrt(size[0] * size[1] / (source[0] * source[1])) - 1)
    if width > 0.05:
        blurred, spread = (ndimage.gaussian_filter(v, width, axes=(0, 1)) for v in (alpha, colours))
        wide = resize_plane(blurred, size, box)
        hard = resize_plane(_find_hard_outline(alpha), size, box).clip(0, 1)
        shown = hard * ((1 + width) * (wide - 0.5) + 0.5).clip(0, 1) + (1 - hard) * weight
        outer = (hard > 0) & (weight < 0.5)  # it may reach where nothing was: the colours are those beside
        premultiplied[outer], weight = _resize_planes(spread, size, box)[outer], np.where(outer, wide, weight)
    visible = weight > 1e-3
    straight: npt.NDArray[Any] = premultiplied / np.where(visible, weight, 1)[..., None]
    straight = np.where(visible[..., None], straight, _resize_planes(pixels, size, box))
    return _as_dtype(straight, np.uint8), np.clip(shown, 0, 1)


def _find_hard_outline(alpha: Matte) -> Matte:
    """1 where both wholly opaque and wholly empty places, 3 pixels wide, are within 3 pixels, else 0: neither
    at thin parts nor in soft ones."""
    opaque, empty = ndimage.minimum_filter(alpha >= 0.98, 3), ndimage.minimum_filter(alpha <= 0.02, 3)
    near = ndimage.maximum_filter(opaque, 7) & ndimage.maximum_filter(empty, 7)
    return np.asarray(near, dtype=np.float32)


def _resize_planes(pixels: npt.NDArray[Any], size: Size, box: Crop | None = None) -> npt.NDArray[np.float32]:
    return np.stack([resize_plane(pixels[..., c], size, box) for c in range(pixels.shape[2])], axis=-1)


def resize_bicubic(pixels: Pixels, size: Size) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3) in [0, 255] (clipped, not rounded) of ``pixels`` at ``size``, antialiased."""
    return _resize_planes(pixels, size, (0, 0, pixels.shape[1], pixels.shape[0])).clip(0, 255)


def resize_to(pixels: Pixels, size: Size) -> Pixels:
    """The same as uint8, rounded half to even."""
    return np.rint(resize_bicubic(pixels, size)).astype(np.uint8)


def check_same_size(
    first: npt.NDArray[Any], second: npt.NDArray[Any], first_name: str, second_name: str
) -> None:
    """Raise ImageSizeError unless both arrays have one height and width."""
    if first.shape[:2] != second.shape[:2]:
        raise ImageSizeError(
            f"{first_name} is {first.shape[1]} x {first.shape[0]}, {second_name} {second.shape[1]} x "
            f"{second.shape[0]} pixels; bring both to one size before scoring"
        )


def choose_model_size(size: Size, native: int, multiple: int) -> Size:
    """The model shape (height, width) for an image of ``size``.

    Both sides are multiples of ``multiple``, the area is within 10 % of ``native`` squared (or as near as
    multiples allow), the aspect nearest to the image's, clamped to 1:2 .. 2:1. Invariant: a square
    image gets (native, native) if ``native`` is a multiple.
    """
    if native < multiple or multiple < 1:
        raise SettingsError(f"native side {native} and multiple {multiple}: use native >= multiple >= 1")
    wanted = min(max(size[1] / size[0], 1 / MAX_ASPECT), MAX_ASPECT)
    reach = math.ceil(native * math.sqrt(MAX_ASPECT) / multiple) + 1
    shapes = [
        (h * multiple, w * multiple)
        for h in range(1, reach + 1)
        for w in range(1, reach + 1)
        if 1 / MAX_ASPECT <= w / h <= MAX_ASPECT
    ]

    def area_error(shape: Size) -> float:
        return abs(math.log(shape[0] * shape[1] / native**2))

    near = [shape for shape in shapes if area_error(shape) <= math.log(1.1)]
    near = near or [shape for shape in shapes if area_error(shape) == min(map(area_error, shapes))]
    return min(near, key=lambda s: (round(abs(math.log(s[1] / s[0] / wanted)), 9), area_error(s), s))


@dataclass(frozen=True)
class Fit:
    """Where an image of ``size`` lies in the model's shape: scaled to ``inner``, placed at ``offset``."""

    size: Size
    """The image's own (height, width)."""
    model_size: Size
    """The model's (height, width)."""
    inner: Size
    """The image's (height, width) inside the model's shape."""
    offset: tuple[int, int]
    """(top, left) of the image inside the model's shape."""

    def apply_rgba(self, pixels: Pixels, alpha: Matte) -> tuple[Pixels, Matte]:
        """(pixels, alpha) in the model's shape, resampled premultiplied.

        The edge's colours are repeated into the padding, whose alpha is 0.
        """
        self._check(alpha.shape, self.size)
        (top, left), (height, width) = self.offset, self.model_size
        padding = (top, height - self.inner[0] - top), (left, width - self.inner[1] - left)
        pixels, matte = resize_rgba(pixels, alpha, self.inner)
        return np.pad(pixels, (*padding, (0, 0)), mode="edge"), np.pad(matte, padding)

    def undo(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """``image`` (h, w, C) of the model, padding removed, at the image's own size, same dtype.

        Invariant: what :meth:`apply_rgba` gave comes back bit for bit where no resampling was needed.
        """
        self._check(image.shape, self.model_size)
        top, left = self.offset
        return resize_pixels(image[top : top + self.inner[0], left : left + self.inner[1]], self.size)

    @staticmethod
    def _check(shape: tuple[int, ...], expected: Size) -> None:
        if shape[:2] != expected:
            raise SettingsError(f"array has size {shape[:2]}, this fit is for {expected}; build another fit")


def fit_to_model(size: Size, model_size: Size) -> Fit:
    """How an image of ``size`` (height, width) is placed in ``model_size``.

    The whole image is kept at its aspect (to a pixel), centred, as large as fits.
    """
    height, width = size
    if min(height, width, *model_size) < 1:
        raise SettingsError(f"sizes must be at least 1 pixel, got {(height, width)} and {model_size}")
    scale = min(model_size[0] / height, model_size[1] / width)
    inner = (
        min(max(round(height * scale), 1), model_size[0]),
        min(max(round(width * scale), 1), model_size[1]),
    )
    offset = ((model_size[0] - inner[0]) // 2, (model_size[1] - inner[1]) // 2)
    return Fit((height, width), model_size, inner, offset)


def fit_reference(
    pixels: Pixels, mask: Matte | None, model_size: Size
) -> tuple[npt.NDArray[Any], Matte | None]:
    """A reference and its mask at ``model_size``: centre-cropped to the model's aspect, then resampled."""
    height, width = pixels.shape[:2]
    scale = min(height / model_size[0], width / model_size[1])
    crop = (
        min(max(round(model_size[0] * scale), 1), height),
        min(max(round(model_size[1] * scale), 1), width),
    )
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    window = (slice(top, top + crop[0]), slice(left, left + crop[1]))
    if mask is not None:
        mask = np.clip(resize_plane(mask[window], model_size), 0, 1)
    return resize_pixels(pixels[window], model_size), mask


def _as_dtype(planes: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    if np.issubdtype(dtype, np.integer):
        planes = np.clip(np.rint(planes), 0, np.iinfo(dtype).max)
    return planes.astype(dtype)
