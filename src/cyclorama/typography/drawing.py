"""What does a set text look like, as pixels and as outlines?

Pixels are the exact share of each that the outlines cover, by HarfBuzz's rasteriser (256 places across a
pixel, no hinting); glyphs that touch are one area, so that joined letters show no seam. A layer's colour is
one, its alpha the coverage; over an image it is ``rint(a F + (1 - a) B)``, halves to even, as the image's
other layers are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from cyclorama.types import Pixels, Size
from cyclorama.typography.fitting import SetText
from cyclorama.typography.fonts import FontFace, hb

Coverage = npt.NDArray[np.uint8]
"""uint8 (H, W), 255 = inside the outlines."""
Colour = tuple[int, int, int]
"""sRGB, 0-255."""


class Patch(NamedTuple):
    """A layer that is empty outside a window."""

    name: str
    left: int
    top: int
    rgba: npt.NDArray[np.uint8]
    """uint8 (h, w, 4), straight colour."""

    def expand(self, canvas: Size) -> npt.NDArray[np.uint8]:
        """The layer at the canvas's size, (H, W, 4)."""
        full = np.zeros((*canvas, 4), np.uint8)
        height, width = self.rgba.shape[:2]
        full[self.top : self.top + height, self.left : self.left + width] = self.rgba
        return full


def draw_coverage(text: SetText, canvas: Size) -> tuple[int, int, Coverage]:
    """(left, top, coverage) of ``text``: the window of the canvas (height, width) that its outlines touch."""
    ink = text.ink
    left, top = max(math.floor(ink[0]), 0), max(math.floor(ink[1]), 0)
    right, bottom = min(math.ceil(ink[2]), canvas[1]), min(math.ceil(ink[3]), canvas[0])
    raster = hb.RasterDraw()
    for line, (x, y) in zip(text.lines, text.origins, strict=True):
        for run in line.runs:
            unit = text.size * run.scale / run.face.upem
            for glyph in run.glyphs:
                place = (x + glyph.x * text.size, -(y + glyph.y * text.size))
                raster.transform = (unit, 0.0, 0.0, unit, *place)
                raster.draw_glyph(run.face.font, glyph.number)
    raster.extents = hb.RasterExtents(left, -bottom, right - left, bottom - top, 0)
    image = raster.render()
    stride = image.extents.stride
    rows = np.frombuffer(image.buffer, np.uint8).reshape(bottom - top, stride)
    return left, top, np.ascontiguousarray(rows[::-1, : right - left])


def draw_text(text: SetText, colour: Colour, canvas: Size) -> Patch:
    """The layer of ``text`` in ``colour``, its words as the name."""
    left, top, coverage = draw_coverage(text, canvas)
    rgba = np.zeros((*coverage.shape, 4), np.uint8)
    rgba[..., :3] = np.where(coverage[..., None] > 0, np.array(colour, np.uint8), 0)
    rgba[..., 3] = coverage
    return Patch(text.block.text, left, top, rgba)


def lay_over(pixels: Pixels, patches: Sequence[Patch]) -> Pixels:
    """``pixels`` (H, W, 3) under ``patches``, the first the lowest."""
    flat = pixels.copy()
    for patch in patches:
        height, width = patch.rgba.shape[:2]
        window = flat[patch.top : patch.top + height, patch.left : patch.left + width]
        alpha = patch.rgba[..., 3:].astype(np.float64) / 255
        mixed = alpha * patch.rgba[..., :3] + (1 - alpha) * window
        window[...] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return flat


def write_svg(text: SetText, colour: Colour) -> str:
    """An SVG group of the outlines of ``text`` in the canvas's pixels, its words as title and label."""
    words = escape(text.block.text, {'"': "&quot;", "\n": " "})
    paths = []
    for line, (x, y) in zip(text.lines, text.origins, strict=True):
        for run in line.runs:
            unit = text.size * run.scale / run.face.upem
            for glyph in run.glyphs:
                path = _write_path(
                    run.face, glyph.number, unit, (x + glyph.x * text.size, y + glyph.y * text.size)
                )
                paths += [path] if path else []
    colour_code = "#{:02x}{:02x}{:02x}".format(*colour)
    return (
        f'<g role="img" aria-label="{words}" lang="{escape(text.block.language)}" fill="{colour_code}">'
        f'<title>{words}</title><path d="{" ".join(paths)}"/></g>'
    )


def _write_path(face: FontFace, number: int, unit: float, origin: tuple[float, float]) -> str:
    parts = []
    for letter, points in _get_outline(face, number):
        places = [
            f"{origin[axis] + (unit if axis == 0 else -unit) * value:.3f}".rstrip("0").rstrip(".")
            for point in points
            for axis, value in enumerate(point)
        ]
        parts.append(letter + " ".join(places))
    return "".join(parts)


Outline = tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


@lru_cache(maxsize=4096)
def _get_outline(face: FontFace, number: int) -> Outline:
    """(command of an SVG path, its points in the face's units, y up) of a glyph."""
    found: list[tuple[str, tuple[tuple[float, float], ...]]] = []
    face.font.draw_glyph(number, _build_pen(), found)
    return tuple(found)


@lru_cache(maxsize=1)
def _build_pen() -> Any:
    pen = hb.DrawFuncs()
    pen.set_move_to_func(lambda x, y, found: found.append(("M", ((x, y),))))
    pen.set_line_to_func(lambda x, y, found: found.append(("L", ((x, y),))))
    pen.set_quadratic_to_func(lambda cx, cy, x, y, found: found.append(("Q", ((cx, cy), (x, y)))))
    pen.set_cubic_to_func(
        lambda ax, ay, bx, by, x, y, found: found.append(("C", ((ax, ay), (bx, by), (x, y))))
    )
    pen.set_close_path_func(lambda found: found.append(("Z", ())))
    return pen
