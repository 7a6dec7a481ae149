"""How good are the images of one trial, and all trials together?

Every metric is measured once and kept beside the images for the next time; from all trials come the rows of
the table: means, spread over seeds, intervals, wins.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter

from cyclorama.evaluation.compare import MeanEstimate, PairedDifference, compare, estimate_mean
from cyclorama.evaluation.distances import compute_set_distance
from cyclorama.evaluation.features import CycloramaNetwork, FeatureStore, Network, Region, compute_set_digest
from cyclorama.evaluation.measure import evaluate_set, load_networks
from cyclorama.evaluation.reading import Partners, find_partners, open_images
from cyclorama.evaluation.settings import DISTANCES, METRICS, EvaluationSettings, MetricRow
from cyclorama.files import write_atomic
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.recipe import COLUMNS, Condition, ExperimentConfig
from cyclorama.lab.experiments.trials import MadeTrial, Trial

Scores: TypeAlias = "Mapping[tuple[int, int], TrialScore]"
"""The scores of a method's models under one condition: (model, seed) to score."""
FORMAT = 4
SCORES, FEATURES = "scores", "features"


@dataclass(frozen=True)
class TrialScore:
    """The figures of one trial."""

    rows: dict[str, MetricRow]
    """Product key to metric to value."""
    distances: dict[str, float]
    """``fid``, ``kid``, ``fid_background``, ``kid_background``, as far as they could be had; ``fid_bias`` and
    ``fid_bias_background``: how much of the FID is for want of images."""
    used: dict[str, str]
    notes: tuple[str, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    """Products without an image: key to reason."""
    seconds_per_image: float | None = None


class Scorer:
    """Scores trials of one experiment; networks and features of the true set are loaded once."""

    def __init__(self, config: ExperimentConfig, held_out: HeldOutSet, store: Path, device: str) -> None:
        self._config, self._held_out, self._store, self._device = config, held_out, store, device
        self._features = FeatureStore(store / FEATURES)
        self._networks: tuple[Network, CycloramaNetwork | None] | None = None
        self._against = None if config.against is None else open_images(config.against)

    def score(self, trial: Trial, made: MadeTrial) -> TrialScore:
        """The score of ``made``, from the store if the same images were scored alike before.

        Raises the errors of reading and measuring.
        """
        config = self._config
        settings = EvaluationSettings(
            metrics=tuple(g for g in config.metrics if g != "distance" or config.against is None),
            features=config.features,
            device=self._device,
            projection=False,
        )
        references = self._held_out.get_references(trial.condition)
        partners = find_partners(
            made.images,
            self._held_out.truth,
            None if references is None else references.select(made.images.keys),
            products=self._held_out.products,
        )
        if self._networks is None:
            self._networks = load_networks(settings)
        path = self._store / SCORES / f"{self._compute_key(partners, settings)}.json"
        found = _load(path)
        if found is None:
            found = self._measure(partners, settings)
            text = json.dumps({"format": FORMAT, **asdict(found)}, ensure_ascii=False, allow_nan=False)
            write_atomic(path, text.encode())
        return replace(found, failures=made.failures, seconds_per_image=made.seconds_per_image)

    def _compute_key(self, partners: Partners, settings: EvaluationSettings) -> str:
        assert self._networks is not None
        shown = (partners.images, partners.truth, partners.references, partners.products)
        networks = [f"{n.name}-{n.weights_hash}" for n in self._networks if n is not None]
        parts = [
            str(FORMAT), *sorted(settings.metrics), *networks, "distance" in self._config.metrics,
            *(None if s is None else compute_set_digest(s) for s in (*shown, self._against)),
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=10).hexdigest()

    def _measure(self, partners: Partners, settings: EvaluationSettings) -> TrialScore:
        assert self._networks is not None
        found = evaluate_set(partners, settings, self._networks, store=self._features)
        distances = list(found.distances)
        against = self._against
        if against is not None and "distance" in self._config.metrics:
            regions: tuple[Region, ...] = ("image", "background") if against.has_masks() else ("image",)
            for region in regions:
                sets = (partners.images, against)
                made, true = (self._features.get(images, self._networks[0], region) for images in sets)
                distances.append(compute_set_distance(made, true))
        values: dict[str, float] = {}
        for distance in distances:
            ending = "" if distance.region == "image" else "_background"
            values[f"fid{ending}"] = distance.fid
            if distance.fid_bias is not None:
                values[f"fid_bias{ending}"] = distance.fid_bias
            values[f"kid{ending}"] = distance.kid
        warnings = {distance.warning for distance in distances}
        notes = tuple(note for note in found.notes if note not in warnings)
        return TrialScore(found.rows, values, found.used, notes)


def _load(path: Path) -> TrialScore | None:
    """The score in ``path``; None if there is none, or one of another version or cut short."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            return None
        return TypeAdapter(TrialScore).validate_python(values)
    except (OSError, ValueError, KeyError, AttributeError):
        return None


@dataclass(frozen=True)
class Value:
    """One metric of one method under one condition."""

    mean: float
    """Mean over the seeds, and the models where there are several."""
    spread: float | None
    """Standard deviation of the means of each model and seed (N - 1); None with one."""
    low: float | None
    """95 % interval by bootstrap over products, all images of a product together; None for distances."""
    high: float | None
    by_seed: tuple[float, ...]
    """The means of each seed with the first model, then with the next."""
    count: int
    """Values that went in: products times seeds times models; without products for distances."""


@dataclass(frozen=True)
class MethodResult:
    """One method under one condition."""

    method: str
    condition: Condition
    values: dict[str, Value]
    failures: dict[str, str]
    """``key, seed N``, and the model after the first, to reason."""
    seconds_per_image: float | None


@dataclass(frozen=True)
class Wins:
    """The chief method against another, by product (means over seeds and models) and seed by seed."""

    condition: Condition
    chief: str
    other: str
    differences: tuple[PairedDifference, ...]
    """``first`` is the chief."""
    seeds_won: dict[str, tuple[int, int, int]]
    """Distance to (seeds in which the chief is nearer, in which the other is, seeds)."""


def aggregate(
    method: str,
    condition: Condition,
    scores: Scores,
    products: Mapping[str, str],
) -> MethodResult:
    """The result of one method from its ``scores``; ``products`` maps keys to the product they show.

    A metric that a product has in some seeds only counts where it is.
    """
    values: dict[str, Value] = {}
    scores = dict(sorted(scores.items()))
    for name in METRICS:
        found = {
            cell: {key: row[name] for key, row in score.rows.items() if name in row}
            for cell, score in scores.items()
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
        f"{key}, seed {seed}{f', model {model + 1}' if model else ''}": why
        for (model, seed), score in scores.items()
        for key, why in score.failures.items()
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
    condition: Condition, chief: tuple[str, Scores], other: tuple[str, Scores], products: Mapping[str, str]
) -> Wins:
    """Paired differences of two methods given as (name, scores) under one condition.

    ``products`` maps keys to the product they show. A seed counts where both have it, for a metric of a
    product as for a distance. Raises MissingImageError if they share no product.
    """
    seeds = sorted({seed for _, seed in chief[1]} & {seed for _, seed in other[1]})
    sides = [
        [[s for (_, n), s in scores.items() if n == seed] for seed in seeds] for _, scores in (chief, other)
    ]
    won = {}
    for name in DISTANCES:
        means = [[_mean(s.distances.get(name) for s in scores) for scores in side] for side in sides]
        pairs = [(a, b) for a, b in zip(*means, strict=True) if a is not None and b is not None]
        if pairs:
            won[name] = (sum(a < b for a, b in pairs), sum(a > b for a, b in pairs), len(pairs))
    first, second = _average(sides)
    differences = compare(first, second, (chief[0], other[0]), products=products)
    return Wins(condition, chief[0], other[0], tuple(differences), won)


def _average(sides: Sequence[Sequence[Sequence[TrialScore]]]) -> tuple[dict[str, MetricRow], ...]:
    """For each of two sides, given as scores by seed and model, every product's metrics: the means over the
    seeds in which both sides have them."""
    rows: tuple[dict[str, MetricRow], ...] = ({}, {})
    for key in sorted({key for side in sides for scores in side for score in scores for key in score.rows}):
        shown = [[[s.rows[key] for s in scores if key in s.rows] for scores in side] for side in sides]
        for side, row in zip(shown, rows, strict=True):
            if any(side):
                row[key] = {}
        for name in METRICS:
            means = [[_mean(row.get(name) for row in found) for found in side] for side in shown]
            pairs = [(a, b) for a, b in zip(*means, strict=True) if a is not None and b is not None]
            if pairs:
                for row, values in zip(rows, zip(*pairs, strict=True), strict=True):
                    row[key][name] = statistics.fmean(values)
    return rows


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def find_best(results: Sequence[MethodResult], column: str) -> str | None:
    """The name of the method with the best mean in ``column``; None where no direction is better."""
    better = COLUMNS[column].better
    known = [(r.values[column].mean, r.method) for r in results if column in r.values]
    if better == "none" or not known:
        return None
    return (max if better == "higher" else min)(known, key=lambda pair: pair[0])[1]
