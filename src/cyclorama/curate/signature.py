"""What is kept of an image so that its near-duplicates can be found once its pixels are gone?

A thumbnail of its luminance (96 × 96 bytes) and a unit vector of the bundled feature network. Hashes, also
those of parts of the image, are computed from the thumbnail: a crop's hash is near the hash of the part of
the original that it shows. Hashes of parts, thousands of images at a time, are what the package ``imagehash``
does not compute; for the whole image ours is of its kind (DCT, sign against the median).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from cyclorama.curate.blur import get_luminance
from cyclorama.imaging.transforms import resize_plane

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.evaluation.features import Network
    from cyclorama.types import Pixels

THUMBNAIL_SIDE = 96
"""Pixels; the thumbnail is square whatever the image's aspect."""
HASH_SIDE = 8
"""The hash compares the lowest 8 × 8 frequencies of the cosine transform."""

Window = tuple[float, float, float, float]
"""Part of an image as (top, left, bottom, right) in shares of its sides."""
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


def compute_thumbnail(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """uint8 (96, 96): the luminance of ``pixels`` (H, W, 3), averaged down, aspect not kept."""
    small = resize_plane(get_luminance(pixels), (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def compute_phash(thumbnail: npt.NDArray[np.uint8]) -> int:
    """The 64-bit perceptual hash of a whole image's ``thumbnail`` (96, 96)."""
    return int(compute_hashes(thumbnail[None], [WHOLE])[0, 0])


def compute_hashes(thumbnails: npt.NDArray[np.uint8], windows: Sequence[Window]) -> npt.NDArray[np.uint64]:
    """uint64 (N, len(windows)): a hash of each window of each of ``thumbnails`` (N, 96, 96).

    Bit k says whether the k-th of the lowest 8 × 8 cosine coefficients lies above their median; the mean
    (coefficient 0) takes no part in the median, so that brightness and contrast do not matter.
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    bits = np.uint64(1) << np.arange(HASH_SIDE * HASH_SIDE, dtype=np.uint64)
    result = np.empty((len(thumbnails), len(windows)), np.uint64)
    for place, window in enumerate(windows):
        coefficients = flat @ _build_transform(window)
        above = coefficients > np.median(coefficients[:, 1:], axis=1, keepdims=True)
        result[:, place] = np.where(above, bits, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return result


def compute_sharpness(pixels: Pixels) -> float:
    """Mean squared Laplacian of the luminance in grey levels², 0 for a flat image; higher is sharper."""
    grey = get_luminance(pixels)
    inner = grey[1:-1, 1:-1]
    if inner.size == 0:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(np.mean(laplacian**2))


class Embedder:
    """Unit feature vectors of images, by the bundled network, loaded when first used."""

    def __init__(self, features: str = "cyclorama") -> None:
        """``features`` names the network as ``cyclorama.evaluation.features.load_features`` takes it."""
        self._choice = features
        self._network: Network | None = None

    def compute(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """float32 (N, D), each row of length 1, of ``images``, uint8 (H, W, 3) of any size."""
        if self._network is None:
            from cyclorama.evaluation.features import load_features

            self._network = load_features(self._choice)
        values = self._network.compute(images)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)

    def compute_one(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """float32 (D,): the vector of one image."""
        return np.asarray(self.compute([pixels])[0])


@cache
def _build_transform(window: Window) -> npt.NDArray[np.float32]:
    """float32 (96 · 96, 64): thumbnail to the lowest cosine coefficients of ``window``."""
    top, left, bottom, right = window
    rows = _build_low_frequencies(top, bottom)
    columns = _build_low_frequencies(left, right)
    return np.ascontiguousarray(np.kron(rows, columns).T, np.float32)


def _build_low_frequencies(start: float, end: float) -> npt.NDArray[np.float64]:
    """(8, 96): the lowest cosines over the part from ``start`` to ``end`` of a side, sampled on the side."""
    size = 4 * HASH_SIDE
    edges = (start + (end - start) * np.arange(size + 1) / size) * THUMBNAIL_SIDE
    cells = np.arange(THUMBNAIL_SIDE)
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0, None)
    averages = overlap / overlap.sum(axis=1, keepdims=True)
    cosines = fft.dct(np.eye(size), axis=0, norm="ortho")[:HASH_SIDE]
    return np.asarray(cosines @ averages)
