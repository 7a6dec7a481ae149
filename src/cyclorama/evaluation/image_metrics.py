"""All metrics of one image, as a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cyclorama.errors import MaskError, TooFewImagesError
from cyclorama.evaluation.features import CycloramaNetwork
from cyclorama.evaluation.following import (
    compute_palette,
    compute_palette_distance,
    compute_percentiles,
    list_rivals,
)
from cyclorama.evaluation.leak import compute_leak
from cyclorama.evaluation.partners import Partners, choose_other, get_reference_categories
from cyclorama.evaluation.preservation import (
    compute_expansion,
    compute_interior_difference,
    compute_rim_delta_e,
    segment_by_rim_colours,
)
from cyclorama.evaluation.reading import ScoredImage
from cyclorama.evaluation.seams import compute_contact, compute_ghost_energy, compute_seam_energy
from cyclorama.evaluation.settings import EvaluationSettings
from cyclorama.evaluation.text import build_rapidocr_reader, compute_text_error
from cyclorama.evaluation.truth import compute_truth

if TYPE_CHECKING:
    from cyclorama.types import Matte

MetricRow = dict[str, float]
"""Metric name -> value; a metric that is not defined for the image is left out."""


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
        self.categories = {} if partners.references is None else get_reference_categories(partners)
        self.palettes = {}
        if partners.references is not None and "following" in settings.metrics:
            for image in partners.references:
                self.palettes[image.key] = compute_palette(image.pixels, image.mask)
        self.left_out: dict[str, list[str]] = {}
        """Metric -> ``key: reason`` of every image on which it has nothing to measure."""

    def score(self, key: str) -> MetricRow:
        """The row of image ``key``. Raises the errors of reading and comparing, naming the image."""
        image, wanted = self.partners.images.load(key), set(self.settings.metrics)
        row: MetricRow = {}
        truth, products = self.partners.truth, self.partners.products
        original = truth.load(key) if truth is not None and self.partners.paired else None
        if original is not None and "truth" in wanted:
            self._score_truth(row, image, original)
        if products is not None and {"product", "text"} & wanted:
            original = products.load(key)
        if image.mask is not None:
            if original is not None:
                self._score_product(row, image, original, image.mask)
            if "seams" in wanted:
                self._score_seams(row, image, image.mask)
        if self.partners.references is not None:
            self._score_reference(row, image)
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

    def _score_truth(self, row: MetricRow, image: ScoredImage, original: ScoredImage) -> None:
        def measure() -> Sequence[float | None]:
            found = compute_truth(image.pixels, original.pixels, image.mask, self.network)
            return [found.psnr, found.ssim] + ([] if found.perceptual is None else [found.perceptual])

        names = "psnr ssim" if self.network is None else "psnr ssim perceptual"
        self._add(row, image.key, names, measure)

    def _score_product(self, row: MetricRow, image: ScoredImage, given: ScoredImage, mask: Matte) -> None:
        key, pixels, original, reader = image.key, image.pixels, given.pixels, self.reader
        if "product" in self.settings.metrics:
            names = "product_max_difference product_mean_difference"
            self._add(row, key, names, lambda: compute_interior_difference(pixels, original, mask))
            self._add(row, key, "rim_delta_e", lambda: [compute_rim_delta_e(pixels, original, mask)])
            self._add(
                row, key, "expansion",
                lambda: [compute_expansion(segment_by_rim_colours(pixels, mask), mask)],
            )  # fmt: skip
        if reader is not None:
            self._add(row, key, "text_error", lambda: [compute_text_error(pixels, original, mask, reader)])

    def _score_seams(self, row: MetricRow, image: ScoredImage, mask: Matte) -> None:
        key, pixels = image.key, image.pixels

        def measure_contact() -> list[float | None]:
            contact = compute_contact(pixels, mask)
            return [None if contact is None else contact.floating]

        self._add(row, key, "seam_energy", lambda: [compute_seam_energy(pixels, mask)])
        self._add(row, key, "ghost_energy", lambda: [compute_ghost_energy(pixels, mask)])
        self._add(row, key, "floating", measure_contact)

    def _score_reference(self, row: MetricRow, image: ScoredImage) -> None:
        own = self.partners.reference_of[image.key]
        rivals = list_rivals(own, self.categories)
        if "following" in self.settings.metrics:
            self._add(
                row, image.key, "palette_distance palette_percentile",
                lambda: self._compare_palettes(image, own, rivals),
            )  # fmt: skip
        if "leak" in self.settings.metrics and image.mask is not None:
            other = choose_other(image.key, rivals, self.settings.seed)
            self._add(row, image.key, "leak layout_copied", lambda: self._measure_leak(image, own))
            if other is not None:
                self._add(row, image.key, "leak_null", lambda: self._measure_leak(image, other)[:1])

    def _compare_palettes(self, image: ScoredImage, own: str, rivals: Sequence[str]) -> list[float | None]:
        palette = compute_palette(image.pixels, image.mask)
        distances = {
            (image.key, name): compute_palette_distance(palette, self.palettes[name])
            for name in (own, *rivals)
        }
        percentiles = compute_percentiles({image.key: own}, self.categories, distances)
        return [distances[image.key, own], percentiles.get(image.key)]

    def _measure_leak(self, image: ScoredImage, name: str) -> list[float | None]:
        assert self.partners.references is not None and image.mask is not None
        reference = self.partners.references.load(name)
        if reference.mask is None:
            return [None, None]
        found = compute_leak(image.pixels, image.mask, reference.pixels, reference.mask)
        return [found.product, found.layout]
