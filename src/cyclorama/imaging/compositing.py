"""How is the product put on its new background, and was it kept exactly?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.errors import SettingsError
from cyclorama.imaging.product import Product
from cyclorama.types import ProductReport

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Pixels


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
    soft = (matte > 0) & (matte < 1)
    alpha = matte[soft].astype(np.float64)[:, None]
    mixed = alpha * product.foreground[soft] + (1 - alpha) * background[soft]
    output[soft] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    opaque = matte >= 1
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
