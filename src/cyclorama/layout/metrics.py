"""Layout metrics in clean definitions, each of one layout; the published ones are in
``metrics_published``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import ndimage, optimize

from cyclorama.imaging.colour import to_lab
from cyclorama.layout.elements import PosterLayout, compute_area, intersect
from cyclorama.layout.energy import measure_terms
from cyclorama.layout.settle import find_conflicts
from cyclorama.layout.task import LayoutTask
from cyclorama.types import Pixels


def measure_layout(
    layout: PosterLayout, task: LayoutTask, background: Pixels | None = None
) -> dict[str, float]:
    """Values by name:

    ``overlap``: area that texts, logo and badges share, as a share of the smaller one of each pair, summed.
    ``occlusion``: share of the product, by its silhouette, under texts, logo and badges.
    ``alignment``: upright lines that texts keep to beyond four.
    ``underlay``: share of texts on an underlay that lie wholly on it; 1 without any.
    ``utility``: share of the canvas that is used.
    ``validity``: share of elements larger than 0.1 % of the canvas.
    ``constraint``: share of elements that break no lock and no limit.
    ``energy``: see :mod:`cyclorama.layout.energy`.
    ``flatness``: with ``background`` uint8 (H, W, 3), mean length of the Sobel gradient of L (0-100) under
    texts that lie on no underlay; lower is calmer.
    """
    parts = layout.select("text", "logo", "badge")
    product = next(element for element in layout.elements if element.kind == "product")
    terms = measure_terms(layout, task)
    broken = {name for pair in find_conflicts(list(layout.elements), task) for name in pair}
    broken |= {one.id for one in layout.elements if one.box != task.locks.get(one.id, one.box)}
    values = {
        "overlap": sum(
            intersect(a.box, b.box) / min(compute_area(a.box), compute_area(b.box))
            for a, b in combinations(parts, 2)
        ),
        "occlusion": min(1.0, sum(task.find_cover(product.box, element.box) for element in parts)),
        "alignment": terms["lines"],
        "underlay": _measure_underlay(layout),
        "utility": min(1.0, sum(compute_area(element.box) for element in (*parts, product))),
        "validity": sum(compute_area(element.box) > 0.001 for element in layout.elements)
        / len(layout.elements),
        "constraint": 1 - len(broken & {one.id for one in layout.elements}) / len(layout.elements),
        "energy": layout.energy if layout.energy is not None else float("nan"),
    }
    if background is not None:
        values["flatness"] = measure_flatness(layout, background)
    return values


def measure_flatness(layout: PosterLayout, background: Pixels) -> float:
    """See :func:`measure_layout`; NaN where no text lies on the bare background."""
    lightness = to_lab(background)[..., 0]
    slope = np.hypot(ndimage.sobel(lightness, 0), ndimage.sobel(lightness, 1)) / 8
    height, width = lightness.shape
    area = np.zeros((height, width), bool)
    for kind, value in (("text", True), ("underlay", False)):
        for element in layout.elements:
            if element.kind == kind:
                left, top, right, bottom = element.box
                rows, columns = (
                    slice(round(top * height), round(bottom * height)),
                    slice(round(left * width), round(right * width)),
                )
                area[rows, columns] = value
    return float(slope[area].mean()) if area.any() else float("nan")


def measure_diversity(layouts: Sequence[PosterLayout]) -> float:
    """Mean over pairs of layouts of one task of the mean distance of their elements' boxes, matched by id
    and, where ids differ, by the least sum; each box as its four shares of the canvas. 0 for fewer than
    two."""
    distances = [_measure_distance(*pair) for pair in combinations(layouts, 2)]
    return float(np.mean(distances)) if distances else 0.0


def _measure_distance(first: PosterLayout, second: PosterLayout) -> float:
    boxes = [
        np.array([element.box for element in one.select("product", "text", "logo", "badge")])
        for one in (first, second)
    ]
    costs = np.abs(boxes[0][:, None] - boxes[1][None]).mean(-1)
    kinds = [
        [element.id for element in one.select("product", "text", "logo", "badge")] for one in (first, second)
    ]
    if kinds[0] == kinds[1]:
        return float(np.diag(costs).mean())
    return float(costs[optimize.linear_sum_assignment(costs)].mean())


def _measure_underlay(layout: PosterLayout) -> float:
    shares = [
        intersect(under.box, text.box) / compute_area(text.box)
        for under in layout.select("underlay")
        for text in layout.select("text")
    ]
    touched = [share for share in shares if share > 0]
    return sum(share > 1 - 1e-6 for share in touched) / len(touched) if touched else 1.0
