"""How alike is each image and its partner, to a feature network's eye?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import DataError
from cyclorama.evaluation.features import FeatureTable, check_same_features

if TYPE_CHECKING:
    import numpy.typing as npt


def compute_similarity(
    images: FeatureTable, partners: FeatureTable, pairs: Mapping[str, str] | None = None
) -> dict[str, float]:
    """100 · cosine of the features of each image and its partner, by key.

    With CLIP features of whole images this is the paper's CLIP similarity (to the original on BG1k, to the
    reference on BG-pair). ``pairs`` maps an image's key to its partner's; None: the same key. -100 to 100.
    Raises MixedFeaturesError, MissingImageError, DataError (a feature vector of length 0).
    """
    check_same_features(images.identity, partners.identity)
    wanted = {key: key for key in images.keys} if pairs is None else dict(pairs)
    first = _normalise(images.select(list(wanted)))
    second = _normalise(partners.select(list(wanted.values())))
    cosines = 100 * (first * second).sum(axis=1)
    return {key: float(value) for key, value in zip(wanted, cosines)}


def _normalise(table: FeatureTable) -> npt.NDArray[np.float64]:
    values = table.values.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if (lengths == 0).any():
        key = table.keys[int(np.flatnonzero(lengths[:, 0] == 0)[0])]
        raise DataError(f"the features of {key!r} are all 0; a cosine with them is not defined")
    normalised: npt.NDArray[np.float64] = values / lengths
    return normalised
