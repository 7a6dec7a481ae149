"""How sure is a mean over products?  Percentile intervals by resampling the products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cyclorama.seeding import build_numpy_generator

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval; ``count`` values went in."""

    value: float
    low: float
    high: float
    count: int


def estimate_mean(
    values: Sequence[float], groups: Sequence[str] | None = None, seed: int = 0
) -> Estimate | None:
    """The mean of ``values`` with its 95 % interval, or None if there is no value.

    Whole ``groups`` (products) are drawn with replacement, since images of one product are not independent;
    None: every value is its own group. One group: the interval is the value.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 0:
        return None
    names = np.arange(len(array)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(names.max()) + 1
    sums = np.bincount(names, weights=array, minlength=count)
    sizes = np.bincount(names, minlength=count)
    random = build_numpy_generator(seed, len(array), "bootstrap")
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):
        drawn = random.integers(0, count, (100, count))
        means[start : start + 100] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Estimate(float(array.mean()), float(low), float(high), len(array))
