"""Score one set of images: a row for each image, means with intervals, distances between sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from cyclorama.errors import MaskError, ModelNotFoundError, TooFewImagesError
from cyclorama.evaluation.compare import MeanEstimate, estimate_mean
from cyclorama.evaluation.distances import SetDistance, compute_set_distance
from cyclorama.evaluation.features import (
    CycloramaNetwork,
    FeatureStore,
    FeatureTable,
    Network,
    Region,
    compute_cosines,
    compute_similarity,
)
from cyclorama.evaluation.following import (
    compute_category_hits,
    compute_leak,
    compute_palette,
    compute_palette_distance,
    compute_percentiles,
    list_rivals,
)
from cyclorama.evaluation.layouts import ScoredLayout, measure_poster, measure_published, read_layout
from cyclorama.evaluation.preservation import (
    READER_NAME,
    SEGMENTER_NAME,
    build_rapidocr_reader,
    compute_expansion,
    compute_interior_difference,
    compute_rim_delta_e,
    compute_text_error,
    compute_truth,
    segment_by_rim_colours,
)
from cyclorama.evaluation.projection import Compactness, compute_compactness, draw_projection, project
from cyclorama.evaluation.reading import ImageSet, Partners, ScoredImage, get_reference_styles
from cyclorama.evaluation.rim import compute_floating, compute_ghost_energy, compute_seam_energy
from cyclorama.evaluation.settings import METRICS, EvaluationSettings, MetricRow
from cyclorama.seeding import compute_seed


class ImageScorer:
    """Computes the rows of one set; references' palettes are computed once.

    Building it raises MissingDependencyError (text) and the errors of reading references.
    """

    def __init__(
        self, partners: Partners, settings: EvaluationSettings, network: CycloramaNetwork | None
    ) -> None:
        self.partners, self.settings, self.network = partners, settings, network
        given = partners.paired or partners.products is not None
        self.reader = build_rapidocr_reader() if "text" in settings.metrics and given else None
        self.styles, self.palettes = {}, {}
        if partners.references is not None:
            self.styles = get_reference_styles(partners)
            if "following" in settings.metrics:
                for image in partners.references:
                    self.palettes[image.key] = compute_palette(image.pixels, image.mask)
        self.layouts: list[ScoredLayout] = []
        """Of the posters scored so far."""
        self.left_out: dict[str, list[str]] = {}
        """Metric -> ``key: reason`` of every image on which it has nothing to measure."""

    def score(self, key: str) -> MetricRow:
        """The row of image ``key``. Raises the errors of reading and comparing, naming the image."""
        partners, wanted, network, reader = self.partners, self.settings.metrics, self.network, self.reader
        image = partners.images.load(key)
        truth = partners.truth.load(key) if partners.truth is not None and partners.paired else None
        separate = partners.products is not None and ("product" in wanted or "text" in wanted)
        given = partners.products.load(key) if separate and partners.products is not None else truth
        pixels, mask = image.pixels, image.mask
        row: MetricRow = {}
        add = partial(self._add, row, key)
        if truth is not None and "truth" in wanted:
            names = "psnr ssim" if network is None else "psnr ssim perceptual"
            add(names, lambda: compute_truth(pixels, truth.pixels, mask, network))
        if mask is not None and given is not None:
            original = given.pixels
            if "product" in wanted:
                names = "product_max_difference product_mean_difference"
                add(names, lambda: compute_interior_difference(pixels, original, mask))
                add("rim_delta_e", lambda: [compute_rim_delta_e(pixels, original, mask)])
                add("expansion", lambda: [compute_expansion(segment_by_rim_colours(pixels, mask), mask)])
            if reader is not None:
                add("text_error", lambda: [compute_text_error(pixels, original, mask, reader)])
        if mask is not None and "seams" in wanted:
            add("seam_energy", lambda: [compute_seam_energy(pixels, mask)])
            add("ghost_energy", lambda: [compute_ghost_energy(pixels, mask)])
            add("floating", lambda: [compute_floating(pixels, mask)])
        if "layout" in wanted and (record := image.meta.get("record")) is not None:
            self.layouts.append(read_layout(record))
            row |= measure_poster(self.layouts[-1])
        if partners.references is not None:
            own = partners.reference_of[key]
            rivals = list_rivals(own, self.styles)
            if "following" in wanted:
                names = "palette_distance palette_percentile"
                add(names, lambda: self._compare_palettes(image, own, rivals))
            if "leak" in wanted and mask is not None:
                add("leak layout_copied", lambda: self._measure_leak(image, own))
                if rivals:  # the null of the score: another reference, fixed by key and seed
                    other = rivals[compute_seed(self.settings.seed, key, "other reference") % len(rivals)]
                    add("leak_null", lambda: self._measure_leak(image, other)[:1])
        return row

    def _add(
        self, row: MetricRow, key: str, names: str, measure: Callable[[], Sequence[float | None]]
    ) -> None:
        """Put what ``measure`` gives under ``names``; where it has nothing to measure, leave out and note."""
        values: Sequence[float | None]
        reason = "nothing to compare with"
        try:
            values = measure()
        except (MaskError, TooFewImagesError) as error:
            values, reason = [None] * len(names.split()), str(error)
        for name, value in zip(names.split(), values):
            if value is None:
                self.left_out.setdefault(name, []).append(f"{key!r}: {reason}")
            else:
                row[name] = float(value)

    def _compare_palettes(self, image: ScoredImage, own: str, rivals: Sequence[str]) -> list[float | None]:
        palette = compute_palette(image.pixels, image.mask)
        distances = {
            (image.key, name): compute_palette_distance(palette, self.palettes[name])
            for name in (own, *rivals)
        }
        percentiles = compute_percentiles({image.key: own}, self.styles, distances)
        return [distances[image.key, own], percentiles.get(image.key)]

    def _measure_leak(self, image: ScoredImage, name: str) -> Sequence[float | None]:
        assert self.partners.references is not None and image.mask is not None
        reference = self.partners.references.load(name)
        if reference.mask is None:
            return [None, None]
        return compute_leak(image.pixels, image.mask, reference.pixels, reference.mask)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured on one set."""

    partners: Partners
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
    published: dict[str, float] = field(default_factory=dict)
    """PKU's and JD's layout metrics over all posters at once, as their authors' code takes them."""

    @property
    def name(self) -> str:
        """The name of the scored set."""
        return self.partners.images.name


def count_steps(partners: Partners) -> int:
    """How many images' worth of work :func:`evaluate_set` will report."""
    sets = [s for s in (partners.truth, partners.references) if s is not None]
    return 3 * len(partners.images) + 2 * sum(len(s) for s in sets)


def load_networks(settings: EvaluationSettings) -> tuple[Network, CycloramaNetwork | None]:
    """(network of distances and similarities, our own for categories and perceptual distance or None)."""
    from cyclorama.evaluation.published import load_features

    network = load_features(settings.features, settings.device)
    try:
        own = network if network.name == "cyclorama" else load_features("cyclorama", settings.device)
    except ModelNotFoundError:
        own = None
    return network, own if isinstance(own, CycloramaNetwork) else None


def evaluate_set(
    partners: Partners,
    settings: EvaluationSettings,
    networks: tuple[Network, CycloramaNetwork | None],
    truth_features: FeatureTable | None = None,
    on_images: Callable[[int], None] | None = None,
    store: FeatureStore | None = None,
) -> Evaluation:
    """Score ``partners``.

    ``truth_features`` stand for a truth that is only known by its kept features. ``store`` keeps features for
    the next call. Raises the errors of reading, of sizes, of mixed features and of too few images.
    """
    scorer = ImageScorer(partners, settings, networks[1])
    rows: dict[str, MetricRow] = {}
    for key in partners.images.keys:
        rows[key] = scorer.score(key)
        if on_images is not None:
            on_images(1)
    run = _FeatureRun(partners, settings, *networks, on_images, store or FeatureStore())
    if "similarity" in settings.metrics:
        run.add_similarities(rows)
    if partners.references is not None and "following" in settings.metrics:
        run.add_following(rows, partners.references)
    distances = run.compute_distances(truth_features) if "distance" in settings.metrics else []
    compactness, projection = run.compute_categories(rows)
    estimates = {}
    for name in METRICS:
        keys = [key for key in rows if name in rows[key]]
        products = [get_product(key, partners.images, partners.truth) for key in keys]
        found = estimate_mean([rows[key][name] for key in keys], products, settings.seed)
        if found is not None:
            estimates[name] = found
    return Evaluation(
        partners,
        rows,
        estimates,
        tuple(distances),
        compactness,
        projection,
        run.used,
        (*partners.notes, *_list_unscored(partners, settings, truth_features), *run.notes),
        tuple(
            f"{METRICS[name].title}: left out on {len(found)} of {len(rows)} images, first {found[0]}"
            for name, found in scorer.left_out.items()
        ),
        measure_published(scorer.layouts) if scorer.layouts else {},
    )


def _list_unscored(
    partners: Partners, settings: EvaluationSettings, truth_features: FeatureTable | None
) -> list[str]:
    """Groups of metrics that were asked for and have nothing to compare with, in words."""
    known = partners.truth is not None or truth_features is not None
    paired, references = partners.paired, partners.references is not None
    lacking = {
        "no true set": (known, "distance"),
        "no true images of the same keys": (paired, "truth"),
        "no products as given": (paired or partners.products is not None, "product text"),
        "neither true images nor references": (paired or references, "similarity"),
        "no references": (references, "following leak"),
        "no records of posters": (
            all("record" in item.meta for item in partners.images.items.values()), "layout"
        ),
        "not every image has a category": (
            set(partners.categories) == set(partners.images.keys), "category"
        ),
    }  # fmt: skip
    return [
        f"{reason}: {', '.join(missed)} not scored"
        for reason, (there, groups) in lacking.items()
        if not there and (missed := [group for group in groups.split() if group in settings.metrics])
    ]


def get_product(key: str, *sets: ImageSet | None) -> str:
    """The product that image ``key`` shows, by the first of ``sets`` that knows: unit of the bootstrap."""
    named = (s.items[key].meta.get("product_id") for s in sets if s is not None and key in s)
    return next((str(name) for name in named if name), key)


class _FeatureRun:
    """What needs features: each (set, region) is extracted once."""

    def __init__(
        self,
        partners: Partners,
        settings: EvaluationSettings,
        network: Network,
        own: CycloramaNetwork | None,
        on_images: Callable[[int], None] | None,
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
        self.masked = partners.images.has_masks()
        if not self.masked:
            self.notes.append("no product masks: backgrounds alone, product, leak and seams are not scored")
        self.regions: tuple[Region, ...] = ("image", "background") if self.masked else ("image",)

    def get_table(self, role: str, region: Region, network: Network | None = None) -> FeatureTable:
        """The features of ``images``, ``truth`` or ``references``."""
        network = network or self.network
        place = (role, network.name, region)
        if place not in self.tables:
            store = self.kept if role == "truth" else self.store
            images = getattr(self.partners, role)
            self.tables[place] = store.get(images, network, region, self.on_images)
        return self.tables[place]

    def add_similarities(self, rows: dict[str, MetricRow]) -> None:
        partners = self.partners
        truth = partners.truth if partners.paired else None
        roles = (("truth", truth, None), ("references", partners.references, partners.reference_of))
        for region in self.regions:
            for role, partner, pairs in roles:
                if partner is None:
                    continue
                if region == "background" and not partner.has_masks():
                    self.notes.append(f"{partner.name} has no masks: its backgrounds alone are not compared")
                    continue
                name = f"similarity_{role.removesuffix('s')}" + ("" if region == "image" else "_background")
                tables = self.get_table("images", region), self.get_table(role, region)
                for key, value in compute_similarity(*tables, pairs).items():
                    rows[key][name] = value

    def add_following(self, rows: dict[str, MetricRow], references: ImageSet) -> None:
        region: Region = "background" if self.masked and references.has_masks() else "image"
        styles = get_reference_styles(self.partners)
        own = self.partners.reference_of
        pairs = [(key, name) for key, r in own.items() for name in [r, *list_rivals(r, styles)]]
        tables = self.get_table("images", region), self.get_table("references", region)
        distances = {pair: 1 - cosine for pair, cosine in compute_cosines(*tables, pairs).items()}
        for key, reference in own.items():
            rows[key]["feature_distance"] = distances[key, reference]
        for key, share in compute_percentiles(own, styles, distances).items():
            rows[key]["feature_percentile"] = share

    def compute_distances(self, kept: FeatureTable | None) -> list[SetDistance]:
        truth = self.partners.truth
        if truth is None and kept is None:
            return []
        if len(self.partners.images) < 2:
            self.notes.append("one image: no distance between sets")
            return []
        result = []
        for region in self.regions:
            other = kept if kept is not None and kept.identity.region == region else None
            if kept is None and truth is not None and (region == "image" or truth.has_masks()):
                other = self.get_table("truth", region)
            if other is not None and len(other.keys) > 1:
                table = self.get_table("images", region)
                result.append(compute_set_distance(table, other, self.settings.seed))
        self.notes += [distance.warning for distance in result if distance.warning]
        return result

    def compute_categories(self, rows: dict[str, MetricRow]) -> tuple[dict[str, Compactness], bytes | None]:
        categories = self.partners.categories
        if "category" not in self.settings.metrics or set(categories) != set(rows):
            return {}, None
        region = self.regions[-1]
        if self.own is not None and self.masked:
            unknown = sum(name not in self.own.categories for name in categories.values())
            if unknown < len(rows):
                table = self.get_table("images", region, self.own)
                for key, right in compute_category_hits(table, categories, self.own).items():
                    rows[key]["category_accuracy"] = float(right)
            if unknown:
                self.notes.append(f"{unknown} images are of categories our network does not know")
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
        return compactness, draw_projection(places, [categories[key] for key in table.keys])
