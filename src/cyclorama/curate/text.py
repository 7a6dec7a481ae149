"""Is there text behind the product, and can it be taken away without a trace?

Text on the product stays. Text on the background is cut out with a margin, the hole is filled by a network,
and the result is checked: no text is left, the rim of the hole does not show, and nothing else changed.
What fails a check goes to review.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveInt

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.records import Finding, RuleImage, Verdict
from cyclorama.curate.text_finding import FindingSettings, FoundText, RapidTextFinder, draw_texts
from cyclorama.evaluation.preservation import compute_edit_distance
from cyclorama.evaluation.rim import build_rim
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import dilate
from cyclorama.types import Pixels

Flags = npt.NDArray[np.bool_]

TextFinder = Callable[[Pixels], list[FoundText]]
"""Pixels uint8 (H, W, 3) -> all places that may be text, however unsure."""
Erase = Callable[[Pixels, Flags], Pixels]
"""(pixels uint8 (H, W, 3), hole bool (H, W)) -> pixels with the hole filled."""


class TextSettings(Settings):
    """What is text, whose it is, how widely it is erased, and when the result is doubted."""

    ordered: ClassVar[Order] = (("stray_overlap", "product_overlap"),)
    finding: FindingSettings = FindingSettings()
    min_confidence: Share = 0.46
    """Least confidence of a text, 0-1 (:attr:`FoundText.confidence`)."""
    sure_detection: Share = 0.85
    """Detector score from which a place is text though it cannot be read, 0-1: scripts it does not know."""
    large: Share = 0.25
    """Height of a place as a share of the image's shorter side, 0-1, from which only reading counts."""
    large_confidence: Share = 0.8
    """Least confidence with which a place that high is read, 0-1: potatoes are found, and read as 0."""
    join: NonNegativeFloat = 1.0
    """Unsure places this near a text, in multiples of its height, are erased with it."""
    product_overlap: Share = 0.7
    """Share of a text that must lie on the product for it to be the product's, 0-1."""
    stray_overlap: Share = 0.15
    """Share of a background text that may lie on the product, 0-1; above it the image goes to review."""
    grow: NonNegativeFloat = 0.25
    """Width of the margin that is erased with a text, as a share of the text's height: rims and shadows."""
    extra: NonNegativeFloat = 2.0
    """The same in pixels, added to it."""
    rounds: PositiveInt = 2
    """Most times that what is left is erased again."""
    max_erased: Share = 0.2
    """Greatest share of the image that may be erased, 0-1; above it the image goes to review."""
    hopeless_erased: Share = 0.5
    """Greatest share of the background that text may take, 0-1; above it the image is dropped."""
    max_repeats: PositiveInt = 3
    """Most places with the same words, one of them on or over the product; more are a watermark: review."""
    max_seam: NonNegativeFloat = 6.0
    """Greatest step in L*a*b* units at the rim of what was filled."""


class TextRule:
    """Erases text from backgrounds.

    ``erase`` fills holes (without one, images with text go to review); ``finder`` is RapidOCR by default.
    """

    name = "text"

    def __init__(
        self,
        settings: TextSettings | None = None,
        erase: Erase | None = None,
        finder: TextFinder | None = None,
    ) -> None:
        self.settings = settings or TextSettings()
        self._erase = erase
        self._finder = finder or RapidTextFinder(self.settings.finding)

    def judge(self, image: RuleImage) -> Finding:
        """Keep without text behind the product, repair with it, review what cannot be repaired for sure.

        What goes to review is repaired, too, so that whoever accepts it takes the image without the text.

        Invariant: the repaired image differs from ``image`` only where text or its margin was, and
        nowhere on the product. Raises MissingDependencyError if RapidOCR is not installed.
        """
        settings, product = self.settings, _get_product(image)
        places = self._sort(self._finder(image.pixels), product)
        behind = self._choose(places)
        kept = [text for text, share in places if share >= settings.product_overlap and self._is_text(text)]
        boxes = tuple(text.to_box("text on product") for text in kept)
        boxes += tuple(text.to_box("text") for text, _ in behind)
        off_product = [text.confidence for text, share in places if share < settings.product_overlap]
        repeats = count_repeats([text for text, _ in behind], kept)
        numbers = {
            "repeats": float(repeats),
            "product_texts": float(len(kept)),
            "background_texts": float(len(behind)),
            "score": max(off_product, default=0.0),
        }
        if repeats > settings.max_repeats:
            reason = f"the same words in {repeats} places, the limit is {settings.max_repeats}: a watermark"
            return Finding(self.name, Verdict.REVIEW, reason, numbers, boxes)
        if not behind:
            return Finding(self.name, Verdict.KEEP, numbers=numbers, boxes=boxes)
        words = _quote([text for text, _ in behind])
        hole = self._cut([text for text, _ in behind], product)
        numbers |= {"erased_share": float(hole.mean()), "overlap": max(share for _, share in behind)}
        taken = float(hole.sum()) / max(1, int((~product).sum()))
        if taken > settings.hopeless_erased:
            limit = f"the limit is {settings.hopeless_erased:.0%}"
            reason = f"text takes {taken:.0%} of the background, {limit}: {words}"
            return Finding(self.name, Verdict.DROP, reason, numbers, boxes)
        if self._erase is None:
            return Finding(self.name, Verdict.REVIEW, f"text on the background: {words}", numbers, boxes)
        pixels, hole, left = self._repair(image.pixels, hole, product, self._erase)
        doubts = self._check(image, pixels, hole, left, numbers)
        if image.product is None:
            doubts.append("without a mask nobody knows whether the text is the product's")
        reason = f"text on the background: {words}"
        repaired = None if numbers["changed_outside"] else replace(image, pixels=pixels)
        if doubts:
            reason = f"{reason}; {'; '.join(doubts)}"
            return Finding(self.name, Verdict.REVIEW, reason, numbers, boxes, repaired)
        return Finding(self.name, Verdict.REPAIR, reason, numbers, boxes, repaired)

    def _is_text(self, text: FoundText) -> bool:
        settings = self.settings
        return text.confidence >= settings.min_confidence or text.detection >= settings.sure_detection

    def _sort(self, texts: list[FoundText], product: Flags) -> list[tuple[FoundText, float]]:
        """Each text with the share of it that lies on the product, 0-1, but of what is too large to be text
        and cannot be read."""
        found, highest = [], self.settings.large * min(product.shape)
        for text in texts:
            if text.reading >= self.settings.large_confidence or text.height < highest:
                place = draw_texts([text], product.shape[:2])
                found.append((text, float(product[place].mean()) if place.any() else 0.0))
        return found

    def _choose(self, places: list[tuple[FoundText, float]]) -> list[tuple[FoundText, float]]:
        """What is text behind the product, and the unsure places beside it: the rest of its letters."""
        off = [(text, share) for text, share in places if share < self.settings.product_overlap]
        sure = [(text, share) for text, share in off if self._is_text(text)]
        beside = [
            (text, share)
            for text, share in off
            if share <= self.settings.stray_overlap
            and not any(text is known for known, _ in sure)
            and any(text.is_near(known, self.settings.join) for known, _ in sure)
        ]
        return sure + beside

    def _cut(self, texts: list[FoundText], product: Flags) -> Flags:
        hole = draw_texts(texts, product.shape[:2], self.settings.grow, self.settings.extra)
        return hole & ~product

    def _repair(
        self, pixels: Pixels, hole: Flags, product: Flags, erase: Erase
    ) -> tuple[Pixels, Flags, list[FoundText]]:
        """(repaired pixels, everything that was erased, the texts still there)."""
        whole = hole
        repaired = erase(pixels, whole) if whole.any() else pixels
        for turn in range(self.settings.rounds):
            left = [text for text, _ in self._choose(self._sort(self._finder(repaired), product))]
            more = self._cut(left, product) if left else None
            if more is None or turn + 1 == self.settings.rounds or not (more & ~whole).any():
                break
            whole = whole | more
            repaired = erase(pixels, whole)
        return repaired, whole, left

    def _check(
        self,
        image: RuleImage,
        repaired: Pixels,
        hole: Flags,
        left: list[FoundText],
        numbers: dict[str, float],
    ) -> list[str]:
        """What speaks against the repair; its measurements go into ``numbers``."""
        settings, doubts = self.settings, []
        changed = int((repaired != image.pixels).any(axis=2)[~hole].sum())
        seam = measure_seam(repaired, hole, _get_product(image))
        numbers |= {"erased_share": float(hole.mean()), "left": float(len(left))}
        numbers |= {"seam": seam, "changed_outside": float(changed)}
        if left:
            doubts.append(f"{len(left)} texts are left: {_quote(left)}")
        if changed:
            doubts.append(f"{changed} pixels outside the erased part changed, none may")
        if numbers["overlap"] > settings.stray_overlap:
            limit = f"the limit is {settings.stray_overlap:.0%}"
            doubts.append(f"{numbers['overlap']:.0%} of a text lies on the product, {limit}")
        if hole.mean() > settings.max_erased:
            doubts.append(f"{hole.mean():.1%} of the image is erased, the limit is {settings.max_erased:.1%}")
        if seam > settings.max_seam:
            doubts.append(f"the rim shows with {seam:.1f} L*a*b* units, the limit is {settings.max_seam:.1f}")
        return doubts


def measure_seam(pixels: Pixels, hole: Flags, product: Flags | None = None) -> float:
    """L*a*b* units by which colours step at the rim of a filled ``hole`` (H, W), 0 or more.

    Mean over the rim of the step from just outside to just inside, less the step that the image itself
    makes over the same distance outside; where the product meets the hole nothing is counted. Invariant: 0
    for an image of one colour.
    """
    if not hole.any() or hole.all():
        return 0.0
    rim = build_rim(hole.astype(np.float32), 1.0)
    usable = rim.is_outside(4.0)
    if product is not None:
        usable &= ~dilate(product, 2)[rim.rows, rim.columns]
    if not usable.any():
        return 0.0
    lab = to_lab(pixels)
    inside, near, far = (rim.sample(lab, offset)[usable] for offset in (-1.0, 1.0, 3.0))
    step = np.linalg.norm(inside - near, axis=1) - np.linalg.norm(near - far, axis=1)
    return max(0.0, float(step.mean()))


def count_repeats(behind: list[FoundText], on_product: list[FoundText]) -> int:
    """In how many places the words most often found stand, if one of them is on the product; else 0.

    Readings that differ in a third of their letters at most are the same, case and spaces apart. Words of
    fewer than three letters are not counted.
    """
    if not behind:
        return 0
    readings = ["".join(filter(str.isalnum, text.text.lower())) for text in (*on_product, *behind)]
    counts = [
        sum(_is_same(words, other) for other in readings)
        for words in readings[: len(on_product)]
        if len(words) >= 3
    ]
    return max(counts, default=0)


def _is_same(words: str, other: str) -> bool:
    if 3 * abs(len(words) - len(other)) > len(words):  # at least as many letters differ
        return False
    return 3 * compute_edit_distance(words, other) <= len(words)


def _get_product(image: RuleImage) -> Flags:
    """Where the product is, its soft rim included; nowhere if there is no mask."""
    mask = image.product
    return np.zeros(image.pixels.shape[:2], dtype=bool) if mask is None else np.asarray(mask > 0.02)


def _quote(texts: list[FoundText]) -> str:
    words = [repr(text.text[:24]) if text.text else "unread" for text in texts[:3]]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(words) + more
