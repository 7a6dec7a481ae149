"""Where is free ground between things?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes import geometry as g

WIDE = 3.0
"""What is wider is ground, a cloth on it, or a wall, on and before which things stand."""


class Outlines(NamedTuple):
    """Where level planes cut things: lines (N, 2, 2) of (x, y), and the outline (N,) that each is of."""

    lines: NDArray[np.float64]
    owner: NDArray[np.int64]


def find_outlines(around: Sequence[g.Mesh], low: float, high: float) -> Outlines:
    """The outlines of things at three heights from ``low`` to ``high``."""
    lines, owner = [np.empty((0, 2, 2))], [np.empty(0, np.int64)]
    for mesh in around:
        if np.ptp(mesh.vertices[:, 0]) > WIDE:
            continue
        z = mesh.vertices[:, 2][mesh.faces]
        for level in low + (high - low) * np.array([0.1, 0.5, 0.9]):
            above = z > level
            cut = above.any(1) & ~above.all(1)
            corners, above = mesh.vertices[mesh.faces[cut]].astype(np.float64), above[cut]
            # the corner that is alone on its side: the edges from it are the two that are cut
            alone = np.argmax(above == (above.sum(1, keepdims=True) == 1), 1)
            p, *others = (corners[np.arange(len(corners)), (alone + k) % 3] for k in range(3))
            ends = [p + (q - p) * ((level - p[:, 2]) / (q[:, 2] - p[:, 2]))[:, None] for q in others]
            lines.append(np.stack(ends, 1)[..., :2])
            owner.append(np.full(len(corners), len(owner)))
    return Outlines(np.concatenate(lines), np.concatenate(owner))


def measure_gap(outlines: Outlines, x: float, y: float) -> float:
    """Distance of (x, y) to the nearest of ``outlines``: 0 within one, infinite if there are none."""
    lines, owner = outlines
    if not len(lines):
        return np.inf
    start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
    to = np.array([x, y]) - start
    # within an outline a line to the right crosses it an odd number of times
    share = to[:, 1] / np.where(along[:, 1] == 0, np.inf, along[:, 1])
    crossed = ((start[:, 1] > y) != (lines[:, 1, 1] > y)) & (to[:, 0] < share * along[:, 0])
    if (np.bincount(owner[crossed]) % 2).any():
        return 0.0
    t = np.clip((to * along).sum(1) / np.maximum((along**2).sum(1), 1e-12), 0, 1)
    return float(np.hypot(*(to - t[:, None] * along).T).min())


def is_free(around: Sequence[g.Mesh], x: float, y: float, radius: float, low: float, high: float) -> bool:
    """Whether nothing that earlier rows have put down stands within ``radius`` of (x, y), at heights from
    ``low`` to ``high``; what is wider than 3 is ground or wall."""
    return measure_gap(find_outlines(around, low, high), x, y) > radius
