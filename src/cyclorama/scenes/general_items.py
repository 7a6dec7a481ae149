"""The world without the custom of categories, which a base model learns first: kind ``general``.

A product stands on a set that any category dressed, its own or not, in light, framing and company that no
photographer of advertisements would choose: small or off-centre, seen from the side or from above, dusky, lit
from behind, among other products, worn. One image in ten is an advertisement after all.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.compose import (
    PRODUCTS_PER_CATEGORY,
    ItemPlan,
    build_product,
    build_stage,
    derive,
    list_held_out,
)
from cyclorama.scenes.geometry import Mesh, floor
from cyclorama.scenes.grammar.reader import NAMES, list_scenes, load_category
from cyclorama.scenes.render import GROUND
from cyclorama.scenes.stage import Camera, Light, Part, Stage, compute_bounds, project
from cyclorama.scenes.surface import Style, Surface

ADVERTISED, CLUTTERED, WORN, MOVED, SKY_ONLY = 0.1, 0.5, 0.25, 0.4, 0.12
"""Shares of images: advertisements; with other things around; of worn things; with the lamps moved to the
side or behind; with hardly any lamp."""
SHARE, FOV, OFFSET = (0.2, 0.75), (20.0, 50.0), 0.2
"""The product's larger side, the full angle of view (degrees) and the product's largest shift from the
middle; lengths are shares of the image."""
ELEVATION, AROUND, TURN = (0.0, 35.0), (-12.0, 12.0), (-90.0, 90.0)
"""The camera's angles over the ground and about the upright axis, and the product's own turn, degrees."""
FARTHEST = 5.0
"""The camera's largest distance, beyond which it would see where sets end; the product is 1 high."""
MARGIN = 0.02
"""Least distance of the product from the image's edge, as a share."""
EXPOSURE, KEY, FILL, WARMTH = (0.45, 1.3), (0.3, 1.5), (0.4, 1.7), (-1.5, 1.5)
"""Factors on the set's own light; warmth as in :class:`~cyclorama.scenes.surface.Style`."""
MOST_CLUTTER, TRIES = 4, 12
"""Things beside the product, and places that are tried for each; one that finds none is left out."""
CLUTTER_SIZE, CLUTTER_AREA = (0.25, 0.9), ((-1.7, 1.7), (-1.3, 1.2))
"""Larger side of a thing beside the product, and where its middle may stand (x, y)."""


def build_general_stage(plan: ItemPlan) -> tuple[Stage, Style, str]:
    """The stage of ``plan``, its style, and the name of the category that dressed it.

    The plan's brand counts in advertisements only.
    """
    rng = np.random.default_rng(derive("general", plan.scene_seed))
    if rng.random() < ADVERTISED:
        return *build_stage(plan), plan.category.name
    host = load_category(str(rng.choice(list(list_scenes()))))
    style = host.sample_style(rng)
    stage = Stage(product=build_product(plan.category, plan.product, float(rng.uniform(*TURN))))
    stage.camera = draw_camera(stage.product, rng)
    host.dress(stage, rng, style)
    if rng.random() < CLUTTERED:
        strew(stage, rng)
    if rng.random() < WORN:
        age = float(rng.uniform(0.3, 1))
        stage.product = [wear(part, age) for part in stage.product]
        stage.parts = [wear(part, age) for part in stage.parts]
    _relight(stage, rng)
    stage = fit_canvas(stage)
    lowest = float(compute_bounds(stage.parts)[0][2]) - 0.01
    stage.add(floor(80, -40, 40).moved(0, 0, lowest), Surface(style.floor))  # seen where the set ends
    return stage, style, host.name


def draw_camera(product: list[Part], rng: np.random.Generator) -> Camera:
    """A camera that sees the whole of ``product``, from anywhere in front of it."""
    share, fov = rng.uniform(*SHARE), math.radians(rng.uniform(*FOV))
    rise, around = np.deg2rad([rng.uniform(*ELEVATION), rng.uniform(*AROUND)])
    low, high = compute_bounds(product)
    middle = float(high[2]) / 2
    way = np.array([np.sin(around) * np.cos(rise), -np.cos(around) * np.cos(rise), np.sin(rise)])
    distance = min(0.5 / (share * math.tan(fov / 2)) - 0.6 * float(low[1]), FARTHEST)
    origin = np.array([0, 0, middle]) + distance * way
    half = 0.5 / (share * (distance + 0.6 * float(low[1])))
    camera = Camera(tuple(origin.tolist()), (0.0, 0.0, middle), 2 * math.degrees(math.atan(half)))
    points = np.concatenate([part.mesh.vertices for part in product])
    grow = float(np.ptp(project(points, camera), axis=0).max()) / (1 - 2 * MARGIN)
    if grow > 1:
        camera = replace(camera, fov=2 * math.degrees(math.atan(half * grow)))
    seen = project(points, camera)
    shift = rng.uniform(-OFFSET, OFFSET, 2).clip(MARGIN - seen.min(0), 1 - MARGIN - seen.max(0))
    return replace(camera, centre=(0.5 + float(shift[0]), 0.5 + float(shift[1])))


def strew(stage: Stage, rng: np.random.Generator) -> None:
    """Put other products on the ground around the product, where they neither touch nor hide it."""
    own = project(np.concatenate([part.mesh.vertices for part in stage.product]), stage.camera)
    taken = [compute_bounds(stage.product)]
    for _ in range(int(rng.integers(1, MOST_CLUTTER, endpoint=True))):
        category = load_category(str(rng.choice(NAMES)))
        numbers = np.setdiff1d(np.arange(PRODUCTS_PER_CATEGORY), list_held_out(category.name))
        size = float(rng.uniform(*CLUTTER_SIZE))
        thing = build_product(category, int(rng.choice(numbers)), float(rng.uniform(-180, 180)))
        thing = [Part(part.mesh.scaled(size), part.surface) for part in thing]
        low, high = compute_bounds(thing)
        for _ in range(TRIES):
            x, y = (float(rng.uniform(*span)) for span in CLUTTER_AREA)
            corners = np.array([x, y]) + np.array(
                [[0, 0], low[:2], high[:2], [low[0], high[1]], [high[0], low[1]]]
            )
            if any(_touch(corners.min(0), corners.max(0), box) for box in taken):
                continue
            heights = find_ground(stage.parts, corners)
            if not -1 < heights.min() <= heights.max() < min(GROUND, heights.min() + GROUND):
                continue
            moved = [Part(p.mesh.moved(x, y, float(heights[0])), p.surface) for p in thing]
            seen = project(np.concatenate([part.mesh.vertices for part in moved]), stage.camera)
            before = y < 0 and (seen.min(0) < own.max(0)).all() and (seen.max(0) > own.min(0)).all()
            if before or not (seen.mean(0) > 0).all() or not (seen.mean(0) < 1).all():
                continue
            stage.parts.extend(moved)
            taken.append(compute_bounds(moved))
            break


def _touch(
    low: NDArray[np.float64], high: NDArray[np.float64], box: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> bool:
    return bool((low < box[1][:2] + 0.03).all() and (high > box[0][:2] - 0.03).all())


def find_ground(parts: list[Part], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height (N,) of the highest thing at each of ``places`` (N, 2); -inf where there is none."""
    return np.asarray(np.max([_find_tops(part.mesh, places) for part in parts], axis=0))


def _find_tops(mesh: Mesh, places: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(places), -np.inf)
    flat, (low, high) = mesh.vertices[:, :2], (places.min(0), places.max(0))
    if (flat.min(0) > high).any() or (flat.max(0) < low).any():
        return found
    corners = mesh.vertices[mesh.faces]
    near = (corners[..., :2].min(1) <= high).all(1) & (corners[..., :2].max(1) >= low).all(1)
    a, b, c = corners[near].swapaxes(0, 1)
    u, v, d = b - a, c - a, places[:, None] - a[:, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        s = (d[..., 0] * v[:, 1] - d[..., 1] * v[:, 0]) / area
        t = (u[:, 0] * d[..., 1] - u[:, 1] * d[..., 0]) / area
        height = np.where((s >= 0) & (t >= 0) & (s + t <= 1), a[:, 2] + s * u[:, 2] + t * v[:, 2], -np.inf)
    return np.asarray(np.max(height, axis=1, initial=-np.inf))


def wear(part: Part, age: float) -> Part:
    """``part`` flatter, rougher and darker, the more so the nearer ``age`` is to 1."""
    surface = part.surface
    if surface.kind in ("glass", "photo") or surface.glow > 0:
        return part
    printed = isinstance(surface.colour, np.ndarray)
    colour = np.asarray(surface.colour, np.float64) / (255.0 if printed else 1.0)
    worn = (colour + 0.5 * age * (colour.mean(-1, keepdims=True) - colour)) * (1 - 0.45 * age)
    return Part(
        part.mesh,
        replace(
            surface,
            colour=np.rint(worn * 255).astype(np.uint8) if printed else tuple(worn.tolist()),
            kind="matte" if surface.kind == "plastic" and age > 0.6 else surface.kind,
            roughness=max(surface.roughness, 0.2 + 0.4 * age),
        ),
    )


def _relight(stage: Stage, rng: np.random.Generator) -> None:
    """Change strength, colour and place of the lamps, the sky and the exposure."""
    stage.exposure *= float(rng.uniform(*EXPOSURE))
    key, fill, warmth = rng.uniform(*KEY), rng.uniform(*FILL), rng.uniform(*WARMTH)
    if rng.random() < SKY_ONLY:
        key, fill = 0.08, rng.uniform(1.3, 2.2)
    tint = np.array([1 + 0.22 * warmth, 1, 1 - 0.3 * warmth])
    stage.sky = tuple((np.array(stage.sky) * fill * (1 + 0.2 * (1 - tint))).tolist())
    moved = rng.random() < MOVED
    angle, height = rng.uniform(60, 170) * rng.choice([-1, 1]), rng.uniform(2.2, 4.2)
    lights = []
    for lamp in stage.lights:
        if moved:
            away = math.hypot(*lamp.position[:2]) * (0.35 if abs(angle) > 110 else 1.0)
            place = np.deg2rad(angle)
            position = (away * math.sin(place), -away * math.cos(place), height)
            lamp = replace(lamp, position=position)
        radiance = tuple((np.array(lamp.radiance) * key * tint).tolist())
        lights.append(hide_lamp(replace(lamp, radiance=radiance), stage.camera))
    stage.lights = lights


def hide_lamp(lamp: Light, camera: Camera) -> Light:
    """``lamp`` so far away that it is not seen, and as much larger; it gives the same light.

    One towards which the camera looks stays in view, nearly five times as far away.
    """
    target, origin = np.array(lamp.target), np.array(camera.origin)
    way = np.array(lamp.position) - target
    ahead = np.array(camera.target) - origin
    side = np.cross(way, [0.01, 0, 1])
    side /= np.linalg.norm(side)
    up = np.cross(side, way / np.linalg.norm(way))
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 7)] * 2), -1).reshape(-1, 2)
    for far in np.arange(1, 5, 0.25):
        points = target + far * (way + lamp.size * (grid[:, :1] * side + grid[:, 1:] * up))
        seen = project(points[(points - origin) @ ahead > 0], camera)
        if not ((seen > -0.02) & (seen < 1.02)).all(1).any():
            break
    position = tuple((target + far * way).tolist())
    return replace(lamp, position=position, size=lamp.size * float(far))
