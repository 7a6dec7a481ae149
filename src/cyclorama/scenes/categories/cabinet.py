"""Cabinet: a living room with floor boards, a window, a plant, a rug and framed pictures."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_curtain, add_frame, add_key_light, add_potted_plant
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import GOLD, Style, Surface, hsv, matte, metal, mix, plastic, shade


def build_product(rng: np.random.Generator) -> list[Part]:
    """A sideboard, chest or tall cabinet with doors, drawers or open shelves, on legs."""
    w = float(rng.uniform(0.55, 1.35))
    h = float(rng.uniform(0.5, 0.75)) if w > 0.95 else float(rng.uniform(0.7, 1.15))
    d = float(rng.uniform(0.32, 0.42))
    leg = float(rng.uniform(0.05, 0.2))
    tone = int(rng.integers(5))
    hue = float(rng.uniform(0, 360))
    colour = [
        hsv(28, 0.5, 0.66),
        hsv(22, 0.55, 0.36),
        (0.95, 0.95, 0.93),
        hsv(hue, 0.35, 0.6),
        hsv(36, 0.35, 0.82),
    ][tone]
    wooden = tone in (0, 1, 4)
    body = plastic(textures.wood(rng, colour, 1, 128), 0.3) if wooden else plastic(colour, 0.3)
    front_colour = colour if rng.random() < 0.5 else mix(colour, (1, 1, 1), 0.7)
    handle = [metal(GOLD, 0.25), metal((0.2, 0.2, 0.2), 0.35), plastic((0.15, 0.12, 0.1), 0.3)][
        int(rng.integers(3))
    ]
    t = 0.03
    parts = [
        Part(g.rounded_box(w, d, t, 0.006).moved(z=leg), body),
        Part(g.rounded_box(w + 0.02, d + 0.02, t, 0.006).moved(z=leg + h - t), body),
        Part(g.rounded_box(t, d, h, 0.006).moved(-w / 2 + t / 2, 0, leg), body),
        Part(g.rounded_box(t, d, h, 0.006).moved(w / 2 - t / 2, 0, leg), body),
        Part(
            g.rounded_box(w - t, 0.02, h - t, 0.004).moved(0, d / 2 - 0.02, leg + t / 2),
            plastic(shade(colour, 0.7), 0.4),
        ),
    ]
    columns = max(1, round(w / 0.42))
    cw = (w - t) / columns
    inner = h - 2 * t
    for c in range(columns):
        x = -w / 2 + t / 2 + cw * (c + 0.5)
        kind = int(rng.integers(4)) if columns > 1 else int(rng.integers(3))
        if kind <= 1:
            m = g.rounded_box(cw - 0.012, 0.025, inner - 0.008, 0.008).moved(
                x, -d / 2 - 0.004, leg + t + 0.004
            )
            skin = (
                plastic(textures.wood(rng, front_colour, 2, 128), 0.3)
                if wooden
                else plastic(front_colour, 0.3)
            )
            parts.append(Part(m, skin))
            s = cw * 0.36 * (1 if c % 2 == 0 else -1)
            parts.append(
                Part(
                    g.rounded_box(0.018, 0.03, 0.14, 0.006).moved(x + s, -d / 2 - 0.03, leg + h * 0.5 - 0.07),
                    handle,
                )
            )
        else:
            rows = max(2, round(inner / 0.26))
            rh = inner / rows
            for r in range(rows):
                z = leg + t + rh * r
                if kind == 2:
                    parts.append(
                        Part(
                            g.rounded_box(cw - 0.012, 0.025, rh - 0.01, 0.008).moved(
                                x, -d / 2 - 0.004, z + 0.005
                            ),
                            plastic(front_colour, 0.3),
                        )
                    )
                    parts.append(
                        Part(
                            g.rounded_box(cw * 0.35, 0.03, 0.018, 0.006).moved(
                                x, -d / 2 - 0.03, z + rh * 0.55
                            ),
                            handle,
                        )
                    )
                else:
                    parts.append(
                        Part(g.rounded_box(cw - 0.005, d - 0.03, 0.02, 0.004).moved(x, 0.01, z), body)
                    )
                    if rng.random() < 0.6:
                        for b in range(int(rng.integers(2, 6))):
                            bh = rh * float(rng.uniform(0.5, 0.75))
                            parts.append(
                                Part(
                                    g.rounded_box(0.03, d * 0.6, bh, 0.004).moved(
                                        x - cw * 0.36 + 0.036 * b, 0, z + 0.02
                                    ),
                                    plastic(hsv(float(rng.uniform(0, 360)), 0.4, 0.7), 0.4),
                                )
                            )
    leg_material = body if rng.random() < 0.5 else handle
    for sx in (-1, 1):
        for sy in (-1, 1):
            m = g.lathe([(0.014, 0), (0.024, leg + 0.005)], 12).moved(
                sx * (w / 2 - 0.06), sy * (d / 2 - 0.06)
            )
            parts.append(Part(m, leg_material))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Quiet rooms: cream, grey-blue, sage, blush."""
    h = float(rng.choice([38.0, 30, 210, 120, 12, 165]))
    return Style(
        hsv(h, rng.uniform(0.06, 0.28), rng.uniform(0.75, 0.93)),
        hsv(rng.uniform(24, 34), rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.8)),
        hsv(h + float(rng.choice([0, 180])), rng.uniform(0.2, 0.45), rng.uniform(0.5, 0.85)),
        hsv(rng.uniform(100, 135), 0.5, 0.42),
        pick(
            rng, ("window", "plant", "rug", "frames", "lamp", "curtain", "panelling"), int(rng.integers(3, 6))
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.0, 0.3)),
        fill=1.05,
    )


BRANDS = (
    Style(
        hsv(40, 0.14, 0.93),
        hsv(30, 0.38, 0.78),
        hsv(36, 0.25, 0.85),
        hsv(118, 0.5, 0.42),
        ("window", "plant", "rug"),
        0,
        -0.8,
        0.2,
        fill=1.1,
    ),
    Style(
        hsv(208, 0.3, 0.66),
        hsv(26, 0.48, 0.55),
        hsv(212, 0.4, 0.5),
        hsv(125, 0.45, 0.38),
        ("frames", "lamp", "panelling"),
        1,
        0.8,
        0.1,
        fill=1.0,
    ),
    Style(
        hsv(125, 0.16, 0.76),
        hsv(32, 0.3, 0.82),
        hsv(18, 0.45, 0.8),
        hsv(122, 0.55, 0.4),
        ("curtain", "plant", "frames", "rug"),
        1,
        -0.7,
        0.3,
        fill=1.1,
    ),
)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wall, boards and skirting; window, plant, rug, pictures, lamp and curtain by style."""
    far = 0.42
    stage.add(g.floor(9, -4, far), plastic(textures.wood(rng, style.floor, 8), 0.3, (4.5, 1.2)))
    stage.add(g.quad(9, 5).moved(y=far), matte(textures.plaster(rng, style.wall, 0.03)))
    white = (0.95, 0.95, 0.94)
    stage.add(g.rounded_box(9, 0.03, 0.11, 0.008).moved(0, far - 0.012, 0), plastic(white, 0.3))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("panelling"):
        for k in range(-3, 4):
            x = 0.62 * k + 0.1
            for z, h in ((0.2, 0.5), (0.8, 1.6)):
                for s in (-1, 1):
                    stage.add(
                        g.rounded_box(0.022, 0.025, h, 0.006).moved(x + s * 0.25, far - 0.008, z),
                        matte(shade(style.wall, 1.12)),
                    )
                for zz in (z, z + h):
                    stage.add(
                        g.rounded_box(0.52, 0.025, 0.022, 0.006).moved(x, far - 0.008, zz),
                        matte(shade(style.wall, 1.12)),
                    )
    if style.has("window"):
        x = side * 1.02
        stage.add(
            g.quad(0.62, 0.95).moved(x, far - 0.01, 0.62),
            Surface(textures.gradient((0.86, 0.93, 0.86), (0.8, 0.9, 1.0)), glow=2.4),
        )
        for dx in (-0.32, 0.0, 0.32):
            stage.add(
                g.rounded_box(0.04, 0.06, 1.0, 0.008).moved(x + dx, far - 0.02, 0.6), plastic(white, 0.3)
            )
        for z in (0.6, 1.07, 1.56):
            stage.add(g.rounded_box(0.68, 0.06, 0.04, 0.008).moved(x, far - 0.02, z), plastic(white, 0.3))
    if style.has("curtain"):
        add_curtain(stage, side * 1.05, far - 0.1, 0.6, 3.0, mix(style.prop, white, 0.3), 6)
    if style.has("plant"):
        add_potted_plant(stage, rng, -side * 0.98, 0.05, 0.85, mix(style.prop, white, 0.4), style.accent)
    if style.has("lamp"):
        x = side * 0.98
        stage.add(g.cylinder(0.13, 0.02, 0.008).moved(x, 0.1), metal((0.25, 0.24, 0.22), 0.35))
        stage.add(g.cylinder(0.014, 1.15, segments=10).moved(x, 0.1), metal(GOLD, 0.3))
        stage.add(g.lathe([(0.2, 1.05), (0.12, 1.32)]).moved(x, 0.1), Surface((1.0, 0.86, 0.62), glow=2.2))
    if style.has("rug"):
        skin = textures.stripes([style.prop, mix(style.prop, white, 0.6), mix(style.prop, white, 0.3)], 15)
        a = np.linspace(0, 2 * np.pi, 41)
        if style.layout == 0:
            points = np.stack(
                [np.stack([r * 1.15 * np.cos(a), r * 0.62 * np.sin(a), 0 * a], -1) for r in (0.0, 1.0)]
            )
            uv = np.stack(
                [np.stack([0.5 + 0.5 * r * np.cos(a), 0.5 + 0.5 * r * np.sin(a)], -1) for r in (0.0, 1.0)]
            )
            rug = g.grid_surface(points, uv)
        else:
            rug = g.floor(2.1, -0.55, 0.55)
        stage.add(rug.moved(0, -0.28, 0.004), matte(skin))
    if style.has("frames"):
        for k, (x, z, fw, fh) in enumerate(
            ((-side * 0.62, 1.12, 0.3, 0.4), (-side * 1.02, 1.0, 0.28, 0.36), (-side * 0.2, 1.2, 0.24, 0.3))
        ):
            art = textures.label(
                rng,
                white,
                white,
                style.prop,
                style.prop if k % 2 else style.accent,
                (0.1, 0.1, 0.9, 0.9),
                (96, 72),
            )
            add_frame(
                stage, x, far - 0.02, z, fw, fh, (0.25, 0.2, 0.16) if k % 2 else hsv(32, 0.45, 0.7), art
            )
    add_key_light(stage, style, 11.0, 2.6)


CATEGORY = Category(
    "cabinet", BRANDS, sample_style, build_product, dress, Framing((0.45, 0.55), (6, 11), (-24, 24))
)
