"""Where does the product stand on the image's canvas, and how large is it there?

By default the photo stays as it is framed, but where the product fills it there is no room for a scene: then
the canvas grows round it until the product takes the share that is usual in its category. ``keep`` leaves the
photo as it is framed in any case: the whole photo in the middle of the canvas, never cropped, scaled only
where a fixed size demands it. All other placements take the product alone by its box and put that at an
edge, in a corner or in the middle. Where nothing is scaled, the product's pixels are moved by whole pixels
and stay what they are bit for bit; where something is, the resampled product is what the product guarantee is
about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.imaging.masks import find_window
from cyclorama.imaging.placement import Placement
from cyclorama.imaging.product import Product
from cyclorama.imaging.transforms import fit_to_model, resize_rgba
from cyclorama.types import Matte, Size

MAX_PIXELS = 100_000_000
"""Largest canvas, height times width."""
MAX_ASPECT = 10.0
"""Longest canvas, longer side to shorter side."""
MIN_SIDE, MAX_SIDE = 64, 8192
"""Shortest and longest side of a size, pixels."""
Side = Annotated[int, Field(strict=True)]
ROOM_SHARE = 0.6
"""Share of the canvas that a product may take where its category says nothing else."""
ROOM_SLACK = 1.2
"""How many times that share it may take before the canvas grows, so that well framed photos stay theirs."""
VISIBLE = 0.05
"""From this alpha on, 0-1, a pixel counts for the product's box; fainter ones may lie in the margin."""


@dataclass(frozen=True)
class Rectangle:
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class ProductPlacement:
    """How one product lies on its canvas."""

    canvas: Size
    """(height, width) of the image in pixels."""
    box: Rectangle
    """The product's visible part on the canvas."""
    scale: float
    """Factor on the product's own pixels; 1 means that they are kept bit for bit."""
    wanted_scale: float
    """The factor asked for; greater than ``scale`` if the product had to be made smaller."""
    cut: tuple[str, ...] = ()
    """Edges of the input at which the product ends, so that a cut may show on this canvas."""
    grown: bool = False
    """Whether the canvas was made larger than asked for, so that there is room for a scene."""

    def describe(self) -> dict[str, Any]:
        """Plain values for a result row; ``box`` is [top, left, height, width]."""
        box = self.box
        scales = f"{self.scale:.4g} instead of {self.wanted_scale:.4g}"
        reduced = self.scale < self.wanted_scale
        notes = [f"product scaled by {scales}: it would not fit"] if reduced else []
        if self.grown:
            notes += [f"canvas grown to {format_size(self.canvas)}: the product filled it"]
        notes += [f"product is cut off by the input's {' and '.join(self.cut)} edge"] if self.cut else []
        sides = [box.top, box.left, box.height, box.width]
        values = {"scale": round(self.scale, 6), "box": sides, "reduced": reduced}
        return values | ({"notes": notes} if notes else {})


class CanvasLayout(Settings):
    """The canvas of one output and the product's place on it.

    Raises SettingsError for a value outside its range, or values that contradict each other.
    """

    error_type = SettingsError

    name: str = ""
    """Ending of the images' names (``16x9``); empty for none."""
    size: tuple[Side, Side] | None = None
    """(height, width) of the canvas, sides of 64 to 8192 pixels; None follows the input."""
    aspect: tuple[int, int] | None = None
    """(height, width) in any unit: the smallest canvas of this shape that holds the whole input, unscaled."""
    placement: Placement | None = None
    """None keeps the photo's frame where that leaves room, or is ``center`` if a scale or margin is given."""
    product_scale: float | None = Field(default=None, ge=0.05, le=1)
    """Share of the canvas that the product's box takes, 0.05-1: the greater of its height to the canvas'
    height and its width to the canvas' width. None keeps the product's own pixels."""
    margin: float = Field(default=0.0, ge=0, le=0.45)
    """Share of the canvas' shorter side that stays free of product at every edge, 0-0.45."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.size is not None and self.aspect is not None:
            raise SettingsError(
                f"size {format_size(self.size)} and aspect {format_size(self.aspect, ':')} are both given; "
                "a size has its own aspect, give one of them"
            )
        if self.size is not None:
            self._check_size(self.size)
        if self.aspect and (min(self.aspect) < 1 or max(self.aspect) > MAX_ASPECT * min(self.aspect)):
            raise SettingsError(
                f"aspect must be 1:{MAX_ASPECT:g} to {MAX_ASPECT:g}:1, got {format_size(self.aspect, ':')}"
            )
        if self.placement == "keep" and (self.product_scale is not None or self.margin > 0):
            raise SettingsError(
                "placement keep leaves the product where and as large as it is in the photo, so it goes with "
                "neither product scale nor margin; choose another placement, such as center"
            )
        shape = self.size or self.aspect
        if self.product_scale is not None and shape is not None:
            largest = 1 - 2 * self.margin * min(shape) / max(shape)
            if self.product_scale > largest + 1e-9:
                raise SettingsError(
                    f"product scale {self.product_scale:g} leaves no margin of {self.margin:g} on a canvas "
                    f"of {format_size(shape, ':')}; use at most {largest:.3g}, or a smaller margin"
                )
        return self

    def _check_size(self, size: Size) -> None:
        what = f"{'output' if self.name else 'size'} '{format_size(size)}'"
        for side, length in zip(("width", "height"), reversed(size), strict=True):
            if not MIN_SIDE <= length <= MAX_SIDE:
                raise SettingsError(
                    f"{what}: {side} must be from {MIN_SIDE} to {MAX_SIDE} pixels, got {length}"
                )
        if max(size) > MAX_ASPECT * min(size):
            raise SettingsError(
                f"{what}: the longer side must be at most {MAX_ASPECT:g} times the shorter, "
                f"got {max(size) / min(size):g} times"
            )

    @property
    def keeps(self) -> bool:
        """Whether the photo stays as it is framed."""
        return self.placement == "keep"

    @property
    def makes_room(self) -> bool:
        """Whether the canvas grows round a product that fills its photo."""
        return self.placement is None and self.product_scale is None and self.margin == 0

    def compute_size(self, size: Size) -> Size:
        """(height, width) of the canvas for an input of ``size``.

        Raises SettingsError if an aspect would make it larger than 100 million pixels.
        """
        if self.size is not None:
            return self.size
        if self.aspect is None:
            return size
        tall, wide = self.aspect
        # One side is the input's own to the pixel, so that nothing has to be scaled.
        if size[1] * tall > size[0] * wide:
            height, width = -(-size[1] * tall // wide), size[1]
        else:
            height, width = size[0], -(-size[0] * wide // tall)
        if height * width > MAX_PIXELS:
            raise SettingsError(
                f"an input of {format_size(size)} needs a canvas of {format_size((height, width))} for "
                f"aspect {format_size(self.aspect, ':')}, the limit is {MAX_PIXELS:,} pixels; "
                "give a size instead"
            )
        return height, width

    def _compute_room(self, box: Rectangle, size: Size, share: float | None) -> ProductPlacement | None:
        """Where a product that takes more than ``share`` of its canvas comes to lie; None if it does not.

        One that ends at a single edge is cut there and stays at it; one that fills the photo from edge to
        edge is trimmed, not cut.
        """
        canvas, cut = self.compute_size(size), {*_find_cuts(box, size)}
        for ends in ({"top", "bottom"}, {"left", "right"}):
            cut -= ends if ends <= cut else set()
        fit = fit_to_model(size, canvas)
        ratio = float(min(np.divide(fit.inner, size)))
        grow = ratio * max(box.height / canvas[0], 0.8 * box.width / canvas[1]) / (share or ROOM_SHARE)
        if grow <= ROOM_SLACK:
            return None
        if self.size is None:
            grow = min(grow, math.sqrt(MAX_PIXELS / (canvas[0] * canvas[1])))
            canvas, scale = (math.floor(canvas[0] * grow), math.floor(canvas[1] * grow)), 1.0
        else:
            scale = ratio / grow
        inner = max(1, round(box.height * scale)), max(1, round(box.width * scale))
        free = canvas[0] - inner[0], canvas[1] - inner[1]
        top = 0 if "top" in cut else free[0] if "bottom" in cut else free[0] // 2
        left = 0 if "left" in cut else free[1] if "right" in cut else free[1] // 2
        placed = Rectangle(top, left, *inner)
        return ProductPlacement(canvas, placed, scale, scale, tuple(sorted(cut)), self.size is None)

    def compute_placement(self, product: Product, share: float | None = None) -> ProductPlacement:
        """Where ``product`` comes to lie, and how large; ``share`` of the canvas is usual for it, 0-1."""
        canvas = self.compute_size(product.size)
        box = find_box(product.matte)
        roomy = self._compute_room(box, product.size, share) if self.makes_room else None
        if roomy is not None:
            return roomy
        if self.keeps or self.makes_room:
            fit = fit_to_model(product.size, canvas)
            ratio = np.divide(fit.inner, product.size)
            start = np.rint(np.add(fit.offset, ratio * (box.top, box.left))).astype(int)
            end = np.rint(np.add(fit.offset, ratio * (box.top + box.height, box.left + box.width)))
            placed = Rectangle(*map(int, (*start, *(end.astype(int) - start))))
            scale = 1.0 if fit.inner == product.size else float(ratio.min())
            cut = () if fit.offset == (0, 0) else _find_cuts(box, product.size)
            return ProductPlacement(canvas, placed, scale, scale, cut)
        free = round(self.margin * min(canvas))
        room = (canvas[0] - 2 * free, canvas[1] - 2 * free)
        wanted = 1.0
        if self.product_scale is not None:
            wanted = self.product_scale * min(canvas[0] / box.height, canvas[1] / box.width)
        scale = min(wanted, room[0] / box.height, room[1] / box.width)
        sides = zip((box.height, box.width), room, strict=True)
        inner = tuple(min(max(round(own * scale), 1), most) for own, most in sides)
        if inner == (box.height, box.width):
            wanted, scale = (wanted if scale < wanted * (1 - 1e-9) else 1.0), 1.0
        elif scale >= wanted * (1 - 1e-9):
            wanted = scale
        down, right = self._share_room(canvas, (inner[0], inner[1]), free)
        placed = Rectangle(free + down, free + right, inner[0], inner[1])
        return ProductPlacement(canvas, placed, scale, wanted, _find_cuts(box, product.size))

    def _share_room(self, canvas: Size, inner: Size, free: int) -> tuple[int, int]:
        """How much of the room round a product of size ``inner`` lies above it and to its left, pixels."""
        place = self.placement or "center"
        room = canvas[0] - 2 * free - inner[0], canvas[1] - 2 * free - inner[1]
        if "," in place:
            x, y = map(float, place.split(","))
            top, left = round(y * canvas[0] - inner[0] - free), round(x * canvas[1] - inner[1] / 2 - free)
            return min(max(top, 0), room[0]), min(max(left, 0), room[1])
        down = 0 if "top" in place else 2 if "bottom" in place else 1
        right = 0 if "left" in place else 2 if "right" in place else 1
        return room[0] * down // 2, room[1] * right // 2

    def place(self, product: Product, share: float | None = None) -> Product:
        """``product`` on its canvas, background around it; ``share`` of it is usual for such a product.

        Invariants: at scale 1 ``pixels``, ``foreground`` and ``matte`` are moved by whole pixels and
        otherwise kept bit for bit; otherwise both colours are the foreground's, resampled premultiplied.
        """
        own = find_box(product.matte)
        roomy = self._compute_room(own, product.size, share) if self.makes_room else None
        if roomy is None and (self.keeps or self.makes_room):
            return place_product(product, self.compute_size(product.size))
        placement = roomy or self.compute_placement(product)
        if placement.scale == 1:
            moved = (placement.box.top - own.top, placement.box.left - own.left)
            return shift_product(product, placement.canvas, moved)
        return scale_product(product, placement.canvas, own, placement.box)

    def describe(self) -> dict[str, Any]:
        """What of this layout changes an image, plain values; nothing for the input's own canvas."""
        values: dict[str, Any] = {}
        if self.size is not None:
            values["size"] = format_size(self.size)
        if self.aspect is not None:
            values["aspect"] = format_size(self.aspect, ":")
        if self.keeps:
            values["placement"] = "keep"
        elif not self.makes_room:
            values["placement"] = self.placement or "center"
            values |= {"product_scale": self.product_scale, "margin": self.margin}
        return values


def place_in_box(product: Product, canvas: Size, box: Rectangle) -> Product:
    """``product`` on a canvas of ``canvas`` (height, width), its visible part filling ``box``.

    Where the box has the product's own size its pixels are kept bit for bit; else both colours are the
    foreground's, resampled premultiplied.
    """
    own = find_box(product.matte)
    if (own.height, own.width) == (box.height, box.width):
        return shift_product(product, canvas, (box.top - own.top, box.left - own.left))
    return scale_product(product, canvas, own, box)


def place_product(product: Product, size: Size | None) -> Product:
    """``product`` on a canvas of ``size``: the whole input, centred, as large as fits, background around it.

    None or the product's own size gives it unchanged. Invariant: where no resampling is needed, its pixels
    are kept bit for bit.
    """
    if size is None or size == product.size:
        return product
    pixels, matte = fit_to_model(product.size, size).apply_rgba(product.foreground, product.matte)
    return product.derive(pixels=pixels, matte=matte, foreground=pixels)


def find_box(matte: Matte) -> Rectangle:
    """The smallest rectangle that holds all of ``matte`` (H, W) from alpha 0.05 on."""
    seen = matte >= VISIBLE
    if not seen.any():
        seen = matte > 0
    if not seen.any():
        raise SettingsError("the matte shows no product to place; give another mask")
    rows, columns = find_window(seen, 0)
    return Rectangle(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)


def format_size(size: Size, separator: str = "x") -> str:
    """``WxH`` of (height, width); ``16:9`` of (9, 16) with a colon as separator."""
    return f"{size[1]}{separator}{size[0]}"


def _find_cuts(box: Rectangle, size: Size) -> tuple[str, ...]:
    ends = (0, box.top), (size[0], box.top + box.height), (0, box.left), (size[1], box.left + box.width)
    names = ("top", "bottom", "left", "right")
    return tuple(name for name, (edge, end) in zip(names, ends, strict=True) if edge == end)


def shift_product(product: Product, canvas: Size, offset: tuple[int, int]) -> Product:
    """``product`` moved by ``offset`` (down, right) whole pixels; only faint ones leave the canvas."""
    if canvas == product.size and offset == (0, 0):
        return product
    inside, padding = [], []
    for own, side, move in zip(product.size, canvas, offset, strict=True):
        start, stop = max(0, move), min(side, move + own)
        inside.append(slice(start - move, stop - move))
        padding.append((start, side - stop))
    window = (inside[0], inside[1])
    pixels = np.pad(product.pixels[window], (*padding, (0, 0)), mode="edge")
    foreground = np.pad(product.foreground[window], (*padding, (0, 0)), mode="edge")
    return product.derive(pixels=pixels, matte=np.pad(product.matte[window], padding), foreground=foreground)


def scale_product(product: Product, canvas: Size, own: Rectangle, placed: Rectangle) -> Product:
    """``product`` scaled so that its box ``own`` becomes ``placed`` on the ``canvas``."""
    spans, padding, source = [], [], []
    for side, size, start, length, from_start, from_length in (
        (canvas[0], product.size[0], placed.top, placed.height, own.top, own.height),
        (canvas[1], product.size[1], placed.left, placed.width, own.left, own.width),
    ):
        scale = length / from_length
        first = max(0, math.ceil(start - from_start * scale - 1e-6))
        last = min(side, math.floor(start + (size - from_start) * scale + 1e-6))
        spans.append(last - first)
        padding.append((first, side - last))
        begin, end = (from_start + (edge - start) / scale for edge in (first, last))
        source.append((max(begin, 0.0), min(end, float(size))))
    (top, bottom), (left, right) = source
    box = (left, top, right, bottom)
    pixels, matte = resize_rgba(product.foreground, product.matte, (spans[0], spans[1]), box)
    matte[matte > 1 - 1e-5] = 1  # sums of filter weights may miss 1 by their last bit
    matte[matte < 1e-5] = 0
    pixels = np.pad(pixels, (*padding, (0, 0)), mode="edge")
    return product.derive(pixels=pixels, matte=np.pad(matte, padding), foreground=pixels)
