"""What is seen through windows and behind tables?  Landscapes, skies, fields and rooms out of focus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclorama.scenes.surface import CREAM, MILK, WHITE, Colour, Texture, hsv, mix, shade
from cyclorama.scenes.textures import basic, packages
from cyclorama.scenes.textures.pen import draw_dot, draw_words, start_drawing, to_bytes, to_texture


def _ridge(rng: np.random.Generator, size: int, rough: bool) -> NDArray[np.float64]:
    """A skyline (size,) in [0, 1]: broken for peaks, rolling for hills."""
    x = np.linspace(0, 1, size)
    if not rough:
        waves = sum(np.sin(x * f + rng.uniform(0, 6)) / k for k, f in ((1, 7.0), (2, 13.0), (4, 29.0)))
        return np.asarray((waves + 1.75) / 3.5)
    y = np.zeros(size)
    for count, height in ((5, 1.0), (11, 0.42), (26, 0.16), (60, 0.06)):
        y += height * np.interp(x, np.linspace(0, 1, count), rng.uniform(0, 1, count))
    return np.asarray((y - y.min()) / max(float(np.ptp(y)), 1e-9))


def landscape(
    rng: np.random.Generator,
    kind: str,
    sky_colour: Colour,
    sun_colour: Colour,
    ridge: Colour,
    size: int = 256,
) -> Texture:
    """Mountains in hazy layers under a sky, with a low sun and perhaps a lake that mirrors them."""
    n = size
    base = 0.62 if kind == "lake" else 0.8
    haze, sky = np.array(mix(sky_colour, sun_colour, 0.6)), np.array(sky_colour)
    v, u = np.mgrid[0:n, 0:n] / n
    rgb = sky + (haze - sky) * np.clip(v / base, 0, 1)[..., None]
    x = float(rng.choice([0.24, 0.76]) + rng.uniform(-0.03, 0.03))
    far = np.hypot((u - x) * 1.7, v - base + 0.4)
    sun = np.array(mix(sun_colour, WHITE, 0.6))
    glow = 0.55 * np.exp(-((far / 0.16) ** 2)) + np.clip((0.05 - far) * 60, 0, 1)
    rgb = rgb + (sun - rgb) * np.clip(glow, 0, 1)[..., None]
    for k in range(4):
        line = _ridge(rng, n, kind != "hills")
        top = base - 0.3 + 0.085 * k - (line - 0.5) * (0.26 - 0.03 * k)
        depth = v - top[None]
        slope = np.gradient(line) * n * (1 if x < 0.5 else -1)
        # faces run down aslant, away from the sun
        across = np.clip(u + (0.8 if x < 0.5 else -0.8) * depth, 0, 1 - 1 / n)
        column = (across * n).astype(int)
        lit = 1 + 0.16 * np.tanh(-slope / 2)[column] * np.clip(1 - depth / 0.2, 0, 1)
        tone = haze + (np.array(ridge) - haze) * (k + 1) / 4
        face = tone * lit[..., None]
        if k < 2 and kind != "hills":
            cap = np.clip(base - 0.29 + 0.085 * k - top, 0, 0.09) * (0.35 + 0.65 * _ridge(rng, n, True))
            white = np.array(mix(sun_colour, WHITE, 0.8)) * np.clip(lit, 0, 1.03)[..., None]
            face = np.where((depth < cap[column])[..., None], white, face)
        face = face + (haze - face) * (0.5 * np.clip(depth / 0.3, 0, 1))[..., None]
        rgb = np.where((depth > 0)[..., None], face, rgb)
    if kind == "lake":
        shore = int(n * base)
        mirror = rgb[2 * shore - n : shore][::-1]
        rgb[shore:] = 0.75 * mirror + 0.25 * sky
        rgb[shore - 1 : shore + 1] = 0.6 * np.array(ridge)
    return basic.defocus(to_texture(rgb), n / 80)


def paper_map(rng: np.random.Generator, size: int = 1024) -> Texture:
    """A paper map: land and sea with contours, a grid, roads and names."""
    n = size
    field = np.zeros((n, n), np.float32)
    for cells, weight in ((4, 1.0), (8, 0.45), (16, 0.2)):
        coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        field += weight * np.asarray(coarse.resize((n, n), Image.Resampling.BICUBIC))
    paper, sea = hsv(44, 0.2, 0.96), hsv(198, 0.32, 0.84)
    rgb = np.where((field < -0.25)[..., None], sea, paper)
    for height, tone in ((0.1, hsv(80, 0.22, 0.86)), (0.45, hsv(34, 0.36, 0.88))):
        rgb = np.where((field > height)[..., None], tone, rgb)
    contour = (np.abs((field * 5) % 1 - 0.5) < 0.05) & (field > -0.25)
    image, draw = start_drawing(to_texture(np.where(contour[..., None], 0.8, 1.0) * rgb), n, n)
    for at in np.linspace(0, n, 9):
        for line in ([at, 0, at, n], [0, at, n, at]):
            draw.line(line, fill=to_bytes(hsv(200, 0.2, 0.72)), width=n // 400)
    for hue, width in ((12.0, 3), (40.0, 2), (12.0, 2), (200.0, 2)):
        along = np.linspace(-8, n + 8, 15)
        away = rng.uniform(0.1, 0.9) * n + rng.normal(0, 0.06 * n, 15).cumsum()
        road = (away, along) if width == 2 else (along, away)
        ink = to_bytes(hsv(hue, 0.6, 0.82))
        draw.line(np.stack(road, 1).ravel().tolist(), fill=ink, width=width * n // 400)
    for _ in range(16):
        a, b = rng.uniform(0.05, 0.95, 2) * n
        draw_words(draw, rng, float(a), float(b), n * 0.09, n * 0.022, hsv(20, 0.3, 0.35))
    draw.rectangle([0, 0, n - 1, n - 1], outline=to_bytes(WHITE), width=n // 45)
    return np.asarray(image)


def window_view(rng: np.random.Generator, season: str, size: int = 192) -> Texture:
    """What the window shows, out of focus: golden trees, snowy fir trees, or the lights of a blue evening."""
    if season == "evening":
        glow = [(1.0, 0.6, 0.12), (1.0, 0.45, 0.08), (0.95, 0.7, 0.3)]
        return basic.bokeh(rng, hsv(222, 0.6, 0.26), glow, 34, 0.045, size)
    if season == "winter":
        ground = basic.gradient(hsv(205, 0.1, 0.97), hsv(208, 0.32, 0.86), size)
        image, draw = start_drawing(ground, size, size)
        for k in range(22):
            x, near = rng.uniform(0, 1) * size, k / 22
            high, y = size * (0.24 + 0.2 * near), size * (0.66 + 0.1 * near)
            fir = mix(hsv(200, 0.45, 0.42), hsv(206, 0.2, 0.86), 0.75 - 0.6 * near)
            for step in range(3):
                w, tip = high * 0.17 * (1 + 0.4 * step), y - high + high * 0.24 * step
                foot = tip + high * 0.44
                draw.polygon([(x, tip), (x - w, foot), (x + w, foot)], to_bytes(fir))
        draw.ellipse([-0.4 * size, 0.7 * size, 1.4 * size, 1.7 * size], to_bytes(hsv(206, 0.08, 0.98)))
    else:
        ground = basic.gradient(hsv(46, 0.3, 0.98), hsv(44, 0.12, 0.98), size)
        image, draw = start_drawing(ground, size, size)
        for k in range(120):
            x, y = rng.uniform(0, 1) * size, rng.uniform(0.25, 0.85) * size
            r = rng.uniform(0.02, 0.075) * size
            tint = hsv(*rng.uniform((14, 0.6, 0.6), (46, 0.85, 0.96)).tolist())
            draw_dot(draw, x, y, r, mix(tint, CREAM, 0.35 * (1 - k / 120)))
        for x in rng.uniform(0.05, 0.95, 4) * size:
            draw.line([(x, size), (x + 4, 0.3 * size)], to_bytes(hsv(20, 0.5, 0.32)), int(size / 40))
    return basic.defocus(np.asarray(image), size / 26)


def flower_field(
    rng: np.random.Generator, sky: Colour, bloom: Colour, green: Colour, size: int = 256
) -> Texture:
    """Rows of flowers that run to the horizon under a pale sky, out of focus."""
    horizon = 0.5
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    pale = basic.gradient(mix(sky, (1, 0.93, 0.84), 0.6), shade(sky, 0.93), size)
    image, draw = start_drawing(pale, size, size)
    for _ in range(26):
        x, r = rng.uniform(-0.05, 1.05) * size, rng.uniform(0.015, 0.05) * size
        far_green = mix(shade(green, rng.uniform(0.7, 1.0)), sky, 0.35)
        draw.ellipse([x - 2.2 * r, horizon * size - r, x + 2.2 * r, horizon * size + r], to_bytes(far_green))
    depth = np.maximum(v - horizon, 0.004)
    lateral = (u - rng.uniform(0.35, 0.65)) / (depth + 0.05)
    row = np.clip(0.62 + 0.75 * np.sin(lateral * 9.0), 0, 1)[..., None]
    speckle = 1 + 0.3 * rng.standard_normal((size, size, 1)) * np.clip(depth * 6, 0.15, 1)[..., None]
    ground = (np.array(shade(green, 0.8)) * (1 - row) + np.array(bloom) * row) * speckle
    haze = np.exp(-depth * 14)[..., None] * 0.5
    ground = ground * (1 - haze) + np.array(mix(sky, bloom, 0.4)) * haze
    out = np.where((v > horizon)[..., None], np.clip(ground * 255, 0, 255), np.asarray(image))
    return basic.defocus(out.astype(np.uint8), size / 48)


def blossom(rng: np.random.Generator, sky: Colour, bloom: Colour, green: Colour, size: int = 256) -> Texture:
    """Flowering branches that hang in from above before a pale garden, out of focus."""
    garden = basic.gradient(mix(green, sky, 0.45), shade(mix(sky, bloom, 0.25), 0.97), size)
    image, draw = start_drawing(garden, size, size)
    for _ in range(160):
        x, y, r = rng.uniform((0.1, 0.55, 0.012), (0.9, 0.75, 0.04)) * size
        tint = mix(shade(green, rng.uniform(0.85, 1.15)), sky, 0.35)
        draw_dot(draw, x, y, r, mix(tint, bloom, 0.5) if rng.random() < 0.2 else tint)
    for k in range(420):
        x = rng.uniform(0.14, 0.86)
        reach = 0.07 + 0.17 * abs(x - 0.5) / 0.28
        y = 0.36 + rng.random() * reach + 0.02 * float(np.sin(19 * x))
        r = rng.uniform(0.008, 0.02) * size
        tint = mix(shade(bloom, 0.9), (1, 1, 1), rng.uniform(0.0, 0.8) * k / 420)
        tint = mix(green, sky, 0.15) if rng.random() < 0.12 else tint
        draw_dot(draw, x * size, y * size, r, tint)
    return basic.defocus(np.asarray(image), size / 90)


def pasture(
    rng: np.random.Generator, sky_colour: Colour, green: Colour, barn: bool, cows: bool, size: int = 256
) -> Texture:
    """Rolling hills under a sky: hazy far away, with trees on a crest, and cows or a barn if asked."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    canvas = basic.sky(rng, sky_colour, mix(sky_colour, MILK, 0.7), 0.7, size).astype(np.float64) / 255
    hills = ((0.46, 0.86, 0.5), (0.53, 0.8, 0.22), (0.61, 1.0, 0.05), (0.73, 0.84, 0.0))
    for k, (level, tone, haze) in enumerate(hills):
        a, b = rng.uniform(0, 6.3, 2)
        line = level + 0.025 * np.sin(8.8 * u + a) + 0.013 * np.sin(18.3 * u + b)
        for x in rng.uniform(0, 1, (60, 40, 24, 0)[k]):
            r = rng.uniform(0.006, 0.016) * (1 + 0.4 * k)
            y = float(np.interp(x, u[0], line[0])) - rng.uniform(0, 1) * r
            wood = mix(shade(green, rng.uniform(0.4, 0.7)), sky_colour, haze)
            packages.paint(canvas, (r - np.hypot(u - x, (v - y) * 0.8)) * size, wood)
        if k == 2 and barn:
            _paint_barn(canvas, u, v, rng.choice([0.32, 0.66]), line)
        colour = mix(shade(green, tone), mix(sky_colour, MILK, 0.5), haze)
        packages.paint(canvas, (v - line) * size, colour)
        crest = np.clip(1 - (v - line) / 0.07, 0, 1) * (v > line)
        canvas += 0.22 * crest[..., None] * (np.array(mix(colour, (1.0, 1.0, 0.7), 0.6)) - canvas)
        if k == 2 and cows:
            for x in (0.27, 0.34, 0.4, 0.61, 0.69, 0.74):
                x += rng.uniform(-0.015, 0.015)
                y = float(np.interp(x, u[0], line[0])) + rng.uniform(0.015, 0.06)
                for dx, r, tone in ((0.0, 0.014, 0.97), (0.004, 0.007, 0.12), (-0.017, 0.006, 0.2)):
                    spot = 1 - np.hypot(u - x - dx, 1.1 * (v - y - 0.3 * dx)) / r
                    packages.paint(canvas, 256 * r * spot, (tone, tone, 0.97 * tone))
    return basic.defocus(to_texture(canvas), size / 48)


def _paint_barn(
    canvas: NDArray[np.float64],
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    x: float,
    line: NDArray[np.float64],
) -> None:
    """A red barn with a light door on the crest ``line`` at ``x``."""
    size = canvas.shape[0]
    base = float(np.interp(x, u[0], line[0])) + 0.02
    dx, up = np.abs(u - x), base - v
    packages.paint(canvas, np.minimum(0.055 - dx, 0.1 - up) * size, hsv(8, 0.65, 0.62))
    packages.paint(canvas, np.minimum(0.07 - dx - 0.75 * (up - 0.1), up - 0.1) * size, hsv(12, 0.35, 0.42))
    packages.paint(canvas, np.minimum(0.018 - dx, 0.065 - up) * size, (0.95, 0.92, 0.88))


def terminal_view(
    rng: np.random.Generator, sky_colour: Colour, sea_side: bool, warmth: float, size: int = 256
) -> Texture:
    """What lies outside: the sky above, the sea with a beach or an airfield with hills below."""
    low = mix(sky_colour, (1.0, 0.97, 0.92), 0.72)
    sky = basic.sky(rng, sky_colour, low, 0.85, size).astype(np.float32) / 255
    v = (np.arange(size)[:, None, None] + 0.5) / size
    if sea_side:
        sea = hsv(188, 0.6, 0.82) if warmth < 0.3 else mix(hsv(195, 0.45, 0.7), sky_colour, 0.3)
        bands = [(0.66, mix(sea, (0.1, 0.35, 0.6), 0.3)), (0.74, sea)]
        bands += [(0.84, mix(sea, (0.95, 0.95, 0.94), 0.5)), (0.87, hsv(40, 0.28, 0.95))]
    else:
        bands = [(0.65, mix(hsv(150, 0.3, 0.55), sky_colour, 0.45)), (0.69, hsv(105, 0.32, 0.62))]
        bands += [(0.77, (0.68, 0.69, 0.7)), (0.85, (0.78, 0.78, 0.78))]
    for start, colour in bands:
        share = np.clip((v - start) * size / 3, 0, 1)
        sky = sky * (1 - share) + np.array(colour, np.float32) * share
    return basic.defocus(to_texture(sky), size / 60)


def night_sky(rng: np.random.Generator) -> Texture:
    """A night sky with stars and a moon."""
    night = basic.gradient(hsv(232, 0.45, 0.5), hsv(228, 0.75, 0.16), 96).copy()
    rows, columns = rng.integers(2, 90, 34), rng.integers(2, 94, 34)
    night[rows, columns] = (235, 235, 215)
    v, u = np.mgrid[0:96, 0:96]
    night[(np.hypot(u - 34, v - 28) < 11) & (np.hypot(u - 39, v - 25) > 9)] = (255, 246, 205)
    return night
