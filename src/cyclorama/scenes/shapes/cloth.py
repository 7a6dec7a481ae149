"""How does cloth fall?  Curtains, satin, ribbons, blankets and linen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes import geometry as g


def folded_cloth(width: float, height: float, folds: int = 6) -> g.Mesh:
    """A hanging curtain with folds, standing on z = 0."""
    u = np.linspace(0, 1, folds * 20)
    wave = 0.06 * np.sin(u * folds * 2 * np.pi)
    return g.loft([((u - 0.5) * width, wave, z) for z in (0.0, height)])


class Satin:
    """A cloth lying on the floor: folds that cross the image or wind about the middle, which stays flat.

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
            spiral = 7 * turn + 5.0 * np.log(rho + 0.35) * np.sign(self.slant)
            a = spiral + p[0] + 0.7 * np.sin(2 * turn + p[1])
            wide = 1 + np.sin(a)
            fine = 1 + np.sin(2 * a + 0.9 * np.sin(3 * turn + p[2]))
        else:
            s = x * self.slant + y * 0.85 + 0.16 * np.sin(2.1 * x + p[0])
            s = s + 0.12 * np.sin(2.9 * y - 1.4 * x + p[1])
            wide = 1 + np.sin(8.0 * s + p[2])
            fine = 1 + np.sin(15.5 * s + 1.1 * np.sin(3.0 * x + p[3]) + p[4])
        reach = np.clip((rho - self.flat) / 0.3, 0, 1)
        share = reach * reach * (3 - 2 * reach)
        # it falls away towards the camera, so that no fold hides the product's foot
        fall = 0.11 * np.clip((0.3 - y) / 0.6, 0, 1)
        return np.asarray(self.level + share * (0.062 * wide**1.5 + 0.022 * fine - fall))


def satin(rng: np.random.Generator, level: float, flat: float, winding: bool) -> Satin:
    """A cloth for ``satin_cloth`` and ``cloth_height``."""
    return Satin(rng, level, flat, winding)


def satin_cloth(cloth: Satin, far: float) -> g.Mesh:
    """The cloth from before the camera to y = ``far``."""
    x, y = np.meshgrid(np.linspace(-2.1, 2.1, 96), np.linspace(-2.3, far, 84))
    return g.grid_surface(np.stack([x, y, cloth.height(x, y)], -1))


def cloth_height(cloth: Satin, x: float, y: float) -> float:
    """Height of the cloth at one place."""
    return float(cloth.height(np.array(x), np.array(y)))


def pearls(rng: np.random.Generator, cloth: Satin, side: float) -> g.Mesh:
    """A strand of pearls that winds over the cloth beside the product, and loose ones."""
    t = np.linspace(0, 1, 44)
    x = side * (1.02 + 0.14 * np.sin(t * 8.0) - 0.12 * t)
    y = 0.7 - 1.5 * t
    step = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    even = np.arange(0.0, step[-1], 0.15)
    spots = g.as_points(np.interp(even, step, x), np.interp(even, step, y), np.full_like(even, 0.066))
    for a, b, r in ((-0.84, -0.34, 0.085), (-1.0, 0.05, 0.07), (-0.84, 0.4, 0.11), (-0.62, -0.62, 0.07)):
        spots.append((side * a + rng.uniform(-0.04, 0.04), b, r))
    # each lies on the highest fold that it touches
    around = np.array([(0, 0), (0.6, 0), (-0.6, 0), (0, 0.6), (0, -0.6)])
    folds = [cloth.height(*(np.array([a, b]) + r * around).T).max() for a, b, r in spots]
    beads = [
        g.sphere(r, 40).moved(a, b, float(z) + r * 0.9) for (a, b, r), z in zip(spots, folds, strict=True)
    ]
    return g.merge_meshes(beads)


def drape(rng: np.random.Generator, width: float, height: float) -> g.Mesh:
    """A cloth hung in uneven folds that swing to one side, standing on z = 0."""
    u, t = np.meshgrid(np.linspace(0, 1, 110), np.linspace(0, 1, 14))
    p = rng.uniform(0, 2 * np.pi, 3)
    s = u + 0.05 * np.sin(2 * np.pi * u + p[0]) + 0.13 * (t - 0.3) ** 2 * np.cos(np.pi * u)
    fold = np.sin(2 * np.pi * 7 * s + p[1]) + 0.45 * np.sin(2 * np.pi * 15 * s + p[2] + 1.5 * t)
    return g.grid_surface(np.stack([(u - 0.5) * width, 0.085 * fold, t * height], -1))


def ribbon(rng: np.random.Generator, width: float, side: float) -> g.Mesh:
    """A band on the floor, z = 0, that winds across the image before the steps, now flat, now on its edge."""
    t, p = np.linspace(0, 1, 160), rng.uniform(0, 2 * np.pi, 2)
    x = side * (1.9 - 3.8 * t)
    y = -0.66 + 0.1 * np.sin(2 * np.pi * 2.3 * t + p[0])
    lean = 0.65 + 0.6 * np.sin(2 * np.pi * 3.1 * t + p[1])
    return g.loft(
        [(x, y + width * h * np.cos(lean), 0.006 + width * h * np.sin(lean)) for h in np.linspace(0, 1, 6)]
    )


def spread_blanket(far: float) -> g.Mesh:
    """A blanket over a seat to y = ``far``, flat where the product stands and in soft waves around."""
    x, y = np.meshgrid(np.linspace(-2.6, 2.6, 70), np.linspace(-2.6, far, 60))
    away = np.clip((np.hypot(x, 1.2 * y) - 0.75) * 1.6, 0, 1)
    wave = 0.014 * away * (1 + np.sin(4.1 * x + 2.3 * np.sin(1.7 * y)))
    return g.grid_surface(np.stack([x, y, wave], -1))


def rumpled_linen() -> g.Mesh:
    """A linen cloth in soft folds on z = 0, where its edges lie."""
    u, v = np.meshgrid(np.linspace(0, 1, 90), np.linspace(0, 1, 110))
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    reach = np.clip(6 * edge, 0, 1)
    wrinkle = np.sin(21 * u + 8 * v + 2 * np.sin(6 * v)) * np.sin(5 * u - 7 * v)
    fold = (0.03 * (1 + np.sin(9 * u + 3.5 * v)) + 0.011 * (1 + wrinkle)) * reach * reach * (3 - 2 * reach)
    x = (u - 0.5) * 0.85 + 0.025 * np.sin(9 * v + 2 * u)
    points = np.stack([x, (v - 0.5) * 1.15 + 0.08 * np.sin(7 * u), fold + 0.006], -1)
    return g.grid_surface(points)
