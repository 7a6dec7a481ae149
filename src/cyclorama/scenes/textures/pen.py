"""How are images drawn by hand?  A pen over Pillow's, and lines of marks that look like writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cyclorama.scenes.surface import Colour, Texture


def to_bytes(colour: Colour) -> tuple[int, int, int]:
    """The colour as Pillow draws it."""
    return (round(colour[0] * 255), round(colour[1] * 255), round(colour[2] * 255))


def to_texture(rgb: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The image (H, W, 3) of sRGB values in [0, 1]; what lies outside is clipped."""
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.uint8)


Ink = tuple[int, int, int]


class Pen:
    """Draws on ``image``, which has ``fine`` pixels where the coordinates have one."""

    def __init__(self, image: Image.Image, fine: int = 1) -> None:
        self._draw, self._fine = ImageDraw.Draw(image), fine

    def _scale(self, places: Sequence[Any]) -> list[float]:
        flat = (np.asarray(places, np.float64) * self._fine).ravel()
        return [float(v) for v in flat]

    def rectangle(
        self, box: Sequence[float], fill: Ink | None = None, outline: Ink | None = None, width: int = 1
    ) -> None:
        """A rectangle (left, top, right, bottom)."""
        self._draw.rectangle(self._scale(box), fill, outline, width * self._fine)

    def rounded_rectangle(self, box: Sequence[float], radius: float, fill: Ink | None = None) -> None:
        """A rectangle with round corners."""
        self._draw.rounded_rectangle(self._scale(box), radius * self._fine, fill)

    def ellipse(
        self, box: Sequence[float], fill: Ink | None = None, outline: Ink | None = None, width: int = 1
    ) -> None:
        """The ellipse in a box (left, top, right, bottom)."""
        self._draw.ellipse(self._scale(box), fill, outline, width * self._fine)

    def polygon(self, places: Sequence[Any], fill: Ink) -> None:
        """A polygon through places (x, y)."""
        self._draw.polygon(self._scale(places), fill)

    def line(self, places: Sequence[Any], fill: Ink, width: int = 1) -> None:
        """A line through places (x, y)."""
        self._draw.line(self._scale(places), fill, width * self._fine)


PRINT_FINE = 3
"""Pixels of a print for one of its coordinates: prints are seen at close quarters."""


def start_drawing(
    ground: Colour | Texture, width: float, height: float, fine: int = 1
) -> tuple[Image.Image, Pen]:
    """An image of one colour, or of a texture resized, and what draws on it; it has ``fine`` pixels for
    one of ``width`` and ``height``."""
    size = (int(width) * fine, int(height) * fine)
    if isinstance(ground, np.ndarray):
        image = Image.fromarray(ground).resize(size)
    else:
        image = Image.new("RGB", size, to_bytes(ground))
    return image, Pen(image, fine)


def draw_dot(draw: Pen, x: float, y: float, radius: float, colour: Colour) -> None:
    """A filled circle about (``x``, ``y``), pixels."""
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=to_bytes(colour))


def _draw_glyph(
    draw: Pen,
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    ink: Ink,
) -> None:
    """One letter-like mark of our own: two to four strokes on a 3 x 4 lattice."""
    x0, y0, x1, y1 = box
    px = [x0, (x0 + x1) / 2, x1]
    py = [y0 + (y1 - y0) * k / 3 for k in range(4)]
    width = max(1, round((x1 - x0) * 0.2))
    at = (rng.integers(3), rng.integers(4))
    for _ in range(rng.integers(2, 5)):
        to = (rng.integers(3), rng.integers(4))
        draw.line([px[at[0]], py[at[1]], px[to[0]], py[to[1]]], fill=ink, width=width)
        at = to
    if rng.random() < 0.3:
        draw.ellipse([x0, y0, x1, y0 + (x1 - x0)], outline=ink, width=width)


def draw_words(
    draw: Pen,
    rng: np.random.Generator,
    x: float,
    y: float,
    width: float,
    height: float,
    ink: Colour,
) -> None:
    """A line of glyph marks centred on ``x`` with its top at ``y`` (pixels)."""
    count = max(2, int(width / (height * 0.75)))
    step = width / count
    for k in range(count):
        left = x - width / 2 + k * step
        _draw_glyph(draw, rng, (left, y, left + step * 0.7, y + height), to_bytes(ink))
