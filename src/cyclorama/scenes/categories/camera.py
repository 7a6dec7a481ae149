"""Camera: a traveller's table with a map, lenses and film, and mountains at dawn, noon or dusk beyond it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

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

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.05, 0.05, 0.055)


def _ink(colour: Colour) -> tuple[int, int, int]:
    return (round(colour[0] * 255), round(colour[1] * 255), round(colour[2] * 255))


def _build_lens(radius: float, length: float, barrel: Surface, band: Surface) -> list[Part]:
    """A lens standing on z = 0 that looks up: mount, ribbed rings, a coloured band, rim and front glass."""
    r, h = radius, length
    side = [(r * 0.92, 0.0), (r * 0.92, h * 0.12), (r, h * 0.16)]
    for k in range(5):
        z = h * (0.22 + 0.07 * k)
        side += [(r, z), (r * 1.035, z + h * 0.015), (r * 1.035, z + h * 0.045), (r, z + h * 0.055)]
    side += [(r, h * 0.8), (r * 1.05, h * 0.84), (r * 1.05, h), (r * 0.93, h), (r * 0.8, h * 0.86)]
    ring = [(r * 1.003, h * 0.68), (r * 1.03, h * 0.69), (r * 1.03, h * 0.74), (r * 1.003, h * 0.75)]
    t = np.linspace(0, np.pi / 2, 8)
    dome = [(r * 0.8 * float(np.cos(a)), h * 0.86 + r * 0.14 * float(np.sin(a))) for a in t]
    iris = [(r * 0.34 * float(np.cos(a)), h * 0.86 + r * 0.145 * float(np.sin(a)) + 0.002) for a in t]
    return [
        Part(g.lathe(side, 44), barrel),
        Part(g.lathe(ring, 44), band),
        Part(g.lathe(dome, 36, 80), plastic((0.03, 0.035, 0.09), 0.02)),
        Part(g.lathe(iris, 28, 80), plastic((0.2, 0.1, 0.36), 0.02)),
    ]


def _face(parts: list[Part], x: float, y: float, z: float) -> list[Part]:
    """Lens parts turned to the viewer, their foot at (x, y, z)."""
    return [Part(p.mesh.turned("x", 90).moved(x, y, z), p.surface) for p in parts]


def _hump(width: float, top: float, depth: float, height: float) -> g.Mesh:
    """The prism housing of a reflex camera: a roof with slanting sides on z = 0."""
    w, t, d = width / 2, top / 2, depth / 2
    b = np.array([[-w, -d, 0], [w, -d, 0], [w, d, 0], [-w, d, 0]], np.float64)
    f, r, h = -d * 0.86, d * 0.7, height
    u = np.array([[-t, f, h], [t, f, h], [t, r, h], [-t, r, h]])
    sides = [g.grid_surface(np.array([[b[i], b[(i + 1) % 4]], [u[i], u[(i + 1) % 4]]])) for i in range(4)]
    return g.merge_meshes([*sides, g.grid_surface(np.array([[u[0], u[1]], [u[3], u[2]]]))])


def _plate(rng: np.random.Generator, width: float, ground: Colour, ink: Colour) -> Part:
    """A name plate with marks of our own, in the plane y = 0, centred in x."""
    image = Image.new("RGB", (80, 24), _ink(ground))
    textures.draw_words(ImageDraw.Draw(image), rng, 40, 5, 68, 14, ink)
    return Part(g.quad(width, width * 0.3), plastic(np.asarray(image), 0.3))


def _top_controls(
    rng: np.random.Generator, width: float, z: float, trim: Surface, accent: Colour
) -> list[Part]:
    """Release button and dials on a body whose top is at ``z``."""
    release = plastic(accent, 0.15) if rng.random() < 0.4 else trim
    parts = [Part(g.cylinder(0.045, 0.05, 0.01, 24).moved(-width * 0.36, -0.02, z), release)]
    for x, r in ((0.34, 0.085), (-0.22, 0.06)):
        if rng.random() < 0.8:
            dial = g.cylinder(r, float(rng.uniform(0.05, 0.08)), 0.01, 28)
            parts.append(Part(dial.moved(width * x, 0, z), trim))
    return parts


def _build_flat(rng: np.random.Generator, skin: Surface, metalwork: Surface, lens: list[Part]) -> list[Part]:
    """A viewfinder camera: a flat two-tone body with small windows."""
    w, h, d = float(rng.uniform(1.12, 1.26)), float(rng.uniform(0.68, 0.76)), 0.32
    parts = [
        Part(g.rounded_box(w, d, h, 0.06), metalwork),
        Part(g.rounded_box(w * 1.008, d * 1.03, h * 0.6, 0.06).moved(z=h * 0.11), skin),
    ]
    for x, ww in ((-w * 0.36, 0.1), (w * 0.05, 0.08), (w * 0.34, 0.16)):
        window = g.rounded_box(ww, 0.02, 0.09, 0.012).moved(x, -d / 2 - 0.004, h * 0.79)
        parts.append(Part(window, plastic((0.05, 0.06, 0.1), 0.02)))
    name = _plate(rng, 0.2, (0.85, 0.85, 0.86), BLACK)
    parts.append(Part(name.mesh.moved(-w * 0.15, -d / 2 - 0.003, h * 0.79), name.surface))
    return parts + _face(lens, 0.02, -d / 2, h * 0.42)


def _build_reflex(
    rng: np.random.Generator, skin: Surface, body: Surface, lens: list[Part], trim: Surface
) -> list[Part]:
    """A reflex or mirrorless camera: prism housing, deep grip, large lens."""
    w, h, d = float(rng.uniform(1.08, 1.2)), float(rng.uniform(0.66, 0.74)), 0.36
    roof = _hump(0.52, float(rng.uniform(0.22, 0.36)), d, float(rng.uniform(0.15, 0.22)))
    parts = [
        Part(roof.moved(z=h - 0.02), body),
        Part(g.rounded_box(w, d, h, 0.08), body),
        Part(g.rounded_box(w * 0.985, d * 1.04, h * 0.62, 0.05).moved(z=h * 0.1), skin),
        Part(g.rounded_box(0.25, 0.3, h * 0.94, 0.1).moved(-w / 2 + 0.14, -0.18), skin),
    ]
    name = _plate(rng, 0.2, BLACK, WHITE)
    parts.append(Part(name.mesh.turned("x", -8).moved(0, -d / 2, h + 0.02), name.surface))
    mount = g.cylinder(0.31, 0.04, 0.01, 44).turned("x", 90)
    parts.append(Part(mount.moved(0.04, -d / 2, h * 0.47), trim))
    return parts + _face(lens, 0.04, -d / 2 - 0.03, h * 0.47)


def _build_instant(
    rng: np.random.Generator, colour: Colour, lens: list[Part], stripes: list[Colour]
) -> list[Part]:
    """An instant camera: a tall round box with flash, stripes and the slot for the print."""
    w, h, d = float(rng.uniform(0.92, 1.05)), float(rng.uniform(0.86, 0.96)), 0.42
    shell = plastic(colour, 0.2)
    flash, release = g.rounded_box(0.25, 0.05, 0.12, 0.02), g.cylinder(0.06, 0.05, 0.015, 24).turned("x", 90)
    dark = plastic(BLACK if sum(colour) > 1 else (0.3, 0.3, 0.31), 0.3)
    parts = [
        Part(g.rounded_box(w, d, h, 0.12), shell),
        Part(g.rounded_box(w * 1.04, d * 1.25, h * 0.26, 0.06).moved(0, -0.03), shell),
        Part(g.rounded_box(w * 0.8, 0.02, 0.035, 0.008).moved(0, -d * 0.65 - 0.03, h * 0.1), dark),
        Part(g.rounded_box(0.3, 0.05, 0.17, 0.03).moved(w * 0.28, -d / 2, h * 0.74), dark),
        Part(flash.moved(w * 0.28, -d / 2 - 0.01, h * 0.765), plastic(WHITE, 0.05)),
        Part(g.rounded_box(0.14, 0.05, 0.13, 0.02).moved(-w * 0.32, -d / 2, h * 0.76), dark),
        Part(release.moved(-w * 0.34, -d / 2, h * 0.5), plastic(stripes[0], 0.15)),
    ]
    for k, tone in enumerate(stripes):
        x = 0.045 * (k - (len(stripes) - 1) / 2)
        strip = g.quad(0.045, h * 0.16).moved(x, -d * 0.655 - 0.031, h * 0.1 + 0.03)
        parts.append(Part(strip, plastic(tone, 0.2)))
    return parts + _face(lens, 0.0, -d / 2, h * 0.52)


def _build_twin(skin: Surface, trim: Surface, band: Surface) -> list[Part]:
    """A twin-lens camera: a tall box, one lens above the other, a hood and a crank."""
    w, h, d = 0.6, 0.86, 0.5
    parts = [
        Part(g.rounded_box(w, d, h, 0.035), skin),
        Part(g.rounded_box(w * 0.8, 0.05, h * 0.94, 0.03).moved(0, -d / 2, h * 0.03), trim),
        Part(g.rounded_box(w * 1.02, d * 1.02, 0.05, 0.015).moved(z=h - 0.02), trim),
        Part(_hump(w * 0.62, w * 0.7, d * 0.62, 0.2).moved(0, 0.02, h + 0.03), plastic(BLACK, 0.35)),
        Part(g.cylinder(0.08, 0.05, 0.012, 28).turned("y", 90).moved(w / 2, 0.02, h * 0.62), trim),
        Part(g.cylinder(0.09, 0.05, 0.012, 28).turned("y", -90).moved(-w / 2, -0.02, h * 0.3), trim),
    ]
    for z in (h * 0.3, h * 0.72):
        parts += _face(_build_lens(0.15, 0.14, plastic(BLACK, 0.2), band), 0, -d / 2 - 0.025, z)
    return parts


def build_product(rng: np.random.Generator) -> list[Part]:
    """A viewfinder, reflex, instant or twin-lens camera in black, silver or colour."""
    hue = float(rng.uniform(0, 360))
    leather = [
        (0.09, 0.09, 0.095),
        hsv(22, 0.6, 0.42),
        hsv(hue, 0.6, 0.45),
        hsv(hue, 0.35, 0.75),
        (0.85, 0.8, 0.72),
    ][int(rng.integers(5))]
    grain = np.clip(np.array(leather) * rng.normal(1, 0.16, (48, 48, 1)) * 255, 0, 255)
    skin = plastic(grain.astype(np.uint8), 0.5, (3.0, 2.0))
    accent = hsv(float(rng.choice([2.0, 14, 42, 200, hue])), 0.8, 0.88)
    band = plastic(accent, 0.2) if rng.random() < 0.6 else metal(GOLD if rng.random() < 0.4 else SILVER, 0.25)
    dark = rng.random() < 0.5
    trim = metal((0.2, 0.2, 0.21), 0.3) if dark and rng.random() < 0.5 else metal(SILVER, 0.25)
    barrel = metal(SILVER, 0.25) if not dark and rng.random() < 0.5 else plastic(BLACK, 0.22)
    kind = int(rng.integers(7))
    if kind <= 1:
        lens = _build_lens(float(rng.uniform(0.2, 0.25)), float(rng.uniform(0.14, 0.26)), barrel, band)
        parts = _build_flat(rng, skin, trim, lens)
        return parts + _top_controls(rng, 1.15, float(parts[0].mesh.vertices[:, 2].max()), trim, accent)
    if kind <= 4:
        lens = _build_lens(float(rng.uniform(0.26, 0.3)), float(rng.uniform(0.22, 0.42)), barrel, band)
        body = plastic(BLACK, 0.3) if dark else metal(SILVER, 0.3)
        parts = _build_reflex(rng, skin, body, lens, trim)
        return parts + _top_controls(rng, 1.1, float(parts[1].mesh.vertices[:, 2].max()), trim, accent)
    if kind == 5:
        shell = hsv(hue, float(rng.uniform(0.2, 0.55)), 0.93) if rng.random() < 0.65 else (0.94, 0.93, 0.9)
        tones = [hsv(hue + 180 + 40 * k, 0.7, 0.92) for k in range(int(rng.integers(3, 6)))]
        eye = _build_lens(float(rng.uniform(0.2, 0.24)), 0.16, plastic(BLACK, 0.25), band)
        return _build_instant(rng, shell, eye, tones)
    return _build_twin(skin, trim, band)


def sample_style(rng: np.random.Generator) -> Style:
    """Any hour of the day over any of the landscapes, with two or three kinds of travel goods."""
    sky = float(rng.choice([204.0, 214, 18, 30, 335, 275, 190]) + rng.uniform(-5, 5))
    day = 180 < sky < 230
    return Style(
        hsv(sky, float(rng.uniform(0.45, 0.65)), float(rng.uniform(0.8, 0.95))),
        hsv(float(rng.uniform(22, 32)), float(rng.uniform(0.4, 0.58)), float(rng.uniform(0.45, 0.7))),
        hsv(float(rng.choice([205.0, 160])) if day else sky - 70, 0.5, 0.48),
        hsv(44 if day else 34, float(rng.uniform(0.25, 0.55)), 1.0),
        (
            str(rng.choice(["peaks", "hills", "lake"])),
            *pick(rng, ("lenses", "films", "photos", "compass", "notebook"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.0, 0.35)),
    )


BRANDS = (
    Style(
        hsv(18, 0.66, 0.96),
        hsv(24, 0.55, 0.5),
        hsv(285, 0.5, 0.42),
        hsv(44, 0.5, 1.0),
        ("peaks", "films", "compass"),
        0,
        -0.8,
        0.35,
    ),
    Style(
        hsv(207, 0.55, 0.92),
        hsv(30, 0.4, 0.72),
        hsv(212, 0.55, 0.5),
        hsv(48, 0.15, 1.0),
        ("lake", "lenses", "photos"),
        1,
        0.8,
        0.0,
    ),
    Style(
        hsv(338, 0.4, 0.95),
        hsv(26, 0.45, 0.62),
        hsv(172, 0.5, 0.45),
        hsv(30, 0.35, 1.0),
        ("hills", "notebook", "films", "photos"),
        0,
        -0.7,
        0.2,
    ),
)


def _ridge(rng: np.random.Generator, size: int, rough: bool) -> NDArray[np.float64]:
    """A skyline (size,) in [0, 1]: broken for peaks, rolling for hills."""
    x = np.linspace(0, 1, size)
    if not rough:
        waves = sum(np.sin(x * f + rng.uniform(0, 6)) / k for k, f in ((1, 7.0), (2, 13.0), (4, 29.0)))
        return np.asarray((waves + 1.75) / 3.5)
    y = np.zeros(size)
    for count, height in ((5, 1.0), (11, 0.42), (26, 0.16), (60, 0.06)):
        y += height * np.interp(x, np.linspace(0, 1, count), rng.uniform(0, 1, count))
    return np.asarray((y - y.min()) / max(float(np.ptp(y)), 1e-9))


def _landscape(rng: np.random.Generator, style: Style, size: int = 256) -> Texture:
    """Mountains in hazy layers under the style's sky, with a low sun and perhaps a lake that mirrors them."""
    n = size
    base = 0.62 if style.has("lake") else 0.8
    haze, sky = np.array(mix(style.wall, style.accent, 0.6)), np.array(style.wall)
    v, u = np.mgrid[0:n, 0:n] / n
    rgb = sky + (haze - sky) * np.clip(v / base, 0, 1)[..., None]
    x = float(rng.choice([0.24, 0.76]) + rng.uniform(-0.03, 0.03))
    far = np.hypot((u - x) * 1.7, v - base + 0.4)
    sun = np.array(mix(style.accent, WHITE, 0.6))
    glow = 0.55 * np.exp(-((far / 0.16) ** 2)) + np.clip((0.05 - far) * 60, 0, 1)
    rgb = rgb + (sun - rgb) * np.clip(glow, 0, 1)[..., None]
    for k in range(4):
        line = _ridge(rng, n, not style.has("hills"))
        top = base - 0.3 + 0.085 * k - (line - 0.5) * (0.26 - 0.03 * k)
        depth = v - top[None]
        slope = np.gradient(line) * n * (1 if x < 0.5 else -1)
        # faces run down aslant, away from the sun
        across = np.clip(u + (0.8 if x < 0.5 else -0.8) * depth, 0, 1 - 1 / n)
        column = (across * n).astype(int)
        lit = 1 + 0.16 * np.tanh(-slope / 2)[column] * np.clip(1 - depth / 0.2, 0, 1)
        tone = haze + (np.array(style.prop) - haze) * (k + 1) / 4
        face = tone * lit[..., None]
        if k < 2 and not style.has("hills"):
            cap = np.clip(base - 0.29 + 0.085 * k - top, 0, 0.09) * (0.35 + 0.65 * _ridge(rng, n, True))
            white = np.array(mix(style.accent, WHITE, 0.8)) * np.clip(lit, 0, 1.03)[..., None]
            face = np.where((depth < cap[column])[..., None], white, face)
        face = face + (haze - face) * (0.5 * np.clip(depth / 0.3, 0, 1))[..., None]
        rgb = np.where((depth > 0)[..., None], face, rgb)
    if style.has("lake"):
        shore = int(n * base)
        mirror = rgb[2 * shore - n : shore][::-1]
        rgb[shore:] = 0.75 * mirror + 0.25 * sky
        rgb[shore - 1 : shore + 1] = 0.6 * np.array(style.prop)
    image = Image.fromarray(np.asarray(np.clip(rgb * 255, 0, 255), np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)))


def _map(rng: np.random.Generator, style: Style, size: int = 256) -> Texture:
    """A paper map: land and sea with contours, a grid, roads and names."""
    n = size
    field = np.zeros((n, n), np.float32)
    for cells, weight in ((4, 1.0), (8, 0.45), (16, 0.2)):
        coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        field += weight * np.asarray(coarse.resize((n, n), Image.Resampling.BICUBIC))
    paper, sea = hsv(44, 0.2, 0.96), hsv(198, 0.32, 0.84)
    rgb = np.where((field < -0.25)[..., None], sea, paper)
    for height, tone in ((0.1, hsv(80, 0.22, 0.86)), (0.45, hsv(34, 0.36, 0.88))):
        rgb = np.where((field > height)[..., None], tone, rgb)
    contour = (np.abs((field * 5) % 1 - 0.5) < 0.07) & (field > -0.25)
    image = Image.fromarray(np.asarray(np.where(contour[..., None], 0.8, 1.0) * rgb * 255, np.uint8))
    draw = ImageDraw.Draw(image)
    for at in np.linspace(0, n, 9):
        for line in ([at, 0, at, n], [0, at, n, at]):
            draw.line(line, fill=_ink(hsv(200, 0.2, 0.72)))
    for hue, width in ((12.0, 3), (40.0, 2), (12.0, 2), (200.0, 2)):
        along = np.linspace(-8, n + 8, 15)
        away = rng.uniform(0.1, 0.9) * n + rng.normal(0, 0.06 * n, 15).cumsum()
        road = [(float(a), float(b)) for a, b in zip(along, away, strict=True)]
        draw.line(
            [(b, a) for a, b in road] if width == 2 else road, fill=_ink(hsv(hue, 0.6, 0.82)), width=width
        )
    for _ in range(16):
        a, b = rng.uniform(0.05, 0.95, 2) * n
        textures.draw_words(draw, rng, float(a), float(b), n * 0.09, n * 0.022, hsv(20, 0.3, 0.35))
    draw.rectangle([1, 1, n - 2, n - 2], outline=_ink(WHITE), width=5)
    return np.asarray(image)


def _add_film(stage: Stage, x: float, y: float, colour: Colour, lying: float | None) -> None:
    """A film canister, standing or lying with its axis turned by ``lying`` degrees, with a tongue of film."""
    skin = textures.stripes([colour, colour, mix(colour, WHITE, 0.85), colour], 6, 48, False)
    cap, body = g.cylinder(0.09, 0.025, 0.006, 28), g.cylinder(0.085, 0.22, 0.01, 28)
    black = g.merge_meshes([cap, cap.moved(z=0.2), g.cylinder(0.035, 0.27, 0.006, 16)])
    s = np.linspace(0, 1, 10)
    path = np.stack([-0.06 - 0.12 * s, -0.06 + 0.05 * np.sin(3 * s)], 1)
    film = g.grid_surface(np.array([[[px, py, z] for px, py in path] for z in (0.03, 0.2)]))
    skins = (plastic(skin, 0.2), plastic(BLACK, 0.25), plastic((0.2, 0.13, 0.1), 0.15))
    for mesh, surface in zip((body, black, film), skins, strict=True):
        m = mesh if lying is None else mesh.turned("y", 90).moved(z=0.09).turned("z", lying)
        stage.add(m.moved(x, y), surface)


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Table with the map, landscape beyond it, travel goods at both sides."""
    grain = textures.wood(rng, style.floor, 4).swapaxes(0, 1).copy()
    stage.add(g.floor(8, -4, 1.15), plastic(grain, 0.3, (2.6, 1.6)))
    stage.add(g.quad(8, 0.9).moved(y=1.15, z=-0.9), matte(shade(style.floor, 0.5)))
    stage.add(g.quad(4.4, 2.6).moved(y=2.2, z=-0.75), light(_landscape(rng, style), 0.92))
    side = 1.0 if style.layout == 0 else -1.0
    sheet = g.floor(2.5, -1.0, 0.75).turned("z", 9 * side + float(rng.uniform(-3, 3)))
    stage.add(sheet.moved(0.08 * side, 0.1, 0.003), matte(_map(rng, style)))
    if style.has("lenses"):
        for x, y, r, h in ((0.86, 0.3, 0.15, 0.36), (1.12, 0.62, 0.14, 0.26)):
            for p in _build_lens(r, h, plastic(BLACK, 0.2), plastic(hsv(10, 0.8, 0.85), 0.2)):
                stage.add(p.mesh.moved(side * x, y), p.surface)
    if style.has("films"):
        tones = (hsv(42, 0.85, 0.95), hsv(150, 0.65, 0.6), hsv(8, 0.8, 0.85))
        _add_film(stage, -side * 0.8, 0.24, tones[0], None)
        _add_film(stage, -side * 1.04, 0.46, tones[1], None)
        _add_film(stage, -side * 0.86, -0.12, tones[2], -side * 24)
    if style.has("photos"):
        card, picture = g.floor(0.36, -0.22, 0.22), g.floor(0.3, -0.12, 0.18)
        for k, (x, y, a) in enumerate(((0.8, -0.28, 14.0), (0.98, 0.02, -12.0), (-0.86, -0.34, -20.0))):
            shot = plastic(_landscape(rng, style, 64), 0.15)
            for mesh, z, surface in ((card, 0.007, plastic((0.97, 0.96, 0.94), 0.3)), (picture, 0.009, shot)):
                stage.add(mesh.turned("z", side * a).moved(side * x, y, z + 0.004 * k), surface)
    if style.has("compass"):
        x, y = side * 0.82, 0.06
        lid = g.cylinder(0.15, 0.02, 0.008).turned("x", 78).moved(y=0.16, z=0.16)
        case = g.merge_meshes([lid, g.cylinder(0.155, 0.05, 0.015)])
        stage.add(case.moved(x, y), metal(GOLD, 0.25))
        stage.add(g.cylinder(0.13, 0.004).moved(x, y, 0.05), plastic((0.96, 0.94, 0.88), 0.1))
        corners = [[[-0.02, 0, 0], [0, -0.1, 0]], [[0, 0.1, 0], [0.02, 0, 0]]]
        needle = g.grid_surface(np.array(corners, np.float64))
        stage.add(needle.turned("z", 35).moved(x, y, 0.058), matte(hsv(4, 0.85, 0.8)))
    if style.has("notebook"):
        x, y = side * 0.9, 0.5
        for k, tone in enumerate((style.prop, hsv(22, 0.6, 0.42))):
            book = g.rounded_box(0.5, 0.62, 0.07, 0.015).turned("z", side * (12 - 22 * k))
            stage.add(book.moved(x, y, 0.075 * k + 0.003), plastic(tone, 0.4))
        strap = g.rounded_box(0.03, 0.63, 0.078, 0.01).turned("z", -side * 10)
        stage.add(strap.moved(x + side * 0.12, y, 0.076), plastic(style.accent, 0.4))
    add_key_light(stage, style, 10.5, 2.6)


FRAMING = Framing((0.47, 0.55), (7, 11), (-26, 26), offset=0.045)
CATEGORY = Category("camera", BRANDS, sample_style, build_product, dress, FRAMING)
