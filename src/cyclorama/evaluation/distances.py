"""How far apart are two sets of images?  Fréchet and kernel distances of their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import SettingsError
from cyclorama.evaluation.errors import MissingImageError, TooFewImagesError
from cyclorama.evaluation.features import check_same_features
from cyclorama.evaluation.statistics import FeatureStatistics
from cyclorama.seeding import build_numpy_generator

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

NOTABLE_BIAS = 0.1
"""A bias above this share of the distance is worth a warning."""
_FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_REPEATS = 4


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
    spread: float
    """Standard deviation over the subsets (0 if there is only one)."""
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
    both sets are no larger). Raises MixedFeaturesError, TooFewImagesError, MissingImageError (statistics
    saved without features). Invariant: does not depend on the order of the images' names.
    """
    check_same_features(first.identity, second.identity)
    if subsets < 1 or subset_size < 2:
        raise SettingsError(f"{subsets} subsets of {subset_size}: use at least 1 of at least 2 images")
    if first.features is None or second.features is None:
        raise MissingImageError("KID needs single features; these statistics were saved without them")
    if min(first.count, second.count) < 2:
        raise TooFewImagesError(f"KID of {first.count} and {second.count} images; give 2 or more of each")
    size = min(subset_size, first.count, second.count)
    whole = first.count <= size and second.count <= size
    values = []
    for number in range(1 if whole else subsets):
        random = build_numpy_generator(seed, number, "kernel distance subset")
        rows_a, rows_b = (np.sort(random.choice(s.count, size, replace=False)) for s in (first, second))
        values.append(compute_mmd(first.features[rows_a], second.features[rows_b]))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
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
    """The distance with endlessly many images on the side or sides that were subsampled."""
    bias: float
    """Distance found minus ``extrapolated``: how much of it is for want of images."""
    both_sides: bool
    """Whether both sets were subsampled (features kept), or only the first."""
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

    Subsets of 50 to 100 % of the images (both sets if both have features), a line through the distances
    over 1 / share, its intercept. Raises TooFewImagesError below 8 images, MissingImageError without
    features of the first set.
    """
    check_same_features(first.identity, second.identity)
    if first.features is None:
        raise MissingImageError("the bias needs single features; these statistics have none")
    if min(first.count, second.count) < 8:
        raise TooFewImagesError(
            f"{first.count} and {second.count} images are too few to estimate a bias; give 8 or more"
        )
    both = second.features is not None
    few = both and min(first.count, second.count) <= first.identity.dimensions
    inverse, distances = [], []
    for fraction in _FRACTIONS:
        for repeat in range(_REPEATS if fraction < 1 else 1):
            random = build_numpy_generator(seed, f"{fraction:.2f}/{repeat}", "distance bias subset")
            rows_a = _sample(first, fraction, random)
            inverse.append(1 / fraction)
            if few:
                distances.append(compute_frechet_of_samples(rows_a, _sample(second, fraction, random)))
            elif both:
                moments = (*_compute_moments(rows_a), *_compute_moments(_sample(second, fraction, random)))
                distances.append(compute_frechet(*moments))
            else:
                distances.append(compute_frechet(*_compute_moments(rows_a), second.mean, second.covariance))
    _, intercept = np.polyfit(inverse, distances, 1)
    dimensions = first.identity.dimensions
    return BiasEstimate(
        float(intercept), distances[-1] - float(intercept), both, min(first.count, second.count) <= dimensions
    )


def _sample(statistics: FeatureStatistics, fraction: float, random: np.random.Generator) -> Matrix:
    assert statistics.features is not None
    size = max(2, round(fraction * statistics.count))
    rows = np.sort(random.choice(statistics.count, size, replace=False))
    values: Matrix = statistics.features[rows].astype(np.float64)
    return values


def _compute_moments(values: Matrix) -> tuple[Matrix, Matrix]:
    mean = values.mean(axis=0)
    deviations = values - mean
    return mean, deviations.T @ deviations / (len(values) - 1)
