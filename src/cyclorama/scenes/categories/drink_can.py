"""Drink can: ice cubes, blocks of ice and snow before a vivid cold gradient with diagonal stripes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_scatter
from cyclorama.scenes.stage import Light, Part, Stage
from cyclorama.scenes.surface import (
    GOLD,
    SILVER,
    Colour,
    Style,
    Surface,
    Texture,
    hsv,
    light,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

WHITE: Colour = (1.0, 1.0, 1.0)
Place = tuple[float, float, float, float]
HUES = (2.0, 22, 45, 85, 140, 175, 205, 230, 275, 320)


def _paint(canvas: NDArray[np.float64], depth: NDArray[np.float64], colour: Colour) -> None:
    """Cover ``canvas`` with ``colour`` where ``depth`` (pixels inside the shape's edge) is positive."""
    cover = np.clip(depth + 0.5, 0.0, 1.0)[..., None]
    canvas += cover * (np.array(colour) - canvas)


def _paint_pattern(
    canvas: NDArray[np.float64], rng: np.random.Generator, girth: float, second: Colour, accent: Colour
) -> None:
    """The print around the can; it closes without a seam."""
    size = canvas.shape[0]
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    kind = int(rng.integers(7))
    if kind == 0:
        count, slant = int(rng.integers(2, 5)), float(rng.choice([-1.5, -0.8, 0.8, 1.5]))
        t = (u * count + v * slant) % 1.0
        _paint(canvas, (0.22 - np.abs(t - 0.5)) * size / count, second)
        _paint(canvas, (0.045 - np.abs(t - 0.86)) * size / count, accent)
    elif kind == 1:
        line = float(rng.uniform(0.55, 0.68)) + 0.07 * np.sin(2 * np.pi * (u * int(rng.integers(1, 3)) + 0.1))
        _paint(canvas, (v - line) * size, second)
        _paint(canvas, (0.022 - np.abs(v - line + 0.05)) * size, accent)
    elif kind == 2:
        count = int(rng.integers(9, 14))
        rows = count / girth
        x, y = (u * count) % 1.0 - 0.5, (v * rows) % 1.0 - 0.5
        radius = 0.5 * np.clip((v - 0.25) * 1.2, 0.0, 0.8)
        _paint(canvas, (radius - np.hypot(x, y)) * size / count, second)
    elif kind == 3:
        angle = np.arctan2(v - 0.46, (u - 0.5) * girth)
        _paint(canvas, np.sin(angle * int(rng.integers(7, 12))) * 12, second)
    elif kind == 4:
        line = 0.52 + 0.26 * np.abs(2 * ((u * 3 + 0.5) % 1.0) - 1)
        _paint(canvas, (v - line) * size * 0.5, second)
        _paint(canvas, (v - line - 0.1) * size * 0.5, accent)
    elif kind == 5:
        canvas += (v**1.3)[..., None] * (np.array(second) - canvas)
    else:
        for top, bottom in ((-0.1, 0.16), (0.2, 0.225), (0.8, 0.825), (0.86, 1.1)):
            half = (bottom - top) / 2
            _paint(canvas, (half - np.abs(v - (top + bottom) / 2)) * size, second)


def _build_print(rng: np.random.Generator, girth: float, size: int = 256) -> tuple[Texture, Colour]:
    """The can's skin, ``girth`` heights around, and its accent colour."""
    hue = float(rng.choice(HUES)) + float(rng.uniform(-6, 6))
    other = hue + float(rng.choice([-40.0, 35, 150, 180, 210]))
    base = [
        hsv(hue, 0.88, 0.82),
        hsv(hue, 0.7, 0.4),
        hsv(hue, 0.5, 0.97),
        (0.95, 0.95, 0.95),
        (0.08, 0.08, 0.1),
        (0.7, 0.72, 0.75),
    ][int(rng.choice(6, p=[0.36, 0.14, 0.16, 0.14, 0.1, 0.1]))]
    light_base = sum(base) > 1.9
    second = hsv(hue, 0.85, 0.75) if light_base or sum(base) < 0.4 else hsv(other, 0.75, 0.92)
    accent = hsv(other, 0.85, 0.85) if light_base else mix(hsv(other, 0.5, 1.0), WHITE, 0.3)
    canvas = np.empty((size, size, 3))
    canvas[:] = base
    _paint_pattern(canvas, rng, girth, second, accent)
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    x, y = (u - 0.5) * girth, v - 0.46
    width, height = float(rng.uniform(0.17, 0.21)), float(rng.uniform(0.15, 0.22))
    turned = y + 0.45 * x
    depth = [
        1 - np.hypot(x / width, y / width),
        1 - np.hypot(x / width, y / (1.5 * height)),
        1 - np.abs(x) / (1.2 * width) - np.abs(y) / (1.3 * height),
        1 - np.maximum(np.abs(x) / width, np.abs(y) / (1.4 * height)),
        1 - np.abs(turned) / 0.13,
    ][int(rng.integers(5))] * (width * size)
    paper, ink = [(WHITE, shade(second, 0.6)), (accent, WHITE), ((0.07, 0.07, 0.09), WHITE)][
        int(rng.choice(3, p=[0.55, 0.2, 0.25]))
    ]
    if sum(paper) > 1.9:
        ink = hsv(hue, 0.9, 0.22)
    _paint(canvas, depth + 0.02 * size, ink if rng.random() < 0.5 else accent)
    _paint(canvas, depth, paper)
    image = Image.fromarray(np.asarray(np.clip(canvas, 0, 1) * 255, np.uint8))
    draw = ImageDraw.Draw(image)
    across = size / girth
    textures.draw_words(draw, rng, size / 2, 0.41 * size, 0.3 * across, 0.065 * size, ink)
    textures.draw_words(draw, rng, size / 2, 0.505 * size, 0.19 * across, 0.033 * size, ink)
    return np.asarray(image), accent


def build_product(rng: np.random.Generator) -> list[Part]:
    """A can: stout, standard, sleek or tall, printed all around, with a metal rim, base and tab."""
    radius = [0.36, 0.285, 0.215, 0.2][int(rng.choice(4, p=[0.15, 0.4, 0.25, 0.2]))]
    r, h = radius * float(rng.uniform(0.97, 1.03)), 1.0
    neck = float(rng.uniform(0.78, 0.86))
    skin, accent = _build_print(rng, 2 * np.pi * r)
    coat = (
        Surface(skin, "metal", 0.28)
        if rng.random() < 0.35
        else plastic(skin, float(rng.choice([0.02, 0.05])))
    )
    bare = metal(GOLD if rng.random() < 0.12 else SILVER, 0.22)
    tab = bare if rng.random() < 0.55 else plastic(accent, 0.2)
    taper = float(rng.uniform(0.08, 0.13))
    side = [
        (0.84 * r, 0.022),
        (0.97 * r, 0.05),
        (r, 0.08),
        (r, 0.2),
        (r, h - taper - 0.1),
        (r, h - taper),
        (0.98 * r, h - 0.75 * taper),
        ((neck + 0.02) * r, h - 0.03),
        (neck * r, h - 0.016),
    ]
    base = [(0.0, 0.02), (0.7 * r, 0.015), (0.74 * r, 0.0), (0.79 * r, 0.0), (0.85 * r, 0.024)]
    rim = [
        (neck * r, h - 0.018),
        ((neck + 0.035) * r, h - 0.01),
        ((neck + 0.035) * r, h),
        ((neck - 0.01) * r, h + 0.002),
        ((neck - 0.05) * r, h - 0.02),
        (0.0, h - 0.02),
    ]
    parts = [
        Part(g.lathe(g.smooth_profile(side), 48), coat),
        Part(g.lathe(base, 40), bare),
        Part(g.lathe(rim, 40), bare),
    ]
    lever = g.rounded_box(0.3 * r, 0.62 * r, 0.014, 0.006).moved(0, 0.02, h - 0.02)
    parts.append(Part(lever.turned("z", float(rng.uniform(-20, 20))), tab))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Cold vivid hues from green-blue to violet; ice always, snow or a wet floor."""
    h = float(rng.choice([184.0, 196, 208, 220, 236, 262, 285]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.78, 0.95), rng.uniform(0.5, 0.72)),
        hsv(h - 6, rng.uniform(0.1, 0.35), 0.96),
        hsv(h - 8, rng.uniform(0.16, 0.3), 0.98),
        hsv(h + float(rng.choice([-28.0, -16, 24])), 0.55, 1.0),
        (
            str(rng.choice(["stripes", "glow"])),
            *pick(rng, ("cubes", "bank", "blocks", "shards", "mounds", "drops"), int(rng.integers(3, 5))),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(-0.3, 0.0)),
    )


BRANDS = (
    Style(
        hsv(216, 0.92, 0.72),
        hsv(212, 0.75, 0.62),
        hsv(205, 0.2, 0.99),
        hsv(198, 0.7, 1.0),
        ("stripes", "cubes", "drops", "bank"),
        0,
        -0.8,
        -0.15,
    ),
    Style(
        hsv(190, 0.95, 0.55),
        hsv(188, 0.06, 0.98),
        hsv(186, 0.22, 0.98),
        hsv(180, 0.6, 0.85),
        ("glow", "shards", "mounds", "cubes"),
        1,
        0.8,
        -0.05,
    ),
    Style(
        hsv(266, 0.82, 0.55),
        hsv(240, 0.2, 0.97),
        hsv(216, 0.28, 1.0),
        hsv(292, 0.6, 0.98),
        ("stripes", "blocks", "cubes"),
        2,
        -0.7,
        -0.1,
    ),
)


def _paint_backdrop(style: Style, slant: float, size: int = 256) -> Texture:
    """A glow low in the middle that darkens upwards, with or without broad diagonal stripes."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    glow = 0.8 * np.exp(-(((u - 0.5) / 0.26) ** 2 + ((v - 0.62) / 0.26) ** 2))[..., None]
    canvas = np.array(style.wall) * (1 - glow) + np.array(mix(style.accent, WHITE, 0.1)) * glow
    if style.has("stripes"):
        t = (u * 5.0 + slant * v * 3.2) % 1.0
        cover = np.clip((0.24 - np.abs(t - 0.5)) * size / 8 + 0.5, 0, 1)[..., None]
        canvas += 0.34 * cover * (np.array(style.accent) - canvas)
        thin = np.clip((0.03 - np.abs(t - 0.9)) * size / 8 + 0.5, 0, 1)[..., None]
        canvas += 0.55 * thin * (np.array(mix(style.accent, WHITE, 0.6)) - canvas)
    return np.asarray(np.clip(canvas, 0, 1) * 255, np.uint8)


def _freeze(rng: np.random.Generator, tint: Colour, deep: Colour, size: int = 128) -> Texture:
    """One face of a piece of ice: bright edges, a deeper cloudy heart with cracks."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    heart = textures.stone(rng, mix(tint, deep, 0.42), mix(tint, WHITE, 0.25), size).astype(np.float64) / 255
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    rim = 0.9 * np.exp(-((edge / 0.1) ** 2)) + 0.5 * np.clip(0.55 - v - 0.3 * u, 0, 1)
    canvas = heart + np.clip(rim, 0, 1)[..., None] * (1.0 - heart)
    return np.asarray(np.clip(canvas, 0, 1) * 255, np.uint8)


def _add_cubes(
    stage: Stage,
    rng: np.random.Generator,
    ice: Surface,
    places: tuple[Place, ...],
    low: float,
) -> None:
    """Ice cubes at (x, y, height above ``low``, edge), each turned at random."""
    for x, y, z, edge in places:
        s = edge * float(rng.uniform(0.92, 1.08))
        tip = float(rng.uniform(8, 20)) * float(rng.choice([-1, 1])) if z > 0 else 0.0
        cube = g.rounded_box(s, s, 0.92 * s, 0.13 * s).turned("y", tip)
        stage.add(cube.turned("z", float(rng.uniform(0, 90))).moved(x, y, low + z), ice)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wet floor, ice slab on snow, or a stair of ice blocks; the style's ice around."""
    far = 1.7
    side = 1.0 if rng.random() < 0.5 else -1.0
    low = (0.0, -0.18, -0.22)[style.layout]
    stage.add(g.quad(5.4, 4.0).moved(y=far, z=low - 0.8), light(_paint_backdrop(style, -side), 0.85))
    if style.layout == 0:
        stage.add(g.floor(9, -4, far), plastic(style.floor, 0.03))
    else:
        snow = textures.plaster(rng, shade(mix(style.floor, WHITE, 0.3), 0.93), 0.04)
        stage.add(g.floor(9, -4, far).moved(z=low), matte(snow))
    ice = plastic(_freeze(rng, style.prop, style.wall), 0.04)
    clear = plastic(_freeze(rng, mix(style.prop, WHITE, 0.3), mix(style.prop, style.wall, 0.3)), 0.04)
    if style.layout == 1:
        stage.add(g.rounded_box(0.98, 0.85, -low, 0.05).turned("z", side * 5).moved(z=low), clear)
    elif style.layout == 2:
        stage.add(g.rounded_box(0.8, 0.8, -low, 0.045).turned("z", -side * 4).moved(z=low), clear)
        for x, y, w, top in ((0.86, 0.32, 0.6, 0.1), (-0.84, 0.4, 0.62, 0.3)):
            block = g.rounded_box(w, 0.6, top - low, 0.045).turned("z", side * 9)
            stage.add(block.moved(side * x, y, low), ice)
    stair = style.layout == 2
    if style.has("cubes"):
        right: tuple[Place, ...] = (
            (0.6, 0.08, 0, 0.27),
            (0.92, 0.2, 0, 0.3),
            (0.68, 0.46, 0, 0.29),
            (0.78, 0.22, 0.28, 0.26),
        )
        left: tuple[Place, ...] = ((-0.64, 0.16, 0, 0.29), (-0.96, 0.3, 0, 0.28), (-0.6, -0.3, 0, 0.17))
        if stair:
            right = (
                (0.74, 0.2, 0.32, 0.2),
                (0.96, 0.3, 0.32, 0.19),
                (0.58, -0.3, 0, 0.15),
                (0.84, -0.24, 0, 0.2),
            )
            left = ((-0.82, 0.3, 0.52, 0.2), (-0.64, -0.26, 0, 0.17), (-0.88, -0.14, 0, 0.19))
        for places in (right, left):
            out = 1.1 if style.layout == 1 else 1.0
            _add_cubes(stage, rng, ice, tuple((out * side * x, y, z, s) for x, y, z, s in places), low)
    if style.has("bank"):
        bank = []
        for k in range(18):
            s = float(rng.uniform(0.28, 0.36))
            cube = g.rounded_box(s, s, s, 0.14 * s).turned("x", float(rng.uniform(-35, 35)))
            x, row = -1.5 + 3.0 * (k % 9) / 8 + float(rng.uniform(-0.05, 0.05)), k // 9
            bank.append(
                cube.turned("z", float(rng.uniform(0, 90))).moved(
                    x, 0.86 + 0.16 * row, low - 0.08 + 0.2 * row
                )
            )
        stage.add(g.merge_meshes(bank), clear)
    if style.has("blocks") and not stair:
        for x, y, w, h in ((0.98, 0.98, 0.46, 0.7), (-0.92, 0.95, 0.5, 0.5), (-1.34, 0.8, 0.36, 0.8)):
            block = g.rounded_box(w, w, h, 0.04).turned("z", float(rng.uniform(-25, 25)))
            stage.add(block.moved(side * x, y, low), ice)
    if style.has("shards"):
        for x, y, h, tip in (
            (0.72, 0.9, 0.95, 8.0),
            (1.02, 0.85, 0.66, 17),
            (1.26, 1.0, 0.9, 22),
            (-0.78, 0.88, 0.72, -10),
            (-1.06, 0.92, 1.05, -16),
        ):
            shard = g.rounded_box(0.24, 0.2, h, 0.02).turned("z", float(rng.uniform(15, 60)))
            stage.add(shard.turned("y", side * tip).moved(side * x, y, low - 0.06), ice)
    if style.has("mounds"):
        for x, y, r in ((0.95, 0.95, 0.5), (-0.9, 1.0, 0.6), (0.1, 1.25, 0.55), (-1.3, 0.6, 0.4)):
            mound = g.sphere(r, 24).scaled(1.35, 0.8, 0.5).moved(side * x, y, low)
            stage.add(mound, matte(mix(style.floor, WHITE, 0.6)))
    if style.has("drops") or style.layout == 0:
        drop = g.sphere(0.034, 16).scaled(1.0, 1.0, 0.6)
        wet = plastic(mix(style.floor, style.accent, 0.5), 0.01)
        add_scatter(stage, rng, drop, wet, 30, (-1.0, 1.0, -0.8, 0.1), 0.42, low + 0.006)
    add_key_light(stage, style, 8.0)
    for x, radiance in ((-2.1 * style.key_side, 9.0), (2.4 * style.key_side, 5.0)):
        box = Light((x, -0.9, 0.8), (0.0, 0.0, 0.5), 1.0, (radiance, radiance, radiance))
        stage.lights.append(box)


CATEGORY = Category(
    "drink can", BRANDS, sample_style, build_product, dress, Framing((0.5, 0.62), (4, 9), (-28, 28))
)
