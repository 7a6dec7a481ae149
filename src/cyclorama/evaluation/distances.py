"""How far apart are two sets of images?  Fréchet and kernel distances of their features.

The matrix root of SciPy is not used: ``linalg.sqrtm`` is unstable for singular covariances (a test compares
both where both work); eigenvalues of symmetric matrices are exact there. What the distances say about known
faults (the true set against itself, noise and blur) is their calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.errors import SettingsError, TooFewImagesError
from cyclorama.evaluation.features import FeatureTable, Network, Region, check_same_features, extract_features
from cyclorama.evaluation.reading import ImageSet, from_arrays
from cyclorama.seeding import build_numpy_generator

Matrix = npt.NDArray[np.float64]

NOTABLE_BIAS = 0.1
"""A bias above this share of the distance is worth a warning."""
LEAST = 8
"""Fewest images for a bias or a calibration."""
_FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_REPEATS = 4


def compute_fid(first: FeatureTable, second: FeatureTable) -> float:
    """The Fréchet distance of two Gaussians, arXiv 1706.08500, Eq. 6: |m - w|² + tr(C + W - 2 (C W)^½).

    Unitless, 0 or more; unbounded. Raises MixedFeaturesError, TooFewImagesError. Invariant: symmetric, 0 for
    equal moments.
    """
    check_same_features(first.identity, second.identity)
    return compute_frechet(*_compute_moments(first), *_compute_moments(second))


def _compute_moments(table: FeatureTable) -> tuple[Matrix, Matrix]:
    """(mean (D), unbiased covariance (D, D)), float64. Raises TooFewImagesError below two images."""
    if len(table.keys) < 2:
        raise TooFewImagesError(f"a covariance of {len(table.keys)} images does not exist; give 2 or more")
    covariance = np.atleast_2d(np.cov(table.values, rowvar=False, dtype=np.float64))
    return table.values.mean(axis=0, dtype=np.float64), covariance


def compute_frechet(mean_a: Matrix, covariance_a: Matrix, mean_b: Matrix, covariance_b: Matrix) -> float:
    """The Fréchet distance of plain moments: means (D), covariances (D, D).

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


def compute_kid(
    first: FeatureTable, second: FeatureTable, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float | None]:
    """(mean, standard deviation) over subsets of the kernel inception distance, arXiv 1801.01401.

    That is the unbiased squared MMD with kernel (x·y / D + 1)³: 0 in expectation for equal distributions, may
    be negative. ``subsets`` seeded subsets of ``subset_size`` images each (fewer where a set is smaller; one
    subset, and no deviation, if both sets are no larger). Raises MixedFeaturesError, TooFewImagesError.
    """
    check_same_features(first.identity, second.identity)
    if subsets < 1 or subset_size < 2:
        raise SettingsError(f"{subsets} subsets of {subset_size}: use at least 1 of at least 2 images")
    counts = len(first.keys), len(second.keys)
    if min(counts) < 2:
        raise TooFewImagesError(f"KID of {counts[0]} and {counts[1]} images; give 2 or more of each")
    size = min(subset_size, *counts)
    values = []
    for number in range(1 if max(counts) <= size else subsets):
        random = build_numpy_generator(seed, number, "kernel distance subset")
        rows_a, rows_b = (np.sort(random.choice(count, size, replace=False)) for count in counts)
        values.append(compute_mmd(first.values[rows_a], second.values[rows_b]))
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def compute_mmd(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """The unbiased squared maximum mean discrepancy of features (N, D) and (M, D), polynomial kernel."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    dimensions = a.shape[1]

    def kernel(x: Matrix, y: Matrix) -> Matrix:
        return np.asarray((x @ y.T / dimensions + 1) ** 3)

    def mean_of_pairs(x: Matrix) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return mean_of_pairs(a) + mean_of_pairs(b) - 2 * float(kernel(a, b).mean())


def estimate_bias(first: FeatureTable, second: FeatureTable, seed: int = 0) -> tuple[float, bool]:
    """(Fréchet distance with endlessly many images, has a set no more images than features?).

    Found as arXiv 1911.07023 does, since the bias falls as 1 / N: subsets of 50 to 100 % of the images of
    both sets, a line through the distances over 1 / share, its intercept. Raises TooFewImagesError below 8.
    """
    check_same_features(first.identity, second.identity)
    counts = len(first.keys), len(second.keys)
    if min(counts) < LEAST:
        raise TooFewImagesError(
            f"{counts[0]} and {counts[1]} images are too few to estimate a bias; give {LEAST} or more"
        )
    singular = min(counts) <= first.identity.dimensions
    inverse, distances = [], []
    for fraction in _FRACTIONS:
        for repeat in range(_REPEATS if fraction < 1 else 1):
            random = build_numpy_generator(seed, f"{fraction:.2f}/{repeat}", "distance bias subset")
            parts = []
            for table, count in zip((first, second), counts):
                rows = np.sort(random.choice(count, round(fraction * count), replace=False))
                parts.append(table.select([table.keys[row] for row in rows]))
            inverse.append(1 / fraction)
            if singular:
                samples = (part.values.astype(np.float64) for part in parts)
                distances.append(compute_frechet_of_samples(*samples))
            else:
                distances.append(compute_fid(*parts))
    return float(np.polyfit(inverse, distances, 1)[1]), singular


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
    fid, (kid, spread) = compute_fid(first, second), compute_kid(first, second, seed=seed)
    counts = len(first.keys), len(second.keys)
    extrapolated, bias = None, None
    few = f"{counts[0]} and {counts[1]} images are"
    warning: str | None = f"{few} too few for a distance between sets to mean much"
    if min(counts) >= LEAST:
        extrapolated, singular = estimate_bias(first, second, seed)
        bias = fid - extrapolated
        warning = None
        if abs(bias) > NOTABLE_BIAS * fid or singular:
            warning = (
                f"{few} few: of the Fréchet distance {fid:.4g} about "
                f"{bias:.4g} is bias by subsampling (with many images {extrapolated:.4g}); compare "
                "it only at equal counts, or use the kernel distance"
            )
    region, label = first.identity.region, first.identity.label
    return SetDistance(region, label, counts, fid, extrapolated, bias, kid, spread, warning)


MOST = 256
"""Images used, so that the section costs little."""
NOISE = 25.0
"""Standard deviation of the planted noise, 8-bit levels."""
BLUR = 0.012
"""Radius of the planted blur, as a share of the shorter side."""


def calibrate(
    truth: ImageSet, network: Network, seed: int = 0, on_images: Callable[[int], None] | None = None
) -> list[tuple[str, float, float]]:
    """(name, FID, KID) of known pairs: ``truth`` and itself, its halves, it and blurred and noisy copies.

    Itself gives a FID of 0 and a KID of 0 or a little below. The halves differ by accident alone: their KID
    is about 0, their FID is the bias of half as many images. Blur and noise must stand clear of the halves'
    KID; a method's distance is read between them. Raises TooFewImagesError below 8 images.
    """
    if len(truth) < LEAST:
        raise TooFewImagesError(f"{truth.name} has {len(truth)} images; calibration needs {LEAST}")
    random = build_numpy_generator(seed, len(truth), "calibration")
    keys = [truth.keys[n] for n in np.sort(random.permutation(len(truth))[:MOST])]
    images = {key: truth.load(key).pixels for key in keys}
    blurred, noisy = {}, {}
    for key, pixels in images.items():
        blur = ImageFilter.GaussianBlur(BLUR * min(pixels.shape[:2]))
        blurred[key] = np.asarray(Image.fromarray(pixels).filter(blur))
        noise = build_numpy_generator(0, key, "calibration noise").normal(0, NOISE, pixels.shape)
        noisy[key] = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    whole, blurs, noises = (
        extract_features(from_arrays(some), network, "image", on_images) for some in (images, blurred, noisy)
    )
    order = random.permutation(len(keys))
    halves = (whole.select(sorted(keys[n] for n in part)) for part in np.array_split(order, 2))
    pairs = {
        "itself": (whole, whole),
        "two halves of itself": halves,
        "blurred copies": (blurs, whole),
        "noisy copies": (noises, whole),
    }
    return [(name, compute_fid(a, b), compute_kid(a, b, seed=seed)[0]) for name, (a, b) in pairs.items()]
