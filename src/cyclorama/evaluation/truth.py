"""How near is a background to the true one?  PSNR, SSIM and a perceptual distance outside the product.

The product is the same in both images, so all three look at the background alone: product pixels have
weight 0, also inside SSIM's windows. scikit-image's ``structural_similarity`` knows no weights; a test holds
ours to it where the weight is 1 everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cyclorama.errors import NothingToMeasureError, TooFewImagesError
from cyclorama.evaluation.resize import check_same_size, fill_product, grow_mask

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.evaluation.features import CycloramaNetwork
    from cyclorama.types import Matte, Pixels

    Plane = npt.NDArray[np.float64]

PSNR_LIMIT = 100.0
"""dB reported for equal backgrounds, where the true value is infinite."""
_SIGMA = 1.5
_RADIUS = 5


@dataclass(frozen=True)
class TruthScore:
    """One image against the true one, background only."""

    psnr: float
    """dB; higher is nearer; 100 for equal."""
    ssim: float
    """-1 to 1; 1 for equal."""
    perceptual: float | None
    """0 for equal, larger is farther; None where no network was given."""


def compute_truth(
    pixels: Pixels, truth: Pixels, mask: Matte | None, network: CycloramaNetwork | None = None
) -> TruthScore:
    """The scores of ``pixels`` against ``truth`` (uint8 (H, W, 3)) outside ``mask`` (1 = product).

    ``mask`` None takes the whole image. Raises ImageSizeError, TooFewImagesError (no background left).
    """
    check_same_size(pixels, truth, "image", "truth")
    weight = _get_weight(pixels, mask)
    perceptual = None if network is None else compute_perceptual(pixels, truth, mask, network)
    return TruthScore(compute_psnr(pixels, truth, weight), compute_ssim(pixels, truth, weight), perceptual)


def compute_psnr(pixels: Pixels, truth: Pixels, weight: Plane) -> float:
    """Peak signal-to-noise ratio in dB (peak 255) with ``weight`` (H, W) in [0, 1] per pixel.

    Raises NothingToMeasureError where all weights are 0.
    """
    error = _average(((pixels.astype(np.float64) - truth) ** 2).mean(axis=2), weight)
    return PSNR_LIMIT if error == 0 else min(PSNR_LIMIT, 10 * float(np.log10(255**2 / error)))


def compute_ssim(pixels: Pixels, truth: Pixels, weight: Plane) -> float:
    """Structural similarity (Wang et al. 2004, Eq. 13): Gaussian window of 11, sigma 1.5, mean of channels.

    Local moments are means weighted with window times ``weight`` (H, W); the result is the mean of the map
    under ``weight``. With weight 1 everywhere it is the usual SSIM, windows at the border cut at the frame.
    Raises NothingToMeasureError where all weights are 0.
    """
    norm = _blur(weight)
    safe = np.where(norm > 1e-6, norm, 1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    total = 0.0
    for channel in range(3):
        x, y = pixels[..., channel].astype(np.float64), truth[..., channel].astype(np.float64)
        mean_x, mean_y = _blur(weight * x) / safe, _blur(weight * y) / safe
        var_x = _blur(weight * x * x) / safe - mean_x**2
        var_y = _blur(weight * y * y) / safe - mean_y**2
        cov = _blur(weight * x * y) / safe - mean_x * mean_y
        quotient = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
        quotient /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        total += _average(quotient, weight)
    return total / 3


def _average(plane: Plane, weight: Plane) -> float:
    total = float(weight.sum())
    if total <= 0:
        raise NothingToMeasureError("no pixel has a weight; there is no background to compare")
    return float((plane * weight).sum()) / total


def compute_perceptual(pixels: Pixels, truth: Pixels, mask: Matte | None, network: CycloramaNetwork) -> float:
    """The squared distance of unit-length features on five scales of the feature network, background only.

    In the manner of LPIPS (arXiv 1801.03924, Eq. 1, all channel weights 1), but with our network: not
    comparable with published LPIPS. The product is grey in both inputs and has no weight in the means.
    """
    import torch

    pair = [pixels, truth] if mask is None else [fill_product(p, mask) for p in (pixels, truth)]
    weight = torch.from_numpy(_get_weight(pixels, mask))[None, None].float().to(network.device)
    with torch.no_grad():
        total = 0.0
        maps = network.network.compute_maps(network.prepare(pair))
        for values in maps:
            unit = values / (values.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
            distance = (unit[:1] - unit[1:]).square().sum(dim=1, keepdim=True)
            local = torch.nn.functional.interpolate(weight, distance.shape[2:], mode="area")
            total += float((distance * local).sum() / local.sum())
    return total / len(maps)


def _get_weight(pixels: Pixels, mask: Matte | None) -> Plane:
    """float64 (H, W): 1 on the background, 0 on the product and within a rim of it."""
    if mask is None:
        return np.ones(pixels.shape[:2])
    check_same_size(pixels, mask, "image", "mask")
    weight = (1 - grow_mask(mask)).astype(np.float64)
    if weight.sum() < 16:
        raise TooFewImagesError(f"{weight.sum():.0f} background pixels are left by the mask; 16 is the least")
    return weight


def _blur(plane: Plane) -> Plane:
    blurred: Plane = ndimage.gaussian_filter(plane, _SIGMA, mode="constant", radius=_RADIUS)
    return blurred
