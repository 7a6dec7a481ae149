"""What grows, and what lies on beaches?  Fruit, flowers, grass, beans, stones and water."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes.shapes.room import find_outlines, measure_gap


def scatter(
    rng: np.random.Generator,
    around: Sequence[g.Mesh],
    mesh: g.Mesh,
    count: int,
    area: tuple[float, float, float, float],
    keep_out: float = 0.5,
    lift: float = 0.0,
    tumble: float = 0.0,
) -> g.Mesh | None:
    """Copies of ``mesh`` strewn over ``area`` (x from, x to, y from, y to), none before the product.

    None lies in another or in a thing of ``around``: so many as find room in four times as many tries.
    """
    reach = float(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]).max())
    low, high = (lift + float(z) for z in (mesh.vertices[:, 2].min(), mesh.vertices[:, 2].max()))
    things = find_outlines(around, max(low, lift), high)
    placed: list[g.Mesh] = []
    taken = np.empty((0, 3))
    for _ in range(count * 4):
        x, y = rng.uniform(area[0], area[1]), rng.uniform(area[2], area[3])
        if abs(x) < keep_out and y < 0.42:
            continue
        m = mesh.turned("x", rng.uniform(-tumble, tumble)).turned("z", rng.uniform(0, 360))
        size = rng.uniform(0.8, 1.2)
        if np.any(np.hypot(taken[:, 0] - x, taken[:, 1] - y) < taken[:, 2] + reach * size):
            continue
        if measure_gap(things, x, y) < reach * size:
            continue
        taken = np.concatenate([taken, [[x, y, reach * size]]])
        placed.append(m.scaled(size).moved(x, y, lift))
        if len(placed) == count:
            break
    return g.merge_meshes(placed) if placed else None


def coffee_bean(size: float) -> g.Mesh:
    """A coffee bean lying on z = 0, 2.7 times ``size`` long, its crease upwards."""
    end = np.linspace(-np.pi / 2, np.pi / 2, 15)[:, None]
    # round from the belly over the flat side, where the points are close for the crease, and back
    turn = np.linspace(0, 1, 33)
    a = 2 * np.pi * (turn + 0.1 * np.sin(2 * np.pi * turn)) - np.pi / 2
    across, up = np.cos(end) * np.cos(a), np.cos(end) * np.sin(a)
    crease = 0.2 * np.exp(-(((across - 0.06 * np.sin(2 * end)) / 0.09) ** 2)) * np.cos(end) * (np.sin(a) > 0)
    high = np.where(up > 0, 0.42 * up, 0.62 * up) - crease
    along = np.broadcast_to(1.35 * np.sin(end), high.shape)
    return g.grid_surface(size * np.stack([along, 0.95 * across, high + 0.62], -1))


def grass(rng: np.random.Generator, near: float, far: float, count: int) -> g.Mesh:
    """Blades of grass from y = ``near`` to ``far``; before the product too low to hide its foot."""
    x = rng.uniform(-1.6, 1.6, count)
    y = rng.uniform(near, far, count)
    h = rng.uniform(0.05, 0.13, count) * (0.55 if near < 0 else 1)
    sight = 0.09 * np.maximum(-0.24 - y, 0) + 0.35 * np.maximum(np.abs(x) - 0.42, 0)
    h = np.where(y < 0.3, np.minimum(h, sight), h)
    keep = h > 0.003
    x, y, h = x[keep], y[keep], h[keep]
    n = len(x)
    a, lean = rng.uniform(0, 3.14, n), rng.uniform(-0.05, 0.05, (n, 2))
    w = np.minimum(0.011, 0.4 * h)
    p0 = np.stack([x - w * np.cos(a), y - w * np.sin(a), 0 * x - 0.02], 1)
    p1 = np.stack([x + w * np.cos(a), y + w * np.sin(a), 0 * x - 0.02], 1)
    p2 = np.stack([x + lean[:, 0], y + lean[:, 1], h], 1)
    v = np.concatenate([p0, p1, p2]).astype(np.float32)
    k = np.arange(n, dtype=np.int32)
    normal = np.tile(np.array([0, -0.35, 0.94], np.float32), (3 * n, 1))
    return g.Mesh(v, np.stack([k, k + n, k + 2 * n], 1), normal, np.zeros((3 * n, 2), np.float32))


def cream_swirl(radius: float, height: float) -> g.Mesh:
    """A dollop of cream as it leaves the nozzle: a rope winding upwards to a tip, standing on z = 0.

    It rises out of what it stands on, where its end is hidden.
    """
    t = np.linspace(0, 1, 144)
    a = t * 3.4 * 2 * np.pi
    rope = radius * 0.34 * (1 - t) ** 0.8 * np.minimum(t * 40, 1)
    reach = radius * 0.66 * (1 - t) ** 0.95
    z = radius * 0.24 + (height - radius * 0.24) * t**1.05 - radius * 0.9 * np.maximum(1 - t / 0.08, 0)
    return g.tube(g.as_points(reach * np.cos(a), reach * np.sin(a), z), rope.tolist(), 20)


def petal(length: float, width: float, curl: float) -> g.Mesh:
    """A petal growing from the origin along +z, rounded at its tip, cupped and curling towards -y."""
    across, along = np.linspace(-1, 1, 9), np.linspace(0, 1, 11)
    half = width / 2 * np.sin(np.pi * (0.1 + 0.82 * along**1.3)) ** 0.6
    rows = []
    for t, h in zip(along, half, strict=True):
        cup = 0.3 * h * across**2 + 0.4 * curl * length * (t - 0.25) ** 2
        rows.append((h * across, -cup, length * t * (1 - 0.06 * across**2)))
    return g.loft(rows)


def rose(rng: np.random.Generator, radius: float) -> g.Mesh:
    """A rose's head on z = 0: whorls of cupped petals, the inner ones upright."""
    petals = []
    for ring, (count, tilt, size, reach) in enumerate(
        ((3, 6.0, 0.75, 0.12), (4, 20.0, 0.9, 0.2), (5, 38.0, 1.05, 0.27), (6, 58.0, 1.15, 0.3))
    ):
        for k in range(count):
            m = petal(radius * size, radius * size * 1.15, -0.3).turned("z", 180).moved(y=-0.02)
            m = m.turned("x", tilt + rng.uniform(-6, 6)).moved(y=-radius * reach)
            petals.append(m.turned("z", 360 / count * (k + 0.5 * ring) + rng.uniform(-9, 9)))
    low = min(float(m.vertices[:, 2].min()) for m in petals)
    return g.merge_meshes(petals).moved(z=-low)


def pumpkin() -> g.Mesh:
    """A ribbed pumpkin of radius 1 about the origin."""
    a = np.linspace(0, 2 * np.pi, 81)
    rows = []
    for t in np.linspace(-np.pi / 2, np.pi / 2, 17):
        rib = 1 - 0.09 * np.abs(np.sin(4.5 * a)) ** 0.5 * np.cos(t)
        dip = 0.72 * np.sin(t) - 0.16 * np.exp(-((np.cos(t) / 0.3) ** 2)) * np.sign(t)
        rows.append((np.cos(t) * rib * np.cos(a), np.cos(t) * rib * np.sin(a), dip))
    return g.loft(rows)


def bent_twig(
    foot: tuple[float, float, float], length: float, lean: float
) -> list[tuple[float, float, float]]:
    """Path of a twig from ``foot`` that bends to the right, ``lean`` degrees on average."""
    bow = np.deg2rad(lean) * (0.7 + 0.6 * np.linspace(0, 1, 9))
    steps = np.stack([np.sin(bow), -0.12 * np.ones_like(bow), np.cos(bow)], 1) * length / 9
    return [foot, *g.as_points(*(np.array(foot) + np.cumsum(steps, 0)).T)]


def _roughen(mesh: g.Mesh, rng: np.random.Generator, amount: float) -> g.Mesh:
    """``mesh`` with an uneven outline about z and a texture that lies level on it."""
    v = mesh.vertices.copy()
    a = np.arctan2(v[:, 1], v[:, 0])
    swell = np.ones_like(a)
    for k in (2, 3, 5, 7):
        swell += amount / k * 2 * np.cos(k * a + rng.uniform(0, 2 * np.pi))
    v[:, :2] *= swell[:, None]
    uv = np.stack([v[:, 0] * 0.45 + 0.5 + 0.2 * v[:, 2], v[:, 1] * 0.45 + 0.5 + 0.3 * v[:, 2]], 1)
    corners = v[mesh.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    n = np.zeros_like(v)
    for k in range(3):
        np.add.at(n, mesh.faces[:, k], facing)
    n *= np.sign(np.sum(n * mesh.normals, 1, keepdims=True))
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    return g.Mesh(v, mesh.faces, n.astype(np.float32), uv.astype(np.float32))


def flat_stone(rng: np.random.Generator, width: float, depth: float, height: float) -> g.Mesh:
    """A flat stone standing on z = 0."""
    edge = [(0.92, 0.0), (1.0, height * 0.25), (1.0, height * 0.8), (0.95, height), (0.82, height)]
    mesh = g.lathe([(0.0, 0.0), *g.smooth_profile(edge, 3), (0.0, height)], 56)
    return _roughen(mesh, rng, 0.03).scaled(width / 2, depth / 2, 1)


def boulder(rng: np.random.Generator, radius: float, segments: int, amount: float) -> g.Mesh:
    """A rough ball; ``amount`` is the unevenness of its outline."""
    return _roughen(g.sphere(radius, segments), rng, amount)


def ripples(level: float) -> g.Mesh:
    """A still surface with rings of ripples about the product."""
    r = np.concatenate([np.linspace(0.0, 2.6, 110), [3.2, 8.0]])
    z = level + 0.0016 * np.cos(2 * np.pi * r / 0.2) * np.exp(-r / 1.6)
    return g.lathe(g.as_points(r, z), 56)
