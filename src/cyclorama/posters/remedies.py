"""What is tried next when a poster fails: a remedy per fault, as data.

The seed of the next background is another one in any case. What a fault asks for beside that is in
:data:`REMEDIES`; a fault that is not there asks for nothing more than the next layout, too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab

from cyclorama.generation.styles import FittedStyle
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import PosterLayout, intersect
from cyclorama.layout.task import MARGIN
from cyclorama.scenes.brand import Brand, format_colour
from cyclorama.scenes.look import measure_rim, to_colour
from cyclorama.scenes.surface import Colour, Style

Remedy = Literal["seed", "larger", "palette", "layout"]
REMEDIES: dict[str, Remedy] = {
    "floating": "seed",
    "sunk": "seed",
    "size": "larger",
    "indistinct": "palette",
    "unreadable": "layout",
}
"""``seed``: the same layout, the product on its ground line again. ``larger``: the product 1.25 times as
large inside what its texts leave. ``palette``: the set's colours at least ``APART`` from the product's rim.
``layout``: the next layout."""
APART = 20.0
"""CIE76 distance."""
LARGER = 1.25


@dataclass(frozen=True)
class Attempt:
    """What a poster's background is drawn from, beside its seed."""

    layout: PosterLayout
    style: FittedStyle | None = None
    palette: tuple[str, ...] = ()
    """Colours of a style that a remedy chose."""


def choose_next(
    last: Attempt,
    faults: Collection[str],
    plans: Sequence[PosterLayout],
    product: Product,
    drawn: Style | None = None,
) -> Attempt:
    """The attempt after ``last``, which had ``faults``; ``plans`` are all layouts, best first.

    ``drawn``: the style that the next seed would draw, where the model has styles and none was asked for.
    """
    wanted = {REMEDIES.get(fault, "layout") for fault in faults} or {"layout"}
    if drawn is None and "palette" in wanted:
        wanted = {"layout"}
    layout, found = last.layout, last
    if "layout" in wanted:
        layout = plans[(_find_place(layout, plans) + 1) % len(plans)]
    elif "larger" in wanted:
        layout = _enlarge(layout)
    if "palette" in wanted and drawn is not None:
        brand = move_palette(drawn, product)
        palette = tuple(format_colour(colour) for colour in brand.style.palette)
        found = replace(last, style=FittedStyle("apart", brand), palette=palette)
    return replace(found, layout=layout)


def move_palette(style: Style, product: Product) -> Brand:
    """``style`` with each of its colours at least :data:`APART` from the median colour of the product's rim,
    as near to what it was as that allows."""
    rim = np.median(measure_rim(product.foreground, product.matte), axis=0)
    wall, floor, prop, accent = (_move_apart(colour, rim) for colour in style.palette)
    return Brand.of(style.replace(wall=wall, floor=floor, prop=prop, accent=accent))


def _move_apart(colour: Colour, rim: npt.NDArray[np.float64]) -> Colour:
    lab = rgb2lab(np.array(colour, np.float64))
    away = lab - rim
    distance = float(np.linalg.norm(away))
    if distance >= APART:
        return colour
    up = np.array([1.0, 0.0, 0.0])
    tried = [up if away[0] >= 0 else -up, -up if away[0] >= 0 else up]
    if distance > 1:
        tried.insert(0, away / distance)
    reaches = (1.0, 1.5, 2.0)  # farther where what a screen can show ends before
    found = [to_colour(rim + (APART + 1) * reach * direction) for reach in reaches for direction in tried]
    reached = [float(np.linalg.norm(rgb2lab(np.array(one, np.float64)) - rim)) for one in found]
    return next(
        (one for one, far in zip(found, reached, strict=True) if far >= APART), found[int(np.argmax(reached))]
    )


def _enlarge(layout: PosterLayout) -> PosterLayout:
    """The product's box larger about the middle of its lower edge, as far as margins and texts let it; the
    same layout if it is locked or nothing lets it."""
    [product] = layout.select("product")
    others = [element.box for element in layout.select("text", "logo", "badge")]
    short = min(layout.height, layout.width)
    across, down = MARGIN * short / layout.width, MARGIN * short / layout.height
    left, top, right, bottom = product.box
    if product.locked:
        return layout
    for factor in np.linspace(LARGER, 1, 6)[:-1]:
        middle, half, tall = (left + right) / 2, (right - left) / 2 * factor, (bottom - top) * factor
        box = (middle - half, bottom - tall, middle + half, bottom)
        inside = box[0] >= across and box[1] >= down and box[2] <= 1 - across
        if inside and not any(intersect(box, other) > 0 for other in others):
            elements = tuple(
                element.model_copy(update={"box": box}) if element is product else element
                for element in layout.elements
            )
            return layout.model_copy(update={"elements": elements})
    return layout


def _find_place(layout: PosterLayout, plans: Sequence[PosterLayout]) -> int:
    """Which of ``plans`` a layout is or was made of."""
    return next((place for place, plan in enumerate(plans) if plan.family == layout.family), -1)
