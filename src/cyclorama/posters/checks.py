"""Hard checks of a finished poster: what fails one is marked, and never chosen before one that fails none."""

from __future__ import annotations

import numpy as np

from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import PosterLayout, compute_area
from cyclorama.posters.drawing import DrawnPoster
from cyclorama.posters.record import PosterVerdict
from cyclorama.posters.words import Wording
from cyclorama.scenes.look import measure_contrast, measure_rim

LEAST_RIM = 6.0
"""CIE76 distance between the product's rim and what is round it below which it is indistinct."""
LEAST_SIDE = 0.12
"""Longer side of the product against the side of a square of the canvas's area below which it is too
small."""
MOST_USED = 0.72
"""Share of the canvas under product and words above which a poster is crowded."""
VISIBLE = 0.05


def check_poster(
    drawn: DrawnPoster, product: Product, layout: PosterLayout, wording: Wording
) -> PosterVerdict:
    """Faults by name with what was measured, and all values.

    ``altered``: an opaque pixel of the product is not the given one. ``misspelled``: glyphs that do not read
    as the words given. ``unreadable``: a contrast below its limit. ``text_on_product``: words, logo or a
    plate over the product. ``indistinct``: the product's rim is like what is behind it. ``size``: the
    product is tiny. ``cropped``: it ends at the canvas' edge. ``crowded``: too little room is left.
    """
    values: dict[str, float] = {}
    faults: dict[str, str] = {}
    if drawn.report.exact is False:
        faults["altered"] = f"{drawn.report.max_difference} levels at an opaque pixel; 0 is the limit"
    said = {proof.id: proof.words for proof in drawn.proofs}
    if wrong := [role for role, words in wording.items() if said.get(role) != _normalise(words)]:
        faults["misspelled"] = f"{', '.join(wrong)} do not read as given"
    margins = [proof.contrast / proof.limit for proof in drawn.proofs]
    values["contrast_margin"] = round(min(margins), 3) if margins else 1.0
    if margins and min(margins) < 1:
        low = min(drawn.proofs, key=lambda proof: proof.contrast / proof.limit)
        faults["unreadable"] = f"{low.id}: contrast {low.contrast:.2f}, the limit is {low.limit:g}"
    values["covered"] = _measure_covered(drawn, product)
    if values["covered"] > 0:
        faults["text_on_product"] = f"{values['covered']:.2%} of the product lies under words; 0 is the limit"
    values["rim"] = _measure_rim(drawn, product)
    if values["rim"] < LEAST_RIM:
        faults["indistinct"] = (
            f"rim differs by {values['rim']:.1f} from what is behind; at least {LEAST_RIM:g}"
        )
    box, (height, width) = find_box(product.matte), product.size
    values["share"] = round(max(box.height, box.width) / (height * width) ** 0.5, 4)
    if values["share"] < LEAST_SIDE:
        faults["size"] = f"product takes {values['share']:.2f} of the canvas' side; at least {LEAST_SIDE:g}"
    if min(box.top, box.left, height - box.top - box.height, width - box.left - box.width) <= 0:
        faults["cropped"] = "the product ends at the canvas' edge"
    parts = layout.select("product", "text", "logo", "badge")
    values["used"] = round(sum(compute_area(element.box) for element in parts), 4)
    if values["used"] > MOST_USED:
        faults["crowded"] = f"{values['used']:.0%} of the canvas is used; {MOST_USED:.0%} is the limit"
    return PosterVerdict(accepted=not faults, faults=faults, values=values)


def _normalise(words: str) -> str:
    from cyclorama.typography.records import Span, TextBlock

    return TextBlock(words=(Span(text=words),)).text


def _measure_covered(drawn: DrawnPoster, product: Product) -> float:
    """Share of the product's visible pixels under words, logo, plate or button."""
    seen = product.matte >= VISIBLE
    over = np.zeros(seen.shape, bool)
    for patch in drawn.above:
        height, width = patch.rgba.shape[:2]
        over[patch.top : patch.top + height, patch.left : patch.left + width] |= patch.rgba[..., 3] > 0
    return float((seen & over).sum() / max(seen.sum(), 1))


def _measure_rim(drawn: DrawnPoster, product: Product) -> float:
    """Distance between the product's rim and the ring of background round it, as the scenes measure it."""
    seen = product.matte > 0.5
    step = max(1, max(product.size) // 256)
    small, ground = seen[::step, ::step], drawn.background[::step, ::step]
    from scipy import ndimage

    ring = ndimage.binary_dilation(small, iterations=4) & ~ndimage.binary_dilation(small)
    if not ring.any():
        return 0.0
    rim = measure_rim(product.foreground[::step, ::step], product.matte[::step, ::step])
    return round(float(measure_contrast(rim, ground[ring])), 2)
