"""Coffee: a brown table strewn with beans, a mug, a sack, and window light on a warm wall."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_key_light, add_leaves, add_mug, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
    Colour,
    Style,
    hsv,
    matte,
    metal,
    mix,
    plastic,
    shade,
)


def build_product(rng: np.random.Generator) -> list[Part]:
    """A flat-bottom bag with a folded top, or a tin."""
    tone = int(rng.integers(5))
    body: Colour = [
        (0.12, 0.1, 0.09),
        (0.72, 0.55, 0.38),
        (0.95, 0.93, 0.88),
        hsv(float(rng.uniform(0, 360)), 0.55, 0.55),
        (0.32, 0.18, 0.12),
    ][tone]
    paper = [(0.96, 0.93, 0.86), hsv(float(rng.uniform(0, 360)), 0.5, 0.75), (0.15, 0.11, 0.09)][
        int(rng.integers(3))
    ]
    ink = (0.14, 0.1, 0.08) if sum(paper) > 1.5 else (0.96, 0.92, 0.84)
    accent = hsv(float(rng.choice([8.0, 25, 40, 150, 200, 350])), 0.65, 0.7)
    if rng.random() < 0.3:
        r, h = float(rng.uniform(0.26, 0.32)), float(rng.uniform(0.7, 0.85))
        skin = textures.label(rng, body, paper, ink, accent, (0.28, 0.22, 0.72, 0.82))
        lid = metal([GOLD, (0.85, 0.85, 0.87), COPPER][int(rng.integers(3))], 0.25)
        return [
            Part(g.cylinder(r, h, 0.015), plastic(skin, 0.2)),
            Part(g.cylinder(r * 1.02, 0.1, 0.02).moved(z=h - 0.02), lid),
        ]
    w, d, h = float(rng.uniform(0.29, 0.35)), float(rng.uniform(0.14, 0.19)), float(rng.uniform(0.82, 0.95))
    skin = textures.label(rng, body, paper, ink, accent, (0.36, 0.3, 0.64, 0.8))
    a = np.linspace(0, 2 * np.pi, 49) + np.pi / 2
    rows = []
    for t in np.linspace(0, 1, 16):
        depth = d * (1 - 0.95 * max(t - 0.15, 0) ** 1.5 / 0.78) if t < 0.9 else 0.012
        square = 0.35 + 0.3 * t
        c, s = np.cos(a), np.sin(a)
        x = w * np.sign(c) * np.abs(c) ** square * (1 - 0.03 * np.sin(np.pi * t))
        y = max(depth, 0.012) * np.sign(s) * np.abs(s) ** 0.6
        rows.append(np.stack([x, y, np.full_like(a, t * h)], -1))
    parts = [Part(g.grid_surface(np.stack(rows)), plastic(skin, float(rng.uniform(0.2, 0.4))))]
    parts.append(
        Part(
            g.rounded_box(w * 2.02, 0.045, 0.055, 0.015).moved(z=h - 0.06),
            plastic(shade(body, 0.75) if sum(body) > 0.6 else accent, 0.3),
        )
    )
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Warm walls from cream to chocolate."""
    h = float(rng.uniform(18, 36))
    return Style(
        hsv(h, rng.uniform(0.3, 0.5), rng.uniform(0.55, 0.88)),
        hsv(h - 4, rng.uniform(0.5, 0.65), rng.uniform(0.26, 0.45)),
        hsv(h, rng.uniform(0.05, 0.5), rng.uniform(0.5, 0.95)),
        hsv(rng.uniform(100, 125), 0.5, 0.42),
        (
            str(rng.choice(["panes", "blind", "plain"])),
            *pick(rng, ("mug", "sack", "bowl", "leaves", "jar"), 2),
            "beans",
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.9, 0.9])),
        float(rng.uniform(0.4, 0.7)),
        fill=0.7,
    )


BRANDS = (
    Style(
        hsv(28, 0.42, 0.8),
        hsv(22, 0.62, 0.34),
        hsv(30, 0.06, 0.96),
        hsv(24, 0.6, 0.45),
        ("panes", "mug", "beans"),
        0,
        -0.9,
        0.6,
        fill=0.7,
    ),
    Style(
        hsv(18, 0.55, 0.36),
        hsv(16, 0.6, 0.24),
        hsv(36, 0.42, 0.72),
        hsv(20, 0.6, 0.4),
        ("plain", "sack", "beans"),
        1,
        0.9,
        0.5,
        fill=0.6,
    ),
    Style(
        hsv(36, 0.24, 0.92),
        hsv(26, 0.45, 0.5),
        hsv(160, 0.3, 0.5),
        hsv(110, 0.5, 0.42),
        ("blind", "leaves", "mug", "beans"),
        0,
        0.8,
        0.45,
        fill=0.8,
    ),
)


def bean(size: float) -> g.Mesh:
    """A coffee bean lying on z = 0, its crease upwards."""
    m = g.sphere(size, 14)
    v = m.vertices.copy()
    dent = 0.55 * size * np.exp(-((v[:, 1] / (0.22 * size)) ** 2)) * (v[:, 2] > 0)
    v[:, 2] -= dent.astype(np.float32)
    v *= np.array([1.35, 0.95, 0.7], np.float32)
    return g.Mesh(v, m.faces, m.normals, m.uv).moved(z=0.7 * size)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Table, wall with window light, beans everywhere, the rest by style."""
    far = 1.5
    stage.add(
        g.floor(9, -4, far),
        plastic(textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy(), 0.28, (3.0, 1.5)),
    )
    bright = mix(style.wall, (1.0, 0.95, 0.84), 0.75)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("panes"):
        skin = textures.window_light(rng, style.wall, bright, side)
    elif style.has("blind"):
        skin = textures.window_light(rng, style.wall, bright, side, 7)
    else:
        skin = textures.halo(
            mix(style.wall, (1, 0.9, 0.75), 0.4), shade(style.wall, 0.7), 0.5 + 0.1 * side, 0.6, 0.2
        )
    stage.add(g.quad(5, 5).moved(y=far, z=-1.2), matte(skin))
    if style.has("mug"):
        add_mug(stage, -side * 0.76, 0.3, 0.4, style.prop, hsv(22, 0.75, 0.22), 90 + side * 70)
        stage.add(g.cylinder(0.3, 0.03, 0.012).moved(-side * 0.76, 0.3), plastic(style.prop, 0.12))
    if style.has("sack"):
        p = g.smooth_profile(
            [(0, 0), (0.36, 0), (0.42, 0.3), (0.36, 0.62), (0.40, 0.72), (0.37, 0.74), (0.3, 0.62)]
        )
        stage.add(
            g.lathe(p).moved(side * 0.98, 0.62),
            matte(textures.checks(style.prop, shade(style.prop, 0.82), 40)),
        )
        heap = [
            bean(0.05)
            .turned("z", float(rng.uniform(0, 360)))
            .moved(
                float(side * 0.98 + r * np.cos(t)),
                float(0.62 + r * np.sin(t)),
                float(0.62 + 0.1 * (1 - r / 0.3)),
            )
            for r, t in zip(0.3 * np.sqrt(rng.random(70)), rng.uniform(0, 6.3, 70), strict=True)
        ]
        stage.add(g.merge_meshes(heap), plastic(hsv(20, 0.65, 0.26), 0.25))
    if style.has("bowl"):
        add_bowl(stage, side * 0.86, 0.42, 0.28, style.prop, hsv(20, 0.65, 0.24))
    if style.has("jar"):
        stage.add(g.cylinder(0.2, 0.5, 0.03).moved(side * 0.84, 0.55), plastic(hsv(20, 0.6, 0.24), 0.05))
        stage.add(g.cylinder(0.21, 0.09, 0.02).moved(side * 0.84, 0.55, 0.5), metal(COPPER, 0.25))
    if style.has("leaves"):
        add_leaves(stage, rng, side * 0.98, 0.8, 0.0, 1.0, style.accent, 9, -side * 10)
    brown = hsv(20, 0.66, 0.28)
    add_scatter(stage, rng, bean(0.042), plastic(brown, 0.22), 70, (-1.1, 1.1, -0.75, 0.55), 0.48, 0.0, 25)
    cx = side * 0.55
    heap = [
        bean(0.045)
        .turned("x", float(rng.uniform(-40, 40)))
        .turned("z", float(rng.uniform(0, 360)))
        .moved(
            float(cx + r * np.cos(t)), float(0.4 + r * np.sin(t) * 0.7), float(0.1 * max(0.0, 1 - r / 0.34))
        )
        for r, t in zip(0.34 * np.sqrt(rng.random(80)), rng.uniform(0, 6.3, 80), strict=True)
    ]
    stage.add(g.merge_meshes(heap), plastic(brown, 0.22))
    add_key_light(stage, style, 15.0, 2.2)
    stage.exposure = 1.2


CATEGORY = Category("coffee", BRANDS, sample_style, build_product, dress, Framing((0.46, 0.58), (8, 13)))
