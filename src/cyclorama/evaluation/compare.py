"""How sure is a mean over products, and which of two sets is better?  Resampled intervals; paired wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cyclorama.errors import MissingImageError
from cyclorama.evaluation.settings import METRICS, MetricRow
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


@dataclass(frozen=True)
class PairedDifference:
    """One metric over the images that both sets have."""

    metric: str
    first: float
    second: float
    difference: MeanEstimate
    """Mean of first - second, with its 95 % interval."""
    first_wins: int
    """Images on which the first is better, in the metric's direction."""
    second_wins: int
    ties: int

    @property
    def wins(self) -> str:
        """Wins of the first and of the second, and ties, in words; ``–`` where no direction is better."""
        if METRICS[self.metric].better == "none":
            return "–"
        return f"{self.first_wins} / {self.second_wins} / {self.ties}"

    @property
    def verdict(self) -> str:
        """``first``, ``second``, ``open`` (the interval holds 0) or ``–`` (no direction is better)."""
        better = METRICS[self.metric].better
        if better == "none":
            return "–"
        if self.difference.sign == 0:
            return "open"
        return "first" if (self.difference.sign > 0) == (better == "higher") else "second"


def compare(
    first: Mapping[str, MetricRow],
    second: Mapping[str, MetricRow],
    names: tuple[str, str],
    seed: int = 0,
    products: Mapping[str, str] | None = None,
) -> list[PairedDifference]:
    """The paired differences of every metric that both sets have, in the order of the report.

    ``first`` and ``second`` map images to their rows, ``products`` to the product they show, the unit of the
    intervals; None: each shows its own. Raises MissingImageError if they share no image.
    """
    common = [key for key in first if key in second]
    if not common:
        raise MissingImageError(
            f"{names[0]} and {names[1]} share no key, so nothing can be paired; first keys: "
            f"{sorted(first)[:2]} and {sorted(second)[:2]}"
        )
    result = []
    for name, metric in METRICS.items():
        both = [key for key in common if name in first[key] and name in second[key]]
        pairs = [(first[key][name], second[key][name]) for key in both]
        groups = None if products is None else [products[key] for key in both]
        difference = estimate_mean([a - b for a, b in pairs], groups, seed)
        if difference is None:
            continue
        above, below = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        wins = (below, above) if metric.better == "lower" else (above, below)
        if metric.better == "none":
            wins = (0, 0)
        one, other = (sum(values) / len(values) for values in zip(*pairs))
        result.append(PairedDifference(name, one, other, difference, *wins, len(pairs) - above - below))
    return result
