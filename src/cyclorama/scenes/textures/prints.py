"""What is printed on products?  Labels, patterns, screens and name plates drawn for one kind of thing."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image, ImageFilter

from cyclorama.scenes.surface import WHITE, Colour, Texture, hsv, mix, shade
from cyclorama.scenes.textures import basic
from cyclorama.scenes.textures.pen import (
    PRINT_FINE,
    Pen,
    draw_dot,
    draw_words,
    start_drawing,
    to_bytes,
    to_texture,
)

SCREEN_HUES = (15.0, 32, 165, 188, 205, 222, 245, 268, 292, 322, 348)


def nameplate(rng: np.random.Generator, ground: Colour, ink: Colour, width: int, height: int) -> Texture:
    """A small plate with marks of our own, ``width`` by ``height`` pixels."""
    image, draw = start_drawing(ground, width, height, PRINT_FINE)
    top = round(height * 0.2)
    draw_words(draw, rng, width / 2, top, width - 12, height - 2 * top, ink)
    return np.asarray(image)


def leather(rng: np.random.Generator, colour: Colour) -> Texture:
    """A tile of grained leather."""
    return to_texture(np.array(colour) * rng.normal(1, 0.16, (48, 48, 1)))


def jar_print(rng: np.random.Generator, body: Texture, ink: Colour, accent: Colour, front: float) -> Texture:
    """``body`` with a name, a small emblem or rules on the middle ``front`` of its width."""
    w, h = 512, 128
    image, draw = start_drawing(body, w, h, PRINT_FINE)
    bright = to_bytes(accent)
    x, reach = w / 2, w * front
    kind = rng.integers(4)
    if kind == 0:
        draw.rectangle([0, h * 0.82, w, h * 0.9], fill=bright)
    elif kind == 1:
        draw.ellipse([x - h * 0.13, h * 0.16, x + h * 0.13, h * 0.42], fill=bright)
    elif kind == 2:
        draw.rectangle([x - reach * 0.62, h * 0.18, x + reach * 0.62, h * 0.86], outline=bright, width=3)
    else:
        draw.polygon(
            [(x, h * 0.14), (x + h * 0.12, h * 0.28), (x, h * 0.42), (x - h * 0.12, h * 0.28)], fill=bright
        )
    draw_words(draw, rng, x, h * 0.48, reach, h * 0.15, ink)
    draw_words(draw, rng, x, h * 0.7, reach * 0.7, h * 0.07, ink)
    return np.asarray(image)


def bottle_print(
    rng: np.random.Generator, body: Texture, ink: Colour, accent: Colour, front: float
) -> Texture:
    """``body`` with a sparse print on the middle ``front`` of its width: emblem, a name, two fine lines."""
    size = 256
    image, draw = start_drawing(body, size, size, PRINT_FINE)
    dark, bright = (to_bytes(c) for c in (ink, accent))
    x, w = size / 2, size * front
    kind = rng.integers(4)
    top = rng.uniform(0.28, 0.4) * size
    if kind == 0:
        draw.rectangle([0, size * 0.8, size, size], fill=bright)
    elif kind == 1:
        draw.rectangle([x - w * 0.62, size * 0.16, x - w * 0.54, size * 0.9], fill=bright)
    elif kind == 2:
        draw.ellipse([x - w * 0.3, size * 0.66, x + w * 0.3, size * 0.66 + w * 0.6], fill=bright)
    else:
        for y in (0.24, 0.86):
            draw.rectangle([0, size * y, size, size * (y + 0.02)], fill=bright)
    draw_words(draw, rng, x, top, w * 0.9, size * 0.07, ink)
    draw.rectangle([x - w * 0.3, top + size * 0.1, x + w * 0.3, top + size * 0.108], fill=dark)
    for k in range(2):
        draw_words(draw, rng, x, top + size * (0.14 + 0.06 * k), w * (0.7 - 0.2 * k), 8, ink)
    return np.asarray(image)


def case_print(rng: np.random.Generator, body: Colour, ink: Colour, accent: Colour, front: float) -> Texture:
    """A case's skin: bands, stripes or a mark on the middle ``front`` of its width, and a name."""
    size = 192
    image, draw = start_drawing(body, size, size, PRINT_FINE)
    bright = to_bytes(accent)
    kind, x, w = rng.integers(5), size / 2, size * front
    if kind == 0:
        for y in (0.06, 0.86):
            draw.rectangle([0, size * y, size, size * (y + 0.08)], fill=bright)
    elif kind == 1:
        for k in range(0, 24, 2):
            draw.rectangle([size * k / 24, 0, size * (k + 0.7) / 24, size], fill=bright)
    elif kind == 2:
        draw.ellipse([x - w * 0.4, size * 0.62, x + w * 0.4, size * 0.62 + w * 0.8], fill=bright)
    elif kind == 3:
        draw.rectangle([0, size * 0.5, size, size], fill=bright)
    if kind != 1:
        draw_words(draw, rng, x, size * 0.32, w, size * 0.09, ink)
    return np.asarray(image)


def flower_print(rng: np.random.Generator, skin: Texture, petal: Colour, heart: Colour) -> Texture:
    """``skin`` with a sprig of blossoms on its front."""
    h, w = skin.shape[:2]
    image, draw = start_drawing(skin, w, h)
    low = rng.choice([0.0, 0.62])
    lean = rng.choice([-1.0, 1.0])
    stem = [(w * (0.5 + lean * (0.09 - 0.18 * t)), h * (low + 0.07 + 0.24 * t)) for t in np.linspace(0, 1, 4)]
    draw.line(stem, fill=to_bytes(shade(petal, 0.55)), width=2)
    petals = rng.integers(4, 7)
    for x, y in stem:
        cx, cy = x + rng.uniform(-0.03, 0.03) * w, y + rng.uniform(-0.02, 0.02) * h
        r = rng.uniform(0.036, 0.052) * h
        for k in range(petals):
            a = 2 * np.pi * k / petals
            px, py = cx + 0.62 * r * float(np.cos(a)), cy + r * float(np.sin(a))
            draw.ellipse([px - 0.42 * r, py - 0.7 * r, px + 0.42 * r, py + 0.7 * r], fill=to_bytes(petal))
        draw.ellipse([cx - 0.28 * r, cy - 0.45 * r, cx + 0.28 * r, cy + 0.45 * r], fill=to_bytes(heart))
    return np.asarray(image)


def mug_glaze(rng: np.random.Generator, body: Colour, accent: Colour) -> Texture:
    """A mug's glaze (128, 256, 3): plain, dipped, banded, dotted, zigzag, speckled or printed."""
    h, w = 128, 256
    image, draw = start_drawing(body, w, h, PRINT_FINE)
    ink = to_bytes(accent)
    kind = rng.integers(7)
    if kind == 1:
        wave = rng.uniform(0.4, 0.7) * h + 4 * np.sin(np.linspace(0, 2 * np.pi, w) * 3)
        line = list(enumerate(wave.tolist()))
        draw.polygon([*line, (w, h), (0, h)] if rng.random() < 0.5 else [*line, (w, 0), (0, 0)], fill=ink)
    elif kind == 2:
        y = rng.uniform(0.15, 0.3) * h
        for _ in range(rng.integers(2, 6)):
            thick = rng.uniform(0.03, 0.11) * h
            draw.rectangle([0, y, w, y + thick], fill=ink)
            y += thick + rng.uniform(0.04, 0.09) * h
    elif kind == 3:
        across, down = int(rng.integers(12, 20)), int(rng.integers(4, 7))
        r = h / down * rng.uniform(0.18, 0.3)
        for j, i in itertools.product(range(down), range(across)):
            x, y = (i + 0.5 * (j % 2) + 0.25) * w / across, (j + 0.5) * h / down
            draw.ellipse([x - 0.75 * r, y - r, x + 0.75 * r, y + r], fill=ink)
    elif kind == 4:
        teeth, width = int(rng.integers(10, 18)), int(rng.integers(3, 7))
        for level in (0.32, 0.5, 0.68):
            points = [(w * k / (2 * teeth), h * (level + 0.05 * (-1) ** k)) for k in range(2 * teeth + 1)]
            draw.line(points, fill=ink, width=width)
    elif kind == 5:
        for _ in range(260):
            draw_dot(draw, rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.4, 1.3), accent)
        draw.rectangle([0, 0, w, h * 0.06], fill=ink)
    elif kind == 6:
        return basic.label(rng, body, body, accent, accent, (0.38, 0.22, 0.62, 0.8), (h, w))
    return np.asarray(image)


def wallpaper(rng: np.random.Generator, width: int, height: int) -> Texture:
    """What a screen shows: a gradient, one large figure, a clock and a row of icons."""
    w, h = width, height
    hue = float(rng.choice(SCREEN_HUES) + rng.uniform(-8, 8))
    a, b = hsv(hue, 0.7, 0.62), hsv(hue + rng.choice([-60.0, -35, 35, 60]), 0.45, 0.98)
    image, draw = start_drawing(basic.gradient(b, a), w, h, PRINT_FINE)
    bright, deep = hsv(hue + rng.choice([-95.0, 120, 150, 180]), 0.5, 0.98), hsv(hue + 20, 0.75, 0.42)
    kind = rng.integers(5)
    if kind == 0:
        for k in range(4):
            draw_dot(draw, w * 0.5, h * 0.62, (0.62 - 0.14 * k) * w, mix(bright, deep, k / 3))
    elif kind == 1:
        for k in range(4):
            x = w * (0.3 * k - 0.2)
            band = [(x, h), (x + w * 0.17, h), (x + w * 0.75, 0), (x + w * 0.58, 0)]
            draw.polygon(band, fill=to_bytes(bright))
    elif kind == 2:
        for k in range(3):
            across = np.linspace(0, w, 24)
            wave = h * (0.52 + 0.15 * k) + 0.07 * h * np.sin(across / w * 5 + 2.1 * k + hue)
            edge = np.stack([across, wave], 1).ravel().tolist()
            draw.polygon([*edge, w, h, 0, h], fill=to_bytes(mix(bright, deep, k / 2)))
    elif kind == 3:
        for x, y, r, c in ((0.2, 0.85, 0.7, deep), (0.9, 0.5, 0.42, bright), (0.25, 0.42, 0.22, WHITE)):
            draw.ellipse([w * (x - r), h * y - r * w, w * (x + r), h * y + r * w], fill=to_bytes(c))
    else:
        for k in range(5):
            x, y, s = w * 0.5, h * 0.6, (0.9 - 0.17 * k) * w
            tip = [(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
            draw.polygon(tip, fill=to_bytes(mix(deep, bright, k / 4)))
    image = image.filter(ImageFilter.GaussianBlur(0.8 * PRINT_FINE))
    draw = Pen(image, PRINT_FINE)
    draw_words(draw, rng, w * 0.5, h * 0.13, w * 0.42, h * 0.065, WHITE)
    for k in range(4):
        x, s = w * (0.14 + 0.2 * k), min(w, h / 2) * 0.13
        icon = hsv(hue + 90 * k, 0.35, 1.0)
        draw.rounded_rectangle([x, h * 0.9, x + s, h * 0.9 + s], s * 0.3, fill=to_bytes(icon))
    return np.asarray(image)


def phone_back(rng: np.random.Generator, colour: Colour) -> Texture:
    """The back of a phone: its colour, a figure or none, and a line of marks."""
    w, h = 128, 256
    second = hsv(rng.choice(SCREEN_HUES), 0.45, 0.92)
    image, draw = start_drawing(
        basic.gradient(shade(colour, 0.9), mix(colour, WHITE, 0.12)), w, h, PRINT_FINE
    )
    kind = rng.integers(5)
    if kind == 0:
        draw.rectangle([0, h * 0.62, w, h], fill=to_bytes(second))
    elif kind == 1:
        draw.polygon([(0, h * 0.75), (w, h * 0.45), (w, h * 0.55), (0, h * 0.85)], fill=to_bytes(second))
    elif kind == 2:
        draw.ellipse([w * 0.3, h * 0.5, w * 0.7, h * 0.5 + w * 0.4], fill=to_bytes(second))
    ink = WHITE if sum(colour) < 1.5 else shade(colour, 0.45)
    draw_words(draw, rng, w * 0.5, h * 0.88, w * 0.36, h * 0.032, ink)
    return np.asarray(image)


def cooker_display(rng: np.random.Generator, ground: Colour, glow: Colour) -> Texture:
    """A control panel's face: a lit window with marks, and rows of small marks for its buttons."""
    image, draw = start_drawing(ground, 128, 64, PRINT_FINE)
    black = (0.07, 0.07, 0.08)
    window = basic.label(rng, glow, glow, black, shade(glow, 0.6), (0.0, 0.0, 1.0, 1.0), (34, 60))
    image.paste(Image.fromarray(window), (34 * PRINT_FINE, 6 * PRINT_FINE))
    ink = (0.95, 0.95, 0.93) if sum(ground) < 1.2 else black
    for x, y in itertools.product((10, 22, 100, 112), (12, 28)):
        draw.rectangle([x, y, x + 8, y + 4], fill=to_bytes(ink))
    for x in (14, 40, 66, 92):
        draw.rectangle([x, 48, x + 20, 58], fill=to_bytes(mix(ground, ink, 0.3)))
    return np.asarray(image)


def pixel_game(rng: np.random.Generator, hue: float, size: int = 128) -> Texture:
    """What a handheld shows: a pixel landscape of hills, platforms and coins under a coloured sky."""
    cells = 16
    image = np.zeros((cells, cells, 3))
    image[:] = np.linspace(hsv(hue, 0.7, 0.85), hsv(hue + 40, 0.35, 1.0), cells)[:, None]
    ground = 12 + np.round(1.6 * np.sin(np.arange(cells) * rng.uniform(0.3, 0.8) + rng.uniform(0, 6)))
    for x in range(cells):
        top = int(ground[x])
        image[top:, x] = hsv(hue + 150, 0.65, 0.5)
        image[top, x] = hsv(hue + 120, 0.75, 0.85)
    for _ in range(3):
        x, y = int(rng.integers(1, cells - 4)), int(rng.integers(4, 9))
        image[y, x : x + 3] = hsv(hue + 190, 0.7, 0.8)
        image[y - 2, x + 1] = (1.0, 0.85, 0.2)
    hero = rng.integers(3, cells - 3)
    image[int(ground[hero]) - 2 : int(ground[hero]), hero] = hsv(hue + 180, 0.9, 1.0)
    return np.repeat(np.repeat((image * 255).astype(np.uint8), size // cells, 0), size // cells, 1)


def vinyl(rng: np.random.Generator, paper: Colour, ink: Colour) -> Texture:
    """The face of a record: grooves in bands, a label and its hole."""
    n = 192
    image, draw = start_drawing((0.055, 0.055, 0.059), n, n, PRINT_FINE)
    for radius in np.arange(0.96, 0.38, -0.04):
        groove = (0.03, 0.03, 0.033) if rng.random() < 0.5 else (0.1, 0.1, 0.105)
        draw_dot(draw, n / 2, n / 2, radius * n / 2, groove)
    for radius, colour in ((0.36, paper), (0.22, ink), (0.12, paper), (0.035, (0.9, 0.9, 0.9))):
        draw_dot(draw, n / 2, n / 2, radius * n / 2, colour)
    return np.asarray(image)


def record_sleeve(rng: np.random.Generator, ground: Colour, figure: Colour, second: Colour) -> Texture:
    """A record's cover: arcs, a sun or slanting bands in three colours."""
    n = 128
    image, draw = start_drawing(ground, n, n, PRINT_FINE)
    kind = rng.integers(3)
    for k in range(5):
        r, ink = n * (0.46 - 0.09 * k), (figure, second)[k % 2]
        if kind == 0:
            draw_dot(draw, n * 0.5, n, r, ink)
        elif kind == 1:
            draw_dot(draw, n * 0.5, n * 0.52, r, (ground, figure, second)[(k + 1) % 3])
        else:
            x = n * (0.28 * k - 0.3)
            draw.polygon([(x, n), (x + n * 0.14, n), (x + n * 0.54, 0), (x + n * 0.4, 0)], fill=to_bytes(ink))
    return np.asarray(image)


def drum_window(rng: np.random.Generator, size: int = 96) -> Texture:
    """What the round window shows: a dark drum with a heap of coloured cloth at the bottom."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size * 2 - 1
    dark = np.array(hsv(rng.uniform(200, 230), 0.35, 0.16))
    out = np.broadcast_to(dark, (size, size, 3)) * (1.25 - 0.5 * (v[..., None] + 1) / 2)
    hue = rng.uniform(0, 360)
    if rng.random() < 0.75:
        for _ in range(9):
            x, y, r = rng.uniform(-0.7, 0.7), rng.uniform(0.35, 0.95), rng.uniform(0.2, 0.42)
            cloth = hsv(hue + rng.choice([0, 40, 180]), rng.uniform(0.1, 0.7), 0.7)
            d = np.hypot((u - x) * 0.8, v - y)
            fold = 0.75 + 0.25 * np.cos(14 * (u * np.sin(9 * x) + v))
            out = np.where((d < r)[..., None], np.array(cloth) * fold[..., None], out)
    return to_texture(out)
