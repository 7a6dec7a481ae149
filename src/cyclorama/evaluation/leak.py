"""The leak score: was the reference's product, or its scenery, copied in place?

Reference methods fail by pasting what they were shown (the paper's Fig. 7). Copying shows in edges: where the
reference's product was, the generated background has the same gradients at the same place. That is measured
as the correlation of gradient fields at the reference's position, against the same correlation at displaced
positions, which says how much two images of this kind agree by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

from cyclorama.evaluation.resize import check_same_size, resize_to
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import fit_reference, resize_plane

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels

    Plane = npt.NDArray[np.float64]

SIDE = 128
"""Pixels of the shorter side at which gradients are compared."""
TOLERANCE = 2
"""Pixels by which a copy may have moved."""
NULL_FROM, NULL_TO = 12, 40
"""Displacements (largest of rows and columns, pixels) that count as accident."""
SOFTENING = 2.0
"""L*a*b* units per pixel: gradients far above count alike, far below hardly."""
LEAST_PIXELS = 150
"""Fewest visible pixels of the reference's product (at SIDE) for a score."""
LEAST_SHARE = 0.15
"""Least visible share of it: slivers beside the generated product agree by accident."""
LEAKED = 0.2
"""A score above this counts as a leak in reports."""


@dataclass(frozen=True)
class LeakScore:
    """How much was copied in place; 0 = no more than by accident, 1 = an exact copy."""

    product: float | None
    """Of the reference's product and its outline; None where the generated product hides that place."""
    layout: float | None
    """Of the reference's scenery; style allows some, so it is no fault by itself."""
    deviations: float | None
    """Standard deviations of the accidental correlations by which the product's stands out."""


def compute_leak(pixels: Pixels, mask: Matte, reference: Pixels, reference_mask: Matte) -> LeakScore:
    """The score of ``pixels`` (product ``mask``) made with ``reference`` (product ``reference_mask``).

    ``pixels`` uint8 (H, W, 3), masks float (H, W), 1 = product. The reference is centre-cropped to the
    image's aspect and resized, as the generator sees it. Raises ImageSizeError.
    """
    check_same_size(pixels, mask, "image", "mask")
    check_same_size(reference, reference_mask, "reference", "its mask")
    height, width = pixels.shape[:2]
    scale = SIDE / min(height, width)
    size = (round(height * scale), round(width * scale))
    fitted, own_mask = fit_reference(reference, reference_mask, size)
    assert own_mask is not None
    found, wanted = _compute_gradients(resize_to(pixels, size)), _compute_gradients(fitted)
    hidden = dilate(resize_plane(mask, size) >= 0.25, 3)
    product = dilate(own_mask >= 0.5, 2)
    visible = (~hidden).astype(np.float64)
    of_product = _compare(found, visible, wanted, product.astype(np.float64))
    scenery = (~dilate(product, 2)).astype(np.float64)
    of_layout = _compare(found, visible, wanted, scenery)
    return LeakScore(
        None if of_product is None else of_product[0],
        None if of_layout is None else of_layout[0],
        None if of_product is None else of_product[1],
    )


def _compute_gradients(pixels: Pixels) -> Plane:
    """Softened gradients float64 (6, H, W): two directions of L*, a*, b*."""
    lab = to_lab(pixels).astype(np.float64)
    planes = [
        ndimage.gaussian_filter(lab[..., channel], 1.0, order=order, mode="nearest")
        for channel in range(3)
        for order in ((1, 0), (0, 1))
    ]
    gradients = np.stack(planes)
    size = np.sqrt((gradients**2).sum(axis=0))
    softened: Plane = gradients / (size + SOFTENING)
    return softened


def _compare(found: Plane, visible: Plane, wanted: Plane, support: Plane) -> tuple[float, float] | None:
    """(score, deviations) of ``wanted`` under ``support`` looked for in ``found`` where ``visible``."""
    correlation, overlap = correlate_gradients(found, visible, wanted, support)
    centre = (correlation.shape[0] // 2, correlation.shape[1] // 2)
    seen = overlap[centre]
    if seen < max(LEAST_PIXELS, LEAST_SHARE * float(support.sum())):
        return None
    peaks = ndimage.maximum_filter(correlation, 2 * TOLERANCE + 1)
    rows, columns = np.indices(peaks.shape)
    away = np.maximum(abs(rows - centre[0]), abs(columns - centre[1]))
    accident = peaks[(away >= NULL_FROM) & (away <= NULL_TO) & (overlap >= 0.5 * seen)]
    if len(accident) < 50:
        return None
    bound = float(np.percentile(accident, 95))
    value = float(peaks[centre])
    score = max(0.0, (value - bound) / max(1e-6, 1 - bound))
    return score, (value - float(accident.mean())) / max(1e-6, float(accident.std()))


def correlate_gradients(found: Plane, visible: Plane, wanted: Plane, support: Plane) -> tuple[Plane, Plane]:
    """(correlation in [-1, 1], pixels compared) for all displacements up to NULL_TO; the centre is none.

    Normalised cross-correlation of vector fields (C, H, W) under masks (H, W), by Fourier transforms:
    sum(s v f·w) / sqrt(sum(s v |f|²) sum(s v |w|²)), s and w fixed, v and f displaced.
    """
    height, width = support.shape
    padded = (fft.next_fast_len(height + NULL_TO), fft.next_fast_len(width + NULL_TO))

    def transform(planes: Plane) -> npt.NDArray[np.complex128]:
        spectrum: npt.NDArray[np.complex128] = fft.rfft2(planes, padded, axes=(-2, -1))
        return spectrum

    def displace(spectrum: npt.NDArray[np.complex128]) -> Plane:
        values = fft.irfft2(spectrum, padded)
        rows = np.arange(-NULL_TO, NULL_TO + 1)
        window: Plane = values[np.ix_(rows % padded[0], rows % padded[1])]
        return window

    seen, fixed = transform(visible), transform(support).conj()
    spectra = transform(found * visible) * transform(wanted * support).conj()
    product = displace(spectra.sum(axis=0))
    energy_found = displace(transform((found**2).sum(axis=0) * visible) * fixed)
    energy_wanted = displace(seen * transform((wanted**2).sum(axis=0) * support).conj())
    overlap = displace(seen * fixed)
    norm = np.sqrt(np.clip(energy_found, 0, None) * np.clip(energy_wanted, 0, None))
    return np.where(norm > 1e-6, product / np.maximum(norm, 1e-6), 0.0), overlap
