"""Images, masks and random numbers on torch's side of the border."""

from __future__ import annotations

import numpy as np
import torch

from cyclorama.errors import SettingsError
from cyclorama.seeding import compute_seed
from cyclorama.types import Matte, Pixels


def to_image(pixels: Pixels) -> torch.Tensor:
    """float32 (1, 3, H, W) in [-1, 1] of uint8 ``pixels`` (H, W, 3). Inverse: :func:`to_pixels`."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise SettingsError(f"pixels are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
    return torch.from_numpy(planes).to(torch.float32) / 127.5 - 1.0


def to_pixels(image: torch.Tensor) -> Pixels:
    """uint8 (H, W, 3) of one ``image`` (1, 3, H, W) or (3, H, W) in [-1, 1].

    Values outside are clipped, halves round to even. Raises SettingsError for another shape or values
    that are not finite. Invariant: ``to_pixels(to_image(x))`` is ``x`` bit for bit.
    """
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != 3:
        raise SettingsError(f"image has shape {tuple(image.shape)}; give (1, 3, H, W) or (3, H, W)")
    values = image.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(values).all()):
        bad = int((~torch.isfinite(values)).sum())
        raise SettingsError(f"{bad} values of the image are not finite; try --dtype float32")
    values = ((values + 1.0) * 127.5).clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).numpy())


def to_mask_tensor(mask: Matte) -> torch.Tensor:
    """float32 (1, 1, H, W) in [0, 1] of a ``mask`` (H, W), 1 = product."""
    if mask.ndim != 2:
        raise SettingsError(f"mask has shape {mask.shape}; give (H, W)")
    return torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None, None]


def build_generator(run_seed: int, item: str | int, purpose: str) -> torch.Generator:
    """A CPU ``torch.Generator`` of its own for (run, item, purpose)."""
    generator = torch.Generator("cpu")
    generator.manual_seed(compute_seed(run_seed, item, purpose))
    return generator
