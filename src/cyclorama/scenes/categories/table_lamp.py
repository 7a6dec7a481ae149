"""Table lamp: evening at the bedside; night-blue, terracotta or plum wall, nightstand, books, lit shade."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing
from cyclorama.scenes.props import add_curtain, add_frame, add_key_light, add_leaves
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
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

CREAM: Colour = (0.96, 0.93, 0.86)
WARM: Colour = (1.0, 0.85, 0.6)
BLACK: Colour = (0.07, 0.07, 0.075)

Profile = list[tuple[float, float]]


def _sample_material(rng: np.random.Generator) -> Surface:
    """Glazed ceramic, brass, copper, steel, black lacquer, marble or turned wood."""
    kind = int(rng.integers(8))
    hue = float(rng.uniform(0, 360))
    if kind <= 2:
        return plastic(hsv(hue, float(rng.uniform(0.3, 0.75)), float(rng.uniform(0.45, 0.9))), 0.08)
    if kind == 3:
        bands = [hsv(hue, 0.5, 0.7), CREAM, hsv(hue + 40, 0.45, 0.8), CREAM]
        return plastic(textures.stripes(bands, int(rng.integers(6, 14)), 96, upright=False), 0.15)
    if kind == 4:
        return metal((GOLD, COPPER, SILVER)[int(rng.integers(3))], 0.2)
    if kind == 5:
        return plastic(BLACK if rng.random() < 0.5 else (0.95, 0.94, 0.92), 0.12)
    if kind == 6:
        return plastic(textures.stone(rng, (0.92, 0.91, 0.9), (0.5, 0.48, 0.48), 128), 0.1)
    return plastic(
        textures.wood(rng, hsv(float(rng.uniform(20, 34)), 0.5, float(rng.uniform(0.35, 0.75))), 3, 96), 0.3
    )


def _sample_shade_texture(rng: np.random.Generator, colour: Colour) -> Texture:
    """A lit shade: brightest in the middle of its height, plain, pleated, banded or striped."""
    size = 128
    v = np.linspace(0, 1, size)[:, None, None]
    lit = 0.72 + 0.28 * np.exp(-(((v - 0.6) / 0.3) ** 2))
    rgb = np.broadcast_to(np.array(colour) * lit, (size, size, 3)).copy()
    kind = int(rng.integers(4))
    if kind == 1:
        rgb *= (0.9 + 0.1 * np.cos(np.arange(size) * 2 * np.pi * 32 / size))[None, :, None]
    elif kind == 2:
        band = (np.abs(v - 0.1) < 0.05) | (np.abs(v - 0.93) < 0.05)
        rgb = np.where(band, rgb * np.array(hsv(float(rng.uniform(0, 360)), 0.5, 0.75)), rgb)
    elif kind == 3:
        count = int(rng.integers(5, 12)) * 2
        rgb[:, (np.arange(size) * count // size) % 2 == 1] *= np.array(
            shade(hsv(float(rng.uniform(0, 360)), 0.2, 1.0), 0.92)
        )
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.uint8)


def _sample_shade(rng: np.random.Generator) -> tuple[Colour, float]:
    """Colour of the lit shade and its strength."""
    if rng.random() < 0.65:
        return hsv(float(rng.uniform(32, 44)), float(rng.uniform(0.22, 0.42)), 1.0), float(
            rng.uniform(1.1, 1.4)
        )
    return hsv(float(rng.uniform(0, 360)), float(rng.uniform(0.3, 0.55)), 0.98), float(rng.uniform(0.9, 1.2))


def _build_shade(
    rng: np.random.Generator, low: float, bottom: float, top: float, height: float
) -> list[Part]:
    """A shade from radius ``bottom`` at height ``low`` to radius ``top``, with trims and a lit inside."""
    colour, glow = _sample_shade(rng)
    high = low + height
    skin = light(_sample_shade_texture(rng, colour), glow)
    bend = float(rng.choice([0.0, 0.0, -0.12]))
    s = np.linspace(0, 1, 7)
    radii = bottom + (top - bottom) * s + bend * bottom * np.sin(np.pi * s) * (bottom > 1.2 * top)
    wall = [(float(r), float(low + height * t)) for r, t in zip(radii, s, strict=True)]
    lamp = light(WARM, 2.4)
    rim = plastic(shade(colour, 0.8), 0.4) if rng.random() < 0.6 else metal(GOLD, 0.25)
    rings = [
        g.lathe([(r + 0.004, z - 0.008), (r + 0.004, z + 0.008), (r - 0.006, z + 0.008)], 40)
        for r, z in ((bottom, low + 0.008), (top, high - 0.008))
    ]
    return [
        Part(g.lathe(wall, 40, crease=80), skin),
        Part(g.lathe([(top * 0.97, high - 0.03), (0.0, high - 0.03)], 32), lamp),
        Part(g.lathe([(0.0, low + 0.03), (bottom * 0.97, low + 0.03)], 32), lamp),
        Part(g.merge_meshes(rings), rim),
    ]


VASES: tuple[Profile, ...] = (
    [(0.7, 0.0), (1.35, 0.35), (1.25, 0.75)],
    [(0.8, 0.0), (1.35, 0.25), (0.5, 0.55), (0.9, 0.75)],
    [(1.2, 0.0), (1.25, 0.3), (0.35, 0.62)],
)


def _build_vase(rng: np.random.Generator, height: float) -> Profile:
    """A turned or thrown base: jar, gourd, bottle, stacked balls, column or cone."""
    kind = int(rng.integers(6))
    r, h = float(rng.uniform(0.11, 0.16)), height
    if kind < 3:
        belly = [(a * r, b * h) for a, b in VASES[kind]]
        return g.smooth_profile([(0, 0), *belly, (0.035, h * 0.95), (0.03, h)])
    if kind == 3:
        t = np.linspace(0, np.pi, 9)
        balls: Profile = [(0.0, 0.0), (r * 0.9, 0.0), (r * 0.9, 0.03)]
        rest, size = h - 0.03, np.array([0.42, 0.33, 0.25])
        z = 0.03
        for share in size:
            k = rest * share / 2
            balls += [(float(max(k * np.sin(a), 0.025)), float(z + k - k * np.cos(a))) for a in t]
            z += 2 * k
        return balls
    if kind == 4:
        return [
            (0, 0),
            (r, 0),
            (r, 0.035),
            (r * 0.6, 0.045),
            (r * 0.55, h - 0.05),
            (r * 0.62, h - 0.04),
            (r * 0.62, h),
            (0, h),
        ]
    return [(0, 0), (r * 1.2, 0), (r * 1.2, 0.02), (0.035, h * 0.94), (0.03, h), (0, h)]


def _build_classic(rng: np.random.Generator) -> list[Part]:
    """A base of one material under a cone, drum or empire shade."""
    height = float(rng.uniform(0.46, 0.58))
    parts = [Part(g.lathe(_build_vase(rng, height), 40), _sample_material(rng))]
    neck = g.cylinder(0.02, 0.12, segments=14).moved(z=height - 0.02)
    parts.append(Part(neck, metal(GOLD, 0.22)))
    tall = 1.0 - height - float(rng.uniform(0.02, 0.06))
    bottom = float(rng.uniform(0.25, 0.33))
    top = bottom * float(rng.choice([0.42, 0.62, 0.8, 0.98]))
    return parts + _build_shade(rng, 0.99 - tall, bottom, top, tall)


def _build_stick(rng: np.random.Generator) -> list[Part]:
    """A thin stem, straight or on three legs, under a wide shade."""
    frame = metal((GOLD, COPPER, SILVER, (0.14, 0.14, 0.15))[int(rng.integers(4))], 0.22)
    height = float(rng.uniform(0.56, 0.64))
    if rng.random() < 0.4:
        legs = [
            g.tube(
                [(0.2 * np.cos(a), 0.2 * np.sin(a), 0.0), (0.02 * np.cos(a), 0.02 * np.sin(a), height)],
                [0.014, 0.018],
                10,
            )
            for a in np.deg2rad([90.0, 210.0, 330.0])
        ]
        material = _sample_material(rng) if rng.random() < 0.4 else plastic(hsv(30, 0.5, 0.6), 0.3)
        parts = [Part(g.merge_meshes(legs), material)]
        parts.append(Part(g.cylinder(0.035, 0.07, 0.01, 20).moved(z=height - 0.03), frame))
    else:
        r = float(rng.uniform(0.13, 0.17))
        parts = [Part(g.cylinder(r, float(rng.uniform(0.025, 0.07)), 0.012), _sample_material(rng))]
        parts.append(Part(g.cylinder(0.014, height, segments=14), frame))
        parts.append(Part(g.sphere(0.035, 16).moved(z=height * float(rng.uniform(0.4, 0.7))), frame))
    bottom = float(rng.uniform(0.25, 0.34))
    return parts + _build_shade(
        rng, height, bottom, bottom * float(rng.choice([0.55, 0.75, 0.98])), 0.99 - height
    )


def _build_mushroom(rng: np.random.Generator) -> list[Part]:
    """A domed cap, opaque over a lit rim or lit all over, on a thick stem."""
    body = _sample_material(rng)
    stem = g.smooth_profile([(0, 0), (0.19, 0), (0.18, 0.05), (0.07, 0.18), (0.06, 0.5), (0.08, 0.62)])
    r, z = float(rng.uniform(0.3, 0.4)), float(rng.uniform(0.56, 0.64))
    high = 0.99 - z
    a = np.linspace(0, np.pi / 2, 12)
    dome = [(float(r * np.cos(t)), float(z + high * np.sin(t))) for t in a]
    parts = [Part(g.lathe(stem, 40), body)]
    if rng.random() < 0.5:
        colour, glow = _sample_shade(rng)
        parts.append(Part(g.lathe(dome, 44, crease=80), light(_sample_shade_texture(rng, colour), glow)))
    else:
        cap = body if rng.random() < 0.6 else plastic(hsv(float(rng.uniform(0, 360)), 0.55, 0.7), 0.1)
        parts.append(Part(g.lathe(dome, 44, crease=80), cap))
        band = g.lathe([(r * 0.9, z - 0.05), (r * 0.985, z + 0.002)], 40)
        parts.append(Part(band, light(WARM, 2.0)))
    parts.append(Part(g.lathe([(0.0, z - 0.02), (r * 0.93, z - 0.02)], 32), light(WARM, 2.4)))
    return parts


def _build_globe(rng: np.random.Generator) -> list[Part]:
    """One lit ball, or two, on a plinth or a small stem."""
    colour, glow = _sample_shade(rng)
    r = float(rng.uniform(0.24, 0.31))
    material, foot = _sample_material(rng), float(rng.uniform(0.12, 0.17))
    z = 0.99 - 2 * r
    base: Profile = [
        (0, 0),
        (foot, 0),
        (foot, 0.05),
        (0.03, 0.07),
        (0.03, z),
        (0.09, z + 0.04),
        (0, z + 0.04),
    ]
    if rng.random() < 0.5:
        base = g.smooth_profile(
            [(0, 0), (foot * 1.2, 0), (foot * 1.25, z * 0.5), (0.08, z), (0.1, z + 0.04), (0, z + 0.04)]
        )
    ball = g.sphere(r, 40).moved(z=z + r)
    parts = [Part(g.lathe(base, 40), material), Part(ball, light(_sample_shade_texture(rng, colour), glow))]
    if rng.random() < 0.4:
        band = g.lathe([(r + 0.006, z + r - 0.02), (r + 0.006, z + r + 0.02)], 44)
        parts.append(Part(band, metal(GOLD, 0.2)))
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A lit table lamp of height about 1: vase, stick, tripod, mushroom or globe."""
    form = int(rng.integers(6))
    if form <= 2:
        return _build_classic(rng)
    return (_build_stick, _build_mushroom, _build_globe)[form - 3](rng)


def sample_style(rng: np.random.Generator) -> Style:
    """Evening rooms: night blue, terracotta, plum or moss, warm light."""
    h = float(rng.choice([226.0, 14, 310, 100, 244]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.4, 0.65), rng.uniform(0.42, 0.6)),
        hsv(rng.uniform(20, 32), rng.uniform(0.5, 0.65), rng.uniform(0.35, 0.6)),
        hsv(h, rng.uniform(0.25, 0.45), rng.uniform(0.5, 0.75)),
        hsv(float(rng.choice([36.0, 12, 345, 160])), 0.6, 0.75),
        (
            str(rng.choice(["window", "picture", "curtain"])),
            str(rng.choice(["clock", "vase"])),
            str(rng.choice(["bed", "plain"])),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.9, 0.9])),
        float(rng.uniform(-0.2, 0.3)),
        0.42,
        0.4,
    )


NIGHT = (hsv(226, 0.58, 0.5), hsv(26, 0.58, 0.45), hsv(222, 0.35, 0.7), hsv(40, 0.55, 0.85))
TERRACOTTA = (hsv(14, 0.6, 0.68), hsv(28, 0.5, 0.62), hsv(20, 0.3, 0.85), hsv(160, 0.35, 0.5))
PLUM = (hsv(312, 0.42, 0.38), hsv(330, 0.25, 0.86), hsv(325, 0.35, 0.72), hsv(44, 0.55, 0.85))
BRANDS = (
    Style(*NIGHT, ("bed", "window"), 0, -0.9, -0.2, 0.4, 0.42),
    Style(*TERRACOTTA, ("vase", "picture"), 1, 0.9, 0.3, 0.45, 0.42),
    Style(*PLUM, ("curtain", "clock", "bed"), 1, -0.8, 0.1, 0.42, 0.42),
)


def _add_nightstand(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """The cabinet under the lamp, its top at z = 0, with drawers; a round table in the second layout."""
    wood = plastic(textures.wood(rng, style.floor, 2, 128).swapaxes(0, 1).copy(), 0.28)
    if style.layout == 0:
        stage.add(g.rounded_box(1.24, 0.86, 0.05, 0.012).moved(z=-0.05), wood)
        stage.add(g.rounded_box(1.18, 0.8, 1.2, 0.01).moved(z=-1.25), plastic(shade(style.floor, 0.8), 0.35))
        for z in (-0.44, -0.82):
            stage.add(g.rounded_box(1.1, 0.03, 0.35, 0.012).moved(0, -0.405, z), wood)
            stage.add(g.sphere(0.035, 16).moved(0, -0.44, z + 0.18), metal(GOLD, 0.22))
        return
    stage.add(g.cylinder(0.67, 0.05, 0.015, 56).moved(z=-0.05), wood)
    stage.add(g.cylinder(0.61, 0.26, 0.01, 48).moved(z=-0.31), plastic(shade(style.floor, 0.85), 0.3))
    stage.add(g.sphere(0.035, 16).moved(0, -0.63, -0.18), metal(GOLD, 0.22))
    legs = [
        g.tube([(0.5 * x, 0.5 * y, -0.3), (0.6 * x, 0.6 * y, -1.3)], [0.05, 0.03], 10)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    stage.add(g.merge_meshes(legs), metal(GOLD, 0.25))


def _add_bed(stage: Stage, style: Style, side: float, far: float) -> None:
    """A padded headboard at the wall, a pillow before it and the blanket's edge."""
    x = side * 1.44
    pads = [
        g.rounded_box(0.3, 0.12, 1.5, 0.05).moved(x + side * (0.3 * k - 0.6), far - 0.07, -1.0)
        for k in range(5)
    ]
    stage.add(g.merge_meshes(pads), matte(style.prop))
    pillow = g.rounded_box(0.85, 0.22, 0.5, 0.1).turned("x", -22)
    pillow = pillow.moved(x - side * 0.25, far - 0.42, -0.26)
    stage.add(pillow, matte(CREAM))
    stage.add(
        g.rounded_box(1.6, 2.6, 0.5, 0.16).moved(x + side * 0.12, far - 1.45, -0.76),
        matte(mix(style.prop, CREAM, 0.3)),
    )


def _add_books(stage: Stage, rng: np.random.Generator, style: Style, x: float, y: float) -> None:
    """A pile of three or four books."""
    z = 0.0
    colours = (style.accent, CREAM, style.prop, shade(style.accent, 0.55))
    for k in range(int(rng.integers(3, 5))):
        w, t = 0.36 - 0.025 * k, float(rng.uniform(0.04, 0.065))
        turn = float(rng.uniform(-14, 14))
        leaves = g.rounded_box(w - 0.012, 0.235, t - 0.016, 0.003).moved(z=0.008)
        boards = [
            g.rounded_box(w, 0.25, 0.009, 0.003),
            g.rounded_box(w, 0.25, 0.009, 0.003).moved(z=t - 0.009),
        ]
        spine = g.rounded_box(w, 0.014, t, 0.004).moved(y=-0.12)
        stage.add(
            g.merge_meshes([*boards, spine]).turned("z", turn).moved(x, y, z), plastic(colours[k % 4], 0.35)
        )
        stage.add(leaves.turned("z", turn).moved(x, y, z), matte((0.9, 0.87, 0.8)))
        z += t


def _add_clock(stage: Stage, style: Style, x: float, y: float) -> None:
    """A round alarm clock on two feet."""
    case = g.cylinder(0.12, 0.08, 0.02).turned("x", 90).moved(x, y + 0.04, 0.15)
    stage.add(case, plastic(style.accent, 0.15))
    stage.add(g.cylinder(0.1, 0.006).turned("x", 90).moved(x, y - 0.04, 0.15), matte(CREAM))
    hands = [
        g.tube([(x, y - 0.049, 0.15), (x + 0.05, y - 0.049, 0.18)], 0.006, 6),
        g.tube([(x, y - 0.049, 0.15), (x - 0.015, y - 0.049, 0.225)], 0.005, 6),
    ]
    feet = [g.tube([(x + s * 0.05, y, 0.06), (x + s * 0.09, y, 0.0)], 0.011, 8) for s in (-1, 1)]
    stage.add(g.merge_meshes([*hands, *feet]), matte(BLACK))


def _add_window(stage: Stage, rng: np.random.Generator, x: float, far: float) -> None:
    """A window full of night sky with stars and a moon."""
    night = textures.gradient(hsv(232, 0.45, 0.5), hsv(228, 0.75, 0.16), 96).copy()
    rows, columns = rng.integers(2, 90, 34), rng.integers(2, 94, 34)
    night[rows, columns] = (235, 235, 215)
    v, u = np.mgrid[0:96, 0:96]
    moon = (np.hypot(u - 34, v - 28) < 11) & (np.hypot(u - 39, v - 25) > 9)
    night[moon] = (255, 246, 205)
    stage.add(g.quad(0.66, 0.98).moved(x, far - 0.01, 0.34), Surface(night, glow=1.1))
    bars = [
        g.rounded_box(0.045, 0.06, 1.06, 0.008).moved(x + dx, far - 0.02, 0.3) for dx in (-0.34, 0.0, 0.34)
    ]
    bars += [g.rounded_box(0.74, 0.06, 0.045, 0.008).moved(x, far - 0.02, z) for z in (0.3, 0.82, 1.34)]
    stage.add(g.merge_meshes(bars), plastic(CREAM, 0.35))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wall lit about the lamp, nightstand, books; bed, window, clock, vase and so on by style."""
    far = 0.62
    glow = mix(style.wall, (1.0, 0.78, 0.55), 0.3)
    skin = textures.halo(glow, shade(style.wall, 0.8), 0.5, 0.5, 0.2)
    stage.add(g.quad(5.2, 5.2).moved(y=far, z=-1.8), matte(skin))
    stage.add(g.floor(9, -4, far).moved(z=-1.3), plastic(shade(style.floor, 0.6), 0.35))
    _add_nightstand(stage, rng, style)
    side = 1.0 if rng.random() < 0.5 else -1.0
    _add_books(stage, rng, style, -side * 0.41, 0.12)
    if style.has("clock"):
        _add_clock(stage, style, side * 0.44, 0.02)
    if style.has("vase"):
        x = side * 0.44
        vase = g.lathe(g.smooth_profile([(0, 0), (0.06, 0), (0.11, 0.09), (0.04, 0.2), (0.05, 0.24)]), 28)
        stage.add(vase.moved(x, 0.1), plastic(style.prop, 0.2))
        add_leaves(stage, rng, x, 0.1, 0.22, 0.34, style.accent, 7)
    if style.has("bed"):
        _add_bed(stage, style, side, far)
    if style.has("window"):
        _add_window(stage, rng, -side * 0.84, far)
    if style.has("curtain"):
        add_curtain(stage, -side * 1.06, far - 0.1, 0.62, 3.6, mix(style.wall, style.prop, 0.5), 6, -1.3)
    if style.has("picture"):
        for k, dx in enumerate((0.74, 1.18)):
            ink = (style.accent, style.wall)[k]
            art = textures.label(rng, CREAM, CREAM, style.wall, ink, (0.1, 0.1, 0.9, 0.9), (96, 72))
            add_frame(stage, -side * dx, far - 0.025, 0.74 - 0.08 * k, 0.34, 0.46, GOLD, art)
    add_key_light(stage, style, 11.0, 2.4)
    stage.exposure = 1.35


CATEGORY = Category(
    "table lamp",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.55, 0.65), (6, 10), (-30, 30), offset=0.06),
)
