"""How far apart are two sets of images?  Fréchet and kernel distances of their features.

The matrix root of SciPy is not used: ``linalg.sqrtm`` is unstable for singular covariances (a test compares
both where both work); eigenvalues of symmetric matrices are exact there. What the distances say about known
faults (the true set against itself, noise and blur) is their calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from cyclorama.errors import DataError, SettingsError, TooFewImagesError
from cyclorama.evaluation.features import (
    FeatureIdentity,
    FeatureTable,
    Network,
    Region,
    check_same_features,
    extract_features,
)
from cyclorama.evaluation.reading import ImageSet, from_arrays
from cyclorama.seeding import build_numpy_generator

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Pixels

    Matrix = npt.NDArray[np.float64]

NOTABLE_BIAS = 0.1
"""A bias above this share of the distance is worth a warning."""
LEAST = 8
"""Fewest images for a bias or a calibration."""
_FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_REPEATS = 4


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """The features of one set, float32 (N, D) in the order of their keys, and their float64 moments."""

    identity: FeatureIdentity
    features: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        """Images in the set."""
        return len(self.features)

    @cached_property
    def mean(self) -> Matrix:
        """(D)."""
        mean: Matrix = self.features.mean(axis=0, dtype=np.float64)
        return mean

    @cached_property
    def covariance(self) -> Matrix:
        """The unbiased covariance (D, D). Raises TooFewImagesError below two images."""
        if self.count < 2:
            raise TooFewImagesError(f"a covariance of {self.count} images does not exist; give 2 or more")
        return np.atleast_2d(np.cov(self.features, rowvar=False, dtype=np.float64))


def compute_statistics(table: FeatureTable) -> FeatureStatistics:
    """The statistics of ``table``. Raises DataError if a feature is not finite.

    Invariant: any order of rows gives the same bits.
    """
    order = np.argsort(np.array(table.keys, dtype=np.str_), kind="stable")
    values = table.values[order]
    if not np.isfinite(values).all():
        bad = table.keys[int(order[np.flatnonzero(~np.isfinite(values).all(axis=1))[0]])]
        raise DataError(f"the features of {bad!r} are not finite; look at that image")
    return FeatureStatistics(table.identity, values)


def compute_fid(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """The Fréchet distance of two Gaussians, arXiv 1706.08500, Eq. 6: |m - w|² + tr(C + W - 2 (C W)^½).

    Eigenvalues of symmetric matrices only, float64. Unitless, 0 or more; unbounded. Raises
    MixedFeaturesError, TooFewImagesError. Invariant: symmetric, 0 for equal moments.
    """
    check_same_features(first.identity, second.identity)
    return compute_frechet(first.mean, first.covariance, second.mean, second.covariance)


def compute_frechet(mean_a: Matrix, covariance_a: Matrix, mean_b: Matrix, covariance_b: Matrix) -> float:
    """The same of plain moments: means (D), covariances (D, D).

    tr (A B)^½ is the sum of the roots of the eigenvalues of A^½ B A^½, which is symmetric and has no
    negative eigenvalue but for rounding. Eigenvalues within rounding of 0 count as 0: the root of 1e-16
    would be 1e-8, and singular covariances have many.
    """
    values, vectors = np.linalg.eigh((covariance_a + covariance_a.T) / 2)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = root @ covariance_b @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    noise = len(eigenvalues) * np.finfo(np.float64).eps * max(float(eigenvalues[-1]), 0.0)
    trace = np.sqrt(np.where(eigenvalues > noise, eigenvalues, 0)).sum()
    shift = mean_a - mean_b
    distance = shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace
    return max(float(distance), 0.0)


def compute_frechet_of_samples(first: Matrix, second: Matrix) -> float:
    """The same of samples (N, D) and (M, D), cheap where these are few.

    With deviations X and Y the trace of the root is the nuclear norm of Y Xᵀ over the root of (N-1)(M-1).
    """
    mean_a, mean_b = first.mean(axis=0), second.mean(axis=0)
    x, y = (first - mean_a) / np.sqrt(len(first) - 1), (second - mean_b) / np.sqrt(len(second) - 1)
    trace = np.linalg.svd(y @ x.T, compute_uv=False).sum()
    shift = mean_a - mean_b
    return max(float(shift @ shift + (x**2).sum() + (y**2).sum() - 2 * trace), 0.0)


@dataclass(frozen=True)
class KernelDistance:
    """KID and how it was sampled."""

    value: float
    """Mean over the subsets; 0 in expectation for equal distributions, may be negative."""
    spread: float | None
    """Standard deviation over the subsets; None if there is only one."""
    subsets: int
    subset_size: int


def compute_kid(
    first: FeatureStatistics,
    second: FeatureStatistics,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """The kernel inception distance, arXiv 1801.01401: unbiased squared MMD with kernel (x·y / D + 1)³.

    ``subsets`` seeded subsets of ``subset_size`` images each (fewer where a set is smaller; one subset if
    both sets are no larger). Raises MixedFeaturesError, TooFewImagesError. Invariant: does not depend on the
    order of the images' names.
    """
    check_same_features(first.identity, second.identity)
    if subsets < 1 or subset_size < 2:
        raise SettingsError(f"{subsets} subsets of {subset_size}: use at least 1 of at least 2 images")
    if min(first.count, second.count) < 2:
        raise TooFewImagesError(f"KID of {first.count} and {second.count} images; give 2 or more of each")
    size = min(subset_size, first.count, second.count)
    whole = first.count <= size and second.count <= size
    values = []
    for number in range(1 if whole else subsets):
        random = build_numpy_generator(seed, number, "kernel distance subset")
        rows_a, rows_b = (np.sort(random.choice(s.count, size, replace=False)) for s in (first, second))
        values.append(compute_mmd(first.features[rows_a], second.features[rows_b]))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return KernelDistance(float(np.mean(values)), spread, len(values), size)


def compute_mmd(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """The unbiased squared maximum mean discrepancy of features (N, D) and (M, D), polynomial kernel."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    dimensions = a.shape[1]

    def kernel(x: Matrix, y: Matrix) -> Matrix:
        values: Matrix = (x @ y.T / dimensions + 1) ** 3
        return values

    def mean_of_pairs(x: Matrix) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return mean_of_pairs(a) + mean_of_pairs(b) - 2 * float(kernel(a, b).mean())


@dataclass(frozen=True)
class BiasEstimate:
    """What the distance would be with more images."""

    extrapolated: float
    """The distance with endlessly many images."""
    bias: float
    """Distance found minus ``extrapolated``: how much of it is for want of images."""
    singular: bool
    """Whether a set has fewer images than features: its covariance is then singular."""

    def describe(self, distance: float, counts: tuple[int, int]) -> str | None:
        """A warning in words, or None if the bias is small beside ``distance``."""
        if abs(self.bias) <= NOTABLE_BIAS * distance and not self.singular:
            return None
        return (
            f"{counts[0]} and {counts[1]} images are few: of the Fréchet distance {distance:.4g} about "
            f"{self.bias:.4g} is bias by subsampling (with many images {self.extrapolated:.4g}); compare "
            "it only at equal counts, or use the kernel distance"
        )


def estimate_bias(first: FeatureStatistics, second: FeatureStatistics, seed: int = 0) -> BiasEstimate:
    """The bias of the Fréchet distance, found as arXiv 1911.07023 does: it falls as 1 / N.

    Subsets of 50 to 100 % of the images of both sets, a line through the distances over 1 / share, its
    intercept. Raises TooFewImagesError below 8 images.
    """
    check_same_features(first.identity, second.identity)
    least = min(first.count, second.count)
    if least < LEAST:
        raise TooFewImagesError(
            f"{first.count} and {second.count} images are too few to estimate a bias; give {LEAST} or more"
        )
    singular = least <= first.identity.dimensions
    inverse, distances = [], []
    for fraction in _FRACTIONS:
        for repeat in range(_REPEATS if fraction < 1 else 1):
            random = build_numpy_generator(seed, f"{fraction:.2f}/{repeat}", "distance bias subset")
            parts = [_sample(statistics, fraction, random) for statistics in (first, second)]
            inverse.append(1 / fraction)
            if singular:
                samples = (part.features.astype(np.float64) for part in parts)
                distances.append(compute_frechet_of_samples(*samples))
            else:
                distances.append(compute_fid(*parts))
    _, intercept = np.polyfit(inverse, distances, 1)
    return BiasEstimate(float(intercept), distances[-1] - float(intercept), singular)


def _sample(statistics: FeatureStatistics, fraction: float, random: np.random.Generator) -> FeatureStatistics:
    size = max(2, round(fraction * statistics.count))
    rows = np.sort(random.choice(statistics.count, size, replace=False))
    return FeatureStatistics(statistics.identity, statistics.features[rows])


@dataclass(frozen=True)
class SetDistance:
    """FID and KID of two sets in one region, and what they are worth."""

    region: Region
    features: str
    """Network, weights' hash, region and resampler."""
    counts: tuple[int, int]
    fid: float
    fid_extrapolated: float | None
    """What the FID would be with many images; None where it cannot be told."""
    fid_bias: float | None
    kid: float
    kid_spread: float | None
    """None: there was one subset."""
    warning: str | None


def compute_set_distance(first: FeatureTable, second: FeatureTable, seed: int = 0) -> SetDistance:
    """The distances of two sets' features. Raises MixedFeaturesError, TooFewImagesError."""
    a, b = compute_statistics(first), compute_statistics(second)
    fid, kid, counts = compute_fid(a, b), compute_kid(a, b, seed=seed), (a.count, b.count)
    bias = estimate_bias(a, b, seed) if min(counts) >= LEAST else None
    few = f"{counts[0]} and {counts[1]} images are too few for a distance between sets to mean much"
    warning = few if bias is None else bias.describe(fid, counts)
    extrapolated, excess = (None, None) if bias is None else (bias.extrapolated, bias.bias)
    region, label = a.identity.region, a.identity.label
    return SetDistance(region, label, counts, fid, extrapolated, excess, kid.value, kid.spread, warning)


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
    blurred = {key: _blur(pixels) for key, pixels in images.items()}
    noisy = {key: _add_noise(pixels, key) for key, pixels in images.items()}
    for name, planted in (("blurred copies", blurred), ("noisy copies", noisy)):
        statistics = compute_statistics(extract_features(from_arrays(planted), network, "image", on_images))
        pairs.append((name, statistics, whole))
    return [
        CalibrationRow(name, compute_fid(a, b), compute_kid(a, b, seed=seed).value) for name, a, b in pairs
    ]


def _blur(pixels: Pixels) -> Pixels:
    radius = BLUR * min(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _add_noise(pixels: Pixels, key: str) -> Pixels:
    noise = build_numpy_generator(0, key, "calibration noise").normal(0, NOISE, pixels.shape)
    noisy: Pixels = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return noisy
