"""Augmentation of the product hint in the category stage, so that photos work as well as renders.

Not in the paper. The product is cut out, laid on a plain plate and then treated like somebody's photo:
other exposure and colours, blur or sharpening, JPEG, a mask that is a little too tight or too wide.
Because of the plate no pixel of the true background can reach the hint, however the mask grows.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.data.perturb import dilate_mask
from cyclorama.errors import ConfigError

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

Floats = npt.NDArray[np.float32]


Change = Annotated[float, Field(ge=0, lt=1)]
Length = Annotated[float, Field(ge=0)]
Quality = Annotated[int, Field(ge=1, le=100)]


class HintConfig(Settings):
    """Which parts of the augmentation act, and how far. Lengths are pixels at ``reference_resolution``."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of each part, independently."""
    colour: bool = True
    brightness: Change = 0.15
    """Largest relative change of exposure."""
    contrast: Change = 0.15
    saturation: Change = 0.2
    white_balance: Change = 0.06
    """Largest relative change of a colour channel."""
    blur: bool = True
    max_blur_px: Length = 2.0
    """Largest standard deviation."""
    sharpen: bool = True
    max_sharpen: Length = 1.0
    """Largest strength of the unsharp mask (1 doubles the detail)."""
    jpeg: bool = True
    min_quality: Quality = 40
    max_quality: Quality = 95
    mask: bool = True
    max_mask_px: Length = 4.0
    """Largest erosion or dilation of the mask."""
    reference_resolution: Annotated[int, Field(ge=1)] = 512
    """Shorter side, in pixels, at which the lengths hold."""

    @model_validator(mode="after")
    def _check_quality(self) -> Self:
        if self.min_quality > self.max_quality:
            raise ConfigError(f"JPEG quality {self.min_quality} to {self.max_quality}: need min <= max")
        return self


def augment_hint(
    pixels: Pixels, product_mask: Matte, config: HintConfig, rng: np.random.Generator
) -> tuple[Pixels, Matte]:
    """(pixels uint8 (H, W, 3), product_mask float32 (H, W)) for the hint only; the target stays as it is.

    The returned pixels show the product on a plain plate (white half of the time, else a random grey).
    One number is drawn from ``rng``; each part has its own generator made from it, so switching one off
    leaves the others' draws as they were. Invariant: pixels where ``product_mask`` is 0 have no
    influence on the result.
    """
    scale = min(pixels.shape[:2]) / config.reference_resolution
    parts = np.random.SeedSequence(int(rng.integers(0, 2**63))).spawn(6)
    plate_rng, colour_rng, blur_rng, sharpen_rng, jpeg_rng, mask_rng = (
        np.random.Generator(np.random.PCG64(part)) for part in parts
    )
    plate = 255.0 if plate_rng.random() < 0.5 else float(plate_rng.uniform(40, 240))
    alpha = product_mask[..., None]
    values = np.where(alpha > 0, pixels, 0).astype(np.float32)
    if config.colour and colour_rng.random() < config.probability:
        values = jitter_colour(values, product_mask, config, colour_rng)
    image = Image.fromarray(_to_pixels(values * alpha + plate * (1 - alpha)))
    if config.blur and blur_rng.random() < config.probability:
        image = image.filter(ImageFilter.GaussianBlur(config.max_blur_px * scale * blur_rng.random()))
    if config.sharpen and sharpen_rng.random() < config.probability:
        percent = round(100 * config.max_sharpen * sharpen_rng.random())
        image = image.filter(
            ImageFilter.UnsharpMask(radius=max(0.5, 2 * scale), percent=percent, threshold=0)
        )
    if config.jpeg and jpeg_rng.random() < config.probability:
        image = compress(image, int(jpeg_rng.integers(config.min_quality, config.max_quality + 1)))
    mask = product_mask
    if config.mask and mask_rng.random() < config.probability:
        mask = resize_mask(product_mask, float(mask_rng.uniform(-1, 1)) * config.max_mask_px * scale)
    return np.array(image), mask.astype(np.float32, copy=True)


def jitter_colour(
    values: Floats, product_mask: Matte, config: HintConfig, rng: np.random.Generator
) -> Floats:
    """float32 (H, W, 3), not clipped: exposure, white balance, contrast and saturation changed."""
    exposure, contrast, saturation = (
        1 + float(rng.uniform(-limit, limit))
        for limit in (config.brightness, config.contrast, config.saturation)
    )
    balance = 1 + rng.uniform(-config.white_balance, config.white_balance, 3)
    flat = values.reshape(-1, 3)
    weight = float(product_mask.sum())
    means = product_mask.reshape(-1) @ flat / weight if weight > 0 else np.zeros(3)
    mean = float((means * exposure * balance).mean())
    towards_grey = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = (
        contrast * exposure * towards_grey * balance
    )  # per pixel: exposure, balance, contrast, saturation
    jittered: Floats = flat @ matrix.T.astype(np.float32) + np.float32(mean * (1 - contrast))
    return jittered.reshape(values.shape)


def compress(image: Image.Image, quality: int) -> Image.Image:
    """The image after JPEG compression at ``quality`` (1 to 100)."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    with Image.open(io.BytesIO(stream.getvalue())) as opened:
        return opened.convert("RGB")


def resize_mask(product_mask: Matte, pixels: float) -> Matte:
    """The mask grown by ``pixels`` (negative: shrunk), rounded to whole pixels; never shrunk to nothing.

    Growing gives max(mask, disc dilation), shrinking the same on the background.
    """
    steps = round(abs(pixels))
    if steps == 0:
        return product_mask
    shorter = min(product_mask.shape)
    grow = pixels > 0
    source = torch.from_numpy(np.ascontiguousarray(product_mask if grow else 1 - product_mask))
    moved: Matte = dilate_mask(source, kernel_px=2 * steps, reference_resolution=shorter).numpy()
    if grow:
        return moved
    shrunk: Matte = 1 - moved
    return shrunk if shrunk.max() >= 0.5 else product_mask


def _to_pixels(values: Floats) -> Pixels:
    levels: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return levels
