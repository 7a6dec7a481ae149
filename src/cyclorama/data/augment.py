"""What training changes in the images it shows: Eq. 5 and 6 of the paper, and the hint's augmentation.

Personality stage (arXiv 2312.13309): product and background of one image go in and that same image is to come
out, so the generator could simply copy. Eq. 5 hides more than the product, Eq. 6 mixes another image in.

Category stage, not in the paper: the product is cut out, laid on a plain plate and then treated like
somebody's photo: other exposure and colours, blur or sharpening, JPEG, a mask that is a little too tight or
too wide. Because of the plate no pixel of the true background can reach the hint, however the mask grows.

All lengths are pixels at ``reference_resolution`` and scale with the shorter side of the image.
"""

from __future__ import annotations

import io
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from pydantic import Field
from scipy import ndimage

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED
from cyclorama.tensors import build_generator
from cyclorama.types import Matte, Pixels

MAX_RADIUS = 250
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Change = Annotated[float, Field(ge=0, lt=1)]
Length = Annotated[float, Field(ge=0)]
Quality = Annotated[int, Field(ge=1, le=100)]


class PerturbConfig(Settings):
    """Which parts of the perturbation act, and how far."""

    dilate: bool = True
    kernel_px: Annotated[float, Field(ge=0)] = 50.0
    """Width of the dilation kernel (its radius is half of it)."""
    shape: Literal["elliptical", "rect"] = "elliptical"
    translate: bool = True
    max_shift_px: Annotated[float, Field(ge=0)] = 50.0
    """Largest shift of the mask, each way."""
    keep_covered: bool = False
    """Also hide the unshifted (dilated) mask, so that the shift never shows the product. Not in the paper."""
    boxes: bool = True
    max_boxes: Annotated[int, Field(ge=0)] = 3
    box_min_px: Annotated[float, Field(gt=0)] = 32.0
    box_max_px: float = 160.0
    mix: bool = True
    mix_min: Annotated[float, Field(ge=0, le=1)] = 0.75
    mix_max: Annotated[float, Field(ge=0, le=1)] = 0.95
    reference_resolution: Annotated[int, Field(ge=1)] = 512
    """Shorter side, in pixels, at which the lengths hold."""

    ordered = (("box_min_px", "box_max_px"), ("mix_min", "mix_max"))


def perturb(
    image: torch.Tensor,
    product_mask: torch.Tensor,
    other_image: torch.Tensor | None,
    config: PerturbConfig,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(image_aug (3, H, W) in [-1, 1], mask_aug (1, H, W) in [0, 1]); PG sees image_aug where mask_aug is 0.

    ``image`` (3, H, W) and ``other_image`` (same shape; another training image, needed when ``mix`` is on)
    are in [-1, 1]; ``product_mask`` (1, H, W) is in [0, 1], 1 = product.

    Eq. 5: ``mask_aug = max(shift(dilate(M)), boxes)``, in this order; what the shift brings in from
    outside is background. Eq. 6: ``image_aug = s image + (1 - s) other_image`` with s uniform in
    ``mix_min`` to ``mix_max``.

    What is hidden: without ``translate``, mask_aug >= M everywhere, so the product is never visible.
    With it, as in the paper, the dilated mask moves off the product by up to 50 px each way while the
    dilation reaches 25 px, so a band of the product can show; ``keep_covered`` hides it again.

    One number is drawn from ``generator``; each part has a sub-seed of its own made from that number, so
    switching one part off leaves the other parts' draws as they were.

    Raises SettingsError: ``mix`` without ``other_image``, shapes that do not fit.
    """
    if config.mix and other_image is None:
        raise SettingsError(
            "mix is on but there is no other_image; give another training image or switch it off"
        )
    if image.ndim != 3 or product_mask.shape != (1, *image.shape[1:]):
        raise SettingsError(
            f"perturb takes image (C, H, W) and mask (1, H, W), got {image.shape} and {product_mask.shape}"
        )
    if config.mix and other_image is not None and other_image.shape != image.shape:
        raise SettingsError(
            f"other_image is {tuple(other_image.shape)}, image {tuple(image.shape)}; they must agree"
        )
    base = int(torch.randint(0, MAX_SEED, (1,), generator=generator, device=generator.device).item())
    height, width = image.shape[-2:]
    scale = min(height, width) / config.reference_resolution
    mask_aug = product_mask
    if config.dilate:
        mask_aug = dilate_mask(mask_aug, config.kernel_px, config.shape, config.reference_resolution)
    if config.translate:
        dy, dx = sample_shift(config.max_shift_px * scale, build_generator(base, 0, "perturb shift"))
        shifted = shift_mask(mask_aug, dy, dx)
        mask_aug = torch.maximum(shifted, mask_aug) if config.keep_covered else shifted
    if config.boxes:
        mask_aug = mask_aug.clone()
        for top, left, bottom, right in sample_boxes(
            (height, width), config, build_generator(base, 0, "perturb boxes")
        ):
            mask_aug[..., top:bottom, left:right] = 1.0
    image_aug = image
    if config.mix and other_image is not None:
        draw = torch.rand((1,), generator=build_generator(base, 0, "perturb mix"), dtype=torch.float64).item()
        sigma = config.mix_min + (config.mix_max - config.mix_min) * draw
        image_aug = torch.lerp(other_image, image, sigma)
    return image_aug, mask_aug


def sample_shift(limit: float, generator: torch.Generator) -> tuple[int, int]:
    """(dy, dx) in pixels, uniform over the whole numbers from -limit to limit."""
    reach = round(limit)
    dy, dx = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    return dy, dx


def sample_boxes(
    size: tuple[int, int], config: PerturbConfig, generator: torch.Generator
) -> list[tuple[int, int, int, int]]:
    """0 to ``max_boxes`` boxes (top, left, bottom, right), sides uniform, wholly inside the image."""
    height, width = size
    scale = min(height, width) / config.reference_resolution
    count = int(torch.randint(0, config.max_boxes + 1, (1,), generator=generator).item())
    boxes = []
    for _ in range(count):
        draws = torch.rand((4,), generator=generator, dtype=torch.float64).tolist()
        sides = [config.box_min_px + (config.box_max_px - config.box_min_px) * draw for draw in draws[:2]]
        box_height = min(height, max(1, round(sides[0] * scale)))
        box_width = min(width, max(1, round(sides[1] * scale)))
        top = min(int(draws[2] * (height - box_height + 1)), height - box_height)
        left = min(int(draws[3] * (width - box_width + 1)), width - box_width)
        boxes.append((top, left, top + box_height, left + box_width))
    return boxes


def shift_mask(mask: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """``mask`` (..., H, W) moved down by ``dy`` and right by ``dx`` pixels, 0 where nothing moved in."""
    height, width = mask.shape[-2:]
    dy, dx = max(-height, min(height, dy)), max(-width, min(width, dx))
    return torch.nn.functional.pad(mask, (dx, -dx, dy, -dy))


def dilate_mask(
    mask: torch.Tensor,
    kernel_px: float = 50.0,
    shape: Literal["elliptical", "rect"] = "elliptical",
    reference_resolution: int = 512,
) -> torch.Tensor:
    """``mask`` (..., H, W) in [0, 1] grown by half of ``kernel_px``, scaled with the shorter side.

    1 at every pixel within the radius of a pixel that is mostly product (mask >= 0.5), the mask itself
    elsewhere, so the result is never below the mask. Also for references with a known product mask.
    Exact for the disc dx² + dy² <= r² (or the square |dx|, |dy| <= r).
    """
    radius = kernel_px / 2 * min(mask.shape[-2:]) / reference_resolution
    if radius < 1:
        return mask.clone()
    flat = mask.detach().cpu().numpy().reshape(-1, *mask.shape[-2:])
    grown = np.stack([dilate_binary(plane >= 0.5, radius, shape) for plane in flat])
    hidden = torch.from_numpy(grown.reshape(mask.shape)).to(mask.device)
    return torch.where(hidden, torch.ones_like(mask), mask)


def dilate_binary(plane: Bools, radius: float, shape: Literal["elliptical", "rect"] = "elliptical") -> Bools:
    """bool (H, W): every pixel within ``radius`` of a True one; ``rect`` measures along both axes."""
    if radius > MAX_RADIUS:
        raise SettingsError(f"dilation radius {radius:.0f} px is above {MAX_RADIUS} px; lower kernel_px")
    if shape == "rect":
        return np.asarray(ndimage.maximum_filter(plane, 2 * int(radius) + 1, mode="constant"))
    if radius < 1 or not plane.any():
        return plane.copy()
    return np.asarray(ndimage.distance_transform_edt(~plane) <= radius)


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

    ordered = (("min_quality", "max_quality"),)


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
    levels = np.rint(values * alpha + plate * (1 - alpha)).clip(0, 255)
    image = Image.fromarray(levels.astype(np.uint8))
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
    grow = pixels > 0
    source = torch.from_numpy(np.ascontiguousarray(product_mask if grow else 1 - product_mask))
    moved = dilate_mask(source, kernel_px=2 * steps, reference_resolution=min(product_mask.shape)).numpy()
    if grow:
        return np.asarray(moved)
    shrunk: Matte = 1 - moved
    return shrunk if shrunk.max() >= 0.5 else product_mask
