"""Score one set of images: a row for each image, means with intervals, distances between sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from cyclorama.errors import ModelNotFoundError
from cyclorama.evaluation.bootstrap import MeanEstimate, estimate_mean
from cyclorama.evaluation.distances import SetDistance, compute_set_distance
from cyclorama.evaluation.feature_store import FeatureStore
from cyclorama.evaluation.features import (
    CycloramaNetwork,
    FeatureTable,
    Network,
    Region,
    compute_cosines,
    compute_similarity,
    load_features,
)
from cyclorama.evaluation.following import compute_category_hits, compute_percentiles, list_rivals
from cyclorama.evaluation.image_metrics import ImageScorer, MetricRow
from cyclorama.evaluation.partners import Partners, get_reference_categories
from cyclorama.evaluation.preservation import SEGMENTER_NAME
from cyclorama.evaluation.projection import Compactness, compute_compactness, draw_projection, project
from cyclorama.evaluation.settings import METRICS, EvaluationSettings
from cyclorama.evaluation.text import READER_NAME

Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured on one set."""

    name: str
    against: str | None
    references: str | None
    rows: dict[str, MetricRow]
    """Image key -> metric name -> value."""
    estimates: dict[str, MeanEstimate]
    """Metric name -> mean over images with its 95 % interval over products."""
    distances: tuple[SetDistance, ...]
    compactness: dict[str, Compactness]
    projection: bytes | None
    """PNG of the images' features on a plane; None where not asked for, or too few have a category."""
    used: dict[str, str]
    """What stood behind the figures: feature networks with hashes, segmenter, method of projection."""
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Metrics that had nothing to measure on some images: on how many, and why on the first."""


def count_steps(partners: Partners) -> int:
    """How many images' worth of work :func:`evaluate_set` will report."""
    sets = [s for s in (partners.truth, partners.references) if s is not None]
    return 3 * len(partners.images) + 2 * sum(len(s) for s in sets)


def load_networks(settings: EvaluationSettings) -> tuple[Network, CycloramaNetwork | None]:
    """(network of distances and similarities, our own for categories and perceptual distance or None)."""
    network = load_features(settings.features, settings.device)
    if isinstance(network, CycloramaNetwork):
        return network, network
    try:
        own = load_features("cyclorama", settings.device)
    except ModelNotFoundError:
        return network, None
    return network, own if isinstance(own, CycloramaNetwork) else None


def evaluate_set(
    partners: Partners,
    settings: EvaluationSettings,
    networks: tuple[Network, CycloramaNetwork | None],
    truth_features: FeatureTable | None = None,
    on_images: Progress | None = None,
    store: FeatureStore | None = None,
) -> Evaluation:
    """Score ``partners``.

    ``truth_features`` stand for a truth that is only known by its kept features. ``store`` keeps features for
    the next call. Raises the errors of reading, of sizes, of mixed features and of too few images.
    """
    network, own = networks
    scorer = ImageScorer(partners, settings, own)
    rows: dict[str, MetricRow] = {}
    for key in partners.images.keys:
        rows[key] = scorer.score(key)
        if on_images is not None:
            on_images(1)
    run = _FeatureRun(partners, settings, network, own, on_images, store or FeatureStore())
    run.add_similarities(rows)
    run.add_following(rows)
    distances = run.compute_distances(truth_features)
    compactness, projection = run.compute_categories(rows)
    groups = {key: _get_product(partners, key) for key in rows}
    estimates = {}
    for name in METRICS:
        keys = [key for key in rows if name in rows[key]]
        found = estimate_mean([rows[key][name] for key in keys], [groups[key] for key in keys], settings.seed)
        if found is not None:
            estimates[name] = found
    return Evaluation(
        partners.images.name,
        None if partners.truth is None else partners.truth.name,
        None if partners.references is None else partners.references.name,
        rows,
        estimates,
        tuple(distances),
        compactness,
        projection,
        run.used,
        (*partners.notes, *list_unscored(partners, settings, truth_features), *run.notes),
        tuple(
            f"{METRICS[name].title}: left out on {len(found)} of {len(rows)} images, first {found[0]}"
            for name, found in scorer.left_out.items()
        ),
    )


def list_unscored(
    partners: Partners, settings: EvaluationSettings, truth_features: FeatureTable | None
) -> list[str]:
    """Groups of metrics that were asked for and have nothing to compare with, in words."""
    known = partners.truth is not None or truth_features is not None
    lacking: dict[str, tuple[bool, set[str]]] = {
        "no true set": (not known, {"distance"}),
        "no true images of the same keys": (not partners.paired, {"truth"}),
        "no products as given": (not partners.paired and partners.products is None, {"product", "text"}),
        "neither true images nor references": (
            not partners.paired and partners.references is None, {"similarity"}
        ),
        "no references": (partners.references is None, {"following", "leak"}),
        "not every image has a category": (
            set(partners.categories) != set(partners.images.keys), {"category"}
        ),
    }  # fmt: skip
    return [
        f"{reason}: {', '.join(sorted(groups & set(settings.metrics)))} not scored"
        for reason, (true, groups) in lacking.items()
        if true and groups & set(settings.metrics)
    ]


def _get_product(partners: Partners, key: str) -> str:
    """The product that an image shows: the unit of the bootstrap."""
    items = [partners.images.items[key]]
    if partners.truth is not None and key in partners.truth:
        items.append(partners.truth.items[key])
    return next((str(i.meta["product_id"]) for i in items if i.meta.get("product_id")), key)


class _FeatureRun:
    """What needs features: each (set, region) is extracted once."""

    def __init__(
        self,
        partners: Partners,
        settings: EvaluationSettings,
        network: Network,
        own: CycloramaNetwork | None,
        on_images: Progress | None,
        store: FeatureStore,
    ) -> None:
        self.partners, self.settings, self.network, self.own = partners, settings, network, own
        self.on_images, self.store = on_images, store
        self.kept = store if settings.statistics is None else FeatureStore(settings.statistics)
        self.tables: dict[tuple[str, str, Region], FeatureTable] = {}
        self.used = {"features": f"{network.name}-{network.weights_hash} ({network.resampler})"}
        self.notes: list[str] = []
        given = partners.paired or partners.products is not None
        if given and "product" in settings.metrics:
            self.used["segmenter"] = SEGMENTER_NAME
        if given and "text" in settings.metrics:
            self.used["text reader"] = f"{READER_NAME} {version(READER_NAME)}"
        if own is not None:
            self.used["category and perceptual network"] = f"cyclorama-{own.weights_hash}"
        elif "category" in settings.metrics or "truth" in settings.metrics:
            self.notes.append("no feature network of our own: perceptual distance and categories left out")
        self.regions: tuple[Region, ...] = ("image",)
        if partners.images.has_masks():
            self.regions = ("image", "background")
        else:
            self.notes.append("no product masks: backgrounds alone, product, leak and seams are not scored")

    def get_table(self, role: str, region: Region, network: Network | None = None) -> FeatureTable:
        """The features of ``images``, ``truth`` or ``references``."""
        network = network or self.network
        place = (role, network.name, region)
        if place not in self.tables:
            images = getattr(self.partners, role)
            store = self.kept if role == "truth" else self.store
            self.tables[place] = store.get(images, network, region, self.on_images)
        return self.tables[place]

    def add_similarities(self, rows: dict[str, MetricRow]) -> None:
        if "similarity" not in self.settings.metrics:
            return
        for region in self.regions:
            ending = "" if region == "image" else "_background"
            for role, name in (("truth", "similarity_truth"), ("references", "similarity_reference")):
                partner = getattr(self.partners, role)
                if partner is None or (role == "truth" and not self.partners.paired):
                    continue
                if region == "background" and not partner.has_masks():
                    self.notes.append(f"{partner.name} has no masks: its backgrounds alone are not compared")
                    continue
                pairs = self.partners.reference_of if role == "references" else None
                found = compute_similarity(
                    self.get_table("images", region), self.get_table(role, region), pairs
                )
                for key, value in found.items():
                    rows[key][name + ending] = value

    def add_following(self, rows: dict[str, MetricRow]) -> None:
        references = self.partners.references
        if references is None or "following" not in self.settings.metrics:
            return
        masked = "background" in self.regions and references.has_masks()
        region: Region = "background" if masked else "image"
        categories = get_reference_categories(self.partners)
        own = self.partners.reference_of
        pairs = [(key, name) for key, r in own.items() for name in [r, *list_rivals(r, categories)]]
        tables = self.get_table("images", region), self.get_table("references", region)
        distances = {pair: 1 - cosine for pair, cosine in compute_cosines(*tables, pairs).items()}
        for key, reference in own.items():
            rows[key]["feature_distance"] = distances[key, reference]
        for key, share in compute_percentiles(own, categories, distances).items():
            rows[key]["feature_percentile"] = share

    def compute_distances(self, kept: FeatureTable | None) -> list[SetDistance]:
        truth = self.partners.truth
        if "distance" not in self.settings.metrics or (truth is None and kept is None):
            return []
        if len(self.partners.images) < 2:
            self.notes.append("one image: no distance between sets")
            return []
        result = []
        for region in self.regions:
            if kept is not None:
                other = kept if kept.identity.region == region else None
            else:
                assert truth is not None
                shown = region == "image" or truth.has_masks()
                other = self.get_table("truth", region) if shown else None
            if other is not None and len(other.keys) > 1:
                result.append(
                    compute_set_distance(self.get_table("images", region), other, self.settings.seed)
                )
        self.notes += [distance.warning for distance in result if distance.warning]
        return result

    def compute_categories(self, rows: dict[str, MetricRow]) -> tuple[dict[str, Compactness], bytes | None]:
        categories = self.partners.categories
        if "category" not in self.settings.metrics or set(categories) != set(rows):
            return {}, None
        region: Region = "background" if "background" in self.regions else "image"
        if self.own is not None and region == "background":
            table = self.get_table("images", region, self.own)
            known = {key for key, value in categories.items() if value in self.own.categories}
            if known:
                for key, (right, _, _) in compute_category_hits(table, categories, self.own).items():
                    rows[key]["category_accuracy"] = float(right)
            if len(known) < len(rows):
                self.notes.append(
                    f"{len(rows) - len(known)} images are of categories our network does not know"
                )
        table = self.get_table("images", region)
        counts = Counter(categories.values())
        alone = [name for name, count in counts.items() if count < 2]
        if len(counts) - len(alone) < 2:
            return {}, None
        if alone:
            self.notes.append(f"{len(alone)} categories have one image: no compactness, not on the map")
            table = table.select([key for key in table.keys if counts[categories[key]] > 1])
        compactness = compute_compactness(table, categories)
        if not self.settings.projection:
            return compactness, None
        places, method = project(table, self.settings.seed)
        self.used["projection"] = f"{method} of {table.identity.label}"
        image = draw_projection(places, [categories[key] for key in table.keys])
        return compactness, image
