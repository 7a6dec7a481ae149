"""Perturbation of the personality generator's training input (arXiv 2312.13309, Eq. 5 and 6).

In training, product and background of one image go in and that same image is to come out, so the
generator could simply copy. Eq. 5 hides more than the product, Eq. 6 mixes another image in.
All lengths are pixels at ``reference_resolution`` and scale with the shorter side of the image.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from scipy import ndimage

from cyclorama.config import Settings
from cyclorama.errors import ConfigError, SettingsError
from cyclorama.seeding import MAX_SEED, build_generator

MAX_RADIUS = 250
Bools = npt.NDArray[np.bool_]


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

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        if self.box_min_px > self.box_max_px:
            raise ConfigError(f"box sides {self.box_min_px} to {self.box_max_px} px: need min <= max")
        if self.mix_min > self.mix_max:
            raise ConfigError(f"mix weights {self.mix_min} to {self.mix_max}: need min <= max")
        return self


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
    _check_shapes(image, product_mask, other_image if config.mix else None)
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


def _check_shapes(image: torch.Tensor, mask: torch.Tensor, other: torch.Tensor | None) -> None:
    if image.ndim != 3 or mask.shape != (1, *image.shape[1:]):
        raise SettingsError(
            f"perturb takes image (C, H, W) and mask (1, H, W), got {image.shape} and {mask.shape}"
        )
    if other is not None and other.shape != image.shape:
        raise SettingsError(
            f"other_image is {tuple(other.shape)}, image {tuple(image.shape)}; they must agree"
        )


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
    shifted = torch.zeros_like(mask)
    if abs(dy) < height and abs(dx) < width:
        target = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
        origin = (slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx)))
        shifted[..., target[0], target[1]] = mask[..., origin[0], origin[1]]
    return shifted


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
