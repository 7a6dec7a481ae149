"""How good is a layout? A weighted sum of terms that a designer would name; lower is better.

Terms are shares or ratios without a unit, 0 where nothing is wrong. The weights are ours, written down here
and learned from nobody: an energy compares layouts of one task, it does not measure taste.
"""

from __future__ import annotations

import math
from itertools import combinations

from cyclorama.layout.elements import Element, PosterLayout, compute_area, intersect
from cyclorama.layout.task import RELATIVE, LayoutTask

WEIGHTS = {
    "overlap": 12.0,
    "occlusion": 10.0,
    "margin": 6.0,
    "lines": 0.25,
    "gaps": 0.8,
    "hierarchy": 1.5,
    "balance": 1.2,
    "share": 1.5,
    "order": 2.0,
    "legible": 2.0,
    "ground": 1.0,
    "empty": 0.8,
    "busy": 4.0,
    "broken": 0.7,
}
WANTED_SHARE = 0.54
"""Share of the product (see LayoutTask.product_share) that a poster aims at."""
GROUND = 0.74
"""Share of the canvas' height that a product's foot reaches down to."""
READABLE_EM = {"legal": 0.018}
READABLE_EM_OTHERS = 0.032
"""Em from which letters are read with ease, as a share of the shorter side."""
HEADLINE_EM = 0.075
"""Em of a headline that calls, as a share of the side of a square of the canvas's area."""


def measure_terms(layout: PosterLayout, task: LayoutTask) -> dict[str, float]:
    """The energy's terms by name, before their weights."""
    texts, rest = layout.select("text"), layout.select("text", "logo", "badge")
    product = next(element for element in layout.elements if element.kind == "product")
    return {
        "overlap": sum(
            intersect(a.box, b.box) / min(compute_area(a.box), compute_area(b.box))
            for a, b in combinations(rest, 2)
        ),
        "occlusion": 0.0
        if task.allow_occlude
        else sum(math.sqrt(task.find_cover(product.box, element.box)) for element in rest),
        "margin": sum(_find_excess(element, task) for element in (*rest, product) if not element.locked),
        "lines": max(0.0, _count_lines(texts, layout.width) - 4.0),
        "gaps": _find_crowding(rest, product, task),
        "hierarchy": _find_flatness(texts, layout.height),
        "balance": _find_imbalance(layout, product),
        "share": abs(math.log(task.find_share(product.box) / WANTED_SHARE)),
        "order": _count_disorder(texts, [text.id for text in task.texts]),
        "legible": sum(_find_smallness(element, task) for element in texts),
        "ground": max(0.0, GROUND - product.box[3]),
        "empty": max(0.0, 0.3 - _find_used(rest, product)),
        "broken": sum(_find_breaks(element, task) for element in texts),
        "busy": sum(task.find_busy(element.box) for element in texts) / max(len(texts), 1),
    }


def compute_energy(layout: PosterLayout, task: LayoutTask) -> float:
    """The weighted sum of :func:`measure_terms`."""
    return sum(WEIGHTS[name] * value for name, value in measure_terms(layout, task).items())


def _find_excess(element: Element, task: LayoutTask) -> float:
    """How far an element reaches into the margin, in margins."""
    across, down = task.margin
    left, top, right, bottom = element.box
    return (
        max(0.0, across - left, right - 1 + across) / across + max(0.0, down - top, bottom - 1 + down) / down
    )


def _count_lines(texts: list[Element], width: int) -> float:
    """Upright lines that texts keep to, each text by the side it is aligned to."""
    places = {
        round({"left": box[0], "center": (box[0] + box[2]) / 2, "right": box[2]}[element.align] * width / 2)
        for element in texts
        for box in (element.box,)
    }
    return float(len(places))


def _find_crowding(rest: list[Element], product: Element, task: LayoutTask) -> float:
    """How much nearer than half a margin elements stand to each other or the product's box, in half
    margins."""
    across, down = (value / 2 for value in task.margin)
    found = 0.0
    for first, second in combinations((*rest, product), 2):
        if "product" in (first.kind, second.kind) and task.allow_occlude:
            continue
        a, b = first.box, second.box
        wide = max(a[0] - b[2], b[0] - a[2]) / across
        high = max(a[1] - b[3], b[1] - a[3]) / down
        apart = max(wide, high)
        if apart < 1:
            found += 1 - max(apart, 0.0)
    return found / max(len(rest), 1)


def _find_flatness(texts: list[Element], height: int) -> float:
    """How much nearer in size two roles are than they should be."""
    found = 0.0
    for first, second in combinations(texts, 2):
        assert first.role is not None and second.role is not None
        wanted = RELATIVE[first.role] / RELATIVE[second.role]
        ratio = first.find_em(height) / second.find_em(height)
        if wanted < 1:
            wanted, ratio = 1 / wanted, 1 / ratio
        found += max(0.0, math.log(wanted) * 0.7 - math.log(ratio))
    return found / max(len(texts) - 1, 1)


def _find_imbalance(layout: PosterLayout, product: Element) -> float:
    """Distance of the mass's middle from the canvas's, across, in half widths; the product weighs double."""
    mass = moment = 0.0
    for element in layout.elements:
        if element.kind == "underlay":
            continue
        weight = compute_area(element.box) * (2.0 if element is product else 1.0)
        mass += weight
        moment += weight * ((element.box[0] + element.box[2]) / 2 - 0.5)
    return abs(2 * moment / mass)


def _count_disorder(texts: list[Element], order: list[str]) -> float:
    """Pairs of texts whose later one starts above the earlier one, over all pairs."""
    pairs = list(combinations(sorted(texts, key=lambda element: order.index(element.id)), 2))
    wrong = sum(second.box[1] < first.box[1] - 1e-6 for first, second in pairs)
    return wrong / max(len(pairs), 1)


def _find_smallness(element: Element, task: LayoutTask) -> float:
    """How much smaller letters are than what is read with ease; a headline is to call."""
    assert element.role is not None
    em = element.find_em(task.height)
    wanted = READABLE_EM.get(element.role, READABLE_EM_OTHERS) * task.short
    if element.role == "headline":
        wanted = max(wanted, HEADLINE_EM * math.sqrt(task.width * task.height))
    return max(0.0, math.log(wanted / em))


def _find_breaks(element: Element, task: LayoutTask) -> float:
    """What a text's line breaks spoil: lines beyond three, and of a headline lines that are half empty."""
    if element.role == "legal":
        return 0.0
    widths = next(text.widths for text in task.texts if text.id == element.id)
    many = max(0, element.lines - 3)
    if element.role != "headline" or not math.isfinite(widths[0]):
        return 0.3 * many
    wide = widths[min(element.lines, len(widths)) - 1]
    return 0.3 * many + max(0.0, 0.8 - widths[0] / (element.lines * wide))


def _find_used(rest: list[Element], product: Element) -> float:
    return sum(compute_area(element.box) for element in (*rest, product))
