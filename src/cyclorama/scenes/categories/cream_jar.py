"""Cream jar: folds of satin in champagne, rose or ivory, pearls, cotton and a swirl of cream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light
from cyclorama.scenes.stage import Light, Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
    SILVER,
    Colour,
    Style,
    Texture,
    hsv,
    matte,
    metal,
    mix,
    plastic,
    shade,
)

WHITE: Colour = (0.97, 0.96, 0.95)


def _prism(profile: Sequence[tuple[float, float]], sides: int) -> g.Mesh:
    """A flat-sided lathe: (radius, height) points from bottom to top about z, one facet at the front."""
    a = np.pi * 1.5 + (np.arange(sides + 1) - sides / 2 + 0.5) * 2 * np.pi / sides
    low, high = profile[0][1], profile[-1][1]
    facets = []
    for k in range(sides):
        for (r0, z0), (r1, z1) in itertools.pairwise(profile):
            points = [
                [(max(r, 1e-4) * np.cos(t), max(r, 1e-4) * np.sin(t), z) for t in a[k : k + 2]]
                for r, z in ((r0, z0), (r1, z1))
            ]
            across = (k + 0.5) / sides
            uv = [
                [(across, (z - low) / (high - low)), (across + 1 / sides, (z - low) / (high - low))]
                for z in (z0, z1)
            ]
            facets.append(g.grid_surface(np.array(points), np.array(uv)))
    return g.merge_meshes(facets)


def _print_skin(
    rng: np.random.Generator, body: Texture, ink: Colour, accent: Colour, front: float
) -> Texture:
    """``body`` with a name, a small emblem or rules on the middle ``front`` of its width."""
    w, h = 512, 128
    image = Image.fromarray(body).resize((w, h))
    draw = ImageDraw.Draw(image)
    bright = tuple(round(v * 255) for v in accent)
    x, reach = w / 2, w * front
    kind = int(rng.integers(4))
    if kind == 0:
        draw.rectangle([0, h * 0.82, w, h * 0.9], fill=bright)
    elif kind == 1:
        draw.ellipse([x - h * 0.13, h * 0.16, x + h * 0.13, h * 0.42], fill=bright)
    elif kind == 2:
        draw.rectangle([x - reach * 0.62, h * 0.18, x + reach * 0.62, h * 0.86], outline=bright, width=3)
    else:
        draw.polygon(
            [(x, h * 0.14), (x + h * 0.12, h * 0.28), (x, h * 0.42), (x - h * 0.12, h * 0.28)], fill=bright
        )
    textures.draw_words(draw, rng, x, h * 0.48, reach, h * 0.15, ink)
    textures.draw_words(draw, rng, x, h * 0.7, reach * 0.7, h * 0.07, ink)
    return np.asarray(image)


def _build_swirl(radius: float, height: float) -> g.Mesh:
    """A dollop of cream as it leaves the nozzle: a rope winding upwards to a tip, standing on z = 0."""
    t = np.linspace(0, 1, 72)
    a = t * 3.4 * 2 * np.pi
    rope = radius * 0.34 * (1 - t) ** 0.8 * np.minimum(t * 40, 1)
    reach = radius * 0.66 * (1 - t) ** 0.95
    z = radius * 0.24 + (height - radius * 0.24) * t**1.05
    path = [
        (float(r * np.cos(b)), float(r * np.sin(b)), float(c)) for r, b, c in zip(reach, a, z, strict=True)
    ]
    return g.tube(path, rope.tolist(), 14)


def build_product(rng: np.random.Generator) -> list[Part]:
    """A wide jar: straight, round, tapered, faceted or square, with a lid or open with a swirl of cream."""
    hue = float(rng.choice([0.0, 18, 34, 45, 95, 165, 205, 225, 275, 335]) + rng.uniform(-8, 8))
    tone = int(rng.integers(5))
    body = [
        WHITE,
        hsv(hue, float(rng.uniform(0.12, 0.28)), 0.94),
        hsv(hue, float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.55, 0.8))),
        hsv(hue, 0.65, 0.24),
        (0.09, 0.09, 0.1),
    ][tone]
    base = body if rng.random() < 0.5 else mix(body, (1, 1, 1), 0.45)
    ink = (0.2, 0.17, 0.16) if sum(body) > 1.6 else WHITE
    accent = hsv(hue + float(rng.choice([0, 30, 180])), 0.45, 0.72) if rng.random() < 0.5 else GOLD
    lid_tone = int(rng.integers(6))
    lid = [
        metal(GOLD, 0.2),
        metal(SILVER, 0.2),
        metal(COPPER, 0.22),
        plastic(WHITE, 0.15),
        plastic(shade(body, 0.7) if sum(body) > 0.6 else (0.12, 0.12, 0.13), 0.12),
        plastic(textures.wood(rng, hsv(28, 0.5, 0.66), 1, 64), 0.4),
    ][lid_tone]
    trim = metal(GOLD, 0.18) if lid_tone != 1 else metal(SILVER, 0.18)
    skin = textures.gradient(shade(base, 0.9), body, 128)
    gloss = float(rng.choice([0.04, 0.1, 0.25]))
    kind = str(rng.choice(["straight", "round", "tapered", "faceted", "square"]))
    r, h = 0.5, float(rng.uniform(0.44, 0.6))
    cap, top = float(rng.uniform(0.2, 0.32)), 0.46
    if kind == "square":
        face = _print_skin(rng, skin, ink, accent, 0.55)
        parts = [Part(g.rounded_box(0.9, 0.9, h, 0.1), plastic(face, gloss))]
        closed = Part(g.rounded_box(0.84, 0.84, cap, 0.06), lid)
    elif kind == "faceted":
        sides = int(rng.choice([8, 10, 12]))
        face = _print_skin(rng, skin, ink, accent, 1.2 / sides)
        p = [(0.0, 0.0), (r * 0.86, 0.0), (r, 0.07), (r, h - 0.07), (r * 0.9, h), (0.0, h)]
        parts = [Part(_prism(p, sides), plastic(face, gloss))]
        closed = Part(_prism([(top, 0.0), (top, cap - 0.06), (top - 0.09, cap), (0.0, cap)], sides), lid)
    else:
        bevel = [(0.0, 0.0), (r * 0.94, 0.0), (r, 0.03)]
        p = {
            "straight": [*bevel, (r, h - 0.05), (r * 0.94, h), (0.0, h)],
            "round": [
                (0.0, 0.0),
                *g.smooth_profile([(r * 0.55, 0.0), (r * 1.06, h * 0.2), (r * 1.04, h * 0.8), (0.43, h)], 3),
                (0.0, h),
            ],
            "tapered": [
                (0.0, 0.0),
                (r * 0.72, 0.0),
                (r * 0.78, 0.04),
                (r * 1.0, h - 0.03),
                (r * 0.96, h),
                (0.0, h),
            ],
        }[kind]
        if kind == "round":
            top = 0.43
        elif rng.random() < 0.35:
            top = 0.5
        parts = [Part(g.lathe(p, 48), plastic(_print_skin(rng, skin, ink, accent, 0.2), gloss))]
        crown = [
            [(top, 0.0), (top, cap - 0.03), (top - 0.03, cap), (0.0, cap)],
            g.smooth_profile([(top, 0.0), (top, cap * 0.6), (top * 0.9, cap), (0.0, cap * 1.1)], 3),
            [(top * 0.94, 0.0), (top, 0.04), (top * 0.9, cap - 0.02), (top * 0.86, cap), (0.0, cap * 0.97)],
        ][int(rng.integers(3))]
        closed = Part(g.lathe(crown, 48), lid)
    if rng.random() < 0.16:
        rim = g.lathe([(0.36, 0.0), (0.4, 0.0), (0.4, 0.09), (0.37, 0.1), (0.36, 0.05)], 48)
        parts.append(Part(rim.moved(z=h - 0.01), plastic(mix(body, (1, 1, 1), 0.3), 0.08)))
        cream = mix((1.0, 0.98, 0.95), hsv(hue, 0.3, 1.0), 0.3)
        parts.append(Part(g.cylinder(0.37, 0.06).moved(z=h), plastic(cream, 0.2)))
        parts.append(Part(_build_swirl(0.34, 0.34).moved(z=h + 0.04), plastic(cream, 0.2)))
        return parts
    parts.append(Part(g.cylinder(min(top, 0.43), 0.035, segments=48).moved(z=h - 0.005), trim))
    parts.append(Part(closed.mesh.moved(z=h + 0.022), closed.surface))
    if kind != "square" and rng.random() < 0.25:
        knob = g.sphere(0.07, 20).scaled(1, 1, 0.8).moved(z=h + cap + 0.06)
        parts.append(Part(knob, trim))
    return parts


def sample_style(rng: np.random.Generator) -> Style:
    """Champagne, rose, ivory, apricot or mauve satin."""
    h = float(rng.choice([38.0, 45, 28, 16, 6, 348]) + rng.uniform(-5, 5))
    return Style(
        hsv(h, rng.uniform(0.17, 0.34), rng.uniform(0.88, 0.96)),
        hsv(h + rng.uniform(-6, 6), rng.uniform(0.14, 0.38), rng.uniform(0.84, 0.95)),
        hsv(h, rng.uniform(0.05, 0.2), 0.95),
        hsv(h + rng.uniform(-10, 14), rng.uniform(0.35, 0.55), rng.uniform(0.7, 0.88)),
        (
            str(rng.choice(["drape", "halo"])),
            str(rng.choice(["tray", "plinth", "bare"])),
            *pick(rng, ("pearls", "cotton", "swirl", "moon"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.05, 0.35)),
    )


BRANDS = (
    Style(
        hsv(38, 0.3, 0.9),
        hsv(38, 0.34, 0.9),
        hsv(42, 0.14, 0.96),
        hsv(40, 0.5, 0.85),
        ("drape", "tray", "pearls"),
        0,
        -0.8,
        0.25,
    ),
    Style(
        hsv(8, 0.3, 0.88),
        hsv(6, 0.38, 0.86),
        hsv(12, 0.16, 0.95),
        hsv(14, 0.5, 0.78),
        ("halo", "bare", "moon", "swirl"),
        1,
        0.8,
        0.1,
    ),
    Style(
        hsv(46, 0.09, 0.96),
        hsv(44, 0.12, 0.95),
        hsv(40, 0.08, 0.97),
        hsv(28, 0.45, 0.5),
        ("drape", "plinth", "cotton"),
        0,
        0.7,
        0.12,
        fill=1.15,
    ),
)


class _Satin:
    """A cloth lying on the floor: folds that cross the picture or wind about the middle, which stays flat.

    Attributes:
        level: height of the flat middle.
        flat: radius of the flat middle.
    """

    def __init__(self, rng: np.random.Generator, level: float, flat: float, winding: bool) -> None:
        self.level, self.flat, self.winding = level, flat, winding
        self.phase = rng.uniform(0, 2 * np.pi, 5)
        self.slant = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 0.8))

    def height(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the cloth at (x, y)."""
        p, rho = self.phase, np.hypot(x, y)
        if self.winding:
            turn = np.arctan2(y, x)
            a = (
                7 * turn
                + 5.0 * np.log(rho + 0.35) * np.sign(self.slant)
                + p[0]
                + 0.7 * np.sin(2 * turn + p[1])
            )
            wide = 1 + np.sin(a)
            fine = 1 + np.sin(2 * a + 0.9 * np.sin(3 * turn + p[2]))
        else:
            s = (
                x * self.slant
                + y * 0.85
                + 0.16 * np.sin(2.1 * x + p[0])
                + 0.12 * np.sin(2.9 * y - 1.4 * x + p[1])
            )
            wide = 1 + np.sin(8.0 * s + p[2])
            fine = 1 + np.sin(15.5 * s + 1.1 * np.sin(3.0 * x + p[3]) + p[4])
        reach = np.clip((rho - self.flat) / 0.3, 0, 1)
        share = reach * reach * (3 - 2 * reach)
        # it falls away towards the camera, so that no fold hides the product's foot
        fall = 0.11 * np.clip((0.3 - y) / 0.6, 0, 1)
        return np.asarray(self.level + share * (0.062 * wide**1.5 + 0.022 * fine - fall))

    def at(self, x: float, y: float) -> float:
        """Height of the cloth at one place."""
        return float(self.height(np.array(x), np.array(y)))

    def build(self, far: float) -> g.Mesh:
        """The cloth from before the camera to y = ``far``."""
        x, y = np.meshgrid(np.linspace(-2.1, 2.1, 96), np.linspace(-2.3, far, 84))
        return g.grid_surface(np.stack([x, y, self.height(x, y)], -1))


def _build_drape(rng: np.random.Generator, width: float, height: float) -> g.Mesh:
    """A cloth hung in uneven folds that swing to one side, standing on z = 0."""
    u, t = np.meshgrid(np.linspace(0, 1, 110), np.linspace(0, 1, 14))
    p = rng.uniform(0, 2 * np.pi, 3)
    s = u + 0.05 * np.sin(2 * np.pi * u + p[0]) + 0.13 * (t - 0.3) ** 2 * np.cos(np.pi * u)
    fold = np.sin(2 * np.pi * 7 * s + p[1]) + 0.45 * np.sin(2 * np.pi * 15 * s + p[2] + 1.5 * t)
    return g.grid_surface(np.stack([(u - 0.5) * width, 0.085 * fold, t * height], -1))


def _add_pearls(stage: Stage, rng: np.random.Generator, cloth: _Satin, colour: Colour, side: float) -> None:
    """A strand of pearls that winds over the cloth beside the product, and loose ones."""
    t = np.linspace(0, 1, 44)
    x = side * (0.96 + 0.14 * np.sin(t * 8.0) - 0.12 * t)
    y = 0.7 - 1.5 * t
    step = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    even = np.arange(0.0, float(step[-1]), 0.15)
    spots = [
        (float(a), float(b), 0.066)
        for a, b in zip(np.interp(even, step, x), np.interp(even, step, y), strict=True)
    ]
    for a, b, r in ((-0.84, -0.34, 0.085), (-1.0, 0.05, 0.07), (-0.84, 0.4, 0.11), (-0.62, -0.62, 0.07)):
        spots.append((side * a + float(rng.uniform(-0.04, 0.04)), b, r))
    beads = [g.sphere(r, 18).moved(a, b, cloth.at(a, b) + r * 0.9) for a, b, r in spots]
    stage.add(g.merge_meshes(beads), plastic(colour, 0.03))


def _add_cotton(
    stage: Stage, rng: np.random.Generator, x: float, y: float, z: float, size: float, lean: float
) -> None:
    """A boll of cotton lying towards the camera and turned by ``lean``: white tufts in brown sepals."""
    tufts = [g.sphere(size * 0.62, 18).moved(z=size * 1.75)]
    sepals = [g.tube([(0, 0, 0), (0.02, 0, size * 0.5), (0, 0, size)], size * 0.08, 7)]
    for k in range(5):
        a = 72.0 * k + float(rng.uniform(-8, 8))
        tufts.append(
            g.sphere(size * 0.55, 18).scaled(1, 1, 1.1).moved(x=size * 0.5, z=size * 1.5).turned("z", a)
        )
        sepals.append(
            g.leaf(size * 1.25, size * 0.5, -0.3).turned("x", 58).moved(z=size * 0.95).turned("z", a + 36)
        )
    for mesh, surface in (
        (g.merge_meshes(tufts), matte((0.9, 0.89, 0.87))),
        (g.merge_meshes(sepals), plastic((0.4, 0.27, 0.17), 0.5)),
    ):
        stage.add(
            mesh.moved(z=-1.4 * size).turned("x", 38).turned("z", lean).moved(x, y, z + 0.9 * size), surface
        )


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Satin below, satin or a glow behind, what the product stands on, the style's elements around."""
    far = 1.45
    low = -0.14 if style.has("plinth") else -0.05 if style.has("tray") else 0.0
    cloth = _Satin(rng, low, 0.7, style.layout == 1)
    satin = metal(style.floor, 0.42)
    stage.add(cloth.build(far + 0.3), satin)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if style.has("drape"):
        stage.add(_build_drape(rng, 4.6, 3.8).moved(y=far, z=low - 0.1), metal(style.wall, 0.45))
    else:
        glow = textures.halo(mix(style.wall, (1, 1, 1), 0.55), shade(style.wall, 0.9), 0.5, 0.75, 0.2)
        stage.add(g.quad(5, 4).moved(y=far + 0.2, z=low - 0.1), matte(glow))
    if style.has("tray"):
        stage.add(g.cylinder(0.74, 0.05, 0.012, 56).moved(z=low), metal(GOLD, 0.16))
    elif style.has("plinth"):
        marble = textures.stone(rng, style.prop, shade(style.prop, 0.72))
        stage.add(g.cylinder(0.72, -low, 0.03, 56).moved(z=low), plastic(marble, 0.1, (3.0, 0.5)))
    if style.has("moon"):
        disc = (
            g.cylinder(0.82, 0.05, 0.012, 56)
            .turned("x", 90)
            .moved(float(rng.uniform(-0.12, 0.12)), 1.15, 0.62)
        )
        stage.add(disc, plastic(mix(style.wall, style.accent, 0.8), 0.3))
    if style.has("pearls"):
        _add_pearls(stage, rng, cloth, shade(style.prop, 0.93), side)
    if style.has("cotton"):
        for x, y, s, lean in (
            (0.95, 0.35, 0.2, 14.0),
            (0.78, 0.75, 0.18, -10.0),
            (-0.95, 0.5, 0.21, -16.0),
            (0.8, -0.5, 0.16, 30.0),
        ):
            _add_cotton(stage, rng, side * x, y, cloth.at(side * x, y) - 0.02, s, side * lean)
    if style.has("swirl"):
        x, y = -side * 0.92, 0.32
        z = cloth.at(x, y)
        stage.add(
            g.lathe([(0.0, -0.12), (0.16, -0.12), (0.25, 0.03), (0.24, 0.045), (0.0, 0.02)]).moved(
                x, y, z + 0.08
            ),
            metal(GOLD, 0.2),
        )
        stage.add(
            _build_swirl(0.19, 0.3).moved(x, y, z + 0.1), plastic(mix(style.prop, (1, 1, 1), 0.5), 0.22)
        )
    add_key_light(stage, style, 7.6)
    stage.lights.append(Light((-3.0 * style.key_side, 0.2, 1.8), (0.0, 0.4, 0.3), 1.6, (3.2, 3.0, 2.9)))


CATEGORY = Category(
    "cream jar",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.47, 0.54), (13, 18), (-20, 20), offset=0.05),
)
