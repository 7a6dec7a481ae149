"""A product photo with its matte and its own colours under the rim; a reference advertisement.

What tells a product from its background is found (:mod:`cyclorama.imaging.cutout`); specks, baked shadows and
mirror images are then taken out (:mod:`cyclorama.imaging.parts`). Products and references are checked where
they are made, so that nothing later has to ask whether sizes, types and ranges fit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cyclorama.errors import ImageError, InvertedMaskError, MaskError, UnreadableImageError
from cyclorama.imaging.colour import SRGB, can_convert, to_srgb
from cyclorama.imaging.cutout import CutoutConfig, CutoutNetwork, find_matte
from cyclorama.imaging.inputs import find_name
from cyclorama.imaging.loading import LoadedImage, load_image
from cyclorama.imaging.masks import MaskMeans, check_mask, check_matte, detect_inversion, load_mask
from cyclorama.imaging.matting import estimate_foreground, measure_spill
from cyclorama.imaging.parts import drop_reflection, drop_soft_shadow, drop_specks
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
    """Where the matte came from: ``matte`` (given as one), ``mask``, ``alpha``, ``path``, ``white``,
    ``u2netp`` (the bundled network) or a given network."""
    icc_profile: bytes | None = None
    """ICC bytes of the colours of ``pixels``; None is sRGB."""
    notes: tuple[str, ...] = ()
    """Remarks about the photo; they go into the report of every image made of it."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Resolution, creator and rights of the photo, kept in every file made of it."""
    allow_inverted: bool = False
    """Whether a matte may cover all corners and most of the border, as a background does."""
    mask_confidence: float | None = None
    """How sure the bundled network is of the matte, 0-1; None where the matte is not its own."""
    second: Any = None
    """What the network sees where it differs much from a plain background's key, RGBA uint8 (h, w, 4), small;
    for the reviewer."""

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, "Product.pixels")
        profile = self.icc_profile
        if profile is not None and not (isinstance(profile, bytes) and can_convert(profile, SRGB)):
            raise ImageError(
                f"Product.icc_profile is {profile!r:.40}, no profile; give the bytes of an RGB ICC profile, "
                "or None for sRGB"
            )
        matte = check_matte(self.matte, self.size, "Product.matte")
        object.__setattr__(self, "matte", matte)
        check_mask(matte, "Product.matte")
        inverted, border_share = detect_inversion(matte)
        if inverted and not self.allow_inverted:
            raise InvertedMaskError(
                f"Product.matte covers all four corners and {border_share:.0%} of the border, as a "
                "background does; give 1 - matte, or allow_inverted=True if it is right"
            )
        if self.foreground is None:
            mixed = min(measure_spill(self.pixels, matte)) >= 0.4
            foreground = estimate_foreground(self.pixels, matte) if mixed else self.pixels
            object.__setattr__(self, "foreground", foreground)
        _check_pixels(self.foreground, "Product.foreground")
        if self.foreground.shape != self.pixels.shape:
            raise ImageError(
                f"Product.foreground has shape {self.foreground.shape}, Product.pixels {self.pixels.shape}; "
                "give one size, or leave it out"
            )
        changed = self.foreground != self.pixels
        if (changed & (matte >= 1)[..., None]).any():
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
        mask_means: MaskMeans | None = None,
        name: str | None = None,
        allow_inverted: bool = False,
        config: CutoutConfig | None = None,
        network: CutoutNetwork | None = None,
    ) -> Product:
        """The product in ``image``, told from its background by ``mask``, else by alpha, else by a plain
        light background, else by ``network`` (None: the bundled one).

        ``image`` and ``mask``: path, bytes, open file, PIL image, array or tensor
        (:mod:`cyclorama.imaging.inputs`). ``mask_means``: what white marks in the mask; None is the product.
        ``name``: from which the seed is derived; None takes the file's, or the product gets one from its
        content when it is used. Raises ImageError, MaskError.
        """
        check_process()
        loaded = load_image(image)
        matte = None
        if mask is not None:
            matte = load_mask(mask, loaded.size, mask_means, allow_inverted)
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
            mask = check_matte(self.product_mask, size, "Reference.product_mask")
            object.__setattr__(self, "product_mask", mask)

    @classmethod
    def from_image(cls, image: Any, mask: Any = None, *, mask_means: MaskMeans | None = None) -> Reference:
        """The reference in ``image``; ``mask`` marks its own product, which the model does not see.

        Raises ImageError, MaskError.
        """
        loaded = load_image(image)
        own = None if mask is None else load_mask(mask, loaded.size, mask_means)
        return build_reference(loaded, own, find_name(image))


def build_product(
    loaded: LoadedImage,
    mask: Matte | None = None,
    config: CutoutConfig | None = None,
    network: CutoutNetwork | None = None,
) -> Product:
    """The product in ``loaded`` with its soft matte and clean rim colours.

    ``mask`` (H, W), 1 = product, as :func:`cyclorama.imaging.masks.load_mask` gives it. A hard mask is
    refined by matting, a soft one and the file's alpha are used as they are (``config.opaque_from`` apart).
    Rim colours of a file with alpha are only decontaminated if they are found to be mixed with a former
    background (:func:`cyclorama.imaging.matting.measure_spill`).

    Raises MissingMaskError (with the reason), EmptyMaskError, FullMaskError, ProductTooSmallError,
    MaskSizeError.
    """
    config = config or CutoutConfig()
    pixels = loaded.pixels
    found = find_matte(loaded, mask, config, network)
    matte, source, notes, shadowed = found.matte, found.source, found.notes, False
    if config.clean:
        matte, notes, shadowed = _clean(pixels, matte, source, notes)
    foreground = None if config.decontaminate else pixels
    if config.decontaminate and (source != "alpha" or shadowed):
        foreground = estimate_foreground(pixels, matte)
    return Product(
        pixels,
        matte,
        foreground,  # type: ignore[arg-type]
        loaded.name,
        source,
        loaded.icc_profile,
        loaded.notes + notes,
        loaded.metadata,
        allow_inverted=True,  # a frame around an opening looks so, too; files are judged by load_mask
        mask_confidence=found.confidence,
        second=found.second,
    )


def _clean(
    pixels: Pixels, matte: Matte, source: str, notes: tuple[str, ...]
) -> tuple[Matte, tuple[str, ...], bool]:
    """``matte`` without what is no product, notes, and whether a shadow was taken out of its rim.

    It stays as it is where nothing usable would be left.
    """
    cleaned, specks = drop_specks(matte)
    shadow: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()
    if source == "alpha":
        cleaned, shadow = drop_soft_shadow(pixels, cleaned)
        cleaned, mirror = drop_reflection(pixels, cleaned, on_alpha=True)
    try:
        check_mask(cleaned)
    except MaskError:
        return matte, notes, False
    return cleaned, notes + specks + shadow + mirror, bool(shadow)


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
