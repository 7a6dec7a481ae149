"""What tells a photo's product from its background?

In this order: a mask given with it, its own alpha channel, its clipping path, a plain light studio
background, a network (the bundled one if none is given). The first that applies is used and named.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import (
    EmptyMaskError,
    MaskError,
    MaskSizeError,
    MissingMaskError,
    SettingsError,
    import_optional,
)
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.loading import LoadedImage
from cyclorama.imaging.masks import check_mask, check_matte, has_shape, is_soft
from cyclorama.imaging.matting import MattingConfig, estimate_matte
from cyclorama.imaging.opinion import settle
from cyclorama.imaging.parts import drop_reflection
from cyclorama.imaging.subject import NAME, find_subject, look_at
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
        rembg = import_optional(
            "rembg",
            f"the cut-out network {model!r} needs rembg, which cannot be imported; "
            "install it with: pip install 'rembg[cpu]', or give a mask or an image with alpha",
        )
        self.name = f"rembg-{model}"
        self._remove = rembg.remove
        self._session = rembg.new_session(model)

    def __call__(self, pixels: Pixels) -> Matte:
        """The matte of uint8 ``pixels`` (H, W, 3)."""
        mask = np.asarray(self._remove(pixels, session=self._session, only_mask=True))
        return mask.reshape(mask.shape[:2]).astype(np.float32) / np.float32(255)


@dataclass(frozen=True, eq=False)
class FoundMatte:
    """A matte, where it came from, remarks, how sure the bundled network is if it is its own, and what the
    network sees (:class:`cyclorama.imaging.opinion.Settled`) if that differs."""

    matte: Matte
    source: str
    notes: tuple[str, ...] = ()
    confidence: float | None = None
    second: npt.NDArray[np.uint8] | None = None


def find_matte(
    loaded: LoadedImage,
    mask: Matte | None = None,
    config: CutoutConfig | None = None,
    network: CutoutNetwork | None = None,
) -> FoundMatte:
    """The matte of ``loaded`` by the first source that applies. Raises as :func:`build_product` does."""
    config = config or CutoutConfig()
    if mask is not None:
        if mask.shape != loaded.size:
            raise MaskSizeError(
                f"mask of {loaded.name} has size {mask.shape}, the image {loaded.size} (height, width); "
                "load it with load_mask(source, image.size)"
            )
        check_mask(mask, f"mask of {loaded.name}")
        matte = _close_opaque(mask, config)
        if config.refine and not is_soft(matte):
            matte = estimate_matte(loaded.pixels, matte, config.matting)
        return FoundMatte(matte, "mask")
    if loaded.alpha is not None and has_shape(loaded.alpha):
        matte = _close_opaque(loaded.alpha, config)
        if matte.max() < 0.5:
            raise EmptyMaskError(
                f"{loaded.name} is transparent throughout (largest alpha {matte.max():.3f} of 1); export it "
                "again with the product visible"
            )
        check_mask(matte, f"alpha of {loaded.name}")
        return FoundMatte(matte, "alpha")
    notes: tuple[str, ...] = ()
    if loaded.path is not None:
        try:
            check_mask(loaded.path, f"clipping path of {loaded.name}")
            return FoundMatte(loaded.path, "path")
        except MaskError as error:
            notes = (f"clipping path not used: {error}",)
    if network is not None and config.prefer_network:
        return _run_network(loaded, network, notes)
    reason, first, pixels = "keying is switched off", None, to_srgb(loaded.pixels, loaded.icc_profile)
    if config.key_background:
        with ThreadPoolExecutor(1) as beside:  # the network looks while colours are compared
            look = beside.submit(look_at, pixels)
            keyed = key_studio_background(loaded.pixels, config.keying)
            if keyed.matte is None and loaded.icc_profile is not None:  # its grey may be lighter than told
                keyed = key_studio_background(pixels, config.keying)
            reason, first = keyed.reason, look.result()
        if keyed.matte is not None:
            check_mask(keyed.matte, f"product keyed out of {loaded.name}")
            bare, mirror, foot = keyed.matte, notes[:0], len(keyed.matte)
            if config.clean:
                bare, mirror = drop_reflection(loaded.pixels, keyed.matte, on_alpha=False)
            if mirror:  # what lies below the product's foot would mislead the network
                foot, first = int(np.flatnonzero(bare.any(axis=1))[-1]) + 1, None
            settled = settle(pixels[:foot], bare[:foot], first)
            source = "white" if settled.confidence is None else NAME
            told = notes + keyed.notes + mirror + settled.notes
            matte = np.pad(settled.matte, ((0, len(bare) - foot), (0, 0)))
            return FoundMatte(matte, source, told, settled.confidence, settled.second)
    if network is not None:
        return _run_network(loaded, network, notes)
    subject = find_subject(pixels, config.matting, first)
    if subject.doubt:
        raise MissingMaskError(
            f"{loaded.name}: nothing tells the product from its background: no mask, no transparency, no "
            f"plain light background ({reason}), and {subject.doubt}. Give a mask (--mask FILE), a PNG with "
            "transparency, a photo on white, or another network (pip install 'rembg[cpu]', --cutout)"
        )
    check_mask(subject.matte, f"product found in {loaded.name}")
    return FoundMatte(subject.matte, NAME, notes + subject.notes, subject.confidence)


def _run_network(loaded: LoadedImage, network: CutoutNetwork, notes: tuple[str, ...]) -> FoundMatte:
    name = str(getattr(network, "name", "network"))
    found = np.asarray(network(to_srgb(loaded.pixels, loaded.icc_profile)), dtype=np.float32)
    try:
        matte = check_matte(found, loaded.size, "its matte")
    except MaskError as error:
        raise SettingsError(f"cut-out network {name!r} gave what cannot be used: {error}") from error
    try:
        check_mask(matte, f"matte of {loaded.name} by {name}")
    except EmptyMaskError as error:
        raise MissingMaskError(f"{error}; or give a mask (--mask FILE)") from error
    return FoundMatte(matte, name, notes)


def _close_opaque(alpha: Matte, config: CutoutConfig) -> Matte:
    return np.where(alpha >= config.opaque_from, 1, alpha).astype(np.float32)
