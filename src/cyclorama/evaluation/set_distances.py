"""Distances between whole sets, with their statistics kept for the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cyclorama.evaluation.distances import compute_fid, compute_kid, estimate_bias
from cyclorama.evaluation.features import (
    FeatureIdentity,
    FeatureTable,
    Network,
    Region,
    extract_features,
)
from cyclorama.evaluation.reading import ImageSet
from cyclorama.evaluation.statistics import (
    FeatureStatistics,
    compute_statistics,
    load_statistics,
    save_statistics,
)

LEAST_FOR_BIAS = 8


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
    kid: float | None
    kid_spread: float | None
    warning: str | None


def compute_set_distance(first: FeatureStatistics, second: FeatureStatistics, seed: int = 0) -> SetDistance:
    """The distances of two sets' statistics. Raises MixedFeaturesError, TooFewImagesError."""
    fid = compute_fid(first, second)
    counts = (first.count, second.count)
    kid = None
    if first.features is not None and second.features is not None:
        kid = compute_kid(first, second, seed=seed)
    bias, warning = None, None
    if first.features is not None and min(counts) >= LEAST_FOR_BIAS:
        bias = estimate_bias(first, second, seed)
        warning = bias.describe(fid, counts)
    elif min(counts) < LEAST_FOR_BIAS:
        warning = f"{counts[0]} and {counts[1]} images are too few for a distance between sets to mean much"
    return SetDistance(
        first.identity.region,
        first.identity.label,
        counts,
        fid,
        None if bias is None else bias.extrapolated,
        None if bias is None else bias.bias,
        None if kid is None else kid.value,
        None if kid is None else kid.spread,
        warning,
    )


def load_or_compute(
    images: ImageSet,
    network: Network,
    region: Region,
    folder: Path | None,
    get_table: Callable[[], FeatureTable] | None = None,
) -> FeatureStatistics:
    """The statistics of ``images``, from ``folder`` if they were kept there, else computed and kept.

    ``get_table`` gives their features where they are at hand already; None computes them.

    The file's name holds network, weights' hash, region, resampler and a digest of the set (keys, and sizes
    and times of its files), so another set or network never finds it.
    """
    path = None
    if folder is not None:
        identity = FeatureIdentity(
            network.name, network.weights_hash, network.dimensions, network.resampler, region
        )
        digest = compute_set_digest(images)
        name = f"{identity.network}-{identity.weights_hash}-{region}-{identity.resampler}-{digest}.npz"
        path = folder / name
        if path.is_file():
            return load_statistics(path)
    table = extract_features(images, network, region) if get_table is None else get_table()
    statistics = compute_statistics(table)
    if path is not None:
        save_statistics(statistics, path)
    return statistics


def compute_set_digest(images: ImageSet) -> str:
    """16 hex digits that change with the keys, files, their sizes or times."""
    digest = hashlib.sha256()
    for key, item in images.items.items():
        digest.update(f"{key}\n".encode())
        if item.image is None:
            digest.update(images.load(key).pixels.tobytes())
        for place in (item.image, item.mask):
            if place is not None:
                file = place if isinstance(place, Path) else place[0]
                stat = file.stat()
                digest.update(f"{place}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
