"""Hand cream: a flower field out of focus, a whitewashed table with a wooden tray, cut flowers and linen."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.scenes import geometry as g
from cyclorama.scenes import textures
from cyclorama.scenes.family import Category, Framing, pick
from cyclorama.scenes.props import add_key_light, add_scatter
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import (
    COPPER,
    GOLD,
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

WHITE: Colour = (0.97, 0.96, 0.93)


def _to_bytes(colour: Colour) -> tuple[int, int, int]:
    return (round(colour[0] * 255), round(colour[1] * 255), round(colour[2] * 255))


def _ribbed_cap(radius: float, height: float, ribs: int, taper: float) -> g.Mesh:
    """A screw cap on z = 0 with ``ribs`` flutes; ``taper`` is the top's radius over the bottom's."""
    a = np.pi / 2 + np.linspace(0, 2 * np.pi, ribs * 6 + 1)
    flute = 1 + 0.05 * np.sign(np.cos(ribs * a)) * np.abs(np.cos(ribs * a)) ** 0.5
    rows = []
    for r, z in ((0.97, 0.0), (1.0, 0.04), (taper, 0.96), (taper * 0.94, 1.0), (0.0, 1.0)):
        rows.append(np.stack([radius * r * flute * np.cos(a), radius * r * flute * np.sin(a), 0 * a], -1))
        rows[-1][:, 2] = z * height
    return g.grid_surface(np.stack(rows))


def _tube_body(radius: float, half_crimp: float, height: float, crimp_up: bool) -> g.Mesh:
    """A tube that goes from a circle to a flat seam; u = 0.5 faces the camera, v runs upwards."""
    a = np.pi / 2 + np.linspace(0, 2 * np.pi, 61)
    rows = []
    for t in np.linspace(0, 1, 22):
        s = t if crimp_up else 1 - t
        width = radius + (half_crimp - radius) * s
        depth = max(radius * (1 - s**1.5), 0.014)
        rows.append(np.stack([width * np.cos(a), depth * np.sin(a), np.full_like(a, t * height)], -1))
    return g.grid_surface(np.stack(rows))


def _print_flowers(rng: np.random.Generator, skin: Texture, petal: Colour, heart: Colour) -> Texture:
    """``skin`` with a sprig of blossoms on its front."""
    image = Image.fromarray(skin)
    draw = ImageDraw.Draw(image)
    w, h = image.size
    low = float(rng.choice([0.0, 0.62]))
    lean = float(rng.choice([-1.0, 1.0]))
    stem = [(w * (0.5 + lean * (0.09 - 0.18 * t)), h * (low + 0.07 + 0.24 * t)) for t in np.linspace(0, 1, 4)]
    draw.line(stem, fill=_to_bytes(shade(petal, 0.55)), width=2)
    petals = int(rng.integers(4, 7))
    for x, y in stem:
        cx, cy = x + float(rng.uniform(-0.03, 0.03)) * w, y + float(rng.uniform(-0.02, 0.02)) * h
        r = float(rng.uniform(0.036, 0.052)) * h
        for k in range(petals):
            a = 2 * np.pi * k / petals
            px, py = cx + 0.62 * r * float(np.cos(a)), cy + r * float(np.sin(a))
            draw.ellipse([px - 0.42 * r, py - 0.7 * r, px + 0.42 * r, py + 0.7 * r], fill=_to_bytes(petal))
        draw.ellipse([cx - 0.28 * r, cy - 0.45 * r, cx + 0.28 * r, cy + 0.45 * r], fill=_to_bytes(heart))
    return np.asarray(image)


def _foil(colour: Colour, size: int = 256) -> Texture:
    """Aluminium skin: bands of light and dark around the tube, as a bright room mirrors in it."""
    u = np.linspace(0, 1, size)
    band = 0.86 + 0.14 * np.cos(2 * np.pi * (3 * u + 0.15)) * np.cos(2 * np.pi * u)
    rgb = np.clip(np.array(colour) * band[:, None] * 255, 0, 255)
    return np.ascontiguousarray(np.broadcast_to(rgb.astype(np.uint8)[None], (size, size, 3)))


def build_product(rng: np.random.Generator) -> list[Part]:
    """A tube with a flat seam: foil or plastic, on its seam with a screw cap or upside down on a wide cap."""
    hue = float(rng.uniform(0, 360))
    tone = int(rng.integers(6))
    tint, strong, deep = hsv(hue, 0.35, 0.92), hsv(hue, 0.55, 0.66), hsv(hue, 0.55, 0.34)
    base = [tint, strong, mix(WHITE, tint, 0.4), SILVER, mix(WHITE, tint, 0.7), deep][tone]
    body: Texture = _foil(base) if tone == 3 or rng.random() < 0.35 else textures.gradient(base, base, 64)
    dark = sum(base) < 1.6
    paper = base if rng.random() < 0.35 else (WHITE if dark or rng.random() < 0.6 else hsv(hue, 0.5, 0.55))
    ink = (0.2, 0.17, 0.18) if sum(paper) > 1.6 else WHITE
    accent = hsv(hue + float(rng.choice([0, 30, 150, 180, 210])), 0.6, 0.72)
    crimp_up = rng.random() < 0.45
    half = float(rng.uniform(0.13, 0.17))
    box = (0.5 - half, 0.36, 0.5 + half, float(rng.uniform(0.72, 0.82)))
    skin = textures.label(rng, body, paper, ink, accent, box)
    if rng.random() < 0.65:
        petal = WHITE if dark else hsv(float(rng.choice([352.0, 330, 275, 222, 18, 42])), 0.55, 0.8)
        skin = _print_flowers(rng, skin, petal, hsv(44, 0.6, 0.95))
    r, h = float(rng.uniform(0.165, 0.215)), float(rng.uniform(0.72, 0.9))
    crimp = r * float(rng.uniform(1.32, 1.5))
    paint = plastic([(0.07, 0.07, 0.08), WHITE, accent][int(rng.integers(3))], 0.18)
    cap = paint if rng.random() < 0.6 else metal([GOLD, SILVER, COPPER][int(rng.integers(3))], 0.2)
    seam = plastic(textures.stripes([base, shade(base, 0.82)], 10, 64, False), 0.25)
    edge = float(rng.uniform(0.06, 0.1))
    gloss = plastic(skin, float(rng.uniform(0.1, 0.3)))
    seam_mesh = g.rounded_box(crimp * 2.02, 0.034, edge, 0.012)
    if crimp_up:
        wide = float(rng.uniform(0.16, 0.24))
        lid = g.cylinder(r * 1.03, wide, 0.02) if rng.random() < 0.6 else _ribbed_cap(r * 1.03, wide, 30, 1.0)
        return [
            Part(lid, cap),
            Part(_tube_body(r, crimp, h, True).moved(z=wide - 0.004), gloss),
            Part(seam_mesh.moved(z=wide + h - 0.02), seam),
        ]
    top = edge + h - 0.02
    neck = r * 0.5
    shoulder = [(r, 0.0), (r * 0.985, 0.025), (neck, 0.09), (neck, 0.13)]
    ch = float(rng.uniform(0.13, 0.22))
    shape = int(rng.integers(3))
    if shape == 0:
        lid = _ribbed_cap(neck * 1.5, ch, 8, 0.9)
    elif shape == 1:
        lid = _ribbed_cap(neck * 1.35, ch, 20, float(rng.uniform(0.75, 1.0)))
    else:
        lid = g.cylinder(neck * 1.45, ch, 0.02)
    return [
        Part(seam_mesh, seam),
        Part(_tube_body(r, crimp, h, False).moved(z=edge - 0.02), gloss),
        Part(g.lathe(shoulder).moved(z=top - 0.002), plastic(shade(base, 0.9), 0.2)),
        Part(lid.moved(z=top + 0.085), cap),
    ]


def sample_style(rng: np.random.Generator) -> Style:
    """A field of one flower colour, its cut flowers on the table."""
    h = float(rng.choice([255.0, 268, 282, 325, 342, 354, 46, 212, 225]) + rng.uniform(-5, 5))
    return Style(
        hsv(h, rng.uniform(0.14, 0.24), 0.96),
        hsv(rng.uniform(28, 38), rng.uniform(0.1, 0.26), rng.uniform(0.86, 0.93)),
        hsv(h, rng.uniform(0.4, 0.55), rng.uniform(0.7, 0.86)),
        hsv(rng.uniform(88, 125), 0.34, 0.52),
        (
            str(rng.choice(["field", "blossom"])),
            str(rng.choice(["lavender", "blooms"])) if h > 60 else "blooms",
            *pick(rng, ("bucket", "soap", "cloth", "strewn"), int(rng.integers(2, 4))),
        ),
        int(rng.integers(2)),
        float(rng.choice([-0.8, 0.8])),
        float(rng.uniform(0.1, 0.4)),
        fill=0.95,
    )


BRANDS = (
    Style(
        hsv(262, 0.2, 0.96),
        hsv(34, 0.14, 0.92),
        hsv(264, 0.46, 0.68),
        hsv(100, 0.3, 0.54),
        ("field", "lavender", "bucket", "soap"),
        0,
        -0.8,
        0.15,
        fill=0.95,
    ),
    Style(
        hsv(344, 0.14, 0.98),
        hsv(24, 0.12, 0.94),
        hsv(344, 0.46, 0.9),
        hsv(120, 0.28, 0.56),
        ("blossom", "blooms", "cloth", "strewn"),
        1,
        0.8,
        0.2,
        fill=0.95,
    ),
    Style(
        hsv(48, 0.22, 0.98),
        hsv(32, 0.28, 0.88),
        hsv(43, 0.78, 0.95),
        hsv(92, 0.42, 0.52),
        ("field", "blooms", "bucket", "cloth"),
        0,
        0.7,
        0.45,
        fill=0.95,
    ),
)


def _field(rng: np.random.Generator, sky: Colour, bloom: Colour, green: Colour, size: int = 256) -> Texture:
    """Rows of flowers that run to the horizon under a pale sky, out of focus."""
    horizon = 0.5
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    image = Image.fromarray(textures.gradient(mix(sky, (1, 0.93, 0.84), 0.6), shade(sky, 0.93), size))
    draw = ImageDraw.Draw(image)
    for _ in range(26):
        x, r = float(rng.uniform(-0.05, 1.05)) * size, float(rng.uniform(0.015, 0.05)) * size
        far_green = mix(shade(green, float(rng.uniform(0.7, 1.0))), sky, 0.35)
        draw.ellipse([x - 2.2 * r, horizon * size - r, x + 2.2 * r, horizon * size + r], _to_bytes(far_green))
    depth = np.maximum(v - horizon, 0.004)
    lateral = (u - float(rng.uniform(0.35, 0.65))) / (depth + 0.05)
    row = np.clip(0.62 + 0.75 * np.sin(lateral * 9.0), 0, 1)[..., None]
    speckle = 1 + 0.3 * rng.standard_normal((size, size, 1)) * np.clip(depth * 6, 0.15, 1)[..., None]
    ground = (np.array(shade(green, 0.8)) * (1 - row) + np.array(bloom) * row) * speckle
    haze = np.exp(-depth * 14)[..., None] * 0.5
    ground = ground * (1 - haze) + np.array(mix(sky, bloom, 0.4)) * haze
    out = np.where((v > horizon)[..., None], np.clip(ground * 255, 0, 255), np.asarray(image))
    return np.asarray(Image.fromarray(out.astype(np.uint8)).filter(ImageFilter.GaussianBlur(size / 110)))


def _blossom(rng: np.random.Generator, sky: Colour, bloom: Colour, green: Colour, size: int = 256) -> Texture:
    """Flowering branches that hang in from above before a pale garden, out of focus."""
    image = Image.fromarray(
        textures.gradient(mix(green, sky, 0.45), shade(mix(sky, bloom, 0.25), 0.97), size)
    )
    draw = ImageDraw.Draw(image)
    for _ in range(160):
        x, y, r = (float(v) * size for v in rng.uniform((0.1, 0.55, 0.012), (0.9, 0.75, 0.04)))
        tint = mix(shade(green, float(rng.uniform(0.85, 1.15))), sky, 0.35)
        draw.ellipse(
            [x - r, y - r, x + r, y + r], _to_bytes(mix(tint, bloom, 0.5) if rng.random() < 0.2 else tint)
        )
    for k in range(420):
        x = float(rng.uniform(0.14, 0.86))
        reach = 0.07 + 0.17 * abs(x - 0.5) / 0.28
        y = 0.36 + float(rng.random()) * reach + 0.02 * float(np.sin(19 * x))
        r = float(rng.uniform(0.008, 0.02)) * size
        tint = mix(shade(bloom, 0.9), (1, 1, 1), float(rng.uniform(0.0, 0.8)) * k / 420)
        tint = mix(green, sky, 0.15) if rng.random() < 0.12 else tint
        draw.ellipse([x * size - r, y * size - r, x * size + r, y * size + r], _to_bytes(tint))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(size / 120)))


def _lavender(length: float) -> list[g.Mesh]:
    """Stem and flower spike of one sprig along +z: the meshes [stem, spike]."""
    stem = g.tube([(0, 0, 0), (0.01, 0, length * 0.5), (0, 0, length * 0.9)], 0.008, 6)
    buds = []
    for k in range(9):
        z = length * (0.52 + 0.054 * k)
        r = 0.03 * (1.0 - 0.055 * k)
        for q in range(4):
            a = 1.57 * q + 0.7 * k
            buds.append(
                g.sphere(0.021, 6)
                .scaled(1, 1, 1.4)
                .moved(float(r * np.cos(a)), float(r * np.sin(a)), z + 0.008 * q)
            )
    return [stem, g.merge_meshes(buds)]


def _bloom(radius: float) -> list[g.Mesh]:
    """An open flower that looks up from z = 0: the meshes [petals, heart]."""
    petals = [
        g.leaf(radius, radius * 0.62, 0.25).turned("x", 68 - 14 * ring).turned("z", 45.0 * k + 22 * ring)
        for ring in range(2)
        for k in range(8)
    ]
    heart = g.sphere(radius * 0.27, 12).scaled(1, 1, 0.6).moved(z=radius * 0.1)
    return [g.merge_meshes(petals).moved(z=radius * 0.05), heart]


def _add_bunch(stage: Stage, rng: np.random.Generator, style: Style, x: float, y: float, z: float) -> None:
    """Flowers that stand in a bucket and spread: lavender or open blooms, by the style."""
    stems, flowers, hearts = [], [], []
    count, height = 17, 0.82 if style.has("lavender") else 0.62
    for k in range(count):
        tilt_x, tilt_y = float(rng.uniform(-20, 16)), (k / (count - 1) - 0.5) * 58
        long = height * float(rng.uniform(0.8, 1.1))
        if style.has("lavender"):
            meshes = _lavender(long)
        else:
            head, heart = (
                m.turned("x", 48).moved(z=long * 0.95) for m in _bloom(0.14 * float(rng.uniform(0.8, 1.15)))
            )
            stem = g.tube([(0, 0, 0), (0, 0, long * 0.95)], 0.011, 6)
            foliage = g.leaf(long * 0.55, 0.1, 0.5).turned("z", float(rng.uniform(0, 360)))
            meshes = [g.merge_meshes([stem, foliage.moved(z=long * 0.25)]), head, heart]
        placed = [m.turned("x", tilt_x).turned("y", tilt_y).moved(x, y, z) for m in meshes]
        stems.append(placed[0])
        flowers.append(placed[1])
        hearts.extend(placed[2:])
    stage.add(g.merge_meshes(stems), matte(style.accent))
    stage.add(g.merge_meshes(flowers), matte(style.prop))
    if hearts:
        stage.add(g.merge_meshes(hearts), matte(hsv(34, 0.75, 0.7)))


def _add_bucket(stage: Stage, x: float, y: float, low: float, size: float) -> None:
    """A small enamelled bucket with two rims."""
    r = size * 0.42
    wall = [(0, 0), (r * 0.78, 0), (r, size), (r * 0.94, size), (r * 0.86, size * 0.5), (0, size * 0.5)]
    stage.add(g.lathe(wall).moved(x, y, low), plastic(WHITE, 0.2))
    rims = [g.lathe([(r * 0.985, size * 0.95), (r * 1.04, size * 0.975), (r * 1.005, size)])]
    rims.append(g.lathe([(r * 0.85, size * 0.28), (r * 0.88, size * 0.31), (r * 0.86, size * 0.34)]))
    stage.add(g.merge_meshes(rims).moved(x, y, low), metal(SILVER, 0.3))


def _add_cloth(stage: Stage, side: float, low: float, colour: Colour) -> None:
    """A linen cloth in soft folds on the table's side, fringed by its own stripes."""
    u, v = np.meshgrid(np.linspace(0, 1, 46), np.linspace(0, 1, 30))
    fold = 0.035 * (1 + np.sin(9 * u + 3.5 * v)) * np.clip(6 * np.minimum(u, 1 - u), 0, 1)
    points = np.stack([(u - 0.5) * 0.85, (v - 0.5) * 1.15 + 0.08 * np.sin(7 * u), fold + 0.006], -1)
    mesh = g.grid_surface(points, np.stack([u, v], -1)).turned("z", -22 * side).moved(side * 1.03, 0.26, low)
    linen = textures.stripes([mix(colour, WHITE, 0.72)] * 5 + [mix(colour, WHITE, 0.2)], 36, 128)
    stage.add(mesh, matte(linen))


def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
    """Field or blossom behind, pale boards, a tray or a slice of a trunk, flowers at the sides."""
    low = -0.07
    paint = _field if style.has("field") else _blossom
    view = paint(rng, style.wall, style.prop, style.accent)
    stage.add(g.quad(5.0, 5.0).moved(y=2.3, z=-1.55), light(view, 0.85))
    boards = textures.wood(rng, style.floor, 5).swapaxes(0, 1).copy()
    stage.add(g.rounded_box(7, 4.6, 0.1, 0.02).moved(0, -1.05, low - 0.1), plastic(boards, 0.4, (2.4, 1.6)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    honey = hsv(30, 0.45, 0.74)
    grain = textures.wood(rng, honey, 3, 128)
    if style.layout == 0:
        stage.add(g.rounded_box(0.98, 0.8, 0.07, 0.02).moved(0, 0.05, low), plastic(grain, 0.35))
        for y in (-0.34, 0.44):
            stage.add(g.rounded_box(1.0, 0.035, 0.1, 0.012).moved(0, y, low), plastic(honey, 0.35))
        for x in (-0.49, 0.49):
            rail = [(x, -0.12, low + 0.09), (x * 1.03, -0.1, low + 0.15), (x * 1.03, 0.2, low + 0.15)]
            stage.add(g.tube([*rail, (x, 0.22, low + 0.09)], 0.018, 8), plastic(shade(honey, 0.75), 0.35))
    else:
        rings = textures.stripes([honey, shade(honey, 0.88), mix(honey, WHITE, 0.2)], 15, 128, False)
        stage.add(g.cylinder(0.52, 0.07, 0.012).moved(0, 0.05, low), matte(shade(honey, 0.6)))
        stage.add(g.lathe([(0.5, 0.0), (0.25, 0.0005), (0.0, 0.001)]).moved(0, 0.05), matte(rings))
    if style.has("cloth"):
        _add_cloth(stage, -side, low, style.prop)
    if style.has("bucket"):
        _add_bucket(stage, side * 0.72, 0.6, low, 0.42)
        _add_bunch(stage, rng, style, side * 0.72, 0.6, low + 0.15)
    if style.has("soap"):
        for k, turn in enumerate((8.0, -14.0)):
            bar = g.rounded_box(0.4, 0.27, 0.12, 0.04).turned("z", turn * side)
            tint = mix(style.prop, WHITE, 0.75 - 0.4 * k)
            stage.add(bar.moved(-side * 0.74, 0.3, low + 0.12 * k), plastic(tint, 0.4))
    _add_cut_flowers(stage, rng, style, side, low)
    if style.has("strewn"):
        petal = g.leaf(0.1, 0.08, 0.5).turned("x", 80).moved(z=0.015)
        area = (-1.15, 1.15, -0.5, 0.7)
        add_scatter(stage, rng, petal, matte(mix(style.prop, WHITE, 0.25)), 24, area, 0.66, low, 8)
    add_key_light(stage, style, 9.0, 2.8)


def _add_cut_flowers(stage: Stage, rng: np.random.Generator, style: Style, side: float, low: float) -> None:
    """Flowers that lie on the table: sprigs of lavender in a bunch, or open blooms."""
    green, hue = matte(style.accent), matte(style.prop)
    if style.has("lavender"):
        meshes = [
            [
                m.turned("x", -90)
                .turned("z", side * 62 + float(rng.uniform(-13, 13)))
                .moved(side * 0.98, -0.16, low + 0.03 + 0.012 * (k % 4))
                for m in _lavender(0.66 * float(rng.uniform(0.85, 1.1)))
            ]
            for k in range(8)
        ]
        stage.add(g.merge_meshes([m[0] for m in meshes]), green)
        stage.add(g.merge_meshes([m[1] for m in meshes]), hue)
        return
    spots = ((-0.66, 0.0, 0.2), (-0.86, 0.34, 0.17), (0.62, -0.2, 0.14), (-0.6, 0.56, 0.15))
    heads = [
        [m.turned("x", 24).turned("z", float(rng.uniform(-30, 30))) for m in _bloom(r)] for _, _, r in spots
    ]
    lift = low + 0.04
    for part, surface in ((0, hue), (1, matte(hsv(34, 0.75, 0.7)))):
        placed = [
            h[part].moved(side * x, y, lift + 0.2 * r) for h, (x, y, r) in zip(heads, spots, strict=True)
        ]
        stage.add(g.merge_meshes(placed), surface)
    leaves = [
        g.leaf(0.24, 0.1, 0.3).turned("x", 76).turned("z", float(a)).moved(side * x, y, low + 0.02)
        for x, y, _ in spots
        for a in rng.uniform(0, 360, 2)
    ]
    stage.add(g.merge_meshes(leaves), green)


CATEGORY = Category(
    "hand cream",
    BRANDS,
    sample_style,
    build_product,
    dress,
    Framing((0.58, 0.68), (8, 12), (-14, 14), offset=0.05),
)
