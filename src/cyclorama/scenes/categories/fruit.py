"""Fruit: gingham cloth or a market crate, leaves and a light wall behind."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_key_light, add_leaves, build_fruit
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style, hsv, jitter, matte, mix, plastic, shade

KINDS = ("apple", "orange", "lemon", "pear", "banana", "tomato", "plum", "peach", "lime")


_SPOTS: dict[int, list[tuple[float, float, float]]] = {
    1: [(0, 0, 0)],
    2: [(-1.0, 0, 0), (1.0, 0.25, 0)],
    3: [(-1.0, 0, 0), (1.0, 0.1, 0), (0.05, 1.3, 0)],
    4: [(-1.02, 0, 0), (1.02, 0.1, 0), (0.0, 1.4, 0), (0.0, 0.55, 1.45)],
}
"""Where the fruits of a group stand, by their number, in units of their radius."""


def _one(rng: np.random.Generator, kind: str, colour_seed: int) -> list[Part]:
    mesh, colour, stem = build_fruit(kind)
    own = np.random.default_rng(colour_seed)
    if kind == "apple":
        colour = [colour, hsv(80, 0.62, 0.7), hsv(48, 0.6, 0.85)][int(own.integers(3))]
    colour = jitter(colour, own)
    n = textures.plaster(own, colour, 0.09, 64)
    low = shade(colour, 0.9)
    skin = np.asarray(0.75 * n + 0.25 * textures.gradient(low, shade(colour, 1.08), 64), np.uint8)
    tilt = float(rng.uniform(-7, 7))
    parts = [Part(mesh, plastic(skin, 0.2 if kind != "peach" else 0.5))]
    if stem is not None:
        top = float(mesh.vertices[:, 2].max())
        parts.append(
            Part(g.tube([(0, 0, top * 0.86), (0.03, 0, top), (0.12, 0, top + 0.25)], 0.06, 8), matte(stem))
        )
        if rng.random() < 0.4:
            parts.append(
                Part(
                    g.leaf(0.75, 0.4, 0.4).turned("y", 65).moved(0.08, 0, top + 0.1),
                    plastic(hsv(105, 0.6, 0.45), 0.35),
                )
            )
    return [Part(p.mesh.turned("y", tilt), p.surface) for p in parts]


def _bananas(rng: np.random.Generator) -> list[Part]:
    parts = []
    count = int(rng.integers(1, 4))
    yellow = hsv(float(rng.uniform(46, 56)), 0.78, 0.95)
    skin = textures.gradient(shade(yellow, 0.93), yellow, 64)
    for k in range(count):
        t = np.linspace(-1.15, 1.15, 16)
        path = [(float(1.5 * np.sin(a)), 0.0, float(1.5 - 1.5 * np.cos(a))) for a in t]
        r = 0.27 * np.clip(np.cos(t / 1.15 * 1.42), 0.05, 1) ** 0.45
        r[0], r[-1] = 0.05, 0.07
        m = g.tube(path, [float(v) for v in r], 10).moved(z=0.27)
        parts.append(Part(m.turned("x", -12.0 + 14 * k).moved(0.06 * k, 0.3 * k, 0), plastic(skin, 0.3)))
        tip = g.tube([path[-1], (path[-1][0] + 0.1, 0.0, path[-1][2] + 0.26)], [0.09, 0.075], 8).moved(z=0.27)
        parts.append(
            Part(tip.turned("x", -12.0 + 14 * k).moved(0.06 * k, 0.3 * k, 0), matte(hsv(50, 0.6, 0.4)))
        )
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """One fruit, or a small group of the same kind."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "banana":
        return _bananas(rng)
    seed = int(rng.integers(2**31))
    count = int(rng.choice([1, 1, 2, 3, 4]))
    spots = _SPOTS[count]
    parts: list[Part] = []
    wide = 1.25 if kind == "lemon" else 1.0
    for k, (x, y, z) in enumerate(spots):
        for p in _one(rng, kind, seed + (k if kind != "lime" else 0)):
            parts.append(
                Part(
                    p.mesh.turned(
                        "z", float(rng.uniform(0, 360)) if kind != "lemon" else float(rng.uniform(-30, 30))
                    ).moved(x * wide, y, z),
                    p.surface,
                )
            )
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Light blue and white, green, straw."""
    h = float(rng.choice([205.0, 215, 120, 42, 355]))
    return Style(
        hsv(h, rng.uniform(0.05, 0.25), 0.96),
        hsv(h, rng.uniform(0.4, 0.65), rng.uniform(0.7, 0.9)),
        hsv(rng.uniform(26, 38), rng.uniform(0.35, 0.5), rng.uniform(0.65, 0.85)),
        hsv(rng.uniform(95, 120), 0.6, 0.5),
        (
            str(rng.choice(["gingham", "crate", "marble"])),
            *pick(rng, ("leaves", "basket", "slats", "bowl"), 2),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.05, 0.3)),
        1.1,
        1.15,
    )


BRANDS = (
    Style(
        hsv(212, 0.12, 0.97),
        hsv(214, 0.55, 0.82),
        hsv(32, 0.45, 0.78),
        hsv(108, 0.6, 0.5),
        ("gingham", "basket", "leaves"),
        0,
        -0.8,
        0.1,
        1.1,
        1.15,
    ),
    Style(
        hsv(110, 0.22, 0.78),
        hsv(30, 0.45, 0.68),
        hsv(30, 0.48, 0.74),
        hsv(110, 0.62, 0.42),
        ("crate", "leaves", "slats"),
        1,
        0.8,
        0.3,
        1.1,
        1.0,
    ),
    Style(
        hsv(42, 0.32, 0.97),
        hsv(40, 0.05, 0.95),
        hsv(4, 0.6, 0.85),
        hsv(100, 0.5, 0.5),
        ("marble", "bowl", "arch"),
        0,
        -0.7,
        0.2,
        1.1,
        1.2,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Surface by style, wall, then basket, crate or bowl behind the fruit."""
    far = 1.7
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("gingham"):
        top = matte(textures.checks((0.98, 0.98, 0.97), style.floor, 8), (6.0, 4.0))
    elif style.has("crate"):
        top = plastic(textures.wood(rng, style.prop, 5).swapaxes(0, 1).copy(), 0.4, (2.5, 1.5))
    else:
        top = plastic(
            textures.stone(rng, mix(style.floor, (1, 1, 1), 0.5), shade(style.floor, 0.6)), 0.12, (2.0, 1.5)
        )
    stage.add(g.floor(9, -4, far), top)
    if style.has("slats"):
        stage.add(
            g.quad(8, 5).moved(y=far, z=-0.5), plastic(textures.wood(rng, style.wall, 6), 0.5, (3.0, 1.0))
        )
    else:
        stage.add(
            g.quad(8, 5).moved(y=far, z=-0.5),
            matte(textures.halo(mix(style.wall, (1, 1, 1), 0.3), shade(style.wall, 0.92), 0.5, 0.7)),
        )
    if style.has("arch"):
        stage.add(g.arch(1.5, 1.6, 0.2).moved(0.25 * side, 1.3, 0), matte(style.prop))
    if style.has("crate"):
        skin = textures.wood(rng, shade(style.prop, 0.85), 1, 64)
        for k in range(3):
            stage.add(g.rounded_box(2.4, 0.05, 0.22, 0.01).moved(0, 1.1, 0.02 + 0.27 * k), plastic(skin, 0.5))
        for x in (-1.0, 1.0):
            stage.add(g.rounded_box(0.1, 0.08, 0.85, 0.01).moved(x, 1.05, 0), plastic(skin, 0.5))
    if style.has("basket"):
        weave = textures.tiles(rng, style.prop, shade(style.prop, 0.6), 12, 8, True, 128)
        p = [(0, 0), (0.36, 0), (0.48, 0.42), (0.5, 0.46), (0.46, 0.46), (0.4, 0.3)]
        stage.add(g.lathe(p).moved(side * 0.92, 0.75), matte(weave, (2.0, 1.0)))
        arcs = [
            (float(0.46 * np.cos(t)), 0.0, float(0.44 + 0.5 * np.sin(t))) for t in np.linspace(0, np.pi, 16)
        ]
        stage.add(g.tube(arcs, 0.028, 8).moved(side * 0.92, 0.75), matte(style.prop))
        add_leaves(stage, rng, side * 0.92, 0.75, 0.3, 0.5, style.accent, 8)
    if style.has("bowl"):
        add_bowl(
            stage,
            -side * 0.98,
            0.75,
            0.42,
            style.prop if not style.has("marble") else (0.97, 0.96, 0.94),
            style.accent,
        )
    if style.has("leaves"):
        add_leaves(stage, rng, -side * 0.9, 0.7, 0.0, 0.6, style.accent, 9)
        flat = g.leaf(0.26, 0.15, 0.3).turned("x", 82).moved(z=0.015)
        for x, y, a in ((0.74, -0.12, 40.0), (-0.8, 0.1, -70.0), (0.92, 0.22, 150.0)):
            stage.add(flat.turned("z", a).moved(side * x, y), plastic(style.accent, 0.35))
    add_key_light(stage, style, 11.0)


CATEGORY = Category(
    "fruit", BRANDS, sample_style, build_product, dress, Framing((0.46, 0.6), (13, 20), (-25, 25))
)
