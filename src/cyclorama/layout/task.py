"""What a layout is to hold: canvas, product, texts with their measured widths, locks and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.errors import LayoutError
from cyclorama.imaging.layout import find_box
from cyclorama.layout.elements import Box, Element, Role, find_leading
from cyclorama.types import Matte

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
MARGIN = 0.05
"""Of the canvas's shorter side; nothing but underlays and locked things reaches into it."""
LEGIBLE = {"legal": 0.014}
"""Least em of a role as a share of the shorter side: an x-height (half an em) of 0.7 %."""
LEGIBLE_OTHERS = 0.022
"""Least em of all other roles: an x-height of 1.1 %."""
RELATIVE = {"headline": 1.0, "price": 0.8, "subline": 0.5, "action": 0.45, "body": 0.36, "legal": 0.2}
"""Em of a role against the headline's."""
PRODUCT_SHARE = (0.22, 0.65)
"""Longer side of the product against the side of a square of the canvas's area."""
ROUNDING = 1e-9
"""A share of the product below this is the rounding of sums."""
CELLS = 32
"""Cells along a side of the silhouette's and the busy map's grid."""


@dataclass(frozen=True)
class TextShape:
    """Words to be placed, as typography measured them."""

    id: str
    role: Role
    widths: tuple[float, ...]
    """Longest line in em when broken into 1, 2, 3 … lines; falling."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) <= 0:
            raise LayoutError(f"text {self.id!r}: widths are {self.widths}; one or more, each above 0 em")


@dataclass(frozen=True)
class LayoutTask:
    """One poster to be planned. Raises LayoutError."""

    height: int
    width: int
    product_aspect: float
    """Width of the product's box against its height."""
    texts: tuple[TextShape, ...]
    """In reading order."""
    silhouette: npt.NDArray[np.bool_] | None = None
    """(32, 32), where in its box the product is; None: everywhere."""
    logo_aspect: float | None = None
    """Width of the logo against its height; None: no logo."""
    logo_corner: Corner | None = None
    """Where the brand wants it; None: anywhere."""
    locks: Mapping[str, Box] = field(default_factory=dict)
    """Boxes that are given, by id (``product`` and ``logo`` are ids too)."""
    allow_occlude: bool = False
    """Whether texts may lie on the product."""
    product_share: tuple[float, float] = PRODUCT_SHARE
    busy: npt.NDArray[np.float32] | None = None
    """(32, 32), 0 calm to 1 busy, of a background that is already there."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 64 or max(self.height, self.width) > 6 * min(
            self.height, self.width
        ):
            raise LayoutError(
                f"canvas {self.width} x {self.height}: sides from 64 pixels, the longer at most 6 times the "
                "shorter"
            )
        if not 1 / 30 <= self.product_aspect <= 30:
            raise LayoutError(f"product_aspect is {self.product_aspect}; 1/30 to 30")
        known = {"product", "logo"} | {text.id for text in self.texts}
        if len(known) < len(self.texts) + 2:
            raise LayoutError(
                f"ids of texts stand once and are not product or logo: {[t.id for t in self.texts]}"
            )
        if unknown := sorted(set(self.locks) - known):
            raise LayoutError(f"locks name {unknown}; there are {sorted(known)}")
        for name in ("silhouette", "busy"):
            grid = getattr(self, name)
            if grid is not None and grid.shape != (CELLS, CELLS):
                raise LayoutError(f"{name} has shape {grid.shape}; it takes ({CELLS}, {CELLS})")
        if self.silhouette is not None and not self.silhouette.any():
            raise LayoutError("the silhouette is empty; it marks where in its box the product is")

    @cached_property
    def short(self) -> int:
        """The shorter side in pixels."""
        return min(self.height, self.width)

    @cached_property
    def margin(self) -> tuple[float, float]:
        """Margin as shares of width and height."""
        return MARGIN * self.short / self.width, MARGIN * self.short / self.height

    @cached_property
    def logo_size(self) -> tuple[float, float]:
        """Width and height of the logo as shares of the canvas: an area of 1.2 % of it."""
        aspect = self.logo_aspect or 1.0
        area = 0.012 * self.width * self.height
        return math.sqrt(area * aspect) / self.width, math.sqrt(area / aspect) / self.height

    @cached_property
    def _covered(self) -> list[list[float]]:
        return _sum_table(np.ones((CELLS, CELLS)) if self.silhouette is None else self.silhouette)

    @cached_property
    def _busy(self) -> list[list[float]] | None:
        return None if self.busy is None else _sum_table(self.busy)

    def find_least_em(self, role: Role) -> float:
        """Smallest letters of ``role`` in pixels."""
        return LEGIBLE.get(role, LEGIBLE_OTHERS) * self.short

    def place_product(self, box: Box, share: float, across: float, down: float) -> Box:
        """The product's box of ``share`` (see ``product_share``) inside ``box``, smaller where that has no
        room; ``across`` and ``down``, 0-1, say where."""
        side = share * math.sqrt(self.width * self.height)
        wide = side if self.product_aspect >= 1 else side * self.product_aspect
        high = side if self.product_aspect < 1 else side / self.product_aspect
        room_x, room_y = (box[2] - box[0]) * self.width, (box[3] - box[1]) * self.height
        shrink = min(1.0, room_x / wide, room_y / high)
        wide, high = wide * shrink / self.width, high * shrink / self.height
        left = box[0] + across * (box[2] - box[0] - wide)
        top = box[1] + down * (box[3] - box[1] - high)
        return left, top, left + wide, top + high

    def find_share(self, box: Box) -> float:
        """The product's share when it fills ``box``."""
        longer = max((box[2] - box[0]) * self.width, (box[3] - box[1]) * self.height)
        return longer / math.sqrt(self.width * self.height)

    def place_text(self, block: TextShape, em: float, lines: int, left: float, top: float) -> Box:
        """The box of ``block`` in letters of ``em`` pixels on ``lines`` lines."""
        wide = block.widths[lines - 1] * em / self.width
        return left, top, left + wide, top + lines * find_leading(block.role) * em / self.height

    def find_cover(self, product: Box, box: Box) -> float:
        """Share of the product's own cells that lie under ``box``, by its silhouette, 0-1."""
        share = _sum_in(self._covered, _relate(product, box)) / self._covered[-1][-1]
        return share if share > ROUNDING else 0.0

    def find_busy(self, box: Box) -> float:
        """How busy the given background is under ``box``, 0-1; 0 without one."""
        if self._busy is None:
            return 0.0
        return _sum_in(self._busy, box) / (CELLS**2 * max((box[2] - box[0]) * (box[3] - box[1]), 1e-9))


def draw_silhouette(matte: Matte) -> npt.NDArray[np.bool_]:
    """(32, 32): where in its box the product is; a cell counts from a tenth of it on."""
    box = find_box(matte)
    part = matte[box.top : box.top + box.height, box.left : box.left + box.width]
    small = Image.fromarray(part).resize((CELLS, CELLS), Image.Resampling.BOX)
    grid = np.asarray(small) > 0.1
    return grid if grid.any() else np.ones((CELLS, CELLS), bool)


def build_product(box: Box, locked: bool) -> Element:
    """The product as an element."""
    return Element(id="product", kind="product", box=box, layer=1, locked=locked)


def build_locked(task: LayoutTask, text: TextShape) -> Element:
    """A text whose box is given, on as many lines as let its letters be largest there."""
    box = task.locks[text.id]
    wide, high = (box[2] - box[0]) * task.width, (box[3] - box[1]) * task.height
    sizes = [
        min(wide / width, high / (n * find_leading(text.role))) for n, width in enumerate(text.widths, 1)
    ]
    lines = sizes.index(max(sizes)) + 1
    return Element(id=text.id, kind="text", role=text.role, box=box, layer=3, lines=lines, locked=True)


def _relate(outer: Box, box: Box) -> Box:
    wide, high = outer[2] - outer[0], outer[3] - outer[1]
    values = (
        (box[0] - outer[0]) / wide,
        (box[1] - outer[1]) / high,
        (box[2] - outer[0]) / wide,
        (box[3] - outer[1]) / high,
    )
    left, top, right, bottom = (min(1.0, max(0.0, value)) for value in values)
    return left, top, right, bottom


def _sum_table(grid: npt.NDArray[np.generic]) -> list[list[float]]:
    table = np.zeros((CELLS + 1, CELLS + 1))
    table[1:, 1:] = grid.astype(float).cumsum(0).cumsum(1)
    return table.tolist()


def _sum_in(table: list[list[float]], box: Box) -> float:
    """The grid's sum in a box of shares; cells that are cut count by their part."""
    left, top, right, bottom = (value * CELLS for value in box)
    if left >= right or top >= bottom:
        return 0.0
    return (
        _look_up(table, right, bottom) - _look_up(table, left, bottom)
        - _look_up(table, right, top) + _look_up(table, left, top)
    )  # fmt: skip


def _look_up(table: list[list[float]], x: float, y: float) -> float:
    column, row = min(int(x), CELLS - 1), min(int(y), CELLS - 1)
    right, down = x - column, y - row
    above, below = table[row], table[row + 1]
    upper = above[column] + (above[column + 1] - above[column]) * right
    lower = below[column] + (below[column + 1] - below[column]) * right
    return upper + (lower - upper) * down
