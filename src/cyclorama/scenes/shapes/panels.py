"""Which bodies are more than one primitive?  Plates, slabs, prisms, discs, caps and handles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes import geometry as g


def disc(radius: float, depth: float | None = None, segments: int = 36) -> g.Mesh:
    """A level oval face at z = 0 that carries a whole texture; ``depth`` is its other half axis."""
    a, r = np.linspace(0, 2 * np.pi, segments + 1), np.array([[0.0], [1.0]])
    ry = radius if depth is None else depth
    points = np.stack([r * radius * np.cos(a), r * ry * np.sin(a), 0 * r * a], -1)
    return g.grid_surface(points, np.stack([0.5 + 0.5 * r * np.cos(a), 0.5 + 0.5 * r * np.sin(a)], -1))


def _outline(width: float, height: float, corner: float, inset: float = 0.0) -> NDArray[np.float64]:
    """A closed rectangle (N, 2) of (x, z) with round corners, counter-clockwise from the lower right."""
    w, h, r = width / 2 - inset, height / 2 - inset, max(corner - inset, 1e-3)
    points = []
    for quarter, (sx, sz) in enumerate(((1, -1), (1, 1), (-1, 1), (-1, -1))):
        a = np.deg2rad(90 * (quarter - 1) + np.linspace(0, 90, 7))
        points.append(np.stack([sx * (w - r) + r * np.cos(a), sz * (h - r) + r * np.sin(a)], 1))
    ring = np.concatenate(points)
    return np.asarray(np.concatenate([ring, ring[:1]]) + np.array([0.0, height / 2]), np.float64)


def plate(width: float, height: float, corner: float) -> g.Mesh:
    """A flat rectangle with round corners in the plane y = 0, standing on z = 0, facing the camera."""
    return g.fan(_outline(width, height, corner), width, height)


def slab(width: float, height: float, depth: float, corner: float, edge: float) -> g.Mesh:
    """A solid plate with round corners and a round edge, standing on z = 0, centred in x and y."""
    turns = np.linspace(0, np.pi / 2, 4)
    sides = [(t, -1) for t in turns] + [(t, 1) for t in turns[::-1]]
    rows = []
    for t, sign in sides:
        x, z = _outline(width, height, corner, float(edge * (1 - np.sin(t)))).T
        rows.append((x, sign * (depth / 2 - edge * (1 - np.cos(t))), z))
    a = np.deg2rad(90 * np.repeat(np.arange(-1, 3), 7) + np.tile(np.linspace(0, 90, 7), 4))
    outward = np.stack([np.cos(a), np.sin(a)], 1)
    rim = g.with_edge(g.loft(rows), np.concatenate([outward, outward[:1]]), sides)
    front = plate(width - 2 * edge, height - 2 * edge, corner - edge).moved(z=edge)
    back = front.turned("z", 180).moved(y=depth / 2)
    return g.merge_meshes([rim, front.moved(y=-depth / 2), back])


def prism(profile: Sequence[tuple[float, float]], sides: int) -> g.Mesh:
    """A flat-sided lathe: (radius, height) points from bottom to top about z, one facet at the front."""
    a = np.pi * 1.5 + (np.arange(sides + 1) - sides / 2 + 0.5) * 2 * np.pi / sides
    low, high = profile[0][1], profile[-1][1]
    facets = []
    for k in range(sides):
        for edge in itertools.pairwise(profile):
            r, z = np.array(edge)[:, 0, None], np.array(edge)[:, 1, None]
            r, t, across = np.maximum(r, 1e-4), a[k : k + 2], (k + 0.5) / sides
            uv = np.broadcast_arrays([across, across + 1 / sides], (z - low) / (high - low))
            facets.append(
                g.grid_surface(
                    np.stack(np.broadcast_arrays(r * np.cos(t), r * np.sin(t), z), -1), np.stack(uv, -1)
                )
            )
    return g.merge_meshes(facets)


def domed_disc(radius: float, bulge: float) -> g.Mesh:
    """A domed disc about the origin that bulges towards the camera and carries a whole texture."""
    a = np.linspace(2 * np.pi, 0, 41)
    r = np.linspace(0.0, 1.0, 7)[:, None]
    points = np.stack(
        [radius * r * np.cos(a), np.broadcast_to(-bulge * (1 - r**2), (7, 41)), radius * r * np.sin(a)], -1
    )
    uv = np.stack([0.5 + 0.5 * r * np.cos(a), 0.5 + 0.5 * r * np.sin(a)], -1)
    return g.grid_surface(points, uv)


def ribbed_cap(radius: float, height: float, ribs: int, taper: float) -> g.Mesh:
    """A screw cap on z = 0 with ``ribs`` flutes; ``taper`` is the top's radius over the bottom's."""
    a = np.pi / 2 + np.linspace(0, 2 * np.pi, ribs * 6 + 1)
    flute = 1 + 0.05 * np.sign(np.cos(ribs * a)) * np.abs(np.cos(ribs * a)) ** 0.5
    rows = []
    for r, z in ((0.97, 0.0), (1.0, 0.04), (taper, 0.96), (taper * 0.94, 1.0), (0.0, 1.0)):
        rows.append((radius * r * flute * np.cos(a), radius * r * flute * np.sin(a), z * height))
    return g.loft(rows)


def tube_body(radius: float, half_crimp: float, height: float, crimp_up: bool) -> g.Mesh:
    """A tube that goes from a circle to a flat seam; u = 0.5 faces the camera, v runs upwards."""
    a = np.pi / 2 + np.linspace(0, 2 * np.pi, 61)
    rows = []
    for t in np.linspace(0, 1, 22):
        s = t if crimp_up else 1 - t
        width = radius + (half_crimp - radius) * s
        depth = max(radius * (1 - s**1.5), 0.014)
        rows.append((width * np.cos(a), depth * np.sin(a), t * height))
    return g.loft(rows)


def lipstick_bullet(radius: float, height: float, slope: float) -> g.Mesh:
    """A stick of lip colour on z = 0, cut aslant: lowest towards the camera, ``slope`` rise per width."""
    a = np.linspace(0, 2 * np.pi, 37)
    rows = [(radius * np.cos(a), radius * np.sin(a), 0 * a)]
    for share, sink in ((1.0, 0.3), (0.97, 0.13), (0.9, 0.03), (0.75, 0.0), (0.4, -0.05), (0.002, -0.07)):
        x, y = share * radius * np.cos(a), share * radius * np.sin(a)
        # the hind edge is rounded off, so that the cut has the shape of a drop
        cut = height - slope * (radius - y) - 1.1 * np.maximum(y - 0.35 * radius, 0) ** 2 / radius
        rows.append((x, y, cut - sink * radius))
    return g.loft(rows)


def pouch(width: float, depth: float, height: float) -> g.Mesh:
    """A flat-bottomed bag of half ``width`` and half ``depth`` that closes to a flat top."""
    a = np.linspace(0, 2 * np.pi, 49) + np.pi / 2
    c, s = np.cos(a), np.sin(a)
    rows = []
    for t in np.linspace(0, 1, 16):
        thick = depth * (1 - 0.95 * max(t - 0.15, 0) ** 1.5 / 0.78) if t < 0.9 else 0.012
        x = width * np.sign(c) * np.abs(c) ** (0.35 + 0.3 * t) * (1 - 0.03 * np.sin(np.pi * t))
        y = max(thick, 0.012) * np.sign(s) * np.abs(s) ** 0.6
        rows.append((x, y, t * height))
    return g.loft(rows)


def upended_bottle(width: float, height: float) -> g.Mesh:
    """A soft bottle of half ``width`` that stands on its cap and narrows to a flat top."""
    a = np.linspace(0, 2 * np.pi, 37) + np.pi / 2
    rows = []
    for t in np.linspace(0, 1, 14):
        rx, ry = width * (0.86 + 0.3 * t), width * 0.8 * (1 - t) ** 0.6 + 0.008
        rows.append((rx * np.cos(a), ry * np.sin(a), 0.16 + t * height))
    return g.loft(rows)


def curved_wing(width: float, depth: float, height: float, bend: float) -> g.Mesh:
    """A tall panel beside a core of ``width``, bent outwards at its ends by ``bend``, on the right side."""
    z = np.linspace(0, 1, 14)
    x = width / 2 + 0.012 + bend * (2 * z - 1) ** 2
    back = np.stack([x, np.full_like(z, depth / 2), 0.03 + z * height], 1)
    front = np.stack([x + 0.012, np.full_like(z, -depth / 2), 0.03 + z * height], 1)
    thick = np.array([0.05, 0.0, 0.0])
    edges = [back, front, front + thick, back + thick, back]
    sides = [g.grid_surface(np.stack(pair, 1)) for pair in itertools.pairwise(edges)]
    lid = g.grid_surface(np.array([[edges[0][-1], edges[1][-1]], [edges[3][-1], edges[2][-1]]]))
    return g.merge_meshes([*sides, lid])


def cut_ball(radius: float, middle: float, front: float) -> g.Mesh:
    """A ball about height ``middle`` whose front is cut flat at y = ``front``."""
    ball = g.sphere(radius, 44).moved(z=middle)
    cut = np.maximum(ball.vertices, np.array([-9, front, -9], np.float32))
    return g.Mesh(cut, ball.faces, ball.normals, ball.uv)


def padded_shell(
    rx: float, ry: float, thickness: float, reach: float, bottom: float, rim: tuple[float, float]
) -> g.Mesh:
    """A padded shell about the seat, open to the camera; the rim falls from ``rim[0]`` behind to ``rim[1]``.

    ``reach`` is the angle in degrees that the shell spans to each side of the back.
    """
    a = np.deg2rad(np.linspace(-reach, reach, 45))
    t = np.linspace(0, np.pi, 9)
    half = thickness / 2
    across = np.concatenate([[half], half * np.cos(t), [-half]])
    lift = np.concatenate([[0.0], half * np.sin(t), [0.0]])
    share = np.concatenate([[0.0], np.ones(9), [0.0]])
    fall = 0.5 - 0.5 * np.cos(np.pi * np.clip((np.abs(a) / np.deg2rad(reach) - 0.25) / 0.7, 0, 1))
    top = rim[0] + (rim[1] - rim[0]) * fall - half
    rows = []
    for angle, height in zip(a, top, strict=True):
        lean = 0.06 * share * (height - bottom)
        x, y = (rx + across + lean) * np.sin(angle), (ry + across + lean) * np.cos(angle)
        rows.append(np.stack([x, y, bottom + share * (height - bottom) + lift], -1))
    shell = g.grid_surface(np.stack(rows))
    ends = []
    for row in (rows[0], rows[-1]):
        foot, head = (row[0] + row[-1]) / 2, (row[1] + row[-2]) / 2
        ends += [g.tube([foot, head], half, 14), g.sphere(half, 16).moved(*head)]
    return g.merge_meshes([shell, *ends])


def round_cushion(radius: float, height: float) -> g.Mesh:
    """A round cushion; its texture is laid over it from above and in front."""
    bend = np.linspace(0, np.pi / 2, 5)
    edge = height * 0.36
    low = g.as_points(radius - edge + edge * np.sin(bend), edge - edge * np.cos(bend))
    high = [(r, height - z) for r, z in low[::-1]]
    mesh = g.lathe([(0, 0), *low, *high, (radius - 1.2 * edge, height), (0, height)])
    v = mesh.vertices
    uv = np.stack([0.5 + v[:, 0] / (2 * radius), 0.5 + (v[:, 1] + v[:, 2]) / (2 * radius)], 1)
    return g.Mesh(v, mesh.faces, mesh.normals, uv)


def cup_handle(rng: np.random.Generator, outer: Sequence[tuple[float, float]], side: float) -> g.Mesh:
    """A handle from the upper to the lower part of the wall ``outer``, on the right (1) or left (-1)."""
    radii, heights = np.array([p for p, _ in outer]), np.array([q for _, q in outer])
    top = float(heights[-1])
    low, high = top * rng.uniform(0.2, 0.3), top * rng.uniform(0.78, 0.86)
    reach, square = rng.uniform(0.2, 0.28), rng.choice([1.0, 0.75, 0.5])
    droop = rng.choice([0.0, 0.0, 0.35])
    a = np.linspace(-np.pi / 2, np.pi / 2, 19)
    along = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** square
    z = (low + high) / 2 + (high - low) / 2 * along
    out = reach * np.abs(np.cos(a)) ** square * (1 + droop * np.sin(a))
    x = np.interp(z, heights, radii) - 0.018 + out
    width = rng.uniform(0.04, 0.055)
    return g.tube(g.as_points(side * x, 0 * x, z), width).scaled(1, 1.35, 1)
