"""From a product and its words to layouts: every text's shape is measured in its own font."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from cyclorama.errors import LayoutError
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import Box, PosterLayout
from cyclorama.layout.planners import plan_by_rules, plan_fixed, plan_random
from cyclorama.layout.task import Corner, LayoutTask, TextShape, draw_silhouette
from cyclorama.posters.words import PosterBrand, Wording, build_block, runs_from_right
from cyclorama.seeding import compute_seed
from cyclorama.types import Size
from cyclorama.typography.fitting import measure_widths

Planner = Literal["rules", "fixed", "random"]
_OPPOSITE: dict[Corner | None, Corner] = {
    "top-left": "top-right", "top-right": "top-left",
    "bottom-left": "bottom-right", "bottom-right": "bottom-left",
}  # fmt: skip
MOST_LINES = 4
BUTTON = 1.5
"""How much wider than its words a button is, in em."""


@dataclass(frozen=True)
class PlanRequest:
    """What a poster's layouts are planned for."""

    product: Product
    """As cut out, not yet on a canvas."""
    canvas: Size
    wordings: Mapping[str, Wording]
    """Language to role to words; one layout serves them all."""
    brand: PosterBrand
    logo: npt.NDArray[np.uint8] | None = None
    """RGBA (H, W, 4)."""
    locks: Mapping[str, Box] | None = None
    """Role, ``product`` or ``logo`` to the box it must have."""


def build_task(request: PlanRequest) -> LayoutTask:
    """The task for the planners. Raises LayoutError, and typography's errors for words no font can set."""
    box = find_box(request.product.matte)
    logo = request.logo
    return LayoutTask(
        height=request.canvas[0],
        width=request.canvas[1],
        product_aspect=min(max(box.width / box.height, 1 / 30), 30.0),
        texts=measure_texts(request.wordings, request.brand),
        silhouette=draw_silhouette(request.product.matte),
        logo_aspect=None if logo is None else logo.shape[1] / logo.shape[0],
        logo_corner=request.brand.logo_corner,
        locks=dict(request.locks or {}),
    )


def measure_texts(wordings: Mapping[str, Wording], brand: PosterBrand) -> tuple[TextShape, ...]:
    """The shape of every text: per number of lines the widest of all languages."""
    shapes = []
    for role in next(iter(wordings.values())):
        found = [
            measure_widths(build_block(role, wording[role], language, brand, "left", None), MOST_LINES)
            for language, wording in wordings.items()
        ]
        count = max(map(len, found))
        padded = [widths + widths[-1:] * (count - len(widths)) for widths in found]
        room = BUTTON if role == "action" else 0.0
        if role == "action":  # a button is read at a glance: as few lines as its words allow
            padded = [widths[: sum(map(math.isinf, widths)) + 1] for widths in padded]
        widths = tuple(1.01 * max(column) + room for column in zip(*padded, strict=True))
        shapes.append(TextShape(role, role, widths))  # type: ignore[arg-type]
    return tuple(shapes)


def plan_poster(request: PlanRequest, planner: Planner, count: int, seed: int) -> list[PosterLayout]:
    """Layouts, best first, from a run's ``seed`` and the product's name. Raises LayoutError and typography's
    errors."""
    task, seed = build_task(request), compute_seed(seed, request.product.name, "plan")
    mirrored = all(map(runs_from_right, request.wordings)) and not task.locks
    if mirrored:  # planned for the product and the corner as a mirror shows them
        task = replace(
            task,
            silhouette=None if task.silhouette is None else task.silhouette[:, ::-1],
            logo_corner=_OPPOSITE.get(task.logo_corner),
        )
    if planner == "rules":
        found = plan_by_rules(task, count, seed)
    else:
        found = [plan_fixed(task) if planner == "fixed" else plan_random(task, seed)]
    if mirrored:
        found = [mirror(layout) for layout in found]
    if not found:
        raise LayoutError("no layout was found; fewer words or a larger canvas")
    return found


def mirror(layout: PosterLayout) -> PosterLayout:
    """The layout with left and right exchanged."""
    sides = {"left": "right", "right": "left", "center": "center"}
    elements = tuple(
        element.model_copy(
            update={
                "box": (1 - element.box[2], element.box[1], 1 - element.box[0], element.box[3]),
                "align": sides[element.align],
            }
        )
        for element in layout.elements
    )
    return layout.model_copy(update={"elements": elements})
