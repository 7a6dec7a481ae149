"""Game console: a gamer's room in violet, blue and green with hexagon lights and a neon floor grid."""

from __future__ import annotations

import itertools

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
from cyclorama.scenes.stage import Light, Part, Stage, compute_bounds
from cyclorama.scenes.surface import (
    SILVER,
    Colour,
    Style,
    Texture,
    hsv,
    light,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

_BLACK: Colour = (0.05, 0.05, 0.055)
_WHITE: Colour = (0.94, 0.94, 0.95)
_GOLD_PAINT = plastic(hsv(44, 0.72, 0.95), 0.12)
_PADS = ((0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0))


def _front_disc(radius: float, depth: float, x: float, y: float, z: float) -> g.Mesh:
    """A round button whose face looks at the camera, its back at ``y``."""
    return g.cylinder(radius, depth, depth * 0.4, 20).turned("x", 90).moved(x, y, z)


def _cross(reach: float, width: float, depth: float) -> g.Mesh:
    """A direction pad in the plane y = 0 about the origin."""
    across = g.rounded_box(2 * reach, depth, width, 0.006).moved(z=-width / 2)
    upright = g.rounded_box(width, depth, 2 * reach, 0.006).moved(z=-reach)
    return g.merge_meshes([across, upright])


def _button_colours(rng: np.random.Generator, body: Colour) -> list[Colour]:
    """Four colours for the action buttons: bright ones, or one that stands out from ``body``."""
    if rng.random() < 0.55:
        return [hsv(h, 0.8, 0.92) for h in (205.0, 355.0, 130.0, 48.0)]
    return [_BLACK if sum(body) > 1.2 else (0.85, 0.85, 0.87)] * 4


def _controller(rng: np.random.Generator, shell: Colour, inlay: Colour, glow: Colour) -> list[Part]:
    """A gamepad about 0.7 wide, standing upright on its grips, its face to the camera."""
    half = [(0.27, -0.30), (0.305, -0.26), (0.32, -0.14), (0.27, 0.0), (0.15, 0.045), (0.0, 0.05)]
    size = [0.0, 0.06, 0.1, 0.135, 0.125, 0.12]
    path = [(-x, 0.0, z) for x, z in half] + [(x, 0.0, z) for x, z in half[-2::-1]]
    body = g.tube(path, size + size[-2::-1], 18).scaled(1.0, 0.62, 1.0)
    ink = _BLACK if sum(inlay) > 1.2 else (0.8, 0.8, 0.83)
    parts = [Part(body, plastic(shell, 0.25))]
    parts.append(Part(g.rounded_box(0.2, 0.03, 0.13, 0.012).moved(0, -0.07, 0.02), plastic(inlay, 0.2)))
    parts.append(Part(g.rounded_box(0.21, 0.012, 0.01, 0.004).moved(0, -0.082, 0.0), light(glow, 2.5)))
    for x in (-0.105, 0.105):
        parts.append(Part(_front_disc(0.062, 0.03, x, -0.055, -0.055), plastic(shade(inlay, 0.8), 0.3)))
        parts.append(Part(_front_disc(0.044, 0.03, x, -0.085, -0.055), plastic(ink, 0.25)))
    parts.append(Part(_cross(0.062, 0.042, 0.03).moved(-0.235, -0.08, 0.05), plastic(ink, 0.25)))
    for (dx, dz), colour in zip(_PADS, _button_colours(rng, shell), strict=True):
        disc = _front_disc(0.025, 0.022, 0.235 + 0.05 * dx, -0.075, 0.05 + 0.05 * dz)
        parts.append(Part(disc, plastic(colour, 0.15)))
    return [Part(p.mesh.turned("x", -14).moved(z=0.305), p.surface) for p in parts]


def _winged(rng: np.random.Generator, shell: Colour, core: Colour, glow: Colour) -> list[Part]:
    """An upright console: a dark core between two tall curved wings."""
    h, d = float(rng.uniform(0.98, 1.12)), float(rng.uniform(0.5, 0.6))
    w = float(rng.uniform(0.13, 0.18))
    parts = [Part(g.rounded_box(w, d * 0.86, h * 0.95, 0.03).moved(z=0.05), plastic(core, 0.12))]
    z = np.linspace(0, 1, 14)
    x = w / 2 + 0.012 + float(rng.uniform(0.03, 0.06)) * (2 * z - 1) ** 2
    back = np.stack([x, np.full_like(z, d / 2), 0.03 + z * h], 1)
    front = np.stack([x + 0.012, np.full_like(z, -d / 2), 0.03 + z * h], 1)
    thick = np.array([0.05, 0.0, 0.0])
    edges = [back, front, front + thick, back + thick, back]
    sides = [g.grid_surface(np.stack(pair, 1)) for pair in itertools.pairwise(edges)]
    lid = g.grid_surface(np.array([[edges[0][-1], edges[1][-1]], [edges[3][-1], edges[2][-1]]]))
    wing = g.merge_meshes([*sides, lid])
    strip = g.rounded_box(0.012, 0.012, h * 0.86, 0.004)
    for side in (-1.0, 1.0):
        parts.append(Part(wing if side > 0 else wing.turned("z", 180), plastic(shell, 0.2)))
        parts.append(Part(strip.moved(side * w * 0.5, -d * 0.43, 0.1), light(glow, 3.0)))
    slot = g.rounded_box(0.016, 0.01, 0.3, 0.004).moved(0, -d * 0.43 - 0.004, h * 0.35)
    parts.append(Part(slot, plastic(_BLACK)))
    parts.append(Part(g.cylinder(0.17, 0.045, 0.01), plastic(core, 0.2)))
    return parts


def _tower(rng: np.random.Generator, shell: Colour, core: Colour, glow: Colour) -> list[Part]:
    """A square tower with a round vent on top, a disc slot and a shining foot."""
    h, w = float(rng.uniform(0.85, 1.05)), float(rng.uniform(0.46, 0.54))
    band = textures.stripes([shell, shell, shade(shell, 0.86)], 30, 128)
    skin: Colour | Texture = band if rng.random() < 0.4 else shell
    parts = [Part(g.rounded_box(w, w, h, 0.03).moved(z=0.03), plastic(skin, 0.28))]
    parts.append(Part(g.rounded_box(w * 0.92, w * 0.92, 0.04, 0.01), light(glow, 1.6)))
    for r in (0.42, 0.33, 0.24, 0.15):
        dark = r in (0.42, 0.24)
        disc = g.cylinder(w * r, 0.014, 0.004).moved(z=h + 0.024 + (0.42 - r) * 0.03)
        parts.append(Part(disc, plastic(core if dark else glow, 0.25)))
    slot = g.rounded_box(0.012, 0.012, h * 0.4, 0.004).moved(-w * 0.3, -w / 2, h * 0.42)
    parts.append(Part(slot, plastic(_BLACK, 0.3)))
    parts.append(Part(_front_disc(0.03, 0.012, -w * 0.3, -w / 2 + 0.004, h * 0.92), light(glow, 2.2)))
    parts.append(Part(_front_disc(0.055, 0.008, w * 0.24, -w / 2 + 0.004, h * 0.16), plastic(core, 0.2)))
    return parts


def _flat(rng: np.random.Generator, shell: Colour, core: Colour, glow: Colour) -> list[Part]:
    """A low console of two or three layers with vents, slot and a line of light."""
    w, d = float(rng.uniform(1.0, 1.15)), float(rng.uniform(0.6, 0.7))
    layers = int(rng.integers(2, 4))
    t = float(rng.uniform(0.3, 0.36)) / layers
    parts: list[Part] = []
    for k in range(layers):
        shift = 0.03 * (k % 2) - 0.015
        box = g.rounded_box(w - 0.05 * (k % 2), d, t - 0.012, 0.02).moved(0, shift, 0.02 + k * t)
        parts.append(Part(box, plastic(core if k % 2 else shell, 0.22)))
    parts.append(Part(g.rounded_box(w * 0.94, d * 0.94, 0.02 + layers * t - 0.02, 0.01), light(glow, 1.8)))
    top = 0.02 + layers * t - 0.012
    lines = [
        g.rounded_box(w * 0.34, 0.018, 0.01, 0.004).moved(-w * 0.26, 0.05 * k, top - 0.003) for k in range(5)
    ]
    parts.append(Part(g.merge_meshes(lines), plastic(_BLACK, 0.4)))
    disc = g.cylinder(d * 0.26, 0.012, 0.005).moved(w * 0.22, 0.04, top - 0.004)
    parts.append(Part(disc, plastic(mix(shell, core, 0.35), 0.15)))
    slot = g.rounded_box(w * 0.36, 0.012, 0.012, 0.004).moved(-w * 0.2, -d / 2 - 0.012, top - t * 0.5)
    parts.append(Part(slot, plastic(_BLACK, 0.3)))
    return parts


def _game_picture(rng: np.random.Generator, hue: float, size: int = 128) -> Texture:
    """What a handheld shows: a pixel landscape of hills, platforms and coins under a coloured sky."""
    cells = 16
    picture = np.zeros((cells, cells, 3))
    picture[:] = np.linspace(hsv(hue, 0.7, 0.85), hsv(hue + 40, 0.35, 1.0), cells)[:, None]
    ground = 12 + np.round(1.6 * np.sin(np.arange(cells) * rng.uniform(0.3, 0.8) + rng.uniform(0, 6)))
    for x in range(cells):
        top = int(ground[x])
        picture[top:, x] = hsv(hue + 150, 0.65, 0.5)
        picture[top, x] = hsv(hue + 120, 0.75, 0.85)
    for _ in range(3):
        x, y = int(rng.integers(1, cells - 4)), int(rng.integers(4, 9))
        picture[y, x : x + 3] = hsv(hue + 190, 0.7, 0.8)
        picture[y - 2, x + 1] = (1.0, 0.85, 0.2)
    hero = int(rng.integers(3, cells - 3))
    picture[int(ground[hero]) - 2 : int(ground[hero]), hero] = hsv(hue + 180, 0.9, 1.0)
    return np.repeat(np.repeat((picture * 255).astype(np.uint8), size // cells, 0), size // cells, 1)


def _wide_handheld(rng: np.random.Generator, shell: Colour, core: Colour, hue: float) -> list[Part]:
    """A handheld with a lit screen between two grips, leaning back on a short stand."""
    h, s, grip = 0.52, float(rng.uniform(0.62, 0.72)), float(rng.uniform(0.2, 0.24))
    two_tone = rng.random() < 0.6
    left = hsv(hue, 0.75, 0.9) if two_tone else shell
    right = hsv(hue + float(rng.choice([120, 180, 210])), 0.75, 0.92) if two_tone else shell
    parts = [Part(g.rounded_box(s, 0.075, h, 0.02), plastic(core, 0.15))]
    picture = light(_game_picture(rng, float(rng.uniform(0, 360))), float(rng.uniform(0.9, 1.2)))
    parts.append(Part(g.quad(s * 0.9, h * 0.84).moved(0, -0.039, h * 0.08), picture))
    colours = _button_colours(rng, left)
    for side, colour in ((-1.0, left), (1.0, right)):
        x = side * (s + grip) / 2
        box = g.rounded_box(grip + 0.05, 0.09, h, 0.045).moved(x - side * 0.02)
        parts.append(Part(box, plastic(colour, 0.25)))
        stick, pad = (0.72, 0.38) if side < 0 else (0.34, 0.68)
        parts.append(Part(_front_disc(0.062, 0.02, x, -0.04, h * stick), plastic(shade(colour, 0.6), 0.3)))
        parts.append(Part(_front_disc(0.046, 0.035, x, -0.055, h * stick), plastic(_BLACK, 0.25)))
        for (dx, dz), own in zip(_PADS, colours, strict=True):
            disc = _front_disc(0.026, 0.02, x + 0.052 * dx, -0.042, h * pad + 0.052 * dz)
            parts.append(Part(disc, plastic(own if side > 0 else _BLACK, 0.2)))
    parts = [Part(p.mesh.turned("x", -16), p.surface) for p in parts]
    foot = g.rounded_box(0.3, 0.02, h * 0.7, 0.006).turned("x", 24).moved(0, 0.29, 0.0)
    return [*parts, Part(foot, plastic(shade(core, 1.2), 0.3))]


def _tall_handheld(rng: np.random.Generator, shell: Colour, core: Colour, hue: float) -> list[Part]:
    """A pocket console: screen above, direction pad and round buttons below, leaning on a stand."""
    w, h, t = float(rng.uniform(0.58, 0.68)), 1.0, 0.13
    accent = hsv(hue, 0.75, 0.85)
    parts = [Part(g.rounded_box(w, t, h, 0.05), plastic(shell, 0.22))]
    bezel = g.rounded_box(w * 0.86, 0.02, h * 0.42, 0.02).moved(0, -t / 2 - 0.002, h * 0.51)
    parts.append(Part(bezel, plastic(core, 0.12)))
    picture = light(_game_picture(rng, float(rng.uniform(0, 360))), 1.0)
    parts.append(Part(g.quad(w * 0.68, h * 0.33).moved(0, -t / 2 - 0.014, h * 0.56), picture))
    ink = _BLACK if sum(shell) > 0.9 else (0.8, 0.8, 0.82)
    parts.append(Part(_cross(0.105, 0.07, 0.05).moved(-w * 0.23, -t / 2 - 0.01, h * 0.3), plastic(ink, 0.25)))
    for k in range(2):
        disc = _front_disc(0.055, 0.035, w * (0.16 + 0.17 * k), -t / 2 + 0.01, h * (0.26 + 0.08 * k))
        parts.append(Part(disc, plastic(accent, 0.15)))
    keys = [
        g.rounded_box(0.085, 0.02, 0.026, 0.012).turned("y", -25).moved(x, -t / 2 - 0.003, h * 0.1)
        for x in (-0.09, 0.04)
    ]
    parts.append(Part(g.merge_meshes(keys), plastic(mix(ink, shell, 0.3), 0.3)))
    holes = [
        g.rounded_box(0.014, 0.014, 0.1, 0.006).turned("y", 28).moved(w * (0.2 + 0.06 * k), -t / 2, h * 0.06)
        for k in range(4)
    ]
    parts.append(Part(g.merge_meshes(holes), plastic(shade(shell, 0.45), 0.4)))
    parts = [Part(p.mesh.turned("x", -10), p.surface) for p in parts]
    foot = g.rounded_box(0.3, 0.03, h * 0.5, 0.01).turned("x", 18).moved(0, 0.3, 0.0)
    return [*parts, Part(foot, plastic(core, 0.3))]


def build_product(rng: np.random.Generator) -> list[Part]:
    """A winged, tower or flat console with its gamepad, or a wide or tall handheld."""
    hue = float(rng.uniform(0, 360))
    shell = [_WHITE, (0.1, 0.1, 0.11), hsv(hue, 0.75, 0.8), hsv(hue, 0.3, 0.9), (0.7, 0.69, 0.66)][
        int(rng.integers(5))
    ]
    core = _BLACK if sum(shell) > 0.5 and rng.random() < 0.7 else hsv(hue, 0.12, 0.4)
    glow = hsv(float(rng.uniform(0, 360)), 0.7, 1.0)
    kind = int(rng.integers(5))
    if kind == 3:
        return _wide_handheld(rng, shell, core, hue)
    if kind == 4:
        return _tall_handheld(rng, shell, core, hue)
    parts = [_winged, _tower, _flat][kind](rng, shell, core, glow)
    pad = _controller(rng, shell if rng.random() < 0.7 else hsv(hue + 160, 0.7, 0.8), core, glow)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if kind == 2:
        return [*parts, *(Part(p.mesh.scaled(0.72).moved(0.27 * side, -0.5), p.surface) for p in pad)]
    turn = 40 if kind == 0 else 22
    parts = [Part(p.mesh.turned("z", turn * side).moved(-0.26 * side), p.surface) for p in parts]
    return [*parts, *(Part(p.mesh.scaled(0.86).moved(0.24 * side, -0.4), p.surface) for p in pad)]


def _build_style(
    hues: tuple[float, float, float], value: float, elements: tuple[str, ...], layout: int, key_side: float
) -> Style:
    """A dark coloured room; ``hues`` of wall and floor, of the first and of the second light."""
    wall, first, second = hues
    colours = (hsv(wall, 0.73, value), hsv(wall + 4, 0.72, 0.22), hsv(first, 0.6, 1.0), hsv(second, 0.7, 1.0))
    return Style(*colours, elements, layout, key_side, -0.2, 0.62, 0.4)


def sample_style(rng: np.random.Generator) -> Style:
    """A violet, blue or green room with one more neon hue."""
    h = float(rng.choice([225.0, 250, 265, 285, 170]) + rng.uniform(-6, 6))
    second = float(rng.choice([190.0, 320, 150, 210]) + rng.uniform(-8, 8))
    hues = (h, h + float(rng.uniform(-15, 20)), second)
    gadgets = pick(rng, ("headset", "cubes", "trophy", "arcade", "coins"), int(rng.integers(2, 4)))
    layout, side = int(rng.integers(3)), float(rng.choice([-0.8, 0.8]))
    return _build_style(hues, float(rng.uniform(0.42, 0.56)), gadgets, layout, side)


BRANDS = (
    _build_style((270, 285, 188), 0.5, ("headset", "coins"), 0, -0.8),
    _build_style((218, 205, 325), 0.56, ("cubes", "arcade"), 1, 0.8),
    _build_style((172, 140, 82), 0.36, ("trophy", "arcade"), 2, -0.7),
)


def _add_headset(stage: Stage, x: float, y: float, low: float, style: Style) -> None:
    """Headphones hung on a stand."""
    dark = plastic((0.1, 0.1, 0.12), 0.25)
    stage.add(g.cylinder(0.15, 0.025, 0.01).moved(x, y, low), dark)
    stage.add(g.cylinder(0.02, 0.66, segments=12).moved(x, y, low), dark)
    a = np.linspace(-0.25, np.pi + 0.25, 18)
    arc = [(float(0.19 * np.cos(t)), 0.0, float(0.19 * np.sin(t))) for t in a]
    stage.add(g.tube(arc, 0.032, 10).moved(x, y, low + 0.5), plastic(_WHITE, 0.25))
    for side in (-1.0, 1.0):
        cup = g.cylinder(0.115, 0.075, 0.03, 28).turned("y", 90 * side)
        stage.add(cup.moved(x + side * 0.15, y, low + 0.42), plastic(_WHITE, 0.2))
        rim = g.ring(0.075, 0.013, 28).turned("z", 90)
        stage.add(rim.moved(x + side * 0.227, y, low + 0.42), light(style.accent, 3.0))


def _add_cubes(stage: Stage, x: float, y: float, low: float, side: float, style: Style) -> None:
    """Stacked blocks as in a game of cubes, some of them shining."""
    q = 0.19
    steps = ((0, 0, 0), (1, 0, 0), (2, 0, 0), (1, 0, 1), (2, 0, 1), (2, 0, 2), (2, 1, 0), (1, 1, 0))
    dull: list[g.Mesh] = []
    lit: list[g.Mesh] = []
    for k, (i, j, z) in enumerate(steps):
        block = g.rounded_box(q * 0.97, q * 0.97, q * 0.97, 0.012)
        (lit if k in (3, 5) else dull).append(block.moved(x + side * q * (i - 1), y + q * j, low + q * z))
    stage.add(g.merge_meshes(dull), plastic(mix(style.wall, style.prop, 0.4), 0.25))
    stage.add(g.merge_meshes(lit), light(style.accent, 0.7))


def _add_trophy(stage: Stage, x: float, y: float, low: float) -> None:
    """A golden cup with two handles."""
    stage.add(g.rounded_box(0.24, 0.24, 0.13, 0.015).moved(x, y, low), plastic((0.1, 0.1, 0.12), 0.2))
    foot = [(0.0, 0.0), (0.09, 0.0), (0.035, 0.06), (0.03, 0.16)]
    bowl = [(0.12, 0.24), (0.17, 0.36), (0.18, 0.48), (0.15, 0.48)]
    cup = g.lathe([*g.smooth_profile([*foot, *bowl]), (0.13, 0.32), (0.0, 0.26)])
    stage.add(cup.moved(x, y, low + 0.13), _GOLD_PAINT)
    for side in (-1.0, 1.0):
        stage.add(g.ring(0.075, 0.016, 24).moved(x + side * 0.19, y, low + 0.5), _GOLD_PAINT)


def _add_arcade_stick(stage: Stage, x: float, y: float, low: float, style: Style) -> None:
    """A joystick with a ball top on its box, with three buttons."""
    box = g.rounded_box(0.46, 0.36, 0.16, 0.03).turned("z", 12)
    stage.add(box.moved(x, y, low), plastic(mix(style.prop, _WHITE, 0.7), 0.2))
    stem = g.cylinder(0.024, 0.26, segments=12)
    stage.add(stem.moved(x - 0.1, y, low + 0.15), metal(SILVER, 0.2))
    stage.add(g.sphere(0.085).moved(x - 0.1, y, low + 0.44), plastic(style.accent, 0.08))
    discs = [
        g.cylinder(0.038, 0.03, 0.012, 20).moved(x + 0.05 + 0.08 * (k % 2), y - 0.1 + 0.09 * k, low + 0.15)
        for k in range(3)
    ]
    stage.add(g.merge_meshes(discs), light(style.prop, 1.2))


def _add_coins(stage: Stage, rng: np.random.Generator, x: float, y: float, low: float) -> None:
    """Stacks of gold coins."""
    coin, coins = g.cylinder(0.1, 0.03, 0.008, 28), []
    for dx, dy, count in ((0.0, 0.0, 6), (0.22, 0.1, 10), (0.1, -0.16, 3)):
        for k in range(count):
            sx, sy = (float(t) for t in rng.uniform(-0.008, 0.008, 2))
            coins.append(coin.moved(x + dx + sx, y + dy + sy, low + 0.03 * k))
    stage.add(g.merge_meshes(coins), _GOLD_PAINT)


def _add_hexagons(stage: Stage, rng: np.random.Generator, style: Style, far: float) -> None:
    """Hexagon panels on the wall: two clusters, a honeycomb or nested outlines, by layout."""
    tile = g.cylinder(0.198, 0.05, 0.0, 6).turned("x", 90)
    groups: dict[str, list[g.Mesh]] = {"dull": [], "lit": [], "second": []}
    dx, dz = 0.36, 0.312
    for row in range(-1, 9):
        for column in range(-7, 8):
            x, z = (column + 0.5 * (row % 2)) * dx, row * dz
            edge = abs(x) + 0.35 * abs(z - 1.0)
            chance = float(rng.random())
            if style.layout == 0 and (edge < 0.62 or chance < 0.2):
                continue
            quiet = edge < (1.3 if style.layout == 2 else 0.5)
            key = "dull" if chance < 0.72 or quiet else "lit" if chance < 0.88 else "second"
            groups[key].append(tile.moved(x, far - 0.01, z))
    surfaces = {
        "dull": plastic(mix(style.wall, style.prop, 0.18), 0.3),
        "lit": light(style.prop, 1.5),
        "second": light(style.accent, 1.5),
    }
    for key, meshes in groups.items():
        if meshes:
            stage.add(g.merge_meshes(meshes), surfaces[key])
    if style.layout == 2:
        a = np.deg2rad(30 + 60 * np.arange(7))
        for radius, colour in ((0.82, style.prop), (1.08, style.accent)):
            path = [(float(radius * np.cos(t)), far - 0.1, 0.66 + float(radius * np.sin(t))) for t in a]
            sides = [g.tube(path[k : k + 2], 0.024, 8) for k in range(6)]
            stage.add(g.merge_meshes(sides), light(colour, 3.5))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Floor with its grid, shining wall, hexagon podium; the style's panels and gadgets."""
    far, low = 1.75, -0.13
    stage.add(g.floor(10, -5, far).moved(z=low), plastic(style.floor, 0.1))
    lines = [g.floor(0.016, -4.5, far).moved(0.45 * k, z=low + 0.003) for k in range(-8, 9)]
    lines += [g.floor(8, y - 0.008, y + 0.008).moved(z=low + 0.003) for y in np.arange(-1.6, far, 0.45)]
    stage.add(g.merge_meshes(lines), light(style.accent, 1.6))
    wall = textures.halo(mix(style.wall, style.prop, 0.45), shade(style.wall, 0.7), 0.5, 0.68, 0.3)
    stage.add(g.quad(9, 5).moved(y=far + 0.02, z=low), matte(wall))
    stage.add(g.rounded_box(9, 0.03, 0.05, 0.01).moved(0, far - 0.03, low), light(style.prop, 2.0))
    podium = g.cylinder(0.98, -low, 0.012, 6)
    stage.add(podium.scaled(1.0, 0.86, 1.0).moved(z=low), plastic(mix(style.floor, style.wall, 0.6), 0.12))
    a = np.deg2rad(90 + 60 * np.arange(7))
    rim = [(0.99 * float(np.cos(t)), 0.855 * float(np.sin(t)), low + 0.07) for t in a]
    stage.add(g.merge_meshes([g.tube(rim[k : k + 2], 0.014, 8) for k in range(6)]), light(style.prop, 3.0))
    _add_hexagons(stage, rng, style, far)
    side = 1.0 if rng.random() < 0.5 else -1.0
    places = [(side * 0.8, 1.0), (-side * 0.8, 1.05), (side * 0.42, 1.4)]
    plinth = 0.4 if compute_bounds(stage.product)[1][2] < 0.7 else 0.12
    for element in style.elements:
        x, y = places.pop(0)
        block = g.cylinder(0.36, plinth, 0.01, 6).moved(x, y, low)
        stage.add(block, plastic(mix(style.floor, style.wall, 0.8), 0.2))
        top = low + plinth
        if element == "headset":
            _add_headset(stage, x, y, top, style)
        elif element == "cubes":
            _add_cubes(stage, x, y, top, 1.0 if x > 0 else -1.0, style)
        elif element == "trophy":
            _add_trophy(stage, x, y, top)
        elif element == "arcade":
            _add_arcade_stick(stage, x, y, top, style)
        else:
            _add_coins(stage, rng, x, y, top)
    add_key_light(stage, style, 10.0, 2.8)
    rim_light = (6 * style.prop[0], 6 * style.prop[1], 6 * style.prop[2])
    stage.lights.append(Light((-2.8 * style.key_side, 0.9, 2.0), (0.0, 0.0, 0.5), 1.2, rim_light))
    stage.exposure = 1.15


_FRAMING = Framing((0.54, 0.66), (8, 13), (-18, 18), offset=0.04)
CATEGORY = Category("game console", BRANDS, sample_style, build_product, dress, _FRAMING)
