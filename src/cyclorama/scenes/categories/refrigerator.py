"""Refrigerator: a bright fitted kitchen with cupboards, worktop, back tiles, pendant lamps and stools."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_fruit, add_key_light, add_potted_plant
from cyclorama.scenes.stage import Part, Stage, compute_bounds
from cyclorama.scenes.surface import (
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

WHITE: Colour = (0.95, 0.95, 0.94)
BLACK: Colour = (0.05, 0.05, 0.055)

Door = tuple[float, float, float, float, int]
"""x from, x to, z from, z to, and where the handle is: -1 left, 1 right, 0 along the top (a drawer)."""


def _sample_finish(rng: np.random.Generator, count: int) -> tuple[Surface, list[Surface]]:
    """The body's surface and one surface per door: enamel, steel, graphite, or coloured panels."""
    kind = int(rng.choice(6, p=(0.22, 0.26, 0.14, 0.15, 0.1, 0.13)))
    hue = float(rng.uniform(0, 360))
    if kind == 0:
        tint = hsv(hue, float(rng.uniform(0.0, 0.05)), 0.95)
        return plastic(tint, 0.15), [plastic(tint, 0.12)] * count
    if kind == 1:
        grey = float(rng.uniform(0.66, 0.8))
        steel = metal((grey, grey, grey * 1.02), 0.3)
        return plastic((0.5, 0.5, 0.52), 0.3), [steel] * count
    if kind == 2:
        dark = hsv(hue, 0.12, float(rng.uniform(0.12, 0.3)))
        return plastic(shade(dark, 0.8), 0.25), [plastic(dark, 0.1)] * count
    if kind == 3:
        pastel = hsv(hue, float(rng.uniform(0.2, 0.4)), 0.9)
        return plastic(pastel, 0.15), [plastic(pastel, 0.12)] * count
    if kind == 4:
        bold = hsv(hue, float(rng.uniform(0.5, 0.75)), float(rng.uniform(0.4, 0.75)))
        return plastic(bold, 0.15), [plastic(bold, 0.1)] * count
    second = hsv(hue + float(rng.choice([0, 30, 150, 180])), float(rng.uniform(0.08, 0.4)), 0.92)
    first = hsv(hue, float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.55, 0.9)))
    panels = [plastic(first if k % 2 else second, 0.15) for k in range(count)]
    return plastic((0.82, 0.82, 0.83), 0.25), panels


def _sample_doors(rng: np.random.Generator, form: int, w: float) -> list[Door]:
    """Fronts of a top freezer, bottom freezer, French door, side-by-side, rounded or single-door one."""
    low = 0.035
    hinge = int(rng.choice([-1, 1]))
    left, right = -w / 2, w / 2
    if form == 0:
        split = float(rng.uniform(0.64, 0.74))
        return [(left, right, low, split, hinge), (left, right, split, 1.0, hinge)]
    if form == 1:
        split = float(rng.uniform(0.32, 0.44))
        drawer = 0 if rng.random() < 0.5 else hinge
        return [(left, right, low, split, drawer), (left, right, split, 1.0, hinge)]
    if form == 2:
        split = float(rng.uniform(0.36, 0.46))
        doors: list[Door] = [(left, 0.0, split, 1.0, 1), (0.0, right, split, 1.0, -1)]
        if rng.random() < 0.5:
            return [(left, right, low, split, 0), *doors]
        middle = (low + split) / 2
        return [(left, right, low, middle, 0), (left, right, middle, split, 0), *doors]
    if form == 3:
        cut = float(rng.choice([0.0, -0.06, 0.06])) * w
        return [(left, cut, low, 1.0, 1), (cut, right, low, 1.0, -1)]
    if form == 4 and rng.random() < 0.5:
        split = float(rng.uniform(0.68, 0.76))
        return [(left, right, low, split, hinge), (left, right, split, 1.0, hinge)]
    return [(left, right, low, 1.0, hinge)]


def _build_handle(door: Door, kind: int, y: float) -> g.Mesh:
    """A bar with two feet (0), a flat grip (1) or a strip sunk into the edge (2), in front of ``y``."""
    x0, x1, z0, z1, side = door
    if side == 0:
        x, z, half = (x0 + x1) / 2, z1 - 0.045, (x1 - x0) * 0.36
        if kind == 2:
            return g.rounded_box(2 * half, 0.012, 0.022, 0.004).moved(x, y, z)
        bar = g.tube([(x - half, y - 0.03, z), (x + half, y - 0.03, z)], 0.009, 8)
        feet = [
            g.rounded_box(0.014, 0.03, 0.014, 0.003).moved(x + s * half * 0.9, y - 0.015, z - 0.007)
            for s in (-1, 1)
        ]
        return g.merge_meshes([bar, *feet])
    x = x1 - 0.035 if side > 0 else x0 + 0.035
    length = min(0.36, (z1 - z0) * 0.62)
    base = z0 + 0.05 if z0 > 0.3 else max(z1 - length - 0.05, z0 + 0.03)
    if kind == 2:
        return g.rounded_box(0.018, 0.012, length, 0.004).moved(x, y, base)
    if kind == 1:
        return g.rounded_box(0.024, 0.04, length * 0.6, 0.01).moved(x, y - 0.015, base)
    bar = g.tube([(x, y - 0.032, base), (x, y - 0.032, base + length)], 0.0095, 8)
    feet = [
        g.rounded_box(0.014, 0.032, 0.014, 0.003).moved(x, y - 0.016, base + length * t) for t in (0.08, 0.9)
    ]
    return g.merge_meshes([bar, *feet])


def build_product(rng: np.random.Generator) -> list[Part]:
    """A refrigerator of height 1: six arrangements of doors, enamel, steel or coloured panels."""
    form = int(rng.integers(6))
    wide = form in (2, 3)
    w = float(rng.uniform(0.5, 0.58) if wide else rng.uniform(0.35, 0.44))
    d = float(rng.uniform(0.34, 0.4))
    bevel = float(rng.uniform(0.05, 0.08)) if form == 4 else float(rng.uniform(0.006, 0.018))
    doors = _sample_doors(rng, form, w)
    body, fronts = _sample_finish(rng, len(doors))
    parts = [Part(g.rounded_box(w, d, 0.975, bevel).moved(z=0.025), body)]
    feet = [
        g.cylinder(0.022, 0.04, segments=12).moved(sx * (w / 2 - 0.05), sy * (d / 2 - 0.05))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    parts.append(Part(g.merge_meshes(feet), plastic(BLACK, 0.4)))
    face = -d / 2 - 0.03
    kind = 0 if form == 4 else int(rng.integers(3))
    grip = metal(SILVER, 0.18) if kind < 2 and rng.random() < 0.75 else plastic(BLACK, 0.2)
    if kind < 2 and form != 4 and rng.random() < 0.2:
        grip = metal(GOLD, 0.22)
    for door, surface in zip(doors, fronts, strict=True):
        x0, x1, z0, z1, _ = door
        panel = g.rounded_box(x1 - x0 - 0.008, 0.06, z1 - z0 - 0.01, max(bevel * 0.5, 0.01))
        parts.append(Part(panel.moved((x0 + x1) / 2, -d / 2, z0 + 0.005), surface))
    parts.append(Part(g.merge_meshes([_build_handle(door, kind, face) for door in doors]), grip))
    top = max(doors, key=lambda door: (door[3], door[1] - door[0]))
    middle = (top[0] + top[1]) / 2
    if form == 3 or (form == 2 and rng.random() < 0.5):
        first = doors[0] if form == 3 else doors[-2]
        x = (first[0] + first[1]) / 2
        parts.append(Part(g.rounded_box(0.13, 0.012, 0.2, 0.005).moved(x, face, 0.58), plastic(BLACK, 0.08)))
        parts.append(
            Part(
                g.quad(0.08, 0.02).moved(x, face - 0.008, 0.735),
                light(hsv(float(rng.uniform(170, 215)), 0.5, 1), 1.6),
            )
        )
    elif form == 4:
        for z in (0.0, 0.03) if rng.random() < 0.5 else (0.0,):
            bar = g.rounded_box(w * 0.72, 0.014, 0.014, 0.005).moved(0, face - 0.003, top[2] + 0.09 + z)
            parts.append(Part(bar, metal(SILVER, 0.15)))
    badge = textures.label(
        rng, SILVER, SILVER, BLACK, hsv(float(rng.uniform(0, 360)), 0.7, 0.6), (0, 0, 1, 1), (32, 96)
    )
    parts.append(Part(g.quad(0.09, 0.026).moved(middle, face - 0.002, 0.93), plastic(badge, 0.2)))
    if rng.random() < 0.22:
        ramp = [hsv(h, 0.8, 0.85) for h in (130, 90, 58, 40, 20, 2)]
        sticker = textures.stripes([WHITE, *ramp, WHITE], 8, 48, upright=False)
        parts.append(
            Part(
                g.quad(0.045, 0.075).moved(middle + 0.03, face - 0.002, top[2] + 0.34 * (1 - top[2])),
                matte(sticker),
            )
        )
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Bright kitchens whose cupboards carry one fresh colour."""
    h = float(rng.choice([205.0, 48, 15, 95, 178, 28]) + rng.uniform(-6, 6))
    return Style(
        hsv(h, rng.uniform(0.04, 0.14), 0.96),
        hsv(rng.uniform(30, 38), rng.uniform(0.26, 0.4), rng.uniform(0.7, 0.84)),
        hsv(h, rng.uniform(0.2, 0.55), rng.uniform(0.62, 0.92)),
        hsv(h + float(rng.choice([0, 150, 180])), 0.55, 0.85),
        (
            *pick(rng, ("shelves", "window", "hood", "wall units"), 2),
            *pick(rng, ("pendants", "stools", "fruit", "plant"), 2),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(-0.05, 0.3)),
        1.05,
        1.15,
    )


BLUE = (hsv(205, 0.05, 0.97), hsv(32, 0.36, 0.78), hsv(210, 0.45, 0.62), hsv(45, 0.7, 0.95))
BUTTER = (hsv(48, 0.3, 0.97), hsv(34, 0.24, 0.84), hsv(46, 0.14, 0.95), hsv(12, 0.65, 0.85))
CORAL = (hsv(16, 0.14, 0.97), hsv(26, 0.34, 0.74), hsv(14, 0.42, 0.86), hsv(150, 0.35, 0.6))
BRANDS = (
    Style(*BLUE, ("pendants", "fruit"), 0, -0.8, 0.05, 1.05, 1.15),
    Style(*BUTTER, ("shelves", "window", "plant"), 1, 0.8, 0.3, 1.1, 1.15),
    Style(*CORAL, ("hood", "stools", "plant"), 0, 0.7, 0.2, 1.05, 1.1),
)


def _add_cupboards(
    stage: Stage, style: Style, x: tuple[float, float], z: tuple[float, float], y: tuple[float, float]
) -> None:
    """A row of cupboards with doors and handles filling x, z and y (from, to); doors at ``y[0]``."""
    width, height, depth = x[1] - x[0], z[1] - z[0], y[1] - y[0]
    count = max(1, round(width / 0.31))
    step = width / count
    carcass = g.rounded_box(width, depth - 0.02, height, 0.004).moved(
        (x[0] + x[1]) / 2, (y[0] + y[1]) / 2 + 0.01, z[0]
    )
    stage.add(carcass, plastic(shade(style.prop, 0.8), 0.3))
    doors, handles = [], []
    upper = z[0] > 0.4
    for k in range(count):
        middle = x[0] + step * (k + 0.5)
        doors.append(
            g.rounded_box(step - 0.014, 0.022, height - 0.014, 0.007).moved(middle, y[0], z[0] + 0.007)
        )
        inset = g.rounded_box(step - 0.1, 0.012, height - 0.1, 0.005).moved(middle, y[0] - 0.01, z[0] + 0.05)
        doors.append(inset)
        grip = g.rounded_box(0.1, 0.02, 0.012, 0.004)
        handles.append(grip.moved(middle, y[0] - 0.024, z[0] + 0.028 if upper else z[1] - 0.036))
    stage.add(g.merge_meshes(doors), plastic(style.prop, 0.25))
    stage.add(g.merge_meshes(handles), metal(GOLD if style.layout == 0 else SILVER, 0.25))


def _add_shelves(stage: Stage, rng: np.random.Generator, style: Style, x: float, far: float) -> None:
    """Two boards with jars, plates and bowls about ``x``."""
    for z in (0.84, 1.1):
        stage.add(
            g.rounded_box(0.72, 0.16, 0.022, 0.005).moved(x, far - 0.08, z), plastic(hsv(32, 0.45, 0.72), 0.3)
        )
        for k in range(5):
            at, base = x - 0.28 + 0.14 * k, z + 0.022
            colour = (style.accent, WHITE, mix(style.prop, WHITE, 0.3))[int(rng.integers(3))]
            height = float(rng.uniform(0.07, 0.15))
            jar = g.cylinder(float(rng.uniform(0.035, 0.052)), height, 0.01, 20).moved(at, far - 0.08, base)
            stage.add(jar, plastic(colour, 0.15))


def _add_window(stage: Stage, x: float, far: float) -> None:
    """A bright window with a cross bar above the worktop."""
    pane = textures.gradient((0.84, 0.94, 0.82), (0.75, 0.88, 1.0))
    stage.add(g.quad(0.62, 0.62).moved(x, far - 0.01, 0.66), Surface(pane, glow=1.35))
    bars = [
        g.rounded_box(0.035, 0.05, 0.68, 0.006).moved(x + dx, far - 0.02, 0.63) for dx in (-0.32, 0.0, 0.32)
    ]
    bars += [g.rounded_box(0.68, 0.05, 0.035, 0.006).moved(x, far - 0.02, z) for z in (0.63, 0.95, 1.28)]
    stage.add(g.merge_meshes(bars), plastic(WHITE, 0.3))


def _add_hood(stage: Stage, x: float, far: float, top: float) -> None:
    """A steel hood over a hob with a pot."""
    hood = (
        g.lathe([(0.25, 0.9), (0.25, 0.93), (0.1, 1.06), (0.1, 1.9)], 4, 5).turned("z", 45).scaled(1, 0.62, 1)
    )
    stage.add(hood.moved(x, far - 0.14), metal((0.78, 0.78, 0.8), 0.3))
    stage.add(g.rounded_box(0.36, 0.2, 0.008, 0.003).moved(x, far - 0.15, top), plastic(BLACK, 0.08))
    pot = g.lathe([(0, 0), (0.085, 0), (0.09, 0.02), (0.09, 0.1), (0.08, 0.1), (0.07, 0.125), (0, 0.13)], 28)
    stage.add(pot.moved(x - 0.06, far - 0.15, top + 0.008), plastic(hsv(8, 0.75, 0.72), 0.12))
    stage.add(g.sphere(0.016, 12).moved(x - 0.06, far - 0.15, top + 0.15), plastic(BLACK, 0.2))


def _add_stools(stage: Stage, style: Style, side: float, x: float) -> None:
    """Two bar stools with round seats on the side ``side``, the first at distance ``x`` from the middle."""
    seats, legs = [], []
    for at, y in ((side * x, -0.28), (side * (x + 0.3), -0.42)):
        seats.append(g.cylinder(0.105, 0.04, 0.015, 28).moved(at, y, 0.37))
        for dx, dy in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
            foot, head = (at + 0.1 * dx, y + 0.1 * dy, 0.0), (at + 0.06 * dx, y + 0.06 * dy, 0.375)
            legs.append(g.tube([foot, head], 0.0095, 8))
        ring = g.ring(0.108, 0.006, 24).turned("x", 90).moved(at, y, 0.13)
        legs.append(ring)
    stage.add(g.merge_meshes(seats), plastic(style.accent, 0.3))
    stage.add(g.merge_meshes(legs), plastic(hsv(30, 0.5, 0.62), 0.3))


def _add_pendants(stage: Stage, style: Style, places: list[float]) -> None:
    """Lamps that hang from above the picture at the ``places`` along x (at least one)."""
    shades, bulbs, cords = [], [], []
    for x in places:
        dome = g.lathe(g.smooth_profile([(0.15, 0.0), (0.14, 0.07), (0.05, 0.13), (0.02, 0.17)]), 28)
        shades.append(dome.moved(x, -0.12, 1.16))
        bulbs.append(g.sphere(0.05, 14).moved(x, -0.12, 1.17))
        cords.append(g.cylinder(0.006, 1.4, segments=6).moved(x, -0.12, 1.32))
    stage.add(g.merge_meshes(shades), plastic(style.accent, 0.2))
    stage.add(g.merge_meshes(bulbs), light((1.0, 0.92, 0.75), 3.0))
    stage.add(g.merge_meshes(cords), matte((0.2, 0.2, 0.2)))


def _add_fruit_bowl(stage: Stage, rng: np.random.Generator, x: float, y: float) -> None:
    """A white bowl heaped with apples and lemons."""
    add_bowl(stage, x, y, 0.13, WHITE, None)
    for dx, dy, dz, kind in (
        (-0.05, 0, 0.04, "apple"),
        (0.05, -0.01, 0.04, "lemon"),
        (0.0, 0.03, 0.09, "apple"),
    ):
        add_fruit(stage, rng, kind, x + dx, y + dy, 0.045, dz)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Floor, wall, cupboards on both sides of the product, worktop and back tiles; the rest by style."""
    low, high = compute_bounds(stage.product)
    edge = max(-float(low[0]), float(high[0])) + 0.045
    far = float(high[1]) + 0.05
    top = 0.52
    if style.layout == 0:
        boards = textures.wood(rng, style.floor, 7)
        stage.add(g.floor(9, -4, far), plastic(boards, 0.3, (4.5, 1.4)))
    else:
        slabs = textures.tiles(rng, style.floor, shade(style.floor, 0.82), 4, 4)
        stage.add(g.floor(9, -4, far), plastic(slabs, 0.2, (4.0, 2.0)))
    stage.add(g.quad(9, 5).moved(y=far), matte(textures.plaster(rng, style.wall, 0.02)))
    back = textures.tiles(rng, mix(style.wall, WHITE, 0.6), shade(style.wall, 0.84), 6, 6, True)
    stage.add(g.quad(4.2, 0.42).moved(y=far - 0.006, z=top), plastic(back, 0.12, (5.0, 1.0)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    work = plastic(textures.stone(rng, (0.93, 0.92, 0.9), (0.72, 0.7, 0.68), 128), 0.15, (2, 1))
    if style.layout == 0:
        work = plastic(hsv(31, 0.45, 0.74), 0.3)
    for s in (-1.0, 1.0):
        span = (edge, 1.75) if s > 0 else (-1.75, -edge)
        middle, width = (span[0] + span[1]) / 2, span[1] - span[0]
        stage.add(
            g.rounded_box(width, 0.24, 0.05, 0.002).moved(middle, far - 0.12),
            plastic(shade(style.prop, 0.45), 0.4),
        )
        _add_cupboards(stage, style, span, (0.05, top - 0.028), (far - 0.3, far))
        stage.add(g.rounded_box(width, 0.33, 0.03, 0.006).moved(middle, far - 0.16, top - 0.03), work)
    places = []
    walls = [e for e in ("window", "hood", "shelves") if style.has(e)]
    for s, element in zip((side, -side), [*walls, "wall units", "wall units"], strict=False):
        x = s * (edge + 0.46)
        if element == "window":
            _add_window(stage, x, far)
        elif element == "hood":
            _add_hood(stage, x, far, top)
        elif element == "shelves":
            _add_shelves(stage, rng, style, x, far)
        else:
            span = (edge, 1.75) if s > 0 else (-1.75, -edge)
            _add_cupboards(stage, style, span, (0.88, 1.7), (far - 0.17, far))
            places.append(s * (edge + 0.42))
    things = Stage()
    if style.has("fruit"):
        _add_fruit_bowl(things, rng, -side * (edge + 0.4), far - 0.17)
    if style.has("plant"):
        add_potted_plant(
            things, rng, side * (edge + 0.24), far - 0.15, 0.27, style.accent, hsv(112, 0.5, 0.45)
        )
    board = g.rounded_box(0.2, 0.016, 0.27, 0.006).turned("x", -9).moved(side * (edge + 0.62), far - 0.06)
    things.add(board, plastic(hsv(28, 0.5, 0.62), 0.35))
    for part in things.parts:
        stage.add(part.mesh.moved(z=top), part.surface)
    if style.has("pendants"):
        _add_pendants(stage, style, places or [side * (edge + 0.42)])
    if style.has("stools"):
        _add_stools(stage, style, -side, edge + 0.3)
    add_key_light(stage, style, 9.5, 2.8)


CATEGORY = Category(
    "refrigerator",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.53, 0.63), (5, 9), (-28, 28), offset=0.05),
)
