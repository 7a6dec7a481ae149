"""Rice cooker: a calm kitchen counter of light wood, pale tiles or slats, a bowl of rice and vegetables."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_bowl, add_key_light, add_leaves, add_potted_plant
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
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

_DARK: Colour = (0.07, 0.07, 0.08)
_WHITE: Colour = (0.95, 0.95, 0.93)
_OAK: Colour = (0.84, 0.68, 0.48)


def _display(rng: np.random.Generator, ground: Colour, glow: Colour) -> Texture:
    """A control panel's face: a lit window with marks, and rows of small marks for its buttons."""
    skin = np.zeros((64, 128, 3), np.uint8)
    skin[:] = np.round(np.array(ground) * 255)
    window = textures.label(rng, glow, glow, _DARK, shade(glow, 0.6), (0.0, 0.0, 1.0, 1.0), (34, 60))
    skin[6:40, 34:94] = window
    ink = _WHITE if sum(ground) < 1.2 else _DARK
    for x in (10, 22, 100, 112):
        for y in (12, 28):
            skin[y : y + 4, x : x + 8] = np.round(np.array(ink) * 255)
    for x in (14, 40, 66, 92):
        skin[48:58, x : x + 20] = np.round(np.array(mix(ground, ink, 0.3)) * 255)
    return skin


def _panel(rng: np.random.Generator, width: float, body: Colour) -> list[Part]:
    """A control panel about (0, 0, 0), its face to the camera, with buttons below a lit window."""
    ground = _DARK if rng.random() < 0.65 else mix(body, _WHITE, 0.5)
    glow = hsv(float(rng.choice([28.0, 190, 130, 205])), 0.4, 0.95)
    height = width * 0.5
    plate = g.rounded_box(width, 0.04, height, 0.018).moved(z=-height / 2)
    face = g.quad(width * 0.94, height * 0.9).moved(0, -0.0215, -height * 0.45)
    parts = [Part(plate, plastic(ground, 0.12)), Part(face, plastic(_display(rng, ground, glow), 0.15))]
    start = hsv(float(rng.choice([18.0, 355, 130])), 0.75, 0.9)
    for x, colour in ((-0.3, mix(ground, _WHITE, 0.4)), (0.3, start)):
        button = g.cylinder(width * 0.075, 0.02, 0.006, 20).turned("x", 90)
        parts.append(Part(button.moved(x * width, -0.016, -height * 0.22), plastic(colour, 0.2)))
    return parts


def _seat(parts: list[Part], lean: float, y: float, z: float) -> list[Part]:
    """Parts leant back by ``lean`` degrees and moved to (0, y, z)."""
    return [Part(p.mesh.turned("x", -lean).moved(0, y, z), p.surface) for p in parts]


def _swing_handle(w: float, z: float, rise: float, y: float, surface: Surface) -> Part:
    """A carrying handle over the lid, its ends at height ``z`` on both sides."""
    a = np.linspace(0, np.pi, 20)
    path = [
        (float(w * np.sign(np.cos(t)) * abs(np.cos(t)) ** 0.55), y, z + rise * float(np.sin(t) ** 0.6))
        for t in a
    ]
    return Part(g.tube(path, 0.026, 12), surface)


def _box_cooker(rng: np.random.Generator, body: Surface, lid: Surface, tone: Colour) -> list[Part]:
    """A rounded square cooker: body, lid with a dark seam, panel on the front, handle folded back."""
    w, d = float(rng.uniform(0.84, 1.0)), float(rng.uniform(0.8, 0.92))
    low, cap = float(rng.uniform(0.4, 0.48)), float(rng.uniform(0.2, 0.26))
    bevel = float(rng.uniform(0.12, 0.2))
    parts = [
        Part(g.rounded_box(w * 0.86, d * 0.86, 0.05, 0.02), plastic(_DARK, 0.4)),
        Part(g.rounded_box(w, d, low + 0.16, bevel).moved(z=0.025), body),
        Part(g.rounded_box(w * 0.965, d * 0.965, 0.2, 0.09).moved(z=low - 0.03), plastic(_DARK, 0.35)),
        Part(g.rounded_box(w, d, cap + 0.12, bevel).moved(z=low + 0.055 - 0.03), lid),
    ]
    top = low + cap + 0.145
    parts.append(
        Part(
            g.rounded_box(w * 0.34, d * 0.2, 0.03, 0.014).moved(0, d * 0.26, top - 0.012),
            plastic(_DARK, 0.25),
        )
    )
    parts.append(
        Part(g.rounded_box(0.15, 0.1, 0.03, 0.014).moved(0, -d * 0.28, top - 0.015), metal(SILVER, 0.25))
    )
    parts += _seat(_panel(rng, w * float(rng.uniform(0.5, 0.62)), tone), 4, -d / 2 + 0.004, low * 0.62)
    parts.append(
        _swing_handle(w / 2 + 0.012, low + 0.14, cap + 0.05, d * 0.2, plastic(shade(tone, 0.75), 0.3))
    )
    return parts


def _dome_cooker(rng: np.random.Generator, body: Surface, lid: Surface, tone: Colour) -> list[Part]:
    """A round cooker with a domed lid, a metal ring about its waist, panel and steam vent."""
    r, low = float(rng.uniform(0.46, 0.53)), float(rng.uniform(0.42, 0.52))
    rise = float(rng.uniform(0.2, 0.3))
    bulge = float(rng.uniform(0.02, 0.07))
    side = [(0.0, 0.03), (r * 0.8, 0.03), (r * 0.97, 0.08), (r + bulge, low * 0.55), (r + 0.01, low)]
    dome = [(r + 0.008, low + 0.022), (r * 0.97, low + rise * 0.5), (r * 0.66, low + rise * 0.92)]
    dome += [(r * 0.3, low + rise), (0.0, low + rise)]
    ring = metal(COPPER if rng.random() < 0.35 else SILVER, 0.22)
    parts = [
        Part(g.cylinder(r * 0.76, 0.05, 0.01), plastic(_DARK, 0.4)),
        Part(g.lathe(g.smooth_profile(side), 48), body),
        Part(g.lathe([(r + 0.016, low - 0.012), (r + 0.02, low), (r + 0.016, low + 0.03)], 48), ring),
        Part(g.lathe(g.smooth_profile(dome), 48), lid),
        Part(g.cylinder(0.1, 0.035, 0.012).moved(0, r * 0.36, low + rise - 0.02), plastic(_DARK, 0.25)),
    ]
    if rng.random() < 0.5:
        parts.append(_swing_handle(r + 0.03, low * 0.9, rise + 0.1, 0.05, plastic(shade(tone, 0.75), 0.3)))
    else:
        grip = g.rounded_box(0.3, 0.1, 0.06, 0.028)
        parts.append(Part(grip.moved(0, -0.02, low + rise - 0.012), plastic(shade(tone, 0.6), 0.25)))
    parts += _seat(_panel(rng, float(rng.uniform(0.42, 0.5)), tone), -2, -r - bulge * 0.8 + 0.012, low * 0.5)
    return parts


def _pot_cooker(rng: np.random.Generator, body: Surface, tone: Colour) -> list[Part]:
    """The classic: a straight pot with side handles, a steel lid with a knob, one switch and a lamp."""
    r, low = float(rng.uniform(0.47, 0.52)), float(rng.uniform(0.48, 0.58))
    steel = metal(SILVER, 0.2)
    profile = [
        (0.0, 0.02),
        (r * 0.9, 0.02),
        (r * 0.98, 0.06),
        (r, low - 0.03),
        (r * 1.04, low),
        (r * 0.94, low),
    ]
    parts = [
        Part(g.cylinder(r * 0.8, 0.04, 0.01), plastic(_DARK, 0.4)),
        Part(g.lathe(profile, 48), body),
        Part(g.lathe([(r * 1.005, low * 0.1), (r * 1.012, low * 0.13), (r * 1.005, low * 0.16)], 48), steel),
        Part(
            g.lathe(
                [
                    (r * 1.02, low),
                    (r * 1.02, low + 0.02),
                    (r * 0.8, low + 0.085),
                    (r * 0.4, low + 0.13),
                    (0, low + 0.14),
                ],
                48,
            ),
            steel,
        ),
        Part(g.cylinder(0.035, 0.06).moved(z=low + 0.13), plastic(_DARK, 0.3)),
        Part(g.cylinder(0.085, 0.045, 0.018).moved(z=low + 0.18), plastic(_DARK, 0.25)),
    ]
    for side in (-1.0, 1.0):
        ear = g.rounded_box(0.13, 0.24, 0.05, 0.022).moved(side * (r + 0.05), 0, low * 0.74)
        parts.append(Part(ear, plastic(_DARK, 0.3)))
    plate = [Part(g.rounded_box(0.24, 0.05, 0.28, 0.02).moved(z=-0.14), plastic(mix(tone, SILVER, 0.6), 0.2))]
    lever = g.rounded_box(0.09, 0.05, 0.045, 0.015).moved(0, -0.04, -0.1)
    plate.append(Part(lever, plastic(hsv(float(rng.choice([0.0, 18, 205])), 0.75, 0.85), 0.2)))
    for z, colour in ((0.03, (1.0, 0.55, 0.15)), (0.085, (0.3, 0.9, 0.4))):
        lamp = g.cylinder(0.02, 0.02, 0.006, 16).turned("x", 90)
        plate.append(Part(lamp.moved(0, -0.02, z), light(colour, 1.4)))
    return parts + _seat(plate, 0, -r - 0.005, low * 0.45)


def build_product(rng: np.random.Generator) -> list[Part]:
    """A square, domed or classic rice cooker in lacquer, steel or two colours."""
    hue = float(rng.uniform(0, 360))
    plain: list[Colour] = [_WHITE, (0.13, 0.13, 0.14), (0.72, 0.71, 0.7)]
    vivid = [hsv(hue, 0.28, 0.9), hsv(hue, 0.6, 0.65), hsv(hue, 0.55, 0.88)]
    tone = [*plain, *vivid][int(rng.integers(6))]
    finish = float(rng.choice([0.08, 0.2, 0.35]))
    steel = rng.random() < 0.2
    body = metal(mix(SILVER, tone, 0.25), 0.28) if steel else plastic(tone, finish)
    second = [tone, _WHITE, _DARK, shade(tone, 0.7)][int(rng.integers(4))]
    lid = plastic(second, finish)
    if not steel and rng.random() < 0.25:
        body = plastic(textures.gradient(shade(tone, 0.72), mix(tone, _WHITE, 0.15)), finish)
    kind = int(rng.integers(5))
    if kind <= 1:
        return _box_cooker(rng, body, lid, tone)
    return _dome_cooker(rng, body, lid, tone) if kind <= 3 else _pot_cooker(rng, body, tone)


def _build_style(
    colours: tuple[Colour, Colour, Colour], elements: tuple[str, ...], layout: int, key: tuple[float, float]
) -> Style:
    """A bright kitchen.

    ``colours`` are those of wall, counter and crockery, ``elements`` begin with the wall's kind, ``layout`` 1
    puts a mat under the cooker, ``key`` holds the key light's side and warmth.
    """
    return Style(*colours, hsv(108, 0.57, 0.49), elements, layout, *key, fill=0.95)


def sample_style(rng: np.random.Generator) -> Style:
    """Cream, sage, pale blue, honey or clay tiles, or slats of light wood."""
    wall = str(rng.choice(["tiles", "slats", "fingers"]))
    h = float(rng.choice([40.0, 34, 20, 95, 130, 200]) + rng.uniform(-5, 5))
    tile = hsv(h, rng.uniform(0.08, 0.24), rng.uniform(0.86, 0.95))
    colours = (
        hsv(rng.uniform(26, 38), rng.uniform(0.3, 0.42), rng.uniform(0.74, 0.88))
        if wall == "slats"
        else tile,
        hsv(rng.uniform(28, 36), rng.uniform(0.36, 0.48), rng.uniform(0.76, 0.88)),
        hsv(float(rng.choice([18.0, 205, 140, 45]) + rng.uniform(-6, 6)), 0.42, rng.uniform(0.6, 0.85)),
    )
    props = ("carrots", "steamer", "shelf", "plant", "greens", "spoons", "eggs")
    things = pick(rng, props, int(rng.integers(2, 4)))
    side, warmth = float(rng.choice([-0.8, 0.8])), float(rng.uniform(0.05, 0.3))
    return _build_style(colours, (wall, *things), int(rng.integers(2)), (side, warmth))


_CREAM = (hsv(42, 0.06, 0.95), hsv(33, 0.4, 0.85), hsv(206, 0.5, 0.62))
_HONEY = (hsv(34, 0.38, 0.84), hsv(35, 0.34, 0.9), hsv(130, 0.28, 0.68))
_CLAY = (hsv(16, 0.34, 0.88), hsv(32, 0.32, 0.87), hsv(14, 0.5, 0.72))
BRANDS = (
    _build_style(_CREAM, ("tiles", "carrots", "shelf"), 0, (-0.8, 0.1)),
    _build_style(_HONEY, ("slats", "steamer", "plant"), 1, (0.8, 0.25)),
    _build_style(_CLAY, ("fingers", "greens", "eggs", "spoons"), 0, (-0.75, 0.3)),
)


def _add_rice_bowl(
    stage: Stage, rng: np.random.Generator, x: float, y: float, radius: float, colour: Colour
) -> None:
    """A bowl heaped with grains of rice."""
    add_bowl(stage, x, y, radius, colour, None)
    rice = (0.97, 0.96, 0.92)
    low, rise, r = radius * 0.56, radius * 0.52, radius * 0.92
    a = np.linspace(0, np.pi / 2, 8)
    dome = [(float(r * np.cos(t)), float(low + rise * np.sin(t))) for t in a]
    stage.add(g.lathe(dome, 28, 80).moved(x, y), matte(shade(rice, 0.9)))
    grain = g.sphere(1.0, 8).scaled(0.042, 0.017, 0.017)
    grains = []
    for _ in range(170):
        t, u = float(np.arccos(rng.uniform(0.05, 1.0))), float(rng.uniform(0, 2 * np.pi))
        m = grain.turned("y", float(rng.uniform(-35, 35))).turned("z", float(rng.uniform(0, 180)))
        q = r * np.sin(t)
        grains.append(
            m.scaled(radius / 0.27).moved(x + q * np.cos(u), y + q * np.sin(u), low + rise * np.cos(t))
        )
    stage.add(g.merge_meshes(grains), plastic(rice, 0.35))


def _add_chopsticks(stage: Stage, x: float, y: float, turn: float) -> None:
    """A pair of chopsticks on a small rest."""
    sticks = [g.tube([(-0.3, k, 0.052), (0.3, k * 0.4, 0.045)], [0.014, 0.009], 8) for k in (-0.03, 0.03)]
    stage.add(g.merge_meshes(sticks).turned("z", turn).moved(x, y), plastic((0.42, 0.2, 0.12), 0.25))
    rest = g.rounded_box(0.05, 0.17, 0.035, 0.012).moved(0.18, 0, 0).turned("z", turn)
    stage.add(rest.moved(x, y), plastic(_WHITE, 0.2))


def _add_carrots(stage: Stage, x: float, y: float, side: float, green: Colour) -> None:
    """Three carrots with their tops on a board."""
    board = g.rounded_box(0.52, 0.36, 0.035, 0.015)
    roots: list[g.Mesh] = []
    tops: list[g.Mesh] = []
    for k in range(3):
        path = [(t, 0.0, 0.0) for t in (-0.22, -0.15, 0.0, 0.14, 0.17)]
        root = g.tube(path, [0.0, 0.022, 0.045, 0.058, 0.0], 14)
        leaves = [
            g.leaf(0.16, 0.06, 0.3).turned("y", 90).turned("z", t).moved(0.16) for t in (-22.0, 0, 22.0)
        ]
        for group, mesh in ((roots, root), (tops, g.merge_meshes(leaves))):
            group.append(mesh.turned("z", 6.0 * (k - 1)).moved(-0.02, 0.12 * (k - 1), 0.092))
    for mesh, surface in (
        (board, plastic(shade(_OAK, 0.78), 0.35)),
        (g.merge_meshes(roots), plastic(hsv(24, 0.85, 0.95), 0.3)),
        (g.merge_meshes(tops), plastic(green, 0.4)),
    ):
        stage.add(mesh.turned("z", 90 + 28 * side).moved(x, y), surface)


def _add_steamer(stage: Stage, x: float, y: float, size: float) -> None:
    """Two bamboo baskets with a woven lid."""
    bamboo = (0.83, 0.64, 0.4)
    for k in range(2):
        wall = [(0, 0.02), (size, 0.02), (size, 0.17), (size * 0.9, 0.17)]
        stage.add(g.lathe(wall, 40).moved(x, y, 0.19 * k), plastic(bamboo, 0.4))
        bands = [g.cylinder(size * 1.025, 0.035, 0.01, 40).moved(x, y, 0.19 * k + z) for z in (0.015, 0.14)]
        stage.add(g.merge_meshes(bands), plastic(shade(bamboo, 0.78), 0.4))
    weave = textures.checks(bamboo, shade(bamboo, 0.7), 24, 128)
    lid = [(size * 1.02, 0.38), (size * 1.0, 0.43), (size * 0.6, 0.485), (0, 0.5)]
    stage.add(g.lathe(lid, 40).moved(x, y), Surface(weave, "plastic", 0.4))
    stage.add(g.ring(0.06, 0.014, 20).moved(x, y, 0.52), plastic(shade(bamboo, 0.7), 0.4))


def _add_shelf(stage: Stage, x: float, far: float, style: Style) -> None:
    """A wall board with bowls and jars."""
    z = 0.98
    stage.add(
        g.rounded_box(1.15, 0.24, 0.045, 0.012).moved(x, far - 0.13, z), plastic(shade(_OAK, 0.92), 0.35)
    )
    for k, (dx, r) in enumerate(((-0.38, 0.13), (-0.04, 0.12))):
        add_bowl(stage, x + dx, far - 0.13, r, style.prop if k else _WHITE, None)
        moved = [Part(p.mesh.moved(z=z + 0.045), p.surface) for p in stage.parts[-1:]]
        stage.parts[-1:] = moved
    jar = g.cylinder(0.09, 0.24, 0.025).moved(x + 0.33, far - 0.13, z + 0.045)
    stage.add(jar, plastic(mix(style.prop, _WHITE, 0.55), 0.25))
    stage.add(
        g.cylinder(0.075, 0.04, 0.01).moved(x + 0.33, far - 0.13, z + 0.28), plastic(shade(_OAK, 0.8), 0.4)
    )


def _add_spoons(stage: Stage, rng: np.random.Generator, x: float, y: float, style: Style) -> None:
    """A crock with wooden spoons and rice paddles."""
    stage.add(
        g.lathe([(0, 0), (0.13, 0), (0.14, 0.3), (0.12, 0.3), (0.11, 0.1)]).moved(x, y),
        plastic(style.prop, 0.3),
    )
    tools = []
    for k in range(4):
        stem = g.cylinder(0.013, 0.44, segments=8)
        head = g.sphere(1.0, 14).scaled(0.055, 0.018, 0.09).moved(z=0.5)
        lean = float(rng.uniform(-4, 4)) + 12 * (k - 1.5)
        tools.append(g.merge_meshes([stem, head]).turned("y", lean).moved(x + 0.02 * (k - 1.5), y, 0.1))
    stage.add(g.merge_meshes(tools), plastic(shade(_OAK, 0.85), 0.4))


def _add_eggs(stage: Stage, rng: np.random.Generator, x: float, y: float) -> None:
    """Three eggs in a shallow dish."""
    stage.add(
        g.lathe([(0, 0), (0.16, 0), (0.23, 0.05), (0.21, 0.05), (0, 0.015)]).moved(x, y), plastic(_WHITE, 0.2)
    )
    eggs = [
        g.sphere(0.085, 20).scaled(1, 1, 1.28).turned("y", 78.0).turned("z", float(rng.uniform(0, 360)))
        for _ in range(3)
    ]
    spots = ((-0.085, -0.04), (0.09, -0.05), (0.0, 0.1))
    moved = [m.moved(x + dx, y + dy, 0.105) for m, (dx, dy) in zip(eggs, spots, strict=True)]
    stage.add(g.merge_meshes(moved), plastic(hsv(24, 0.32, 0.9), 0.4))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Counter and wall, the bowl of rice, and what else the style calls for."""
    far = 1.25
    stage.add(g.floor(8, -4, far), plastic(textures.wood(rng, style.floor, 6), 0.25, (2.2, 1.0)))
    if style.has("slats"):
        stage.add(g.quad(8, 4).moved(y=far), matte(shade(style.wall, 0.72)))
        slats = [g.rounded_box(0.085, 0.06, 3.5, 0.012).moved(0.135 * k, far - 0.02) for k in range(-14, 15)]
        stage.add(g.merge_meshes(slats), plastic(style.wall, 0.4))
    elif style.has("fingers"):
        skin = textures.tiles(rng, style.wall, mix(style.wall, _WHITE, 0.7), 20, 5)
        stage.add(g.quad(8, 4).moved(y=far), plastic(skin, 0.2, (4.0, 2.4)))
    else:
        skin = textures.tiles(rng, style.wall, shade(style.wall, 0.8), 8, 8)
        stage.add(g.quad(8, 4).moved(y=far), plastic(skin, 0.15, (4.5, 2.25)))
    if style.layout == 1:
        weave = textures.stripes([mix(style.prop, _WHITE, 0.55), mix(style.prop, _WHITE, 0.72)], 48)
        stage.add(g.floor(1.42, -0.66, 0.6).moved(z=0.001), matte(weave))
    side = 1.0 if rng.random() < 0.5 else -1.0
    _add_rice_bowl(stage, rng, side * 0.84, 0.2, 0.215, style.prop)
    _add_chopsticks(stage, side * 0.5, -0.72, 14.0 * side)
    if style.has("shelf"):
        _add_shelf(stage, -side * 0.5, far, style)
    if style.has("steamer"):
        _add_steamer(stage, -side * 0.8, 0.6, 0.29)
    if style.has("carrots"):
        _add_carrots(stage, -side * 0.84, 0.12, side, style.accent)
    if style.has("spoons"):
        _add_spoons(stage, rng, side * 0.72, 0.95, style)
    if style.has("plant"):
        add_potted_plant(stage, rng, side * 0.8, 0.85, 0.75, _WHITE, style.accent)
    if style.has("greens"):
        add_leaves(stage, rng, -side * 0.9, 0.75, 0.0, 0.5, style.accent, 9)
    if style.has("eggs"):
        _add_eggs(stage, rng, -side * 0.82, 0.02)
    add_key_light(stage, style, 10.0, 2.6)


_FRAMING = Framing((0.47, 0.56), (9, 15), (-22, 22), offset=0.04)
CATEGORY = Category("rice cooker", BRANDS, sample_style, build_product, dress, _FRAMING)
