"""Which part of an image is the product, how soft is its rim, and what colours has it there?

Sources, in this order: a mask given with it, its own alpha channel, its clipping path, a plain light studio
background, a cut-out network if one was given. The first that applies is used and named. Specks, baked
shadows and mirror images are then taken out (:mod:`cyclorama.imaging.parts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import (
    EmptyMaskError,
    MaskError,
    MaskSizeError,
    MissingDependencyError,
    MissingMaskError,
    SettingsError,
)
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.loading import LoadedImage
from cyclorama.imaging.masks import check_mask, has_shape, is_soft
from cyclorama.imaging.matting import (
    MattingConfig,
    estimate_foreground,
    estimate_matte,
    measure_spill,
)
from cyclorama.imaging.parts import drop_reflection, drop_soft_shadow, drop_specks
from cyclorama.types import Matte, Pixels

CutoutNetwork = Callable[["Pixels"], "Matte"]
"""Finds the product in uint8 pixels (H, W, 3): its matte, float (H, W) in [0, 1], 1 = product. Its attribute
``name``, if it has one, is what ``Product.mask_source`` says."""


class CutoutConfig(Settings):
    """How a matte is found and refined."""

    error_type = SettingsError

    refine: bool = True
    """Whether a hard mask gets a soft rim by matting; soft masks and file alphas are used as they are."""
    decontaminate: bool = True
    """Whether the old background's colour is taken out of the soft rim."""
    opaque_from: Annotated[float, Field(ge=0.9, le=1)] = 250 / 255
    """Alpha from a file or soft mask counts as 1 from here on, 0-1: many exports write 254 for opaque, and
    only opaque pixels are under the product guarantee. 1.0 takes every value literally."""
    key_background: bool = True
    """Whether a plain light background without alpha may be keyed."""
    prefer_network: bool = False
    """Whether a given cut-out network goes before keying."""
    clean: bool = True
    """Whether specks, and outside of given masks baked shadows and mirror images, are taken out."""
    keying: KeyingConfig = KeyingConfig()
    matting: MattingConfig = MattingConfig()


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
    """``mask``, ``alpha``, ``path``, ``white`` or the name of a network."""
    notes: tuple[str, ...] = ()
    """What was taken out or could not be used."""


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
    notes: tuple[str, ...] = ()
    if mask is not None:
        if mask.shape != loaded.size:
            raise MaskSizeError(
                f"mask of {loaded.name} has size {mask.shape}, the image {loaded.size} (height, width); "
                "load it with load_mask(source, image.size)"
            )
        check_mask(mask, f"mask of {loaded.name}")
        matte, source = _close_opaque(mask, config), "mask"
        if config.refine and not is_soft(matte):
            matte = estimate_matte(pixels, matte, config.matting)
    elif loaded.alpha is not None and has_shape(loaded.alpha):
        matte, source = _close_opaque(loaded.alpha, config), "alpha"
        check_mask(matte, f"alpha of {loaded.name}")
    else:
        matte, source, notes = _find_matte(loaded, config, network)
    shadowed = False
    if config.clean:
        matte, notes, shadowed = _clean(pixels, matte, source, notes)
    foreground = pixels
    mixed = source != "alpha" or shadowed or measure_spill(pixels, matte).contaminated
    if config.decontaminate and mixed:
        foreground = estimate_foreground(pixels, matte)
    return Cutout(matte, foreground, source, notes)


def _close_opaque(alpha: Matte, config: CutoutConfig) -> Matte:
    return np.where(alpha >= config.opaque_from, 1, alpha).astype(np.float32)


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
    if source in ("alpha", "white"):
        cleaned, mirror = drop_reflection(pixels, cleaned, source == "alpha")
    try:
        check_mask(cleaned)
    except MaskError:
        return matte, notes, False
    return cleaned, notes + specks + shadow + mirror, bool(shadow)


def _find_matte(
    loaded: LoadedImage, config: CutoutConfig, network: CutoutNetwork | None
) -> tuple[Matte, str, tuple[str, ...]]:
    """(matte, source, notes) of an image that brings neither mask nor alpha."""
    notes: tuple[str, ...] = ()
    if loaded.path is not None:
        try:
            check_mask(loaded.path, f"clipping path of {loaded.name}")
            return loaded.path, "path", ()
        except MaskError as error:
            notes = (f"clipping path not used: {error}",)
    if network is not None and config.prefer_network:
        return *_run_network(loaded, network), notes
    reason = "keying is switched off"
    if config.key_background:
        keyed = key_studio_background(loaded.pixels, config.keying)
        if keyed.matte is None and loaded.icc_profile is not None:  # its grey may be lighter than its numbers
            keyed = key_studio_background(to_srgb(loaded.pixels, loaded.icc_profile), config.keying)
        if keyed.matte is not None:
            check_mask(keyed.matte, f"product keyed out of {loaded.name}")
            return keyed.matte, "white", notes + keyed.notes
        reason = keyed.reason
    if network is not None:
        return *_run_network(loaded, network), notes
    raise MissingMaskError(
        f"{loaded.name}: nothing tells the product from its background: no mask, no transparency, and no "
        f"plain light background ({reason}). Give a mask (--mask FILE), a PNG with transparency, "
        "a photo on white, or a cut-out network (pip install 'rembg[cpu]')"
    )


def _run_network(loaded: LoadedImage, network: CutoutNetwork) -> tuple[Matte, str]:
    name = str(getattr(network, "name", "network"))
    matte = np.asarray(network(to_srgb(loaded.pixels, loaded.icc_profile)), dtype=np.float32)
    if matte.shape != loaded.size:
        raise SettingsError(
            f"cut-out network {name!r} gave shape {matte.shape} for an image of {loaded.size}; "
            "it must return (H, W) at the image's size"
        )
    if not np.isfinite(matte).all() or matte.min() < 0 or matte.max() > 1:
        raise SettingsError(
            f"cut-out network {name!r} gave values from {matte.min()} to {matte.max()}; "
            "they must be finite, from 0 to 1"
        )
    try:
        check_mask(matte, f"matte of {loaded.name} by {name}")
    except EmptyMaskError as error:
        raise MissingMaskError(f"{error}; or give a mask (--mask FILE)") from error
    return matte, name
