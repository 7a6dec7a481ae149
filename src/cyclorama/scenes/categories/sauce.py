"""Sauce: a kitchen table with a board, a bowl, vegetables, herbs and a cloth before warm tiles."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_fruit, add_key_light, add_leaves, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import GOLD, Style, hsv, matte, metal, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A slim bottle, a jar or a squeeze bottle with a coloured sauce and a label."""
    sauce = [
        hsv(8, 0.9, 0.7),
        hsv(14, 0.85, 0.3),
        hsv(30, 0.85, 0.8),
        hsv(46, 0.85, 0.9),
        hsv(90, 0.6, 0.42),
        hsv(20, 0.6, 0.14),
        hsv(350, 0.7, 0.45),
        hsv(40, 0.2, 0.95),
    ][int(rng.integers(8))]
    paper = [(0.97, 0.95, 0.9), (0.95, 0.85, 0.4), (0.75, 0.12, 0.1), (0.12, 0.3, 0.18), (0.1, 0.1, 0.1)][
        int(rng.integers(5))
    ]
    ink = (0.15, 0.1, 0.08) if sum(paper) > 1.7 else (0.98, 0.94, 0.82)
    accent = [(0.8, 0.15, 0.1), (0.2, 0.45, 0.2), (0.95, 0.7, 0.15)][int(rng.integers(3))]
    cap = [
        plastic((0.78, 0.1, 0.08), 0.2),
        plastic((0.95, 0.93, 0.88), 0.2),
        plastic((0.12, 0.35, 0.18), 0.2),
        metal(GOLD, 0.3),
        plastic((0.1, 0.1, 0.1), 0.2),
    ][int(rng.integers(5))]
    body = textures.gradient(shade(sauce, 0.9), shade(sauce, 1.08), 64)
    kind = int(rng.integers(3))
    if kind == 0:
        r, h = float(rng.uniform(0.13, 0.17)), float(rng.uniform(0.5, 0.6))
        skin = textures.label(rng, body, paper, ink, accent, (0.24, 0.36, 0.76, 0.88))
        neck = g.smooth_profile([(r, h), (r * 0.95, h + 0.08), (0.055, h + 0.2), (0.05, h + 0.36)])
        return [
            Part(g.lathe([(0, 0), (r * 0.94, 0), (r, 0.02), (r, h)]), plastic(skin, 0.06)),
            Part(g.lathe(neck), plastic(sauce, 0.06)),
            Part(g.cylinder(0.065, 0.13, 0.01).moved(z=h + 0.28), cap),
        ]
    if kind == 1:
        r, h = float(rng.uniform(0.26, 0.32)), float(rng.uniform(0.56, 0.7))
        skin = textures.label(rng, body, paper, ink, accent, (0.26, 0.28, 0.74, 0.8))
        p = g.smooth_profile([(r * 0.9, 0), (r, 0.06), (r, h - 0.08), (r * 0.85, h), (r * 0.82, h + 0.03)])
        return [
            Part(g.lathe([(0, 0), *p]), plastic(skin, 0.06)),
            Part(g.cylinder(r * 0.9, 0.14, 0.015).moved(z=h + 0.02), cap),
        ]
    r, h = float(rng.uniform(0.18, 0.22)), float(rng.uniform(0.6, 0.7))
    skin = textures.label(rng, body, paper, ink, accent, (0.3, 0.34, 0.7, 0.84))
    p = g.smooth_profile([(r * 0.95, 0), (r, 0.05), (r * 0.86, h * 0.5), (r, h * 0.8), (r * 0.5, h)])
    return [
        Part(g.lathe([(0, 0), *p]), plastic(skin, 0.12)),
        Part(g.lathe([(0.1, h - 0.03), (0.1, h + 0.06), (0.03, h + 0.24), (0, h + 0.24)]), cap),
    ]


def sample_style(rng: np.random.Generator) -> Style:
    """Warm kitchens: cream, yellow, terracotta, olive."""
    h = float(rng.choice([16.0, 26, 38, 46, 60]) + rng.uniform(-4, 4))
    return Style(
        hsv(h, rng.uniform(0.15, 0.5), rng.uniform(0.8, 0.95)),
        hsv(rng.uniform(24, 34), rng.uniform(0.4, 0.6), rng.uniform(0.55, 0.8)),
        hsv(float(rng.choice([5.0, 30, 45, 100])), 0.6, 0.75),
        hsv(float(rng.choice([2.0, 10, 40, 120])), 0.75, 0.75),
        (
            str(rng.choice(["tiles", "bricks", "plain"])),
            *pick(rng, ("tomatoes", "bowl", "herbs", "peppers", "garlic", "cloth"), 3),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.25, 0.55)),
    )


BRANDS = (
    Style(
        hsv(10, 0.55, 0.78),
        hsv(28, 0.5, 0.72),
        hsv(8, 0.8, 0.75),
        hsv(6, 0.85, 0.8),
        ("plain", "tomatoes", "herbs", "bowl"),
        0,
        -0.8,
        0.4,
    ),
    Style(
        hsv(44, 0.3, 0.95),
        hsv(30, 0.35, 0.82),
        hsv(44, 0.75, 0.92),
        hsv(40, 0.8, 0.9),
        ("tiles", "cloth", "garlic", "bowl"),
        1,
        0.8,
        0.3,
    ),
    Style(
        hsv(75, 0.3, 0.66),
        hsv(22, 0.58, 0.45),
        hsv(100, 0.5, 0.5),
        hsv(112, 0.6, 0.45),
        ("bricks", "peppers", "herbs"),
        1,
        -0.7,
        0.35,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Table, wall, board or cloth under the product, food around it."""
    far = 1.55
    low = -0.06
    stage.add(
        g.floor(9, -4, far).moved(z=low),
        plastic(textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy(), 0.35, (3.0, 1.5)),
    )
    grout = mix(style.wall, (1, 1, 1), 0.6)
    if style.has("tiles"):
        stage.add(
            g.quad(7, 5).moved(y=far, z=-0.5),
            plastic(textures.tiles(rng, style.wall, grout, 6, 6), 0.15, (2.4, 1.8)),
        )
    elif style.has("bricks"):
        stage.add(
            g.quad(7, 5).moved(y=far, z=-0.5),
            plastic(textures.tiles(rng, style.wall, grout, 4, 9, True), 0.2, (2.4, 1.8)),
        )
    else:
        stage.add(
            g.quad(9, 6).moved(y=far, z=-0.5),
            matte(textures.halo(mix(style.wall, (1, 1, 1), 0.15), shade(style.wall, 0.82), 0.5, 0.75)),
        )
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.layout == 0:
        stage.add(
            g.cylinder(0.72, 0.06, 0.02).moved(z=low),
            plastic(textures.wood(rng, shade(style.floor, 1.2), 4, 128), 0.35),
        )
    else:
        stage.add(
            g.rounded_box(1.5, 0.85, 0.06, 0.025).turned("z", side * 6).moved(0.1 * side, 0.1, low),
            plastic(textures.wood(rng, shade(style.floor, 0.7), 3, 128), 0.35),
        )
    if style.has("cloth"):
        skin = textures.stripes([style.prop, (0.97, 0.95, 0.9)], 14)
        stage.add(
            g.floor(1.5, -0.75, 0.9).turned("z", side * 24).moved(side * 0.75, 0.1, low + 0.004), matte(skin)
        )
    if style.has("bowl"):
        add_bowl(stage, -side * 0.86, 0.45, 0.34, mix(style.prop, (1, 1, 1), 0.7), style.accent)
        stage.parts[-1], stage.parts[-2] = (
            type(p)(p.mesh.moved(z=low), p.surface) for p in (stage.parts[-1], stage.parts[-2])
        )
    if style.has("tomatoes"):
        for x, y, r in (
            (0.66, 0.12, 0.15),
            (0.92, 0.3, 0.17),
            (0.7, 0.48, 0.14),
            (1.15, 0.05, 0.15),
            (-0.62, -0.1, 0.09),
        ):
            add_fruit(stage, rng, "tomato", side * x, y, r, 0.0 if x < 0.6 else low)
    if style.has("garlic"):
        p = g.smooth_profile([(0, 0), (0.7, 0.02), (1, 0.5), (0.6, 1.1), (0.15, 1.4), (0.12, 1.9), (0, 1.9)])
        for x, y, size in ((0.72, 0.3, 0.14), (0.98, 0.42, 0.15), (0.95, 0.1, 0.12)):
            stage.add(g.lathe(p).scaled(size).moved(side * x, y, low), plastic((0.95, 0.91, 0.85), 0.4))
    if style.has("peppers"):
        for k, (x, y, a) in enumerate(((0.72, 0.12, 20.0), (0.85, 0.3, -15), (0.95, 0.0, 40))):
            t = np.linspace(0, 1, 9)
            path = [(float(s * 0.46 - 0.23), float(0.1 * s * s), 0.05) for s in t]
            m = g.tube(path, [float(v) for v in 0.055 * np.sqrt(np.clip(1.02 - t, 0, 1))])
            stage.add(
                m.turned("z", a).moved(side * x, y, low),
                plastic(hsv(4 if k != 1 else 105, 0.88, 0.75 if k != 1 else 0.5), 0.12),
            )
    if style.has("herbs"):
        add_leaves(stage, rng, -side * 0.72, 0.55, low, 0.42, hsv(112, 0.6, 0.42), 9)
        add_leaves(stage, rng, -side * 1.05, 0.4, low, 0.36, hsv(105, 0.6, 0.46), 7)
    pepper = g.sphere(0.018, 10)
    add_scatter(
        stage, rng, pepper, plastic((0.2, 0.14, 0.1), 0.4), 30, (-1.1, 1.1, -0.55, 0.5), 0.62, low + 0.016
    )
    add_key_light(stage, style, 11.0)


CATEGORY = Category("sauce", BRANDS, sample_style, build_product, dress, Framing((0.46, 0.58), (8, 13)))
