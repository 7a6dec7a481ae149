"""Which images are glued on things?  Labels, wood, tiles, cloth, skies and blurred lights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes.surface import Colour, Texture, hsv, mix, shade
from cyclorama.scenes.textures.pen import (
    PRINT_FINE,
    Pen,
    draw_dot,
    draw_words,
    start_drawing,
    to_bytes,
    to_texture,
)


def _smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells_y: int, cells_x: int
) -> NDArray[np.float32]:
    """Noise in [-1, 1] that changes over ``cells`` cells, without seam at the sides."""
    g = rng.uniform(-1, 1, (cells_y + 1, cells_x + 1)).astype(np.float32)
    g[:, -1], g[-1] = g[:, 0], g[0]
    return np.asarray(Image.fromarray(g).resize((width, height), Image.Resampling.BICUBIC))


def _tint(base: Colour, value: NDArray[np.float32]) -> Texture:
    return to_texture(np.array(base, np.float32) * (1 + value[..., None]))


def _draw_boards(
    rng: np.random.Generator, planks: int, size: int, rings: float, streaks: float
) -> NDArray[np.float32]:
    """Brightness of boards along v with rings, streaks, pores and dark seams, ``planks`` side by side."""
    out = np.zeros((size, size), np.float32)
    seam = max(1, size // 256)
    for a, b in itertools.pairwise(np.linspace(0, size, planks + 1).astype(int)):
        u, warp = np.linspace(0, 1, b - a)[None], _smooth_noise(rng, size, b - a, 2, 3)
        curls = np.sin(2 * np.pi * (rng.uniform(4, 8) * u * u + 1.7 * warp + rng.uniform(0, 1)))
        wide = _smooth_noise(rng, size, b - a, 3, max((b - a) // 12, 2))
        fine = _smooth_noise(rng, size, b - a, 4, max((b - a) // 4, 2))
        pores = _smooth_noise(rng, size, b - a, max(size // 20, 22), max((b - a) // 2, 2))
        tone = rings * curls + streaks * (wide + 0.6 * fine) - 0.1 * np.clip(pores - 0.35, 0, 1)
        out[:, a:b] = tone + rng.uniform(-0.07, 0.07)
        if planks > 1:
            out[:, a : a + seam] -= 0.3
    return out


def wood(rng: np.random.Generator, colour: Colour, planks: int = 5, size: int = 768) -> Texture:
    """Boards with lively grain along v, ``planks`` side by side, each with a butt joint if there are more."""
    out = _draw_boards(rng, planks, size, 0.04, 0.1)
    if planks == 1:
        return _tint(colour, out)
    for a, b in itertools.pairwise(np.linspace(0, size, planks + 1).astype(int)):
        cut = int(rng.integers(0, size))
        out[cut : cut + max(1, size // 384), a:b] -= 0.3
        out[cut:, a:b] += rng.uniform(-0.05, 0.05)
    return _tint(colour, out)


def oak(
    rng: np.random.Generator, colour: Colour, planks: int = 3, size: int = 512, amount: float = 1.0
) -> Texture:
    """Fine boards along v with rings and pores, ``planks`` side by side; stone if ``amount`` is small."""
    return _tint(colour, amount * _draw_boards(rng, planks, size, 0.035, 0.06))


def linen(rng: np.random.Generator, colour: Colour, size: int = 256) -> Texture:
    """Plain weave of uneven threads, half of ``size`` of them to each side."""
    row, column = np.mgrid[0:size, 0:size] // 2
    uneven = rng.normal(0, 0.06, (2, size // 2))
    over = (row + column) % 2
    tone = np.where(over == 1, uneven[0][row], uneven[1][column]) - 0.07 * over
    return _tint(colour, np.asarray(tone + 0.03 * _smooth_noise(rng, size, size, 6, 6), np.float32))


def tiles(
    rng: np.random.Generator,
    colour: Colour,
    grout: Colour,
    across: int,
    down: int,
    brick: bool = False,
    size: int = 768,
) -> Texture:
    """Wall tiles with grout; ``brick`` shifts every second row by half a tile."""
    image, draw = start_drawing(grout, size, size)
    w, h = size / across, size / down
    gap = max(1.0, 0.035 * min(w, h))
    for row in range(down):
        for column in range(-1, across + 1):
            c = shade(colour, 1 + rng.uniform(-0.06, 0.04))
            x = (column + (0.5 if brick and row % 2 else 0)) * w
            draw.rectangle([x + gap, row * h + gap, x + w - gap, row * h + h - gap], fill=to_bytes(c))
    return np.asarray(image)


def checks(a: Colour, b: Colour, cells: int = 8, size: int = 512) -> Texture:
    """Gingham: two crossing sets of stripes, their crossing darkest."""
    k = (np.arange(size) * cells // size) % 2
    share = (k[:, None] + k[None, :]) / 2
    rgb = np.array(a) * (1 - share[..., None]) + np.array(b) * share[..., None]
    weave = 1 + 0.03 * ((np.arange(size)[:, None] + np.arange(size)[None, :]) % 2)[..., None]
    return to_texture(rgb * weave)


def stripes(colours: Sequence[Colour], count: int, size: int = 256, upright: bool = True) -> Texture:
    """``count`` stripes that cycle through ``colours``."""
    k = (np.arange(size) * count // size) % len(colours)
    line = (np.array(colours)[k] * 255).astype(np.uint8)
    out = np.broadcast_to(line[None] if upright else line[:, None], (size, size, 3))
    return np.ascontiguousarray(out)


def plaster(rng: np.random.Generator, colour: Colour, amount: float = 0.06, size: int = 256) -> Texture:
    """A wall with faint clouds and a fine grain in its colour."""
    clouds = _smooth_noise(rng, size, size, 4, 4) + 0.5 * _smooth_noise(rng, size, size, 14, 14)
    return _tint(colour, amount * (clouds + 0.2 * _smooth_noise(rng, size, size, size // 3, size // 3)))


def stone(rng: np.random.Generator, colour: Colour, vein: Colour, size: int = 512) -> Texture:
    """Marble: clouds, and slanting veins that swell and fade, some broad and soft, some as thin as hairs."""
    row, column = np.mgrid[0:size, 0:size]

    def field(*cells: int) -> NDArray[np.float32]:
        layers = [_smooth_noise(rng, size, size, k, 2 * k) * (cells[0] / k) for k in cells]
        return np.asarray(np.sum(layers, axis=0)[row, (column + row) % size])

    broad, thin = field(2, 4, 8, 16, 32), field(5, 10, 20, 40)
    strength = np.clip(0.4 + field(3), 0, 1)
    veins = 0.55 * strength * np.exp(-((broad / 0.05) ** 2)) + 0.16 * np.exp(-((broad / 0.3) ** 2))
    share = (veins + 0.3 * (1 - strength) * np.exp(-((thin / 0.03) ** 2)))[..., None]
    return to_texture(np.array(colour) * (1 - share) + np.array(vein) * share + 0.012 * broad[..., None])


def gradient(bottom: Colour, top: Colour, size: int = 64) -> Texture:
    """A vertical gradient."""
    t = np.linspace(0, 1, size)[:, None, None]
    rgb = np.array(top) * (1 - t) + np.array(bottom) * t
    return np.asarray(np.broadcast_to(np.round(rgb * 255), (size, size, 3)), np.uint8).copy()


def halo(
    centre: Colour, rim: Colour, x: float = 0.5, y: float = 0.5, width: float = 0.45, size: int = 128
) -> Texture:
    """A soft spot of light on a wall, ``x`` from the left and ``y`` from the top."""
    v, u = np.mgrid[0:size, 0:size] / (size - 1)
    t = np.exp(-(((u - x) ** 2 + (v - y) ** 2) / (2 * width**2)) * 1.5)[..., None]
    return np.asarray(np.round((np.array(rim) * (1 - t) + np.array(centre) * t) * 255), np.uint8)


def bokeh(
    rng: np.random.Generator,
    ground: Colour,
    colours: Sequence[Colour],
    count: int,
    radius: float = 0.05,
    size: int = 512,
) -> Texture:
    """Out-of-focus lights before a dark ground."""
    canvas = np.zeros((size, size, 3), np.float32) + np.array(ground, np.float32)
    v, u = np.mgrid[0:size, 0:size] / size
    for _ in range(count):
        x, y = rng.uniform(0, 1), rng.uniform(0.08, 0.72)
        r = radius * rng.uniform(0.55, 1.35)
        d = np.sqrt((u - x) ** 2 + (v - y) ** 2) / r
        disc = np.clip((1.0 - d) * 20, 0, 1) * (0.65 + 0.35 * np.clip(d, 0, 1) ** 3)
        c = np.array(colours[int(rng.integers(len(colours)))], np.float32)
        canvas += disc[..., None].astype(np.float32) * c * rng.uniform(0.25, 0.9)
    return np.asarray(Image.fromarray(to_texture(canvas)).filter(ImageFilter.GaussianBlur(size / 256)))


def sky(rng: np.random.Generator, top: Colour, bottom: Colour, clouds: float, size: int = 256) -> Texture:
    """A bright sky with soft clouds."""
    t = np.linspace(0, 1, size)[:, None, None]
    rgb = np.array(top) * (1 - t) + np.array(bottom) * t
    n = np.sum([_smooth_noise(rng, size, size, 3 * k, 2 * k) / k for k in (1, 2, 4)], axis=0)
    cover = (np.clip((n - 0.25) * 1.6, 0, 1) * clouds)[..., None]
    return to_texture(rgb * (1 - cover) + cover)


def defocus(texture: Texture, radius: float) -> NDArray[np.uint8]:
    """``texture`` as a lens sees it out of focus: every point is a disc of ``radius`` pixels."""
    from scipy.signal import fftconvolve  # half a second that most images need not pay

    reach = max(1, round(radius))
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    lens = np.clip(radius + 0.5 - np.hypot(row, column), 0, 1)
    light = np.pad((texture / 255.0) ** 2.2, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    seen = fftconvolve(light, (lens / lens.sum())[..., None], mode="valid", axes=(0, 1))
    return to_texture(np.clip(seen, 0, 1) ** (1 / 2.2))


def meadow(rng: np.random.Generator, sky_top: Colour, green: Colour, size: int = 256) -> Texture:
    """A park out of focus: sky above, trees with light between their leaves, grass below."""
    image, draw = start_drawing(sky(rng, sky_top, mix(sky_top, (1, 1, 1), 0.75), 0.7, size), size, size)
    grass = gradient(shade(green, 0.86), mix(green, (0.9, 0.95, 0.7), 0.25), size)
    image.paste(Image.fromarray(grass).crop((0, 0, size, size - int(size * 0.66))), (0, int(size * 0.66)))
    for k in range(260):
        near = k / 260
        x, r = rng.uniform(-0.05, 1.05) * size, rng.uniform(0.012, 0.05) * size
        y = size * (0.655 + 0.01 * near - abs(float(rng.normal(0, 0.045))) * (1 - 0.5 * near))
        draw_dot(draw, x, y, r, mix(shade(green, rng.uniform(0.45, 0.95)), sky_top, 0.35 * (1 - near)))
    for _ in range(60):
        x, y = rng.uniform(0, 1) * size, rng.uniform(0.58, 0.66) * size
        draw_dot(draw, x, y, rng.uniform(0.002, 0.006) * size, mix(sky_top, (1, 1, 0.9), 0.8))
    return defocus(np.asarray(image), size / 36)


def window_light(
    rng: np.random.Generator, wall: Colour, bright: Colour, side: float, slats: int = 0, size: int = 256
) -> Texture:
    """A wall with the slanted patch of light that a window throws on it; ``slats`` > 0 for a blind."""
    cover = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(cover)
    x0 = (0.34 + 0.10 * side + rng.uniform(-0.03, 0.03)) * size
    y0, w, h, slant = 0.24 * size, 0.14 * size, 0.17 * size, 0.05 * size
    if slats:
        for k in range(slats):
            y = y0 + k * 2.25 * h / slats
            x1, thick = x0 + 2.2 * w, 1.25 * h / slats
            draw.polygon([(x0, y), (x1, y + slant), (x1, y + slant + thick), (x0, y + thick)], fill=255)
    else:
        for i, j in itertools.product(range(2), range(2)):
            x, y = x0 + i * w * 1.12, y0 + j * h * 1.1 + i * slant
            draw.polygon([(x, y), (x + w, y + slant), (x + w, y + slant + h), (x, y + h)], fill=255)
    soft = np.asarray(cover.filter(ImageFilter.GaussianBlur(size / 110)), np.float32)[..., None] / 255
    base = plaster(rng, wall, 0.04, size).astype(np.float32)
    return np.asarray(
        np.clip(base * (1 - soft) + np.array(bright, np.float32) * 255 * soft, 0, 255), np.uint8
    )


def sideways(texture: Texture) -> Texture:
    """``texture`` with its sides exchanged: what ran along v runs along u."""
    return np.ascontiguousarray(texture.swapaxes(0, 1))


def citrus(flesh: Colour, rind: Colour, size: int = 128) -> Texture:
    """The cut face of a citrus fruit, filling the square."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size * 2 - 1
    r, a = np.sqrt(u * u + v * v), np.arctan2(v, u)
    spoke = np.abs(np.sin(a * 5))
    out = np.where((r < 0.8)[..., None], flesh, mix(flesh, (1, 1, 0.92), 0.75))
    out[(spoke < 0.16 + 0.05 / np.maximum(r, 0.05)) & (r < 0.82)] = mix(flesh, (1, 1, 0.92), 0.7)
    out[r > 0.9] = rind
    return to_texture(out)


def label(
    rng: np.random.Generator,
    body: Texture | Colour,
    paper: Colour,
    ink: Colour,
    accent: Colour,
    box: tuple[float, float, float, float],
    size: tuple[int, int] = (256, 256),
) -> Texture:
    """A product's skin: ``body`` with a label in ``box`` (left, top, right, bottom in [0, 1], top = 0)."""
    h, w = size
    image, draw = start_drawing(body, w, h, PRINT_FINE)
    left, top, right, bottom = box[0] * w, box[1] * h, box[2] * w, box[3] * h
    bw, bh, cx = right - left, bottom - top, (left + right) / 2
    draw.rectangle([left, top, right, bottom], fill=to_bytes(paper))
    kind = rng.integers(5)
    if kind == 0:
        draw.rectangle([left, top, right, top + bh * 0.22], fill=to_bytes(accent))
        draw.rectangle([left, bottom - bh * 0.12, right, bottom], fill=to_bytes(accent))
    elif kind == 1:
        draw_dot(draw, cx, top + bh * 0.64, min(bw, bh) * 0.26, accent)
    elif kind == 2:
        for k in range(3):
            y = top + bh * (0.58 + 0.13 * k)
            draw.rectangle([left, y, right, y + bh * 0.065], fill=to_bytes(accent))
    elif kind == 3:
        draw.polygon([(left, bottom), (cx, top + bh * 0.48), (right, bottom)], fill=to_bytes(accent))
    else:
        draw.rectangle(
            [left + bw * 0.06, top + bh * 0.06, right - bw * 0.06, bottom - bh * 0.06],
            outline=to_bytes(accent),
            width=max(1, round(bw * 0.03)),
        )
        r = min(bw, bh) * 0.16
        cy = top + bh * 0.7
        draw.polygon([(cx, cy - r), (cx + r, cy), (cx, cy + r), (cx - r, cy)], fill=to_bytes(accent))
    draw_words(draw, rng, cx, top + bh * 0.26, bw * 0.7, bh * 0.17, ink)
    draw_words(draw, rng, cx, top + bh * 0.48, bw * 0.5, bh * 0.07, ink)
    return np.asarray(image)


def screen(rng: np.random.Generator, hue: float, size: int = 192) -> Texture:
    """What a laptop shows: a coloured gradient with large soft shapes and a dock."""
    a, b = hsv(hue, 0.75, 0.95), hsv(hue + rng.uniform(40, 110), 0.8, 0.75)
    t = np.linspace(0, 1, size)
    d = (t[:, None] * 0.5 + t[None] * 0.5)[..., None]
    image, draw = start_drawing(to_texture(np.array(a) * (1 - d) + np.array(b) * d), size, size, PRINT_FINE)
    for _ in range(rng.integers(2, 5)):
        x, y, r = rng.uniform(0, size), rng.uniform(0.3, 1.1) * size, rng.uniform(0.15, 0.45) * size
        draw_dot(draw, x, y, r, hsv(hue + rng.uniform(-40, 90), 0.7, rng.uniform(0.5, 1.0)))
    image = image.filter(ImageFilter.GaussianBlur(2.0 * PRINT_FINE))
    draw = Pen(image, PRINT_FINE)
    for k in range(6):
        x = size * (0.3 + 0.07 * k)
        draw.rectangle(
            [x, size * 0.9, x + size * 0.045, size * 0.945], fill=to_bytes(hsv(60 * k + hue, 0.5, 1))
        )
    return np.asarray(image)
