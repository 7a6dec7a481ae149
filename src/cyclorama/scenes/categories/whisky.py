"""Whisky: a dark bar, a warm wooden counter, amber lights out of focus, tumblers, ice and barrels."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_barrel, add_glass_bottle, add_key_light
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import GOLD, Style, Surface, hsv, light, matte, metal, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A spirit bottle, round or square, with amber contents, a paper label and a stopper."""
    hue = float(rng.uniform(18, 40))
    amber = hsv(hue, float(rng.uniform(0.75, 0.9)), float(rng.uniform(0.45, 0.72)))
    dark = rng.random() < 0.2
    if dark:
        amber = hsv(float(rng.choice([120.0, 25, 210])), 0.5, 0.16)
    body = textures.gradient(shade(amber, 0.7), shade(amber, 1.15), 128)
    paper = [
        (0.94, 0.89, 0.78),
        (0.1, 0.09, 0.09),
        (0.97, 0.96, 0.93),
        hsv(float(rng.choice([0.0, 140, 215])), 0.65, 0.35),
    ][int(rng.integers(4))]
    ink = (0.12, 0.09, 0.07) if sum(paper) > 1.5 else GOLD
    accent = [(0.6, 0.12, 0.1), GOLD, (0.1, 0.2, 0.35)][int(rng.integers(3))]
    cap = [
        plastic((0.08, 0.07, 0.07), 0.2),
        plastic((0.45, 0.1, 0.08), 0.25),
        metal(GOLD, 0.25),
        matte((0.62, 0.45, 0.28)),
    ][int(rng.integers(4))]
    parts: list[Part] = []
    h = float(rng.uniform(0.55, 0.68))
    if rng.random() < 0.38:
        w = float(rng.uniform(0.3, 0.4))
        skin = textures.label(rng, body, paper, ink, accent, (0.1, 0.3, 0.9, 0.86))
        parts.append(Part(g.rounded_box(w, w * 0.8, h, 0.05), plastic(skin, 0.05)))
        p = g.smooth_profile(
            [(w * 0.36, h - 0.012), (w * 0.3, h + 0.03), (0.055, h + 0.06), (0.055, h + 0.2)]
        )
    else:
        r = float(rng.uniform(0.15, 0.2))
        skin = textures.label(rng, body, paper, ink, accent, (0.3, 0.28, 0.7, 0.85))
        parts.append(
            Part(
                g.lathe([(0, 0), (r * 0.94, 0), (r, 0.025), (r, h), (r * 0.99, h + 0.01)]),
                plastic(skin, 0.05),
            )
        )
        s = float(rng.uniform(0.06, 0.16))
        p = g.smooth_profile([(r, h), (r * 0.98, h + s * 0.5), (0.06, h + s), (0.055, h + s + 0.16)])
    top = p[-1][1]
    parts.append(Part(g.lathe(p), plastic(shade(amber, 1.05), 0.05)))
    parts.append(Part(g.cylinder(0.068, 0.12, 0.01).moved(z=top - 0.03), cap))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Dark browns, teals or reds behind a warm counter."""
    h = float(rng.choice([14.0, 22, 28, 34]) + rng.uniform(-4, 4))
    return Style(
        hsv(h, rng.uniform(0.4, 0.65), rng.uniform(0.12, 0.22)),
        hsv(h - 2, rng.uniform(0.5, 0.68), rng.uniform(0.32, 0.5)),
        hsv(h, 0.6, 0.4),
        hsv(h + 8, 0.75, 1.0),
        (
            *pick(rng, ("tumblers", "ice", "barrel", "bottles", "shelf"), int(rng.integers(2, 4))),
            str(rng.choice(["bokeh", "brick"])),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.9, 0.9])),
        0.6,
        0.75,
        0.22,
    )


BRANDS = (
    Style(
        hsv(22, 0.6, 0.16),
        hsv(20, 0.62, 0.42),
        hsv(24, 0.6, 0.4),
        hsv(34, 0.8, 1.0),
        ("bokeh", "tumblers", "ice"),
        0,
        -0.9,
        0.6,
        0.75,
        0.2,
    ),
    Style(
        hsv(12, 0.5, 0.3),
        hsv(16, 0.6, 0.36),
        hsv(26, 0.55, 0.48),
        hsv(26, 0.7, 1.0),
        ("brick", "barrel"),
        1,
        0.9,
        0.7,
        0.85,
        0.25,
    ),
    Style(
        hsv(190, 0.55, 0.14),
        hsv(26, 0.45, 0.26),
        hsv(185, 0.5, 0.25),
        hsv(42, 0.7, 1.0),
        ("shelf", "bottles", "tumblers"),
        0,
        -0.8,
        0.4,
        0.7,
        0.22,
    ),
)


def _tumbler(
    stage: Stage, x: float, y: float, size: float, drink: tuple[float, float, float], ice: bool
) -> None:
    r, h = size * 0.42, size * 0.9
    stage.add(
        g.lathe([(0, 0), (r * 0.92, 0), (r, h), (r * 0.94, h)], 24).moved(x, y), Surface((1, 1, 1), "glass")
    )
    stage.add(g.cylinder(r * 0.86, h * 0.5, 0.01, 24).moved(x, y, h * 0.06), plastic(drink, 0.04))
    if ice:
        stage.add(
            g.rounded_box(r * 0.8, r * 0.8, r * 0.75, r * 0.12).turned("z", 25).moved(x, y, h * 0.45),
            plastic((0.9, 0.87, 0.8), 0.05),
        )


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Counter, dim wall or blurred bar behind, glasses at the sides."""
    far = 1.9
    stage.add(
        g.floor(9, -4, 1.0),
        plastic(textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy(), 0.18, (3.0, 1.6)),
    )
    stage.add(g.quad(9, 1.2).moved(y=1.0, z=-1.2), matte(shade(style.floor, 0.5)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("brick"):
        skin = textures.tiles(rng, style.wall, shade(style.wall, 0.55), 5, 12, True)
        stage.add(g.quad(7, 5).moved(y=far, z=-1.2), matte(skin, (2.0, 2.0)))
        for x in (-0.95, 0.85):
            stage.add(
                g.sphere(0.075, 14).moved(x + float(rng.uniform(-0.1, 0.1)), far - 0.4, 1.22),
                Surface(style.accent, glow=9.0),
            )
            stage.add(g.cylinder(0.012, 2.0, segments=8).moved(x, far - 0.4, 1.35), matte((0.05, 0.05, 0.05)))
    elif style.has("shelf"):
        stage.add(g.quad(9, 6).moved(y=far, z=-1.5), matte(textures.plaster(rng, style.wall)))
        for z in (0.42, 1.02):
            stage.add(
                g.rounded_box(5, 0.3, 0.04, 0.01).moved(0, far - 0.2, z),
                plastic(shade(style.floor, 1.1), 0.3),
            )
            stage.add(
                g.rounded_box(5, 0.02, 0.02, 0.005).moved(0, far - 0.33, z - 0.022), light(style.accent, 5.0)
            )
            for k in range(9):
                x = -2 + 0.5 * k + float(rng.uniform(-0.1, 0.1))
                c = hsv(float(rng.choice([20.0, 30, 40, 130, 190])), 0.7, float(rng.uniform(0.2, 0.6)))
                add_glass_bottle(stage, x, far - 0.18, 0.04 + float(rng.uniform(0.38, 0.5)), c)
                stage.parts[-1] = type(stage.parts[-1])(
                    stage.parts[-1].mesh.moved(z=z + 0.04), stage.parts[-1].surface
                )
    else:
        glow = textures.bokeh(
            rng,
            shade(style.wall, 0.8),
            [style.accent, shade(style.accent, 0.7), mix(style.accent, (1, 1, 1), 0.4)],
            80,
            0.036,
        )
        stage.add(g.quad(6.4, 4.8).moved(y=far + 0.9, z=-1.6), light(glow, 1.0))
    if style.has("bottles"):
        for x, y in ((0.9, 0.72), (1.22, 0.6)):
            add_glass_bottle(stage, side * x, y, 0.95, hsv(25, 0.7, 0.16))
    if style.has("barrel"):
        add_barrel(stage, rng, side * 1.02, 0.62, 0.85, style.prop)
        add_barrel(stage, rng, -side * 1.3, 0.85, 0.7, shade(style.prop, 0.85))
    drink = hsv(30, 0.85, 0.7)
    if style.has("tumblers"):
        _tumbler(stage, -side * 0.66, 0.12, 0.36, drink, style.has("ice") or rng.random() < 0.4)
        if rng.random() < 0.6:
            _tumbler(stage, -side * 0.98, 0.4, 0.36, drink, True)
    if style.has("ice"):
        for x, y, a in ((0.62, 0.1, 10.0), (0.8, 0.3, 50), (0.58, 0.42, 30)):
            stage.add(
                g.rounded_box(0.15, 0.15, 0.15, 0.03).turned("z", a).moved(side * x, y),
                plastic((0.88, 0.85, 0.78), 0.04),
            )
    add_key_light(stage, style, 15.0, 2.0)
    stage.exposure = 1.7


CATEGORY = Category("whisky", BRANDS, sample_style, build_product, dress, Framing((0.5, 0.64), (5, 9)))
