"""Which part of an image is the product, how soft is its rim, and what colours has it there?

Sources, in this order: a mask given with it, its own alpha channel, a plain light studio background, a
cut-out network if one was given. The first that applies is used and named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cyclorama.errors import (
    EmptyMaskError,
    MaskSizeError,
    MissingDependencyError,
    MissingMaskError,
    SettingsError,
)
from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.loading import LoadedImage
from cyclorama.imaging.masks import check_mask, has_shape, is_soft
from cyclorama.imaging.matting import (
    MattingConfig,
    estimate_foreground,
    estimate_matte,
    measure_spill,
)

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels


@dataclass(frozen=True)
class CutoutConfig:
    """How a matte is found and refined."""

    refine: bool = True
    """Whether a hard mask gets a soft rim by matting; soft masks and file alphas are used as they are."""
    decontaminate: bool = True
    """Whether the old background's colour is taken out of the soft rim."""
    opaque_from: float = 250 / 255
    """Alpha from a file or soft mask counts as 1 from here on, 0-1: many exports write 254 for opaque, and
    only opaque pixels are under the product guarantee. 1.0 takes every value literally."""
    key_background: bool = True
    """Whether a plain light background without alpha may be keyed."""
    prefer_network: bool = False
    """Whether a given cut-out network goes before keying."""
    keying: KeyingConfig = field(default_factory=KeyingConfig)
    matting: MattingConfig = field(default_factory=MattingConfig)

    def __post_init__(self) -> None:
        if not 0.9 <= self.opaque_from <= 1:
            raise SettingsError(f"CutoutConfig.opaque_from is {self.opaque_from}; use 0.9 to 1")


class CutoutNetwork(Protocol):
    """Anything that finds the product in a photo, such as :class:`RembgNetwork`."""

    name: str
    """What ``Product.mask_source`` says."""

    def __call__(self, pixels: Pixels) -> Matte:
        """The matte, float (H, W) in [0, 1], 1 = product, of uint8 ``pixels`` (H, W, 3)."""
        ...


class RembgNetwork:
    """A cut-out network of the ``rembg`` package.

    rembg fetches the weights of ``model`` when it first needs them and they are not on the machine: building
    this object is the user's consent to that. Mind each model's licence (some forbid commercial use).
    Raises MissingDependencyError if rembg is not installed.
    """

    def __init__(self, model: str = "u2net") -> None:
        try:
            import rembg
        except (
            ImportError,
            SystemExit,
        ) as error:  # rembg leaves the interpreter if onnxruntime is missing
            raise MissingDependencyError(
                f"the cut-out network {model!r} needs rembg, which cannot be imported; "
                "install it with: pip install 'rembg[cpu]', or give a mask or an image with alpha"
            ) from error
        self.name = f"rembg-{model}"
        self._remove = rembg.remove
        self._session = rembg.new_session(model)

    def __call__(self, pixels: Pixels) -> Matte:
        """The matte of uint8 ``pixels`` (H, W, 3)."""
        mask = np.asarray(self._remove(pixels, session=self._session, only_mask=True))
        return mask.reshape(mask.shape[:2]).astype(np.float32) / np.float32(255)


@dataclass(frozen=True, eq=False)
class Cutout:
    """What was found in one image."""

    matte: Matte
    """float32 (H, W) in [0, 1], 1 = product."""
    foreground: Pixels
    """uint8 (H, W, 3), the product's own colours under the soft rim."""
    source: str
    """``mask``, ``alpha``, ``white`` or the name of a network."""


def cut_out(
    loaded: LoadedImage,
    mask: Matte | None = None,
    config: CutoutConfig | None = None,
    network: CutoutNetwork | None = None,
) -> Cutout:
    """The product in ``loaded`` with its soft matte and clean rim colours.

    ``mask`` (H, W), 1 = product, as :func:`cyclorama.imaging.masks.load_mask` gives it. A hard mask is
    refined by matting, a soft one and the file's alpha are used as they are (``config.opaque_from`` apart).
    Rim colours of a file with alpha are only decontaminated if they are found to be mixed with a former
    background (:func:`cyclorama.imaging.matting.measure_spill`).

    Invariant: ``foreground`` equals ``pixels`` wherever ``matte`` is 1. Raises MissingMaskError (with the
    reason), EmptyMaskError, FullMaskError, ProductTooSmallError, MaskSizeError.
    """
    config = config or CutoutConfig()
    pixels = loaded.pixels
    if mask is not None:
        if mask.shape != loaded.size:
            raise MaskSizeError(
                f"mask of {loaded.name} has size {mask.shape}, the image {loaded.size} (height, width); "
                "load it with load_mask(source, image.size)"
            )
        check_mask(mask, f"mask of {loaded.name}")
        matte, source = _close_opaque(mask, config), "mask"
        mixed = True
        if config.refine and not is_soft(matte):
            matte = estimate_matte(pixels, matte, config.matting)
    elif loaded.alpha is not None and has_shape(loaded.alpha):
        matte, source = _close_opaque(loaded.alpha, config), "alpha"
        check_mask(matte, f"alpha of {loaded.name}")
        mixed = measure_spill(pixels, matte).contaminated
    else:
        matte, source = _find_matte(loaded, config, network)
        mixed = True
    foreground = estimate_foreground(pixels, matte) if config.decontaminate and mixed else pixels.copy()
    return Cutout(matte, foreground, source)


def _close_opaque(alpha: Matte, config: CutoutConfig) -> Matte:
    return np.where(alpha >= config.opaque_from, 1, alpha).astype(np.float32)


def _find_matte(
    loaded: LoadedImage, config: CutoutConfig, network: CutoutNetwork | None
) -> tuple[Matte, str]:
    if network is not None and config.prefer_network:
        return _run_network(loaded, network), network.name
    reason = "keying is switched off"
    if config.key_background:
        keyed = key_studio_background(loaded.pixels, config.keying)
        if keyed.matte is not None:
            check_mask(keyed.matte, f"product keyed out of {loaded.name}")
            return keyed.matte, "white"
        reason = keyed.reason
    if network is not None:
        return _run_network(loaded, network), network.name
    raise MissingMaskError(
        f"{loaded.name}: nothing tells the product from its background: no mask, no transparency, and no "
        f"plain light background ({reason}). Give a mask (--mask FILE), a PNG with transparency, "
        "a photo on white, or a cut-out network (pip install 'rembg[cpu]')"
    )


def _run_network(loaded: LoadedImage, network: CutoutNetwork) -> Matte:
    matte = np.asarray(network(loaded.pixels), dtype=np.float32)
    if matte.shape != loaded.size:
        raise SettingsError(
            f"cut-out network {network.name!r} gave shape {matte.shape} for an image of {loaded.size}; "
            "it must return (H, W) at the image's size"
        )
    if not np.isfinite(matte).all() or matte.min() < 0 or matte.max() > 1:
        raise SettingsError(
            f"cut-out network {network.name!r} gave values from {matte.min()} to {matte.max()}; "
            "they must be finite, from 0 to 1"
        )
    try:
        check_mask(matte, f"matte of {loaded.name} by {network.name}")
    except EmptyMaskError as error:
        raise MissingMaskError(f"{error}; or give a mask (--mask FILE)") from error
    return matte
