"""Where does a cut-out stand?  The near edge of its foot on the ground, and whether it is round.

Both are told by the lower outline alone, as the ground's points that its columns would touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.stage import Camera, cast_rays

_STEEPEST = 1.2
"""How far back a round foot's edge runs for a step to the side; a belly's outline over it runs farther."""
_GENTLE = 0.5
"""The same where the outline is certainly the foot's."""
_LOWEST = 1.5
"""Pixels over the lowest row that are no higher than it."""
_SAG = (0.35, 1.7)
"""Depth of half a round foot as a share of half its width; a box's front has next to none."""
_TILT = 0.25
"""Most slope of a round foot from left to right on the ground, as a share of half its width."""
_INNER = 0.85
"""Share of a foot that is looked at: beside it edges are rounded."""
_LEAST_COLUMNS = 12

Line = NDArray[np.float64]


@dataclass(frozen=True)
class Foot:
    """A cut-out's foot on the ground.

    Attributes:
        depth: y at which it stands, for each column of the cut-out and one more.
        row: of the cut-out, likewise.
        ends: its first column, and the one after its last.
        sag: depth of half a round foot as a share of half its width; 0 if the foot is none.
    """

    depth: Line
    row: Line
    ends: tuple[int, int]
    sag: float = 0.0


def find_foot(
    solid: NDArray[np.bool_],
    camera: Camera,
    corner: tuple[int, int],
    canvas: tuple[int, ...],
    reach: float,
) -> Foot:
    """Where ``solid`` (H, W), whose upper left pixel is ``corner`` of ``canvas``, stands on z = 0.

    Seen from above the near edge of a foot is convex, a row of legs taken as one. So of the points at which
    the lower outline would meet the ground, no farther back than ``reach``, the convex hull's near side
    is it; what is higher overhangs.
    """
    height, width = solid.shape
    lowest = height - np.argmax(solid[::-1], axis=0)
    columns = np.arange(width, dtype=np.float64)
    filled = solid.any(0)
    depth = np.full(width, np.inf)
    depth[filled] = _meet_ground(columns[filled] + 0.5, lowest[filled], camera, corner, canvas)
    if not np.isfinite(depth).any():
        ends = np.flatnonzero(filled)
        return Foot(np.zeros(width + 1), np.full(width + 1, float(height)), (int(ends[0]), int(ends[-1]) + 1))
    nearest = int(np.argmin(depth))
    above = _meet_ground(
        np.array([nearest + 0.5]), np.array([lowest[nearest] - _LOWEST], float), camera, corner, canvas
    )
    slack = float(above[0] - depth[nearest])
    touches, sag = _find_round(depth, slack, _measure_column(nearest, lowest, camera, corner, canvas))
    if not sag:
        touches = np.flatnonzero(depth <= depth.min() + reach)
    hull: list[int] = []
    for c in touches.tolist():
        while len(hull) > 1 and _is_behind(depth, hull[-2], hull[-1], c):
            hull.pop()
        hull.append(c)
    edge, row = (np.interp(np.arange(width + 1), np.array(hull) + 0.5, a[hull]) for a in (depth, lowest))
    return Foot(edge, row, (int(touches[0]), int(touches[-1]) + 1), sag)


def _cast(x: Line, y: Line, camera: Camera, corner: tuple[int, int], canvas: tuple[int, ...]) -> Line:
    places = np.stack([corner[1] + x, corner[0] + y], 1) / (canvas[1], canvas[0])
    return cast_rays(places, camera)


def _meet_ground(x: Line, y: Line, camera: Camera, corner: tuple[int, int], canvas: tuple[int, ...]) -> Line:
    """Depth at which rays through the cut-out's points meet the ground; infinite if they do not."""
    rays, origin = _cast(x, y, camera, corner, canvas), camera.origin
    with np.errstate(divide="ignore"):
        depth = origin[1] - origin[2] * rays[:, 1] / rays[:, 2]
    return np.where(rays[:, 2] < 0, depth, np.inf)


def _measure_column(
    column: int, lowest: NDArray[np.int64], camera: Camera, corner: tuple[int, int], canvas: tuple[int, ...]
) -> float:
    """How wide a pixel is where the foot stands."""
    x = np.array([column, column + 1.0])
    rays = _cast(x, np.repeat(lowest[column], 2).astype(float), camera, corner, canvas)
    return float(abs(np.diff(-camera.origin[2] * rays[:, 0] / rays[:, 2])[0]))


def _find_round(depth: Line, slack: float, pixel: float) -> tuple[NDArray[np.int64], float]:
    """The columns of a round foot, and its sag; 0 where the foot is not round.

    From its lowest part on a circle runs no farther back than to the side, what overhangs it does. Within
    that an ellipse must be nearer to the outline than two lines with a corner, the foot of a box.
    """
    columns = np.arange(len(depth))
    lowest = np.flatnonzero(depth <= depth.min() + slack)
    aside = np.abs(columns[:, None] - lowest[None]).min(1) * pixel
    back = depth - depth.min()
    touches = np.flatnonzero(back <= slack + _STEEPEST * aside)
    left, right = touches[0], touches[-1] + 1
    half = (right - left) / 2
    if len(touches) < max(_LEAST_COLUMNS, 1.6 * half):
        return touches, 0.0
    if np.isfinite(back[[max(left - 1, 0), min(right, len(depth) - 1)]]).any():  # what overhangs is beside it
        near = touches[(back[touches] > slack) & (back[touches] <= slack + _GENTLE * aside[touches])]
        if len(near):
            away = (near + 0.5 - (left + half)) * pixel
            radius = float(np.median((away**2 + back[near] ** 2) / (2 * back[near]))) / pixel
            half = min(half, max(radius, _LEAST_COLUMNS / 2))
            middle = (left + right) / 2
            touches = touches[np.abs(touches + 0.5 - middle) <= half]
            left, half = touches[0], (touches[-1] + 1 - touches[0]) / 2
    u = (touches + 0.5 - left - half) / half
    inner = np.abs(u) <= _INNER
    u, back = u[inner], depth[touches][inner] / (half * pixel)
    one = np.ones(len(u))
    bow, misfit = _fit(np.stack([1 - np.sqrt(1 - u**2), u, one], 1), back)
    corners = [
        _fit(np.stack([np.maximum(u - place, 0), u, one], 1), back)[1]
        for place in np.linspace(-_INNER, _INNER, 18)[1:-1]
    ]
    is_round = _SAG[0] <= bow[0] <= _SAG[1] and abs(bow[1]) <= _TILT and misfit < min(corners)
    return touches, float(bow[0]) if is_round else 0.0


def _fit(terms: Line, values: Line) -> tuple[Line, float]:
    found = np.linalg.lstsq(terms, values, rcond=None)[0]
    return np.asarray(found, float), float(np.sqrt(np.mean((terms @ found - values) ** 2)))


def _is_behind(depth: Line, a: int, b: int, c: int) -> bool:
    """Whether column ``b`` stands no nearer than the line from ``a`` to ``c``."""
    return bool((depth[b] - depth[a]) * (c - a) >= (depth[c] - depth[a]) * (b - a))
