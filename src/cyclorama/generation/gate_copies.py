"""Is a product shown once more in the background: the image's own, or the reference's?

A copy has the same edges in the same colours at some displacement. All displacements are compared at once, by
Fourier transforms, over what the image shows beside its own product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft, ndimage

from cyclorama.evaluation.following import SOFTENING
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import check_same_size, fit_reference, resize_plane, resize_to

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels

    Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Search:
    """Where a copy is looked for, and how strictly."""

    side: int
    """Pixels of the shorter side at which it is looked for."""
    reach: int
    """Largest displacement (of rows and columns) in pixels."""
    colour: float
    """ΔE (CIE76, root mean square) at which a copy counts 1/e; a leak may be coloured anew."""
    pixels: int
    """Fewest pixels of a copy that have to be in sight."""
    edges: float
    """Softened gradient energy in sight at which a copy counts one half: plain surfaces agree by accident."""


DOUBLED = _Search(side=256, reach=32, colour=15.0, pixels=100, edges=60.0)
LEAK = _Search(side=128, reach=100, colour=20.0, pixels=30, edges=30.0)
NEAREST = 5
"""Smallest displacement at which the product's copies are looked for."""
IN_PLACE = 2
"""Pixels by which a leak in place may have moved."""
ACCIDENT = 0.3
"""Likeness of the reference's product to some place of an image that nobody copied."""


def compute_doubled(pixels: Pixels, mask: Matte) -> float:
    """Likeness (0-1) of what stands beside the product to the product itself, displaced by 5-32 units.

    ``pixels`` uint8 (H, W, 3), ``mask`` float (H, W), 1 = product. 0: nothing like it; 1: an exact copy or
    part of one. Blind to copies turned, mirrored, far away, or plain and without an edge. Raises
    ImageSizeError.
    """
    check_same_size(pixels, mask, "output", "mask")
    scale = min(1.0, DOUBLED.side / min(mask.shape))
    size = (round(mask.shape[0] * scale), round(mask.shape[1] * scale))
    lab, small = to_lab(resize_to(pixels, size)), resize_plane(mask, size)
    support = ndimage.binary_erosion(small >= 0.9)
    if not support.any():
        return 0.0
    likeness, away = _compute_likeness(lab, ~dilate(small >= 0.1, 2), lab, support, DOUBLED)
    return float(likeness[away >= NEAREST].max())


def compute_copied(pixels: Pixels, mask: Matte, reference: Pixels, reference_mask: Matte) -> float | None:
    """Likeness (0-1) of the background to the reference's product, in place or anywhere else in the image.

    ``pixels`` uint8 (H, W, 3) with the product ``mask``, ``reference`` likewise with ``reference_mask``. The
    reference is fitted to the image as the generator sees it. In place the likeness counts as it is;
    elsewhere, where some place is always a little alike, only what exceeds ACCIDENT, stretched to 0-1.
    A copy hidden by the product is no fault that anybody could see, and is not counted. None where the
    fitted reference shows no product. Raises ImageSizeError.
    """
    check_same_size(pixels, mask, "output", "mask")
    check_same_size(reference, reference_mask, "reference", "its mask")
    scale = LEAK.side / min(mask.shape)
    size = (round(mask.shape[0] * scale), round(mask.shape[1] * scale))
    fitted, own_mask = fit_reference(reference, reference_mask, size)
    assert own_mask is not None
    support = ndimage.binary_erosion(own_mask >= 0.9)
    if support.sum() < LEAK.pixels:
        return None
    visible, lab = ~dilate(resize_plane(mask, size) >= 0.1, 2), to_lab(resize_to(pixels, size))
    likeness, away = _compute_likeness(lab, visible, to_lab(fitted), support, LEAK)
    elsewhere = (float(likeness.max()) - ACCIDENT) / (1 - ACCIDENT)
    return max(float(np.sqrt(likeness[away <= IN_PLACE].max())), elsewhere, 0.0)


def _compute_likeness(
    lab: Plane,
    visible: npt.NDArray[np.bool_],
    product_lab: Plane,
    product_at: npt.NDArray[np.bool_],
    search: _Search,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """(likeness in [0, 1], larger displacement) at every displacement up to the reach, both square.

    Likeness = correlation of gradients · exp(-(ΔE / colour)²) · energy / (energy + edges), each over the part
    of the copy that is in sight: sum(s v f·w) / sqrt(sum(s v |f|²) sum(s v |w|²)) with support s and product
    w fixed, sight v and image f displaced.
    """
    offsets = np.arange(-search.reach, search.reach + 1)
    away = np.maximum(abs(offsets[:, None]), abs(offsets[None]))
    if not visible.any():
        return np.zeros(away.shape), away
    height, width = visible.shape
    padded = (
        fft.next_fast_len(height + search.reach, real=True),
        fft.next_fast_len(width + search.reach, real=True),
    )

    def transform(planes: npt.NDArray[Any]) -> npt.NDArray[np.complexfloating[Any, Any]]:
        spectrum: npt.NDArray[np.complexfloating[Any, Any]] = fft.rfft2(
            planes.astype(np.float64), padded, axes=(-2, -1)
        )
        return spectrum

    def displace(spectrum: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        values = fft.irfft2(spectrum, padded)
        window: npt.NDArray[np.float64] = values[np.ix_(offsets % padded[0], offsets % padded[1])]
        return window

    sight, support = visible.astype(np.float64), product_at.astype(np.float64)
    seen, fixed = transform(sight), transform(support).conj()
    found, wanted = _compute_gradients(lab), _compute_gradients(product_lab)
    overlap = displace(seen * fixed)
    product = displace((transform(found * sight) * transform(wanted * support).conj()).sum(axis=0))
    energy_found = displace(transform((found**2).sum(axis=0) * sight) * fixed).clip(0)
    energy = displace(seen * transform((wanted**2).sum(axis=0) * support).conj()).clip(0)
    norm = np.sqrt(energy_found * energy)
    correlation = np.where(norm > 1e-3, product / np.maximum(norm, 1e-3), 0.0).clip(0, 1)

    middle = lab[visible].mean(axis=0)  # nearer to 0 the squares below lose less to rounding
    here, there = np.moveaxis(lab - middle, 2, 0), np.moveaxis(product_lab - middle, 2, 0)
    squares = displace(transform((here**2).sum(axis=0) * sight) * fixed)
    squares += displace(seen * transform((there**2).sum(axis=0) * support).conj())
    squares -= 2 * displace((transform(here * sight) * transform(there * support).conj()).sum(axis=0))
    closeness = np.exp(-squares.clip(0) / np.maximum(overlap, 1) / search.colour**2)
    likeness = correlation * closeness * energy / (energy + search.edges)
    return np.where(overlap >= search.pixels, likeness, 0.0), away


def _compute_gradients(lab: Plane) -> npt.NDArray[np.float64]:
    """Softened gradients (6, H, W): two directions of L*, a*, b*."""
    planes = [
        ndimage.gaussian_filter(lab[..., channel].astype(np.float64), 1.0, order=order, mode="nearest")
        for channel in range(3)
        for order in ((1, 0), (0, 1))
    ]
    gradients = np.stack(planes)
    size = np.sqrt((gradients**2).sum(axis=0))
    softened: npt.NDArray[np.float64] = gradients / (size + SOFTENING)
    return softened
