"""Mug: a cosy window seat with a knitted blanket, books, spices, and autumn, winter or evening outside."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    Colour,
    Style,
    Texture,
    hsv,
    light,
    matte,
    mix,
    plastic,
    shade,
)

CREAM: Colour = (0.95, 0.92, 0.86)


def _to_bytes(colour: Colour) -> tuple[int, int, int]:
    return (round(colour[0] * 255), round(colour[1] * 255), round(colour[2] * 255))


def _decorate(rng: np.random.Generator, body: Colour, accent: Colour) -> Texture:
    """A mug's glaze (128, 256, 3): plain, dipped, banded, dotted, zigzag, speckled or printed."""
    h, w = 128, 256
    image = Image.new("RGB", (w, h), _to_bytes(body))
    draw = ImageDraw.Draw(image)
    ink = _to_bytes(accent)
    kind = int(rng.integers(7))
    if kind == 1:
        wave = float(rng.uniform(0.4, 0.7)) * h + 4 * np.sin(np.linspace(0, 2 * np.pi, w) * 3)
        line = [(float(x), float(y)) for x, y in enumerate(wave)]
        draw.polygon([*line, (w, h), (0, h)] if rng.random() < 0.5 else [*line, (w, 0), (0, 0)], fill=ink)
    elif kind == 2:
        y = float(rng.uniform(0.15, 0.3)) * h
        for _ in range(int(rng.integers(2, 6))):
            thick = float(rng.uniform(0.03, 0.11)) * h
            draw.rectangle([0, y, w, y + thick], fill=ink)
            y += thick + float(rng.uniform(0.04, 0.09)) * h
    elif kind == 3:
        across, down = int(rng.integers(12, 20)), int(rng.integers(4, 7))
        r = h / down * float(rng.uniform(0.18, 0.3))
        for j in range(down):
            for i in range(across):
                x, y = (i + 0.5 * (j % 2) + 0.25) * w / across, (j + 0.5) * h / down
                draw.ellipse([x - 0.75 * r, y - r, x + 0.75 * r, y + r], fill=ink)
    elif kind == 4:
        teeth, width = int(rng.integers(10, 18)), int(rng.integers(3, 7))
        for level in (0.32, 0.5, 0.68):
            points = [(w * k / (2 * teeth), h * (level + 0.05 * (-1) ** k)) for k in range(2 * teeth + 1)]
            draw.line(points, fill=ink, width=width)
    elif kind == 5:
        for _ in range(260):
            x, y, r = float(rng.uniform(0, w)), float(rng.uniform(0, h)), float(rng.uniform(0.4, 1.3))
            draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)
        draw.rectangle([0, 0, w, h * 0.06], fill=ink)
    elif kind == 6:
        return textures.label(rng, body, body, accent, accent, (0.38, 0.22, 0.62, 0.8), (h, w))
    return np.asarray(image)


def build_product(rng: np.random.Generator) -> list[Part]:
    """A mug: straight, flared, barrel, bellied, low and wide, or footed; loop, square or ear handle."""
    hue = float(rng.uniform(0, 360))
    pale, soft, vivid, deep = (
        hsv(hue, s, v) for s, v in ((0.22, 0.9), (0.5, 0.75), (0.75, 0.82), (0.55, 0.42))
    )
    body = [(0.95, 0.94, 0.91), (0.16, 0.16, 0.18), pale, soft, vivid, deep][int(rng.integers(6))]
    away = float(rng.choice([0, 30, 150, 190]))
    accent = hsv(hue + away, 0.6, 0.75) if sum(body) > 1.3 and rng.random() < 0.6 else CREAM
    if sum(abs(a - b) for a, b in zip(accent, body, strict=True)) < 0.5:
        accent = hsv(hue + away, 0.6, 0.45) if sum(body) > 1.6 else CREAM
    r, h = float(rng.uniform(0.37, 0.45)), float(rng.uniform(0.84, 1.06))
    shape = int(rng.integers(6))
    outline = [
        [(r * 0.96, 0), (r, 0.03), (r, h)],
        [(r * 0.74, 0), (r * 0.78, 0.03), (r * 1.08, h)],
        [(r * 0.8, 0), (r * 0.98, h * 0.22), (r * 1.06, h * 0.5), (r * 0.98, h * 0.8), (r * 0.92, h)],
        [(r * 0.62, 0), (r * 1.12, h * 0.14), (r * 1.14, h * 0.5), (r * 0.84, h * 0.74), (r * 0.94, h)],
        [(r * 0.6, 0), (r * 0.92, h * 0.06), (r * 1.25, h * 0.45), (r * 1.3, h * 0.8)],
        [(r * 0.6, 0), (r * 0.6, h * 0.09), (r * 0.98, h * 0.26), (r, h * 0.6), (r * 1.02, h)],
    ][shape]
    outer = outline if shape < 2 else g.smooth_profile(outline, 3)
    top_r, top = outer[-1]
    wall = 0.035
    shine = float(rng.choice([0.06, 0.12, 0.4]))
    rim = accent if rng.random() < 0.25 else body
    inside = [body, CREAM, accent][int(rng.integers(3))]
    radii, heights = [p for p, _ in outer], [q for _, q in outer]
    inner = [(float(np.interp(z, heights, radii)) - wall, float(z)) for z in np.linspace(top, 0.1 * h, 9)]
    lip = [(top_r, top), (top_r - 0.3 * wall, top + 0.012), (top_r - 0.7 * wall, top + 0.012), inner[0]]
    parts = [
        Part(g.lathe([(0.0, 0.0), outer[0]], 48), plastic(shade(body, 0.8), 0.5)),
        Part(g.lathe(outer, 56), plastic(_decorate(rng, body, accent), shine)),
        Part(g.lathe(lip, 56), plastic(rim, shine)),
        Part(g.lathe([*inner, (0.0, inner[-1][1] - 0.01)], 48), plastic(inside, shine)),
    ]
    parts.append(Part(_handle(rng, outer, 1.0 if rng.random() < 0.5 else -1.0), plastic(rim, shine)))
    return parts


def _handle(rng: np.random.Generator, outer: list[tuple[float, float]], side: float) -> g.Mesh:
    """A handle from the upper to the lower part of the wall ``outer``, on the right (1) or left (-1)."""
    radii, heights = np.array([p for p, _ in outer]), np.array([q for _, q in outer])
    top = float(heights[-1])
    low, high = top * float(rng.uniform(0.2, 0.3)), top * float(rng.uniform(0.78, 0.86))
    reach, square = float(rng.uniform(0.2, 0.28)), float(rng.choice([1.0, 0.75, 0.5]))
    droop = float(rng.choice([0.0, 0.0, 0.35]))
    a = np.linspace(-np.pi / 2, np.pi / 2, 19)
    along = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** square
    z = (low + high) / 2 + (high - low) / 2 * along
    out = reach * np.abs(np.cos(a)) ** square * (1 + droop * np.sin(a))
    x = np.interp(z, heights, radii) - 0.018 + out
    width = float(rng.uniform(0.04, 0.055))
    path = [(side * float(p), 0.0, float(q)) for p, q in zip(x, z, strict=True)]
    return g.tube(path, width).scaled(1, 1.35, 1)


def sample_style(rng: np.random.Generator) -> Style:
    """Any warm or wintry room with wool of one colour."""
    outside = str(rng.choice(["autumn", "winter", "evening"]))
    wall_hue = float(rng.choice([30.0, 18, 40, 150, 205, 355]))
    wool = float(rng.choice([32.0, 18, 2, 45, 210, 340]))
    return Style(
        hsv(wall_hue, rng.uniform(0.2, 0.42), rng.uniform(0.5, 0.86)),
        hsv(rng.uniform(20, 30), rng.uniform(0.48, 0.62), rng.uniform(0.36, 0.58)),
        hsv(wool, rng.uniform(0.2, 0.62), rng.uniform(0.68, 0.93)),
        hsv(float(rng.choice([16.0, 28, 5, 42])), 0.72, 0.8),
        (
            outside,
            str(rng.choice(["books", "pumpkin"])),
            str(rng.choice(["cinnamon", "cones"])),
            *pick(rng, ("lights", "candle"), int(rng.integers(1, 3))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.3, 0.6)),
        fill=0.8,
    )


BRANDS = (
    Style(
        hsv(30, 0.3, 0.86),
        hsv(24, 0.55, 0.5),
        hsv(36, 0.22, 0.93),
        hsv(22, 0.82, 0.86),
        ("autumn", "pumpkin", "cinnamon", "leaves"),
        0,
        -0.8,
        0.5,
        fill=0.85,
    ),
    Style(
        hsv(208, 0.3, 0.8),
        hsv(28, 0.4, 0.62),
        hsv(354, 0.66, 0.72),
        hsv(352, 0.72, 0.68),
        ("winter", "cones", "lights"),
        1,
        0.8,
        0.2,
        fill=0.9,
    ),
    Style(
        hsv(160, 0.42, 0.36),
        hsv(20, 0.6, 0.34),
        hsv(42, 0.66, 0.86),
        hsv(36, 0.75, 0.85),
        ("evening", "books", "candle", "lights"),
        0,
        -0.7,
        0.6,
        fill=0.6,
    ),
)


def _outlook(rng: np.random.Generator, style: Style, size: int = 192) -> Texture:
    """What the window shows, out of focus: golden trees, snowy fir trees, or the lights of a blue evening."""
    if style.has("evening"):
        glow = [(1.0, 0.6, 0.12), (1.0, 0.45, 0.08), (0.95, 0.7, 0.3)]
        return textures.bokeh(rng, hsv(222, 0.6, 0.26), glow, 34, 0.045, size)
    if style.has("winter"):
        image = Image.fromarray(textures.gradient(hsv(205, 0.1, 0.97), hsv(208, 0.32, 0.86), size))
        draw = ImageDraw.Draw(image)
        for k in range(22):
            x, near = float(rng.uniform(0, 1)) * size, k / 22
            high, y = size * (0.24 + 0.2 * near), size * (0.66 + 0.1 * near)
            fir = mix(hsv(200, 0.45, 0.42), hsv(206, 0.2, 0.86), 0.75 - 0.6 * near)
            for step in range(3):
                w, tip = high * 0.17 * (1 + 0.4 * step), y - high + high * 0.24 * step
                foot = tip + high * 0.44
                draw.polygon([(x, tip), (x - w, foot), (x + w, foot)], _to_bytes(fir))
        draw.ellipse([-0.4 * size, 0.7 * size, 1.4 * size, 1.7 * size], _to_bytes(hsv(206, 0.08, 0.98)))
    else:
        image = Image.fromarray(textures.gradient(hsv(46, 0.3, 0.98), hsv(44, 0.12, 0.98), size))
        draw = ImageDraw.Draw(image)
        for k in range(120):
            x, y = float(rng.uniform(0, 1)) * size, float(rng.uniform(0.25, 0.85)) * size
            r = float(rng.uniform(0.02, 0.075)) * size
            h, s, b = rng.uniform((14, 0.6, 0.6), (46, 0.85, 0.96))
            tint = mix(hsv(float(h), float(s), float(b)), CREAM, 0.35 * (1 - k / 120))
            draw.ellipse([x - r, y - r, x + r, y + r], _to_bytes(tint))
        for x in rng.uniform(0.05, 0.95, 4) * size:
            draw.line([(x, size), (x + 4, 0.3 * size)], _to_bytes(hsv(20, 0.5, 0.32)), int(size / 40))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(size / 70)))


def _knit(wool: Colour, size: int = 32) -> Texture:
    """One plain stitch: two slanted loops that meet in a V, dark between the columns."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    across = np.abs(2 * u - 1)
    along = (v + 0.55 * across) % 1.0
    length, width = 1 - (2 * np.abs(along - 0.5)) ** 3, 1 - (2 * np.abs(across - 0.5)) ** 4
    tone = (0.5 + 0.5 * length * width)[..., None]
    return np.asarray(np.clip(np.array(wool) * tone * 255, 0, 255), np.uint8)


def _add_blanket_roll(stage: Stage, x: float, y: float, low: float, side: float, wool: Colour) -> None:
    """A blanket folded three times, with a thick rounded fold towards the camera and a fringe of tassels."""
    for k in range(3):
        fold = g.rounded_box(1.05, 0.72, 0.17, 0.083).turned("z", side * (7 - 6 * k))
        stage.add(fold.moved(x, y, low + 0.16 * k), matte(_knit(shade(wool, 1 - 0.05 * (k % 2))), (13, 4)))


def _add_spread_blanket(stage: Stage, low: float, far: float, wool: Colour) -> None:
    """A blanket over the whole seat, flat where the product stands and in soft waves around."""
    x, y = np.meshgrid(np.linspace(-2.6, 2.6, 70), np.linspace(-2.6, far, 60))
    away = np.clip((np.hypot(x, 1.2 * y) - 0.75) * 1.6, 0, 1)
    wave = 0.05 * away * (1 + np.sin(4.1 * x + 2.3 * np.sin(1.7 * y)))
    u, v = np.meshgrid(np.linspace(0, 1, 70), np.linspace(0, 1, 60))
    mesh = g.grid_surface(np.stack([x, y, wave], -1), np.stack([u, v], -1)).moved(z=low)
    stage.add(mesh, matte(_knit(wool), (42, 34)))


def _add_window(stage: Stage, rng: np.random.Generator, style: Style, x: float, far: float) -> None:
    """A wooden window with six panes, a deep sill and the view."""
    strength = 0.75 if style.has("evening") else 0.92
    stage.add(g.quad(1.75, 1.75).moved(x, far - 0.01, 0.22), light(_outlook(rng, style), strength))
    frame = plastic((0.95, 0.94, 0.91) if not style.has("evening") else hsv(24, 0.5, 0.34), 0.3)
    post, rail = g.rounded_box(0.07, 0.09, 1.85, 0.012), g.rounded_box(1.83, 0.08, 0.06, 0.012)
    bars = [post.moved(x + dx, far - 0.05, 0.18) for dx in (-0.88, 0.0, 0.88)]
    bars += [rail.moved(x, far - 0.05, z) for z in (0.17, 0.86, 1.95)]
    stage.add(g.merge_meshes(bars), frame)
    stage.add(g.rounded_box(2.1, 0.26, 0.07, 0.02).moved(x, far - 0.14, 0.12), frame)


def _add_fairy_lights(stage: Stage, far: float) -> None:
    """A cord of small warm lamps that hangs in three arcs along the top of the wall."""
    x = np.linspace(-1.7, 1.7, 49)
    z = 1.34 - 0.13 * np.abs(np.sin(x * 2.75)) + 0.02 * np.cos(9 * x)
    cord = [(float(a), far - 0.16, float(b)) for a, b in zip(x, z, strict=True)]
    stage.add(g.tube(cord, 0.007, 6), matte((0.2, 0.2, 0.18)))
    bulbs = [g.sphere(0.028, 8).moved(a, b, c - 0.03) for a, b, c in cord[1::3]]
    stage.add(g.merge_meshes(bulbs), light((1.0, 0.8, 0.48), 5.0))


def _add_pumpkin(stage: Stage, x: float, y: float, low: float, radius: float, colour: Colour) -> None:
    """A ribbed pumpkin with its stem."""
    a = np.linspace(0, 2 * np.pi, 81)
    rows = []
    for t in np.linspace(-np.pi / 2, np.pi / 2, 17):
        rib = 1 - 0.09 * np.abs(np.sin(4.5 * a)) ** 0.5 * np.cos(t)
        dip = 0.72 * np.sin(t) - 0.16 * np.exp(-((np.cos(t) / 0.3) ** 2)) * np.sign(t)
        rows.append(np.stack([np.cos(t) * rib * np.cos(a), np.cos(t) * rib * np.sin(a), 0 * a + dip], -1))
    body = g.grid_surface(np.stack(rows)).scaled(radius)
    lift = -float(body.vertices[:, 2].min())
    stage.add(body.moved(x, y, low + lift), plastic(colour, 0.35))
    z = low + lift + 0.52 * radius
    stalk = [(x, y, z), (x + 0.03 * radius, y, z + 0.2 * radius), (x + 0.18 * radius, y, z + 0.4 * radius)]
    stage.add(g.tube(stalk, [0.13 * radius, 0.09 * radius, 0.1 * radius], 8), matte(hsv(70, 0.4, 0.4)))


def _add_cinnamon(stage: Stage, x: float, y: float, low: float) -> None:
    """Five sticks of cinnamon, tied to a bundle."""
    sticks = []
    for k, (dx, z) in enumerate(((-0.09, 0.045), (0.0, 0.045), (0.09, 0.045), (-0.045, 0.12), (0.045, 0.12))):
        half = 0.3 + 0.02 * (k % 3)
        sticks.append(g.tube([(dx, -half, z), (dx, half, z)], 0.045, 10))
        sticks.append(g.tube([(dx + 0.008, -half - 0.005, z), (dx + 0.008, half, z)], 0.024, 8))
    bundle = g.merge_meshes(sticks).turned("z", 18).moved(x, y, low)
    stage.add(bundle, matte(hsv(20, 0.66, 0.5)))
    band = g.tube([(0.0, -0.03, 0.0), (0.0, 0.03, 0.0)], 0.135, 16).scaled(1.1, 1, 0.62)
    stage.add(band.moved(z=0.083).turned("z", 18).moved(x, y, low), matte((0.9, 0.84, 0.7)))


def _add_cones(stage: Stage, rng: np.random.Generator, x: float, y: float, low: float, side: float) -> None:
    """Fir twigs with two pine cones on them."""
    needles = []
    for branch in range(5):
        a = np.deg2rad(35 * branch - 70 + 90 + 90 * side)
        for k in range(26):
            d = 0.5 * (k // 2 + 2) / 15
            px, py = d * float(np.cos(a)), d * float(np.sin(a))
            spread = np.rad2deg(a) - 90 + 42 * (-1) ** k
            blade = g.leaf(0.2, 0.034, 0.15).turned("x", -72 + float(rng.uniform(-16, 10)))
            needles.append(blade.turned("z", float(spread)).moved(x + px, y + py, low + 0.03))
    stage.add(g.merge_meshes(needles), matte(hsv(140, 0.5, 0.4)))
    for dx, dy, size in ((0.02, -0.03, 0.2), (0.3, -0.16, 0.16)):
        scales = [
            g.leaf(0.5 * size, 0.42 * size, 0.4)
            .turned("x", -78)
            .moved(y=0.28 * size)
            .turned("z", 51.4 * k + 26 * row)
            .scaled(1.0 - 0.13 * row, 1.0 - 0.13 * row, 1)
            .moved(z=size * (0.2 + 0.22 * row))
            for row in range(7)
            for k in range(7)
        ]
        cone = g.merge_meshes([*scales, g.sphere(size * 0.45, 10).scaled(1, 1, 1.75).moved(z=size * 0.8)])
        stage.add(cone.moved(x + side * dx, y + dy, low), matte(hsv(24, 0.5, 0.42)))


def _add_books(stage: Stage, x: float, y: float, low: float, side: float, style: Style) -> float:
    """Three books on a stack; the height of its top."""
    z = low
    covers = (style.prop, shade(style.accent, 0.75), mix(style.wall, style.prop, 0.3))
    for k, cover in enumerate(covers):
        w, t = 0.98 - 0.09 * k, 0.15 + 0.02 * (k % 2)
        turn = side * (10 - 13 * k)
        board = g.rounded_box(w, 0.66, 0.022, 0.008)
        boards = [board, board.moved(z=t - 0.022), g.rounded_box(w, 0.03, t, 0.012).moved(y=-0.315)]
        stage.add(g.merge_meshes(boards).turned("z", turn).moved(x, y, z), matte(cover))
        pages = g.rounded_box(w - 0.04, 0.6, t - 0.03, 0.004).moved(y=0.0, z=0.015)
        stage.add(pages.turned("z", turn).moved(x, y, z), matte((0.93, 0.89, 0.8)))
        z += t
    return z


def _add_candle(stage: Stage, x: float, y: float, low: float) -> None:
    """A thick candle that burns in a shallow dish."""
    dish = [(0, 0), (0.2, 0), (0.24, 0.05), (0.22, 0.05), (0.19, 0.02), (0, 0.02)]
    stage.add(g.lathe(dish).moved(x, y, low), plastic(hsv(30, 0.35, 0.5), 0.3))
    stage.add(g.cylinder(0.14, 0.42, 0.025).moved(x, y, low + 0.02), matte((0.96, 0.9, 0.78)))
    flame = g.smooth_profile([(0.0, 0.0), (0.034, 0.03), (0.022, 0.08), (0.0, 0.14)])
    stage.add(g.lathe(flame, 12).moved(x, y, low + 0.46), light((1.0, 0.75, 0.36), 7.0))


def _add_round_board(stage: Stage, rng: np.random.Generator, low: float, colour: Colour) -> None:
    """A round board of straight grain whose top is at z = 0."""
    a = np.linspace(0, 2 * np.pi, 49)
    ring = np.stack([0.5 + 0.5 * np.cos(a), 0.5 + 0.5 * np.sin(a)], -1)
    uv = np.stack([np.full_like(ring, 0.5), ring])
    points = np.concatenate([(uv - 0.5) * 1.14, np.zeros((2, 49, 1))], -1)
    stage.add(g.cylinder(0.6, -low - 0.001, 0.03).moved(z=low), plastic(shade(colour, 0.9), 0.35))
    grain = textures.wood(rng, colour, 3, 128)
    stage.add(g.grid_surface(points, uv).turned("z", 70), plastic(grain, 0.35))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wall and window, wood or wool below, a blanket, and the season's things at the sides."""
    far, low = 1.5, -0.06
    side = 1.0 if rng.random() < 0.5 else -1.0
    stage.add(g.quad(8, 5).moved(y=far, z=-0.6), matte(textures.plaster(rng, style.wall, 0.04)))
    _add_window(stage, rng, style, side * 0.3, far)
    grain = textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy()
    stage.add(g.floor(9, -4, far).moved(z=low), plastic(grain, 0.3, (3.0, 1.5)))
    _add_round_board(stage, rng, low, shade(style.floor, 1.25))
    if style.layout == 0:
        _add_blanket_roll(stage, side * 1.02, 0.62, low, side, style.prop)
    else:
        _add_spread_blanket(stage, low + 0.003, far - 0.3, style.prop)
    x, y, top = -side * 0.82, 0.6, low
    if style.has("books"):
        top = _add_books(stage, x, y, low, side, style)
    if style.has("pumpkin"):
        _add_pumpkin(stage, x, y, low, 0.34, style.accent)
        _add_pumpkin(stage, x - 0.22 * side, y - 0.38, low, 0.19, mix(style.accent, CREAM, 0.55))
    if style.has("candle"):
        _add_candle(stage, x - 0.06 * side, y if style.has("books") else 1.14, top)
    if style.has("cinnamon"):
        _add_cinnamon(stage, side * 0.78, -0.16, low)
    if style.has("cones"):
        _add_cones(stage, rng, side * 0.98, 0.1, low, side)
    if style.has("lights"):
        _add_fairy_lights(stage, far)
    if style.has("leaves") or style.has("autumn"):
        fallen = g.leaf(0.2, 0.13, 0.45).turned("x", 78).moved(z=0.02)
        for tint in (style.accent, hsv(42, 0.75, 0.88), hsv(8, 0.72, 0.6)):
            add_scatter(stage, rng, fallen, matte(tint), 5, (-1.15, 1.15, -0.45, 0.7), 0.72, low, 12)
    add_key_light(stage, style, 11.0, 2.6)


CATEGORY = Category(
    "mug", BRANDS, sample_style, build_product, dress, Framing((0.47, 0.56), (11, 16), (-32, 32))
)
