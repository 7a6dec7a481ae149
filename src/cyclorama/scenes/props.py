"""Which things stand around a product?  Props shared by the categories' scenes, each added to a stage."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.stage import Light, Stage
from cyclorama.scenes.surface import Colour, Style, Surface, Texture, hsv, matte, metal, plastic, shade


def add_key_light(
    stage: Stage, style: Style, radiance: float = 11.0, size: float = 2.6, height: float = 3.4
) -> None:
    """A large soft box above and in front, on the style's side, and the sky's fill."""
    w = style.key_warmth
    tint = (1.0 + 0.22 * w, 1.0 + 0.02 * w, 1.0 - 0.30 * w)
    r = radiance * style.key_strength
    side = style.key_side
    stage.lights.append(
        Light((2.6 * side, -2.6, height), (0.0, 0.2, 0.3), size, (tint[0] * r, tint[1] * r, tint[2] * r))
    )
    f = 0.42 * style.fill
    stage.sky = (f * (1 - 0.05 * w), f, f * (1 + 0.06 * w))


def add_scatter(
    stage: Stage,
    rng: np.random.Generator,
    mesh: g.Mesh,
    surface: Surface,
    count: int,
    area: tuple[float, float, float, float],
    keep_out: float = 0.5,
    lift: float = 0.0,
    tumble: float = 0.0,
) -> None:
    """Copies of ``mesh`` strewn over ``area`` (x from, x to, y from, y to), none before the product."""
    placed = []
    for _ in range(count * 4):
        x, y = rng.uniform(area[0], area[1]), rng.uniform(area[2], area[3])
        if abs(x) < keep_out and y < 0.42:
            continue
        m = mesh.turned("x", float(rng.uniform(-tumble, tumble))).turned("z", float(rng.uniform(0, 360)))
        placed.append(m.scaled(float(rng.uniform(0.8, 1.2))).moved(float(x), float(y), lift))
        if len(placed) == count:
            break
    if placed:
        stage.add(g.merge_meshes(placed), surface)


def add_leaves(
    stage: Stage,
    rng: np.random.Generator,
    x: float,
    y: float,
    z: float,
    length: float,
    colour: Colour,
    count: int = 6,
    lean: float = 0.0,
) -> None:
    """A tuft of leaves growing from a point."""
    leaves = []
    for k in range(count):
        m = g.leaf(
            length * float(rng.uniform(0.75, 1.1)),
            length * float(rng.uniform(0.26, 0.36)),
            float(rng.uniform(0.2, 0.8)),
        )
        tilt = lean + (k / max(count - 1, 1) - 0.5) * 120 + float(rng.uniform(-12, 12))
        leaves.append(m.turned("z", float(rng.uniform(-60, 60))).turned("y", tilt).moved(x, y, z))
    stage.add(g.merge_meshes(leaves), plastic(colour, 0.35))


def add_potted_plant(
    stage: Stage, rng: np.random.Generator, x: float, y: float, height: float, pot: Colour, green: Colour
) -> None:
    """A plant in a pot."""
    h = height * 0.32
    r = height * 0.17
    stage.add(
        g.lathe([(0, 0), (r * 0.72, 0), (r, h), (r * 0.88, h), (r * 0.85, h * 0.88), (0, h * 0.88)]).moved(
            x, y
        ),
        plastic(pot, 0.3),
    )
    add_leaves(stage, rng, x, y, h * 0.85, height * 0.72, green, 11)


def add_mug(
    stage: Stage, x: float, y: float, size: float, colour: Colour, drink: Colour, turn: float = 30.0
) -> None:
    """A mug with a drink in it; ``turn`` is where the handle points, degrees from +x."""
    r, h = size * 0.46, size
    stage.add(
        g.lathe([(0, 0), (r * 0.9, 0), (r, h * 0.1), (r, h), (r * 0.92, h), (r * 0.9, h * 0.8)]).moved(x, y),
        plastic(colour, 0.12),
    )
    stage.add(g.lathe([(0.91 * r, h * 0.86), (0, h * 0.865)]).moved(x, y), plastic(drink, 0.08))
    a = np.linspace(-1.9, 1.9, 10)
    path = [
        (float(r * 0.85 + size * 0.3 * np.cos(t)), 0.0, float(h * 0.52 + size * 0.3 * np.sin(t))) for t in a
    ]
    stage.add(g.tube(path, size * 0.065).turned("z", turn).moved(x, y), plastic(colour, 0.12))


def add_bowl(stage: Stage, x: float, y: float, radius: float, colour: Colour, filling: Colour | None) -> None:
    """A bowl, filled or empty."""
    r = radius
    out = g.smooth_profile([(r * 0.4, 0), (r * 0.75, r * 0.06), (r, r * 0.55), (r, r * 0.62)])
    profile = [(0.0, 0.0), *out, (r * 0.94, r * 0.62), (r * 0.7, r * 0.2), (0, r * 0.1)]
    stage.add(g.lathe(profile).moved(x, y), plastic(colour, 0.15))
    if filling is not None:
        stage.add(
            g.lathe([(r * 0.93, r * 0.5), (r * 0.4, r * 0.55), (0, r * 0.57)]).moved(x, y),
            plastic(filling, 0.25),
        )


def add_stones(
    stage: Stage, rng: np.random.Generator, x: float, y: float, size: float, colour: Colour, count: int = 3
) -> None:
    """A stack of rounded pebbles."""
    z = 0.0
    for k in range(count):
        s = size * (1 - 0.24 * k) * float(rng.uniform(0.92, 1.08))
        flat = float(rng.uniform(0.30, 0.38))
        m = g.sphere(s, 24).scaled(1.0, 0.8, flat).turned("z", float(rng.uniform(0, 180)))
        stage.add(
            m.moved(x + float(rng.uniform(-0.03, 0.03)), y, z + s * flat),
            plastic(shade(colour, float(rng.uniform(0.8, 1.1))), 0.45),
        )
        z += 1.86 * s * flat


def add_towels(stage: Stage, x: float, y: float, size: float, colours: tuple[Colour, Colour]) -> None:
    """Two folded towels, one on the other."""
    for k in range(3):
        c = colours[k % 2]
        stage.add(
            g.rounded_box(size * 1.5, size, size * 0.3, size * 0.14)
            .turned("z", 6.0 * k - 5)
            .moved(x, y, size * 0.3 * k),
            matte(c),
        )


def build_fruit(kind: str) -> tuple[g.Mesh, Colour, Colour | None]:
    """A fruit of radius about 1 resting on z = 0, its colour and its stem's colour."""
    brown = (0.35, 0.24, 0.14)
    if kind == "apple":
        p = [
            (0.0, 0.18),
            (0.25, 0.04),
            (0.55, 0.08),
            (0.9, 0.6),
            (1.0, 1.1),
            (0.85, 1.62),
            (0.45, 1.82),
            (0.12, 1.66),
            (0.0, 1.55),
        ]
        return g.lathe(g.smooth_profile(p), crease=70), hsv(2, 0.82, 0.75), brown
    if kind == "tomato":
        p = [(0.0, 0.05), (0.5, 0.02), (0.95, 0.45), (1.0, 0.85), (0.8, 1.35), (0.35, 1.5), (0.0, 1.38)]
        return g.lathe(g.smooth_profile(p), crease=70), hsv(6, 0.88, 0.82), hsv(110, 0.6, 0.4)
    if kind == "lemon":
        p = [
            (0.0, -1.42),
            (0.16, -1.36),
            (0.3, -1.18),
            (0.8, -0.75),
            (0.98, 0.0),
            (0.8, 0.75),
            (0.3, 1.18),
            (0.16, 1.36),
            (0.0, 1.42),
        ]
        m = g.lathe(g.smooth_profile(p), crease=70).turned("y", 90).moved(z=0.95)
        return m, hsv(50, 0.82, 0.95), None
    if kind == "lime":
        m, _, _ = build_fruit("lemon")
        return m.scaled(0.85), hsv(86, 0.75, 0.6), None
    if kind == "pear":
        p = [
            (0.0, 0.1),
            (0.5, 0.02),
            (0.98, 0.5),
            (0.98, 1.1),
            (0.62, 1.8),
            (0.42, 2.3),
            (0.25, 2.55),
            (0.0, 2.5),
        ]
        return g.lathe(g.smooth_profile(p), crease=70), hsv(66, 0.6, 0.75), brown
    if kind == "plum":
        return g.sphere(0.9).scaled(1, 1, 1.1).moved(z=0.98), hsv(295, 0.55, 0.36), brown
    if kind == "peach":
        return g.sphere(1.0).scaled(1, 1, 0.94).moved(z=0.94), hsv(20, 0.55, 0.95), brown
    return g.sphere(1.0).scaled(1, 1, 0.95).moved(z=0.95), hsv(28, 0.88, 0.97), hsv(100, 0.5, 0.35)


def add_fruit(
    stage: Stage,
    rng: np.random.Generator,
    kind: str,
    x: float,
    y: float,
    radius: float,
    z: float = 0.0,
    colour: Colour | None = None,
) -> None:
    """A fruit used as a prop."""
    mesh, own, stem = build_fruit(kind)
    turn = float(rng.uniform(0, 360))
    stage.add(mesh.scaled(radius).turned("z", turn).moved(x, y, z), plastic(colour or own, 0.22))
    if stem is not None:
        top = float(mesh.vertices[:, 2].max()) * radius
        stage.add(
            g.tube(
                [(x, y, z + top * 0.9), (x + radius * 0.08, y, z + top + radius * 0.22)], radius * 0.06, 6
            ),
            matte(stem),
        )


def add_citrus_slice(
    stage: Stage,
    x: float,
    y: float,
    radius: float,
    flesh: Colour,
    rind: Colour,
    lean: float = 70.0,
    z: float = 0.0,
    turn: float = 0.0,
) -> None:
    """Half a citrus fruit, its cut face towards the camera and raised by ``lean`` degrees from level."""
    a = np.linspace(0, 2 * np.pi, 37)
    rr = np.array([0.0, 1.0])
    points = np.stack([np.stack([r * np.cos(a), r * np.sin(a), 0 * a], -1) for r in rr]) * radius
    uv = np.stack([np.stack([0.5 + 0.5 * r * np.cos(a), 0.5 + 0.5 * r * np.sin(a)], -1) for r in rr])
    face = g.grid_surface(points, uv)
    back = g.lathe(
        [(0.0, -radius * 0.8), (radius * 0.6, -radius * 0.65), (radius * 0.92, -radius * 0.3), (radius, 0)],
        crease=80,
    )
    up = z + radius * float(np.sin(np.deg2rad(lean)))
    for mesh, colour in ((face, textures.citrus(flesh, rind)), (back, rind)):
        stage.add(mesh.turned("x", lean).turned("z", turn).moved(x, y, up), plastic(colour, 0.3))


def add_frame(
    stage: Stage,
    x: float,
    y: float,
    z: float,
    width: float,
    height: float,
    frame: Colour,
    art: Texture,
) -> None:
    """An image on the wall."""
    stage.add(g.rounded_box(width, 0.04, height, 0.008).moved(x, y, z), plastic(frame, 0.3))
    stage.add(g.quad(width * 0.9, height * 0.92).moved(x, y - 0.024, z + height * 0.04), matte(art))


def add_curtain(
    stage: Stage,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: Colour,
    folds: int = 6,
    z: float = 0.0,
) -> None:
    """A hanging curtain with folds."""
    u = np.linspace(0, 1, folds * 8)
    rows = [
        np.stack([(u - 0.5) * width, 0.06 * np.sin(u * folds * 2 * np.pi), np.full_like(u, h)], -1)
        for h in (0.0, height)
    ]
    stage.add(g.grid_surface(np.stack(rows)).moved(x, y, z), matte(colour))


def add_glass_bottle(stage: Stage, x: float, y: float, height: float, colour: Colour) -> None:
    """A plain dark bottle for the background."""
    r = height * 0.14
    p = [(0, 0), (r, 0), (r, height * 0.6), (r * 0.35, height * 0.76), (r * 0.35, height), (0, height)]
    stage.add(g.lathe(p, 20).moved(x, y), plastic(colour, 0.08))


def add_barrel(
    stage: Stage, rng: np.random.Generator, x: float, y: float, size: float, colour: Colour
) -> None:
    """A wooden barrel standing upright, with iron hoops."""
    s = np.linspace(0, 1, 11)
    r = size * (0.36 + 0.1 * np.sin(np.pi * s))
    profile = [(0.0, 0.0), *[(float(a), float(b * size)) for a, b in zip(r, s, strict=True)], (0.0, size)]
    stage.add(g.lathe(profile).moved(x, y), Surface(textures.wood(rng, colour, 14), "plastic", 0.45))
    for h in (0.12, 0.3, 0.7, 0.88):
        k = size * (0.365 + 0.1 * float(np.sin(np.pi * h)))
        stage.add(
            g.lathe([(k, size * (h - 0.03)), (k, size * (h + 0.03))]).moved(x, y),
            metal((0.35, 0.33, 0.32), 0.4),
        )
