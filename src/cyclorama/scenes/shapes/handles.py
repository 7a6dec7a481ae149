"""What is a thing held and poured by?  Handles, spouts and the profiles they sit on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cyclorama.scenes import geometry as g

Profile = Sequence[tuple[float, float]]


def cup_handle(rng: np.random.Generator, outer: Profile, side: float) -> g.Mesh:
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
    path = [(side * float(p), 0.0, float(q)) for p, q in zip(x, z, strict=True)]
    return g.tube(path, width).scaled(1, 1.35, 1)


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
