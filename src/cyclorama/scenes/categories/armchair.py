"""Armchair: a salon with a panelled wall in a deep colour, herringbone floor, round rug and floor lamp."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing
from cyclorama.scenes.props import add_curtain, add_frame, add_key_light, add_potted_plant
from cyclorama.scenes.stage import Part, Stage, compute_bounds
from cyclorama.scenes.surface import (
    GOLD,
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

CREAM: Colour = (0.95, 0.92, 0.86)


def _sample_cover(rng: np.random.Generator) -> tuple[Surface, Surface, Colour]:
    """Upholstery of the frame, of the seat (often the same), and its colour: cloth, leather or a pattern."""
    hue = float(rng.uniform(0, 360))
    kind = int(rng.integers(6))
    if kind == 0:
        tan = hsv(float(rng.uniform(14, 32)), float(rng.uniform(0.5, 0.72)), float(rng.uniform(0.25, 0.62)))
        return plastic(tan, 0.3), plastic(tan, 0.3), tan
    if kind == 1:
        pale = hsv(hue, float(rng.uniform(0.03, 0.16)), float(rng.uniform(0.78, 0.93)))
        return matte(pale), matte(pale), pale
    if kind == 2:
        deep = hsv(hue, float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.32, 0.6)))
        return plastic(deep, 0.55), plastic(deep, 0.55), deep
    colour = hsv(hue, float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.6, 0.88)))
    if kind == 3:
        return matte(colour), matte(colour), colour
    second = mix(colour, CREAM, float(rng.uniform(0.55, 0.9)))
    if kind == 4:
        skin = textures.stripes([colour, second, second], int(rng.integers(9, 22)), 128)
        return matte(skin), matte(skin), colour
    pattern = textures.checks(second, colour, int(rng.integers(8, 18)), 128)
    return matte(second), matte(pattern), colour


def _sample_legs(rng: np.random.Generator) -> Surface:
    return (
        plastic(hsv(28, 0.5, 0.66), 0.3),
        plastic(hsv(22, 0.6, 0.26), 0.25),
        metal(GOLD, 0.22),
        metal((0.36, 0.36, 0.37), 0.35),
    )[int(rng.integers(4))]


def _build_legs(w: float, d: float, height: float, splay: float, thickness: float) -> g.Mesh:
    """Four tapering legs whose feet stand ``splay`` outside a w by d rectangle."""
    legs = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * w / 2, sy * d / 2
            foot = (x + sx * splay, y + sy * splay, 0.0)
            legs.append(g.tube([foot, (x, y, height)], [thickness * 0.6, thickness], 10))
    return g.merge_meshes(legs)


def _build_shell(
    rx: float, ry: float, thickness: float, reach: float, bottom: float, rim: tuple[float, float]
) -> g.Mesh:
    """A padded shell about the seat, open to the camera; the rim falls from ``rim[0]`` behind to ``rim[1]``.

    ``reach`` is the angle in degrees that the shell spans to each side of the back.
    """
    a = np.deg2rad(np.linspace(-reach, reach, 45))
    t = np.linspace(0, np.pi, 9)
    half = thickness / 2
    across = np.concatenate([[half], half * np.cos(t), [-half]])
    lift = np.concatenate([[0.0], half * np.sin(t), [0.0]])
    share = np.concatenate([[0.0], np.ones(9), [0.0]])
    fall = 0.5 - 0.5 * np.cos(np.pi * np.clip((np.abs(a) / np.deg2rad(reach) - 0.25) / 0.7, 0, 1))
    top = rim[0] + (rim[1] - rim[0]) * fall - half
    rows = []
    for angle, height in zip(a, top, strict=True):
        lean = 0.06 * share * (height - bottom)
        z = bottom + share * (height - bottom) + lift
        rows.append(
            np.stack([(rx + across + lean) * np.sin(angle), (ry + across + lean) * np.cos(angle), z], -1)
        )
    shell = g.grid_surface(np.stack(rows))
    ends = []
    for row in (rows[0], rows[-1]):
        foot, head = (row[0] + row[-1]) / 2, (row[1] + row[-2]) / 2
        low, high = ((float(p[0]), float(p[1]), float(p[2])) for p in (foot, head))
        ends += [g.tube([low, high], half, 14), g.sphere(half, 16).moved(*high)]
    return g.merge_meshes([shell, *ends])


def _build_boxy(rng: np.random.Generator, cover: Surface, seat: Surface, winged: bool) -> list[Part]:
    """Straight or rolled arms, a leaning back with or without wings, and a loose seat cushion."""
    w, d = float(rng.uniform(0.78, 0.9)), float(rng.uniform(0.74, 0.84))
    leg = float(rng.uniform(0.08, 0.17))
    arm = float(rng.uniform(0.1, 0.17))
    seat_top = float(rng.uniform(0.42, 0.46))
    arm_top = seat_top + float(rng.uniform(0.12, 0.2))
    back_top = float(rng.uniform(1.02, 1.15)) if winged else float(rng.uniform(0.82, 0.95))
    bevel = float(rng.uniform(0.025, 0.06))
    parts = [Part(g.rounded_box(w - 0.04, d - 0.04, 0.17, 0.03).moved(z=leg), cover)]
    sides = []
    rolled = winged or rng.random() < 0.35
    for s in (-1, 1):
        x = s * (w - arm) / 2
        sides.append(
            g.rounded_box(arm * (0.75 if rolled else 1.0), d - 0.06, arm_top - leg, bevel).moved(
                x, -0.02, leg
            )
        )
        if rolled:
            roll = g.cylinder(arm * 0.58, d - 0.04, 0.03).turned("x", 90).moved(x, d / 2 - 0.04, arm_top)
            sides.append(roll)
        if winged:
            wing = g.rounded_box(0.09, 0.34, back_top - arm_top - 0.04, 0.04).turned("x", -9)
            sides.append(wing.turned("z", s * 14).moved(s * (w / 2 - 0.06), d / 2 - 0.29, arm_top))
    parts.append(Part(g.merge_meshes(sides), cover))
    inner = w - 2 * arm + 0.02
    back = g.rounded_box(inner + (0.12 if winged else 0.0), 0.15, back_top - leg - 0.1, 0.06).turned("x", -9)
    parts.append(Part(back.moved(0, d / 2 - 0.2, leg + 0.1), cover))
    parts.append(Part(g.rounded_box(inner, d - 0.2, 0.16, 0.055).moved(0, -0.1, seat_top - 0.15), seat))
    pad = g.rounded_box(inner - 0.02, 0.14, back_top - seat_top - 0.1, 0.065).turned("x", -13)
    parts.append(Part(pad.moved(0, d / 2 - 0.3, seat_top - 0.01), seat))
    parts.append(Part(_build_legs(w - 0.14, d - 0.14, leg + 0.02, 0.02, 0.028), _sample_legs(rng)))
    return parts


def _build_round_pad(radius: float, height: float) -> g.Mesh:
    """A round cushion; its texture is laid over it from above and in front."""
    bend = np.linspace(0, np.pi / 2, 5)
    edge = height * 0.36
    low = [(float(radius - edge + edge * np.sin(t)), float(edge - edge * np.cos(t))) for t in bend]
    high = [(r, height - z) for r, z in low[::-1]]
    mesh = g.lathe([(0, 0), *low, *high, (radius - 1.2 * edge, height), (0, height)])
    v = mesh.vertices
    uv = np.stack([0.5 + v[:, 0] / (2 * radius), 0.5 + (v[:, 1] + v[:, 2]) / (2 * radius)], 1)
    return g.Mesh(v, mesh.faces, mesh.normals, uv)


def _build_tub(rng: np.random.Generator, cover: Surface, seat: Surface, pedestal: bool) -> list[Part]:
    """A rounded shell on legs or on a swivel foot, with or without upright channels."""
    rx, ry = float(rng.uniform(0.34, 0.39)), float(rng.uniform(0.33, 0.37))
    thickness = float(rng.uniform(0.09, 0.14))
    base = 0.24 if pedestal else float(rng.uniform(0.1, 0.18))
    back = float(rng.uniform(0.92, 1.08)) if pedestal else float(rng.uniform(0.76, 0.9))
    arm = float(rng.uniform(0.56, 0.66))
    reach = float(rng.uniform(112, 128))
    parts = [Part(_build_shell(rx, ry, thickness, reach, base + 0.05, (back, arm)), cover)]
    under = g.cylinder(rx + thickness * 0.4, 0.12, 0.03).scaled(1.0, ry / rx, 1.0)
    parts.append(Part(under.moved(z=base), cover))
    pad = _build_round_pad(rx - thickness * 0.3, 0.17).scaled(1.0, ry / (rx - thickness * 0.3), 1.0)
    parts.append(Part(pad.moved(0, -0.05, base + 0.11), seat))
    if rng.random() < 0.5:
        channels = []
        for angle in np.deg2rad(np.linspace(-62, 62, 9)):
            x, y = (rx - thickness * 0.45) * np.sin(angle), (ry - thickness * 0.45) * np.cos(angle)
            top = back - 0.09 - 0.1 * abs(float(angle))
            path = [(float(x), float(y), base + 0.25), (float(x * 1.06), float(y * 1.06), top)]
            channels.append(g.tube(path, 0.044, 10))
            channels.append(g.sphere(0.044, 10).moved(*path[1]))
        parts.append(Part(g.merge_meshes(channels), seat))
    foot = _sample_legs(rng)
    if pedestal:
        stand = g.lathe([(0, 0), (0.27, 0), (0.26, 0.02), (0.05, 0.045), (0.035, 0.08), (0.035, base + 0.02)])
        parts.append(Part(stand, foot))
    else:
        parts.append(Part(_build_legs(rx * 1.3, ry * 1.3, base + 0.02, 0.05, 0.026), foot))
    return parts


def _build_framed(rng: np.random.Generator, seat: Surface) -> list[Part]:
    """An open wooden frame with flat arm rests and two loose cushions."""
    w, d = float(rng.uniform(0.68, 0.78)), float(rng.uniform(0.7, 0.78))
    top = float(rng.uniform(0.84, 0.98))
    arm = float(rng.uniform(0.54, 0.6))
    tone = (hsv(28, 0.5, 0.66), hsv(20, 0.58, 0.34), hsv(34, 0.4, 0.8), (0.12, 0.11, 0.11))[
        int(rng.integers(4))
    ]
    wood = plastic(tone, 0.3)
    bars, r = [], float(rng.uniform(0.02, 0.027))
    for s in (-1, 1):
        x = s * w / 2
        bars.append(g.tube([(x, -d / 2, 0), (x, -d / 2 + 0.03, arm)], [r * 0.7, r], 10))
        bars.append(
            g.tube(
                [(x, d / 2 + 0.06, 0), (x, d / 2 - 0.08, 0.34), (x, d / 2 - 0.06, arm)], [r * 0.7, r, r], 10
            )
        )
        bars.append(g.rounded_box(0.075, d + 0.06, 0.032, 0.014).turned("x", -3).moved(x, -0.02, arm))
        bars.append(g.tube([(x, -d / 2 + 0.02, 0.29), (x, d / 2 - 0.06, 0.25)], r, 10))
        bars.append(g.tube([(x * 0.86, d / 2 - 0.1, 0.26), (x * 0.86, d / 2 + 0.13, top - 0.03)], r, 10))
    bars.append(g.tube([(-w / 2, -d / 2 + 0.03, 0.28), (w / 2, -d / 2 + 0.03, 0.28)], r, 10))
    for t in (0.15, 0.5, 0.85, 1.0):
        y, z = d / 2 - 0.1 + 0.23 * t, 0.26 + (top - 0.29) * t
        bars.append(g.tube([(-w * 0.43, y, z), (w * 0.43, y, z)], r * 0.85, 10))
    cushion = g.rounded_box(w - 0.07, d - 0.1, 0.15, 0.06).turned("x", -4).moved(0, -0.05, 0.29)
    pad = g.rounded_box(w - 0.09, 0.14, top - 0.4, 0.06).turned("x", -18).moved(0, d / 2 - 0.18, 0.42)
    return [Part(g.merge_meshes(bars), wood), Part(g.merge_meshes([cushion, pad]), seat)]


def build_product(rng: np.random.Generator) -> list[Part]:
    """An armchair: boxy, winged, tub-shaped, on a swivel foot or in an open frame; some with a pillow."""
    form = int(rng.integers(5))
    cover, seat, colour = _sample_cover(rng)
    if form == 0:
        parts = _build_boxy(rng, cover, seat, False)
    elif form == 1:
        parts = _build_boxy(rng, cover, seat, True)
    elif form in (2, 3):
        parts = _build_tub(rng, cover, seat, form == 3)
    else:
        parts = _build_framed(rng, seat)
    if rng.random() < 0.3:
        other = hsv(float(rng.uniform(0, 360)), 0.5, 0.8)
        art = textures.label(rng, CREAM, CREAM, shade(colour, 0.7), other, (0.08, 0.08, 0.92, 0.92), (96, 96))
        pillow = g.rounded_box(0.34, 0.11, 0.3, 0.053).turned("x", -20)
        parts.append(Part(pillow.moved(0, 0.02 if form in (2, 3) else 0.0, 0.46), matte(art)))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Salons in one deep colour: emerald, wine, mustard, plum, petrol or terracotta."""
    h = float(rng.choice([158.0, 345, 42, 300, 192, 14]) + rng.uniform(-5, 5))
    return Style(
        hsv(h, rng.uniform(0.45, 0.7), rng.uniform(0.34, 0.6)),
        hsv(rng.uniform(24, 32), rng.uniform(0.42, 0.55), rng.uniform(0.45, 0.65)),
        hsv(h + float(rng.choice([0, 20, 180])), rng.uniform(0.2, 0.45), rng.uniform(0.72, 0.9)),
        hsv(float(rng.choice([42.0, 20, 350, 150])), 0.6, 0.8),
        (
            str(rng.choice(["standing lamp", "arc lamp"])),
            str(rng.choice(["side table", "drapes", "fireplace", "plant"])),
            str(rng.choice(["mirror", "pictures"])),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.15, 0.4)),
        fill=1.0,
    )


EMERALD = (hsv(160, 0.6, 0.42), hsv(28, 0.48, 0.58), hsv(40, 0.22, 0.9), hsv(42, 0.6, 0.85))
WINE = (hsv(346, 0.6, 0.45), hsv(20, 0.5, 0.42), hsv(352, 0.35, 0.85), hsv(38, 0.55, 0.85))
MUSTARD = (hsv(41, 0.68, 0.8), hsv(30, 0.42, 0.66), hsv(28, 0.1, 0.94), hsv(190, 0.5, 0.5))
BRANDS = (
    Style(*EMERALD, ("arc lamp", "side table", "mirror"), 0, -0.8, 0.25, fill=1.0),
    Style(*WINE, ("standing lamp", "drapes", "pictures"), 1, 0.8, 0.3, fill=0.95),
    Style(*MUSTARD, ("fireplace", "standing lamp"), 0, -0.7, 0.2, fill=1.0),
)


def _herringbone(rng: np.random.Generator, colour: Colour, size: int = 256) -> Texture:
    """A parquet of slanting staves, four columns wide."""
    v, u = np.mgrid[0:size, 0:size] / size
    column = np.floor(u * 4).astype(int)
    inside = u * 4 - column
    slanted = np.where(column % 2 == 0, inside, 1 - inside)
    along = v * 10 + slanted * 2.0
    stave = np.floor(along).astype(int) % 10
    tone = 1 + rng.uniform(-0.16, 0.12, (4, 10))[column, stave]
    seam = (along % 1 < 0.07) | (inside < 0.03)
    rgb = np.array(colour) * (tone * np.where(seam, 0.72, 1.0))[..., None]
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.uint8)


def _add_panels(stage: Stage, style: Style, far: float) -> None:
    """Mouldings on the wall, a dado rail and a tall skirting board."""
    bars = []
    for k in range(-3, 4):
        x = 0.84 * k + (0.42 if style.layout else 0.0)
        for z, h in ((0.2, 0.34), (0.74, 1.5)):
            bars += [g.rounded_box(0.024, 0.03, h, 0.008).moved(x + s * 0.34, far - 0.01, z) for s in (-1, 1)]
            bars += [g.rounded_box(0.704, 0.03, 0.024, 0.008).moved(x, far - 0.01, zz) for zz in (z, z + h)]
    bars.append(g.rounded_box(9, 0.045, 0.045, 0.012).moved(0, far - 0.015, 0.61))
    bars.append(g.rounded_box(9, 0.04, 0.13, 0.012).moved(0, far - 0.015, 0.0))
    stage.add(g.merge_meshes(bars), plastic(mix(style.wall, CREAM, 0.12), 0.4))


def _add_lamp(stage: Stage, style: Style, x: float, y: float, lean: float) -> None:
    """A floor lamp; with ``lean`` not 0 its stem bends over towards that side."""
    brass = metal(GOLD, 0.22)
    stage.add(g.cylinder(0.13, 0.025, 0.01).moved(x, y), brass)
    warm = light((1.0, 0.84, 0.58), 2.0)
    if lean == 0:
        stage.add(g.cylinder(0.012, 1.16, segments=10).moved(x, y), brass)
        stage.add(g.lathe([(0.19, 1.02), (0.12, 1.3)], 32).moved(x, y), warm)
        return
    a = np.linspace(0, np.pi * 0.62, 14)
    path = [(x, y, 0.02), (x, y, 0.85)]
    path += [(float(x + lean * 0.3 * (1 - np.cos(t))), y, float(0.85 + 0.42 * np.sin(t))) for t in a[1:]]
    stage.add(g.tube(path, 0.011, 8), brass)
    end = path[-1]
    dome = g.lathe(g.smooth_profile([(0.15, -0.16), (0.14, -0.08), (0.06, -0.01), (0.0, 0.0)]), 28)
    stage.add(dome.moved(*end), plastic(style.prop, 0.25))
    stage.add(g.sphere(0.055, 14).moved(end[0], end[1], end[2] - 0.14), warm)


def _add_side_table(stage: Stage, rng: np.random.Generator, style: Style, x: float, y: float) -> None:
    """A round table with books and a vase of twigs."""
    brass = metal(GOLD, 0.25)
    stand = g.lathe([(0, 0), (0.13, 0), (0.13, 0.015), (0.015, 0.03), (0.015, 0.47)], 28)
    stage.add(stand.moved(x, y), brass)
    marble = textures.stone(rng, (0.93, 0.92, 0.9), (0.6, 0.58, 0.56), 96)
    stage.add(g.cylinder(0.2, 0.025, 0.01).moved(x, y, 0.46), plastic(marble, 0.12))
    for k, colour in enumerate((style.accent, style.prop)):
        book = g.rounded_box(0.15, 0.11, 0.028, 0.004).turned("z", 20.0 - 24 * k)
        stage.add(book.moved(x - 0.06, y - 0.03, 0.485 + 0.028 * k), plastic(colour, 0.4))
    vase = g.lathe(
        g.smooth_profile([(0.03, 0), (0.065, 0.05), (0.06, 0.12), (0.02, 0.17), (0.026, 0.19)]), 24
    )
    stage.add(vase.moved(x + 0.09, y + 0.04, 0.485), plastic(mix(style.prop, CREAM, 0.5), 0.2))
    twigs, fruit = [], []
    for _ in range(7):
        tip = (x + 0.09 + float(rng.uniform(-0.12, 0.14)), y + 0.04, 0.485 + float(rng.uniform(0.3, 0.42)))
        twigs.append(g.tube([(x + 0.09, y + 0.04, 0.66), tip], 0.004, 5))
        fruit.append(g.sphere(0.02, 8).scaled(1, 1, 1.6).moved(*tip))
    stage.add(g.merge_meshes(twigs), matte((0.4, 0.3, 0.2)))
    stage.add(g.merge_meshes(fruit), matte(style.accent))


def _add_fireplace(stage: Stage, style: Style, x: float, far: float) -> None:
    """A pale chimney piece with a warm opening, a shelf and two vases."""
    stone = plastic(CREAM, 0.3)
    frame = [g.rounded_box(0.14, 0.16, 0.62, 0.012).moved(x + s * 0.36, far - 0.08) for s in (-1, 1)]
    frame += [g.rounded_box(0.86, 0.16, 0.15, 0.012).moved(x, far - 0.08, 0.56)]
    frame += [g.rounded_box(0.98, 0.2, 0.045, 0.012).moved(x, far - 0.1, 0.71)]
    stage.add(g.merge_meshes(frame), stone)
    stage.add(g.quad(0.6, 0.58).moved(x, far - 0.02), matte((0.09, 0.07, 0.06)))
    tongue = [(0.0, 0.0), (0.045, 0.06), (0.05, 0.13), (0.02, 0.22), (0.0, 0.3)]
    flame = g.lathe(g.smooth_profile(tongue), 16)
    fire = [
        flame.scaled(k).moved(x + dx, far - 0.06, 0.06) for dx, k in ((-0.11, 0.7), (0.0, 1.1), (0.1, 0.8))
    ]
    stage.add(g.merge_meshes(fire), light((1.0, 0.55, 0.2), 1.7))
    log = g.cylinder(0.04, 0.42, 0.008, 14).turned("y", 90).moved(x - 0.21, far - 0.06, 0.04)
    stage.add(log, matte((0.3, 0.2, 0.13)))
    for dx, h, colour in ((-0.28, 0.2, style.accent), (0.24, 0.26, style.prop), (0.36, 0.15, style.accent)):
        vase = g.lathe(g.smooth_profile([(0.04, 0), (0.07, h * 0.4), (0.03, h * 0.8), (0.045, h)]), 24)
        stage.add(vase.moved(x + dx, far - 0.1, 0.755), plastic(colour, 0.2))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Parquet, round rug, panelled wall, floor lamp; table, mirror, drapes, pictures, fireplace by style."""
    low, high = compute_bounds(stage.product)
    edge = max(-float(low[0]), float(high[0]))
    far = float(high[1]) + 0.3
    stage.add(g.floor(9, -4, far), plastic(_herringbone(rng, style.floor), 0.25, (6.0, 3.2)))
    stage.add(g.quad(9, 5).moved(y=far), matte(textures.plaster(rng, style.wall, 0.03)))
    _add_panels(stage, style, far)
    side = 1.0 if rng.random() < 0.5 else -1.0
    for radius, colour, z in (
        (0.98, style.prop, 0.008),
        (0.86, mix(style.prop, CREAM, 0.55), 0.011),
        (0.8, style.prop, 0.014),
    ):
        disc = g.cylinder(radius, 0.012, 0.005, 48).scaled(1, 0.85, 1)
        stage.add(disc.moved(0, -0.05, z - 0.008), matte(colour))
    _add_lamp(stage, style, side * (edge + 0.34), far - 0.22, -side if style.has("arc lamp") else 0.0)
    if style.has("side table"):
        _add_side_table(stage, rng, style, -side * (edge + 0.26), 0.05)
    if style.has("plant"):
        add_potted_plant(stage, rng, -side * (edge + 0.34), far - 0.25, 0.95, style.prop, hsv(125, 0.5, 0.4))
    if style.has("mirror"):
        x = -side * 0.42
        disc = g.cylinder(0.27, 0.03, 0.01, 48).turned("x", 90).moved(x, far - 0.005, 1.1)
        stage.add(disc, metal(GOLD, 0.25))
        pane = g.cylinder(0.24, 0.03, 0.0, 48).turned("x", 90).moved(x, far - 0.01, 1.1)
        stage.add(pane, metal(mix(style.wall, CREAM, 0.6), 0.05))
    if style.has("drapes"):
        add_curtain(stage, -side * 1.08, far - 0.12, 0.75, 3.2, mix(style.wall, style.accent, 0.35), 7)
    if style.has("pictures"):
        for k, (x, z, w, h) in enumerate(((0.16, 0.98, 0.26, 0.36), (-0.24, 1.06, 0.36, 0.26))):
            colours = (style.accent, style.prop)
            art = textures.label(rng, CREAM, CREAM, style.wall, colours[k], (0.1, 0.1, 0.9, 0.9), (96, 72))
            add_frame(stage, -side * (0.2 + x), far - 0.03, z, w, h, GOLD, art)
    if style.has("fireplace"):
        _add_fireplace(stage, style, -side * (edge + 0.45), far)
    add_key_light(stage, style, 12.0, 2.6)


CATEGORY = Category(
    "armchair",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.52, 0.6), (8, 13), (-38, 38), offset=0.05),
)
