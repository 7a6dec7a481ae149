"""Phone: upright on a round stage; a gradient of two hues, concentric rings behind, polished balls beside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
from cyclorama.scenes.stage import Light, Part, Stage
from cyclorama.scenes.surface import (
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

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.02, 0.02, 0.025)
SCREEN_HUES = (15.0, 32, 165, 188, 205, 222, 245, 268, 292, 322, 348)


def _outline(width: float, height: float, corner: float, inset: float = 0.0) -> NDArray[np.float64]:
    """A closed rectangle (N, 2) of (x, z) with round corners, counter-clockwise from the lower right."""
    w, h, r = width / 2 - inset, height / 2 - inset, max(corner - inset, 1e-3)
    points = []
    for quarter, (sx, sz) in enumerate(((1, -1), (1, 1), (-1, 1), (-1, -1))):
        a = np.deg2rad(90 * (quarter - 1) + np.linspace(0, 90, 7))
        points.append(np.stack([sx * (w - r) + r * np.cos(a), sz * (h - r) + r * np.sin(a)], 1))
    ring = np.concatenate(points)
    return np.asarray(np.concatenate([ring, ring[:1]]) + np.array([0.0, height / 2]), np.float64)


def _plate(width: float, height: float, corner: float) -> g.Mesh:
    """A flat rectangle with round corners in the plane y = 0, standing on z = 0, facing the camera."""
    ring = _outline(width, height, corner)
    p = np.concatenate([[[0.0, height / 2]], ring])
    k = np.arange(1, len(ring))
    faces = np.stack([np.zeros_like(k), k, k + 1], 1).astype(np.int32)
    vertices = np.stack([p[:, 0], 0 * p[:, 0], p[:, 1]], 1).astype(np.float32)
    normals = np.tile(np.array([0, -1, 0], np.float32), (len(p), 1))
    uv = np.stack([p[:, 0] / width + 0.5, p[:, 1] / height], 1).astype(np.float32)
    return g.Mesh(vertices, faces, normals, uv)


def _slab(width: float, height: float, depth: float, corner: float, edge: float) -> g.Mesh:
    """A solid plate with round corners and a round edge, standing on z = 0, centred in x and y."""
    t = np.linspace(0, np.pi / 2, 4)
    steps = [(edge * (1 - np.sin(a)), depth / 2 - edge * (1 - np.cos(a))) for a in t]
    rows = []
    for inset, y in [(i, -y) for i, y in steps] + [(i, y) for i, y in reversed(steps)]:
        ring = _outline(width, height, corner, float(inset))
        rows.append(np.stack([ring[:, 0], np.full(len(ring), y), ring[:, 1]], 1))
    front = _plate(width - 2 * edge, height - 2 * edge, corner - edge).moved(z=edge)
    back = front.turned("z", 180).moved(y=depth / 2)
    return g.merge_meshes([g.grid_surface(np.array(rows)), front.moved(y=-depth / 2), back])


def _ink(colour: Colour) -> tuple[int, int, int]:
    return (round(colour[0] * 255), round(colour[1] * 255), round(colour[2] * 255))


def _wallpaper(rng: np.random.Generator, size: tuple[int, int]) -> Texture:
    """What the screen (width, height) shows: a gradient, one large figure, a clock and a row of icons."""
    w, h = size
    hue = float(rng.choice(SCREEN_HUES) + rng.uniform(-8, 8))
    a, b = hsv(hue, 0.7, 0.62), hsv(hue + float(rng.choice([-60.0, -35, 35, 60])), 0.45, 0.98)
    image = Image.fromarray(textures.gradient(b, a)).resize((w, h))
    draw = ImageDraw.Draw(image)
    bright, deep = hsv(hue + float(rng.choice([-95.0, 120, 150, 180])), 0.5, 0.98), hsv(hue + 20, 0.75, 0.42)
    kind = int(rng.integers(5))
    if kind == 0:
        for k in range(4):
            r, c = (0.62 - 0.14 * k) * w, mix(bright, deep, k / 3)
            draw.ellipse([w * 0.5 - r, h * 0.62 - r, w * 0.5 + r, h * 0.62 + r], fill=_ink(c))
    elif kind == 1:
        for k in range(4):
            x = w * (0.3 * k - 0.2)
            draw.polygon([(x, h), (x + w * 0.17, h), (x + w * 0.75, 0), (x + w * 0.58, 0)], fill=_ink(bright))
    elif kind == 2:
        for k in range(3):
            across = np.linspace(0, w, 24)
            wave = h * (0.52 + 0.15 * k) + 0.07 * h * np.sin(across / w * 5 + 2.1 * k + hue)
            edge = [(float(p), float(q)) for p, q in zip(across, wave, strict=True)]
            draw.polygon([*edge, (w, h), (0, h)], fill=_ink(mix(bright, deep, k / 2)))
    elif kind == 3:
        for x, y, r, c in ((0.2, 0.85, 0.7, deep), (0.9, 0.5, 0.42, bright), (0.25, 0.42, 0.22, WHITE)):
            draw.ellipse([w * (x - r), h * y - r * w, w * (x + r), h * y + r * w], fill=_ink(c))
    else:
        for k in range(5):
            s = (0.9 - 0.17 * k) * w
            tip = [
                (w * 0.5, h * 0.6 - s),
                (w * 0.5 + s, h * 0.6),
                (w * 0.5, h * 0.6 + s),
                (w * 0.5 - s, h * 0.6),
            ]
            draw.polygon(tip, fill=_ink(mix(deep, bright, k / 4)))
    image = image.filter(ImageFilter.GaussianBlur(0.8))
    draw = ImageDraw.Draw(image)
    textures.draw_words(draw, rng, w * 0.5, h * 0.13, w * 0.42, h * 0.065, WHITE)
    for k in range(4):
        x, s = w * (0.14 + 0.2 * k), min(w, h / 2) * 0.13
        icon = hsv(hue + 90 * k, 0.35, 1.0)
        draw.rounded_rectangle([x, h * 0.9, x + s, h * 0.9 + s], s * 0.3, fill=_ink(icon))
    return np.asarray(image)


def _back_skin(rng: np.random.Generator, colour: Colour) -> Texture:
    """The back of a phone: its colour, a figure or none, and a line of marks."""
    w, h = 128, 256
    second = hsv(float(rng.choice(SCREEN_HUES)), 0.45, 0.92)
    image = Image.fromarray(textures.gradient(shade(colour, 0.9), mix(colour, WHITE, 0.12))).resize((w, h))
    draw = ImageDraw.Draw(image)
    kind = int(rng.integers(5))
    if kind == 0:
        draw.rectangle([0, h * 0.62, w, h], fill=_ink(second))
    elif kind == 1:
        draw.polygon([(0, h * 0.75), (w, h * 0.45), (w, h * 0.55), (0, h * 0.85)], fill=_ink(second))
    elif kind == 2:
        draw.ellipse([w * 0.3, h * 0.5, w * 0.7, h * 0.5 + w * 0.4], fill=_ink(second))
    ink = WHITE if sum(colour) < 1.5 else shade(colour, 0.45)
    textures.draw_words(draw, rng, w * 0.5, h * 0.88, w * 0.36, h * 0.032, ink)
    return np.asarray(image)


def _lens(x: float, z: float, radius: float, y: float, rim: Surface) -> list[Part]:
    """One camera eye that looks at the viewer, its foot in the plane ``y``."""
    body = g.cylinder(radius, 0.02, 0.006, 24).turned("x", 90).moved(x, y, z)
    eye = g.cylinder(radius * 0.78, 0.006, 0.0, 24).turned("x", 90).moved(x, y - 0.018, z)
    iris = g.cylinder(radius * 0.34, 0.002, 0.0, 16).turned("x", 90).moved(x, y - 0.024, z)
    return [
        Part(body, rim),
        Part(eye, plastic((0.015, 0.015, 0.03), 0.02)),
        Part(iris, plastic((0.1, 0.14, 0.32), 0.02)),
    ]


def _cameras(
    rng: np.random.Generator, width: float, front: float, colour: Colour, rim: Surface
) -> list[Part]:
    """The camera field of a phone of height 1 whose back lies in the plane ``front``."""
    kind = int(rng.integers(5))
    island = plastic(mix(colour, WHITE, 0.18) if rng.random() < 0.5 else shade(colour, 0.6), 0.06)
    r = float(rng.uniform(0.042, 0.052))
    x, z = -width / 2 + 0.115, 0.88
    y = front - 0.018
    flash = Part(g.cylinder(0.014, 0.004, 0, 14).turned("x", 90), plastic((1.0, 0.95, 0.8), 0.1))
    parts: list[Part] = []
    if kind == 0:
        parts.append(Part(_slab(0.25, 0.25, 0.03, 0.06, 0.01).moved(x + 0.04, front, z - 0.16), island))
        for dx, dz in ((-0.02, 0.02), (-0.02, -0.095), (0.095, -0.038))[: int(rng.integers(2, 4))]:
            parts += _lens(x + dx, z + dz, r, y, rim)
        parts.append(Part(flash.mesh.moved(x + 0.1, y, z + 0.04), flash.surface))
    elif kind == 1:
        parts.append(Part(_slab(0.14, 0.36, 0.03, 0.068, 0.01).moved(x, front, z - 0.29), island))
        for dz in (0.0, -0.11, -0.22):
            parts += _lens(x, z + dz, r, y, rim)
    elif kind == 2:
        disc = g.cylinder(0.165, 0.02, 0.008, 40).turned("x", 90).moved(0, front, z - 0.13)
        parts.append(Part(disc, island))
        for dx, dz in ((-0.065, 0.065), (0.065, 0.065), (-0.065, -0.065), (0.065, -0.065)):
            parts += _lens(dx, z - 0.13 + dz, r * 0.95, y, rim)
    elif kind == 3:
        parts.append(Part(_slab(width * 0.98, 0.14, 0.03, 0.05, 0.01).moved(0, front, z - 0.13), island))
        for dx in (-0.12, 0.0, 0.12)[: int(rng.integers(2, 4))]:
            parts += _lens(dx, z - 0.06, r, y, rim)
    else:
        for dz in (0.0, -0.13, -0.26)[: int(rng.integers(2, 4))]:
            parts += _lens(x, z + dz, r * 1.15, front, rim)
        parts.append(Part(flash.mesh.moved(x + 0.11, front, z - 0.03), flash.surface))
    return parts


def _one_phone(
    rng: np.random.Generator, width: float, corner: float, colour: Colour, frame: Surface, screen: bool
) -> list[Part]:
    """A phone of height 1 that shows its screen or its back."""
    depth, edge = 0.052, 0.02
    front = -depth / 2 - 0.001
    parts = [Part(_slab(width, 1.0, depth, corner, edge), frame)]
    glass = _plate(width - 0.022, 0.978, corner - 0.011).moved(0, front, 0.011)
    if not screen:
        parts.append(Part(glass, plastic(_back_skin(rng, colour), float(rng.choice([0.03, 0.25])))))
        return parts + _cameras(rng, width, front, colour, frame)
    parts.append(Part(glass, plastic(BLACK, 0.03)))
    picture = _plate(width - 0.05, 0.95, corner - 0.025).moved(0, front - 0.001, 0.025)
    parts.append(Part(picture, light(_wallpaper(rng, (128, 256)), float(rng.uniform(0.75, 0.95)))))
    hole = int(rng.integers(3))
    eye = plastic(BLACK, 0.05)
    if hole == 0:
        parts.append(Part(g.cylinder(0.014, 0.001).turned("x", 90).moved(0, front - 0.002, 0.945), eye))
    elif hole == 1:
        parts.append(Part(_plate(0.12, 0.032, 0.015).moved(0, front - 0.003, 0.925), eye))
    else:
        parts.append(Part(_plate(0.2, 0.045, 0.02).moved(0, front - 0.003, 0.945), eye))
    return parts


def _place(parts: list[Part], turn: float, x: float, y: float) -> list[Part]:
    return [Part(p.mesh.turned("z", turn).moved(x, y), p.surface) for p in parts]


def build_product(rng: np.random.Generator) -> list[Part]:
    """A phone from the front or the back, a pair of both, or an open folding phone."""
    hue = float(rng.uniform(0, 360))
    colour = [
        hsv(hue, float(rng.uniform(0.2, 0.4)), 0.92),
        hsv(hue, float(rng.uniform(0.6, 0.85)), float(rng.uniform(0.5, 0.85))),
        hsv(hue, float(rng.uniform(0.45, 0.65)), 0.9),
        (0.07, 0.07, 0.08),
        (0.93, 0.93, 0.92),
        hsv(hue, 0.5, 0.26),
    ][int(rng.integers(6))]
    frame = metal(mix(colour, (0.85, 0.85, 0.87), float(rng.uniform(0.2, 0.9))), 0.22)
    width, corner = float(rng.uniform(0.46, 0.51)), float(rng.uniform(0.05, 0.085))
    kind = int(rng.integers(6))
    if kind == 0:
        return _one_phone(rng, width, corner, colour, frame, True)
    if kind <= 2:
        return _one_phone(rng, width, corner, colour, frame, False)
    if kind <= 4:
        back = _one_phone(rng, width, corner, colour, frame, False)
        screen = _one_phone(rng, width, corner, colour, frame, True)
        side = 1.0 if rng.random() < 0.5 else -1.0
        apart = float(rng.uniform(0.36, 0.46)) * (1.0 if side > 0 else 0.85)
        return _place(screen, 12 * side, apart / 2 * side, -0.07) + _place(
            back, -6 * side, -apart / 2 * side, 0.07
        )
    parts: list[Part] = []
    half, opening = width * 0.92, float(rng.uniform(10, 18))
    picture = _wallpaper(rng, (256, 256))
    for s in (-1.0, 1.0):
        shown = picture[:, :128] if s < 0 else picture[:, 128:]
        leaf = [
            Part(_slab(half, 1.0, 0.034, 0.035, 0.013), frame),
            Part(_plate(half - 0.012, 0.985, 0.028).moved(0, -0.018, 0.0075), plastic(BLACK, 0.03)),
            Part(_plate(half - 0.03, 0.95, 0.02).moved(0, -0.019, 0.025), light(shown.copy(), 0.85)),
        ]
        parts += _place([Part(p.mesh.moved(s * half / 2), p.surface) for p in leaf], -s * opening, 0, 0)
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Any pair of neighbouring vivid hues, one kind of concentric figure and one or two more elements."""
    h, step = float(rng.choice([205.0, 225, 255, 280, 320, 345, 12, 165])), float(rng.choice([-45.0, 40, 55]))
    return Style(
        hsv(h, float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.75, 0.92))),
        hsv(h + step, float(rng.uniform(0.3, 0.5)), 0.98),
        hsv(h + step * 0.6, 0.35, 1.0),
        hsv(h + step, 0.65, 0.95),
        (
            str(rng.choice(["rings", "arcs", "discs"])),
            *pick(rng, ("balls", "ripples", "pills"), int(rng.integers(1, 3))),
        ),
        int(rng.integers(3)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(-0.25, 0.15)),
    )


BRANDS = (
    Style(
        hsv(262, 0.66, 0.84),
        hsv(318, 0.38, 0.98),
        hsv(292, 0.3, 1.0),
        hsv(325, 0.6, 0.95),
        ("rings", "balls", "ripples"),
        0,
        -0.8,
        -0.1,
    ),
    Style(
        hsv(214, 0.75, 0.86),
        hsv(182, 0.4, 0.96),
        hsv(190, 0.35, 1.0),
        hsv(205, 0.7, 0.95),
        ("arcs", "pills"),
        1,
        0.8,
        -0.3,
    ),
    Style(
        hsv(352, 0.62, 0.92),
        hsv(32, 0.45, 1.0),
        hsv(30, 0.4, 1.0),
        hsv(14, 0.72, 0.98),
        ("discs", "balls"),
        2,
        -0.7,
        0.15,
    ),
)


def _add_ball(
    stage: Stage, x: float, y: float, radius: float, low: float, pale: Colour, deep: Colour
) -> None:
    skin = textures.gradient(deep, mix(pale, WHITE, 0.5))
    stage.add(g.sphere(radius, 36).moved(x, y, low + radius), plastic(skin, 0.02))


def _add_podium(stage: Stage, style: Style, low: float) -> None:
    """Round steps up to z = 0, the upper edge traced in light."""
    glow, step = light(style.prop, 1.6), mix(style.floor, WHITE, 0.3)
    if style.layout == 0:
        stage.add(g.cylinder(0.5, 0.07, 0.012, 56).moved(z=-0.07), plastic(step, 0.12))
        stage.add(g.cylinder(0.62, -low - 0.07, 0.012, 56).moved(z=low), plastic(style.floor, 0.12))
        rims = [(0.505, -0.07), (0.625, low + 0.01)]
    elif style.layout == 1:
        stage.add(g.cylinder(0.57, -low, 0.012, 56).moved(z=low), plastic(step, 0.1))
        rims = [(0.575, low + 0.01)]
    else:
        stage.add(
            _slab(1.08, 0.76, -low, 0.34, 0.012).turned("x", 90).moved(0, 0.38, low / 2), plastic(step, 0.12)
        )
        rims = []
    for radius, z in rims:
        stage.add(g.ring(radius, 0.012, 56).turned("x", 90).moved(z=z), glow)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Gradient sweep, podium, concentric rings, arcs or discs behind, balls and pills beside."""
    low = -0.17
    far = 2.1
    skin = textures.gradient(style.floor, style.wall)
    stage.add(g.sweep(14, -5, far, 4.2, 1.7).moved(z=low), matte(skin))
    _add_podium(stage, style, low)
    side = 1.0 if rng.random() < 0.5 else -1.0
    x, y, z = float(rng.uniform(-0.05, 0.05)), 0.75, 0.5
    if style.has("rings"):
        for k, r in enumerate((0.56, 0.76, 0.96)):
            stage.add(
                g.ring(r, 0.02 - 0.004 * k, 64).moved(x, y + 0.05 * k, z), light(style.prop, 1.6 - 0.4 * k)
            )
    if style.has("arcs"):
        a = np.linspace(0, np.pi, 40)
        for k, r in enumerate((0.58, 0.78, 0.98)):
            bow = [(float(r * np.cos(t)), 0.0, float(0.45 + r * np.sin(t))) for t in a]
            path = [(r, 0.0, low), *bow, (-r, 0.0, low)]
            stage.add(
                g.tube(path, 0.022 - 0.004 * k, 10).moved(x, y + 0.08 * k), light(style.prop, 1.6 - 0.4 * k)
            )
    if style.has("discs"):
        for k, r in enumerate((0.6, 0.84, 1.08)):
            tone = mix(style.accent, style.wall, k / 3) if k else mix(style.floor, WHITE, 0.35)
            m = g.cylinder(r, 0.06, 0.02, 64).turned("x", 90).moved(x, y + 0.12 * k, z)
            stage.add(m, plastic(tone, 0.3))
    if style.has("ripples"):
        for k, r in enumerate((0.84, 1.08, 1.34)):
            stage.add(
                g.ring(r, 0.008, 64).turned("x", 90).moved(z=low + 0.004), light(style.prop, 1.5 - 0.35 * k)
            )
    if style.has("balls"):
        places = [(0.74, -0.08, 0.11), (-0.8, 0.1, 0.16), (0.9, 0.45, 0.2), (-0.64, -0.4, 0.065)]
        for k, (bx, by, r) in enumerate(places):
            deep = style.accent if k % 2 == 0 else style.wall
            _add_ball(stage, side * bx, by, r, low, style.prop, deep)
    else:
        _add_ball(stage, side * 0.74, -0.02, 0.1, low, style.prop, style.accent)
        _add_ball(stage, -side * 0.82, 0.2, 0.15, low, style.prop, style.wall)
    if style.has("pills"):
        for px, py, h, r in ((0.8, 0.42, 0.5, 0.1), (1.02, 0.5, 0.85, 0.1), (-0.94, 0.6, 0.6, 0.1)):
            cap = [(r * float(np.sin(t)), h - r + r * float(np.cos(t))) for t in np.linspace(np.pi / 2, 0, 8)]
            pill = g.lathe([(0.0, 0.0), (r, 0.0), *cap], 28, crease=60)
            skin = textures.gradient(style.accent, mix(style.prop, WHITE, 0.4))
            stage.add(pill.moved(side * px, py, low), plastic(skin, 0.08))
    add_key_light(stage, style, 8.5, 3.0)
    rim = tuple(2.2 * c for c in style.prop)
    stage.lights.append(
        Light((-2.6 * style.key_side, 0.6, 1.6), (0.0, 0.0, 0.5), 1.6, (rim[0], rim[1], rim[2]))
    )


CATEGORY = Category(
    "phone", BRANDS, sample_style, build_product, dress, Framing((0.54, 0.63), (3, 7), (-26, 26), 24.0)
)
