"""Layout metrics of finished posters, in three families: ours, PKU's and JD's.

A poster is an image with its record and its parts beside it (:data:`cyclorama.layout.elements.ENDING`); only
the record's layout is read, so a folder of anybody's posters is measured once that is written beside them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cyclorama.errors import DataError, LayoutError
from cyclorama.evaluation.settings import MetricRow
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.loading import load_image
from cyclorama.layout import metrics_published as published
from cyclorama.layout.elements import ENDING, PARTS, PosterLayout
from cyclorama.layout.metrics import measure_layout
from cyclorama.layout.task import LayoutTask, TextShape, draw_silhouette
from cyclorama.types import Matte, Pixels

_OF_BOXES = (
    published.pku_validity,
    published.pku_overlap,
    published.pku_alignment,
    published.pku_underlay_loose,
    published.pku_underlay_strict,
    published.jd_overlap,
    published.jd_alignment,
    published.jd_underlay,
    published.jd_occupied,
)
_OF_SALIENCY = (published.pku_occlusion, published.pku_utility)
_OF_IMAGES = (published.pku_readability, published.jd_composition)


@dataclass(frozen=True, eq=False)
class ScoredLayout:
    """A poster's layout with what is below it; ``matte`` (H, W) is the product's, and stands for PKU's
    saliency."""

    layout: PosterLayout
    background: Pixels
    matte: Matte


def read_layout(path: Path) -> ScoredLayout:
    """The layout of a record and its parts. Raises DataError naming the file, and the errors of images."""
    try:
        layout = PosterLayout.model_validate(json.loads(path.read_text(encoding="utf-8"))["layout"])
    except (OSError, ValueError, KeyError, TypeError, LayoutError) as error:
        raise DataError(
            f"{path}: no layout can be read ({error}); give a record of `cyclorama poster`"
        ) from error
    stem = path.name.removesuffix(ENDING)
    parts = {name: path.with_name(stem + suffix) for name, suffix in PARTS.items()}
    if missing := [part.name for part in parts.values() if not part.is_file()]:
        raise DataError(f"{path}: {', '.join(missing)} is missing; it was written beside the record")
    product = load_image(parts["product"])
    if product.alpha is None:
        raise DataError(f"{parts['product']}: no transparency; the product's part has it")
    background = load_image(parts["background"])
    return ScoredLayout(layout, to_srgb(background.pixels, background.icc_profile), product.alpha)


def measure_poster(one: ScoredLayout) -> MetricRow:
    """The row of one poster: own metrics as ``layout_*``, published ones by their names; what a poster has
    nothing for (no underlay, a single element) is left out."""
    own = measure_layout(one.layout, build_task(one), one.background)
    row = {f"layout_{name}": value for name, value in own.items()}
    row |= measure_published([one])
    if not one.layout.select("underlay"):
        for name in ("layout_underlay", "pku_underlay_loose", "pku_underlay_strict", "jd_underlay"):
            row.pop(name, None)
    return {name: value for name, value in row.items() if math.isfinite(value)}


def measure_published(posters: Sequence[ScoredLayout]) -> MetricRow:
    """Both published families over all posters at once, as their authors' code takes them: some are means
    over posters, some over elements or pairs of all posters."""
    layouts = [one.layout for one in posters]
    mattes = [one.matte.astype(float) for one in posters]
    images = [one.background for one in posters]
    calls: list[tuple[str, Callable[[], float]]] = [
        *((one.__name__, partial(one, layouts)) for one in _OF_BOXES),
        *((one.__name__, partial(one, layouts, mattes)) for one in _OF_SALIENCY),
        *((one.__name__, partial(one, layouts, images)) for one in _OF_IMAGES),
    ]
    return {name: value for name, call in calls if math.isfinite(value := call())}


def build_task(one: ScoredLayout) -> LayoutTask:
    """What the layout was planned for, as far as limits and energy need it."""
    layout = one.layout
    [product] = layout.select("product")
    left, top, right, bottom = product.box
    aspect = (right - left) * layout.width / ((bottom - top) * layout.height)
    texts = tuple(
        TextShape(element.id, element.role, (1.0,))
        for element in layout.select("text")
        if element.role is not None
    )
    return LayoutTask(
        height=layout.height,
        width=layout.width,
        product_aspect=min(max(aspect, 1 / 30), 30.0),
        texts=texts,
        silhouette=draw_silhouette(one.matte),
        locks={element.id: element.box for element in layout.elements if element.locked},
    )
