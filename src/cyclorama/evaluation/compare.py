"""Which of two sets is better, product by product?  Paired differences and wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyclorama.errors import MissingImageError
from cyclorama.evaluation.bootstrap import MeanEstimate, estimate_mean
from cyclorama.evaluation.image_metrics import MetricRow
from cyclorama.evaluation.settings import METRICS


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
    first: Mapping[str, MetricRow], second: Mapping[str, MetricRow], names: tuple[str, str], seed: int = 0
) -> list[PairedDifference]:
    """The paired differences of every metric that both sets have, in the order of the report.

    ``first`` and ``second`` map images to their rows. Raises MissingImageError if they share no image.
    """
    common = [key for key in first if key in second]
    if not common:
        raise MissingImageError(
            f"{names[0]} and {names[1]} share no key, so nothing can be paired; first keys: "
            f"{sorted(first)[:2]} and {sorted(second)[:2]}"
        )
    result = []
    for name, metric in METRICS.items():
        pairs = [
            (first[key][name], second[key][name])
            for key in common
            if name in first[key] and name in second[key]
        ]
        difference = estimate_mean([a - b for a, b in pairs], seed=seed)
        if difference is None:
            continue
        above, below = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        wins = (below, above) if metric.better == "lower" else (above, below)
        if metric.better == "none":
            wins = (0, 0)
        result.append(
            PairedDifference(
                name,
                sum(a for a, _ in pairs) / len(pairs),
                sum(b for _, b in pairs) / len(pairs),
                difference,
                *wins,
                len(pairs) - above - below,
            )
        )
    return result
