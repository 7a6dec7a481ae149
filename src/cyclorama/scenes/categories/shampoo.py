"""Shampoo: a bright tiled bathroom, a wet floor that mirrors, leaves, pebbles, towels and bubbles."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_leaves, add_stones, add_towels
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style, Surface, hsv, metal, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A flip-top bottle, a pump bottle or a standing tube."""
    hue = float(rng.uniform(0, 360))
    tone = int(rng.integers(4))
    body = [(0.96, 0.96, 0.95), hsv(hue, 0.3, 0.92), hsv(hue, 0.65, 0.8), hsv(hue, 0.6, 0.42)][tone]
    cap_colour = [(0.97, 0.97, 0.96), shade(body, 0.6), hsv(hue + 180, 0.4, 0.75), (0.2, 0.2, 0.22)][
        int(rng.integers(4))
    ]
    ink = (0.16, 0.18, 0.2) if sum(body) > 1.5 else (0.97, 0.97, 0.95)
    paper = body if rng.random() < 0.5 else mix(body, (1, 1, 1), 0.8)
    if sum(paper) > 1.8:
        ink = hsv(hue, 0.6, 0.3)
    skin = textures.label(
        rng, body, paper, ink, hsv(hue + float(rng.choice([0, 40, 180])), 0.6, 0.75), (0.33, 0.3, 0.67, 0.85)
    )
    gloss = float(rng.uniform(0.08, 0.25))
    kind = int(rng.integers(3))
    w, h, flat = float(rng.uniform(0.19, 0.24)), float(rng.uniform(0.66, 0.8)), float(rng.uniform(0.55, 1.0))
    parts: list[Part] = []
    if kind == 2:
        s = np.linspace(0, 1, 14)
        a = np.linspace(0, 2 * np.pi, 37) + np.pi / 2
        rows = []
        for t in s:
            rx, ry = w * (0.86 + 0.3 * t), w * 0.8 * (1 - t) ** 0.6 + 0.008
            rows.append(np.stack([rx * np.cos(a), ry * np.sin(a), np.full_like(a, 0.16 + t * h)], -1))
        parts.append(Part(g.grid_surface(np.stack(rows)), plastic(skin, gloss)))
        parts.append(Part(g.cylinder(w * 0.8, 0.18, 0.02), plastic(cap_colour, 0.2)))
        return parts
    shoulder = float(rng.uniform(0.03, 0.16))
    p = g.smooth_profile([(w * 0.93, 0.0), (w, 0.04), (w, h - shoulder), (w * 0.85, h - 0.01), (0.09, h)], 2)
    mesh = g.lathe([(0.0, 0.0), *p, (0.0, h)]).scaled(1.15, flat, 1)
    parts.append(Part(mesh, plastic(skin, gloss)))
    if kind == 0:
        parts.append(
            Part(
                g.cylinder(0.1 + 0.05 * rng.random(), 0.14, 0.015)
                .scaled(1.1, max(flat, 0.7), 1)
                .moved(z=h - 0.005),
                plastic(cap_colour, 0.2),
            )
        )
    else:
        parts.append(Part(g.cylinder(0.085, 0.09, 0.01).moved(z=h - 0.005), plastic(cap_colour, 0.2)))
        parts.append(Part(g.cylinder(0.022, 0.12).moved(z=h + 0.08), plastic(cap_colour, 0.2)))
        parts.append(Part(g.rounded_box(0.12, 0.09, 0.05, 0.02).moved(z=h + 0.19), plastic(cap_colour, 0.2)))
        side = 1.0 if rng.random() < 0.5 else -1.0
        parts.append(
            Part(
                g.tube(
                    [(0, 0, h + 0.215), (side * 0.13, -0.02, h + 0.215), (side * 0.16, -0.03, h + 0.18)],
                    [0.022, 0.02, 0.018],
                ),
                plastic(cap_colour, 0.2),
            )
        )
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Bright cool or minty tiles."""
    h = float(rng.choice([95.0, 140, 165, 180, 195, 205, 218]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.06, 0.3), 0.95),
        hsv(h + 5, rng.uniform(0.1, 0.3), 0.88),
        hsv(h, rng.uniform(0.2, 0.4), 0.75),
        hsv(float(rng.uniform(85, 150)), 0.55, 0.5),
        (
            str(rng.choice(["squares", "bricks", "panels"])),
            *pick(rng, ("leaves", "stones", "towels", "bubbles", "window"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.7, 0.7])),
        float(rng.uniform(-0.25, 0.05)),
        fill=1.25,
    )


BRANDS = (
    Style(
        hsv(186, 0.32, 0.93),
        hsv(188, 0.35, 0.85),
        hsv(190, 0.4, 0.8),
        hsv(140, 0.5, 0.5),
        ("squares", "bubbles", "window"),
        0,
        -0.7,
        -0.2,
        fill=1.25,
    ),
    Style(
        hsv(100, 0.14, 0.94),
        hsv(105, 0.2, 0.84),
        hsv(60, 0.08, 0.62),
        hsv(110, 0.62, 0.46),
        ("bricks", "leaves", "stones"),
        1,
        0.7,
        0.0,
        fill=1.25,
    ),
    Style(
        hsv(215, 0.12, 0.97),
        hsv(216, 0.18, 0.9),
        hsv(216, 0.55, 0.7),
        hsv(130, 0.5, 0.5),
        ("panels", "towels", "stones"),
        0,
        -0.6,
        -0.1,
        fill=1.3,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Tiles behind, a mirror-like ledge below, the style's elements at the sides."""
    far = 1.25
    grout = mix(style.wall, (1, 1, 1), 0.6) if sum(style.wall) < 2.6 else shade(style.wall, 0.8)
    if style.has("bricks"):
        skin = textures.tiles(rng, style.wall, grout, 4, 10, True)
    elif style.has("squares"):
        skin = textures.tiles(rng, style.wall, grout, 7, 7)
    else:
        skin = textures.tiles(rng, style.wall, grout, 5, 2)
    stage.add(g.quad(6, 6).moved(y=far, z=-0.5), plastic(skin, 0.12, (2.0, 2.0)))
    ledge = -0.0
    if style.layout == 1:
        stage.add(
            g.rounded_box(1.0, 0.7, 0.12, 0.04).moved(z=-0.12), plastic(mix(style.prop, (1, 1, 1), 0.3), 0.3)
        )
        ledge = -0.12
    stage.add(g.floor(8, -4, far).moved(z=ledge), plastic(style.floor, 0.03))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("window"):
        stage.add(
            g.quad(0.95, 1.1).moved(side * 1.05, far - 0.02, 0.45), Surface((0.93, 0.97, 1.0), glow=2.6)
        )
        for x in (-0.5, 0.0, 0.5):
            stage.add(
                g.rounded_box(0.045, 0.06, 1.14, 0.01).moved(side * 1.05 + x * 0.97, far - 0.04, 0.43),
                plastic((0.97, 0.97, 0.97), 0.3),
            )
        stage.add(
            g.rounded_box(1.15, 0.2, 0.06, 0.015).moved(side * 1.05, far - 0.1, 0.39),
            plastic((0.97, 0.97, 0.97), 0.3),
        )
    if style.has("leaves"):
        add_leaves(stage, rng, -side * 0.95, 0.75, ledge, 1.15, style.accent, 9, side * 15)
        add_leaves(stage, rng, side * 1.15, 0.85, ledge, 0.8, shade(style.accent, 0.85), 7, -side * 15)
    if style.has("stones"):
        add_stones(stage, rng, side * 0.72, 0.35, 0.2, style.prop, 3)
        add_stones(stage, rng, side * 1.02, 0.15, 0.12, shade(style.prop, 1.1), 1)
    if style.has("towels"):
        add_towels(stage, -side * 0.85, 0.55, 0.5, (style.prop, mix(style.prop, (1, 1, 1), 0.75)))
    if style.has("bubbles"):
        for _ in range(26):
            r = float(rng.uniform(0.025, 0.11))
            x, y = float(rng.uniform(-1.1, 1.1)), float(rng.uniform(0.35, 0.95))
            high = rng.random() < 0.45
            z = ledge + r if not high else float(rng.uniform(0.2, 1.2))
            if high and abs(x) < 0.35:
                continue
            c = mix(style.floor, (1, 1, 1), float(rng.uniform(0.3, 0.8)))
            stage.add(g.sphere(r, 18).moved(x, y, z), plastic(c, 0.03))
    stage.add(
        g.lathe([(0.03, 0), (0.03, 3)]).moved(-side * 1.55, far - 0.12, 0), metal((0.85, 0.86, 0.88), 0.15)
    )
    add_key_light(stage, style, 10.5)


CATEGORY = Category("shampoo", BRANDS, sample_style, build_product, dress, Framing((0.5, 0.64), (6, 10)))
