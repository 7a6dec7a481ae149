"""Laptop: a dark glossy desk, neon bars, rings or frames behind, and the screen's own glow."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style, hsv, light, metal, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """An open laptop with keyboard, touch pad and a shining screen."""
    w, d = float(rng.uniform(1.0, 1.2)), float(rng.uniform(0.68, 0.8))
    t, lean = float(rng.uniform(0.03, 0.05)), float(rng.uniform(12, 24))
    case = [
        (0.72, 0.73, 0.75),
        (0.24, 0.25, 0.27),
        (0.86, 0.84, 0.82),
        hsv(215, 0.35, 0.4),
        (0.85, 0.72, 0.68),
    ][int(rng.integers(5))]
    shell = metal(case, 0.32) if rng.random() < 0.6 else plastic(case, 0.3)
    parts = [Part(g.rounded_box(w, d, t, 0.015), shell)]
    keys = (0.08, 0.08, 0.09) if sum(case) > 1.0 or rng.random() < 0.5 else (0.8, 0.8, 0.82)
    cap = shade(keys, 2.2) if sum(keys) < 1 else shade(keys, 0.7)
    deck = textures.tiles(rng, keys, cap, 13, 5, False, 128)
    parts.append(Part(g.floor(w * 0.84, -0.02, d * 0.34).moved(0, 0.02, t + 0.001), plastic(deck, 0.4)))
    parts.append(
        Part(g.floor(w * 0.28, -d * 0.4, -d * 0.1).moved(0, 0, t + 0.001), plastic(shade(case, 0.85), 0.25))
    )
    h = d * float(rng.uniform(0.9, 0.98))
    lid = g.rounded_box(w, 0.025, h, 0.011)
    glow = g.quad(w * 0.93, h * 0.89).moved(0, -0.0135, h * 0.06)
    picture = textures.screen(rng, float(rng.uniform(0, 360)))
    rim = plastic((0.04, 0.04, 0.045), 0.25)
    for mesh, surface in (
        (lid, shell),
        (g.quad(w * 0.98, h * 0.97).moved(0, -0.0128, h * 0.015), rim),
        (glow, light(picture, float(rng.uniform(0.9, 1.3)))),
    ):
        parts.append(Part(mesh.turned("x", -lean).moved(0, d / 2 - 0.01, t * 0.9), surface))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """One neon hue (with a neighbour) in the dark."""
    h = float(rng.choice([195.0, 215, 265, 290, 315, 340, 155, 20]) + rng.uniform(-8, 8))
    return Style(
        hsv(h, 0.7, rng.uniform(0.12, 0.2)),
        hsv(h, 0.5, rng.uniform(0.08, 0.14)),
        hsv(h + rng.uniform(-25, 25), 0.75, 1.0),
        hsv(h + float(rng.choice([-60, 40, 60])), 0.75, 1.0),
        (
            str(rng.choice(["bars", "slanted", "ring", "frame", "triangle"])),
            *pick(rng, ("speakers", "cubes", "strip", "panels"), int(rng.integers(1, 3))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        -0.3,
        0.42,
        0.16,
    )


BRANDS = (
    Style(
        hsv(200, 0.75, 0.16),
        hsv(205, 0.5, 0.1),
        hsv(190, 0.75, 1.0),
        hsv(220, 0.8, 1.0),
        ("bars", "strip"),
        0,
        -0.8,
        -0.4,
        0.42,
        0.16,
    ),
    Style(
        hsv(310, 0.7, 0.17),
        hsv(300, 0.5, 0.1),
        hsv(318, 0.75, 1.0),
        hsv(275, 0.75, 1.0),
        ("ring", "cubes"),
        1,
        0.8,
        -0.1,
        0.42,
        0.16,
    ),
    Style(
        hsv(16, 0.75, 0.15),
        hsv(10, 0.5, 0.09),
        hsv(18, 0.85, 1.0),
        hsv(42, 0.85, 1.0),
        ("triangle", "speakers", "panels"),
        0,
        -0.8,
        0.3,
        0.42,
        0.15,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Desk, dark wall, neon by style."""
    far = 1.6
    stage.add(g.floor(9, -4, far), plastic(style.floor, 0.06))
    if style.has("panels"):
        skin = textures.tiles(rng, style.wall, shade(style.wall, 0.45), 5, 4, False, 128)
        stage.add(g.quad(8, 5).moved(y=far, z=-0.4), plastic(skin, 0.3, (2.0, 1.5)))
    else:
        stage.add(g.quad(8, 5).moved(y=far, z=-0.4), plastic(style.wall, 0.35))
    neon, second = light(style.prop, 4.5), light(style.accent, 4.5)
    y, r = far - 0.18, 0.022
    if style.has("bars"):
        for k in range(7):
            x = -1.5 + 0.5 * k + float(rng.uniform(-0.04, 0.04))
            stage.add(g.tube([(x, y, -0.1), (x, y, 3)], r, 8), neon if k % 3 else second)
    if style.has("slanted"):
        for k in range(6):
            x = -1.7 + 0.62 * k + float(rng.uniform(-0.05, 0.05))
            stage.add(g.tube([(x, y, 0.0), (x + 0.7, y, 2.6)], r, 8), neon if k % 2 else second)
    if style.has("ring"):
        stage.add(g.ring(0.78, r * 1.15).moved(float(rng.uniform(-0.06, 0.06)), y, 0.72), neon)
        stage.add(g.ring(0.98, r * 0.7).moved(0, y + 0.08, 0.72), second)
    if style.has("frame"):
        for w, z, s in ((0.95, 1.25, neon), (1.3, 1.5, second)):
            stage.add(g.tube([(-w, y, 0.0), (-w, y, z)], r, 8), s)
            stage.add(g.tube([(w, y, 0.0), (w, y, z)], r, 8), s)
            stage.add(g.tube([(-w, y, z), (w, y, z)], r, 8), s)
    if style.has("triangle"):
        for w, h, s in ((1.0, 1.45, neon), (1.4, 1.85, second)):
            stage.add(g.tube([(-w, y, 0.05), (0, y, h)], r, 8), s)
            stage.add(g.tube([(0, y, h), (w, y, 0.05)], r, 8), s)
    if style.has("strip"):
        stage.add(g.tube([(-3, far - 0.05, 0.03), (3, far - 0.05, 0.03)], 0.02, 8), neon)
    if style.has("speakers"):
        for side in (-1.0, 1.0):
            stage.add(
                g.rounded_box(0.26, 0.26, 0.5, 0.02).turned("z", -side * 12).moved(side * 1.0, 0.6),
                plastic((0.05, 0.05, 0.055), 0.25),
            )
            for z, q in ((0.16, 0.095), (0.36, 0.055)):
                m = (
                    g.cylinder(q, 0.01)
                    .turned("x", 90)
                    .moved(0, -0.13, z)
                    .turned("z", -side * 12)
                    .moved(side * 1.0, 0.6)
                )
                stage.add(m, metal(style.prop, 0.3))
    if style.has("cubes"):
        for x, yy, q in ((0.98, 0.5, 0.22), (1.2, 0.75, 0.32), (-1.02, 0.6, 0.26)):
            stage.add(g.rounded_box(q, q, q, 0.015).turned("z", 25).moved(x, yy), plastic(style.accent, 0.12))
    add_key_light(stage, style, 9.0, 2.4)
    stage.sky = (0.05, 0.05, 0.055)
    stage.exposure = 1.2


CATEGORY = Category(
    "laptop", BRANDS, sample_style, build_product, dress, Framing((0.46, 0.6), (12, 18), (-24, 24))
)
