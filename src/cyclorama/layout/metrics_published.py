"""Layout metrics as two public evaluations compute them, with their quirks, so that numbers can be compared.

``pku_*`` as PosterLayout's evaluation (PKU, CVPR 2023), ``jd_*`` as RADM's (JD, 2023): names are alike,
values are not. What either does oddly is kept and said below. Elements map to the classes both know: text,
logo, underlay, and (JD alone) embellishment, which badges and props are; products and calm boxes are none.
Layouts are :class:`~cyclorama.layout.elements.PosterLayout`; images uint8 (H, W, 3), saliency float (H, W)
in 0-1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.layout.elements import Box, Element, Kind, PosterLayout, compute_area, intersect
from cyclorama.types import Pixels

PKU_WIDTH, PKU_HEIGHT = 513, 750
"""All PKU metrics are computed on a canvas of this size, whatever the layout's is."""
PKU_CLASSES: tuple[Kind, ...] = ("text", "logo", "underlay")
PKU_LEAST = 5.13 * 7.50 * 10
"""Area in pixels below which PKU counts an element as empty: 0.1 % of its canvas."""
JD_CLASSES: tuple[Kind, ...] = ("text", "logo", "underlay", "badge", "prop")
JD_BARE: tuple[Kind, ...] = ("text", "logo")
"""All but underlays and embellishments."""
JD_EPSILON = 10e-7

Saliency = npt.NDArray[np.float64]


def pku_validity(layouts: Sequence[PosterLayout]) -> float:
    """Share of elements that are not empty; higher is better. NaN without elements."""
    elements = [element for layout in layouts for element in layout.select(*PKU_CLASSES)]
    return sum(not _is_empty(element) for element in elements) / len(elements) if elements else math.nan


def pku_overlap(layouts: Sequence[PosterLayout]) -> float:
    """Mean over layouts of the pairs' intersection over union, summed and divided by the number of elements
    (not of pairs), underlays left out; lower is better."""
    return _mean([_pku_overlap(layout) for layout in layouts])


def pku_alignment(layouts: Sequence[PosterLayout]) -> float:
    """Mean over layouts of n times -log10(1 - d), d being the *one* smallest distance of all pairs along any
    of six lines (every element adds the same value); lower is better. A layout of one element counts as 0."""
    return _mean([_pku_alignment(layout) for layout in layouts])


def pku_underlay_loose(layouts: Sequence[PosterLayout]) -> float:
    """Mean over layouts with underlays of the largest share of an element that its underlay covers."""
    return _pku_underlay(layouts, lambda under, box: intersect(under, box) / compute_area(box))


def pku_underlay_strict(layouts: Sequence[PosterLayout]) -> float:
    """Mean over layouts with underlays of the share of them that wholly hold some element; what sticks out
    to the right counts as held, as there (its test compares the right edge with itself)."""
    return _pku_underlay(
        layouts, lambda under, box: float(under[0] <= box[0] and under[1] <= box[1] and under[3] >= box[3])
    )


def pku_occlusion(layouts: Sequence[PosterLayout], saliency: Sequence[Saliency]) -> float:
    """Mean over layouts of the mean saliency under all elements; lower is better."""
    found = []
    for layout, one in zip(layouts, saliency, strict=True):
        salient, covered = _resize(one), _cover(_pku(layout))
        found.append(float(salient[covered].mean()) if covered.any() else 0.0)
    return _mean(found)


def pku_utility(layouts: Sequence[PosterLayout], saliency: Sequence[Saliency]) -> float:
    """Mean over layouts of the share of what is not salient that elements cover; higher is better."""
    found = []
    for layout, one in zip(layouts, saliency, strict=True):
        calm = 1 - _resize(one)
        found.append(float(calm[_cover(_pku(layout))].sum() / calm.sum()) if calm.sum() else 0.0)
    return _mean(found)


def pku_readability(layouts: Sequence[PosterLayout], images: Sequence[Pixels]) -> float:
    """Mean over layouts of the mean gradient under texts that lie on no underlay; lower is better. Gradients
    are Sobel in eight bits: falling slopes are lost and squares wrap; then divided by the image's largest."""
    found = []
    for layout, image in zip(layouts, images, strict=True):
        elements = _pku(layout)
        area = _cover([one for one in elements if one.kind == "text"])
        area &= ~_cover([one for one in elements if one.kind == "underlay"])
        found.append(float(_find_byte_gradient(image)[area].mean()) if area.any() else 0.0)
    return _mean(found)


def jd_overlap(layouts: Sequence[PosterLayout]) -> float:
    """Mean over all ordered pairs of all layouts of the part of the first that the second covers, underlays
    and embellishments left out; lower is better."""
    shares = []
    for layout in layouts:
        bare = layout.select(*JD_BARE)
        shares += [
            intersect(one.box, other.box) / compute_area(one.box)
            for one in bare
            for other in bare
            if one.box != other.box or one.kind != other.kind
        ]
    return _mean(shares)


def jd_alignment(layouts: Sequence[PosterLayout]) -> float:
    """Mean over layouts of two and more elements of the mean over elements of min(-ln(1 - dx), -ln(1 - dy)),
    dx and dy being the smallest distances to another one's left, middle or right and top, middle or bottom;
    lower is better."""
    found = []
    for layout in layouts:
        lines = [_find_lines(element.box) for element in layout.select(*JD_CLASSES)]
        if len(lines) < 2:
            continue
        values = []
        for place, own in enumerate(lines):
            others = [line for other, line in enumerate(lines) if other != place]
            across = min(1.0, *(abs(line[k] - own[k]) for line in others for k in (0, 2, 4)))
            down = min(1.0, *(abs(line[k] - own[k]) for line in others for k in (1, 3, 5)))
            values.append(min(-math.log(1 - across + JD_EPSILON), -math.log(1 - down + JD_EPSILON)))
        found.append(_mean(values))
    return _mean(found)


def jd_underlay(layouts: Sequence[PosterLayout]) -> float:
    """Mean over all underlays of the largest share of an element that they cover; higher is better."""
    found = []
    for layout in layouts:
        others = [element for element in layout.select(*JD_CLASSES) if element.kind != "underlay"]
        for under in layout.select("underlay"):
            shares = [intersect(under.box, other.box) / compute_area(other.box) for other in others]
            found.append(max(shares, default=0.0))
    return _mean(found, empty=0.0)


def jd_composition(layouts: Sequence[PosterLayout], images: Sequence[Pixels]) -> float:
    """Mean over all texts of the mean length of the Sobel gradient in their box, 0-255 levels, nothing
    normalised and the box's outermost pixels left out; lower is better."""
    found = []
    for layout, image in zip(layouts, images, strict=True):
        grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)
        height, width = grey.shape
        for element in layout.select("text"):
            left, top, right, bottom = element.box
            x, y = int(left * width), int(top * height)
            box = grey[y : y + int(bottom * height - top * height), x : x + int(right * width - left * width)]
            if min(box.shape) >= 3:
                across, down = (ndimage.sobel(box, axis)[1:-1, 1:-1] for axis in (1, 0))
                found.append(float(np.hypot(across, down).mean()))
    return _mean(found, empty=0.0)


def jd_occupied(layouts: Sequence[PosterLayout]) -> float:
    """Share of layouts that hold anything (RADM calls it R_occ); higher is better."""
    return _mean([float(bool(layout.select(*JD_CLASSES))) for layout in layouts])


def _is_empty(element: Element) -> bool:
    return compute_area(element.box) * PKU_WIDTH * PKU_HEIGHT < PKU_LEAST


def _pku(layout: PosterLayout) -> list[Element]:
    """What PKU measures: its classes, empty ones left out."""
    return [element for element in layout.select(*PKU_CLASSES) if not _is_empty(element)]


def _pku_overlap(layout: PosterLayout) -> float:
    boxes = [element.box for element in _pku(layout) if element.kind != "underlay"]
    total = 0.0
    for one, other in combinations(boxes, 2):
        both = intersect(one, other)
        total += both / (compute_area(one) + compute_area(other) - both)
    return total / len(boxes) if boxes else 0.0


def _pku_alignment(layout: PosterLayout) -> float:
    lines = [_find_lines(element.box) for element in _pku(layout)]
    if len(lines) < 2:
        return 0.0
    nearest = min(abs(one[k] - other[k]) for one, other in combinations(lines, 2) for k in range(6))
    return len(lines) * -math.log10(1 - nearest)


def _pku_underlay(layouts: Sequence[PosterLayout], judge: object) -> float:
    assert callable(judge)
    found = []
    for layout in layouts:
        elements = _pku(layout)
        others = [element.box for element in elements if element.kind != "underlay"]
        unders = [element.box for element in elements if element.kind == "underlay"]
        if unders:
            found.append(_mean([max((judge(under, box) for box in others), default=0.0) for under in unders]))
    return _mean(found, empty=0.0)


def _find_lines(box: Box) -> tuple[float, ...]:
    """Left, top, middle across, middle down, right, bottom."""
    left, top, right, bottom = box
    return left, top, (left + right) / 2, (top + bottom) / 2, right, bottom


def _cover(elements: Sequence[Element]) -> npt.NDArray[np.bool_]:
    """Which pixels of PKU's canvas lie in some box; corners are cut down to whole pixels."""
    covered = np.zeros((PKU_HEIGHT, PKU_WIDTH), bool)
    for element in elements:
        left, top, right, bottom = (
            int(value * side) for value, side in zip(element.box, (PKU_WIDTH, PKU_HEIGHT) * 2, strict=True)
        )
        covered[top:bottom, left:right] = True
    return covered


def _resize(saliency: Saliency) -> Saliency:
    levels = Image.fromarray(np.round(saliency * 255).astype(np.uint8)).resize((PKU_WIDTH, PKU_HEIGHT))
    return np.asarray(levels, np.float64) / 255


def _find_byte_gradient(image: Pixels) -> Saliency:
    """0-1, as OpenCV's Sobel of depth -1 and arithmetic in uint8 give it."""
    colours = np.asarray(Image.fromarray(image).resize((PKU_WIDTH, PKU_HEIGHT)), np.int64)
    grey = ((colours @ np.array([9798, 19235, 3735]) + 16384) >> 15).astype(np.float64)
    slopes = [ndimage.sobel(grey, axis, mode="mirror").clip(0, 255).astype(np.uint8) for axis in (1, 0)]
    squares = slopes[0] * slopes[0] + slopes[1] * slopes[1]  # wraps at 256
    length = np.sqrt(squares / 2)
    if not length.max():
        return np.zeros(length.shape)
    return np.trunc(length / length.max() * 255) / 255  # type: ignore[no-any-return]


def _mean(values: Sequence[float], empty: float = math.nan) -> float:
    return sum(values) / len(values) if values else empty
