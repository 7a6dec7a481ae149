"""From the scores of all trials to the rows of the table: means, spread over seeds, intervals, wins."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyclorama.evaluation.compare import MeanEstimate, PairedDifference, compare, estimate_mean
from cyclorama.evaluation.settings import DISTANCES, METRICS, MetricRow
from cyclorama.lab.experiments.recipe import COLUMNS, Condition
from cyclorama.lab.experiments.scoring import TrialScore


@dataclass(frozen=True)
class Value:
    """One metric of one method under one condition."""

    mean: float
    """Mean over the seeds."""
    spread: float | None
    """Standard deviation of the seeds' means (N - 1); None with one seed."""
    low: float | None
    """95 % interval by bootstrap over products, all seeds of a product together; None for distances."""
    high: float | None
    by_seed: tuple[float, ...]
    count: int
    """Values that went in: products times seeds; seeds for distances."""


@dataclass(frozen=True)
class MethodResult:
    """One method under one condition."""

    method: str
    condition: Condition
    values: dict[str, Value]
    failures: dict[str, str]
    """``key, seed N`` to reason."""
    seconds_per_image: float | None


@dataclass(frozen=True)
class Wins:
    """The chief method against another, product by product (means over the seeds), and seed by seed."""

    condition: Condition
    chief: str
    other: str
    differences: tuple[PairedDifference, ...]
    """``first`` is the chief."""
    seeds_won: dict[str, tuple[int, int]]
    """Distance to (seeds in which the chief is nearer, seeds)."""


def aggregate(
    method: str,
    condition: Condition,
    scores: Mapping[int, TrialScore],
    products: Mapping[str, str],
) -> MethodResult:
    """The result of one method from its ``scores`` by seed; ``products`` maps keys to the product they show.

    A metric that a product has in some seeds only counts where it is.
    """
    values: dict[str, Value] = {}
    for name in METRICS:
        found = {
            seed: {key: row[name] for key, row in score.rows.items() if name in row}
            for seed, score in scores.items()
        }
        means = [statistics.fmean(rows.values()) for rows in found.values() if rows]
        if not means:
            continue
        pooled = [(value, products[key]) for rows in found.values() for key, value in rows.items()]
        estimate = estimate_mean([v for v, _ in pooled], [p for _, p in pooled])
        assert estimate is not None
        values[name] = _build_value(means, estimate, len(pooled))
    for name in DISTANCES:
        means = [score.distances[name] for score in scores.values() if name in score.distances]
        if means:
            values[name] = _build_value(means, None, len(means))
    failures = {
        f"{key}, seed {seed}": why for seed, score in scores.items() for key, why in score.failures.items()
    }
    seconds = [s.seconds_per_image for s in scores.values() if s.seconds_per_image is not None]
    return MethodResult(method, condition, values, failures, statistics.median(seconds) if seconds else None)


def _build_value(means: Sequence[float], estimate: MeanEstimate | None, count: int) -> Value:
    return Value(
        statistics.fmean(means),
        statistics.stdev(means) if len(means) > 1 else None,
        None if estimate is None else estimate.low,
        None if estimate is None else estimate.high,
        tuple(means),
        count,
    )


def compute_wins(
    condition: Condition,
    chief: tuple[str, Mapping[int, TrialScore]],
    other: tuple[str, Mapping[int, TrialScore]],
) -> Wins:
    """Paired differences of two methods given as (name, scores by seed) under one condition.

    Raises MissingImageError if they share no product.
    """
    first, second = (_average(scores) for _, scores in (chief, other))
    names = (chief[0], other[0])
    won = {}
    for name in DISTANCES:
        pairs = [
            (chief[1][seed].distances[name], other[1][seed].distances[name])
            for seed in chief[1]
            if seed in other[1] and name in chief[1][seed].distances and name in other[1][seed].distances
        ]
        if pairs:
            won[name] = (sum(a < b for a, b in pairs), len(pairs))
    return Wins(condition, *names, tuple(compare(first, second, names)), won)


def _average(scores: Mapping[int, TrialScore]) -> dict[str, MetricRow]:
    """The means over seeds of every product's metrics."""
    rows: dict[str, MetricRow] = {}
    for key in sorted({key for score in scores.values() for key in score.rows}):
        found = [score.rows[key] for score in scores.values() if key in score.rows]
        rows[key] = {
            name: statistics.fmean(values)
            for name in METRICS
            if (values := [row[name] for row in found if name in row])
        }
    return rows


def find_best(results: Sequence[MethodResult], column: str) -> str | None:
    """The name of the method with the best mean in ``column``; None where no direction is better."""
    better = COLUMNS[column].better
    known = [(r.values[column].mean, r.method) for r in results if column in r.values]
    if better == "none" or not known:
        return None
    return (max if better == "higher" else min)(known, key=lambda pair: pair[0])[1]
