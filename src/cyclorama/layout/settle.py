"""Brings any planner's layout to one that keeps every constraint, or says why there is none.

Deterministic: what lies outside goes inside, upright lines that nearly meet are made one, what overlaps
moves by the least that frees it, else its letters shrink down to what is legible, else the product shrinks.
Locked boxes stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from cyclorama.errors import LayoutError
from cyclorama.layout.elements import Box, Element, PosterLayout, intersect
from cyclorama.layout.energy import compute_energy
from cyclorama.layout.task import LayoutTask, build_locked

SNAP = 0.015
"""Upright lines nearer than this share of the width become one."""
SHRINK = 0.92
"""Factor by which letters or the product shrink at a time."""
ROUNDS = 120
"""Changes after which a layout counts as one that cannot be settled."""
TOUCH = 1e-9
"""Overlap below which boxes only touch, as a share of the canvas."""
PARTS = ("text", "logo", "badge")


def settle(layout: PosterLayout, task: LayoutTask) -> PosterLayout:
    """``layout`` with every constraint of ``task`` kept, its energy computed.

    Raises LayoutError with what has no room.
    """
    elements = {element.id: element for element in layout.elements}
    for text in task.texts:
        if text.id not in elements:
            raise LayoutError(f"the layout has no box for text {text.id!r}")
        if text.id in task.locks:
            elements[text.id] = build_locked(task, text)
    for name in {"product", "logo"} & set(task.locks) & set(elements):
        elements[name] = elements[name].model_copy(update={"box": task.locks[name], "locked": True})
    for name, element in elements.items():
        if element.kind in ("product", *PARTS) and not element.locked:
            elements[name] = _bring_inside(element, task)
    _snap(elements)
    for _ in range(ROUNDS):
        if (conflict := next(find_conflicts(list(elements.values()), task), None)) is None:
            break
        _resolve(elements, conflict, task)
    else:
        assert conflict is not None
        raise LayoutError(
            f"{conflict[0]} and {conflict[1]} have no room beside each other; fewer words or a larger canvas"
        )
    changed = layout.model_copy(update={"elements": tuple(elements.values()), "settled": True})
    return changed.model_copy(update={"energy": compute_energy(changed, task)})


def find_conflicts(elements: list[Element], task: LayoutTask) -> Iterator[tuple[str, str]]:
    """Pairs of ids that may not lie on each other and do, and (id, "margin") for what reaches into it or is
    too small to be read."""
    parts = [element for element in elements if element.kind in PARTS]
    product = next(element for element in elements if element.kind == "product")
    for element in (*parts, product):
        if not element.locked and not _is_inside(element.box, task):
            yield element.id, "margin"
    for element in parts:
        if not task.allow_occlude and task.find_cover(product.box, element.box) > 0:
            yield product.id, element.id
        if element.kind == "text" and not element.locked:
            assert element.role is not None
            if element.find_em(task.height) < task.find_least_em(element.role) * (1 - 1e-6):
                yield element.id, "legible size"
    for first, second in combinations(parts, 2):
        if intersect(first.box, second.box) > TOUCH:
            yield first.id, second.id


def _is_inside(box: Box, task: LayoutTask) -> bool:
    across, down = (value - 1e-6 for value in task.margin)
    return box[0] >= across and box[1] >= down and box[2] <= 1 - across and box[3] <= 1 - down


def _bring_inside(element: Element, task: LayoutTask) -> Element:
    """Moved into the margins; smaller, where it is larger than what they leave."""
    across, down = task.margin
    wide, high = element.box[2] - element.box[0], element.box[3] - element.box[1]
    factor = min(1.0, (1 - 2 * across) / wide, (1 - 2 * down) / high)
    wide, high = wide * factor, high * factor
    left = min(max(element.box[0], across), 1 - across - wide)
    top = min(max(element.box[1], down), 1 - down - high)
    return element.model_copy(update={"box": (left, top, left + wide, top + high)})


def _snap(elements: dict[str, Element]) -> None:
    """Texts whose upright lines nearly meet keep to that of the first of them."""
    lines: dict[str, list[float]] = {}
    for name, element in elements.items():
        if element.kind != "text":
            continue
        left, top, right, bottom = element.box
        line = {"left": left, "center": (left + right) / 2, "right": right}[element.align]
        known = lines.setdefault(element.align, [])
        near = next((other for other in known if abs(other - line) < SNAP), None)
        if near is None or element.locked:
            known.append(line)
            continue
        shift = min(max(near - line, -left), 1 - right)
        elements[name] = element.model_copy(update={"box": (left + shift, top, right + shift, bottom)})


def _resolve(elements: dict[str, Element], conflict: tuple[str, str], task: LayoutTask) -> None:
    """One change towards a layout without ``conflict``. Raises LayoutError if nothing may change."""
    first, second = conflict
    if second == "margin":
        elements[first] = _bring_inside(elements[first], task)
        return
    if second == "legible size":
        raise LayoutError(
            f"text {first!r} would be {elements[first].find_em(task.height):.1f} pixels high, less than is "
            "legible; fewer words or a larger canvas"
        )
    movable = [name for name in (second, first) if not elements[name].locked and elements[name].kind in PARTS]
    for name in movable:
        others = [other for other in elements.values() if other.id != name]
        moves = sorted(_find_moves(elements[name], others, task), key=lambda move: move[0])
        for _, box in moves:
            moved = elements[name].model_copy(update={"box": box})
            if not any(name in pair for pair in find_conflicts([*others, moved], task)):
                elements[name] = moved
                return
    for name in movable:
        if elements[name].kind == "text" and (smaller := _shrink_text(elements[name], task)):
            elements[name] = smaller
            return
    product = next(element for element in elements.values() if element.kind == "product")
    if not product.locked and task.find_share(product.box) * SHRINK >= task.product_share[0]:
        elements[product.id] = product.model_copy(update={"box": _shrink(product.box, 0.5, 1.0)})
        return
    raise LayoutError(f"{first} and {second} have no room beside each other; fewer words or a larger canvas")


def _find_moves(element: Element, others: list[Element], task: LayoutTask) -> Iterator[tuple[float, Box]]:
    """Distances, in shares of the canvas, and the boxes they lead to: straight to each side of what is
    there."""
    left, top, right, bottom = element.box
    wide, high = right - left, bottom - top
    across, down = (value / 2 for value in task.margin)
    for other in others:
        if other.kind not in (*PARTS, "product"):
            continue
        a, b, c, d = other.box
        for start in (b - down - high, d + down):
            yield abs(start - top), (left, start, right, start + high)
        for start in (a - across - wide, c + across):
            yield abs(start - left), (start, top, start + wide, bottom)
        for start in (b - down - high, d + down):  # in reading line with what it leaves
            for side in (a, (a + c - wide) / 2, c - wide):
                yield abs(start - top) + abs(side - left), (side, start, side + wide, start + high)


def _shrink_text(element: Element, task: LayoutTask) -> Element | None:
    """With smaller letters; None where these would not be legible."""
    assert element.role is not None
    if element.find_em(task.height) * SHRINK < task.find_least_em(element.role):
        return None
    across = {"left": 0.0, "center": 0.5, "right": 1.0}[element.align]
    return element.model_copy(update={"box": _shrink(element.box, across, 0.5)})


def _shrink(box: Box, across: float, down: float) -> Box:
    """Smaller about a point of the box."""
    wide, high = box[2] - box[0], box[3] - box[1]
    left, top = box[0] + across * wide * (1 - SHRINK), box[1] + down * high * (1 - SHRINK)
    return left, top, left + wide * SHRINK, top + high * SHRINK
