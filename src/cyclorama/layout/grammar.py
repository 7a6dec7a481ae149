"""The grammar: twelve ways to divide a poster (``families.yaml``), each with parameters, to a layout.

A layout is a function of (task, family, parameters): eight numbers from 0 to 1 say where the canvas is
divided, how large the product and the letters are and where in their regions they stand. What is drawn in
this way is aligned and in reading order by construction; what it costs, :mod:`cyclorama.layout.energy` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from cyclorama.errors import LayoutError
from cyclorama.layout.elements import Align, Box, Element, PosterLayout, find_leading
from cyclorama.layout.task import RELATIVE, Corner, LayoutTask, TextShape, build_locked, build_product

PARAMETERS = ("t", "u", "share", "across", "down", "letters", "gap", "corner")
"""Each 0-1: both divisions, the product's share and place, size of the letters, gap between texts, the
logo's corner."""
CORNERS: tuple[Corner, ...] = ("top-left", "top-right", "bottom-left", "bottom-right")
LARGEST = 0.13
"""Largest headline's em against the side of a square of the canvas's area."""
GAPS = (0.25, 0.9)
"""Least and largest gap between texts in em of the smaller one."""
STEPS = 14
"""Halvings by which the largest letters that fit are found."""


@dataclass(frozen=True)
class Region:
    """A place for texts. ``box`` holds numbers and the names t, u, 1-t, 1-u."""

    box: tuple[Any, ...]
    align: Align
    valign: str
    roles: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Family:
    """One way to divide a poster."""

    name: str
    product: tuple[Any, ...]
    texts: tuple[Region, ...]
    underlay: tuple[Any, ...] | None = None
    t: tuple[float, float] = (0.0, 0.0)
    u: tuple[float, float] = (0.0, 0.0)


@cache
def load_families() -> dict[str, Family]:
    """The grammar's families by name."""
    text = (Path(__file__).parent / "families.yaml").read_text(encoding="utf-8")
    found = {}
    for name, values in yaml.safe_load(text).items():
        texts = tuple(
            Region(**region | {"box": tuple(region["box"]), "roles": region.get("roles")})
            for region in values["texts"]
        )
        rest = {key: tuple(value) for key, value in values.items() if key != "texts"}
        found[name] = Family(name, texts=texts, **rest)
    return found


def build_layout(task: LayoutTask, family: str, parameters: Sequence[float]) -> PosterLayout | None:
    """The layout of ``family`` with ``parameters`` (see ``PARAMETERS``); None where the texts have no room.

    Raises LayoutError (no such family).
    """
    kind = load_families().get(family)
    if kind is None:
        raise LayoutError(f"family {family!r} is none; there are {', '.join(load_families())}")
    values = dict(zip(PARAMETERS, parameters, strict=True))
    division = {
        name: low + values[name] * (high - low) for name, (low, high) in (("t", kind.t), ("u", kind.u))
    }
    elements = [*_build_underlay(task, kind, division)]
    least, most = task.product_share
    product = task.locks.get("product") or task.place_product(
        _inset(task, _resolve(kind.product, division)),
        least + values["share"] * (most - least),
        values["across"],
        values["down"],
    )
    elements.append(build_product(product, "product" in task.locks))
    logo = _build_logo(task, values["corner"])
    elements += logo
    left = [text for text in task.texts if text.id not in task.locks]
    for region in kind.texts:
        mine = [text for text in left if region.roles is None or text.role in region.roles]
        left = [text for text in left if text not in mine]
        box = _inset(task, _resolve(region.box, division), 0.5 if kind.underlay is None else 1.0)
        placed = _stack(task, mine, _dodge(box, logo), region, values["letters"], values["gap"])
        if placed is None:
            return None
        elements += placed
    elements += [build_locked(task, text) for text in task.texts if text.id in task.locks]
    try:
        return PosterLayout(height=task.height, width=task.width, family=family, elements=tuple(elements))
    except LayoutError:  # a region without extent
        return None


def _resolve(box: Sequence[Any], division: dict[str, float]) -> Box:
    left, top, right, bottom = (division[value] if isinstance(value, str) else value for value in box)
    return left, top, right, bottom


def _inset(task: LayoutTask, box: Box, gap: float = 0.5) -> Box:
    """A box inside the margins, with ``gap`` margins to what lies beside it."""
    across, down = task.margin
    left, top, right, bottom = box
    return (
        across + left * (1 - 2 * across) + (gap * across if left > 0 else 0),
        down + top * (1 - 2 * down) + (gap * down if top > 0 else 0),
        across + right * (1 - 2 * across) - (gap * across if right < 1 else 0),
        down + bottom * (1 - 2 * down) - (gap * down if bottom < 1 else 0),
    )


def _build_underlay(task: LayoutTask, kind: Family, division: dict[str, float]) -> list[Element]:
    if kind.underlay is None:
        return []
    across, down = task.margin
    left, top, right, bottom = _resolve(kind.underlay, division)
    box = (  # a division inside the margins lies here on the canvas
        across + left * (1 - 2 * across) if left > 0 else 0.0,
        down + top * (1 - 2 * down) if top > 0 else 0.0,
        across + right * (1 - 2 * across) if right < 1 else 1.0,
        down + bottom * (1 - 2 * down) if bottom < 1 else 1.0,
    )
    return [Element(id="underlay", kind="underlay", box=box)]


def _build_logo(task: LayoutTask, corner: float) -> list[Element]:
    if task.logo_aspect is None:
        return []
    name = task.logo_corner or CORNERS[min(int(4 * corner), 3)]
    (across, down), (wide, high) = task.margin, task.logo_size
    left = across if name.endswith("left") else 1 - across - wide
    top = down if name.startswith("top") else 1 - down - high
    box = task.locks.get("logo") or (left, top, left + wide, top + high)
    return [Element(id="logo", kind="logo", box=box, layer=2, locked="logo" in task.locks)]


def _dodge(box: Box, others: list[Element]) -> Box:
    """``box`` cut so that it keeps clear of ``others``, by the cut that takes least."""
    for element in others:
        left, top, right, bottom = element.box
        high, gap = bottom - top, 0.3 * (bottom - top)
        if left >= box[2] or right <= box[0] or top >= box[3] or bottom <= box[1]:
            continue
        above = (box[0], max(box[1], bottom + gap), box[2], box[3])
        below = (box[0], box[1], box[2], min(box[3], top - gap))
        beside = [(box[0], box[1], min(box[2], left - high), box[3]), (max(box[0], right + high), *box[1:])]
        box = max((above, below, *beside), key=lambda one: max(0, one[2] - one[0]) * max(0, one[3] - one[1]))
    return box


def _stack(
    task: LayoutTask, texts: list[TextShape], box: Box, region: Region, letters: float, gap: float
) -> list[Element] | None:
    """Texts one below the other in ``box``: the largest letters that fit, or smaller by ``letters``."""
    if not texts:
        return []
    wide, high = (box[2] - box[0]) * task.width, (box[3] - box[1]) * task.height
    space = GAPS[0] + gap * (GAPS[1] - GAPS[0])
    smallest = max(task.find_least_em(text.role) / RELATIVE[text.role] for text in texts)
    lowest = _break(texts, _scale(task, texts, 0.0), wide, high, space)
    if lowest is None:
        return None
    low, most = 0.0, LARGEST * (task.width * task.height) ** 0.5
    high_base = max(most, smallest)
    for _ in range(STEPS):
        middle = (low + high_base) / 2
        if _break(texts, _scale(task, texts, middle), wide, high, space) is None:
            high_base = middle
        else:
            low = middle
    sizes = _scale(task, texts, low * (0.55 + 0.45 * letters))
    lines = _break(texts, sizes, wide, high, space)
    assert lines is not None
    heights = _find_heights(texts, lines, sizes)
    gaps = [space * min(pair) for pair in pairwise(sizes)]
    spare = high - sum(heights) - sum(gaps)
    top = box[1] * task.height + spare * {"top": 0.0, "middle": 0.5, "bottom": 1.0}[region.valign]
    placed = []
    for text, em, count, tall, after in zip(texts, sizes, lines, heights, [*gaps, 0.0], strict=True):
        width = text.widths[count - 1] * em
        shift = {"left": 0.0, "center": 0.5, "right": 1.0}[region.align] * (wide - width)
        left = box[0] + shift / task.width
        place = task.place_text(text, em, count, left, top / task.height)
        placed.append(
            Element(
                id=text.id,
                kind="text",
                role=text.role,
                box=place,
                layer=3,
                lines=count,
                align=region.align,
            )
        )
        top += tall + after
    return placed


def _find_heights(texts: list[TextShape], lines: list[int], sizes: list[float]) -> list[float]:
    found = zip(texts, lines, sizes, strict=True)
    return [count * find_leading(text.role) * em for text, count, em in found]


def _scale(task: LayoutTask, texts: list[TextShape], base: float) -> list[float]:
    """Em of each text for a headline of ``base``, none below what is legible."""
    return [max(base * RELATIVE[text.role], task.find_least_em(text.role)) for text in texts]


def _break(
    texts: list[TextShape], sizes: list[float], wide: float, high: float, space: float
) -> list[int] | None:
    """Lines of each text, as few as its width allows; None if they have no room."""
    lines = []
    for text, em in zip(texts, sizes, strict=True):
        fitting = (n for n, width in enumerate(text.widths, 1) if width * em <= wide)
        count = next(fitting, None)
        if count is None:
            return None
        lines.append(count)
    total = sum(_find_heights(texts, lines, sizes))
    total += sum(space * min(pair) for pair in pairwise(sizes))
    return lines if total <= high else None
