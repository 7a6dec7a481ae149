"""Lipstick: staggered blocks in saturated red, pink or plum, satin ribbon, roses, hard-edged light."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

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

WHITE: Colour = (0.96, 0.95, 0.95)
BLACK: Colour = (0.06, 0.055, 0.06)


def _build_bullet(radius: float, height: float, slope: float) -> g.Mesh:
    """A stick of lip colour on z = 0, cut aslant: lowest towards the camera, ``slope`` rise per width."""
    a = np.linspace(0, 2 * np.pi, 37)
    rows = []
    for share, sink in (
        (1.0, -1.0),
        (1.0, 0.3),
        (0.97, 0.13),
        (0.9, 0.03),
        (0.75, 0.0),
        (0.4, -0.05),
        (0.002, -0.07),
    ):
        x, y = share * radius * np.cos(a), share * radius * np.sin(a)
        # the hind edge is rounded off, so that the cut has the shape of a drop
        cut = height - slope * (radius - y) - 1.1 * np.maximum(y - 0.35 * radius, 0) ** 2 / radius
        z = np.zeros_like(a) if sink == -1.0 else cut - sink * radius
        rows.append(np.stack([x, y, z], -1))
    return g.grid_surface(np.stack(rows))


def _build_shaft(shape: str, radius: float, height: float, bevel: float) -> g.Mesh:
    """A case of the named section, standing on z = 0."""
    if shape == "square":
        return g.rounded_box(1.8 * radius, 1.8 * radius, height, max(bevel, 0.008))
    if shape == "waisted":
        p = [
            (radius, 0.0),
            (radius, height * 0.1),
            (radius * 0.82, height * 0.5),
            (radius, height * 0.94),
            (radius, height),
        ]
        return g.lathe([(0.0, 0.0), *g.smooth_profile(p), (0.0, height)])
    return g.cylinder(radius, height, bevel)


def _paint_case(rng: np.random.Generator, body: Colour, ink: Colour, accent: Colour, front: float) -> Texture:
    """A case's skin: bands, stripes or a mark on the middle ``front`` of its width, and a name."""
    size = 192
    rgb = tuple(round(v * 255) for v in body)
    image = Image.new("RGB", (size, size), rgb)
    draw = ImageDraw.Draw(image)
    bright = tuple(round(v * 255) for v in accent)
    kind, x, w = int(rng.integers(5)), size / 2, size * front
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
        textures.draw_words(draw, rng, x, size * 0.32, w, size * 0.09, ink)
    return np.asarray(image)


def build_product(rng: np.random.Generator) -> list[Part]:
    """An open lipstick, round, square or waisted, often with its cap standing or lying beside it."""
    hue = float(rng.choice([348.0, 355, 2, 10, 18, 335, 325, 310]) + rng.uniform(-5, 5))
    lip = hsv(hue, float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.45, 0.92)))
    own = float(rng.uniform(0, 360))
    body = [BLACK, WHITE, hsv(own, 0.55, 0.55), hsv(own, 0.25, 0.9), shade(lip, 0.75), hsv(own, 0.6, 0.22)][
        int(rng.integers(6))
    ]
    trim_colour = (GOLD, SILVER, COPPER)[int(rng.integers(3))]
    trim = metal(trim_colour, 0.16)
    ink = trim_colour if rng.random() < 0.6 else WHITE if sum(body) < 1.5 else BLACK
    shape = str(rng.choice(["round", "round", "square", "waisted"]))
    r, case, tube = (
        float(rng.uniform(0.13, 0.17)),
        float(rng.uniform(0.36, 0.48)),
        float(rng.uniform(0.14, 0.24)),
    )
    bevel = float(rng.choice([0.006, 0.03]))
    if rng.random() < 0.25:
        shell = metal(trim_colour if rng.random() < 0.5 else mix(body, WHITE, 0.3), 0.22)
    else:
        accent = trim_colour if rng.random() < 0.6 else hsv(own + 180, 0.5, 0.75)
        skin = _paint_case(rng, body, ink, accent, 0.75 if shape == "square" else 0.22)
        shell = plastic(skin, float(rng.choice([0.03, 0.08, 0.3])))
    inner = "square" if shape == "square" and rng.random() < 0.6 else "round"
    slope, out = float(rng.uniform(0.55, 0.95)), float(rng.uniform(0.26, 0.36))
    cut = float(rng.uniform(-50, 50))
    stick = r * float(rng.uniform(0.62, 0.7))
    parts = [
        Part(_build_shaft(shape, r, case, bevel), shell),
        Part(_build_shaft(inner, r * 0.93, 0.035, 0.006).moved(z=case - 0.005), trim),
        Part(_build_shaft(inner, r * 0.82, tube, 0.012).moved(z=case + 0.02), trim),
        Part(_build_bullet(stick, out, slope).turned("z", cut).moved(z=case + tube), plastic(lip, 0.16)),
    ]
    beside = float(rng.random())
    side = 1.0 if rng.random() < 0.5 else -1.0
    cap = tube + out + 0.1
    if beside < 0.4:
        x, y = side * (2.0 * r + 0.07), 0.04
        parts.append(Part(_build_shaft(shape, r, cap, bevel).moved(x, y), shell))
        if rng.random() < 0.5:
            parts.append(Part(_build_shaft(shape, r * 1.02, 0.03, 0.006).moved(x, y), trim))
    elif beside < 0.65:
        lying = _build_shaft(shape, r, cap, bevel).moved(z=-cap / 2).turned("y", 90)
        lie = r if shape != "square" else 0.9 * r
        lying = lying.turned("z", side * float(rng.uniform(15, 35))).moved(
            side * (r + 0.1 + cap / 2), -0.04, lie
        )
        parts.append(Part(lying, shell))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Reds, hot pinks, corals and plums, saturated; two or three elements."""
    h = float(rng.choice([350.0, 357, 4, 12, 338, 328, 318]) + rng.uniform(-4, 4))
    dark = rng.random() < 0.25
    value = float(rng.uniform(0.32, 0.42)) if dark else float(rng.uniform(0.76, 0.95))
    strength = float(rng.uniform(0.6, 0.85))
    return Style(
        hsv(h, strength, value),
        hsv(h + rng.uniform(-6, 6), strength * rng.uniform(0.8, 1.0), value * 0.97),
        hsv(h + float(rng.choice([-16, 0, 14])), strength * rng.uniform(0.5, 0.95), min(value * 1.25, 0.97)),
        hsv(h + rng.uniform(-8, 8), 0.85, 0.62 if not dark else 0.75),
        (
            str(rng.choice(["split", "half", "plain"])),
            *pick(rng, ("ribbon", "petals", "roses", "hoop", "balls"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.95, 0.95])),
        float(rng.uniform(0.0, 0.25)),
        fill=0.75,
    )


BRANDS = (
    Style(
        hsv(356, 0.84, 0.74),
        hsv(356, 0.84, 0.7),
        hsv(2, 0.74, 0.93),
        hsv(354, 0.9, 0.62),
        ("plain", "ribbon", "roses"),
        0,
        -0.95,
        0.15,
        fill=0.7,
    ),
    Style(
        hsv(338, 0.42, 0.98),
        hsv(338, 0.4, 0.98),
        hsv(340, 0.24, 0.98),
        hsv(346, 0.72, 0.92),
        ("split", "half", "balls", "petals"),
        1,
        0.95,
        0.0,
        fill=1.1,
    ),
    Style(
        hsv(318, 0.62, 0.36),
        hsv(320, 0.6, 0.34),
        hsv(322, 0.55, 0.44),
        hsv(342, 0.8, 0.62),
        ("plain", "hoop", "petals"),
        2,
        -0.9,
        0.1,
        fill=0.9,
    ),
)


def _build_ribbon(rng: np.random.Generator, width: float, side: float) -> g.Mesh:
    """A band standing on its edge at z = 0, winding before the steps and curling up at its end."""
    t = np.linspace(0, 1, 140)
    bend = t > 0.68
    x = side * (1.5 - 2.7 * t)
    y = -0.58 + 0.12 * np.sin(2 * np.pi * 2.0 * t + float(rng.uniform(0, 2 * np.pi)))
    curl = (t[bend] - 0.68) / 0.32
    radius, turn = 0.19 * (1 - 0.65 * curl), 2 * np.pi * 1.6 * curl
    end_x, end_y = float(x[~bend][-1]), float(y[~bend][-1])
    x[bend] = end_x - side * radius * np.sin(turn)
    y[bend] = end_y + 0.19 - radius * np.cos(turn)
    lean = 0.05 * np.sin(2 * np.pi * 1.7 * t)
    rise = width * (1 + 0.14 * np.sin(2 * np.pi * 1.3 * t + 1.0))
    rows = [np.stack([x, y + lean * h, rise * h], -1) for h in (0.0, 0.33, 0.66, 1.0)]
    return g.grid_surface(np.stack(rows))


def _build_rose(rng: np.random.Generator, radius: float) -> g.Mesh:
    """A rose's head on z = 0: whorls of cupped petals, the inner ones upright."""
    petals = []
    for ring, (count, tilt, size, reach) in enumerate(
        ((3, 6.0, 0.75, 0.12), (4, 20.0, 0.9, 0.2), (5, 38.0, 1.05, 0.27), (6, 58.0, 1.15, 0.3))
    ):
        for k in range(count):
            m = g.leaf(radius * size, radius * size * 1.15, -0.15).turned("z", 180).moved(y=-0.02)
            m = m.turned("x", tilt + float(rng.uniform(-6, 6))).moved(y=-radius * reach)
            petals.append(m.turned("z", 360 / count * (k + 0.5 * ring) + float(rng.uniform(-9, 9))))
    low = min(float(m.vertices[:, 2].min()) for m in petals)
    return g.merge_meshes(petals).moved(z=-low)


def _build_half_disc(width: float, depth: float) -> g.Mesh:
    """A half disc standing on its straight edge at z = 0, its flat face to the front."""
    return g.arch(width, width / 2 + 1e-3, depth)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wall and floor in one hue, blocks in steps, the style's elements, one small lamp with hard shadows."""
    far = 1.5
    low = -0.2
    side = 1.0 if rng.random() < 0.5 else -1.0
    stage.add(g.floor(9, -4, far).moved(z=low), plastic(style.floor, 0.35))
    stage.add(g.quad(9, 6).moved(y=far, z=low), matte(style.wall))
    satin = Surface(style.prop, "plastic", 0.35)
    deep = plastic(style.accent, 0.3)
    if style.layout == 0:
        stage.add(g.rounded_box(1.05, 0.8, -low, 0.012).moved(z=low), satin)
        steps = (
            (0.86, 0.5, 0.5, 0.62),
            (1.24, 0.68, 0.5, 1.06),
            (0.44, 0.82, 0.5, 0.92),
            (-0.86, 0.55, 0.56, 0.4),
        )
        for k, (x, y, s, h) in enumerate(steps):
            stage.add(g.rounded_box(s, s, h, 0.012).moved(side * x, y, low), deep if k % 2 else satin)
    elif style.layout == 1:
        stage.add(g.cylinder(0.6, -low / 2, 0.012, 56).moved(z=low / 2), satin)
        stage.add(g.cylinder(0.82, -low / 2, 0.012, 56).moved(z=low), deep)
        for x, y, r, h in ((0.95, 0.62, 0.24, 0.72), (-0.98, 0.5, 0.2, 0.4), (-0.62, 0.95, 0.2, 1.0)):
            stage.add(g.cylinder(r, h, 0.012, 44).moved(side * x, y, low), satin if h > 0.5 else deep)
    else:
        for k in range(3):
            w = 1.0 + 0.42 * k
            stage.add(
                g.rounded_box(w, 0.75 + 0.3 * k, 0.07, 0.01).moved(0, 0.12 * k, -0.07 * (k + 1)),
                deep if k % 2 else satin,
            )
        for x, y, w, h in ((0.98, 0.72, 0.42, 1.15), (-1.02, 0.8, 0.5, 0.7)):
            stage.add(g.rounded_box(w, 0.3, h, 0.01).turned("z", side * 10).moved(side * x, y, low), satin)
    if style.has("split"):
        m = g.quad(6, 6).turned("y", side * 24).moved(side * 0.25, far - 0.02, low + 0.55)
        stage.add(m, matte(mix(style.wall, style.accent, 0.4)))
    if style.has("half"):
        stage.add(_build_half_disc(1.7, 0.1).moved(side * 0.2, far - 0.3, low), satin)
        stage.add(_build_half_disc(0.9, 0.16).moved(-side * 0.72, far - 0.5, low), deep)
    if style.has("ribbon"):
        stage.add(_build_ribbon(rng, 0.14, side).moved(z=low), metal(mix(style.prop, WHITE, 0.12), 0.33))
    if style.has("roses"):
        for x, y, r in ((-0.8, 0.08, 0.24), (-0.76, -0.36, 0.17), (0.82, 0.0, 0.2)):
            stage.add(
                _build_rose(rng, r).moved(side * x, y, low), plastic(mix(style.accent, style.prop, 0.5), 0.4)
            )
    if style.has("petals"):
        petal = g.leaf(0.15, 0.15, 0.5).turned("x", 78).moved(z=0.025)
        add_scatter(stage, rng, petal, matte(style.accent), 20, (-1.1, 1.1, -0.9, 0.6), 0.72, low, 9)
        add_scatter(
            stage, rng, petal, matte(shade(style.accent, 1.3)), 12, (-1.1, 1.1, -0.9, 0.6), 0.72, low, 9
        )
    if style.has("hoop"):
        for r, x in ((0.72, 0.0), (0.42, -side * 0.62)):
            stage.add(
                g.ring(r, 0.017, 64).moved(x, far - 0.35 - 0.2 * (r < 0.6), low + r + 0.02), metal(GOLD, 0.2)
            )
    if style.has("balls"):
        for x, y, r in ((0.86, -0.12, 0.13), (-0.9, -0.3, 0.1), (-0.98, 0.05, 0.16)):
            stage.add(
                g.sphere(r).moved(side * x, y, low + r),
                plastic(style.accent if r < 0.15 else style.prop, 0.12),
            )
    add_key_light(stage, style, 95.0, 0.75, 3.0)


CATEGORY = Category(
    "lipstick", BRANDS, sample_style, build_product, dress, Framing((0.48, 0.58), (6, 11), (-25, 25))
)
