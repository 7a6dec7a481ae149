"""Hard checks of a finished poster: what fails one is marked, and never chosen before one that fails none.

Each fault is a limit on a value that is measured; ``docs/posters.md`` says how often they are right on
planted faults (``benchmarks/inspection.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import PosterLayout, compute_area
from cyclorama.posters.drawing import DrawnPoster
from cyclorama.posters.record import PosterVerdict
from cyclorama.posters.words import Wording
from cyclorama.scenes.look import measure_rim
from cyclorama.scenes.model import find_surroundings
from cyclorama.typography.drawing import lay_over

VISIBLE = 0.05
SMALL = 256
"""Longer side at which colours behind the product are measured, pixels, about."""
ROUNDING = 1.25
"""Pixels by which a product's foot may be off because its place is rounded."""
LIKE = 15.0
"""CIE76 distance from the mean of what is behind it up to which a place of the rim is lost."""

UNEVEN = 24.0
"""Range of lightness (CIELAB L) under a text from which on an edge crosses it: no fault, but another layout
is tried."""


@dataclass(frozen=True)
class Limit:
    """A value from ``least`` to ``most`` is no ``fault``."""

    fault: str
    value: str
    says: str
    """What is wrong, with ``value``."""
    least: float = -math.inf
    most: float = math.inf

    def judge(self, value: float) -> str | None:
        """What is wrong with ``value`` and the limit it breaks; None if nothing is."""
        if self.least <= value <= self.most:
            return None
        limit = f"at least {self.least:g}" if value < self.least else f"{self.most:g} is the limit"
        return f"{self.says.format(value=value)}; {limit}"


LIMITS = (
    Limit("altered", "difference", "{value:g} levels at an opaque pixel", most=0),
    Limit("misspelled", "misspelled", "{value:g} texts do not read as given", most=0),
    Limit("unreadable", "contrast_margin", "contrast is {value:.2f} of its limit", least=1),
    Limit("text_on_product", "covered", "{value:.2%} of the product lies under words", most=0),
    Limit("indistinct", "lost", "{value:.0%} of the rim is like what is behind it", most=0.4),
    Limit("floating", "lift", "foot is {value:.1%} of the product's height over its ground", most=0.015),
    Limit("sunk", "lift", "foot is {value:.1%} of the product's height over its ground", least=-0.015),
    Limit("size", "scale", "product is {value:.2f} of the size its set is for", least=0.8, most=1.25),
    Limit("size", "share", "product takes {value:.2f} of the canvas' side", least=0.12),
    Limit("cropped", "room", "the product ends {value:g} pixels from the canvas' edge", least=1),
    Limit("crowded", "used", "{value:.0%} of the canvas is used", most=0.72),
)
"""In the order in which faults are named."""


def check_poster(
    drawn: DrawnPoster, product: Product, layout: PosterLayout, wording: Wording
) -> PosterVerdict:
    """Faults by name with what was measured, and all values.

    ``altered``: an opaque pixel of the product is not the given one. ``misspelled``: glyphs that do not read
    as the words given. ``unreadable``: a contrast below its limit. ``text_on_product``: words, logo or a
    plate over the product. ``indistinct``: much of its rim is like what is behind it. ``floating`` and
    ``sunk``: its foot is not where the set was drawn for. ``size``: the set was drawn for a larger or smaller
    one, or it is tiny on the canvas. ``cropped``: it ends at the canvas' edge. ``crowded``: too little room
    is left.
    """
    values = measure_poster(drawn, product, layout, wording)
    faults: dict[str, str] = {}
    for limit in LIMITS:
        reason = limit.judge(values[limit.value])
        if reason is not None:
            faults.setdefault(limit.fault, reason)
    if "unreadable" in faults:
        low = min(drawn.proofs, key=lambda proof: proof.contrast / proof.limit)
        faults["unreadable"] = f"{low.id}: contrast {low.contrast:.2f}, the limit is {low.limit:g}"
    return PosterVerdict(accepted=not faults, faults=faults, values=values)


def measure_poster(
    drawn: DrawnPoster, product: Product, layout: PosterLayout, wording: Wording
) -> dict[str, float]:
    """All values that :data:`LIMITS` asks for, and ``uneven``: the widest range of lightness under a
    text (the middle 80 % of its pixels).

    ``lift`` and ``scale`` compare the product with the box that its set was drawn for, the layout's: how far
    its foot is above the box's lower edge, as a share of its own height, and its side against the box's.
    """
    said = {proof.id: proof.words for proof in drawn.proofs}
    box, (height, width) = find_box(product.matte), product.size
    [place] = layout.select("product")
    left, top, right, bottom = place.box
    parts = layout.select("product", "text", "logo", "badge")
    # of a soft lower edge, as of glass or of what was resampled, either end may be the foot
    feet = (
        np.flatnonzero((product.matte >= alpha).any(1))[-1] + 1
        for alpha in (VISIBLE, product.matte.max() / 2)
    )
    lift = min((float(bottom * height - foot) for foot in feet), key=abs)
    room = min(box.top, box.left, height - box.top - box.height, width - box.left - box.width)
    values = {
        "difference": float(drawn.report.max_difference or 0),
        "misspelled": float(sum(said.get(role) != _normalise(words) for role, words in wording.items())),
        "contrast_margin": min((proof.contrast / proof.limit for proof in drawn.proofs), default=1.0),
        "covered": _measure_covered(drawn, product),
        "lost": _measure_lost(drawn, product),
        "lift": lift / box.height if abs(lift) > ROUNDING else 0.0,
        "scale": max(box.height / ((bottom - top) * height), box.width / ((right - left) * width)),
        "share": max(box.height, box.width) / (height * width) ** 0.5,
        "room": float(room),
        "used": sum(compute_area(element.box) for element in parts),
        "uneven": _measure_uneven(drawn, layout),
    }
    return {name: round(value, 4) for name, value in values.items()}


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


def _measure_uneven(drawn: DrawnPoster, layout: PosterLayout) -> float:
    """How far lightness ranges under a text, on veils and panels as drawn; a button has its own ground."""
    step = max(1, max(layout.height, layout.width) // SMALL)
    ground = lay_over(drawn.background, drawn.below)[::step, ::step]
    height, width = ground.shape[:2]
    found = 0.0
    for element in layout.select("text"):
        if element.role == "action":
            continue
        left, top, right, bottom = element.box
        rows = slice(int(top * height), math.ceil(bottom * height))
        part = to_lab(ground[rows, int(left * width) : math.ceil(right * width)])[..., 0]
        low, high = np.percentile(part, (10, 90))
        found = max(found, float(high - low))
    return found


def _measure_lost(drawn: DrawnPoster, product: Product) -> float:
    """Share of the product's rim that has the colour of what is behind it."""
    step = max(1, max(product.size) // SMALL)
    if not product.matte[::step, ::step].any():  # too thin
        step = 1
    matte = product.matte[::step, ::step]
    behind = find_surroundings(drawn.background[::step, ::step], matte)
    mean = to_lab(behind.reshape(-1, 1, 3)).mean((0, 1))
    rim = measure_rim(product.foreground[::step, ::step], matte)
    return float((np.linalg.norm(rim - mean, axis=1) < LIKE).mean())
