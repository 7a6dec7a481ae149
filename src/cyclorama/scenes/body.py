"""What are cut-outs of a category like behind what is seen?  As its file says, or as its 3-D products are."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.card import TURNED
from cyclorama.scenes.compose import PRODUCTS_PER_CATEGORY, build_product, list_held_out
from cyclorama.scenes.foot import find_foot
from cyclorama.scenes.stage import (
    BodyShape,
    Camera,
    Framing,
    Grid,
    Part,
    SceneCategory,
    compute_bounds,
    project,
)

_MEASURED = 4
"""Products of a category that are measured."""
_USUAL = 0.4
"""Quantile of the overhang over a category's products, as others of them may have feet of another kind."""
_LOW = 0.12
"""What is no higher may overhang the foot; size 1."""
_POINTS = 80_000
"""Points on a product's surface that are looked at."""
_RASTER = 168
"""Pixels along the larger side of a product that is looked at."""
_ROWS, _COLUMNS = 24, 12
"""Cells of a relief."""
_AGREED = 0.8
"""A relief is used where it leaves so much of a plain front's error in the lower third, by the foot."""

Points = NDArray[np.float64]


@cache
def measure_body(category: SceneCategory) -> BodyShape:
    """What cut-outs of a category are like: as its file says, or as its own 3-D products are.

    Held-out products are not looked at. A round body's shape follows from the cut-out's outline; a box's
    relief, a laptop's keyboard before its screen, is the median of what its category's products have, where
    they agree.
    """
    if category.body is not None:
        return category.body
    held_out = list_held_out(category.name)
    numbers = [n for n in range(PRODUCTS_PER_CATEGORY) if n not in held_out][:_MEASURED]
    products = [build_product(category, number) for number in numbers]
    depths, fills, overhangs = [], [], []
    for parts in products:
        low, high = compute_bounds(parts)
        points = np.concatenate([p.mesh.vertices for p in parts])
        width, depth = high[0] - low[0], high[1] - low[1]
        depths.append(depth / max(width, 1e-6))
        foot, near = (_find_front(points[points[:, 2] < height], width) for height in (0.02, _LOW))
        overhangs.append((foot - near) / max(width, 1e-6))
        corners = np.abs(points[:, :2]) / (np.array([width, depth]) / 2)
        fills.append(float((corners.min(1) > 0.8).any()))
    body = BodyShape(
        depth=float(np.clip(np.median(depths), 0.05, 1.2)),
        overhang=float(np.clip(np.quantile(overhangs, _USUAL), 0, 0.2)),
        round=bool(np.mean(fills) < 0.5),
    )
    if body.round:
        return body
    reliefs = np.array([_measure_relief(parts, category.framing, body.depth) for parts in products])
    if not _agree(reliefs[:, 0], -body.overhang):
        return body
    front, back = (_take_median(reliefs[:, k]) for k in (0, 1))
    return body.replace(front=front, back=back)


def _find_front(points: NDArray[np.float32], width: float) -> float:
    """How near the camera ``points`` (N, 3) come, mean of the left, middle and right third of ``width``."""
    thirds = np.digitize(points[:, 0], [-width / 6, width / 6])
    return float(np.mean([points[thirds == third, 1].min(initial=0.0) for third in range(3)]))


def _measure_relief(parts: list[Part], framing: Framing, depth: float) -> NDArray[np.float64]:
    """``front`` and ``back`` of a product (2, rows, columns) as its category's camera sees it; nan: nothing.

    The foot's line is found as a cut-out's is, so that what this misses of a rounded edge is made up for.
    """
    points = _spread_points(parts)
    low, high = points.min(0), points.max(0)
    width = high[0] - low[0]
    distance = 0.5 / (sum(framing.share) / 2 * math.tan(math.radians(framing.fov) / 2))
    rise, middle = math.radians(sum(framing.elevation) / 2), high[2] / 2
    camera = Camera(
        (0.0, -distance * math.cos(rise), middle + distance * math.sin(rise)), (0.0, 0.0, middle), framing.fov
    )
    seen = project(points, camera)
    canvas = round(_RASTER / float(np.ptp(seen, axis=0).max()))
    corner = np.floor(seen.min(0) * canvas).astype(int)
    x, y = (np.floor(seen * canvas).astype(int) - corner).T
    shape = y.max() + 1, x.max() + 1
    nearest = np.full(shape, np.nan)
    far_first = np.argsort(-np.linalg.norm(points - np.array(camera.origin), axis=1))
    nearest[y[far_first], x[far_first]] = points[far_first, 1]
    solid = ndimage.binary_closing(np.pad(np.isfinite(nearest), 1))[1:-1, 1:-1]
    reach = max(depth / 2, TURNED) * width
    foot = find_foot(solid, camera, (corner[1], corner[0]), (canvas, canvas), reach)
    cell = np.clip((foot.row[x] - y - 0.5) / shape[0] * _ROWS, 0, _ROWS - 1).astype(int)
    cell = cell * _COLUMNS + x * _COLUMNS // shape[1]
    behind = points[:, 1] - foot.depth[x]
    in_front = np.abs(points[:, 1] - nearest[y, x]) < 0.01
    front = _reduce(cell[in_front], behind[in_front], 0.5)
    back = np.maximum(_reduce(cell, behind, 0.95) - front, 0)
    return np.asarray(np.stack([front, back]) / width)


def _spread_points(parts: list[Part]) -> Points:
    """Points (N, 3) all over the surface of ``parts``; the same every time."""
    rng = np.random.default_rng(0)
    triangles = np.concatenate([p.mesh.vertices[p.mesh.faces] for p in parts]).astype(float)
    a, b, c = np.moveaxis(triangles, 1, 0)
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    chosen = np.searchsorted(area, (np.arange(_POINTS) + 0.5) / _POINTS * area[-1])
    u, v = np.sort(rng.random((2, _POINTS, 1)), axis=0)
    return np.asarray(a[chosen] * u + b[chosen] * (v - u) + c[chosen] * (1 - v))


def _reduce(cell: NDArray[np.int64], values: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """The ``quantile`` of ``values`` in every cell (rows, columns)."""
    order = np.lexsort([values, cell])
    counts = np.bincount(cell, minlength=_ROWS * _COLUMNS)
    first = np.cumsum(counts) - counts
    place = np.minimum(first + (quantile * counts).astype(int), len(values) - 1)
    return np.where(counts > 0, values[order][place], np.nan).reshape(_ROWS, _COLUMNS)


def _agree(fronts: NDArray[np.float64], plain: float) -> bool:
    """Whether the median of the others is nearer to each of ``fronts`` (N, rows, columns) than ``plain``."""
    low = fronts[:, : _ROWS // 3]
    others = np.array([_take_median(np.delete(low, k, 0)) for k in range(len(low))])
    return bool(np.nanmean(np.abs(low - others)) <= _AGREED * np.nanmean(np.abs(low - plain)))


def _take_median(grids: NDArray[np.float64]) -> Grid:
    """The median of what is known of ``grids`` (N, rows, columns), elsewhere the nearest cell's."""
    known = np.isfinite(grids).any(0)
    middle = np.nanmedian(np.where(known, grids, 0.0), axis=0)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return tuple(tuple(row) for row in middle[tuple(nearest)].tolist())
