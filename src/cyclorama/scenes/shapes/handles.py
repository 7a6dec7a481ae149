"""What is a thing held and poured by?  Handles, spouts and the profiles they sit on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cyclorama.scenes import geometry as g

Profile = Sequence[tuple[float, float]]


def radius_at(profile: Profile, height: float) -> float:
    """Radius of an outer wall (bottom to top) at ``height``."""
    return float(np.interp(height, [q for _, q in profile], [p for p, _ in profile]))


def spout(rng: np.random.Generator, kind: str, wall: Profile, side: float) -> g.Mesh:
    """A spout on one side of ``wall``: a swan's neck, a short beak at the rim, or a plain slanted pipe."""
    top = wall[-1][1]
    if kind == "swan":
        z0 = top * float(rng.uniform(0.16, 0.26))
        r = radius_at(wall, z0) - 0.03
        rise = top * float(rng.uniform(1.0, 1.16))
        points = [(r, z0), (r + 0.17, z0 + 0.02), (r + 0.2, rise * 0.55), (r + 0.2, rise * 0.9)]
        path = g.smooth_profile([*points, (r + 0.3, rise), (r + 0.38, rise * 0.985)], 3)
        radii = np.linspace(0.062, 0.026, len(path))
    elif kind == "beak":
        r = radius_at(wall, top * 0.78)
        path = g.smooth_profile([(r - 0.13, top * 0.68), (r + 0.06, top * 0.84), (r + 0.17, top * 1.0)], 2)
        radii = np.linspace(0.15, 0.05, len(path))
    else:
        z0 = top * float(rng.uniform(0.32, 0.42))
        r = radius_at(wall, z0)
        long = float(rng.uniform(0.24, 0.34))
        points = [(r - 0.06, z0), (r + long * 0.45, z0 + 0.09), (r + long * 0.8, top * 0.86)]
        path = g.smooth_profile([*points, (r + long, top * 0.97)], 3)
        radii = np.linspace(0.105, 0.042, len(path))
    return g.tube([(side * p, 0.0, q) for p, q in path], [float(v) for v in radii], 20)


def side_handle(rng: np.random.Generator, wall: Profile, side: float) -> g.Mesh:
    """A handle from the rim down the side of ``wall``, closed at the bottom or open."""
    top = wall[-1][1]
    high = top * float(rng.uniform(0.86, 0.95))
    low = top * float(rng.uniform(0.12, 0.3))
    r0, r1 = radius_at(wall, high) - 0.02, radius_at(wall, low) - 0.02
    out = max(r0, r1) + float(rng.uniform(0.22, 0.28))
    points = [(r0, high), (out - 0.02, high + 0.05), (out, high - 0.16)]
    if rng.random() < 0.6:
        points += [(out - 0.01, low + 0.12), (out - 0.04, low), (r1, low)]
    else:
        points += [(out + 0.01, low + 0.16), (out - 0.03, low + 0.02)]
    path = g.smooth_profile(points, 3)
    radii = [float(v) for v in np.full(len(path), rng.uniform(0.042, 0.055))]
    radii[-1] = 0.0 if points[-1][0] > r1 else radii[-1]
    return g.tube([(side * p, 0.0, q) for p, q in path], radii, 14).scaled(1, 1.25, 1)


def cup_handle(rng: np.random.Generator, outer: Profile, side: float) -> g.Mesh:
    """A handle from the upper to the lower part of the wall ``outer``, on the right (1) or left (-1)."""
    radii, heights = np.array([p for p, _ in outer]), np.array([q for _, q in outer])
    top = float(heights[-1])
    low, high = top * float(rng.uniform(0.2, 0.3)), top * float(rng.uniform(0.78, 0.86))
    reach, square = float(rng.uniform(0.2, 0.28)), float(rng.choice([1.0, 0.75, 0.5]))
    droop = float(rng.choice([0.0, 0.0, 0.35]))
    a = np.linspace(-np.pi / 2, np.pi / 2, 19)
    along = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** square
    z = (low + high) / 2 + (high - low) / 2 * along
    out = reach * np.abs(np.cos(a)) ** square * (1 + droop * np.sin(a))
    x = np.interp(z, heights, radii) - 0.018 + out
    width = float(rng.uniform(0.04, 0.055))
    path = [(side * float(p), 0.0, float(q)) for p, q in zip(x, z, strict=True)]
    return g.tube(path, width).scaled(1, 1.35, 1)


def bail(reach: float, foot: float, rise: float, square: float) -> list[tuple[float, float, float]]:
    """Path of a wire that arches over a lid; ``square`` below 1 makes its corners fuller."""
    a = np.linspace(0, np.pi, 33)
    x = reach * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** square
    z = foot + rise * np.sin(a) ** square
    return [(float(p), 0.0, float(q)) for p, q in zip(x, z, strict=True)]


def stacked_balls(radius: float, height: float) -> list[tuple[float, float]]:
    """Profile of three balls that shrink upwards on a low disc of ``radius``."""
    t = np.linspace(0, np.pi, 9)
    balls = [(0.0, 0.0), (radius * 0.9, 0.0), (radius * 0.9, 0.03)]
    rest, z = height - 0.03, 0.03
    for share in (0.42, 0.33, 0.25):
        k = rest * share / 2
        balls += [(float(max(k * np.sin(a), 0.025)), float(z + k - k * np.cos(a))) for a in t]
        z += 2 * k
    return balls
