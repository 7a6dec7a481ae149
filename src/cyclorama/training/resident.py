"""Batches whose images live on the accelerator: for one that learns faster than processors prepare images.

Order, latents, timesteps and prompts are those of ``batch``, sample by sample. Noise, and what is done to the
images (hint and perturbation), is made there for a whole batch at once, with draws that depend on the run's
seed and the batch's first sample number; lengths and chances are those of the same settings, the arithmetic
is the accelerator's own: blur between three widths, octagons for discs, JPEG without subsampled colours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cyclorama.data.augment import HintConfig, PerturbConfig
from cyclorama.models.base import encode_image
from cyclorama.tensors import build_generator
from cyclorama.training.batch import BatchBuilder, Draws, TrainBatch
from cyclorama.training.dataset import Array, TrainingData

_COARSE = 4
"""Side of the cells in which a mask is dilated, pixels."""
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""JPEG's quantisation of lights and darks at quality 50 (ITU-T T.81, Annex K)."""


@dataclass(frozen=True, eq=False)
class ResidentImages:
    """All images of a run on one device: ``pixels`` uint8 (N, 3, H, W), ``masks`` uint8 (N, 1, H, W)."""

    pixels: Tensor
    masks: Tensor

    @classmethod
    def load(cls, data: TrainingData, device: torch.device, threads: int) -> ResidentImages:
        """Decode all of ``data`` with ``threads`` threads and move it to ``device``."""
        height, width = data.load(0)[0].shape[:2]
        pixels = torch.empty((len(data), 3, height, width), dtype=torch.uint8, device=device)
        masks = torch.empty((len(data), 1, height, width), dtype=torch.uint8, device=device)

        def decode(index: int) -> tuple[Tensor, Tensor]:
            image, mask = data.load(index)
            level = np.rint(mask * 255).astype(np.uint8)
            return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(level)[None]

        with ThreadPoolExecutor(threads) as pool:
            for index, (image, mask) in enumerate(pool.map(decode, range(len(data)))):
                pixels[index], masks[index] = image, mask
        return cls(pixels, masks)

    def take(self, indices: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [-1, 1] and masks (B, 1, H, W) in [0, 1], mirrored where ``flips``."""
        both = torch.cat([self.pixels[indices], self.masks[indices]], 1)
        both = torch.where(flips[:, None, None, None], both.flip(3), both).float() / 255
        return both[:, :3] * 2 - 1, both[:, 3:]

    def encode(self, vae: Any, flip: bool, batch: int) -> Array:
        """Scaled latents float16 (N, 1 or 2, c, h, w) of all images (and of their mirror images)."""
        device, views, found = self.pixels.device, 1 + flip, []
        vae.to(device)
        for indices in torch.split(torch.arange(len(self.pixels), device=device), batch):
            turned = [torch.full((len(indices),), bool(view), device=device) for view in range(views)]
            latents = [encode_image(vae, self.take(indices, flips)[0]) for flips in turned]
            found.append(torch.stack(latents, 1).half().cpu().numpy())
        vae.to("cpu")
        return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class ResidentBatchBuilder(BatchBuilder):
    """As :class:`BatchBuilder`, but the images of a batch are made when it is placed on the device."""

    images: ResidentImages
    zoom: float
    """Least share of an image's side that a sample shows."""
    vae: Any
    """Encodes what a sample shows, if that is not the whole image."""

    def build(self, draws: list[Draws]) -> TrainBatch:
        """The batch of ``draws`` without its images."""
        return replace(super().build(draws), flips=torch.tensor([d.flip for d in draws]))

    def _build_images(self, draws: list[Draws]) -> dict[str, Tensor]:
        return {}  # made by place

    def place(self, batch: TrainBatch, device: torch.device) -> TrainBatch:
        """The batch on ``device``, with all the images that the stage needs."""
        batch = batch.to(device)
        flips, indices = batch.flips, torch.tensor(batch.indices, device=device)
        assert flips is not None
        seed = build_generator(self.seed, batch.numbers[0], "resident").initial_seed()
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.randn(batch.latents.shape, generator=generator, device=device)
        batch = replace(batch, noise=noise)
        if not self.needs.product and self.zoom == 1:
            return batch
        image, mask = self.images.take(indices, flips)
        if self.zoom < 1:
            image, mask = zoom_in(image, mask, self.zoom, generator)
            batch = replace(batch, latents=encode_image(self.vae, image).float())
        if not self.needs.product:
            return batch
        hint, hint_mask = image, mask
        if self.augment is not None:
            hint, hint_mask = augment_hints(image, mask, self.augment, generator)
        parts: dict[str, Any] = {
            "image": image,
            "product_mask": mask,
            "hint_image": hint,
            "hint_mask": hint_mask,
        }
        if self.needs.reference:
            chosen = torch.randint(len(self.images.pixels), indices.shape, generator=generator, device=device)
            other = self.images.take(chosen, torch.zeros_like(flips))[0]
            parts["reference"], parts["reference_mask"] = perturb_batch(
                image, mask, other, self.perturb, generator
            )
        return replace(batch, **parts)


@torch.no_grad()
def zoom_in(
    image: Tensor, product_mask: Tensor, least: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A random part of each image (B, 3, H, W) and mask (B, 1, H, W), ``least`` to 1 of its sides."""
    draws = torch.rand((len(image), 3), generator=generator, device=image.device)
    share = least + (1 - least) * draws[:, 0]
    room = (1 - share)[:, None] * (2 * draws[:, 1:] - 1)
    theta = torch.zeros((len(image), 2, 3), device=image.device)
    theta[:, 0, 0] = theta[:, 1, 1] = share
    theta[:, :, 2] = room
    both = torch.cat([image, product_mask], 1)
    grid = F.affine_grid(theta, list(both.shape), align_corners=False)
    both = F.grid_sample(both, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return both[:, :3], both[:, 3:]


@torch.no_grad()
def perturb_batch(
    image: Tensor, product_mask: Tensor, other: Tensor, config: PerturbConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Eq. 5 and 6 as in :func:`cyclorama.data.augment.perturb` for a whole batch.

    ``image`` and ``other`` (B, 3, H, W) in [-1, 1], ``product_mask`` (B, 1, H, W); returns the same shapes.
    """
    count, _, height, width = image.shape
    scale, device = min(height, width) / config.reference_resolution, image.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    mask = product_mask
    if config.dilate:
        mask = torch.maximum(mask, _dilate(mask, config.kernel_px / 2 * scale))
    if config.translate:
        shift = ((draw(count, 2) * 2 - 1) * config.max_shift_px * scale).round()
        moved = _shift(mask, shift)
        mask = torch.maximum(moved, mask) if config.keep_covered else moved
    if config.boxes:
        sides = (
            config.box_min_px + (config.box_max_px - config.box_min_px) * draw(count, config.max_boxes, 2)
        ) * scale
        room = torch.tensor([height, width], device=device)
        start = draw(count, config.max_boxes, 2) * (room - sides).clamp(min=0)
        shown = torch.arange(config.max_boxes, device=device) < torch.randint(
            config.max_boxes + 1, (count, 1), generator=generator, device=device
        )
        inside = [
            (torch.arange(n, device=device) >= start[..., k, None])
            & (torch.arange(n, device=device) < (start + sides)[..., k, None])
            for k, n in enumerate((height, width))
        ]
        boxes = inside[0][..., :, None] & inside[1][..., None, :] & shown[..., None, None]
        mask = torch.maximum(mask, boxes.any(1, keepdim=True).to(mask.dtype))
    if config.mix:
        sigma = config.mix_min + (config.mix_max - config.mix_min) * draw(count, 1, 1, 1)
        image = torch.lerp(other, image, sigma)
    return image, mask


@torch.no_grad()
def augment_hints(
    image: Tensor, product_mask: Tensor, config: HintConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The hints of a whole batch as :func:`cyclorama.data.augment.augment_hint` makes one.

    ``image`` (B, 3, H, W) in [-1, 1], ``product_mask`` (B, 1, H, W); returns the same shapes.
    """
    count, device = len(image), image.device
    scale = min(image.shape[-2:]) / config.reference_resolution

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand((count, channels, 1, 1), generator=generator, device=device)
        return low + (high - low) * values

    def chance(part: bool) -> Tensor:
        return (draw(0, 1) < config.probability) & part

    def change(limit: float, channels: int = 1) -> Tensor:
        return draw(1 - limit, 1 + limit, channels)

    values = (image + 1) / 2 * (product_mask > 0)
    exposed = values * change(config.brightness) * change(config.white_balance, 3)
    saturation, weight = change(config.saturation), product_mask.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    exposed = saturation * exposed + (1 - saturation) * exposed.mean(1, keepdim=True)
    middle = (exposed * product_mask).sum((1, 2, 3), keepdim=True) / (3 * weight)
    contrast = change(config.contrast)
    jittered = contrast * exposed + (1 - contrast) * middle
    values = torch.where(chance(config.colour), jittered, values)
    plate = torch.where(draw(0, 1) < 0.5, torch.ones_like(weight), draw(40 / 255, 240 / 255))
    values = (values * product_mask + plate * (1 - product_mask)).clamp(0, 1)
    soft, softer = (_blur(values, share * config.max_blur_px * scale) for share in (0.5, 1.0))
    amount = draw(0, 2) * chance(config.blur)
    blurred = torch.where(amount < 1, torch.lerp(values, soft, amount), torch.lerp(soft, softer, amount - 1))
    detail = blurred - _blur(blurred, max(0.5, 2 * scale))
    values = blurred + detail * draw(0, config.max_sharpen) * chance(config.sharpen)
    squeezed = compress_batch(values, draw(config.min_quality, config.max_quality))
    values = torch.where(chance(config.jpeg), squeezed, values).clamp(0, 1)
    steps = (draw(-1, 1) * config.max_mask_px * scale).round() * chance(config.mask)
    return values * 2 - 1, _resize_masks(product_mask, steps, round(config.max_mask_px * scale))


def compress_batch(values: Tensor, quality: Tensor) -> Tensor:
    """``values`` (B, 3, H, W) in [0, 1] as JPEG of ``quality`` (B, 1, 1, 1) leaves them."""
    count, _, height, width = values.shape
    if height % 8 or width % 8:
        return values
    device = values.device
    k = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    weights = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], device=device
    )
    ycc = torch.einsum("dc,bchw->bdhw", weights, values * 255)
    blocks = ycc.reshape(count, 3, height // 8, 8, width // 8, 8)
    spectrum = torch.einsum("ij,bcyjxk,lk->bcyixl", basis, blocks, basis)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)[..., None, None]
    table = torch.tensor(_LUMA, device=device, dtype=torch.float32)[None, None, None, :, None, :]
    table = table * torch.tensor([1.0, 1.5, 1.5], device=device)[None, :, None, None, None, None]
    table = (table * factor).clamp(min=1)
    spectrum = (spectrum / table).round() * table
    back = torch.einsum("ij,bcyixl,lk->bcyjxk", basis, spectrum, basis).reshape(ycc.shape)
    rgb = torch.einsum("dc,bchw->bdhw", torch.linalg.inv(weights), back)
    return (rgb / 255).clamp(0, 1)


def _blur(values: Tensor, sigma: float) -> Tensor:
    if sigma < 0.2:
        return values
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.softmax(-(places**2) / (2 * sigma**2), 0).expand(values.shape[1], 1, 1, -1)
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=values.shape[1])
    return F.conv2d(across, kernel.transpose(2, 3), groups=values.shape[1])


def _dilate(mask: Tensor, radius: float) -> Tensor:
    """1 within ``radius`` pixels of a pixel that is mostly product, to ``_COARSE`` pixels."""
    coarse = F.max_pool2d((mask >= 0.5).to(mask.dtype), _COARSE)
    reach = radius / _COARSE
    places = torch.arange(-int(reach + 1), int(reach + 1) + 1, device=mask.device)
    disc = (places[:, None] ** 2 + places**2 <= reach**2).to(mask.dtype)[None, None]
    grown = (F.conv2d(coarse, disc, padding="same") > 0.5).to(mask.dtype)
    return F.interpolate(grown, scale_factor=float(_COARSE), mode="nearest")


def _shift(mask: Tensor, shift: Tensor) -> Tensor:
    """``mask`` (B, 1, H, W) moved by ``shift`` (B, 2) pixels down and right, 0 where nothing moved in."""
    height, width = mask.shape[-2:]
    rows = torch.arange(height, device=mask.device)[None] - shift[:, :1].long()
    columns = torch.arange(width, device=mask.device)[None] - shift[:, 1:].long()
    batch = torch.arange(len(mask), device=mask.device)[:, None, None]
    moved = mask[batch, 0, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    return (moved * inside)[:, None]


def _resize_masks(mask: Tensor, steps: Tensor, most: int) -> Tensor:
    """Masks (B, 1, H, W) grown by ``steps`` (B, 1, 1, 1) whole pixels, shrunk where they are below 0."""
    result, grown, shrunk = mask, mask, mask
    for step in range(1, most + 1):
        grown, shrunk = _grow(grown, step), 1 - _grow(1 - shrunk, step)
        result = torch.where(steps == step, grown, torch.where(steps == -step, shrunk, result))
    gone = result.amax((1, 2, 3), keepdim=True) < 0.5
    return torch.where(gone, mask, result)


def _grow(mask: Tensor, step: int) -> Tensor:
    """Grown by one pixel: a square at every second step, a cross at the others."""
    if step % 2 == 0:
        return F.max_pool2d(mask, 3, 1, 1)
    return torch.maximum(F.max_pool2d(mask, (3, 1), 1, (1, 0)), F.max_pool2d(mask, (1, 3), 1, (0, 1)))
