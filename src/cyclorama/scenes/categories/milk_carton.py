"""Milk carton: a breakfast table with a blue-white check cloth before pasture hills, milk and biscuits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_key_light
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Colour, Style, Texture, hsv, light, matte, metal, mix, plastic, shade

WHITE: Colour = (0.98, 0.98, 0.96)
BISCUIT: Colour = hsv(32, 0.58, 0.8)
BACK = ("churn", "wheat", "daisies")
FRONT = ("glass", "biscuits", "bowl")


def _paint(canvas: NDArray[np.float64], depth: NDArray[np.float64], colour: Colour) -> None:
    """Cover ``canvas`` with ``colour`` where ``depth`` (pixels inside the shape's edge) is positive."""
    cover = np.clip(depth + 0.5, 0.0, 1.0)[..., None]
    canvas += cover * (np.array(colour) - canvas)


def _build_print(rng: np.random.Generator, body: Colour, print_colour: Colour, accent: Colour) -> Texture:
    """One side of a carton: a large simple motif below, a mark and lines of glyphs above."""
    size = 256
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    canvas = np.empty((size, size, 3))
    canvas[:] = body
    kind = int(rng.integers(7))
    if kind == 0:
        line = 0.66 + 0.08 * np.sin(2 * np.pi * u + float(rng.uniform(0, 6)))
        _paint(canvas, (v - line) * size, print_colour)
        _paint(canvas, (v - line - 0.13) * size, mix(print_colour, WHITE, 0.45))
    elif kind == 1:
        for _ in range(9):
            x, y = rng.uniform(0, 1), rng.choice([rng.uniform(-0.02, 0.1), rng.uniform(0.62, 1.0)])
            a, b, bend = rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.11), rng.uniform(-0.6, 0.6)
            p, q = (u - x) / a, (v - y + bend * (u - x)) / b
            _paint(canvas, (1 + 0.2 * np.sin(3 * np.arctan2(q, p)) - np.hypot(p, q)) * b * size, print_colour)
    elif kind == 2:
        _paint(canvas, (0.26 - v) * size, print_colour)
        _paint(canvas, (v - 0.86) * size, print_colour)
        _paint(canvas, (0.014 - np.abs(v - 0.3)) * size, accent)
    elif kind == 3:
        _paint(canvas, (0.17 - np.hypot(u - 0.72, (v - 0.66) * 1.6)) * size, hsv(46, 0.7, 1.0))
        for level, tone in ((0.72, 0.9), (0.82, 0.68)):
            line = level + 0.05 * np.sin(2 * np.pi * u * 0.8 + float(rng.uniform(0, 6)))
            _paint(canvas, (v - line) * size, shade(hsv(105, 0.6, 0.8), tone))
    elif kind == 4:
        _paint(canvas, (0.30 - np.abs(u - 0.5)) * size, mix(body, print_colour, 0.9))
    elif kind == 5:
        cells = (np.floor(u * 8) + np.floor(v * 14)) % 2
        _paint(canvas, np.where(v > 0.68, cells - 0.5, -1.0) * 2, print_colour)
        _paint(canvas, (0.012 - np.abs(v - 0.67)) * size, accent)
    else:
        _paint(canvas, (v + 0.55 * u - 1.02) * size, print_colour)
        _paint(canvas, (0.025 - np.abs(v + 0.55 * u - 0.95)) * size, accent)
    dark = hsv(215, 0.8, 0.35) if sum(body) > 1.9 else WHITE
    clear = WHITE if sum(print_colour) < 1.9 else hsv(215, 0.8, 0.35)
    head, ink = (clear if kind in (2, 4) else dark), (clear if kind == 4 else dark)
    mark_y, top, below = (0.5, 0.08, 0.34) if kind == 2 else (0.42, 0.11, 0.28)
    mark = int(rng.integers(3))
    y = (v - mark_y - 0.08) * 1.9
    if mark == 0:
        drop = np.where(y < 0, np.abs(u - 0.5) / np.clip(1 + y / 0.2, 0.02, 1), np.hypot(u - 0.5, y))
        _paint(canvas, (0.1 - drop) * size, accent)
    elif mark == 1:
        petals = np.abs(np.cos(2.5 * np.arctan2(y, u - 0.5)))
        _paint(canvas, (0.05 + 0.09 * petals - np.hypot(u - 0.5, y)) * size, accent)
    else:
        _paint(canvas, (0.11 - np.hypot(u - 0.5, y)) * size, accent)
        _paint(canvas, (0.075 - np.hypot(u - 0.5, y)) * size, mix(accent, WHITE, 0.6))
    image = Image.fromarray(np.asarray(np.clip(canvas, 0, 1) * 255, np.uint8))
    draw = ImageDraw.Draw(image)
    textures.draw_words(
        draw, rng, size / 2, top * size, (0.56 if kind == 4 else 0.74) * size, 0.13 * size, head
    )
    textures.draw_words(draw, rng, size / 2, below * size, 0.46 * size, 0.05 * size, ink)
    return np.asarray(image)


def _build_roofed(
    size: tuple[float, float, float], ridge: float, tuck: float, coat: Texture, roof: Colour
) -> list[Part]:
    """A square carton of (width, height to the eaves, height of the roof), its print ``coat`` on all sides.

    ``ridge`` is the depth of the roof's ridge from -1 (front) to 1 (back); ``tuck`` is how far the roof's
    flanks are folded inwards, in widths.
    """
    width, height, rise = size
    k, z, top = width / 2 - 0.003, height - 0.003, height + rise
    y = 0.97 * k * ridge
    front = np.array([[[-k, -k, z], [k, -k, z]], [[-k, y - 0.004, top], [k, y - 0.004, top]]])
    back = np.array([[[k, k, z], [-k, k, z]], [[k, y + 0.004, top], [-k, y + 0.004, top]]])
    parts = [Part(g.rounded_box(width, width, height, 0.01), plastic(coat, 0.25))]
    parts += [Part(g.grid_surface(slope), plastic(roof, 0.25)) for slope in (front, back)]
    for s in (-1.0, 1.0):
        edge, tip = s * (k - 0.002), s * (k - tuck * width)
        fold = np.array([[[edge, -k, z], [edge, k, z]], [[tip, y - 0.004, top], [tip, y + 0.004, top]]])
        parts.append(Part(g.grid_surface(fold), plastic(shade(roof, 0.92), 0.3)))
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A milk carton: tall or short gable-top, brick with a screw cap, or a carton with a slanted top."""
    hue = float(rng.choice([205.0, 215, 225, 190, 110, 135, 85, 0, 340, 45, 25, 280]) + rng.uniform(-5, 5))
    print_colour = hsv(hue, float(rng.uniform(0.6, 0.85)), float(rng.uniform(0.55, 0.85)))
    body = [WHITE, hsv(hue, 0.14, 0.98), print_colour, hsv(38, 0.1, 0.96)][
        int(rng.choice(4, p=[0.5, 0.2, 0.18, 0.12]))
    ]
    if body == print_colour:
        print_colour = WHITE
    elif rng.random() < 0.2:
        print_colour = [(0.12, 0.1, 0.1), hsv(24, 0.6, 0.32)][int(rng.integers(2))]
    accent = hsv(hue + float(rng.choice([0.0, 40, 150, 180])), 0.75, 0.8)
    coat = _build_print(rng, body, print_colour, accent)
    roof = body if rng.random() < 0.5 or print_colour == WHITE else print_colour
    cap = plastic([accent, WHITE, hsv(hue, 0.8, 0.6)][int(rng.integers(3))], 0.2)
    kind = int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))
    if kind == 3:
        w, h = float(rng.uniform(0.34, 0.42)), float(rng.uniform(0.78, 0.9))
        lid = g.cylinder(0.075, 0.07, 0.012).moved(float(rng.uniform(-0.25, 0.25)) * w, -0.03, h - 0.004)
        return [Part(g.rounded_box(w, 0.68 * w, h, 0.012), plastic(coat, 0.2)), Part(lid, cap)]
    w = float(rng.uniform(0.34, 0.4))
    h = float(rng.uniform(0.46, 0.54) if kind == 1 else rng.uniform(0.66, 0.78))
    rise = w * float(rng.uniform(0.42, 0.52))
    ridge, tuck = (1.0, 0.0) if kind == 2 else (0.0, 0.42)
    parts = _build_roofed((w, h, rise), ridge, tuck, coat, roof)
    if kind < 2:
        fin = g.rounded_box(w - 0.006, 0.02, 0.085, 0.006).moved(z=h + rise - 0.012)
        parts.append(Part(fin, plastic(roof, 0.25)))
    if kind == 2 or rng.random() < 0.6:
        run = w / 2 * (1 + ridge)
        screw = g.cylinder(0.21 * w, 0.06, 0.01).turned("x", float(np.rad2deg(np.arctan2(rise, run))))
        parts.append(Part(screw.moved(0, 0.49 * run - w / 2, h + 0.47 * rise), cap))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Fresh mornings: clear or pale sky, green to golden hills, a blue or green check cloth."""
    h = float(rng.uniform(200, 212))
    cloth = float(rng.choice([212.0, 205, 220, 190, 150]))
    return Style(
        hsv(h, rng.uniform(0.25, 0.55), 1.0),
        hsv(rng.uniform(26, 36), rng.uniform(0.22, 0.42), rng.uniform(0.72, 0.88)),
        hsv(cloth + rng.uniform(-4, 4), rng.uniform(0.5, 0.7), rng.uniform(0.62, 0.85)),
        hsv(rng.uniform(72, 112), rng.uniform(0.5, 0.65), rng.uniform(0.58, 0.74)),
        (
            *pick(rng, BACK, int(rng.integers(1, 3))),
            *pick(rng, FRONT, int(rng.integers(1, 3))),
            *pick(rng, ("cows", "fence", "barn"), int(rng.integers(1, 3))),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.75, 0.75])),
        float(rng.uniform(0.05, 0.35)),
    )


BRANDS = (
    Style(
        hsv(206, 0.55, 1.0),
        hsv(30, 0.3, 0.86),
        hsv(214, 0.68, 0.75),
        hsv(98, 0.62, 0.66),
        ("glass", "biscuits", "cows"),
        0,
        -0.75,
        0.12,
    ),
    Style(
        hsv(34, 0.42, 1.0),
        hsv(28, 0.45, 0.72),
        hsv(222, 0.5, 0.62),
        hsv(50, 0.55, 0.8),
        ("churn", "wheat", "glass", "barn"),
        1,
        0.75,
        0.42,
    ),
    Style(
        hsv(190, 0.42, 0.98),
        hsv(40, 0.08, 0.96),
        hsv(168, 0.5, 0.68),
        hsv(122, 0.5, 0.62),
        ("fence", "daisies", "bowl", "glass"),
        2,
        -0.6,
        0.02,
    ),
)


def _paint_pasture(rng: np.random.Generator, style: Style, size: int = 256) -> Texture:
    """Rolling hills under a sky: hazy far away, with trees on a crest, and cows or a barn if asked."""
    green = style.accent
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    canvas = textures.sky(rng, style.wall, mix(style.wall, WHITE, 0.7), 0.7, size).astype(np.float64) / 255
    hills = ((0.46, 0.86, 0.5), (0.53, 0.8, 0.22), (0.61, 1.0, 0.05), (0.73, 0.84, 0.0))
    for k, (level, tone, haze) in enumerate(hills):
        a, b = rng.uniform(0, 6.3, 2)
        line = level + 0.025 * np.sin(8.8 * u + a) + 0.013 * np.sin(18.3 * u + b)
        if k == 2:
            for x in rng.uniform(0.1, 0.9, 13):
                r = float(rng.uniform(0.012, 0.026))
                y = float(np.interp(x, u[0], line[0])) - 0.9 * r
                _paint(canvas, (r - np.hypot(u - x, (v - y) * 0.62)) * size, shade(green, 0.52))
            if style.has("barn"):
                _paint_barn(canvas, u, v, float(rng.choice([0.32, 0.66])), line)
        colour = mix(shade(green, tone), mix(style.wall, WHITE, 0.5), haze)
        _paint(canvas, (v - line) * size, colour)
        crest = np.clip(1 - (v - line) / 0.07, 0, 1) * (v > line)
        canvas += 0.22 * crest[..., None] * (np.array(mix(colour, (1.0, 1.0, 0.7), 0.6)) - canvas)
        if k == 2 and style.has("cows"):
            for x in (0.27, 0.34, 0.4, 0.61, 0.69, 0.74):
                x += float(rng.uniform(-0.015, 0.015))
                y = float(np.interp(x, u[0], line[0])) + float(rng.uniform(0.015, 0.06))
                for dx, r, tone in ((0.0, 0.014, 0.97), (0.004, 0.007, 0.12), (-0.017, 0.006, 0.2)):
                    spot = 1 - np.hypot(u - x - dx, 1.1 * (v - y - 0.3 * dx)) / r
                    _paint(canvas, 256 * r * spot, (tone, tone, 0.97 * tone))
    image = Image.fromarray(np.asarray(np.clip(canvas, 0, 1) * 255, np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))


def _paint_barn(
    canvas: NDArray[np.float64],
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    x: float,
    line: NDArray[np.float64],
) -> None:
    """A red barn with a light door on the crest ``line`` at ``x``."""
    size = canvas.shape[0]
    base = float(np.interp(x, u[0], line[0])) + 0.02
    dx, up = np.abs(u - x), base - v
    _paint(canvas, np.minimum(0.055 - dx, 0.1 - up) * size, hsv(8, 0.65, 0.62))
    _paint(canvas, np.minimum(0.07 - dx - 0.75 * (up - 0.1), up - 0.1) * size, hsv(12, 0.35, 0.42))
    _paint(canvas, np.minimum(0.018 - dx, 0.065 - up) * size, (0.95, 0.92, 0.88))


def _add_glass_of_milk(stage: Stage, x: float, y: float, height: float, air: Colour) -> None:
    """A full tumbler, painted rather than transparent: milk below, a pale rim of glass above."""
    r, h = 0.36 * height, height
    wall = np.empty((64, 8, 3))
    wall[:] = WHITE
    wall[:9] = mix(air, WHITE, 0.55)
    wall[:2] = mix(air, WHITE, 0.85)
    wall[-4:] = mix(air, WHITE, 0.45)
    profile = [(0.0, 0.0), (0.76 * r, 0.0), (0.8 * r, 0.02), (r, h), (0.94 * r, h), (0.92 * r, 0.87 * h)]
    skin = plastic(np.asarray(wall * 255, np.uint8), 0.03)
    stage.add(g.lathe(profile, 32).moved(x, y), skin)
    stage.add(g.cylinder(0.92 * r, 0.002, 0.0, 32).moved(x, y, 0.868 * h), plastic(WHITE, 0.15))


def _add_biscuits(stage: Stage, rng: np.random.Generator, x: float, y: float, side: float) -> None:
    """A plate with a stack of biscuits, one leaning on the stack."""
    plate = [(0.0, 0.0), (0.18, 0.0), (0.31, 0.035), (0.3, 0.045), (0.17, 0.014), (0.0, 0.014)]
    stage.add(g.lathe(plate).moved(x, y), plastic(WHITE, 0.12))
    disc = g.cylinder(0.125, 0.042, 0.016, 28)
    chip = g.sphere(0.014, 8).scaled(1, 1, 0.6)
    discs, chips = [], []
    for k in range(5):
        dx, dy, z = (
            x + float(rng.uniform(-0.015, 0.015)),
            y + float(rng.uniform(-0.015, 0.015)),
            0.014 + 0.042 * k,
        )
        discs.append(disc.moved(dx, dy, z))
        reach, rise = (0.122, 0.02) if k < 4 else (0.07, 0.042)
        for a in rng.uniform(0, 6.3, 6):
            chips.append(chip.moved(dx + reach * float(np.cos(a)), dy + reach * float(np.sin(a)), z + rise))
    discs.append(disc.moved(z=-0.021).turned("y", side * 68).moved(x + side * 0.2, y - 0.06, 0.135))
    stage.add(g.merge_meshes(discs), matte(BISCUIT))
    stage.add(g.merge_meshes(chips), plastic(hsv(22, 0.7, 0.28), 0.35))


def _add_churn(stage: Stage, x: float, y: float, height: float) -> None:
    """A dairy's milk can: wide body, narrow neck, hat-like lid, two handles."""
    body = [(0.0, 0.0), (0.25, 0.0), (0.27, 0.03), (0.27, 0.58), (0.26, 0.63), (0.16, 0.77), (0.16, 0.86)]
    lid = [(0.16, 0.85), (0.21, 0.88), (0.21, 0.94), (0.15, 0.985), (0.0, 1.0)]
    parts = [g.lathe(body), g.lathe(lid)]
    parts += [g.lathe([(0.278, z), (0.278, z + 0.02)]) for z in (0.06, 0.55)]
    a = np.linspace(-1.4, 1.4, 9)
    for s in (-1.0, 1.0):
        path = [(s * (0.2 + 0.135 * float(np.cos(t))), 0.0, 0.72 + 0.1 * float(np.sin(t))) for t in a]
        parts.append(g.tube(path, 0.02, 8))
    churn = g.merge_meshes(parts).scaled(height).turned("z", 25)
    stage.add(churn.moved(x, y), metal((0.78, 0.79, 0.8), 0.34))


def _add_wheat(
    stage: Stage, rng: np.random.Generator, x: float, y: float, height: float, pot: Colour
) -> None:
    """Ears of wheat in an enamel jug."""
    jug = [(0.0, 0.0), (0.14, 0.0), (0.15, 0.2), (0.1, 0.27), (0.125, 0.35), (0.11, 0.35), (0.09, 0.27)]
    stage.add(g.lathe(g.smooth_profile(jug)).moved(x, y), plastic(pot, 0.12))
    grain = g.sphere(0.024, 8).scaled(0.8, 0.8, 1.9)
    stalks = []
    for k in range(15):
        lean, spin = float(rng.uniform(4, 24)), 24.0 * k + float(rng.uniform(-10, 10))
        h = height * float(rng.uniform(0.82, 1.05))
        ear = [g.tube([(0, 0, 0), (0, 0, 0.8 * h)], 0.007, 6)]
        for j in range(11):
            side = 1.0 if j % 2 else -1.0
            ear.append(grain.turned("y", side * 24).moved(side * 0.022, 0, h * 0.8 + 0.024 * j - 0.08))
        leaning = g.merge_meshes(ear).turned("z", spin).turned("y", lean).turned("z", spin)
        stalks.append(leaning.moved(x, y, 0.12))
    stage.add(g.merge_meshes(stalks), matte(hsv(42, 0.55, 0.86)))


def _add_daisies(
    stage: Stage, rng: np.random.Generator, x: float, y: float, pot: Colour, green: Colour
) -> None:
    """A pot of daisies facing the camera."""
    tub = [(0.0, 0.0), (0.14, 0.0), (0.18, 0.26), (0.19, 0.28), (0.16, 0.28), (0.15, 0.24), (0.0, 0.24)]
    stage.add(g.lathe(tub).moved(x, y), plastic(pot, 0.2))
    leaf = g.leaf(0.3, 0.09, 0.5)
    leaves = [leaf.turned("x", float(rng.uniform(0, 30))).turned("z", 40.0 * k) for k in range(9)]
    petal = g.leaf(0.085, 0.05, 0.1)
    petals, hearts, stems = [], [], []
    for _ in range(11):
        dx, dy = float(rng.uniform(-0.24, 0.24)), float(rng.uniform(-0.16, 0.1))
        z = 0.34 + float(rng.uniform(0.0, 0.24)) - 0.5 * abs(dx)
        tilt = float(rng.uniform(-25, 15))
        for j in range(9):
            petals.append(petal.turned("y", 40.0 * j).turned("x", tilt).moved(x + dx, y + dy, 0.2 + z))
        hearts.append(g.sphere(0.032, 10).scaled(1, 0.6, 1).moved(x + dx, y + dy - 0.012, 0.2 + z))
        stems.append(g.tube([(x + 0.2 * dx, y, 0.24), (x + dx, y + dy + 0.01, 0.2 + z)], 0.007, 6))
    stage.add(g.merge_meshes([*[m.moved(x, y, 0.23) for m in leaves], *stems]), matte(shade(green, 0.8)))
    stage.add(g.merge_meshes(petals), matte((0.98, 0.97, 0.95)))
    stage.add(g.merge_meshes(hearts), matte(hsv(46, 0.85, 0.95)))


def _add_cereal(stage: Stage, rng: np.random.Generator, x: float, y: float, colour: Colour) -> None:
    """A bowl of milk with flakes on it."""
    add_bowl(stage, x, y, 0.27, colour, WHITE)
    flake = g.sphere(0.04, 10).scaled(1.0, 0.8, 0.35)
    flakes = []
    for _ in range(24):
        a, r = float(rng.uniform(0, 6.3)), 0.2 * float(np.sqrt(rng.uniform(0, 1)))
        tipped = flake.turned("x", float(rng.uniform(-30, 30))).turned("z", 57 * a)
        flakes.append(tipped.moved(x + r * float(np.cos(a)), y + r * float(np.sin(a)), 0.162))
    stage.add(g.merge_meshes(flakes), matte(hsv(36, 0.65, 0.86)))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Table and cloth by layout, pasture behind the table's far edge, breakfast at both sides."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    stage.add(g.quad(5.4, 3.0).moved(y=2.8, z=-0.75), light(_paint_pasture(rng, style), 0.92))
    boards = textures.wood(rng, style.floor, 5).swapaxes(0, 1).copy()
    stage.add(g.floor(9, -4, 1.15).moved(z=-0.012), plastic(boards, 0.35, (3.0, 2.0)))
    cells = textures.checks(style.prop, WHITE, 16)
    if style.layout == 0:
        stage.add(g.floor(5.0, -3.0, 1.15), matte(cells, (2.6, 2.2)))
    elif style.layout == 1:
        stage.add(g.floor(1.9, -0.95, 0.95).turned("z", 45 + side * 8), matte(cells))
    else:
        stage.add(g.floor(1.25, -3.0, 1.15).turned("z", side * 4), matte(cells, (0.7, 2.3)))
    if style.has("fence"):
        posts = []
        for k in range(16):
            tip = g.rounded_box(0.12, 0.038, 0.12, 0.01).turned("y", 45).moved(z=1.37)
            post = g.merge_meshes([g.rounded_box(0.17, 0.04, 1.45, 0.012), tip])
            posts.append(post.moved(-2.1 + 0.28 * k, 2.0, -1.0))
        rails = [g.rounded_box(5.0, 0.04, 0.1, 0.01).moved(0, 2.05, z) for z in (-0.4, 0.12)]
        stage.add(g.merge_meshes([*posts, *rails]), matte((0.96, 0.96, 0.95)))
    for k, name in enumerate(n for n in style.elements if n in BACK):
        at = side if k else -side
        if name == "churn":
            _add_churn(stage, 0.88 * at, 0.7, 0.8)
        elif name == "wheat":
            _add_wheat(stage, rng, 0.84 * at, 0.56, 0.62, mix(style.prop, WHITE, 0.75))
        else:
            _add_daisies(stage, rng, 0.84 * at, 0.6, mix(style.prop, WHITE, 0.3), style.accent)
    for k, name in enumerate(n for n in style.elements if n in FRONT):
        at = -side if k else side
        if name == "glass":
            _add_glass_of_milk(stage, 0.66 * at, 0.1, 0.4, style.wall)
        elif name == "biscuits":
            _add_biscuits(stage, rng, 0.72 * at, 0.1, at)
        else:
            _add_cereal(stage, rng, 0.7 * at, 0.04, mix(style.prop, WHITE, 0.6))
    add_key_light(stage, style, 9.0)


CATEGORY = Category(
    "milk carton", BRANDS, sample_style, build_product, dress, Framing((0.5, 0.62), (6, 10), (-34, 34))
)
