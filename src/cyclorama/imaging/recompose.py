"""How does a finished image change when its product is moved, scaled, or its shadow weakened?

No model is asked: the ground is the empty one times what the product shades, plus the light that it throws
or mirrors; both move with it. Where they lie under the product, they are continued from what is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.errors import SettingsError
from cyclorama.imaging.compositing import compute_contact_shadow
from cyclorama.imaging.layout import Rectangle, find_box, scale_product, shift_product
from cyclorama.imaging.masks import find_window
from cyclorama.imaging.product import Product
from cyclorama.types import Matte, Pixels, Size

NOISE = 4
"""Levels by which two renderings of one place may differ."""
MARGIN = 8
"""Pixels round a product that is cut out of its photo."""
NEAR = 0.04, 0.16
"""Distances from the product, shares of the canvas' longer side, up to which all of what it shades moves with
it, and from which on nothing does."""
CONTACT = 0.8
"""Darkening of the ground by a full contact shadow, where the model's own cannot be told from the ground."""
MOVED = 0.03
"""Share of the canvas beyond which a product has left the place that ground and light were made for."""


@dataclass(frozen=True, eq=False)
class Effect:
    """What a product changes on the ground round it."""

    shadow: Pixels
    """uint8 (H, W, 3): what is left of the ground's light, in 255ths."""
    light: Pixels | None = None
    """uint8 (H, W, 3): levels that are added to that; None: none."""

    @classmethod
    def between(cls, empty: Pixels, ground: Pixels, matte: Matte) -> Effect:
        """What a product with ``matte`` (H, W) changed: ``empty`` before it stood there, ``ground`` after."""
        before, after = empty.astype(np.float32), ground.astype(np.float32)
        kept = np.minimum((after + NOISE) / np.maximum(before, 1), 1)
        light = np.maximum(after - before * kept - NOISE, 0)
        seen = matte <= 0
        if seen.any():
            nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
            kept, light = kept[tuple(nearest)], light[tuple(nearest)]
        shadow = np.rint(255 * kept).astype(np.uint8)
        return cls(shadow, np.rint(light).astype(np.uint8) if light.max() >= 1 else None)

    @classmethod
    def of_contact(cls, matte: Matte) -> Effect:
        """The full contact shadow of a product with ``matte`` (H, W)."""
        shadow = 255 - compute_contact_shadow(matte, CONTACT)
        return cls(np.repeat(shadow[..., None], 3, axis=2))

    def apply(self, empty: Pixels, start: Rectangle, end: Rectangle, strength: float) -> Pixels:
        """uint8 (H, W, 3): ``empty`` with this effect moved and scaled as the box ``start`` became ``end``.

        ``strength``: 0 leaves the shadow out, 1 is as it was, 2 applies it twice.
        """
        kept = _move(self.shadow, start, end, 255)
        touched = (kept[..., 0] & kept[..., 1] & kept[..., 2]) < 255
        light = None if self.light is None else _move(self.light, start, end, 0)
        if light is not None:
            touched |= (light[..., 0] | light[..., 1] | light[..., 2]) > 0
        ground = empty.copy()
        if not touched.any():
            return ground
        window = find_window(touched, 0)
        near, left = empty[window].astype(np.float32), kept[window].astype(np.float32) / 255
        for part in (min(strength, 1.0), max(strength - 1.0, 0.0)):
            if part > 0:
                near *= 1 - part * (1 - left)
        if light is not None:
            near += light[window]
        ground[window] = np.rint(np.minimum(near, 255)).astype(np.uint8)
        return ground


def settle(empty: Pixels, ground: Pixels, matte: Matte) -> Pixels:
    """``empty`` near the product with ``matte`` (H, W), and far from it ``ground``, with the product's shade.

    What the product shades there are things that stay when it is moved.
    """
    far = ndimage.distance_transform_edt(matte <= 0) / max(matte.shape)
    weight = np.clip((far - NEAR[0]) / (NEAR[1] - NEAR[0]), 0, 1)[..., None].astype(np.float32)
    settled: Pixels = np.rint(empty + weight * (ground.astype(np.float32) - empty)).astype(np.uint8)
    return settled


def _move(layer: Pixels, start: Rectangle, end: Rectangle, beyond: int) -> Pixels:
    """``layer`` (H, W, 3) with the box ``start`` at ``end``; ``beyond`` it, where it has no pixels."""
    if start == end:
        return layer
    if (start.height, start.width) == (end.height, end.width):  # whole pixels: a tenth of the time
        return _shift(layer, end.top - start.top, end.left - start.left, beyond)
    across, down = start.width / end.width, start.height / end.height
    matrix = (across, 0, start.left - across * end.left, 0, down, start.top - down * end.top)
    size, fill = (layer.shape[1], layer.shape[0]), (beyond,) * 3
    moved = Image.fromarray(layer).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(moved)


def _shift(layer: Pixels, down: int, across: int, beyond: int) -> Pixels:
    height, width = layer.shape[:2]
    moved = np.full_like(layer, beyond)
    moved[max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] = layer[
        max(0, -down) : height + min(0, -down), max(0, -across) : width + min(0, -across)
    ]
    return moved


def check_place(canvas: Size, size: Size, left: int, top: int, scale: float) -> Rectangle:
    """Where a product of ``size`` (height, width) pixels lies, scaled by ``scale`` and with its box's corner
    at ``left``, ``top``. Raises SettingsError unless all of it lies on the ``canvas`` (height, width)."""
    height, width = (max(1, round(side * scale)) for side in size)
    if height > canvas[0] or width > canvas[1]:
        most = min(canvas[0] / size[0], canvas[1] / size[1])
        raise SettingsError(
            f"scale {scale:.4g} makes the product larger than its canvas; use at most {most:.4g}"
        )
    room = canvas[0] - height, canvas[1] - width
    if not (0 <= top <= room[0] and 0 <= left <= room[1]):
        raise SettingsError(
            f"the product would leave its canvas with its corner at left {left}, top {top}; at this scale "
            f"left is 0 to {room[1]}, top 0 to {room[0]}"
        )
    return Rectangle(top, left, height, width)


def move_product(standing: Product, cut: Product, box: Rectangle) -> Product:
    """The product with its box at ``box`` of the same canvas.

    ``standing`` is the product on its canvas, ``cut`` the same at the photo's own pixels. Invariants: where
    only the place differs, ``standing`` is moved by whole pixels; else the photo's pixels are moved, or
    resampled once.
    """
    old, own = find_box(standing.matte), find_box(cut.matte)
    if (box.height, box.width) == (old.height, old.width):
        return shift_product(standing, standing.size, (box.top - old.top, box.left - old.left))
    if (box.height, box.width) == (own.height, own.width):
        return shift_product(cut, standing.size, (box.top - own.top, box.left - own.left))
    return scale_product(cut, standing.size, own, box)


def measure_move(start: Rectangle, end: Rectangle, canvas: Size) -> float:
    """How far a corner of the box has come, as a share of the canvas' side, 0-1."""
    across = abs(start.left - end.left), abs(start.left + start.width - end.left - end.width)
    down = abs(start.top - end.top), abs(start.top + start.height - end.top - end.height)
    return max(max(across) / canvas[1], max(down) / canvas[0])


def crop_rgba(product: Product) -> npt.NDArray[np.uint8]:
    """uint8 (h, w, 4): :func:`to_rgba` of the product's part of its photo, with a margin on every side."""
    rows, columns = find_window(product.matte > 0, 0)
    return np.pad(to_rgba(product)[rows, columns], ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))


def to_rgba(product: Product) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 4) of a product; 255 only where it is fully opaque, colours 0 where alpha is."""
    levels = np.where(product.matte >= 1, 255, np.minimum(np.rint(product.matte * 255), 254)).astype(np.uint8)
    return np.dstack([np.where(levels[..., None] > 0, product.foreground, 0), levels]).astype(np.uint8)


def from_rgba(
    rgba: npt.NDArray[np.uint8], icc_profile: bytes | None = None, metadata: Mapping[str, Any] | None = None
) -> Product:
    """The product of :func:`to_rgba`; it was checked before."""
    shown, matte = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3].astype(np.float32) / 255
    fields = {"pixels": shown, "foreground": shown, "matte": matte, "icc_profile": icc_profile}
    return _start().derive(**fields, metadata=dict(metadata or {}))


@cache
def _start() -> Product:
    """A product to derive others from."""
    pixels, matte = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.float32)
    matte[8:24, 8:24] = 1
    return Product(pixels, matte, pixels)
