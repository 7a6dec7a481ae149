"""How sure is a mean over products?  Percentile intervals by resampling the products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cyclorama.seeding import build_numpy_generator

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanEstimate:
    """A mean with its interval; ``count`` values went in."""

    value: float
    low: float | None
    high: float | None
    """None: there is one product, which says nothing about others."""
    count: int

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval lies above or below 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)

    def format(self, digits: int) -> str:
        """``5.12 (4.90 to 5.31)``."""
        return f"{self.value:.{digits}f} ({self.format_interval(digits)})"

    def format_interval(self, digits: int) -> str:
        """``4.90 to 5.31``; a dash where there is none."""
        if self.low is None or self.high is None:
            return "–"
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"


def estimate_mean(
    values: Sequence[float], groups: Sequence[str] | None = None, seed: int = 0
) -> MeanEstimate | None:
    """The mean of ``values`` with its 95 % interval, or None if there is no value.

    Whole ``groups`` (products) are drawn with replacement, since images of one product are not independent;
    None: every value is its own group. One group has no interval.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 0:
        return None
    names = np.arange(len(array)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(names, weights=array), np.bincount(names)
    if len(sums) < 2:
        return MeanEstimate(float(array.mean()), None, None, len(array))
    interval = stats.bootstrap(
        (sums, sizes),
        lambda total, size, axis: total.sum(axis=axis) / size.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=build_numpy_generator(seed, len(array), "bootstrap"),
    ).confidence_interval
    return MeanEstimate(float(array.mean()), float(interval.low), float(interval.high), len(array))
