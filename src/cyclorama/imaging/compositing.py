"""How is the product put on its new background, does it cast a shadow there, and was it kept exactly?

The shadows that the model itself paints belong to the background plate: one image does not tell a shadow from
a darker floor. The contact shadow is an addition of its own, off unless asked for, made from the product's
outline alone, and a plain multiplication: ``B' = B (1 - s)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.errors import SettingsError
from cyclorama.imaging.layout import VISIBLE, find_box
from cyclorama.imaging.product import Product
from cyclorama.types import Matte, Pixels, ProductReport

_TOUCHING = 0.06
"""Columns stand on the ground whose lowest pixel is within this share of the product's height of the
lowest."""
_BLURS = ((0.02, 0.01, 0.6), (0.08, 0.03, 0.4))
"""Sigma across and down as shares of the contact's width, and weight: the dark line, the soft pool round
it."""


def composite(background: npt.NDArray[Any], product: Product) -> Pixels:
    """uint8 (H, W, 3): ``product`` over ``background`` at the product's own size (method, 10).

    ``out = α F + (1 − α) B`` in float64 with halves rounded to even; ``F`` is ``product.foreground``, ``α``
    its matte. ``background`` (H, W, 3) is uint8 or float in [0, 255].

    Invariants: where the matte is 1 the output is ``product.pixels`` bit for bit; where it is 0 it is the
    background (rounded if float). Raises SettingsError if sizes differ or the background is not finite.
    """
    if background.shape != product.pixels.shape:
        raise SettingsError(
            f"background has shape {background.shape}, the product {product.pixels.shape}; "
            "bring it to the product's size first"
        )
    if not np.isfinite(background).all():
        raise SettingsError("the background holds values that are not finite; generate it again")
    matte = product.matte
    if background.dtype == np.uint8:
        output = background.copy()
    else:
        output = np.clip(np.rint(background), 0, 255).astype(np.uint8)
    opaque = matte >= 1
    soft = matte.astype(bool) & ~opaque
    alpha = matte[soft].astype(np.float64)[:, None]
    mixed = alpha * product.foreground[soft] + (1 - alpha) * background[soft]
    output[soft] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    output[opaque] = product.pixels[opaque]
    return output


def compute_product_report(output: Pixels, product: Product) -> ProductReport:
    """How far ``output`` (H, W, 3) departs from the input where the product is fully opaque."""
    if output.shape != product.pixels.shape:
        raise SettingsError(
            f"output has shape {output.shape}, the product {product.pixels.shape}; use one size"
        )
    opaque = product.matte >= 1
    difference = np.abs(output[opaque].astype(np.int16) - product.pixels[opaque].astype(np.int16))
    proved = bool(opaque.any())
    nothing = () if proved else ("no pixel is fully opaque, so nothing proves that the product was kept",)
    return ProductReport(
        opaque_pixels=int(opaque.sum()),
        soft_pixels=int(((product.matte > 0) & ~opaque).sum()),
        max_difference=int(difference.max()) if proved else None,
        mean_difference=float(difference.mean()) if proved else None,
        notes=product.notes + nothing,
    )


def compute_contact_shadow(matte: Matte, strength: float) -> npt.NDArray[np.uint8]:
    """How much the ground is darkened, uint8 (H, W): ``s`` in 255ths, 0 = not at all.

    ``matte`` (H, W), 1 = product, on the image's canvas. ``strength`` 0-0.8 is the darkening at the darkest
    place. The shadow lies round the lower outline where that is lowest, so it suits products that stand
    upright on level ground, seen from the front. Invariant: moving the product moves its shadow with it.
    """
    shadow = np.zeros(matte.shape, dtype=np.uint8)
    box = find_box(matte)
    own = matte[box.top : box.top + box.height, box.left : box.left + box.width] >= VISIBLE
    lowest = box.height - 1 - np.argmax(own[::-1], axis=0)
    touching = np.flatnonzero(own.any(axis=0) & (lowest >= box.height - 1 - _TOUCHING * box.height))
    width = float(touching[-1] + 1 - touching[0])
    reach = math.ceil(4 * max(_BLURS[1][0], _BLURS[1][1]) * width) + 2
    line = max(1, round(0.01 * box.height))
    footprint = np.zeros((box.height + 2 * reach, box.width + 2 * reach))
    for column in touching:
        end = int(lowest[column]) + reach + 1
        footprint[end - line : end + line, column + reach] = 1
    soft = np.zeros_like(footprint)
    for across, down, weight in _BLURS:
        blurred = ndimage.gaussian_filter(footprint, (down * width, across * width), mode="constant")
        soft += weight * blurred / blurred.max()
    levels = np.clip(np.rint(255 * strength * soft), 0, math.floor(255 * strength)).astype(np.uint8)
    top, left = box.top - reach, box.left - reach
    rows = slice(max(0, top), min(matte.shape[0], top + levels.shape[0]))
    columns = slice(max(0, left), min(matte.shape[1], left + levels.shape[1]))
    shadow[rows, columns] = levels[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return shadow


def apply_shadow(background: npt.NDArray[Any], shadow: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3) in [0, 255]: ``background`` darkened by ``shadow`` (H, W)."""
    kept = (255 - shadow.astype(np.float32)) / np.float32(255)
    return background.astype(np.float32) * kept[..., None]
