"""All figures of one picture, as a row."""

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
from cyclorama.evaluation.reading import Picture
from cyclorama.evaluation.seams import compute_contact, compute_ghost_energy, compute_seam_energy
from cyclorama.evaluation.settings import EvaluationSettings
from cyclorama.evaluation.text import Reader, build_rapidocr_reader, compute_text_error
from cyclorama.evaluation.truth import compute_truth

if TYPE_CHECKING:
    from cyclorama.types import Matte

Row = dict[str, float]
"""Metric name -> value; a metric that is not defined for the picture is left out."""


@dataclass(frozen=True, eq=False)
class PictureScorer:
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
    ) -> PictureScorer:
        """The scorer of ``partners``. Raises MissingDependencyError (text), errors of reading references."""
        given = partners.paired or partners.products is not None
        reader = build_rapidocr_reader() if "text" in settings.groups and given else None
        palettes: dict[str, Palette] = {}
        categories: dict[str, str] = {}
        if partners.references is not None:
            categories = get_reference_categories(partners)
            if "following" in settings.groups:
                for picture in partners.references:
                    palettes[picture.key] = compute_palette(picture.pixels, picture.mask)
        return cls(partners, settings, network, reader, palettes, categories)

    def score(self, key: str) -> Row:
        """The row of picture ``key``. Raises the errors of reading and comparing, naming the picture."""
        picture = self.partners.pictures.load(key)
        row: Row = {}
        truth, products = self.partners.truth, self.partners.products
        original = truth.load(key) if truth is not None and self.partners.paired else None
        if original is not None and "truth" in self.settings.groups:
            self._score_truth(row, picture, original)
        if products is not None and {"product", "text"} & set(self.settings.groups):
            original = products.load(key)
        if original is not None and picture.mask is not None:
            self._score_product(row, picture, original, picture.mask)
        if self.partners.references is not None:
            self._score_reference(row, picture)
        if picture.mask is not None and "seams" in self.settings.groups:
            row["seam_energy"] = compute_seam_energy(picture.pixels, picture.mask)
            row["ghost_energy"] = compute_ghost_energy(picture.pixels, picture.mask)
            contact = compute_contact(picture.pixels, picture.mask)
            if contact is not None:
                row["floating"] = contact.floating
        return row

    def _score_truth(self, row: Row, picture: Picture, original: Picture) -> None:
        found = compute_truth(picture.pixels, original.pixels, picture.mask, self.network)
        row |= {"psnr": found.psnr, "ssim": found.ssim}
        if found.perceptual is not None:
            row["perceptual"] = found.perceptual

    def _score_product(self, row: Row, picture: Picture, given: Picture, mask: Matte) -> None:
        if "product" in self.settings.groups:
            product = compute_preservation(picture.pixels, given.pixels, mask)
            row["product_max_difference"] = float(product.max_difference)
            row["product_mean_difference"] = product.mean_difference
            row["rim_delta_e"] = product.rim_delta_e
            row["expansion"] = product.expansion
        if self.reader is not None:
            error = compute_text_error(picture.pixels, given.pixels, mask, self.reader)
            if error is not None:
                row["text_error"] = error

    def _score_reference(self, row: Row, picture: Picture) -> None:
        own = self.partners.reference_of[picture.key]
        rivals = list_rivals(own, self.reference_categories)
        if "following" in self.settings.groups:
            palette = compute_palette(picture.pixels, picture.mask)
            distances = {
                (picture.key, name): compute_palette_distance(palette, self.palettes[name])
                for name in [own, *rivals]
            }
            row["palette_distance"] = distances[picture.key, own]
            following = compute_following({picture.key: own}, self.reference_categories, distances)
            if picture.key in following:
                row["palette_follows"] = following[picture.key].share
        if "leak" in self.settings.groups and picture.mask is not None:
            self._score_leak(row, picture, own, choose_other(picture.key, rivals, self.settings.seed))

    def _score_leak(self, row: Row, picture: Picture, own: str, other: str | None) -> None:
        assert self.partners.references is not None and picture.mask is not None
        for name, reference_key in (("leak", own), ("leak_null", other)):
            if reference_key is None:
                continue
            reference = self.partners.references.load(reference_key)
            if reference.mask is None:
                continue
            score = compute_leak(picture.pixels, picture.mask, reference.pixels, reference.mask)
            if score.product is not None:
                row[name] = score.product
            if name == "leak" and score.layout is not None:
                row["layout_copied"] = score.layout
