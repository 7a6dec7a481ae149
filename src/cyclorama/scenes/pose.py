"""How does a product stand, and from how high was it photographed?  Told by a cut-out's outline."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ABOVE = 56.0
"""Elevation of the camera over what lies though its category's products stand, degrees."""
_SUPPORT = 0.07
"""How high over the lowest point the outline still counts as support, as a share of the longer side."""
_OVER = 0.12
"""From this share of the width on that the middle is beside its support a product would fall."""
_PRODUCT = 0.05
"""A separate part of at least this share of the whole is a product of its own."""
_LEAST_COLUMNS = 24
"""A foot of fewer pixels tells no elevation."""
_FOOT = 0.22
"""Height over the lowest point at which the foot's width is measured, as a share of that width."""
_WALL = 1.04
"""How much wider a product may be at twice that height; a ball has no foot."""
_INNER = 0.65
"""Share of the foot that is looked at: beside it edges are rounded."""
_FLAT = 2.0
"""Degrees below which a foot may as well be a box's."""
_TILT, _MISFIT = 0.03, 0.006
"""Most slope of a foot from left to right, and most distance from an ellipse, as shares of half its width."""
_DISH_INNER, _DISH_MISFIT, _DISH_OFF = 0.85, 0.004, 0.05
"""The same for a dish: share that is looked at, most distance, most slope and distance of its widest row from
its middle."""
_DISH = (35.0, 75.0)
"""Degrees from which an ellipse is a dish's and not a bowl's, and up to which it is none of a ball."""


def can_stand(matte: NDArray[np.float32]) -> bool:
    """Whether what ``matte`` (H, W) in [0, 1] shows would not fall: its middle is over its support, or that
    of each of several products is over its own.

    A carrot photographed from above, aslant, touches its image's ground with a tip far from its middle.
    """
    solid = matte >= 0.5
    if _is_over_support(solid):
        return True
    labels, _ = ndimage.label(solid)
    parts = np.flatnonzero(np.bincount(labels.ravel())[1:] >= _PRODUCT * solid.sum()) + 1
    return len(parts) > 1 and all(_is_over_support(labels == part) for part in parts)


def _is_over_support(solid: NDArray[np.bool_]) -> bool:
    rows, columns = np.nonzero(solid)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    support = columns[rows >= rows.max() - _SUPPORT * side]
    middle = columns.mean()
    beside = max(support.min() - middle, middle - support.max())
    return bool(beside < _OVER * np.ptp(columns))


def estimate_elevation(matte: NDArray[np.float32]) -> float | None:
    """Degrees over the ground from which a round foot was seen, or None if the outline does not tell.

    A circle on the ground is an ellipse in the photo: half its height to half its width is the sine of the
    elevation. Reliable up to 25 degrees; a flat, slanting or ragged foot tells nothing.
    """
    solid = matte >= 0.5
    columns = np.flatnonzero(solid.any(0))
    edge = _find_edge(matte, columns)
    middle, bottom = int(columns[np.argmax(edge)]), float(edge.max())
    left, width = 0, len(columns)
    for _ in range(3):
        left, width = _find_run(solid, bottom - _FOOT * width, middle)
    above = _find_run(solid, bottom - 2 * _FOOT * width, middle)[1]
    if width < _LEAST_COLUMNS or not width / _WALL < above < width * _WALL:
        return None
    x = (columns + 0.5 - left - width / 2) / (width / 2)
    inner = np.abs(x) <= _INNER
    terms = np.stack([np.sqrt(1 - x[inner] ** 2), x[inner], np.ones(inner.sum())], 1)
    found = np.linalg.lstsq(terms, edge[inner], rcond=None)[0]
    misfit = float(np.sqrt(np.mean((terms @ found - edge[inner]) ** 2)))
    sag, tilt = float(found[0]) / (width / 2), abs(float(found[1])) / (width / 2)
    if tilt > _TILT or misfit / (width / 2) > _MISFIT or not 0 < sag < 1:
        return None
    degrees = math.degrees(math.asin(sag))
    return degrees if degrees >= _FLAT else None


def estimate_dish(matte: NDArray[np.float32]) -> float | None:
    """Degrees over the ground from which a round dish, a cup's saucer say, was seen well from above, or None.

    From its widest row down the outline is half an ellipse, so exactly as no fruit's is; what stands on the
    dish may hide its upper half.
    """
    solid = matte >= 0.5
    columns = np.flatnonzero(solid.any(0))
    if len(columns) < 2 * _LEAST_COLUMNS:
        return None
    half, middle = np.ptp(columns) / 2 + 0.5, (columns[0] + columns[-1]) / 2
    wide = np.where(solid.any(1), solid.shape[1] - np.argmax(solid[:, ::-1], 1) - np.argmax(solid, 1), 0)
    row = float(np.flatnonzero(wide >= 0.99 * wide.max()).mean())
    x = (columns - middle) / half
    inner = np.abs(x) <= _DISH_INNER
    edge = _find_edge(matte, columns)[inner]
    terms = np.stack([np.sqrt(1 - x[inner] ** 2), x[inner], np.ones(inner.sum())], 1)
    found = np.linalg.lstsq(terms, edge, rcond=None)[0]
    misfit = float(np.sqrt(np.mean((terms @ found - edge) ** 2))) / half
    sag, tilt, off = found[0] / half, abs(found[1]) / half, abs(found[2] - row) / half
    if misfit > _DISH_MISFIT or max(tilt, off) > _DISH_OFF or not 0 < sag < 1:
        return None
    degrees = math.degrees(math.asin(sag))
    return degrees if _DISH[0] <= degrees <= _DISH[1] else None


def _find_edge(matte: NDArray[np.float32], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """The height of the lower end of ``matte`` in each of ``columns``, in pixels and their parts."""
    height = len(matte)
    lowest = height - np.argmax(matte[::-1, columns] >= 0.5, axis=0)
    edge = lowest - 1 + matte[lowest - 1, columns]
    return np.asarray(edge + np.where(lowest < height, matte[np.minimum(lowest, height - 1), columns], 0))


def _find_run(solid: NDArray[np.bool_], height: float, column: int) -> tuple[int, int]:
    """(start, length) of what holds ``column`` in the row at ``height`` of ``solid``; length 0 if nothing."""
    row = solid[int(np.clip(round(height), 0, len(solid) - 1))]
    gaps = np.flatnonzero(~np.concatenate([[False], row, [False]])) - 1
    start, end = gaps[gaps <= column].max() + 1, gaps[gaps >= column].min()
    return int(start), int(max(end - start, 0))
