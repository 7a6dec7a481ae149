"""All figures of one image, as a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclorama.evaluation.features import CycloramaNetwork
from cyclorama.evaluation.following import (
    Palette,
    compute_following,
    compute_palette,
    compute_palette_distance,
    list_rivals,
)
from cyclorama.evaluation.leak import compute_leak
from cyclorama.evaluation.partners import Partners, choose_other, get_reference_categories
from cyclorama.evaluation.preservation import compute_preservation
from cyclorama.evaluation.reading import ScoredImage
from cyclorama.evaluation.seams import compute_contact, compute_ghost_energy, compute_seam_energy
from cyclorama.evaluation.settings import EvaluationSettings
from cyclorama.evaluation.text import Reader, build_rapidocr_reader, compute_text_error
from cyclorama.evaluation.truth import compute_truth

if TYPE_CHECKING:
    from cyclorama.types import Matte

Row = dict[str, float]
"""Metric name -> value; a metric that is not defined for the image is left out."""


@dataclass(frozen=True, eq=False)
class ImageScorer:
    """Computes the rows of one set; references' palettes are computed once."""

    partners: Partners
    settings: EvaluationSettings
    network: CycloramaNetwork | None
    reader: Reader | None
    palettes: dict[str, Palette]
    reference_categories: dict[str, str]

    @classmethod
    def build(
        cls, partners: Partners, settings: EvaluationSettings, network: CycloramaNetwork | None
    ) -> ImageScorer:
        """The scorer of ``partners``. Raises MissingDependencyError (text), errors of reading references."""
        given = partners.paired or partners.products is not None
        reader = build_rapidocr_reader() if "text" in settings.groups and given else None
        palettes: dict[str, Palette] = {}
        categories: dict[str, str] = {}
        if partners.references is not None:
            categories = get_reference_categories(partners)
            if "following" in settings.groups:
                for image in partners.references:
                    palettes[image.key] = compute_palette(image.pixels, image.mask)
        return cls(partners, settings, network, reader, palettes, categories)

    def score(self, key: str) -> Row:
        """The row of image ``key``. Raises the errors of reading and comparing, naming the image."""
        image = self.partners.images.load(key)
        row: Row = {}
        truth, products = self.partners.truth, self.partners.products
        original = truth.load(key) if truth is not None and self.partners.paired else None
        if original is not None and "truth" in self.settings.groups:
            self._score_truth(row, image, original)
        if products is not None and {"product", "text"} & set(self.settings.groups):
            original = products.load(key)
        if original is not None and image.mask is not None:
            self._score_product(row, image, original, image.mask)
        if self.partners.references is not None:
            self._score_reference(row, image)
        if image.mask is not None and "seams" in self.settings.groups:
            row["seam_energy"] = compute_seam_energy(image.pixels, image.mask)
            row["ghost_energy"] = compute_ghost_energy(image.pixels, image.mask)
            contact = compute_contact(image.pixels, image.mask)
            if contact is not None:
                row["floating"] = contact.floating
        return row

    def _score_truth(self, row: Row, image: ScoredImage, original: ScoredImage) -> None:
        found = compute_truth(image.pixels, original.pixels, image.mask, self.network)
        row |= {"psnr": found.psnr, "ssim": found.ssim}
        if found.perceptual is not None:
            row["perceptual"] = found.perceptual

    def _score_product(self, row: Row, image: ScoredImage, given: ScoredImage, mask: Matte) -> None:
        if "product" in self.settings.groups:
            product = compute_preservation(image.pixels, given.pixels, mask)
            row["product_max_difference"] = float(product.max_difference)
            row["product_mean_difference"] = product.mean_difference
            row["rim_delta_e"] = product.rim_delta_e
            row["expansion"] = product.expansion
        if self.reader is not None:
            error = compute_text_error(image.pixels, given.pixels, mask, self.reader)
            if error is not None:
                row["text_error"] = error

    def _score_reference(self, row: Row, image: ScoredImage) -> None:
        own = self.partners.reference_of[image.key]
        rivals = list_rivals(own, self.reference_categories)
        if "following" in self.settings.groups:
            palette = compute_palette(image.pixels, image.mask)
            distances = {
                (image.key, name): compute_palette_distance(palette, self.palettes[name])
                for name in [own, *rivals]
            }
            row["palette_distance"] = distances[image.key, own]
            following = compute_following({image.key: own}, self.reference_categories, distances)
            if image.key in following:
                row["palette_follows"] = following[image.key].share
        if "leak" in self.settings.groups and image.mask is not None:
            self._score_leak(row, image, own, choose_other(image.key, rivals, self.settings.seed))

    def _score_leak(self, row: Row, image: ScoredImage, own: str, other: str | None) -> None:
        assert self.partners.references is not None and image.mask is not None
        for name, reference_key in (("leak", own), ("leak_null", other)):
            if reference_key is None:
                continue
            reference = self.partners.references.load(reference_key)
            if reference.mask is None:
                continue
            score = compute_leak(image.pixels, image.mask, reference.pixels, reference.mask)
            if score.product is not None:
                row[name] = score.product
            if name == "leak" and score.layout is not None:
                row["layout_copied"] = score.layout
