"""How good are the images of one trial, and all trials together?

Every metric is measured once and kept beside the images for the next time; from all trials come the rows of
the table: means, spread over seeds, intervals, wins.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

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
    products: Mapping[str, str],
) -> Wins:
    """Paired differences of two methods given as (name, scores by seed) under one condition.

    ``products`` maps keys to the product they show. Raises MissingImageError if they share no product.
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
    return Wins(condition, *names, tuple(compare(first, second, names, products=products)), won)


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
