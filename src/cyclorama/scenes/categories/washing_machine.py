"""Washing machine: a laundry room with white and blue tiles, chequered floor, linen and detergent."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_potted_plant, add_towels
from cyclorama.scenes.stage import Part, Stage, compute_bounds
from cyclorama.scenes.surface import (
    SILVER,
    Colour,
    Style,
    Surface,
    Texture,
    hsv,
    light,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

WHITE: Colour = (0.96, 0.96, 0.96)
BLACK: Colour = (0.05, 0.05, 0.06)


def _lens(radius: float, bulge: float) -> g.Mesh:
    """A domed disc about the origin that bulges towards the camera and carries a whole texture."""
    a = np.linspace(2 * np.pi, 0, 41)
    r = np.linspace(0.0, 1.0, 7)[:, None]
    points = np.stack(
        [radius * r * np.cos(a), np.broadcast_to(-bulge * (1 - r**2), (7, 41)), radius * r * np.sin(a)], -1
    )
    uv = np.stack([0.5 + 0.5 * r * np.cos(a), 0.5 + 0.5 * r * np.sin(a)], -1)
    return g.grid_surface(points, uv)


def _draw_laundry(rng: np.random.Generator, size: int = 96) -> Texture:
    """What the round window shows: a dark drum with a heap of coloured cloth at the bottom."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size * 2 - 1
    dark = np.array(hsv(float(rng.uniform(200, 230)), 0.35, 0.16))
    out = np.broadcast_to(dark, (size, size, 3)) * (1.25 - 0.5 * (v[..., None] + 1) / 2)
    hue = float(rng.uniform(0, 360))
    if rng.random() < 0.75:
        for _ in range(9):
            x, y, r = rng.uniform(-0.7, 0.7), rng.uniform(0.35, 0.95), rng.uniform(0.2, 0.42)
            cloth = hsv(hue + float(rng.choice([0, 40, 180])), float(rng.uniform(0.1, 0.7)), 0.7)
            d = np.hypot((u - x) * 0.8, v - y)
            fold = 0.75 + 0.25 * np.cos(14 * (u * np.sin(9 * x) + v))
            out = np.where((d < r)[..., None], np.array(cloth) * fold[..., None], out)
    return np.asarray(np.clip(out, 0, 1) * 255, np.uint8)


def _build_porthole(rng: np.random.Generator, radius: float, rim: Surface, frame: Surface) -> list[Part]:
    """The round door about the origin, facing the camera: frame, rim and domed window."""
    r = radius
    outer = [(r * 1.12, 0.0), (r * 1.12, 0.02), (r * 1.04, 0.036), (r * 0.98, 0.036)]
    inner = [(r * 1.0, 0.034), (r * 0.94, 0.055), (r * 0.84, 0.055), (r * 0.72, 0.012)]
    window = _lens(r * 0.78, r * 0.22).moved(y=-0.016)
    return [
        Part(g.lathe(outer, 44).turned("x", 90), frame),
        Part(g.lathe(inner, 44).turned("x", 90), rim),
        Part(window, plastic(_draw_laundry(rng), 0.03)),
    ]


def _build_panel(
    rng: np.random.Generator, w: float, front: float, z: float, body: Colour, dark: bool
) -> list[Part]:
    """Drawer, dial, buttons, display and maker's mark in a strip of height 0.11 whose bottom is ``z``."""
    skin = plastic(BLACK if dark else shade(body, 1.04), 0.12)
    accent = hsv(float(rng.uniform(0, 360)), 0.75, 0.85)
    ink: Colour = (0.85, 0.85, 0.87) if dark else (0.2, 0.2, 0.22)
    parts = [Part(g.rounded_box(w - 0.02, 0.02, 0.11, 0.006).moved(0, front - 0.004, z), skin)]
    side = float(rng.choice([-1.0, 1.0]))
    drawer = g.rounded_box(w * 0.27, 0.016, 0.085, 0.008).moved(-side * w * 0.32, front - 0.012, z + 0.013)
    parts.append(Part(drawer, plastic(body if dark else shade(body, 0.93), 0.2)))
    mark = textures.label(rng, body, body, ink, accent, (0, 0, 1, 1), (48, 128))
    parts.append(
        Part(g.quad(w * 0.17, 0.045).moved(-side * w * 0.32, front - 0.0215, z + 0.034), plastic(mark, 0.3))
    )
    x = float(rng.choice([0.0, side * w * 0.1, side * w * 0.3]))
    knob = g.lathe([(0.052, 0.0), (0.05, 0.012), (0.04, 0.012), (0.036, 0.042), (0.0, 0.044)], 28)
    parts.append(Part(knob.turned("x", 90).moved(x, front - 0.012, z + 0.056), metal(SILVER, 0.25)))
    pin = g.rounded_box(0.006, 0.004, 0.026, 0.001).moved(x, front - 0.057, z + 0.06)
    parts.append(Part(pin, plastic(accent, 0.3)))
    dx = side * w * (0.3 if abs(x) < w * 0.2 else 0.06)
    glow = hsv(float(rng.choice([190.0, 30, 120, 0, 210])), 0.45, 1)
    parts.append(Part(g.quad(w * 0.17, 0.05).moved(dx, front - 0.0155, z + 0.042), plastic(BLACK, 0.08)))
    parts.append(Part(g.quad(w * 0.11, 0.02).moved(dx, front - 0.017, z + 0.057), light(glow, 1.3)))
    dots = [
        g.cylinder(0.007, 0.006, segments=10)
        .turned("x", 90)
        .moved(dx + 0.03 * (k - 1.5), front - 0.014, z + 0.024)
        for k in range(4)
    ]
    parts.append(Part(g.merge_meshes(dots), plastic(ink, 0.3)))
    return parts


def _build_front_loader(
    rng: np.random.Generator, w: float, d: float, h: float, body: Colour, skin: Surface
) -> list[Part]:
    bevel = float(rng.uniform(0.012, 0.045))
    front = -d / 2
    parts = [Part(g.rounded_box(w, d, h - 0.03, bevel).moved(z=0.03), skin)]
    parts += _build_panel(rng, w, front, h - 0.14, body, bool(rng.random() < 0.4))
    radius = float(rng.uniform(0.19, 0.235))
    chrome = metal(SILVER, 0.15)
    rims = [chrome, plastic(BLACK, 0.1), plastic(hsv(float(rng.uniform(0, 360)), 0.6, 0.75), 0.15)]
    rim = rims[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    frame = [skin, chrome, plastic(BLACK, 0.12), plastic(shade(body, 0.85), 0.2)][int(rng.integers(4))]
    z = 0.03 + (h - 0.17) * 0.52
    if rng.random() < 0.25:
        q = radius * 2.35
        parts.append(Part(g.rounded_box(q, 0.03, q, 0.014).moved(0, front - 0.008, z - q / 2), frame))
        front -= 0.02
    parts += [Part(p.mesh.moved(0, front, z), p.surface) for p in _build_porthole(rng, radius, rim, frame)]
    grip = g.rounded_box(0.03, 0.03, 0.12, 0.012).moved(
        float(rng.choice([-1, 1])) * radius * 1.0, front - 0.04, z - 0.06
    )
    parts.append(Part(grip, rim))
    flap = g.rounded_box(0.12, 0.012, 0.07, 0.005).moved(w * 0.32, -d / 2 - 0.003, 0.05)
    kick = g.rounded_box(w - 0.02, 0.012, 0.008, 0.003).moved(0, -d / 2 - 0.001, 0.135)
    parts.append(Part(g.merge_meshes([flap, kick]), plastic(shade(body, 0.8), 0.3)))
    return parts


def _build_top_loader(
    rng: np.random.Generator, w: float, d: float, h: float, body: Colour, skin: Surface
) -> list[Part]:
    bevel = float(rng.uniform(0.02, 0.05))
    parts = [Part(g.rounded_box(w, d, h - 0.03, bevel).moved(z=0.03), skin)]
    lid = g.rounded_box(w * 0.9, d * 0.66, 0.03, 0.014).moved(0, -d * 0.12, h - 0.006)
    parts.append(Part(lid, plastic(shade(body, 0.94), 0.15)))
    glass = g.rounded_box(w * 0.66, d * 0.42, 0.012, 0.005).moved(0, -d * 0.12, h + 0.018)
    parts.append(Part(glass, plastic(hsv(215, 0.4, 0.2), 0.04)))
    console = _build_panel(rng, w, -0.06, 0.02, body, bool(rng.random() < 0.4))
    back = Part(g.rounded_box(w, 0.12, 0.15, 0.03), skin)
    parts += [
        Part(p.mesh.turned("x", -16).moved(0, d / 2 - 0.09, h - 0.02), p.surface) for p in [back, *console]
    ]
    seam = g.rounded_box(w + 0.004, d + 0.004, 0.008, 0.003).moved(z=h * 0.86)
    parts.append(Part(seam, plastic(shade(body, 0.6), 0.3)))
    colour = hsv(float(rng.uniform(0, 360)), 0.6, 0.75)
    mark = textures.label(rng, WHITE, WHITE, (0.2, 0.2, 0.25), colour, (0, 0, 1, 1), (96, 128))
    parts.append(Part(g.quad(w * 0.3, w * 0.2).moved(0, -d / 2 - 0.003, h * 0.58), plastic(mark, 0.3)))
    stripes = textures.stripes([colour, mix(colour, WHITE, 0.5)], int(rng.integers(2, 6)), 64, upright=False)
    parts.append(Part(g.quad(w * 0.92, 0.07).moved(0, -d / 2 - 0.002, h * 0.16), plastic(stripes, 0.2)))
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A front loader with a round window (six in seven) or a top loader with a raised console."""
    w, d = float(rng.uniform(0.58, 0.66)), float(rng.uniform(0.46, 0.6))
    h = float(rng.uniform(0.8, 0.9))
    hue = float(rng.uniform(0, 360))
    kind = int(rng.choice(6, p=(0.22, 0.18, 0.16, 0.15, 0.18, 0.11)))
    body = (
        hsv(hue, 0.02, 0.95),
        hsv(hue, 0.04, 0.92),
        hsv(215, 0.06, 0.72),
        hsv(hue, 0.12, 0.2),
        hsv(hue, 0.25, 0.9),
        hsv(hue, 0.5, 0.68),
    )[kind]
    skin = metal(body, 0.35) if kind == 2 else plastic(body, 0.15)
    build = _build_front_loader if rng.random() < 0.86 else _build_top_loader
    parts = build(rng, w, d, h, body, skin)
    feet = [
        g.cylinder(0.03, 0.035, segments=12).moved(sx * (w / 2 - 0.07), sy * (d / 2 - 0.07))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    parts.append(Part(g.merge_meshes(feet), plastic(BLACK, 0.4)))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """White tiles with blue, aqua or teal, and one warm accent."""
    h = float(rng.choice([205.0, 218, 190, 178, 230]) + rng.uniform(-5, 5))
    return Style(
        hsv(h, rng.uniform(0.05, 0.3), rng.uniform(0.88, 0.96)),
        hsv(h, rng.uniform(0.3, 0.65), rng.uniform(0.5, 0.85)),
        hsv(h, rng.uniform(0.3, 0.55), rng.uniform(0.7, 0.9)),
        hsv(float(rng.choice([48.0, 12, 345, 30])), 0.65, 0.92),
        (
            str(rng.choice(["square tiles", "brick tiles", "slats"])),
            str(rng.choice(["shelf", "line", "window"])),
            *pick(rng, ("bottles", "worktop", "plant"), 1),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(-0.2, 0.1)),
        fill=1.15,
    )


SKY = (hsv(205, 0.04, 0.96), hsv(208, 0.45, 0.78), hsv(205, 0.42, 0.88), hsv(48, 0.65, 0.95))
AQUA = (hsv(176, 0.26, 0.9), hsv(180, 0.3, 0.72), hsv(174, 0.4, 0.8), hsv(350, 0.45, 0.93))
NAVY = (hsv(222, 0.55, 0.6), hsv(222, 0.6, 0.4), hsv(214, 0.24, 0.9), hsv(28, 0.7, 0.93))
BRANDS = (
    Style(*SKY, ("square tiles", "shelf", "bottles"), 0, -0.8, -0.1, fill=1.15),
    Style(*AQUA, ("brick tiles", "line", "plant"), 1, 0.8, 0.1, fill=1.15),
    Style(*NAVY, ("slats", "worktop", "window"), 0, -0.7, -0.15, fill=1.2),
)


def _chequer(a: Colour, b: Colour, cells: int = 4, size: int = 128) -> Texture:
    """A chequered floor with thin joints."""
    k = np.arange(size) * cells // size
    odd = ((k[:, None] + k[None, :]) % 2)[..., None]
    joint = (np.arange(size) % (size // cells) == 0).astype(float) * 0.15
    rgb = (np.array(a) * (1 - odd) + np.array(b) * odd) * (1 - np.maximum(joint[:, None], joint[None, :]))[
        ..., None
    ]
    return np.asarray(rgb * 255, np.uint8)


def _add_basket(stage: Stage, x: float, y: float, size: float, cloth: tuple[Colour, Colour]) -> None:
    """A wicker basket heaped with linen."""
    straw = hsv(34, 0.45, 0.78)
    r = size * 0.42
    weave = textures.checks(straw, shade(straw, 0.66), 24, 96)
    wall = g.lathe(
        [(0, 0), (r * 0.82, 0), (r, size * 0.62), (r * 1.06, size * 0.66), (r * 0.94, size * 0.64)], 36
    )
    stage.add(wall.moved(x, y), Surface(weave, tiles=(1.5, 1.0)))
    for k, (dx, dy, s) in enumerate(((-0.28, 0.1, 0.62), (0.3, -0.05, 0.6), (0.02, 0.1, 0.72))):
        lump = g.sphere(r * s, 20).scaled(1.0, 0.85, 0.62).turned("z", 40.0 * k)
        stage.add(lump.moved(x + dx * r, y + dy * r, size * (0.62 + 0.06 * (k == 2))), matte(cloth[k % 2]))


def _add_bottle(
    stage: Stage, rng: np.random.Generator, x: float, y: float, z: float, height: float, colour: Colour
) -> None:
    """A detergent bottle with a label and a coloured cap."""
    mark = textures.label(rng, colour, WHITE, colour, shade(colour, 0.6), (0.15, 0.3, 0.85, 0.85), (96, 96))
    body = g.rounded_box(height * 0.5, height * 0.3, height * 0.78, height * 0.1)
    stage.add(body.moved(x, y, z), plastic(mark, 0.15))
    cap = g.cylinder(height * 0.13, height * 0.24, height * 0.02, 20).moved(x, y, z + height * 0.76)
    stage.add(cap, plastic(mix(colour, WHITE, 0.75), 0.2))


def _add_line(stage: Stage, rng: np.random.Generator, style: Style, far: float) -> None:
    """Linen pegged to a line along the wall, high above the floor."""
    y, top = far - 0.1, 1.34
    stage.add(g.tube([(-2.2, y, top), (2.2, y, top)], 0.006, 6), matte(WHITE))
    pegs = []
    colours = (WHITE, style.prop, style.accent, mix(style.prop, WHITE, 0.6))
    x = -1.42 + float(rng.uniform(0, 0.1))
    for k in range(9):
        w, h = float(rng.uniform(0.2, 0.32)), float(rng.uniform(0.2, 0.44))
        u = np.linspace(0, 1, 13)
        wave = 0.018 * np.sin(u * 11 + k)
        rows = [
            np.stack([x + u * w, y - 0.012 + s * wave, np.full_like(u, top - h * s)], -1)
            for s in (1.0, 0.5, 0.0)
        ]
        colour: Colour | Texture = colours[int(rng.integers(4))]
        if rng.random() < 0.35:
            colour = textures.stripes([colours[1], WHITE], 8, 64, upright=False)
        stage.add(g.grid_surface(np.stack(rows)), matte(colour))
        pegs += [
            g.rounded_box(0.014, 0.02, 0.05, 0.003).moved(x + w * t, y - 0.014, top - 0.03)
            for t in (0.12, 0.88)
        ]
        x += w + 0.04
    stage.add(g.merge_meshes(pegs), plastic(hsv(34, 0.4, 0.8), 0.4))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Chequered floor, tiled wall, basket of linen; shelf, line, worktop, bottles and window by style."""
    low, high = compute_bounds(stage.product)
    edge = max(-float(low[0]), float(high[0])) + 0.06
    far = float(high[1]) + 0.07
    stage.add(g.floor(9, -4, far), plastic(_chequer(WHITE, style.floor), 0.15, (7.2, 3.6)))
    if style.has("slats"):
        skin = textures.stripes([style.wall, style.wall, style.wall, style.wall, shade(style.wall, 0.75)], 40)
        stage.add(g.quad(9, 5).moved(y=far), plastic(skin, 0.35, (4.5, 1.0)))
    else:
        brick = style.has("brick tiles")
        glaze = textures.tiles(
            rng, style.wall, shade(style.wall, 0.8), 6 if brick else 8, 10 if brick else 8, brick
        )
        stage.add(g.quad(9, 0.96).moved(y=far), plastic(glaze, 0.1, (9.0, 1.0)))
        stage.add(g.quad(9, 4).moved(y=far, z=0.96), matte(mix(style.wall, style.prop, 0.45)))
        stage.add(g.rounded_box(9, 0.04, 0.05, 0.01).moved(0, far, 0.94), plastic(style.prop, 0.15))
    stage.add(g.rounded_box(9, 0.03, 0.09, 0.008).moved(0, far - 0.012), plastic(WHITE, 0.3))
    side = 1.0 if rng.random() < 0.5 else -1.0
    linen = (style.prop, mix(style.accent, WHITE, 0.35))
    if style.has("worktop"):
        x0 = -side * (edge + 0.62)
        stage.add(g.rounded_box(1.2, 0.46, 0.84, 0.006).moved(x0, far - 0.24), plastic(WHITE, 0.25))
        doors = [
            g.rounded_box(0.37, 0.02, 0.72, 0.006).moved(x0 + 0.39 * k, far - 0.475, 0.09) for k in (-1, 0, 1)
        ]
        stage.add(g.merge_meshes(doors), plastic(style.prop, 0.25))
        stage.add(
            g.rounded_box(1.24, 0.5, 0.035, 0.006).moved(x0, far - 0.25, 0.84),
            plastic(hsv(32, 0.42, 0.76), 0.3),
        )
        things = Stage()
        add_towels(things, -side * (edge + 0.3), far - 0.24, 0.19, linen)
        for part in things.parts:
            stage.add(part.mesh.moved(z=0.875), part.surface)
    if style.has("shelf"):
        x0 = side * 0.5
        board = g.rounded_box(1.25, 0.22, 0.03, 0.006).moved(x0, far - 0.11, 1.13)
        stage.add(board, plastic(hsv(32, 0.42, 0.76), 0.3))
        things = Stage()
        add_towels(things, x0 + side * 0.36, far - 0.11, 0.16, linen)
        for part in things.parts:
            stage.add(part.mesh.moved(z=1.16), part.surface)
        for k, colour in enumerate((style.accent, WHITE, style.floor)):
            _add_bottle(stage, rng, x0 - side * (0.48 - 0.17 * k), far - 0.11, 1.16, 0.2, colour)
    if style.has("window"):
        x = side * (edge + 0.4)
        pane = textures.sky(rng, (0.62, 0.82, 1.0), (0.93, 0.97, 1.0), 0.8, 64)
        stage.add(g.quad(0.58, 0.62).moved(x, far - 0.01, 0.72), Surface(pane, glow=0.6))
        bars = [
            g.rounded_box(0.04, 0.05, 0.7, 0.006).moved(x + dx, far - 0.02, 0.68) for dx in (-0.3, 0.0, 0.3)
        ]
        bars += [g.rounded_box(0.64, 0.05, 0.04, 0.006).moved(x, far - 0.02, z) for z in (0.68, 1.34)]
        stage.add(g.merge_meshes(bars), plastic(WHITE, 0.3))
    if style.has("line"):
        _add_line(stage, rng, style, far)
    if style.has("bottles") and not style.has("worktop"):
        stool = -side * (edge + 0.24)
        stage.add(
            g.cylinder(0.17, 0.03, 0.01).moved(stool, far - 0.24, 0.3), plastic(hsv(32, 0.42, 0.76), 0.3)
        )
        legs = [
            g.cylinder(0.014, 0.3, segments=10).moved(stool + dx, far - 0.24 + dy)
            for dx, dy in ((-0.11, -0.08), (0.11, -0.08), (0, 0.11))
        ]
        stage.add(g.merge_meshes(legs), plastic(hsv(32, 0.42, 0.7), 0.3))
        _add_bottle(stage, rng, stool - 0.06, far - 0.22, 0.33, 0.26, style.accent)
        _add_bottle(stage, rng, stool + 0.1, far - 0.27, 0.33, 0.17, style.floor)
    if style.has("plant"):
        add_potted_plant(
            stage, rng, -side * (edge + 0.3), far - 0.26, 0.62, style.accent, hsv(135, 0.45, 0.5)
        )
    _add_basket(stage, side * (edge + 0.3), far - 0.36, 0.44, linen)
    add_key_light(stage, style, 10.0, 2.8)


CATEGORY = Category(
    "washing machine",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.53, 0.62), (7, 12), (-28, 28), offset=0.05),
)
