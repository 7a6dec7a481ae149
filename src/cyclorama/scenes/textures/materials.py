"""What are things made of?  Parquet, foil, ice, knitted wool, grilles and lit shades."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes.surface import WHITE, Colour, Texture, hsv, jitter, mix, shade
from cyclorama.scenes.textures import basic
from cyclorama.scenes.textures.pen import to_texture

FRUIT_COLOURS: dict[str, Colour] = {
    "apple": hsv(2, 0.82, 0.75),
    "tomato": hsv(6, 0.88, 0.82),
    "lemon": hsv(50, 0.82, 0.95),
    "lime": hsv(86, 0.75, 0.6),
    "pear": hsv(66, 0.6, 0.75),
    "plum": hsv(295, 0.55, 0.36),
    "peach": hsv(20, 0.55, 0.95),
    "orange": hsv(28, 0.88, 0.97),
}


def herringbone(rng: np.random.Generator, colour: Colour, size: int = 256) -> Texture:
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
    return to_texture(rgb)


def chequer(a: Colour, b: Colour, cells: int = 4, size: int = 128) -> Texture:
    """A chequered floor with thin joints."""
    k = np.arange(size) * cells // size
    odd = ((k[:, None] + k[None, :]) % 2)[..., None]
    joint = (np.arange(size) % (size // cells) == 0) * 0.15
    clear = 1 - np.maximum(joint[:, None], joint[None, :])[..., None]
    return to_texture((np.array(a) * (1 - odd) + np.array(b) * odd) * clear)


def foil(colour: Colour, size: int = 256) -> Texture:
    """Aluminium skin: bands of light and dark around the tube, as a bright room mirrors in it."""
    u = np.linspace(0, 1, size)
    band = 0.86 + 0.14 * np.cos(2 * np.pi * (3 * u + 0.15)) * np.cos(2 * np.pi * u)
    return np.tile(to_texture(np.array(colour) * band[:, None]), (size, 1, 1))


def knit(wool: Colour, size: int = 64) -> Texture:
    """One plain stitch: two slanted loops that meet in a V, dark between the columns."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    across = np.abs(2 * u - 1)
    along = (v + 0.55 * across) % 1.0
    length, width = 1 - (2 * np.abs(along - 0.5)) ** 2, 1 - (2 * np.abs(across - 0.5)) ** 2
    return to_texture(np.array(wool) * (0.72 + 0.3 * np.sqrt(length * width))[..., None])


def leaf_skin(rng: np.random.Generator, colour: Colour, size: int = 192) -> Texture:
    """A leaf's upper side: a pale midrib along v, veins that leave it upwards, uneven greens between."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    across = np.abs(2 * u - 1)
    side = np.abs(((1 - v) * 8 - 1.6 * across) % 1 - 0.5)
    vein = np.maximum(np.exp(-((across / 0.05) ** 2)), 0.45 * np.exp(-((side / 0.07) ** 2)))
    green = basic.plaster(rng, colour, 0.12, size).astype(np.float64) / 255
    green *= (0.88 + 0.24 * side + 0.1 * (v - 0.5))[..., None]
    pale = np.array(mix(colour, (0.86, 0.9, 0.62), 0.5))
    return to_texture(green + 0.55 * vein[..., None] * (pale - green))


def grille_cloth(colour: Colour, kind: int) -> Texture:
    """A tile of speaker cloth or grille: dots, a weave or ribs."""
    n = 32
    v, u = np.mgrid[0:n, 0:n]
    if kind == 0:
        tone = np.where(np.hypot(u % 8 - 3.5, v % 8 - 3.5) < 2.6, 0.35, 1.0)
    elif kind == 1:
        tone = np.where((u // 4 + v // 4) % 2 == 0, 0.62, 1.0)
    else:
        tone = np.where(u % 8 < 3, 0.45, 1.0)
    return to_texture(np.array(colour) * tone[..., None])


def cold_backdrop(wall: Colour, accent: Colour, stripes: bool, slant: float, size: int = 256) -> Texture:
    """A glow low in the middle that darkens upwards, with or without broad diagonal stripes."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    glow = 0.8 * np.exp(-(((u - 0.5) / 0.26) ** 2 + ((v - 0.62) / 0.26) ** 2))[..., None]
    canvas = np.array(wall) * (1 - glow) + np.array(mix(accent, WHITE, 0.1)) * glow
    if stripes:
        t = (u * 5.0 + slant * v * 3.2) % 1.0
        cover = np.clip((0.24 - np.abs(t - 0.5)) * size / 8 + 0.5, 0, 1)[..., None]
        canvas += 0.34 * cover * (np.array(accent) - canvas)
        thin = np.clip((0.03 - np.abs(t - 0.9)) * size / 8 + 0.5, 0, 1)[..., None]
        canvas += 0.55 * thin * (np.array(mix(accent, WHITE, 0.6)) - canvas)
    return to_texture(canvas)


def caustics(rng: np.random.Generator, wall: Colour, size: int = 256) -> Texture:
    """A wall under the net of light that moving water throws."""
    from scipy.spatial import KDTree  # a tenth of a second that most images need not pay

    v, u = np.mgrid[0:size, 0:size] / size
    net = np.zeros((size, size))
    for count, width in ((90, 0.011), (40, 0.018)):  # bright seams between cells, bent by a swell
        p = rng.uniform(0, 2 * np.pi, 4)
        x = (
            u
            + 0.02 * np.sin(2 * np.pi * (3 * v + u) + p[0])
            + 0.009 * np.sin(2 * np.pi * (7 * v - 4 * u) + p[1])
        )
        y = (
            v
            + 0.02 * np.sin(2 * np.pi * (3 * u - v) + p[2])
            + 0.009 * np.sin(2 * np.pi * (8 * u + 3 * v) + p[3])
        )
        cells = KDTree(rng.uniform(0, 1, (count, 2)), boxsize=1)
        near = cells.query(np.stack([x, y], -1) % 1, 2)[0]
        net += 0.55 * np.exp(-((near[..., 1] - near[..., 0]) / width))
    net = np.minimum(net, 1)[..., None]
    low, high = np.array(shade(wall, 0.93)), np.array(mix(wall, (1, 1, 1), 0.75))
    image = Image.fromarray(to_texture(low + (high - low) * net))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))


def leaf_shadow(rng: np.random.Generator, wall: Colour, side: float, size: int = 256) -> Texture:
    """A wall with the blurred shadow of fronds that reach in from one side."""
    cover = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(cover)
    foot = np.array([0.5 + 0.26 * side, 0.53]) * size
    for k in range(3):
        fall = np.deg2rad(-20 + 36 * k + rng.uniform(-7, 7))
        tip = foot + size * rng.uniform(0.27, 0.34) * np.array([-side * np.cos(fall), np.sin(fall)])
        along = (tip - foot) / np.linalg.norm(tip - foot)
        across = np.array([-along[1], along[0]])
        draw.line([*foot, *tip], fill=255, width=size // 250)
        for t in np.linspace(0.2, 1.0, 10):
            base = foot + (tip - foot) * t
            length = size * 0.11 * (1.3 - t)
            for s in (-1.0, 1.0):
                end = base + (along + 0.7 * s * across) * length * 0.8
                bulge = 0.12 * length * (across - 0.7 * s * along)
                middle = (base + end) / 2
                outline = np.concatenate([base, middle + bulge, end, middle - bulge])
                draw.polygon(outline.tolist(), fill=255)
    dark = np.asarray(cover.filter(ImageFilter.GaussianBlur(size / 200)), np.float32)[..., None] / 255
    base_wall = basic.plaster(rng, wall, 0.03, size).astype(np.float32)
    return np.asarray(base_wall * (1 - dark * 0.42), np.uint8)


def lampshade(rng: np.random.Generator, colour: Colour) -> Texture:
    """A lit shade: brightest in the middle of its height, plain, pleated, banded or striped."""
    size = 128
    v = np.linspace(0, 1, size)[:, None, None]
    lit = 0.72 + 0.28 * np.exp(-(((v - 0.6) / 0.3) ** 2))
    rgb = np.broadcast_to(np.array(colour) * lit, (size, size, 3)).copy()
    kind = rng.integers(4)
    if kind == 1:
        rgb *= (0.9 + 0.1 * np.cos(np.arange(size) * 2 * np.pi * 32 / size))[None, :, None]
    elif kind == 2:
        band = (np.abs(v - 0.1) < 0.05) | (np.abs(v - 0.93) < 0.05)
        rgb = np.where(band, rgb * np.array(hsv(rng.uniform(0, 360), 0.5, 0.75)), rgb)
    elif kind == 3:
        count = rng.integers(5, 12) * 2
        rgb[:, (np.arange(size) * count // size) % 2 == 1] *= shade(hsv(rng.uniform(0, 360), 0.2, 1.0), 0.92)
    return to_texture(rgb)


def fruit_skin(kind: str, seed: int) -> Texture:
    """A fruit's skin with slight clouds; what it draws depends on ``seed`` alone."""
    own = np.random.default_rng(seed)
    colour = FRUIT_COLOURS[kind]
    if kind == "apple":
        colour = [colour, hsv(80, 0.62, 0.7), hsv(48, 0.6, 0.85)][int(own.integers(3))]
    colour = jitter(colour, own)
    clouds = basic.plaster(own, colour, 0.09, 64)
    low = shade(colour, 0.9)
    return np.asarray(0.75 * clouds + 0.25 * basic.gradient(low, shade(colour, 1.08), 64), np.uint8)


def fruit_colour(kind: str) -> Colour:
    """A fruit's colour."""
    return FRUIT_COLOURS[kind]
