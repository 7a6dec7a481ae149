"""Kettle: tea time on a marble counter, with cups, tins of tea and lemon before a window with a blind."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_citrus_slice, add_fruit, add_key_light, add_leaves
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
    SILVER,
    Colour,
    Style,
    Surface,
    hsv,
    light,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

WHITE: Colour = (0.97, 0.96, 0.94)
Profile = list[tuple[float, float]]


def _radius_at(profile: Profile, height: float) -> float:
    """Radius of an outer wall (bottom to top) at ``height``."""
    return float(np.interp(height, [q for _, q in profile], [p for p, _ in profile]))


def _spout(rng: np.random.Generator, kind: str, wall: Profile, side: float) -> g.Mesh:
    """A spout on one side of ``wall``: a swan's neck, a short beak at the rim, or a plain slanted pipe."""
    top = wall[-1][1]
    if kind == "swan":
        z0 = top * float(rng.uniform(0.16, 0.26))
        r = _radius_at(wall, z0) - 0.03
        rise = top * float(rng.uniform(1.0, 1.16))
        points = [(r, z0), (r + 0.17, z0 + 0.02), (r + 0.2, rise * 0.55), (r + 0.2, rise * 0.9)]
        path = g.smooth_profile([*points, (r + 0.3, rise), (r + 0.38, rise * 0.985)], 3)
        radii = np.linspace(0.062, 0.026, len(path))
    elif kind == "beak":
        r = _radius_at(wall, top * 0.78)
        path = g.smooth_profile([(r - 0.13, top * 0.68), (r + 0.06, top * 0.84), (r + 0.17, top * 1.0)], 2)
        radii = np.linspace(0.15, 0.05, len(path))
    else:
        z0 = top * float(rng.uniform(0.32, 0.42))
        r = _radius_at(wall, z0)
        long = float(rng.uniform(0.24, 0.34))
        points = [(r - 0.06, z0), (r + long * 0.45, z0 + 0.09), (r + long * 0.8, top * 0.86)]
        path = g.smooth_profile([*points, (r + long, top * 0.97)], 3)
        radii = np.linspace(0.105, 0.042, len(path))
    return g.tube([(side * p, 0.0, q) for p, q in path], [float(v) for v in radii], 20)


def _side_handle(rng: np.random.Generator, wall: Profile, side: float) -> g.Mesh:
    """A handle from the rim down the side of ``wall``, closed at the bottom or open."""
    top = wall[-1][1]
    high = top * float(rng.uniform(0.86, 0.95))
    low = top * float(rng.uniform(0.12, 0.3))
    r0, r1 = _radius_at(wall, high) - 0.02, _radius_at(wall, low) - 0.02
    out = max(r0, r1) + float(rng.uniform(0.22, 0.28))
    points = [(r0, high), (out - 0.02, high + 0.05), (out, high - 0.16)]
    if rng.random() < 0.6:
        points += [(out - 0.01, low + 0.12), (out - 0.04, low), (r1, low)]
    else:
        points += [(out + 0.01, low + 0.16), (out - 0.03, low + 0.02)]
    path = g.smooth_profile(points, 3)
    radii = [float(v) for v in np.full(len(path), rng.uniform(0.042, 0.055))]
    radii[-1] = 0.0 if points[-1][0] > r1 else radii[-1]
    return g.tube([(side * p, 0.0, q) for p, q in path], radii, 14).scaled(1, 1.25, 1)


def _top_handle(rng: np.random.Generator, wall: Profile, grip: Surface, wire: Surface) -> list[Part]:
    """A bail that arches over the lid: metal wire with a grip in its middle."""
    top = wall[-1][1]
    foot = top * float(rng.uniform(0.8, 0.9))
    reach = _radius_at(wall, foot) + 0.015
    rise = float(rng.uniform(0.36, 0.48))
    square = float(rng.choice([1.0, 0.7, 0.5]))
    a = np.linspace(0, np.pi, 33)
    x = reach * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** square
    z = foot + rise * np.sin(a) ** square
    path = [(float(p), 0.0, float(q)) for p, q in zip(x, z, strict=True)]
    lugs = [g.sphere(0.045, 16).moved(sign * reach, 0, foot) for sign in (-1, 1)]
    return [
        Part(g.merge_meshes([g.tube(path, 0.021, 10), *lugs]), wire),
        Part(g.tube(path[9:24], 0.042, 14), grip),
    ]


def build_product(rng: np.random.Generator) -> list[Part]:
    """A kettle: electric jug, whistling dome, ball, enamel can or swan's neck; side handle or bail."""
    hue = float(rng.uniform(0, 360))
    vivid, dark = hsv(hue, 0.55, 0.7), hsv(hue, 0.7, 0.45)
    tone = [vivid, hsv(hue, 0.2, 0.92), dark, (0.94, 0.93, 0.9), (0.1, 0.1, 0.11)][int(rng.integers(5))]
    body = plastic(tone, float(rng.choice([0.05, 0.15, 0.45])))
    finish = rng.random()
    if finish < 0.22:
        body = metal([SILVER, (0.62, 0.62, 0.64)][int(rng.integers(2))], 0.28)
    elif finish < 0.32:
        body = metal([COPPER, GOLD][int(rng.integers(2))], 0.25)
    trim = [metal(SILVER, 0.2), metal(GOLD, 0.22), metal(COPPER, 0.22), plastic((0.08, 0.08, 0.09), 0.2)][
        int(rng.integers(4))
    ]
    wood = plastic(hsv(26, 0.55, float(rng.uniform(0.35, 0.65))), 0.35)
    grip = [wood, plastic((0.07, 0.07, 0.08), 0.25), body][int(rng.integers(3))]
    r, shape = float(rng.uniform(0.36, 0.42)), int(rng.integers(5))
    h = [0.76, 0.5, 0.62, 0.68, 0.5][shape] * float(rng.uniform(0.92, 1.1))
    outline: Profile = [
        [(r * 0.98, 0), (r, 0.03), (r * 0.9, h * 0.5), (r * 0.7, h)],
        [(r * 1.18, 0), (r * 1.22, 0.05), (r * 1.12, h * 0.42), (r * 0.72, h * 0.9), (r * 0.58, h)],
        [(r * 0.7, 0), (r * 1.06, h * 0.12), (r * 1.2, h * 0.5), (r * 1.0, h * 0.86), (r * 0.6, h)],
        [(r * 0.96, 0), (r, 0.02), (r * 0.98, h * 0.1), (r * 0.86, h * 0.9), (r * 0.78, h)],
        [(r * 1.02, 0), (r * 1.05, 0.04), (r * 0.96, h * 0.3), (r * 0.66, h)],
    ][shape]
    wall = g.smooth_profile(outline, 3)
    kind = ["beak", "pipe", "pipe", str(rng.choice(["pipe", "swan"])), "swan"][shape]
    bail = rng.random() < [0.0, 0.75, 0.75, 0.4, 0.0][shape]
    side = 1.0 if rng.random() < 0.5 else -1.0
    rim = wall[-1][0]
    dome = float(rng.uniform(0.05, 0.13))
    lid = [(rim * 1.03, h - 0.012), (rim * 1.03, h + 0.012), (rim * 0.8, h + dome * 0.6)]
    lid.append((rim * 0.35, h + dome))
    knob = float(rng.uniform(0.045, 0.065))
    neck = h + dome
    parts = [
        Part(g.lathe([(0.0, 0.0), wall[0]], 40), plastic((0.08, 0.08, 0.08), 0.4)),
        Part(g.lathe(wall, 56), body),
        Part(g.lathe([*lid, (0.0, neck + 0.004)], 48, 60), body if rng.random() < 0.65 else trim),
        Part(g.cylinder(knob * 0.5, 0.04, 0.006, 16).moved(z=neck - 0.006), trim),
        Part(_spout(rng, kind, wall, side), body if kind != "swan" or rng.random() < 0.6 else trim),
    ]
    flat = g.cylinder(knob * 1.15, knob, 0.012, 24).moved(z=-knob / 2)
    top = g.sphere(knob, 20) if rng.random() < 0.5 else flat
    parts.append(Part(top.moved(z=neck + 0.03 + knob * 0.8), grip))
    if bail:
        parts += _top_handle(rng, wall, grip, trim)
    else:
        parts.append(Part(_side_handle(rng, wall, -side), grip))
    if rng.random() < 0.45:
        z = h * float(rng.choice([0.07, 0.5, 0.9]))
        band = [(_radius_at(wall, z + d) + 0.004, z + d) for d in np.linspace(-0.025, 0.025, 4)]
        parts.append(Part(g.lathe(band, 48), trim))
    if shape in (0, 3, 4) and not bail and rng.random() < 0.7:
        plate = plastic((0.09, 0.09, 0.1), 0.25)
        base = g.cylinder(wall[0][0] * 1.07, 0.05, 0.015).moved(z=-0.048)
        parts.append(Part(base, plate if rng.random() < 0.6 else trim))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Any one mild kitchen colour; blind, shelf or boards; what goes with tea."""
    h = float(rng.choice([92.0, 115, 138, 44, 18, 200]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.1, 0.2), rng.uniform(0.68, 0.82)),
        hsv(h, rng.uniform(0.01, 0.05), rng.uniform(0.86, 0.91)),
        hsv(h + rng.uniform(-8, 8), rng.uniform(0.25, 0.45), rng.uniform(0.5, 0.75)),
        hsv(float(rng.choice([48.0, 40, 28, 12])), rng.uniform(0.5, 0.78), 0.92),
        (
            *pick(rng, ("blind", "shelf"), int(rng.integers(1, 3))),
            *str(rng.choice(["lemon", "tins", "macarons", "lemon herbs", "tins herbs"])).split(),
            *(("beadboard",) if rng.random() < 0.5 else ()),
            "cups",
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.05, 0.3)),
        fill=0.9,
    )


BRANDS = (
    Style(
        hsv(96, 0.15, 0.7),
        hsv(60, 0.02, 0.9),
        hsv(125, 0.34, 0.54),
        hsv(50, 0.78, 0.95),
        ("blind", "lemon", "cups", "herbs"),
        0,
        -0.8,
        0.12,
        fill=0.9,
    ),
    Style(
        hsv(34, 0.2, 0.86),
        hsv(36, 0.05, 0.9),
        hsv(16, 0.36, 0.86),
        hsv(34, 0.6, 0.86),
        ("shelf", "beadboard", "macarons", "cups"),
        1,
        0.8,
        0.35,
        fill=0.88,
    ),
    Style(
        hsv(206, 0.24, 0.74),
        hsv(210, 0.03, 0.9),
        hsv(212, 0.46, 0.56),
        hsv(44, 0.5, 0.92),
        ("blind", "shelf", "tins", "cups"),
        0,
        0.7,
        0.0,
        fill=0.9,
    ),
)


def _add_cup(stage: Stage, x: float, y: float, low: float, colour: Colour, tea: Colour, turn: float) -> None:
    """A tea cup on its saucer with a gilt rim; ``turn`` is where the ear points, degrees from +x."""
    saucer = [(0.0, 0.0), (0.14, 0.0), (0.29, 0.045), (0.3, 0.055), (0.28, 0.05), (0.12, 0.02), (0.0, 0.02)]
    bowl = g.smooth_profile([(0.085, 0.02), (0.1, 0.05), (0.19, 0.12), (0.215, 0.29)])
    inner = [(p - 0.015, q) for p, q in reversed(bowl) if q > 0.05]
    a = np.linspace(-1.7, 1.7, 12)
    ear = [(0.2 + 0.09 * float(np.cos(t)), 0.0, 0.185 + 0.085 * float(np.sin(t))) for t in a]
    handle = g.tube(ear, 0.016, 8).turned("z", turn)
    china = g.merge_meshes([g.lathe(saucer), g.lathe([*bowl, *inner]), handle])
    stage.add(china.moved(x, y, low), plastic(colour, 0.08))
    stage.add(g.lathe([(0.2, 0.25), (0.0, 0.2501)]).moved(x, y, low), plastic(tea, 0.05))
    gilt = g.lathe([(0.201, 0.288), (0.209, 0.294), (0.217, 0.288)])
    stage.add(gilt.moved(x, y, low), metal(GOLD, 0.2))


def _add_tin(stage: Stage, x: float, y: float, z: float, size: float, colour: Colour) -> None:
    """A caddy for tea with a paper band, a round mark on it and a stepped lid."""
    paper = mix(colour, WHITE, 0.75)
    bands = [colour, colour, shade(colour, 0.7), paper, paper, paper, paper, shade(colour, 0.7), colour]
    skin = textures.stripes(bands, 9, 72, False)
    stage.add(g.cylinder(size * 0.36, size * 0.86, 0.01).moved(x, y, z), plastic(skin, 0.25))
    mark = (
        g.cylinder(size * 0.1, 0.012, 0.004, 20).turned("x", 90).moved(x, y - size * 0.356, z + size * 0.46)
    )
    stage.add(mark, plastic(shade(colour, 0.6), 0.3))
    lid = [(0.37, 0.84), (0.37, 0.96), (0.3, 1.0), (0.07, 1.0), (0.07, 1.06), (0.0, 1.06)]
    mesh = g.lathe([(size * p, size * q) for p, q in lid]).moved(x, y, z)
    stage.add(mesh, plastic(shade(colour, 0.8), 0.25))


def _add_window(stage: Stage, x: float, far: float) -> None:
    """A bright window with a white frame and a slatted blind drawn half down."""
    view = textures.gradient((0.86, 0.94, 0.82), (0.94, 0.98, 1.0), 64)
    stage.add(g.quad(1.1, 1.45).moved(x, far - 0.01, 0.42), light(view, 1.15))
    frame = [g.rounded_box(0.07, 0.08, 1.55, 0.012).moved(x + dx, far - 0.03, 0.38) for dx in (-0.57, 0.57)]
    frame.append(g.rounded_box(0.035, 0.05, 1.5, 0.01).moved(x, far - 0.02, 0.4))
    frame.append(g.rounded_box(1.3, 0.2, 0.06, 0.015).moved(x, far - 0.09, 0.34))
    stage.add(g.merge_meshes(frame), plastic(WHITE, 0.3))
    slat = g.rounded_box(1.12, 0.1, 0.01, 0.004).turned("x", 32)
    blind = [slat.moved(x, far - 0.12, 0.8 + 0.1 * k) for k in range(12)]
    cords = [g.rounded_box(0.008, 0.008, 1.1, 0.002).moved(x + dx, far - 0.15, 0.86) for dx in (-0.38, 0.38)]
    stage.add(g.merge_meshes([*blind, *cords]), matte(WHITE))


def _add_shelf(stage: Stage, x: float, far: float, style: Style) -> None:
    """A wooden board on brackets with caddies and a bowl on it."""
    z = 0.98
    board = plastic(hsv(30, 0.42, 0.72), 0.35)
    stage.add(g.rounded_box(1.35, 0.34, 0.05, 0.012).moved(x, far - 0.18, z), board)
    for dx in (-0.45, 0.45):
        stage.add(g.rounded_box(0.03, 0.24, 0.14, 0.01).moved(x + dx, far - 0.13, z - 0.14), metal(GOLD, 0.3))
    tints = (style.prop, mix(style.prop, WHITE, 0.6), mix(style.accent, WHITE, 0.25))
    for k, dx in enumerate((-0.46, -0.14, 0.2)):
        _add_tin(stage, x + dx, far - 0.18, z + 0.05, (0.38, 0.44, 0.36)[k], tints[k])


def _add_cake_stand(stage: Stage, x: float, y: float, low: float, style: Style) -> None:
    """A footed plate with a heap of macarons."""
    foot: Profile = [(0, 0), (0.17, 0), (0.05, 0.05), (0.04, 0.22), (0.1, 0.26)]
    stage.add(g.lathe([*foot, (0.36, 0.27), (0.37, 0.31), (0, 0.285)]).moved(x, y, low), plastic(WHITE, 0.1))
    shell = g.smooth_profile([(0.0, 0.0), (0.09, 0.0), (0.095, 0.035), (0.06, 0.06), (0.0, 0.065)])
    under = g.lathe([(p, -q) for p, q in reversed(shell)], 20)
    halves = [g.lathe(shell, 20).moved(z=0.035), under.moved(z=0.015)]
    cream = g.cylinder(0.083, 0.03, 0.005, 20).moved(z=0.01)
    groups: list[list[g.Mesh]] = [[], []]
    creams = []
    for level, (count, radius) in enumerate(((7, 0.235), (4, 0.13), (1, 0.0))):
        for k in range(count):
            a = 2 * np.pi * k / count + 0.5 * level
            spot = (x + radius * float(np.cos(a)), y + radius * float(np.sin(a)), low + 0.35 + 0.115 * level)
            groups[(k + level) % 2] += [m.moved(*spot) for m in halves]
            creams.append(cream.moved(*spot))
    stage.add(g.merge_meshes(groups[0]), matte(mix(style.prop, WHITE, 0.3)))
    stage.add(g.merge_meshes(groups[1]), matte(mix(style.accent, WHITE, 0.4)))
    stage.add(g.merge_meshes(creams), matte(WHITE))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Counter and wall, window or shelf or both, cups always, and the style's tea things at the sides."""
    far, low = 1.3, 0.0
    side = 1.0 if rng.random() < 0.5 else -1.0
    marble = textures.stone(rng, style.floor, mix(style.wall, (0.45, 0.45, 0.45), 0.6))
    stage.add(g.floor(9, -4, far), plastic(marble, 0.06, (3.4, 2.0)))
    if style.has("beadboard"):
        boards = textures.tiles(rng, style.wall, shade(style.wall, 0.72), 14, 1)
        stage.add(g.quad(6, 5).moved(y=far, z=-0.5), plastic(boards, 0.4, (2.0, 1.0)))
    else:
        stage.add(g.quad(8, 5).moved(y=far, z=-0.5), matte(textures.plaster(rng, style.wall, 0.03)))
    upstand = g.rounded_box(9, 0.05, 0.14, 0.012).moved(0, far - 0.025, low)
    stage.add(upstand, plastic(marble, 0.1, (8.0, 0.1)))
    if style.has("blind"):
        _add_window(stage, -side * 0.62, far)
    if style.has("shelf"):
        _add_shelf(stage, side * (0.72 if style.has("blind") else 0.35), far, style)
    china = mix(style.prop, WHITE, 0.82 if style.layout == 0 else 0.3)
    tea = hsv(22, 0.82, 0.5)
    _add_cup(stage, -side * 0.8, 0.18, low, china, tea, 90 + side * 60)
    _add_cup(stage, -side * 0.9, 0.84, low, china, tea, 90 - side * 30)
    if style.has("lemon"):
        flesh, rind = hsv(52, 0.62, 0.97), hsv(48, 0.82, 0.95)
        add_fruit(stage, rng, "lemon", side * 0.92, 0.34, 0.13, low)
        add_fruit(stage, rng, "lemon", side * 0.76, 0.6, 0.13, low)
        add_citrus_slice(stage, side * 0.78, 0.06, 0.13, flesh, rind, 66, low, -side * 14)
    if style.has("tins"):
        _add_tin(stage, side * 0.8, 0.55, low, 0.58, style.prop)
        _add_tin(stage, side * 1.0, 0.22, low, 0.4, mix(style.accent, WHITE, 0.25))
    if style.has("macarons"):
        _add_cake_stand(stage, side * 0.84, 0.66, low, style)
    if style.has("herbs"):
        x, y = (side * 0.62, 0.98)
        pot = [(0, 0), (0.14, 0), (0.18, 0.3), (0.165, 0.3), (0.155, 0.26), (0, 0.26)]
        stage.add(g.lathe(pot).moved(x, y, low), plastic(WHITE, 0.25))
        add_leaves(stage, rng, x, y, low + 0.25, 0.4, hsv(110, 0.5, 0.5), 12)
    add_key_light(stage, style, 8.0, 2.6)


CATEGORY = Category(
    "kettle",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.52, 0.6), (8, 13), (-22, 22), offset=0.05),
)
