"""What do strokes make of a matte? Drawn at full size, with soft rims, the same on every machine.

Points are (x, y) in pixels from the upper left corner, so the middle of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cyclorama.imaging.matting import solve_matte
from cyclorama.service.schemas import Stroke
from cyclorama.types import Matte, Pixels

Points = npt.NDArray[np.float64]
_TOLERANCE = 0.1
"""Pixels by which the drawn line may leave out wiggles of the hand."""
_SURROUNDINGS = 2.0
"""How far round a stroke matting looks for what is certain, in radii."""


def draw_strokes(matte: Matte, pixels: Pixels, strokes: Iterable[Stroke]) -> tuple[Matte, tuple[str, ...]]:
    """``matte`` (H, W) in [0, 1], 1 = product, after ``strokes``, and remarks.

    ``pixels`` uint8 (H, W, 3) are what refining looks at. Outside of the strokes' reach nothing changes.
    """
    matte, notes = matte.copy(), []
    for number, stroke in enumerate(strokes, 1):
        cover_with = cover_area if stroke.tool in ("lasso", "carve") else cover_line
        cover, window = cover_with(stroke, matte.shape)
        if cover.size == 0:
            notes.append(f"stroke {number} lies outside of the image")
            continue
        part = matte[window]
        if stroke.tool in ("erase", "carve"):
            matte[window] = part * (1 - cover)
        elif stroke.tool == "refine":
            if not _refine(matte, pixels, cover, window, stroke.radius):
                notes.append(
                    f"stroke {number} refines nothing: it must lie on an edge between product and background"
                )
        else:
            matte[window] = part + (1 - part) * cover
    return matte, tuple(notes)


def cover_line(stroke: Stroke, size: Sequence[int]) -> tuple[Matte, tuple[slice, slice]]:
    """How much of each pixel a brush along the stroke's points covers, float32 in [0, 1], and where.

    Full within ``hardness`` of the radius, then falling to 0 at the radius; at least one pixel is the rim.
    """
    inner = min(stroke.radius * stroke.hardness, stroke.radius - 0.5)
    outer = max(stroke.radius, inner + 1)
    points = _simplify(np.array(stroke.points, dtype=np.float64))
    distance, window = _measure_distance(points, outer, size)
    cover = np.clip((outer - distance) / (outer - inner), 0, 1)
    return cover.astype(np.float32), window


def cover_area(stroke: Stroke, size: Sequence[int]) -> tuple[Matte, tuple[slice, slice]]:
    """How much of each pixel the closed outline of the stroke's points covers, and where.

    Inside is what a ray crosses the outline an odd number of times from. The rim is a pixel wide.
    """
    points = np.array(stroke.points, dtype=np.float64)
    points = _simplify(np.concatenate([points, points[:1]]))
    distance, window = _measure_distance(points, 1.0, size)
    inside = _fill(points - (window[1].start, window[0].start), distance.shape)
    near = np.minimum(distance, 0.5)
    return np.where(inside, 0.5 + near, 0.5 - near).astype(np.float32), window


def _simplify(points: Points) -> Points:
    """``points`` (N, 2) without those that the line does not need."""
    keep = np.ones(len(points), dtype=bool)
    keep[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    points = points[keep]
    if len(points) < 3:
        return points
    from skimage.measure import approximate_polygon  # takes a second to load

    return np.asarray(approximate_polygon(points, _TOLERANCE))


def _measure_distance(
    points: Points, reach: float, size: Sequence[int]
) -> tuple[npt.NDArray[np.float32], tuple[slice, slice]]:
    """Distances of pixels' middles to the line through ``points``, up to ``reach`` (then inf), and where."""
    window = _find_window(points, reach, size)
    found = np.full([side.stop - side.start for side in window], np.inf, dtype=np.float32)
    if found.size:
        for ends in zip(points, points[1:] if len(points) > 1 else points, strict=False):
            _lower(found, np.array(ends), window, reach, size)
    np.sqrt(found, out=found)
    return found, window


def _lower(
    found: npt.NDArray[np.float32],
    ends: Points,
    window: tuple[slice, slice],
    reach: float,
    size: Sequence[int],
) -> None:
    """Put squared distances to the piece between ``ends`` (2, 2) into ``found`` where they are smaller."""
    rows, columns = _find_window(ends, reach, size)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    x = np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5 - ends[0, 0])
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - ends[0, 1]))[:, None]
    dx, dy = (ends[1] - ends[0]).astype(np.float32)
    length = dx * dx + dy * dy
    if length > 0:
        along = np.clip(x * (dx / length) + y * (dy / length), 0, 1)
        squared = np.square(x - along * dx) + np.square(y - along * dy)
    else:
        squared = np.square(x) + np.square(y)
    top, left = window[0].start, window[1].start
    part = found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    np.minimum(part, squared, out=part)


def _find_window(points: Points, reach: float, size: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of an image of ``size`` within ``reach`` of ``points``' box."""
    low = np.floor(points.min(axis=0) - reach).clip(0, (size[1], size[0])).astype(int)
    high = np.ceil(points.max(axis=0) + reach).clip(low, (size[1], size[0])).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _fill(points: Points, size: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which pixels' middles of an area of ``size`` lie inside the closed outline ``points`` (N, 2)."""
    height, width = size
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    for (x0, y0), (x1, y1) in pairwise(points):
        low, high = sorted((y0, y1))
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
        if rows.size:
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(crossings, (rows, np.ceil(x - 0.5).clip(0, width).astype(int)), 1)
    return np.asarray(np.cumsum(crossings[:, :-1], axis=1) % 2 == 1)


def _refine(matte: Matte, pixels: Pixels, cover: Matte, window: tuple[slice, slice], radius: float) -> bool:
    """Solve the matte anew under ``cover``, from what is certain round it; whether there was an edge."""
    margin = int(np.ceil(_SURROUNDINGS * radius)) + 2
    wide = tuple(
        slice(max(0, side.start - margin), min(end, side.stop + margin))
        for side, end in zip(window, matte.shape)
    )
    unknown = np.zeros([side.stop - side.start for side in wide], dtype=bool)
    inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(window, wide))
    unknown[inner] = cover >= 0.5
    part = matte[wide]
    trimap = np.where(unknown, 0.5, part >= 0.5).astype(np.float32)
    if not unknown.any() or not (trimap == 1).any() or not (trimap == 0).any():
        return False
    matte[wide] = np.where(unknown, solve_matte(pixels[wide], trimap), part)
    return True
