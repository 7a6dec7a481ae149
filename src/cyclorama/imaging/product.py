"""What are a product and a reference, as every room hands them on?

Both are checked where they are made, so that nothing later has to ask whether sizes, types and ranges fit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from cyclorama.errors import (
    ImageError,
    InvertedMaskError,
    MaskError,
    MaskSizeError,
    UnreadableImageError,
)
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.cutout import CutoutConfig, CutoutNetwork, cut_out
from cyclorama.imaging.inputs import find_name, read_image, read_mask
from cyclorama.imaging.loading import LoadedImage, load_image
from cyclorama.imaging.masks import check_mask, detect_inversion, load_mask
from cyclorama.imaging.matting import estimate_foreground, measure_spill
from cyclorama.processes import check_process
from cyclorama.types import Matte, Pixels, Size


@dataclass(frozen=True, eq=False)
class Product:
    """A product photo with its matte, checked when it is made.

    Invariant: ``foreground`` equals ``pixels`` wherever ``matte`` is 1; all three share one size.

    Raises UnreadableImageError (type, shape), MaskError (type, range, not finite), MaskSizeError,
    EmptyMaskError, FullMaskError, ProductTooSmallError, InvertedMaskError.
    """

    pixels: Pixels
    """The photo's own, uint8 (H, W, 3)."""
    matte: Matte
    """Float (H, W) in [0, 1], or bool: 1 = product; kept as float32."""
    foreground: Pixels = field(default=None)  # type: ignore[arg-type]
    """The product's own colours under its soft rim; None computes them: where the rim holds colour of an
    old background, that is taken out."""
    name: str = ""
    mask_source: str = "matte"
    """Where the matte came from: ``matte`` (given as one), ``mask``, ``alpha``, ``path``, ``white`` or
    a network."""
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    """Remarks about the photo; they go into the report of every image made of it."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Resolution, creator and rights of the photo, kept in every file made of it."""
    allow_inverted: bool = False
    """Whether a matte may cover all corners and most of the border, as a background does."""

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, "Product.pixels")
        matte = _check_matte(self.matte, self.size, "Product.matte")
        object.__setattr__(self, "matte", matte)
        check_mask(matte, "Product.matte")
        evidence = detect_inversion(matte)
        if evidence.inverted and not self.allow_inverted:
            raise InvertedMaskError(
                f"Product.matte covers all four corners and {evidence.border_share:.0%} of the border, as a "
                "background does; give 1 - matte, or allow_inverted=True if it is right"
            )
        if self.foreground is None:
            mixed = measure_spill(self.pixels, matte).contaminated
            foreground = estimate_foreground(self.pixels, matte) if mixed else self.pixels
            object.__setattr__(self, "foreground", foreground)
        _check_pixels(self.foreground, "Product.foreground")
        if self.foreground.shape != self.pixels.shape:
            raise ImageError(
                f"Product.foreground has shape {self.foreground.shape}, Product.pixels {self.pixels.shape}; "
                "give one size, or leave it out"
            )
        opaque = matte >= 1
        if self.foreground is not self.pixels and (self.foreground[opaque] != self.pixels[opaque]).any():
            raise ImageError(
                "Product.foreground differs from Product.pixels where the matte is 1; there both are the "
                "product's own colours"
            )

    @classmethod
    def from_image(
        cls,
        image: Any,
        mask: Any = None,
        *,
        mask_means: Literal["product", "background"] = "product",
        name: str | None = None,
        allow_inverted: bool = False,
        config: CutoutConfig | None = None,
        network: CutoutNetwork | None = None,
    ) -> Product:
        """The product in ``image``, told from its background by ``mask``, else by alpha, else by a plain
        light background, else by ``network``.

        ``image`` and ``mask``: path, bytes, open file, PIL image, array or tensor
        (:mod:`cyclorama.imaging.inputs`). ``mask_means``: what white marks in the mask. ``name``: from which
        the seed is derived; None takes the file's, or the product gets one from its content when it is used.
        Raises ImageError, MaskError.
        """
        check_process()
        loaded = load_image(read_image(image))
        matte = None
        if mask is not None:
            matte = load_mask(read_mask(mask), loaded.size, mask_means, allow_inverted)
        product = build_product(loaded, matte, config, network)
        return product.derive(name=find_name(image) if name is None else name)

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))

    def derive(self, **changes: Any) -> Product:
        """The same product with some fields changed, not checked again: on a canvas it may be any size."""
        derived = copy.copy(self)
        derived.__dict__.update(changes)
        return derived


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference advertisement, checked when it is made.

    Raises UnreadableImageError (type, shape), MaskError (type, range, not finite), MaskSizeError.
    """

    pixels: Pixels
    """uint8 (H, W, 3)."""
    product_mask: Matte | None = None
    """Float (H, W) in [0, 1], 1 = its own product, which is hidden; None where it is unknown."""
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, "Reference.pixels")
        if self.product_mask is not None:
            size = (self.pixels.shape[0], self.pixels.shape[1])
            mask = _check_matte(self.product_mask, size, "Reference.product_mask")
            object.__setattr__(self, "product_mask", mask)

    @classmethod
    def from_image(
        cls, image: Any, mask: Any = None, *, mask_means: Literal["product", "background"] = "product"
    ) -> Reference:
        """The reference in ``image``; ``mask`` marks its own product, which the model does not see.

        Raises ImageError, MaskError.
        """
        loaded = load_image(read_image(image))
        own = None if mask is None else load_mask(read_mask(mask), loaded.size, mask_means)
        return build_reference(loaded, own, find_name(image))


def build_product(
    loaded: LoadedImage,
    mask: Matte | None = None,
    config: CutoutConfig | None = None,
    network: CutoutNetwork | None = None,
) -> Product:
    """The product in ``loaded`` with its soft matte and clean rim colours (:func:`cut_out`).

    ``mask`` (H, W), 1 = product, as :func:`cyclorama.imaging.masks.load_mask` gives it. Raises
    MissingMaskError (with the reason), EmptyMaskError, FullMaskError, ProductTooSmallError, MaskSizeError.
    """
    cut = cut_out(loaded, mask, config, network)
    return Product(
        loaded.pixels,
        cut.matte,
        cut.foreground,
        loaded.name,
        cut.source,
        loaded.icc_profile,
        loaded.notes + cut.notes,
        loaded.metadata,
        allow_inverted=True,  # a frame around an opening looks so, too; files are judged by load_mask
    )


def build_reference(loaded: LoadedImage, product_mask: Matte | None, name: str = "") -> Reference:
    """The reference in ``loaded``, in sRGB; transparent parts are shown on white, as a page would."""
    pixels = to_srgb(loaded.pixels, loaded.icc_profile)
    if loaded.alpha is not None:
        alpha = loaded.alpha[..., None]
        pixels = np.rint(pixels * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return Reference(pixels, product_mask, name or loaded.name, loaded.notes)


def _check_pixels(pixels: Any, name: str) -> None:
    if not isinstance(pixels, np.ndarray):
        raise UnreadableImageError(
            f"{name} is {type(pixels).__name__}; give a uint8 array (H, W, 3), or use from_image for "
            "files and PIL images"
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UnreadableImageError(f"{name} has shape {pixels.shape}; give (height, width, 3)")
    if pixels.dtype != np.uint8:
        span = f" from {pixels.min():.4g} to {pixels.max():.4g}" if pixels.dtype.kind in "fiu" else ""
        raise UnreadableImageError(
            f"{name} has dtype {pixels.dtype}{span}; give uint8 from 0 to 255: "
            "np.rint(255 * pixels).astype(np.uint8) for values from 0 to 1"
        )


def _check_matte(matte: Any, size: Size, name: str) -> Matte:
    if not isinstance(matte, np.ndarray) or matte.dtype.kind not in "fb":
        kind = matte.dtype if isinstance(matte, np.ndarray) else type(matte).__name__
        raise MaskError(f"{name} is {kind}; give a float array from 0 to 1, or bool (matte / 255 of uint8)")
    if matte.ndim != 2:
        raise MaskError(f"{name} has shape {matte.shape}; give (height, width)")
    if matte.shape != size:
        raise MaskSizeError(
            f"{name} has size {matte.shape}, the pixels {size} (height, width); give one size"
        )
    if not np.isfinite(matte).all():
        raise MaskError(f"{name}: {int((~np.isfinite(matte)).sum())} values are not finite; use 0 to 1")
    if matte.min() < 0 or matte.max() > 1:
        raise MaskError(f"{name} goes from {matte.min():.4g} to {matte.max():.4g}; give values from 0 to 1")
    return matte.astype(np.float32, copy=False)
