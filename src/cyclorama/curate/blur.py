"""How sharp are an image's edges, and how hard was it compressed?

Blur is the width of edges: an ideal step blurred by ``s`` has, under Gaussian derivatives of width ``a``
and ``b``, slopes in the ratio ``sqrt((s^2 + b^2) / (s^2 + a^2))``, from which ``s`` follows (Zhuo and Sim,
Defocus map estimation from a single image, 2011). Unlike the energy of the Laplacian it does not depend on
contrast.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Pixels

    Plane = npt.NDArray[np.float32]
    Flags = npt.NDArray[np.bool_]

UNITS = 256
"""Blur is told in 1/256 of the shorter side."""
_FINE, _COARSE = 1.0, 2.0
_FAINT = 1.5  # grey levels per pixel below which a slope is noise
_FEWEST = 24

_STANDARD_LUMINANCE = (  # ITU-T T.81, table K.1, row by row
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def get_luminance(pixels: Pixels) -> Plane:
    """Luma (BT.601), float32 (H, W) in [0, 255]."""
    luma: Plane = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return luma


def measure_blur(luminance: Plane, region: Flags | None = None) -> float | None:
    """Width of the sharper edges in ``region`` (H, W): standard deviation in 1/256 of the shorter side.

    The lower quartile over the strongest edges, 0 or more. None where there are too few edges to tell.
    Invariant: independent of brightness and contrast.
    """
    fine, coarse = (ndimage.gaussian_gradient_magnitude(luminance, width) for width in (_FINE, _COARSE))
    edge = (fine >= ndimage.maximum_filter(fine, 3)) & (fine >= _FAINT)
    if region is not None:
        edge &= region
    if int(edge.sum()) < _FEWEST:
        return None
    strong = edge & (fine >= np.quantile(fine[edge], 0.6))
    ratio = (fine[strong] / np.maximum(coarse[strong], 1e-6)).astype(np.float64) ** 2
    ratio = np.clip(ratio, 1.02, (_COARSE / _FINE) ** 2)
    width = np.sqrt((_COARSE**2 - ratio * _FINE**2) / (ratio - 1))
    units: float = float(np.quantile(width, 0.25)) * UNITS / min(luminance.shape)
    return units


def measure_blockiness(luminance: Plane) -> float:
    """Grey levels by which steps every 8 pixels exceed those between, about 0 without a coding grid.

    The lesser of both directions, at the grid's best phase; steps are capped and medians taken, so that a few
    true edges do not count. Finds the blocks of JPEG also in files saved anew in another format.
    """
    return min(_measure_grid(luminance), _measure_grid(luminance.T))


def _measure_grid(luminance: Plane) -> float:
    second = np.abs(luminance[:, 3:] - 3 * luminance[:, 2:-1] + 3 * luminance[:, 1:-2] - luminance[:, :-3])
    columns = np.minimum(second, 24.0).mean(axis=0)
    phases = np.array([float(np.median(columns[phase::8])) for phase in range(8)])
    best = int(phases.argmax())
    others = float(np.median(np.delete(phases, best)))
    return max(0.0, float(phases[best]) - others) / 2  # a step of h gives 2 h


def read_jpeg_quality(raw: bytes) -> float | None:
    """Quality setting, about 1-100, that the luminance table of a JPEG file ``raw`` corresponds to.

    In the scale of the IJG library; None for other formats.
    """
    if not raw.startswith(b"\xff\xd8"):
        return None
    with Image.open(io.BytesIO(raw)) as image:
        tables = getattr(image, "quantization", None)
    if not tables:
        return None
    table = np.sort(np.asarray(tables[min(tables)], dtype=np.float64))
    standard = np.sort(np.asarray(_STANDARD_LUMINANCE, dtype=np.float64).ravel())
    scale = 100 * float(np.median(table / standard))
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return float(np.clip(quality, 1, 100))
