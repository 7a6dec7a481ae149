"""How good are the images of one trial?  Every metric once, kept beside the images for the next time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from cyclorama.evaluation.distances import compute_set_distance
from cyclorama.evaluation.features import CycloramaNetwork, FeatureStore, Network, Region, compute_set_digest
from cyclorama.evaluation.measure import evaluate_set, load_networks
from cyclorama.evaluation.reading import ImageSet, Partners, find_partners, open_images
from cyclorama.evaluation.settings import EvaluationSettings, MetricRow
from cyclorama.files import write_atomic
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.recipe import ExperimentConfig
from cyclorama.lab.experiments.trials import MadeTrial, Trial

FORMAT = 2
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
        self._config = config
        self._held_out = held_out
        self._store = store
        self._device = device
        self._features = FeatureStore(store / FEATURES)
        self._networks: tuple[Network, CycloramaNetwork | None] | None = None
        self._against: ImageSet | None = None

    def score(self, trial: Trial, made: MadeTrial) -> TrialScore:
        """The score of ``made``, from the store if the same images were scored alike before.

        Raises the errors of reading and measuring.
        """
        settings = self._build_settings()
        partners = self._find_partners(trial, made)
        if self._networks is None:
            self._networks = load_networks(settings)
        path = self._store / SCORES / f"{self._compute_key(partners, settings)}.json"
        found = _load(path)
        if found is None:
            found = self._measure(partners, settings)
            text = json.dumps({"format": FORMAT, **asdict(found)}, ensure_ascii=False, allow_nan=False)
            write_atomic(path, text.encode())
        return replace(found, failures=made.failures, seconds_per_image=made.seconds_per_image)

    def _build_settings(self) -> EvaluationSettings:
        config = self._config
        return EvaluationSettings(
            metrics=tuple(g for g in config.metrics if g != "distance" or config.against is None),
            features=config.features,
            device=self._device,
            projection=False,
        )

    def _find_partners(self, trial: Trial, made: MadeTrial) -> Partners:
        keys = made.images.keys
        references = self._held_out.get_references(trial.condition)
        return find_partners(
            made.images,
            self._held_out.truth,
            None if references is None else references.select(keys),
            products=self._held_out.products,
        )

    def _compute_key(self, partners: Partners, settings: EvaluationSettings) -> str:
        assert self._networks is not None
        sets = (
            partners.images,
            partners.truth,
            partners.references,
            partners.products,
            self._open_against(),
        )
        networks = [f"{n.name}-{n.weights_hash}" for n in self._networks if n is not None]
        parts = [
            str(FORMAT), *sorted(settings.metrics), *networks, "distance" in self._config.metrics,
            *(None if s is None else compute_set_digest(s) for s in sets),
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=10).hexdigest()

    def _open_against(self) -> ImageSet | None:
        if self._against is None and self._config.against is not None:
            self._against = open_images(self._config.against)
        return self._against

    def _measure(self, partners: Partners, settings: EvaluationSettings) -> TrialScore:
        assert self._networks is not None
        found = evaluate_set(partners, settings, self._networks, store=self._features)
        distances = list(found.distances)
        against = self._open_against()
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
