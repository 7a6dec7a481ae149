"""What do the distances say about faults that are known?  The true set against itself, noise and blur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from cyclorama.errors import TooFewImagesError
from cyclorama.evaluation.distances import compute_fid, compute_kid, compute_statistics
from cyclorama.evaluation.features import Network, extract_features
from cyclorama.evaluation.reading import ImageSet, from_arrays
from cyclorama.seeding import build_numpy_generator

if TYPE_CHECKING:
    from cyclorama.types import Pixels

LEAST = 8
MOST = 256
"""Images used, so that the section costs little."""
NOISE = 25.0
"""Standard deviation of the planted noise, 8-bit levels."""
BLUR = 0.012
"""Radius of the planted blur, as a share of the shorter side."""


@dataclass(frozen=True)
class CalibrationRow:
    """Distances of one known pair of sets."""

    name: str
    fid: float
    kid: float


def calibrate(
    truth: ImageSet, network: Network, seed: int = 0, on_images: Callable[[int], None] | None = None
) -> list[CalibrationRow]:
    """Distances of (a part of) ``truth`` to itself, of two halves of it, and to noisy and blurred copies.

    Itself gives a FID of 0 and a KID of 0 or a little below. The halves differ by accident alone: their KID
    is about 0, their FID is the bias of half as many images. Blur and noise must stand clear of the halves'
    KID; a method's distance is read between them. Raises TooFewImagesError below 8 images.
    """
    if len(truth) < LEAST:
        raise TooFewImagesError(f"{truth.name} has {len(truth)} images; calibration needs {LEAST}")
    random = build_numpy_generator(seed, len(truth), "calibration")
    keys = [truth.keys[n] for n in np.sort(random.permutation(len(truth))[:MOST])]
    images = {key: truth.load(key).pixels for key in keys}
    whole = compute_statistics(extract_features(from_arrays(images), network, "image", on_images))
    order = random.permutation(len(keys))
    table = extract_features(from_arrays(images), network)
    halves = [compute_statistics(table.select([keys[n] for n in part])) for part in np.array_split(order, 2)]
    pairs = [("itself", whole, whole), ("two halves of itself", halves[0], halves[1])]
    for name, plant in (("blurred copies", _blur), ("noisy copies", _add_noise)):
        planted = {key: plant(pixels, key) for key, pixels in images.items()}
        statistics = compute_statistics(extract_features(from_arrays(planted), network, "image", on_images))
        pairs.append((name, statistics, whole))
    return [
        CalibrationRow(name, compute_fid(a, b), compute_kid(a, b, seed=seed).value) for name, a, b in pairs
    ]


def _blur(pixels: Pixels, key: str) -> Pixels:
    radius = BLUR * min(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _add_noise(pixels: Pixels, key: str) -> Pixels:
    noise = build_numpy_generator(0, key, "calibration noise").normal(0, NOISE, pixels.shape)
    noisy: Pixels = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return noisy
