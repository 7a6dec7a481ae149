"""Speaker: a walnut shelf with vinyl records; equaliser lights, wooden slats or acoustic foam behind."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
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

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.05, 0.05, 0.055)


def _cloth(colour: Colour, kind: int) -> Texture:
    """A tile of speaker cloth or grille: dots, a weave or ribs."""
    n = 32
    v, u = np.mgrid[0:n, 0:n]
    if kind == 0:
        tone = np.where(np.hypot(u % 8 - 3.5, v % 8 - 3.5) < 2.6, 0.35, 1.0)
    elif kind == 1:
        tone = np.where((u // 4 + v // 4) % 2 == 0, 0.62, 1.0)
    else:
        tone = np.where(u % 8 < 3, 0.45, 1.0)
    return np.asarray(np.clip(np.array(colour) * tone[..., None] * 255, 0, 255), np.uint8)


def _driver(radius: float, x: float, y: float, z: float, cone: Colour, rim: Surface) -> list[Part]:
    """A loudspeaker cone in a raised rim that looks at the viewer; the box's front is the plane ``y``."""
    r, lift = radius, 0.16 * radius + 0.01
    ring = [(r, 0.0), (r, lift), (r * 0.94, lift * 1.15), (r * 0.9, lift * 0.8)]
    t = np.linspace(0, np.pi, 7)
    roll = [(r * (0.83 + 0.07 * float(np.cos(a))), lift * (0.75 + 0.5 * float(np.sin(a)))) for a in t]
    funnel = [(r * 0.76, lift * 0.75), (r * 0.3, lift * 0.1)]
    dome = [(r * 0.32 * float(np.cos(a)), lift * (0.1 + 0.9 * float(np.sin(a)))) for a in t[:4]]
    skins = (rim, plastic(BLACK, 0.3), plastic(cone, 0.35), plastic(shade(cone, 0.7), 0.12))
    shapes = zip((ring, roll, funnel, dome), skins, strict=True)
    return [Part(g.lathe(p, 36).turned("x", 90).moved(x, y, z), s) for p, s in shapes]


def _marks(rng: np.random.Generator, width: float, ground: Colour, ink: Colour) -> Part:
    """A small name plate with marks of our own, in the plane y = 0, centred in x."""
    image = Image.new("RGB", (64, 20), tuple(round(c * 255) for c in ground))
    textures.draw_words(ImageDraw.Draw(image), rng, 32, 4, 52, 12, ink)
    return Part(g.quad(width, width * 0.3), plastic(np.asarray(image), 0.3))


def _box_speaker(rng: np.random.Generator, body: Surface, cone: Colour, rim: Surface) -> list[Part]:
    """A shelf speaker: a box with one or two cones, and a tweeter."""
    w, d = float(rng.uniform(0.5, 0.66)), float(rng.uniform(0.42, 0.52))
    h = float(rng.uniform(0.86, 1.02))
    parts = [Part(g.rounded_box(w, d, h, float(rng.choice([0.012, 0.05]))), body)]
    front = -d / 2
    baffle = plastic([BLACK, (0.9, 0.89, 0.86), shade(cone, 0.5)][int(rng.integers(3))], 0.3)
    if rng.random() < 0.6:
        parts.append(Part(g.rounded_box(w * 0.93, 0.03, h * 0.95, 0.012).moved(0, front, h * 0.025), baffle))
        front -= 0.015
    r = w * float(rng.uniform(0.36, 0.42))
    if rng.random() < 0.3:
        r = min(r, h * 0.19)
        parts += _driver(r, 0, front, h * 0.22, cone, rim) + _driver(r, 0, front, h * 0.61, cone, rim)
        parts += _driver(w * 0.13, 0, front, h * 0.87, shade(cone, 1.3), rim)
    else:
        parts += _driver(r, 0, front, h * 0.08 + r, cone, rim)
        parts += _driver(w * 0.2, 0, front, h * 0.78, shade(cone, 1.3), rim)
    return parts


def _round_speaker(rng: np.random.Generator, cloth: Surface, body: Surface, shine: Colour) -> list[Part]:
    """A speaker dressed in cloth: a pillar or a low drum, with a ring of light on top."""
    pillar = rng.random() < 0.6
    h = float(rng.uniform(0.85, 1.0)) if pillar else float(rng.uniform(0.6, 0.7))
    r = float(rng.uniform(0.24, 0.33)) if pillar else 0.36
    side = [(r * 0.98, 0.05), (r, 0.1), (r, h * 0.9), (r * 0.97, h * 0.96)]
    top_r, top_z = side[-1]
    cap = [(top_r, top_z), (top_r * 0.97, top_z + 0.03), (top_r * 0.9, h + 0.01), (0.0, h + 0.02)]
    base = [(0.0, 0.0), (side[0][0] * 0.95, 0.0), (side[0][0] * 1.01, 0.02), side[0]]
    parts = [Part(g.lathe(side, 48), cloth), Part(g.lathe(cap, 48), body), Part(g.lathe(base, 48), body)]
    ring = g.ring(top_r * 0.72, 0.012, 48).turned("x", 90).moved(z=h + 0.014)
    parts.append(Part(ring, light(shine, 2.0)))
    plate = _marks(rng, 0.13, (0.12, 0.12, 0.13), (0.95, 0.95, 0.92))
    parts.append(Part(plate.mesh.moved(0, -side[0][0] * 1.08, 0.09), plate.surface))
    return parts


def _ball_speaker(rng: np.random.Generator, body: Surface, cone: Colour, rim: Surface) -> list[Part]:
    """A ball on a ring with its front cut flat for one large cone."""
    r, z = 0.45, 0.47
    width = float(rng.uniform(0.27, 0.32))
    front = -float(np.sqrt(r * r - width * width))
    ball = g.sphere(r, 44).moved(z=z)
    cut = np.maximum(ball.vertices, np.array([-9, front, -9], np.float32))
    foot = g.lathe([(0.0, 0.0), (0.24, 0.0), (0.26, 0.02), (0.2, 0.1)], 40)
    parts = [Part(g.Mesh(cut, ball.faces, ball.normals, ball.uv), body), Part(foot, rim)]
    return parts + _driver(width, 0.0, front, z, cone, rim)


def _pill_speaker(rng: np.random.Generator, cloth: Surface, body: Surface, cone: Colour) -> list[Part]:
    """A portable speaker: a lying roll in cloth with a cone at each end and two feet."""
    r, w = float(rng.uniform(0.2, 0.25)), float(rng.uniform(1.0, 1.15))
    roll = g.lathe([(r, -w / 2), (r, w / 2)], 48).turned("y", 90).moved(z=r)
    parts = [Part(roll, cloth)]
    end = [(r, 0.0), (r * 1.03, 0.02), (r * 1.0, 0.06), (r * 0.8, 0.075), (r * 0.74, 0.045), (r * 0.25, 0.03)]
    for s in (-1.0, 1.0):
        parts.append(Part(g.lathe(end, 40).turned("y", 90 * s).moved(s * w / 2, 0, r), body))
        dome = g.lathe([(r * 0.74, 0.045), (r * 0.3, 0.03), (0.0, 0.06)], 32).turned("y", 90 * s)
        parts.append(Part(dome.moved(s * w / 2, 0, r), metal(cone, 0.25)))
        parts.append(Part(g.rounded_box(0.14, r * 1.1, 0.05, 0.015).moved(s * w * 0.3), body))
    plate = _marks(rng, 0.26, cone if sum(cone) > 0.6 else (0.85, 0.2, 0.15), WHITE)
    parts.append(Part(plate.mesh.moved(0, -r * 1.02, r - 0.04), plate.surface))
    strip = g.rounded_box(w * 0.3, r * 0.3, 0.02, 0.008).moved(0, 0, 2 * r - 0.012)
    parts.append(Part(strip, body))
    return parts


def _radio_speaker(rng: np.random.Generator, cloth: Surface, body: Surface, trim: Surface) -> list[Part]:
    """A table speaker of the sixties' manner: a wide box, a cloth front, knobs and a handle."""
    w, h, d = float(rng.uniform(1.0, 1.15)), float(rng.uniform(0.58, 0.7)), 0.36
    parts = [Part(g.rounded_box(w, d, h, 0.07).moved(z=0.03), body)]
    for s in (-1.0, 1.0):
        parts.append(Part(g.rounded_box(0.14, d * 0.7, 0.05, 0.02).moved(s * w * 0.33), trim))
    parts.append(Part(g.rounded_box(w * 0.9, 0.04, h * 0.84, 0.02).moved(0, -d / 2, 0.03 + h * 0.08), trim))
    front = g.rounded_box(w * 0.87, 0.05, h * 0.8, 0.02).moved(0, -d / 2 - 0.004, 0.03 + h * 0.1)
    parts.append(Part(front, cloth))
    for k in range(3):
        knob = g.cylinder(0.035, 0.05, 0.008, 24).moved(w * (0.2 + 0.09 * k), 0, h + 0.025)
        parts.append(Part(knob, trim))
    if rng.random() < 0.6:
        a = np.linspace(0, np.pi, 16)
        grip = [(float(w * 0.36 * np.cos(t)), 0.0, float(h + 0.02 + 0.16 * np.sin(t) ** 0.6)) for t in a]
        parts.append(Part(g.tube(grip, 0.022), plastic((0.32, 0.19, 0.1), 0.4)))
    plate = _marks(rng, 0.2, GOLD, BLACK)
    parts.append(Part(plate.mesh.moved(-w * 0.3, -d / 2 - 0.032, 0.03 + h * 0.16), plate.surface))
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A shelf speaker with open cones, a cloth pillar, a ball, a roll or a table box with knobs."""
    hue = float(rng.uniform(0, 360))
    colour = [
        (0.08, 0.08, 0.09),
        (0.93, 0.92, 0.9),
        hsv(hue, float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.5, 0.85))),
        hsv(hue, 0.25, 0.8),
        hsv(26, 0.55, 0.55),
    ][int(rng.integers(5))]
    wooden = rng.random() < 0.4
    grain = textures.wood(rng, hsv(26, 0.5, float(rng.uniform(0.4, 0.75))), 2, 128)
    body = plastic(grain, 0.25) if wooden else plastic(colour, float(rng.choice([0.08, 0.3])))
    trims = (metal(GOLD, 0.25), metal(SILVER, 0.25), plastic(BLACK, 0.25), metal(COPPER, 0.25))
    cones = ((0.1, 0.1, 0.11), (0.95, 0.78, 0.25), hsv(hue + 40, 0.7, 0.7), (0.85, 0.85, 0.86))
    trim, cone = trims[int(rng.integers(4))], cones[int(rng.integers(4))]
    thread = mix(colour, (0.5, 0.5, 0.5), 0.15) if rng.random() < 0.7 else hsv(hue + 180, 0.3, 0.75)
    woven = _cloth(thread, int(rng.integers(3)))
    kind = int(rng.integers(6))
    if kind <= 2:
        return _box_speaker(rng, body, cone, trim)
    if kind == 3 and rng.random() < 0.4:
        return _ball_speaker(rng, plastic(colour, 0.08), cone, trim)
    if kind == 3:
        return _round_speaker(rng, Surface(woven, tiles=(28.0, 12.0)), body, hsv(hue + 120, 0.6, 1.0))
    if kind == 4:
        return _pill_speaker(rng, Surface(woven, tiles=(16.0, 12.0)), plastic(shade(colour, 0.8), 0.3), cone)
    return _radio_speaker(rng, Surface(woven, tiles=(20.0, 10.0)), body, trim)


def sample_style(rng: np.random.Generator) -> Style:
    """A teal, petrol, ochre or terracotta wall, warm wood, and one backdrop of the music room."""
    h = float(rng.choice([176.0, 188, 200, 38, 26, 12]) + rng.uniform(-5, 5))
    warm = h < 60 or h > 300
    value = float(rng.uniform(0.7, 0.85) if warm else rng.uniform(0.5, 0.7))
    return Style(
        hsv(h, float(rng.uniform(0.45, 0.62)), value),
        hsv(float(rng.uniform(20, 30)), float(rng.uniform(0.5, 0.62)), float(rng.uniform(0.42, 0.62))),
        hsv(float(rng.choice([182.0, 192])) if warm else float(rng.choice([20.0, 38])), 0.6, 0.75),
        hsv(float(rng.choice([28.0, 40])) if not warm else float(rng.choice([172.0, 44])), 0.65, 1.0),
        (str(rng.choice(["equaliser", "slats", "foam"])), *pick(rng, ("records", "headphones", "crate"), 2)),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.05, 0.35)),
        fill=0.85,
    )


BRANDS = (
    Style(
        hsv(184, 0.62, 0.52),
        hsv(25, 0.58, 0.52),
        hsv(22, 0.68, 0.82),
        hsv(34, 0.7, 1.0),
        ("equaliser", "records"),
        0,
        -0.8,
        0.2,
        fill=0.75,
    ),
    Style(
        hsv(38, 0.6, 0.82),
        hsv(24, 0.55, 0.6),
        hsv(186, 0.62, 0.5),
        hsv(188, 0.5, 0.7),
        ("slats", "crate", "headphones"),
        1,
        0.8,
        0.3,
        fill=0.9,
    ),
    Style(
        hsv(18, 0.52, 0.78),
        hsv(22, 0.6, 0.42),
        hsv(178, 0.55, 0.62),
        hsv(172, 0.55, 0.95),
        ("foam", "records", "headphones"),
        1,
        -0.7,
        0.1,
        fill=0.85,
    ),
)


def _disc(radius: float, colour: Texture) -> Part:
    """A flat disc in the plane z = 0 that carries a square picture."""
    a = np.linspace(0, 2 * np.pi, 49)
    rim = np.stack([np.cos(a), np.sin(a)], -1)
    points = np.stack([np.concatenate([rim * r * radius, 0 * a[:, None]], 1) for r in (0.0, 1.0)])
    uv = np.stack([0.5 + 0.5 * rim * r for r in (0.0, 1.0)])
    return Part(g.grid_surface(points, uv), plastic(colour, 0.12))


def _vinyl(rng: np.random.Generator, paper: Colour, ink: Colour) -> Texture:
    """The face of a record: grooves in bands, a label and its hole."""
    n = 192
    image = Image.new("RGB", (n, n), (14, 14, 15))
    draw = ImageDraw.Draw(image)

    def ring(radius: float, fill: Colour) -> None:
        r = radius * n / 2
        draw.ellipse([n / 2 - r, n / 2 - r, n / 2 + r, n / 2 + r], fill=tuple(round(c * 255) for c in fill))

    for radius in np.arange(0.96, 0.38, -0.04):
        ring(float(radius), (0.03, 0.03, 0.033) if rng.random() < 0.5 else (0.1, 0.1, 0.105))
    ring(0.36, paper)
    ring(0.22, ink)
    ring(0.12, paper)
    ring(0.035, (0.9, 0.9, 0.9))
    return np.asarray(image)


def _sleeve(rng: np.random.Generator, ground: Colour, figure: Colour, second: Colour) -> Texture:
    """A record's cover: arcs, a sun or slanting bands in three colours."""
    n = 128
    colours = [tuple(round(c * 255) for c in x) for x in (ground, figure, second)]
    image = Image.new("RGB", (n, n), colours[0])
    draw = ImageDraw.Draw(image)
    kind = int(rng.integers(3))
    for k in range(5):
        r, ink = n * (0.46 - 0.09 * k), colours[1 + k % 2]
        if kind == 0:
            draw.ellipse([n * 0.5 - r, n - r, n * 0.5 + r, n + r], fill=ink)
        elif kind == 1:
            draw.ellipse([n * 0.5 - r, n * 0.52 - r, n * 0.5 + r, n * 0.52 + r], fill=colours[(k + 1) % 3])
        else:
            x = n * (0.28 * k - 0.3)
            draw.polygon([(x, n), (x + n * 0.14, n), (x + n * 0.54, 0), (x + n * 0.4, 0)], fill=ink)
    return np.asarray(image)


def _add_record(
    stage: Stage, rng: np.random.Generator, x: float, y: float, size: float, style: Style, side: float
) -> None:
    """A sleeve that leans back with its record half drawn to ``side``; ``y`` is where it stands."""
    art = _sleeve(rng, mix(style.prop, WHITE, 0.15), mix(style.accent, WHITE, 0.35), shade(style.prop, 0.55))
    lean = -10.0
    cover = g.rounded_box(size, 0.025, size, 0.006).turned("x", lean).moved(x, y)
    stage.add(cover, plastic(art, 0.3))
    disc = _disc(size * 0.475, _vinyl(rng, style.accent, style.prop))
    m = disc.mesh.turned("x", 90).moved(side * size * 0.42, 0.0, size * 0.48).turned("x", lean)
    stage.add(m.moved(x, y + 0.002), disc.surface)


def _add_crate(stage: Stage, rng: np.random.Generator, x: float, y: float, style: Style, turn: float) -> None:
    """A wooden crate full of records that lean against each other."""
    w, d, h = 0.58, 0.4, 0.26
    grain = plastic(textures.wood(rng, shade(style.floor, 1.35), 1, 128).swapaxes(0, 1).copy(), 0.4)
    boards = [
        g.rounded_box(w, 0.02, 0.1, 0.005).moved(0, s * d / 2, z) for s in (-1, 1) for z in (0.02, 0.145)
    ]
    boards += [g.rounded_box(0.02, d, h, 0.005).moved(s * w / 2) for s in (-1, 1)]
    stage.add(g.merge_meshes(boards).turned("z", turn).moved(x, y), grain)
    tones = (style.prop, style.accent, hsv(44, 0.2, 0.95), shade(style.prop, 0.6))
    for k in range(6):
        cover = g.rounded_box(0.52, 0.03, 0.5, 0.004).turned("x", -9.0).moved(0, -0.16 + 0.058 * k, 0.01)
        tone = tones[(k + 2) % 4]
        art = _sleeve(rng, tone, tones[(k + 3) % 4], tones[k % 4]) if k == 0 else tone
        stage.add(cover.turned("z", turn).moved(x, y), plastic(art, 0.35))


def _add_headphones(stage: Stage, x: float, y: float, style: Style) -> None:
    """Headphones on a stand."""
    stage.add(g.cylinder(0.12, 0.025, 0.008).moved(x, y), plastic(shade(style.floor, 0.7), 0.3))
    stage.add(g.cylinder(0.018, 0.56, segments=12).moved(x, y), metal(GOLD, 0.25))
    pale = (0.93, 0.9, 0.84)
    a = np.linspace(-0.15, np.pi + 0.15, 22)
    bow = [(float(0.14 * np.cos(t)), 0.0, float(0.4 + 0.18 * np.sin(t))) for t in a]
    stage.add(g.tube(bow, 0.024).moved(x, y), plastic(pale, 0.35))
    for s in (-1.0, 1.0):
        cup = (
            g.cylinder(0.1, 0.07, 0.02, 28).turned("y", -90 * s).turned("z", 25).moved(x + s * 0.15, y, 0.33)
        )
        stage.add(cup, plastic(pale, 0.2))


def _add_equaliser(stage: Stage, rng: np.random.Generator, far: float, style: Style) -> None:
    """Bars of small lamps on the wall, as high as the tones of a tune."""
    count, phase = 15, float(rng.uniform(0, 6))
    levels: list[list[g.Mesh]] = [[], [], []]
    for k in range(count):
        swing = 0.5 + 0.5 * np.sin(1.05 * k + phase) * np.cos(0.37 * k + 0.5 * phase)
        for j in range(3 + int(8 * swing)):
            lamp = g.quad(0.13, 0.075).moved(0.2 * (k - (count - 1) / 2), far, 0.12 + 0.115 * j)
            levels[0 if j < 4 else 1 if j < 7 else 2].append(lamp)
    tones = (style.accent, mix(style.accent, style.prop, 0.5), style.prop)
    for lamps, tone in zip(levels, tones, strict=True):
        if lamps:
            stage.add(g.merge_meshes(lamps), light(tone, 1.9))


def _add_foam(stage: Stage, far: float, colour: Colour) -> None:
    """A wall of foam panels with wedges, lying and upright in turn."""
    edge, wedges = 0.5, 5
    one = []
    for k in range(wedges):
        x0, x1 = -edge / 2 + edge * k / wedges, -edge / 2 + edge * (k + 1) / wedges
        for a, b in (((x0, 0.0), ((x0 + x1) / 2, -0.09)), (((x0 + x1) / 2, -0.09), (x1, 0.0))):
            rows = [[[a[0], a[1], z], [b[0], b[1], z]] for z in (-edge / 2, edge / 2)]
            one.append(g.grid_surface(np.array(rows)))
    upright = g.merge_meshes(one)
    lying = upright.turned("y", 90)
    for parity, tone in ((0, 1.0), (1, 0.88)):
        mesh = lying if parity else upright
        cells = [(i, j) for i in range(-4, 5) for j in range(5) if (i + j) % 2 == parity]
        panels = [mesh.moved(edge * i, far, edge * (j - 0.2)) for i, j in cells]
        stage.add(g.merge_meshes(panels), matte(shade(colour, tone)))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Wooden shelf, wall by style, records, crate and headphones at the sides, a lead and a single before."""
    far = 1.35
    grain = textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy()
    stage.add(g.floor(9, -4, far), plastic(grain, 0.15, (3.0, 1.6)))
    stage.add(g.quad(8, 5).moved(y=far + 0.02, z=-0.5), matte(textures.plaster(rng, style.wall, 0.04)))
    side = 1.0 if style.layout == 0 else -1.0
    if style.has("equaliser"):
        _add_equaliser(stage, rng, far - 0.03, style)
    if style.has("slats"):
        slat = g.rounded_box(0.1, 0.07, 4.0, 0.01).moved(y=far - 0.02)
        strips = g.merge_meshes([slat.moved(0.17 * k) for k in range(-13, 14)])
        stage.add(strips, plastic(textures.wood(rng, shade(style.floor, 1.25), 1, 128), 0.35))
    if style.has("foam"):
        _add_foam(stage, far, style.wall)
    if style.has("records"):
        _add_record(stage, rng, -side * 0.95, 0.75, 0.62, style, side * 1.0)
        _add_record(stage, rng, side * 1.05, 1.0, 0.62, style, -side * 1.0)
    if style.has("crate"):
        _add_crate(stage, rng, side * 0.86, 0.66, style, -side * 12)
        if not style.has("records"):
            _add_record(stage, rng, -side * 0.95, 1.05, 0.62, style, side)
    single = _disc(0.2, _vinyl(rng, style.accent, style.prop))
    stage.add(single.mesh.moved(side * 0.74, -0.24, 0.005), single.surface)
    s = np.linspace(0, 1, 22)
    lead = np.stack([0.5 + 0.7 * s, 0.45 - 0.75 * s + 0.11 * np.sin(9 * s), 0.014 + 0 * s], 1) * [-side, 1, 1]
    path = [(float(p), float(q), float(r)) for p, q, r in lead]
    stage.add(g.tube(path, 0.012, 8), plastic(style.prop, 0.35))
    if style.has("headphones"):
        _add_headphones(stage, -side * 0.9, 0.12, style)
    add_key_light(stage, style, 13.5, 2.4)


FRAMING = Framing((0.48, 0.58), (4, 8), (-24, 24), offset=0.05)
CATEGORY = Category("speaker", BRANDS, sample_style, build_product, dress, FRAMING)
