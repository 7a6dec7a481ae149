"""Skincare bottle: stone slabs in rippling pale water, eucalyptus, pebbles, a wall of water light."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
    SILVER,
    Colour,
    Style,
    Surface,
    Texture,
    hsv,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

WHITE: Colour = (0.97, 0.97, 0.96)
WATER = -0.13


def _print_skin(
    rng: np.random.Generator, body: Texture, ink: Colour, accent: Colour, front: float
) -> Texture:
    """``body`` with a sparse print on the middle ``front`` of its width: emblem, a name, two fine lines."""
    size = 256
    image = Image.fromarray(body).resize((size, size))
    draw = ImageDraw.Draw(image)
    dark, bright = (tuple(round(v * 255) for v in c) for c in (ink, accent))
    x, w = size / 2, size * front
    kind = int(rng.integers(4))
    top = float(rng.uniform(0.28, 0.4)) * size
    if kind == 0:
        draw.rectangle([0, size * 0.8, size, size], fill=bright)
    elif kind == 1:
        draw.rectangle([x - w * 0.62, size * 0.16, x - w * 0.54, size * 0.9], fill=bright)
    elif kind == 2:
        draw.ellipse([x - w * 0.3, size * 0.66, x + w * 0.3, size * 0.66 + w * 0.6], fill=bright)
    else:
        for y in (0.24, 0.86):
            draw.rectangle([0, size * y, size, size * (y + 0.02)], fill=bright)
    textures.draw_words(draw, rng, x, top, w * 0.9, size * 0.07, ink)
    draw.rectangle([x - w * 0.3, top + size * 0.1, x + w * 0.3, top + size * 0.108], fill=dark)
    for k in range(2):
        textures.draw_words(draw, rng, x, top + size * (0.14 + 0.06 * k), w * (0.7 - 0.2 * k), 8, ink)
    return np.asarray(image)


def _build_top(kind: str, radius: float, base: float, trim: Surface, soft: Surface) -> list[Part]:
    """What closes a bottle whose neck ends at ``base``: dropper, pump, tall cap or ball."""
    collar = Part(g.cylinder(radius, 0.09, 0.012).moved(z=base), trim)
    if kind == "dropper":
        r = radius * 0.72
        bulb = [(0.0, 0.0), (r, 0.0), (r * 0.86, 0.05), (r * 0.9, 0.16), (r * 0.6, 0.24), (0.0, 0.25)]
        return [collar, Part(g.lathe(g.smooth_profile(bulb)).moved(z=base + 0.085), soft)]
    if kind == "pump":
        head = [(0.0, 0.0), (0.085, 0.0), (0.092, 0.02), (0.092, 0.06), (0.08, 0.075), (0.0, 0.078)]
        z = base + 0.17
        spout = g.tube([(0, 0, z + 0.045), (-0.17, -0.03, z + 0.045), (-0.2, -0.035, z + 0.02)], 0.022)
        return [
            collar,
            Part(g.cylinder(0.028, 0.1).moved(z=base + 0.08), soft),
            Part(g.lathe(head).moved(z=z), soft),
            Part(spout, soft),
        ]
    if kind == "ball":
        return [
            Part(g.cylinder(radius * 0.8, 0.04).moved(z=base), trim),
            Part(g.sphere(radius * 1.35).moved(z=base + radius * 1.3), soft),
        ]
    return [
        Part(g.cylinder(radius, 0.03).moved(z=base), trim),
        Part(g.cylinder(radius, 0.27, 0.012).moved(z=base + 0.028), soft),
    ]


def build_product(rng: np.random.Generator) -> list[Part]:
    """A serum, lotion or toner bottle, frosted, opal or amber, with dropper, pump, tall cap or ball."""
    hue = float(rng.choice([24.0, 40, 90, 150, 185, 205, 230, 275, 330, 350]) + rng.uniform(-8, 8))
    tone = int(rng.integers(5))
    body = [
        hsv(hue, float(rng.uniform(0.16, 0.32)), 0.93),
        hsv(float(rng.uniform(22, 32)), 0.85, 0.42),
        WHITE,
        hsv(hue, float(rng.uniform(0.45, 0.65)), float(rng.uniform(0.5, 0.75))),
        hsv(hue, 0.6, 0.26),
    ][tone]
    ends = (shade(body, 0.85), mix(body, (1, 1, 1), 0.4)) if tone != 2 else (body, hsv(hue, 0.12, 0.97))
    ink = (0.18, 0.2, 0.21) if sum(body) > 1.7 else WHITE
    accent = hsv(hue + float(rng.choice([0, 25, 160])), 0.45, 0.7 if tone != 3 else 0.95)
    trim = [metal(GOLD, 0.2), metal(SILVER, 0.2), metal(COPPER, 0.22), plastic((0.08, 0.08, 0.09), 0.15)][
        int(rng.integers(4))
    ]
    soft = [
        plastic(WHITE, 0.2),
        plastic((0.1, 0.1, 0.11), 0.25),
        plastic(mix(body, (1, 1, 1), 0.45), 0.25),
        trim,
        plastic(textures.wood(rng, hsv(30, 0.45, 0.72), 1, 64), 0.4),
    ][int(rng.integers(5))]
    gloss = float(rng.choice([0.04, 0.1, 0.3]))
    gradient = textures.gradient(*ends, 128)
    flat = rng.random() < 0.35
    front = 0.6 if flat else 0.2
    if rng.random() < 0.45:
        box = (0.5 - front * 0.6, 0.3, 0.5 + front * 0.6, 0.86)
        paper = WHITE if sum(body) < 2.5 else hsv(hue, 0.2, 0.86)
        skin = textures.label(rng, gradient, paper, (0.18, 0.2, 0.21), accent, box)
    else:
        skin = _print_skin(rng, gradient, ink, accent, front)
    h = float(rng.uniform(0.46, 0.76))
    if flat:
        w, d = float(rng.uniform(0.34, 0.44)), float(rng.uniform(0.2, 0.3))
        parts = [Part(g.rounded_box(w, d, h, float(rng.uniform(0.03, 0.09))), plastic(skin, gloss))]
        neck, kind = 0.09, str(rng.choice(["dropper", "pump", "ball", "cap"]))
    else:
        r, shoulder = float(rng.uniform(0.14, 0.22)), float(rng.uniform(0.0, 0.2))
        kind = str(rng.choice(["dropper", "dropper", "pump", "ball"])) if shoulder > 0.04 else "cap"
        neck = 0.085 if shoulder > 0.04 else r
        p = [(r * 0.94, 0.0), (r, 0.03), (r, h - shoulder - 0.02), (max(neck, r * 0.85), h - 0.01), (neck, h)]
        parts = [Part(g.lathe([(0.0, 0.0), *g.smooth_profile(p), (0.0, h)]), plastic(skin, gloss))]
    return [*parts, *_build_top(kind, neck, h - 0.005, trim, soft)]


def sample_style(rng: np.random.Generator) -> Style:
    """Pale aqua, sage or mist; two to four elements."""
    h = float(rng.choice([100.0, 130, 158, 172, 186, 200]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.12, 0.3), rng.uniform(0.85, 0.95)),
        hsv(h + 8, rng.uniform(0.22, 0.4), rng.uniform(0.68, 0.86)),
        hsv(rng.uniform(30, 80), rng.uniform(0.04, 0.16), rng.uniform(0.5, 0.88)),
        hsv(rng.uniform(115, 165), rng.uniform(0.22, 0.36), rng.uniform(0.46, 0.62)),
        (
            str(rng.choice(["caustics", "shadow", "glow"])),
            *pick(rng, ("eucalyptus", "pebbles", "rocks", "dew"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.75, 0.75])),
        float(rng.uniform(-0.15, 0.2)),
        fill=1.2,
    )


BRANDS = (
    Style(
        hsv(184, 0.28, 0.93),
        hsv(186, 0.42, 0.82),
        hsv(60, 0.04, 0.9),
        hsv(160, 0.3, 0.55),
        ("caustics", "pebbles", "dew"),
        0,
        -0.75,
        -0.05,
        fill=1.25,
    ),
    Style(
        hsv(118, 0.16, 0.86),
        hsv(146, 0.22, 0.7),
        hsv(40, 0.2, 0.84),
        hsv(142, 0.34, 0.5),
        ("shadow", "eucalyptus"),
        1,
        0.75,
        0.25,
        fill=1.1,
    ),
    Style(
        hsv(202, 0.24, 0.95),
        hsv(200, 0.36, 0.84),
        hsv(206, 0.16, 0.56),
        hsv(150, 0.25, 0.45),
        ("glow", "rocks", "eucalyptus"),
        2,
        -0.6,
        -0.1,
        fill=1.25,
    ),
)


def _paint_caustics(rng: np.random.Generator, wall: Colour, size: int = 256) -> Texture:
    """A wall under the net of light that moving water throws."""
    v, u = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    wave = np.zeros((size, size))
    for fu, fv in ((9, 3), (-6, 8), (3, 10), (10, -5)):
        p = rng.uniform(0, 2 * np.pi, 3)
        wave += np.sin(fu * u + fv * v + p[0] + 1.3 * np.sin(4 * v + p[1]) + 1.1 * np.sin(5 * u + p[2]))
    net = np.exp(-(np.abs(wave / 0.3) ** 1.3))[..., None]
    low, high = np.array(shade(wall, 0.93)), np.array(mix(wall, (1, 1, 1), 0.75))
    image = Image.fromarray(np.asarray((low + (high - low) * net) * 255, np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))


def _paint_leaf_shadow(rng: np.random.Generator, wall: Colour, side: float, size: int = 256) -> Texture:
    """A wall with the blurred shadow of fronds that reach in from one side."""
    cover = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(cover)
    foot = np.array([0.5 + 0.26 * side, 0.53]) * size
    for k in range(3):
        fall = np.deg2rad(-6 + 29 * k + float(rng.uniform(-7, 7)))
        tip = foot + size * float(rng.uniform(0.27, 0.34)) * np.array([-side * np.cos(fall), np.sin(fall)])
        along = (tip - foot) / np.linalg.norm(tip - foot)
        across = np.array([-along[1], along[0]])
        for t in np.linspace(0.15, 1.0, 9):
            base = foot + (tip - foot) * t
            length = size * 0.1 * (1.1 - 0.6 * t)
            for s in (-1.0, 1.0):
                end = base + (0.7 * along + s * across) * length * 0.75
                bulge = 0.17 * length * (0.7 * across - s * along)
                middle = (base + end) / 2
                outline = (base, middle + bulge, end, middle - bulge)
                draw.polygon([(float(p[0]), float(p[1])) for p in outline], fill=255)
    dark = np.asarray(cover.filter(ImageFilter.GaussianBlur(size / 85)), np.float32)[..., None] / 255
    base_wall = textures.plaster(rng, wall, 0.03, size).astype(np.float32)
    return np.asarray(base_wall * (1 - dark * 0.42), np.uint8)


def _roughen(mesh: g.Mesh, rng: np.random.Generator, amount: float) -> g.Mesh:
    """``mesh`` with an uneven outline about z and a texture that lies level on it."""
    v = mesh.vertices.copy()
    a = np.arctan2(v[:, 1], v[:, 0])
    swell = np.ones_like(a)
    for k in (2, 3, 5, 7):
        swell += amount / k * 2 * np.cos(k * a + float(rng.uniform(0, 2 * np.pi)))
    v[:, :2] *= swell[:, None]
    uv = np.stack([v[:, 0] * 0.45 + 0.5 + 0.2 * v[:, 2], v[:, 1] * 0.45 + 0.5 + 0.3 * v[:, 2]], 1)
    corners = v[mesh.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    n = np.zeros_like(v)
    for k in range(3):
        np.add.at(n, mesh.faces[:, k], facing)
    n *= np.sign(np.sum(n * mesh.normals, 1, keepdims=True))
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    return g.Mesh(v, mesh.faces, n.astype(np.float32), uv.astype(np.float32))


def _build_slab(rng: np.random.Generator, width: float, depth: float, height: float) -> g.Mesh:
    """A flat stone standing on z = 0."""
    edge = [(0.92, 0.0), (1.0, height * 0.25), (1.0, height * 0.8), (0.95, height), (0.82, height)]
    mesh = g.lathe([(0.0, 0.0), *g.smooth_profile(edge, 3), (0.0, height)], 56)
    return _roughen(mesh, rng, 0.03).scaled(width / 2, depth / 2, 1)


def _build_water(level: float) -> g.Mesh:
    """A still surface with rings of ripples about the product."""
    r = np.concatenate([np.linspace(0.0, 2.6, 110), [3.2, 8.0]])
    z = level + 0.0016 * np.cos(2 * np.pi * r / 0.2) * np.exp(-r / 1.6)
    return g.lathe([(float(a), float(b)) for a, b in zip(r, z, strict=True)], 56)


def _add_eucalyptus(
    stage: Stage,
    rng: np.random.Generator,
    x: float,
    y: float,
    z: float,
    length: float,
    lean: float,
    green: Colour,
) -> None:
    """A twig of paired round leaves growing from a point, leaning by ``lean`` degrees to the right."""
    bow = np.deg2rad(lean) * (0.7 + 0.6 * np.linspace(0, 1, 9))
    steps = np.stack([np.sin(bow), -0.12 * np.ones_like(bow), np.cos(bow)], 1) * length / 9
    path = np.concatenate([[[x, y, z]], np.array([x, y, z]) + np.cumsum(steps, 0)])
    stem = [(float(p[0]), float(p[1]), float(p[2])) for p in path]
    stage.add(
        g.tube(stem, np.linspace(0.014, 0.005, len(path)).tolist(), 7),
        matte(mix(green, (0.5, 0.35, 0.3), 0.5)),
    )
    pale: list[g.Mesh] = []
    deep: list[g.Mesh] = []
    for k in range(1, len(path)):
        s = length * 0.23 * (1.05 - 0.055 * k)
        for sign in (-1.0, 1.0):
            m = g.leaf(s, s * 0.92, float(rng.uniform(0.05, 0.4)))
            m = m.turned("z", float(rng.uniform(-35, 35))).turned(
                "y", lean + sign * float(rng.uniform(48, 85))
            )
            (pale if rng.random() < 0.5 else deep).append(m.moved(*stem[k]))
    m = g.leaf(length * 0.16, length * 0.12, 0.2).turned("y", lean)
    pale.append(m.moved(*stem[-1]))
    stage.add(g.merge_meshes(pale), plastic(mix(green, (0.9, 0.95, 0.93), 0.28), 0.45))
    if deep:
        stage.add(g.merge_meshes(deep), plastic(green, 0.4))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Water and wall, the stones on which the product stands, the style's elements at the sides."""
    far = 1.75
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("caustics"):
        skin = _paint_caustics(rng, style.wall)
    elif style.has("shadow"):
        skin = _paint_leaf_shadow(rng, style.wall, side)
    else:
        skin = textures.halo(mix(style.wall, (1, 1, 1), 0.7), shade(style.wall, 0.9), 0.5, 0.72, 0.16, 256)
    stage.add(g.quad(5, 5).moved(y=far, z=-0.5), matte(skin))
    crests = textures.gradient(shade(style.floor, 0.86), mix(style.floor, (1, 1, 1), 0.35))
    stage.add(_build_water(WATER), plastic(crests, 0.004))
    pale = textures.stone(rng, style.prop, mix(style.prop, (1, 1, 1), 0.4 if sum(style.prop) < 1.5 else 0.0))
    rock = plastic(pale, 0.5)
    if style.layout == 0:
        stage.add(_build_slab(rng, 1.02, 0.8, 0.17).moved(z=-0.17), rock)
    elif style.layout == 1:
        stage.add(_build_slab(rng, 0.92, 0.7, 0.09).moved(z=-0.09), rock)
        stage.add(_build_slab(rng, 1.3, 1.0, 0.1).moved(side * 0.12, 0.1, -0.19), rock)
        stage.add(_build_slab(rng, 0.7, 0.5, 0.2).moved(-side * 0.95, 0.75, -0.19), rock)
        stage.add(_build_slab(rng, 0.5, 0.4, 0.12).moved(-side * 0.98, 0.78, 0.01), rock)
    else:
        stage.add(_build_slab(rng, 1.6, 0.8, 0.2).moved(side * 0.3, 0.05, -0.2), rock)
    if style.has("rocks"):
        for x, y, r, h in ((1.0, 0.85, 0.42, 1.25), (-1.1, 1.05, 0.5, 0.75), (-0.72, 1.2, 0.3, 0.7)):
            m = _roughen(g.sphere(r, 32), rng, 0.09).turned("y", float(rng.uniform(-14, 14)))
            stage.add(m.scaled(1, 0.8, h).moved(side * x, y, WATER + r * h * 0.55), rock)
    if style.has("pebbles"):
        for x, y, r in ((0.86, 0.28, 0.17), (1.02, 0.62, 0.13), (-0.82, 0.55, 0.2), (-1.0, 0.2, 0.1)):
            m = (
                _roughen(g.sphere(r, 26), rng, 0.05)
                .scaled(1.1, 0.85, 0.5)
                .turned("z", float(rng.uniform(0, 180)))
            )
            tone = mix(style.prop, style.floor, float(rng.uniform(0.0, 0.45)))
            stage.add(
                m.moved(side * x, y, WATER + r * 0.32),
                plastic(shade(tone, float(rng.uniform(0.75, 1.05))), 0.3),
            )
        top = _roughen(g.sphere(0.12, 24), rng, 0.05).scaled(1.1, 0.85, 0.5)
        stage.add(top.moved(-side * 0.82, 0.55, WATER + 0.22), plastic(shade(style.prop, 0.9), 0.3))
    if style.has("eucalyptus"):
        _add_eucalyptus(stage, rng, side * 0.62, 0.42, WATER, 0.98, side * 17, style.accent)
        _add_eucalyptus(stage, rng, side * 0.72, 0.6, WATER, 0.7, side * 42, shade(style.accent, 0.9))
        _add_eucalyptus(stage, rng, -side * 0.74, 0.42, WATER, 0.6, -side * 42, style.accent)
    floating = g.leaf(0.1, 0.09, 0.1).turned("x", 88)
    if style.has("eucalyptus"):
        green = mix(style.accent, (0.9, 0.95, 0.93), 0.25)
        add_scatter(stage, rng, floating, plastic(green, 0.4), 5, (-0.9, 0.9, -1.1, -0.5), 0.3, WATER + 0.006)
    if style.has("dew"):
        drop = g.sphere(0.024, 14).scaled(1, 1, 0.55)
        add_scatter(
            stage,
            rng,
            drop,
            plastic(mix(style.prop, style.floor, 0.45), 0.004),
            26,
            (-0.5, 0.5, -0.3, 0.3),
            0.27,
        )
    add_key_light(stage, style, 10.5)


CATEGORY = Category(
    "skincare bottle", BRANDS, sample_style, build_product, dress, Framing((0.54, 0.66), (8, 13), (-20, 20))
)
