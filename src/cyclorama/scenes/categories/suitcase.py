"""Suitcase: a polished terminal or terrace before tall windows, sky and clouds, palms and holiday colours."""

from __future__ import annotations

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
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

_DARK: Colour = (0.08, 0.08, 0.09)
_WHITE: Colour = (0.95, 0.95, 0.94)
_TAN: Colour = (0.55, 0.34, 0.18)


def _wheels(w: float, d: float, radius: float, housing: Surface) -> list[Part]:
    """Four double castors under a case, their housings between them and the case."""
    tyres, boxes = [], []
    for sx in (-1.0, 1.0):
        for sy in (-1.0, 1.0):
            x, y = sx * (w / 2 - 0.075), sy * (d / 2 - 0.06)
            for offset in (-0.016, 0.016):
                tyre = g.cylinder(radius, 0.022, 0.006, 18).turned("y", 90)
                tyres.append(tyre.moved(x + offset - 0.011, y, radius))
            boxes.append(g.rounded_box(0.085, 0.085, radius * 1.1, 0.02).moved(x, y, radius * 1.15))
    return [Part(g.merge_meshes(tyres), plastic(_DARK, 0.3)), Part(g.merge_meshes(boxes), housing)]


def _trolley(rng: np.random.Generator, w: float, d: float, top: float, metal_tone: Colour) -> list[Part]:
    """A telescopic handle at the back of a case whose upper edge is at ``top``; out or half out."""
    rise = float(rng.choice([0.05, 0.14, 0.24]))
    s, y = w * 0.2, d / 2 - 0.05
    rods = [g.cylinder(0.014, rise + 0.04, segments=12).moved(x, y, top - 0.04) for x in (-s, s)]
    grip = g.rounded_box(2 * s + 0.07, 0.045, 0.05, 0.02).moved(0, y, top + rise - 0.02)
    return [Part(g.merge_meshes(rods), metal(metal_tone, 0.25)), Part(grip, plastic(_DARK, 0.35))]


def _carry_handle(w: float, top: float, colour: Colour, rise: float = 0.06) -> Part:
    """A grip across the upper edge."""
    path = [(-w, 0.0, top - 0.01), (-w * 0.85, 0.0, top + rise * 0.8), (-w * 0.5, 0.0, top + rise)]
    path += [(-x, y, z) for x, y, z in path[::-1]]
    return Part(g.tube(path, 0.02, 10).scaled(1.0, 1.5, 1.0), plastic(colour, 0.35))


def _badge(rng: np.random.Generator, d: float, z: float, colour: Colour) -> Part:
    """A small name plate with marks on the front."""
    ink = _DARK if sum(colour) > 1.4 else _WHITE
    skin = textures.label(rng, colour, colour, ink, ink, (0.02, 0.02, 0.98, 0.98), (32, 64))
    return Part(g.rounded_box(0.13, 0.014, 0.045, 0.006).moved(0, -d / 2 - 0.006, z), plastic(skin, 0.2))


def _skin(rng: np.random.Generator, colour: Colour, hue: float) -> Colour | Texture:
    """A shell's colour: plain, a gradient, broad stripes or specks."""
    kind = int(rng.integers(6))
    if kind == 0:
        return textures.gradient(colour, hsv(hue + 45, 0.5, 0.9), 128)
    if kind == 1:
        other = _WHITE if rng.random() < 0.5 else shade(colour, 0.6)
        return textures.stripes([colour, colour, other, colour, colour], 10, 128, bool(rng.random() < 0.5))
    if kind == 2:
        return textures.stone(rng, colour, mix(colour, _WHITE, 0.6), 128)
    return colour


def _hard_case(rng: np.random.Generator, scale: float, hue: float, colour: Colour) -> list[Part]:
    """A ribbed shell with a zip or a frame, corner caps, wheels and a telescopic handle."""
    w, d = scale * float(rng.uniform(0.58, 0.68)), scale * float(rng.uniform(0.28, 0.34))
    h, low = scale * float(rng.uniform(0.84, 0.96)), scale * 0.11
    finish = float(rng.choice([0.12, 0.3]))
    aluminium = rng.random() < 0.18
    skin = _skin(rng, colour, hue)
    shell = metal(mix(colour, SILVER, 0.65), 0.3) if aluminium else plastic(skin, finish)
    bevel = 0.03 if aluminium else float(rng.uniform(0.06, 0.11))
    trim = _DARK if rng.random() < 0.6 else shade(colour, 0.55)
    parts = [Part(g.rounded_box(w, d, h, bevel).moved(z=low), shell)]
    seam = g.rounded_box(w + 0.012, 0.026, h + 0.012, bevel).moved(z=low - 0.006)
    parts.append(Part(seam, metal(SILVER, 0.3) if aluminium else plastic(trim, 0.4)))
    ribs, rib = int(rng.integers(4, 8)), []
    upright = aluminium or rng.random() < 0.65
    for k in range(ribs):
        t = (k + 0.5) / ribs - 0.5
        if upright:
            bar = g.rounded_box(w * 0.42 / ribs, d + 0.05, h - 1.7 * bevel, 0.012)
            rib.append(bar.moved(t * (w - 1.2 * bevel), 0, low + 0.85 * bevel))
        else:
            bar = g.rounded_box(w - 1.7 * bevel, d + 0.05, h * 0.36 / ribs, 0.012)
            rib.append(bar.moved(0, 0, low + h * (0.5 - 0.18 / ribs + 0.84 * t)))
    if aluminium or not isinstance(skin, np.ndarray):
        tone = shade(colour, 0.86) if max(colour) > 0.3 else mix(colour, _WHITE, 0.12)
        parts.append(Part(g.merge_meshes(rib), shell if aluminium else plastic(tone, finish)))
    if aluminium or rng.random() < 0.3:
        caps = [
            g.rounded_box(0.12, d + 0.02, 0.12, 0.035).moved(sx * (w / 2 - 0.052), 0, z)
            for sx in (-1.0, 1.0)
            for z in (low - 0.008, low + h - 0.112)
        ]
        parts.append(Part(g.merge_meshes(caps), plastic(trim, 0.3)))
    parts.append(_badge(rng, d + 0.05, low + h * float(rng.choice([0.76, 0.5])), mix(trim, SILVER, 0.3)))
    parts.append(_carry_handle(w * 0.2, low + h, trim))
    parts += _wheels(w, d, scale * 0.052, plastic(trim, 0.35))
    return parts + _trolley(rng, w, d, low + h, SILVER if rng.random() < 0.6 else (0.25, 0.25, 0.27))


def _soft_case(rng: np.random.Generator, scale: float, colour: Colour) -> list[Part]:
    """A cloth case with piped edges, two zipped pockets, wheels and a telescopic handle."""
    w, d = scale * float(rng.uniform(0.56, 0.64)), scale * float(rng.uniform(0.28, 0.34))
    h, low = scale * float(rng.uniform(0.84, 0.94)), scale * 0.09
    weave = textures.checks(colour, shade(colour, 0.9), 64, 128)
    trim = _DARK if rng.random() < 0.6 else _TAN
    parts = [Part(g.rounded_box(w, d, h, 0.05).moved(z=low), matte(weave))]
    for y in (-d / 2 + 0.03, d / 2 - 0.03):
        piping = g.rounded_box(w + 0.014, 0.018, h + 0.014, 0.05).moved(0, y, low - 0.007)
        parts.append(Part(piping, plastic(trim, 0.4)))
    for z, share in ((0.07, 0.46), (0.6, 0.28)):
        pocket = g.rounded_box(w * 0.82, 0.07, h * share, 0.03).moved(0, -d / 2 - 0.008, low + h * z)
        parts.append(Part(pocket, matte(weave)))
        edge = low + h * (z + share)
        zip_line = g.rounded_box(w * 0.74, 0.012, 0.014, 0.005).moved(0, -d / 2 - 0.045, edge - 0.05)
        tab = g.rounded_box(0.02, 0.012, 0.06, 0.005).moved(-w * 0.3, -d / 2 - 0.05, edge - 0.1)
        parts += [Part(zip_line, metal(SILVER, 0.3)), Part(tab, plastic(trim, 0.3))]
    parts.append(_badge(rng, d + 0.09, low + h * 0.3, mix(colour, _WHITE, 0.5)))
    parts.append(_carry_handle(w * 0.22, low + h, trim))
    parts += _wheels(w, d, scale * 0.045, plastic(_DARK, 0.35))
    return parts + _trolley(rng, w, d, low + h, (0.3, 0.3, 0.32))


def _classic_case(rng: np.random.Generator, colour: Colour) -> list[Part]:
    """A wide old-fashioned case with two straps, buckles and leather corners, one or two of them stacked."""
    parts: list[Part] = []
    z = 0.0
    leather = _TAN if rng.random() < 0.6 else (0.25, 0.15, 0.1)
    count = int(rng.integers(1, 3))
    for k in range(count):
        w = float(rng.uniform(0.82, 0.92)) - 0.1 * k
        d, h = 0.36 - 0.03 * k, (float(rng.uniform(0.42, 0.5)) if count == 2 else 0.6) - 0.06 * k
        body = colour if k == 0 else mix(colour, _WHITE, 0.55)
        parts.append(Part(g.rounded_box(w, d, h, 0.04).moved(z=z), plastic(body, 0.4)))
        seam = g.rounded_box(w + 0.012, 0.02, h + 0.012, 0.04).moved(0, -0.03, z - 0.004)
        parts.append(Part(seam, metal(GOLD, 0.3)))
        straps = [
            g.rounded_box(0.07, d + 0.024, h + 0.02, 0.03).moved(s * w * 0.28, 0, z - 0.004) for s in (-1, 1)
        ]
        parts.append(Part(g.merge_meshes(straps), plastic(leather, 0.35)))
        buckles = [
            g.rounded_box(0.1, 0.02, 0.07, 0.01).moved(s * w * 0.28, -d / 2 - 0.012, z + h * 0.62)
            for s in (-1, 1)
        ]
        parts.append(Part(g.merge_meshes(buckles), metal(GOLD, 0.25)))
        caps = [
            g.rounded_box(0.13, d + 0.018, 0.13, 0.04).moved(sx * (w / 2 - 0.057), 0, zz)
            for sx in (-1.0, 1.0)
            for zz in (z - 0.008 if z == 0 else z, z + h - 0.12)
        ]
        parts.append(Part(g.merge_meshes(caps), plastic(leather, 0.35)))
        parts.append(_badge(rng, d, z + h * 0.42, mix(leather, GOLD, 0.5)))
        z += h + 0.012
    parts.append(_carry_handle(0.15, z - 0.012, leather, 0.09))
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A hard, soft or old-fashioned suitcase; the hard ones also as a set of two."""
    hue = float(rng.uniform(0, 360))
    plain: list[Colour] = [(0.12, 0.12, 0.13), (0.9, 0.88, 0.84)]
    vivid = [hsv(hue, 0.65, 0.8), hsv(hue, 0.32, 0.9), hsv(hue, 0.7, 0.4), hsv(hue, 0.5, 0.65)]
    colour = [*plain, *vivid][int(rng.integers(6))]
    kind = int(rng.integers(10))
    if kind < 4:
        return _hard_case(rng, 1.0, hue, colour)
    if kind < 6:
        large = _hard_case(rng, 1.0, hue, colour)
        small = _hard_case(rng, 0.72, hue, colour if rng.random() < 0.6 else hsv(hue + 40, 0.5, 0.9))
        side = 1.0 if rng.random() < 0.5 else -1.0
        return [
            *(Part(p.mesh.turned("z", 8 * side).moved(-0.24 * side), p.surface) for p in large),
            *(Part(p.mesh.turned("z", -12 * side).moved(0.34 * side, -0.26), p.surface) for p in small),
        ]
    return _soft_case(rng, 1.0, colour) if kind < 8 else _classic_case(rng, colour)


def _build_style(
    colours: tuple[Colour, Colour, Colour], elements: tuple[str, ...], layout: int, key: tuple[float, float]
) -> Style:
    """A bright hall.

    ``colours`` are those of sky, floor and things, ``elements`` begin with the view, ``key`` holds the key
    light's side and warmth.
    """
    green = hsv(128 - 30 * key[1], 0.5, 0.48)
    return Style(*colours, green, elements, layout, *key, fill=0.95 if key[1] < 0.3 else 0.85)


def sample_style(rng: np.random.Generator) -> Style:
    """Blue noon, turquoise coast or peach evening; sea or runway outside."""
    h = float(rng.choice([208.0, 200, 186, 24, 12, 330]) + rng.uniform(-5, 5))
    day = 150 < h < 250
    colours = (
        hsv(h, rng.uniform(0.45, 0.65) if day else rng.uniform(0.45, 0.56), 0.97),
        hsv(rng.uniform(24, 40), rng.uniform(0.08, 0.3), rng.uniform(0.76, 0.86)),
        hsv(float(rng.choice([12.0, 45, 190, 350])), rng.uniform(0.5, 0.7), 0.93),
    )
    things = pick(rng, ("plane", "palm", "seats", "posts", "ball", "hat", "parasol"), int(rng.integers(2, 4)))
    view, side = str(rng.choice(["sea", "runway"])), float(rng.choice([-0.8, 0.8]))
    return _build_style(colours, (view, *things), int(rng.integers(2)), (side, 0.0 if day else 0.35))


_NOON = (hsv(210, 0.6, 0.98), hsv(212, 0.1, 0.82), hsv(46, 0.75, 0.97))
_COAST = (hsv(188, 0.55, 0.96), hsv(36, 0.3, 0.88), hsv(10, 0.65, 0.95))
_DUSK = (hsv(20, 0.55, 0.98), hsv(26, 0.2, 0.84), hsv(345, 0.5, 0.9))
BRANDS = (
    _build_style(_NOON, ("runway", "plane", "seats", "posts"), 0, (-0.8, -0.05)),
    _build_style(_COAST, ("sea", "palm", "ball", "parasol"), 1, (0.8, 0.15)),
    _build_style(_DUSK, ("runway", "plane", "palm", "hat"), 0, (-0.75, 0.4)),
)


def _view(rng: np.random.Generator, style: Style, size: int = 256) -> Texture:
    """What lies outside: the sky above, the sea with a beach or an airfield with hills below."""
    low = mix(style.wall, (1.0, 0.97, 0.92), 0.72)
    sky = textures.sky(rng, style.wall, low, 0.85, size).astype(np.float32) / 255
    v = (np.arange(size)[:, None, None] + 0.5) / size
    if style.has("sea"):
        sea = hsv(188, 0.6, 0.82) if style.key_warmth < 0.3 else mix(hsv(195, 0.45, 0.7), style.wall, 0.3)
        bands = [(0.66, mix(sea, (0.1, 0.35, 0.6), 0.3)), (0.74, sea), (0.84, mix(sea, _WHITE, 0.5))]
        bands.append((0.87, hsv(40, 0.28, 0.95)))
    else:
        bands = [(0.65, mix(hsv(150, 0.3, 0.55), style.wall, 0.45)), (0.69, hsv(105, 0.32, 0.62))]
        bands += [(0.77, (0.68, 0.69, 0.7)), (0.85, (0.78, 0.78, 0.78))]
    for start, colour in bands:
        share = np.clip((v - start) * size / 3, 0, 1)
        sky = sky * (1 - share) + np.array(colour, np.float32) * share
    return np.asarray(np.clip(sky * 255, 0, 255), np.uint8)


def _add_plane(stage: Stage, x: float, y: float, z: float, size: float, heading: float, tail: Colour) -> None:
    """An airliner climbing in the sky outside."""
    s = np.array([-0.5, -0.46, -0.3, 0.0, 0.3, 0.44, 0.5])
    radii = np.array([0.0, 0.035, 0.06, 0.062, 0.055, 0.03, 0.012])
    body = g.tube([(float(t), 0.0, 0.0) for t in s], radii.tolist(), 14)
    wing = [[[-0.1, 0.05, 0], [0.08, 0.05, 0]], [[0.13, 0.5, 0.05], [0.18, 0.5, 0.05]]]
    flap = [[[0.36, 0.02, 0.01], [0.46, 0.02, 0.01]], [[0.47, 0.17, 0.03], [0.5, 0.17, 0.03]]]
    fins = [g.grid_surface(np.array(q) * [1, sign, 1]) for q in (wing, flap) for sign in (1.0, -1.0)]
    engines = [
        g.tube([(-0.06, sign * 0.2, -0.03), (0.07, sign * 0.2, -0.03)], [0.026, 0.02], 10)
        for sign in (1.0, -1.0)
    ]
    rudder = g.grid_surface(np.array([[[0.34, 0, 0.03], [0.48, 0, 0.02]], [[0.45, 0, 0.2], [0.53, 0, 0.2]]]))
    for meshes, colour in (([body, *fins], _WHITE), ([rudder, *engines], tail)):
        mesh = g.merge_meshes(meshes).scaled(size).turned("x", -24).turned("y", 10)
        mesh = mesh if heading < 0 else mesh.scaled(-1.0, 1.0, 1.0)
        stage.add(mesh.moved(x, y, z), Surface(colour, glow=0.35))


def _add_palm(
    stage: Stage, rng: np.random.Generator, x: float, y: float, height: float, style: Style
) -> None:
    """A palm in a round tub: ringed trunk, arching fronds."""
    stage.add(
        g.lathe([(0, 0), (0.14, 0), (0.19, 0.3), (0.165, 0.3), (0.16, 0.26), (0, 0.26)]).moved(x, y),
        plastic(mix(style.prop, _WHITE, 0.45), 0.25),
    )
    s = np.linspace(0, 1, 15)
    lean = 0.1 * (1.0 if x < 0 else -1.0)
    trunk = [(x + lean * float(t * t), y, 0.26 + (height - 0.26) * float(t)) for t in s]
    radii = [0.042 - 0.014 * float(t) + 0.005 * (k % 2) for k, t in enumerate(s)]
    stage.add(g.tube(trunk, radii, 12), matte((0.5, 0.37, 0.24)))
    fronds = []
    for k in range(11):
        angle = 360 * k / 11 + float(rng.uniform(-10, 10))
        frond = g.leaf(float(rng.uniform(0.55, 0.7)), 0.15, 0.75).turned("x", float(rng.uniform(18, 58)))
        fronds.append(frond.turned("z", angle).moved(x + lean, y, height - 0.02))
    stage.add(g.merge_meshes(fronds), plastic(style.accent, 0.35))


def _add_seats(stage: Stage, x: float, y: float, side: float, style: Style) -> None:
    """A row of terminal seats on a steel rail."""
    shells = []
    for k in range(3):
        sx = x + side * 0.4 * k
        shells.append(g.rounded_box(0.36, 0.36, 0.06, 0.025).moved(sx, y, 0.3))
        shells.append(g.rounded_box(0.36, 0.06, 0.36, 0.025).turned("x", -12).moved(sx, y + 0.18, 0.36))
    stage.add(g.merge_meshes(shells), plastic(style.prop, 0.3))
    rail = [g.rounded_box(1.2, 0.05, 0.04, 0.01).moved(x + side * 0.4, y + 0.02, 0.26)]
    rail += [g.rounded_box(0.05, 0.3, 0.27, 0.01).moved(x + side * k, y + 0.02) for k in (0.0, 0.8)]
    stage.add(g.merge_meshes(rail), metal(SILVER, 0.25))


def _add_posts(stage: Stage, x: float, y: float, side: float, style: Style) -> None:
    """Two barrier posts with a belt between them."""
    spots = [(x, y), (x + side * 0.75, y + 0.3)]
    posts = [g.cylinder(0.022, 0.62, segments=14).moved(a, b) for a, b in spots]
    posts += [g.cylinder(0.1, 0.025, 0.008, 28).moved(a, b) for a, b in spots]
    posts += [g.cylinder(0.035, 0.06, 0.01, 18).moved(a, b, 0.6) for a, b in spots]
    stage.add(g.merge_meshes(posts), metal(SILVER, 0.2))
    belt = [[(a, b, z) for a, b in spots] for z in (0.54, 0.6)]
    stage.add(g.grid_surface(np.array(belt)), matte(style.prop))


def _add_ball(stage: Stage, x: float, y: float, style: Style) -> None:
    """A striped beach ball."""
    skin = textures.stripes([style.prop, _WHITE, style.wall, _WHITE], 8, 128)
    stage.add(g.sphere(0.2).turned("x", 28).turned("y", 20).moved(x, y, 0.2), plastic(skin, 0.15))


def _add_hat(stage: Stage, x: float, y: float, style: Style) -> None:
    """A straw hat lying on a round stool."""
    stage.add(g.cylinder(0.2, 0.34, 0.03).moved(x, y), plastic(mix(style.prop, _WHITE, 0.35), 0.3))
    straw = (0.9, 0.78, 0.55)
    crown = [(0.13, 0.012), (0.135, 0.03), (0.12, 0.13), (0.07, 0.155), (0.0, 0.158)]
    stage.add(g.lathe([(0.27, 0.0), (0.28, 0.012), *crown]).moved(x, y, 0.345), matte(straw))
    stage.add(g.lathe([(0.138, 0.02), (0.134, 0.065)]).moved(x, y, 0.345), matte(style.prop))


def _add_parasol(stage: Stage, x: float, y: float, style: Style) -> None:
    """An open parasol in two colours."""
    stage.add(g.cylinder(0.16, 0.06, 0.02).moved(x, y), plastic(_WHITE, 0.3))
    stage.add(g.cylinder(0.016, 1.28, segments=10).moved(x, y), plastic(_WHITE, 0.3))
    skin = textures.stripes([style.prop, _WHITE], 12, 128)
    roof = g.lathe([(0.5, 0.0), (0.49, 0.03), (0.28, 0.15), (0.0, 0.23)], 48).turned("x", 10)
    stage.add(roof.moved(x, y, 1.06), Surface(skin, glow=0.12))


def _add_windows(stage: Stage, rng: np.random.Generator, style: Style, far: float) -> None:
    """The view and its tall window frames: mullions, or columns with a balustrade, by layout."""
    view = g.quad(7.2, 3.4).moved(float(rng.uniform(-0.5, 0.5)), far + 1.6, -0.95)
    stage.add(view, light(_view(rng, style), 0.5))
    frame = plastic(_WHITE if style.layout == 0 else mix(style.floor, _WHITE, 0.5), 0.25)
    shift = float(rng.uniform(-0.12, 0.12))
    if style.layout == 0:
        bars = [g.rounded_box(0.05, 0.09, 4.0, 0.01).moved(shift + x, far) for x in (-2.1, -0.7, 0.7, 2.1)]
        bars.append(g.rounded_box(6.5, 0.07, 0.045, 0.01).moved(0, far, 1.0))
        bars.append(g.rounded_box(6.5, 0.16, 0.09, 0.02).moved(0, far))
    else:
        bars = [g.cylinder(0.075, 3.0, segments=24).moved(shift + x, far) for x in (-0.95, 0.95)]
        bars += [g.cylinder(0.12, 0.1, 0.02).moved(shift + x, far) for x in (-0.95, 0.95)]
        bars.append(g.rounded_box(6.5, 0.1, 0.05, 0.02).moved(0, far, 0.42))
        bars += [g.cylinder(0.025, 0.42, segments=10).moved(0.24 * k, far) for k in range(-10, 11)]
    stage.add(g.merge_meshes(bars), frame)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Polished tiles or deck boards, windows onto the view, and the style's travel things."""
    far = 1.7
    if style.layout == 0:
        skin = textures.tiles(rng, style.floor, shade(style.floor, 0.86), 4, 4, False, 256)
        stage.add(g.floor(9, -5, far), plastic(skin, 0.04, (2.5, 1.9)))
    else:
        boards = textures.wood(rng, mix(style.floor, (0.86, 0.68, 0.48), 0.45), 8)
        stage.add(g.floor(9, -5, far), plastic(boards, 0.2, (3.2, 1.0)))
    _add_windows(stage, rng, style, far)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("plane"):
        _add_plane(stage, -side * float(rng.uniform(0.6, 0.85)), far + 1.0, 1.22, 0.85, side, style.prop)
    if style.has("palm"):
        _add_palm(stage, rng, side * 0.86, 1.15, float(rng.uniform(1.0, 1.15)), style)
    if style.has("seats"):
        _add_seats(stage, side * 0.72, 1.15, side, style)
    if style.has("posts"):
        _add_posts(stage, -side * 0.72, 0.85, -side, style)
    if style.has("parasol"):
        _add_parasol(stage, -side * 0.92, 1.2, style)
    if style.has("ball"):
        _add_ball(stage, -side * 0.72, 0.75, style)
    if style.has("hat"):
        _add_hat(stage, -side * 0.66, 1.0, style)
    add_key_light(stage, style, 9.5, 2.4)
    stage.exposure = 0.92


_FRAMING = Framing((0.57, 0.67), (3, 7), (-32, 32), offset=0.035)
CATEGORY = Category("suitcase", BRANDS, sample_style, build_product, dress, _FRAMING)
