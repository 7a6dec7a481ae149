"""How does a fill take on the colours of its surroundings?

By how much the fill's colours just inside the rim of the hole differ from the image's just outside is
continued into the hole as the smoothest surface with these values at its rim (Laplace's equation, a membrane)
and taken off: what is left of the fill is its structure. This is Poisson image editing (Pérez and others,
2003) with the fill as guiding image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

Hole = npt.NDArray[np.bool_]
"""bool (H, W), true where the image is to be invented."""

Plane = npt.NDArray[np.float32]

RIM_SIGMA = 1.5
"""Standard deviation in pixels of the mean along the rim of the steps across it; single pixels are noise."""
_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def match_surroundings(filled: Plane, hole: Hole) -> Plane:
    """``filled`` (H, W, C), float32 in any unit, its colours in ``hole`` (H, W) bent to those around it.

    A hole of one colour becomes a membrane over its surroundings.

    Invariants: nothing changes outside the hole; a fill that is off by a constant becomes right; no shift
    exceeds the greatest step at the rim. A hole without any rim (the whole image) stays as it is.
    """
    output = filled.copy()
    if not hole.any() or hole.all():
        return output
    rim = ndimage.binary_dilation(hole, np.ones((3, 3))) & ~hole
    inside = _divide(*(ndimage.uniform_filter(plane, (3, 3, 0)) for plane in _weigh(output, hole)))
    steps = (
        ndimage.gaussian_filter(plane, (RIM_SIGMA, RIM_SIGMA, 0)) for plane in _weigh(filled - inside, rim)
    )
    output[hole] += _spread(_divide(*steps), hole).astype(np.float32)
    return output


def _weigh(values: Plane, where: Hole) -> tuple[Plane, Plane]:
    weight = where[..., None].astype(np.float32)
    return values * weight, weight


def _divide(total: Plane, weight: Plane) -> Plane:
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float32)


def _spread(rim: Plane, hole: Hole) -> npt.NDArray[np.float64]:
    """(N, C): the harmonic surface over the N hole pixels, in the order of ``numpy.nonzero``.

    At known neighbours it has the values of ``rim`` (H, W, C); the image's border is free.
    """
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1, dtype=np.int64)
    number[rows, columns] = np.arange(len(rows))
    degree = np.zeros(len(rows))
    fixed = np.zeros((len(rows), rim.shape[2]))
    entries: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for down, right in _NEIGHBOURS:
        y, x = rows + down, columns + right
        here = np.flatnonzero((y >= 0) & (y < hole.shape[0]) & (x >= 0) & (x < hole.shape[1]))
        degree[here] += 1
        other = number[y[here], x[here]]
        free = other >= 0
        entries.append((here[free], other[free]))
        rimmed = here[~free]
        fixed[rimmed] += rim[y[rimmed], x[rimmed]]
    across, along = (np.concatenate(parts) for parts in zip(*entries))
    couplings = sparse.coo_matrix((-np.ones(len(across)), (across, along)), shape=(len(rows),) * 2)
    return np.asarray(splu((couplings + sparse.diags(degree)).tocsc()).solve(fixed))
