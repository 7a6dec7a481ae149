"""What remains of a set's features: count, mean and covariance in float64, and a file to keep them in."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.errors import DataError
from cyclorama.evaluation.errors import TooFewImagesError
from cyclorama.evaluation.features import FeatureIdentity, FeatureTable, check_same_features
from cyclorama.files import write_atomic

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

FORMAT = "cyclorama-feature-statistics-1"
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """The moments of one set: ``mean`` (D), ``scatter`` (D, D), both float64, over ``count`` images.

    ``scatter`` is the sum of outer products of the deviations from the mean. ``features`` float32 (N, D) are
    kept for KID and for bias estimates, or None.
    """

    identity: FeatureIdentity
    count: int
    mean: Matrix
    scatter: Matrix
    features: npt.NDArray[np.float32] | None = None

    @property
    def covariance(self) -> Matrix:
        """The unbiased covariance (D, D). Raises TooFewImagesError below two images."""
        if self.count < 2:
            raise TooFewImagesError(f"a covariance of {self.count} images does not exist; give 2 or more")
        covariance: Matrix = self.scatter / (self.count - 1)
        return covariance


def compute_statistics(table: FeatureTable, keep_features: bool = True) -> FeatureStatistics:
    """The statistics of ``table``; rows are taken in the order of their keys.

    Raises DataError if a feature is not finite. Invariant: any order of rows gives the same bits; any split
    into shards, joined by :func:`merge_statistics`, the same to float64 rounding.
    """
    order = np.argsort(np.array(table.keys, dtype=np.str_), kind="stable")
    values = table.values[order]
    if not np.isfinite(values).all():
        bad = table.keys[int(order[np.flatnonzero(~np.isfinite(values).all(axis=1))[0]])]
        raise DataError(f"the features of {bad!r} are not finite; look at that image")
    count, dimensions = values.shape
    mean = np.zeros(dimensions)
    for start in range(0, count, _CHUNK):
        mean += values[start : start + _CHUNK].sum(axis=0, dtype=np.float64)
    mean /= max(count, 1)
    scatter = np.zeros((dimensions, dimensions))
    for start in range(0, count, _CHUNK):
        deviations = values[start : start + _CHUNK].astype(np.float64) - mean
        scatter += deviations.T @ deviations
    return FeatureStatistics(table.identity, count, mean, scatter, values if keep_features else None)


def merge_statistics(first: FeatureStatistics, second: FeatureStatistics) -> FeatureStatistics:
    """The statistics of both sets together (Chan, Golub, LeVeque 1979, the pairwise update).

    Features are kept if both have them. Raises MixedFeaturesError.
    """
    check_same_features(first.identity, second.identity)
    count = first.count + second.count
    if count == 0:
        return first
    shift = second.mean - first.mean
    features = None
    if first.features is not None and second.features is not None:
        features = np.concatenate([first.features, second.features])
    return FeatureStatistics(
        first.identity,
        count,
        first.mean + shift * (second.count / count),
        first.scatter + second.scatter + np.outer(shift, shift) * (first.count * second.count / count),
        features,
    )


def drop_features(statistics: FeatureStatistics) -> FeatureStatistics:
    """The same statistics without the single images' features: smaller, but no KID."""
    return replace(statistics, features=None)


def save_statistics(statistics: FeatureStatistics, path: Path) -> None:
    """Write ``statistics`` as an .npz file that holds no pickles, whole or not at all. Raises OutputError."""
    arrays: dict[str, Any] = {"mean": statistics.mean, "scatter": statistics.scatter}
    if statistics.features is not None:
        arrays["features"] = statistics.features
    note = {"format": FORMAT, "count": statistics.count, "identity": asdict(statistics.identity)}
    arrays["note"] = np.frombuffer(json.dumps(note).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomic(path, stream.getvalue(), durable=False)


def load_statistics(path: Path) -> FeatureStatistics:
    """The statistics in ``path``. Raises DataError for another kind of file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            note = json.loads(bytes(arrays["note"]))
            if note["format"] != FORMAT:
                raise ValueError(f"format {note['format']!r}")
            features = arrays["features"] if "features" in arrays.files else None
            return FeatureStatistics(
                FeatureIdentity(**note["identity"]),
                int(note["count"]),
                arrays["mean"],
                arrays["scatter"],
                features,
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} holds no feature statistics of this version ({error}); make them anew"
        ) from error
