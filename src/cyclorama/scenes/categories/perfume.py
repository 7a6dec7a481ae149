"""Perfume: pastel podiums, arches, spheres and petals before a seamless sweep, in soft light."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_curtain, add_key_light, add_leaves, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import GOLD, SILVER, Style, hsv, matte, metal, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A scent bottle: square, round, curved or tall, with a coloured juice, a label and a cap."""
    hue = float(rng.choice([330.0, 350, 20, 36, 48, 150, 190, 215, 265, 290]))
    deep = rng.random() < 0.3
    juice = hsv(hue, 0.75, 0.4) if deep else hsv(hue, float(rng.uniform(0.22, 0.55)), 0.93)
    body = textures.gradient(shade(juice, 0.86), mix(juice, (1, 1, 1), 0.35), 128)
    paper = (0.98, 0.97, 0.95) if deep or rng.random() < 0.6 else shade(juice, 0.55)
    ink = (0.15, 0.13, 0.14) if sum(paper) > 1.8 else (0.98, 0.95, 0.9)
    box = (0.3, 0.42, 0.7, 0.82)
    skin = textures.label(rng, body, paper, ink, hsv(hue + 180, 0.4, 0.6), box)
    cap = [
        metal(GOLD, 0.18),
        metal(SILVER, 0.18),
        plastic((0.06, 0.06, 0.07), 0.12),
        plastic((0.95, 0.94, 0.92), 0.15),
    ][int(rng.integers(4))]
    kind = int(rng.integers(5))
    parts: list[Part] = []
    if kind <= 1:
        w, d, h = rng.uniform(0.5, 0.72), rng.uniform(0.24, 0.36), rng.uniform(0.62, 0.82)
        parts.append(Part(g.rounded_box(w, d, h, 0.06 if kind else 0.025), plastic(skin, 0.05)))
        neck = 0.09
    else:
        r = float(rng.uniform(0.25, 0.34))
        h = float(rng.uniform(0.6, 0.78))
        if kind == 2:
            p = [(0, 0), (r * 0.95, 0), (r, 0.03), (r, h - 0.05), (r * 0.9, h), (0.1, h + 0.01)]
        elif kind == 3:
            p = g.smooth_profile(
                [(0, 0), (r * 0.7, 0), (r * 1.3, h * 0.35), (r * 1.2, h * 0.75), (r * 0.5, h), (0.1, h)]
            )
        else:
            p = g.smooth_profile(
                [(0, 0), (r * 1.2, 0.0), (r * 1.15, h * 0.3), (r * 0.7, h * 0.65), (r * 0.85, h), (0.1, h)]
            )
        narrow = textures.label(rng, body, paper, ink, hsv(hue + 180, 0.4, 0.6), (0.38, 0.42, 0.62, 0.78))
        parts.append(Part(g.lathe(p), plastic(narrow, 0.05)))
        neck = 0.085
    parts.append(Part(g.cylinder(neck, 0.06).moved(z=float(h) - 0.005), metal(GOLD, 0.2)))
    ch = float(rng.uniform(0.16, 0.26))
    top = float(h) + 0.05
    shape = int(rng.integers(3))
    if shape == 0:
        parts.append(Part(g.cylinder(neck * 1.55, ch, 0.02).moved(z=top), cap))
    elif shape == 1:
        parts.append(Part(g.rounded_box(0.26, 0.22, ch, 0.025).moved(z=top), cap))
    else:
        parts.append(Part(g.sphere(ch * 0.62).moved(z=top + ch * 0.5), cap))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Any one pastel hue, two or three elements."""
    h = float(rng.choice([345.0, 355, 15, 28, 42, 265, 285, 320]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.14, 0.3), 0.94),
        hsv(h + rng.uniform(-8, 8), rng.uniform(0.1, 0.24), 0.95),
        hsv(h, rng.uniform(0.25, 0.45), 0.9),
        hsv(h + rng.uniform(-25, 25), 0.5, 0.85),
        pick(
            rng,
            ("arch", "disc", "spheres", "petals", "columns", "blocks", "curtain"),
            int(rng.integers(2, 4)),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(-0.1, 0.35)),
    )


BRANDS = (
    Style(
        hsv(345, 0.28, 0.95),
        hsv(345, 0.2, 0.96),
        hsv(345, 0.42, 0.92),
        hsv(350, 0.55, 0.88),
        ("arch", "petals", "spheres"),
        0,
        -0.8,
        0.2,
    ),
    Style(
        hsv(265, 0.26, 0.92),
        hsv(268, 0.18, 0.94),
        hsv(265, 0.38, 0.86),
        hsv(280, 0.45, 0.8),
        ("disc", "columns"),
        1,
        0.8,
        -0.1,
    ),
    Style(
        hsv(34, 0.22, 0.95),
        hsv(36, 0.16, 0.95),
        hsv(30, 0.36, 0.86),
        hsv(75, 0.35, 0.55),
        ("blocks", "leaves", "curtain"),
        2,
        -0.7,
        0.45,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Podium under the product, sweep behind it, the style's elements around."""
    low = -0.24 if style.layout != 2 else -0.16
    far = 1.75
    stage.add(g.sweep(14, -5, far, 6, 0.7).moved(z=low), matte(style.wall))
    if style.layout == 0:
        stage.add(g.cylinder(0.62, -low, 0.03).moved(z=low), plastic(style.floor, 0.3))
    elif style.layout == 1:
        stage.add(g.cylinder(0.55, 0.12, 0.015).moved(z=-0.12), plastic(style.floor, 0.3))
        stage.add(g.cylinder(0.85, -low - 0.12, 0.015).moved(z=low), plastic(style.prop, 0.3))
    else:
        stage.add(g.rounded_box(1.25, 0.95, -low, 0.025).moved(z=low), plastic(style.floor, 0.3))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("arch"):
        stage.add(g.arch(1.35, 1.75, 0.25).moved(rng.uniform(-0.1, 0.1), 0.85, low), matte(style.prop))
        stage.add(
            g.arch(0.85, 1.2, 0.3).moved(side * 1.05, 1.05, low), matte(mix(style.prop, style.wall, 0.5))
        )
    if style.has("disc"):
        stage.add(
            g.cylinder(0.72, 0.06, 0.01).turned("x", 90).moved(rng.uniform(-0.12, 0.12), 1.0, 0.62),
            matte(style.prop),
        )
    if style.has("spheres"):
        for k, (x, y, r) in enumerate([(0.86, 0.15, 0.17), (-0.92, 0.35, 0.25), (0.62, 0.7, 0.12)]):
            stage.add(
                g.sphere(r).moved(side * x, y, low + r), plastic(style.accent if k != 1 else style.prop, 0.25)
            )
    if style.has("columns"):
        for x, y, h in ((0.8, 0.55, 0.8), (1.12, 0.75, 1.25), (-0.95, 0.7, 0.55)):
            stage.add(g.cylinder(0.16, h, 0.015).moved(side * x, y, low), matte(style.prop))
        stage.add(g.sphere(0.13).moved(-side * 0.95, 0.7, low + 0.68), plastic(style.accent, 0.2))
    if style.has("blocks"):
        for x, y, s, h in ((0.85, 0.5, 0.4, 0.55), (1.15, 0.75, 0.4, 1.0), (-0.9, 0.6, 0.45, 0.35)):
            stage.add(g.rounded_box(s, s, h, 0.02).turned("z", 12).moved(side * x, y, low), matte(style.prop))
    if style.has("curtain"):
        add_curtain(stage, -side * 1.0, 1.35, 1.1, 4.0, mix(style.wall, style.prop, 0.5), 7, low)
    if style.has("leaves"):
        add_leaves(stage, rng, -side * 0.95, 0.6, low, 0.9, style.accent, 8)
    if style.has("petals"):
        petal = g.leaf(0.13, 0.11, 0.5).turned("x", 80).moved(z=0.02)
        add_scatter(stage, rng, petal, matte(style.accent), 22, (-1.1, 1.1, -0.5, 0.8), 0.66, low, 10)
    add_key_light(stage, style, 9.5)
    stage.sky = (0.5, 0.5, 0.5)


CATEGORY = Category("perfume", BRANDS, sample_style, build_product, dress, Framing((0.44, 0.56), (6, 10)))
