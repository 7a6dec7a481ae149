"""Juice carton: a bright sky over grass, or a splash of colour, with cut citrus and whole fruit."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_citrus_slice, add_fruit, add_key_light, add_leaves
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style, hsv, light, matte, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A gable-top carton or a brick with a screw cap or straw."""
    hue = float(rng.choice([4.0, 28, 48, 85, 120, 200, 290, 340]))
    body = [(0.97, 0.97, 0.95), hsv(hue, 0.65, 0.92), hsv(hue, 0.85, 0.75), hsv(hue, 0.25, 0.97)][
        int(rng.integers(4))
    ]
    accent = hsv(hue + float(rng.choice([0, 30, 180])), 0.8, 0.85)
    ink = hsv(hue + 180, 0.7, 0.35) if sum(body) > 1.6 else (0.99, 0.99, 0.97)
    paper = body if rng.random() < 0.6 else mix(body, (1, 1, 1), 0.85)
    if sum(paper) > 2.0:
        ink = hsv(hue + 180, 0.7, 0.35)
    skin = textures.label(rng, body, paper, ink, accent, (0.04, 0.06, 0.96, 0.95))
    w = float(rng.uniform(0.36, 0.46))
    parts: list[Part] = []
    if rng.random() < 0.55:
        h, top = float(rng.uniform(0.66, 0.76)), float(rng.uniform(0.16, 0.22))
        parts.append(Part(g.rounded_box(w, w, h, 0.012), plastic(skin, 0.25)))
        k = w / 2 - 0.004
        front = np.array([[[-k, -k, h - 0.004], [k, -k, h - 0.004]], [[-k, 0, h + top], [k, 0, h + top]]])
        back = front[:, ::-1] * np.array([1, -1, 1])
        c = shade(body, 0.97)
        parts += [Part(g.grid_surface(front), plastic(c, 0.25)), Part(g.grid_surface(back), plastic(c, 0.25))]
        for s in (-1.0, 1.0):
            gable = np.array(
                [
                    [[s * k, -k, h - 0.004], [s * k, k, h - 0.004]],
                    [[s * (k - 0.05), 0, h + top], [s * (k - 0.05), 0.001, h + top]],
                ]
            )
            parts.append(Part(g.grid_surface(gable), plastic(shade(c, 0.92), 0.25)))
        parts.append(
            Part(g.rounded_box(w * 0.99, 0.02, 0.09, 0.006).moved(z=h + top - 0.01), plastic(c, 0.25))
        )
        if rng.random() < 0.7:
            m = (
                g.cylinder(0.075, 0.06, 0.01)
                .turned("x", float(np.rad2deg(np.arctan2(top, k))))
                .moved(0, -k * 0.55, h + top * 0.42)
            )
            parts.append(Part(m, plastic(accent, 0.2)))
    else:
        h = float(rng.uniform(0.72, 0.88))
        parts.append(Part(g.rounded_box(w, w * 0.68, h, 0.014), plastic(skin, 0.2)))
        if rng.random() < 0.6:
            parts.append(
                Part(g.cylinder(0.075, 0.09, 0.012).moved(w * 0.1, -0.03, h - 0.005), plastic(accent, 0.2))
            )
        else:
            x = w * 0.22
            parts.append(
                Part(
                    g.tube([(x, 0, h - 0.01), (x, 0, h + 0.16), (x + 0.09, 0, h + 0.23)], 0.017),
                    plastic(accent, 0.2),
                )
            )
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Outdoors, or a splash-coloured set."""
    where = str(rng.choice(["meadow", "sky", "splash"]))
    h = float(rng.choice([28.0, 46, 90, 195, 340])) if where == "splash" else float(rng.uniform(195, 212))
    return Style(
        hsv(h, rng.uniform(0.45, 0.7), 0.97),
        hsv(rng.uniform(85, 115), 0.6, 0.6) if where == "meadow" else hsv(h, 0.3, 0.96),
        hsv(float(rng.choice([28.0, 48, 85])), 0.85, 0.97),
        hsv(rng.uniform(90, 120), 0.62, 0.5),
        (
            where,
            str(rng.choice(["oranges", "lemons", "limes"])),
            *pick(rng, ("halves", "leaves", "apples", "ring"), 2),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.7, 0.7])),
        float(rng.uniform(0.1, 0.35)),
        1.15,
        1.2,
    )


BRANDS = (
    Style(
        hsv(205, 0.5, 1.0),
        hsv(96, 0.65, 0.58),
        hsv(28, 0.9, 0.98),
        hsv(105, 0.6, 0.5),
        ("meadow", "oranges", "halves"),
        0,
        -0.7,
        0.25,
        1.15,
        1.2,
    ),
    Style(
        hsv(46, 0.72, 0.99),
        hsv(46, 0.45, 0.98),
        hsv(50, 0.85, 0.97),
        hsv(100, 0.6, 0.5),
        ("splash", "lemons", "halves", "ring"),
        1,
        0.7,
        0.2,
        1.1,
        1.25,
    ),
    Style(
        hsv(198, 0.42, 1.0),
        hsv(200, 0.08, 0.98),
        hsv(85, 0.75, 0.65),
        hsv(100, 0.6, 0.48),
        ("sky", "limes", "leaves", "apples"),
        1,
        -0.6,
        0.1,
        1.15,
        1.25,
    ),
)

FRUIT = {"oranges": ("orange", 28.0, 0.9), "lemons": ("lemon", 50.0, 0.75), "limes": ("lime", 88.0, 0.6)}


def _grass(stage: Stage, rng: np.random.Generator, colour: tuple[float, float, float]) -> None:
    for tone, low, high, count in ((0.75, 0.3, 1.6, 900), (1.1, 0.25, 1.7, 800), (0.95, -0.9, 0.3, 420)):
        x = rng.uniform(-1.6, 1.6, count)
        y = rng.uniform(low, high, count)
        keep = ~((np.abs(x) < 0.5) & (y < 0.3))
        x, y = x[keep], y[keep]
        n = len(x)
        a, h, lean = rng.uniform(0, 3.14, n), rng.uniform(0.05, 0.13, n), rng.uniform(-0.05, 0.05, (n, 2))
        if low < 0:
            h *= 0.55
        w = 0.011
        p0 = np.stack([x - w * np.cos(a), y - w * np.sin(a), 0 * x - 0.02], 1)
        p1 = np.stack([x + w * np.cos(a), y + w * np.sin(a), 0 * x - 0.02], 1)
        p2 = np.stack([x + lean[:, 0], y + lean[:, 1], h], 1)
        v = np.concatenate([p0, p1, p2]).astype(np.float32)
        k = np.arange(n, dtype=np.int32)
        normal = np.tile(np.array([0, -0.35, 0.94], np.float32), (3 * n, 1))
        stage.add(
            g.Mesh(v, np.stack([k, k + n, k + 2 * n], 1), normal, np.zeros((3 * n, 2), np.float32)),
            matte(shade(colour, tone)),
        )


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Backdrop by place, then fruit at both sides."""
    far = 1.9
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("meadow"):
        back = textures.meadow(rng, style.wall, style.floor)
        stage.add(g.quad(6.4, 4.6).moved(y=far + 0.8, z=-1.75), light(back, 0.95))
        stage.add(g.floor(9, -4, far + 0.8).moved(z=-0.015), matte(shade(style.floor, 0.8)))
        _grass(stage, rng, style.floor)
    elif style.has("sky"):
        back = textures.sky(rng, style.wall, mix(style.wall, (1, 1, 1), 0.8), 0.95)
        stage.add(g.quad(6.4, 4.6).moved(y=far + 0.8, z=-1.6), light(back, 0.95))
        stage.add(
            g.floor(9, -4, 1.1),
            plastic(textures.wood(rng, style.floor, 5).swapaxes(0, 1).copy(), 0.35, (2.0, 1.5)),
        )
    else:
        stage.add(g.sweep(14, -5, far - 0.4, 6, 0.6), matte(style.wall))
        stage.add(g.cylinder(0.62, 0.001).moved(z=0.001), matte(mix(style.wall, (1, 1, 1), 0.25)))
    if style.has("ring"):
        stage.add(
            g.cylinder(0.68, 0.05, 0.01).turned("x", 90).moved(0.1 * side, 1.0, 0.62),
            matte(mix(style.wall, (1, 1, 1), 0.55)),
        )
    kind = next(k for k in FRUIT if style.has(k))
    name, hue, sat = FRUIT[kind]
    rind, flesh = hsv(hue, 0.88, 0.97), hsv(hue + 4, sat, 1.0)
    if kind == "limes":
        rind, flesh = hsv(88, 0.75, 0.6), hsv(76, 0.55, 0.88)
    for x, y, r in ((0.68, 0.42, 0.2), (1.02, 0.3, 0.21), (0.86, 0.75, 0.2), (-0.72, 0.5, 0.2)):
        add_fruit(stage, rng, name, side * x, y, r)
    if style.has("halves"):
        add_citrus_slice(stage, -side * 0.66, 0.08, 0.19, flesh, rind, 68, 0.0, side * 12)
        add_citrus_slice(stage, -side * 1.0, 0.3, 0.2, flesh, rind, 62, 0.0, side * 18)
        add_citrus_slice(stage, side * 0.74, 0.05, 0.14, flesh, rind, 25, 0.0)
    if style.has("apples"):
        add_fruit(stage, rng, "apple", -side * 0.74, 0.12, 0.17, colour=hsv(82, 0.65, 0.72))
        add_fruit(stage, rng, "apple", -side * 1.06, 0.32, 0.18, colour=hsv(78, 0.6, 0.76))
    if style.has("leaves"):
        add_leaves(stage, rng, side * 0.95, 0.9, 0.0, 0.7, style.accent, 9)
        add_leaves(stage, rng, -side * 1.0, 0.85, 0.0, 0.6, style.accent, 8)
    add_key_light(stage, style, 11.5)


CATEGORY = Category(
    "juice carton", BRANDS, sample_style, build_product, dress, Framing((0.48, 0.62), (6, 11), (-32, 32))
)
