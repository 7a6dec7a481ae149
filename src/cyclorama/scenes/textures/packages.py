"""What is printed around cans and on cartons?  Large motifs with smooth edges, a mark and lines of words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.surface import MILK, WHITE, Colour, Texture, hsv, mix, shade
from cyclorama.scenes.textures.pen import draw_words, start_drawing, to_texture

CAN_HUES = (2.0, 22, 45, 85, 140, 175, 205, 230, 275, 320)


def paint(canvas: NDArray[np.float64], depth: NDArray[np.float64], colour: Colour) -> None:
    """Cover ``canvas`` with ``colour`` where ``depth`` (pixels inside the shape's edge) is positive."""
    cover = np.clip(depth + 0.5, 0.0, 1.0)[..., None]
    canvas += cover * (np.array(colour) - canvas)


def _paint_pattern(
    canvas: NDArray[np.float64], rng: np.random.Generator, girth: float, second: Colour, accent: Colour
) -> None:
    """The print around the can; it closes without a seam."""
    size = canvas.shape[0]
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    kind = rng.integers(7)
    if kind == 0:
        count, slant = rng.integers(2, 5), rng.choice([-1.5, -0.8, 0.8, 1.5])
        t = (u * count + v * slant) % 1.0
        paint(canvas, (0.22 - np.abs(t - 0.5)) * size / count, second)
        paint(canvas, (0.045 - np.abs(t - 0.86)) * size / count, accent)
    elif kind == 1:
        line = rng.uniform(0.55, 0.68) + 0.07 * np.sin(2 * np.pi * (u * rng.integers(1, 3) + 0.1))
        paint(canvas, (v - line) * size, second)
        paint(canvas, (0.022 - np.abs(v - line + 0.05)) * size, accent)
    elif kind == 2:
        count = rng.integers(9, 14)
        rows = count / girth
        x, y = (u * count) % 1.0 - 0.5, (v * rows) % 1.0 - 0.5
        radius = 0.5 * np.clip((v - 0.25) * 1.2, 0.0, 0.8)
        paint(canvas, (radius - np.hypot(x, y)) * size / count, second)
    elif kind == 3:
        angle = np.arctan2(v - 0.46, (u - 0.5) * girth)
        paint(canvas, np.sin(angle * rng.integers(7, 12)) * 12, second)
    elif kind == 4:
        line = 0.52 + 0.26 * np.abs(2 * ((u * 3 + 0.5) % 1.0) - 1)
        paint(canvas, (v - line) * size * 0.5, second)
        paint(canvas, (v - line - 0.1) * size * 0.5, accent)
    elif kind == 5:
        canvas += (v**1.3)[..., None] * (np.array(second) - canvas)
    else:
        for top, bottom in ((-0.1, 0.16), (0.2, 0.225), (0.8, 0.825), (0.86, 1.1)):
            half = (bottom - top) / 2
            paint(canvas, (half - np.abs(v - (top + bottom) / 2)) * size, second)


def can_print(rng: np.random.Generator, girth: float, size: int = 768) -> tuple[Texture, Colour]:
    """The can's skin, ``girth`` heights around, and its accent colour."""
    hue = rng.choice(CAN_HUES) + rng.uniform(-6, 6)
    other = hue + rng.choice([-40.0, 35, 150, 180, 210])
    base = [
        hsv(hue, 0.88, 0.82),
        hsv(hue, 0.7, 0.4),
        hsv(hue, 0.5, 0.97),
        (0.95, 0.95, 0.95),
        (0.08, 0.08, 0.1),
        (0.7, 0.72, 0.75),
    ][rng.choice(6, p=[0.36, 0.14, 0.16, 0.14, 0.1, 0.1])]
    light_base = sum(base) > 1.9
    second = hsv(hue, 0.85, 0.75) if light_base or sum(base) < 0.4 else hsv(other, 0.75, 0.92)
    accent = hsv(other, 0.85, 0.85) if light_base else mix(hsv(other, 0.5, 1.0), WHITE, 0.3)
    canvas = np.empty((size, size, 3))
    canvas[:] = base
    _paint_pattern(canvas, rng, girth, second, accent)
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    x, y = (u - 0.5) * girth, v - 0.46
    width, height = rng.uniform(0.17, 0.21), rng.uniform(0.15, 0.22)
    turned = y + 0.45 * x
    depth = [
        1 - np.hypot(x / width, y / width),
        1 - np.hypot(x / width, y / (1.5 * height)),
        1 - np.abs(x) / (1.2 * width) - np.abs(y) / (1.3 * height),
        1 - np.maximum(np.abs(x) / width, np.abs(y) / (1.4 * height)),
        1 - np.abs(turned) / 0.13,
    ][rng.integers(5)] * (width * size)
    paper, ink = [(WHITE, shade(second, 0.6)), (accent, WHITE), ((0.07, 0.07, 0.09), WHITE)][
        rng.choice(3, p=[0.55, 0.2, 0.25])
    ]
    if sum(paper) > 1.9:
        ink = hsv(hue, 0.9, 0.22)
    paint(canvas, depth + 0.02 * size, ink if rng.random() < 0.5 else accent)
    paint(canvas, depth, paper)
    image, draw = start_drawing(to_texture(canvas), size, size)
    across = size / girth
    draw_words(draw, rng, size / 2, 0.41 * size, 0.3 * across, 0.065 * size, ink)
    draw_words(draw, rng, size / 2, 0.505 * size, 0.19 * across, 0.033 * size, ink)
    return np.asarray(image), accent


def carton_print(rng: np.random.Generator, body: Colour, print_colour: Colour, accent: Colour) -> Texture:
    """One side of a carton: a large simple motif below, a mark and lines of glyphs above."""
    size = 768
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    canvas = np.empty((size, size, 3))
    canvas[:] = body
    kind = rng.integers(7)
    if kind == 0:
        line = 0.66 + 0.08 * np.sin(2 * np.pi * u + rng.uniform(0, 6))
        paint(canvas, (v - line) * size, print_colour)
        paint(canvas, (v - line - 0.13) * size, mix(print_colour, MILK, 0.45))
    elif kind == 1:
        for _ in range(9):
            x, y = rng.uniform(0, 1), rng.choice([rng.uniform(-0.02, 0.1), rng.uniform(0.62, 1.0)])
            a, b, bend = rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.11), rng.uniform(-0.6, 0.6)
            p, q = (u - x) / a, (v - y + bend * (u - x)) / b
            paint(canvas, (1 + 0.2 * np.sin(3 * np.arctan2(q, p)) - np.hypot(p, q)) * b * size, print_colour)
    elif kind == 2:
        paint(canvas, (0.26 - v) * size, print_colour)
        paint(canvas, (v - 0.86) * size, print_colour)
        paint(canvas, (0.014 - np.abs(v - 0.3)) * size, accent)
    elif kind == 3:
        paint(canvas, (0.17 - np.hypot(u - 0.72, (v - 0.66) * 1.6)) * size, hsv(46, 0.7, 1.0))
        for level, tone in ((0.72, 0.9), (0.82, 0.68)):
            line = level + 0.05 * np.sin(2 * np.pi * u * 0.8 + rng.uniform(0, 6))
            paint(canvas, (v - line) * size, shade(hsv(105, 0.6, 0.8), tone))
    elif kind == 4:
        paint(canvas, (0.30 - np.abs(u - 0.5)) * size, mix(body, print_colour, 0.9))
    elif kind == 5:
        cells = (np.floor(u * 8) + np.floor(v * 14)) % 2
        paint(canvas, np.where(v > 0.68, cells - 0.5, -1.0) * 2, print_colour)
        paint(canvas, (0.012 - np.abs(v - 0.67)) * size, accent)
    else:
        paint(canvas, (v + 0.55 * u - 1.02) * size, print_colour)
        paint(canvas, (0.025 - np.abs(v + 0.55 * u - 0.95)) * size, accent)
    dark = hsv(215, 0.8, 0.35) if sum(body) > 1.9 else MILK
    clear = MILK if sum(print_colour) < 1.9 else hsv(215, 0.8, 0.35)
    head, ink = (clear if kind in (2, 4) else dark), (clear if kind == 4 else dark)
    mark_y, top, below = (0.5, 0.08, 0.34) if kind == 2 else (0.42, 0.11, 0.28)
    mark = rng.integers(3)
    y = (v - mark_y - 0.08) * 1.9
    if mark == 0:
        drop = np.where(y < 0, np.abs(u - 0.5) / np.clip(1 + y / 0.2, 0.02, 1), np.hypot(u - 0.5, y))
        paint(canvas, (0.1 - drop) * size, accent)
    elif mark == 1:
        petals = np.abs(np.cos(2.5 * np.arctan2(y, u - 0.5)))
        paint(canvas, (0.05 + 0.09 * petals - np.hypot(u - 0.5, y)) * size, accent)
    else:
        paint(canvas, (0.11 - np.hypot(u - 0.5, y)) * size, accent)
        paint(canvas, (0.075 - np.hypot(u - 0.5, y)) * size, mix(accent, MILK, 0.6))
    image, draw = start_drawing(to_texture(canvas), size, size)
    draw_words(draw, rng, size / 2, top * size, (0.56 if kind == 4 else 0.74) * size, 0.13 * size, head)
    draw_words(draw, rng, size / 2, below * size, 0.46 * size, 0.05 * size, ink)
    return np.asarray(image)
