"""Does a mask's outline lie on an edge of the image, or would it lie better elsewhere?

Edges are measured across the outline: the derivative of L*a*b* along the outline's normal, so that a label's
edge crossing the outline does not pass for the product's own. All lengths are pixels of the working image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from scipy import ndimage

from cyclorama.config import Settings, Share
from cyclorama.imaging.colour import to_lab
from cyclorama.types import Matte, Pixels

Plane = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_STEPS = (2, 3, 4, 5, 6)
"""Rows from a cut, in pixels, at which the edges that it cuts are compared."""
_SLACK = 2
"""Pixels by which an edge that goes on may lie beside where it should."""
_FARTHEST = 12
"""Pixels by which an outline may recede within those rows."""
_FINEST = 3
"""Smallest block, in pixels, that is told from a smooth outline's own steps."""
_MANY = 4
"""Steps from which an outline is more than a box."""


class EdgeSettings(Settings):
    """How an outline is compared with the image's edges."""

    reach: PositiveInt = 4
    """Pixels to either side of the outline within which the strongest edge is sought."""
    tolerance: NonNegativeInt = 1
    """Pixels by which that edge may lie off the outline."""
    faint: PositiveFloat = 3.0
    """L*a*b* units per pixel below which a step is too faint to be an edge."""
    shift_share: Share = 0.12
    """Farthest displacement that is tried, as a share of the shorter side, 0-1."""
    straight_share: Share = 0.05
    """Least share of the outline in one row or column that is a straight stretch, 0-1."""
    continues: Share = 0.33
    """Edge that goes on beyond both ends of a straight stretch, as a share of the product's own edge there,
    from which the stretch may be a cut, 0-1."""
    points: PositiveInt = 1500
    """Most outline points that are looked at."""


@dataclass(frozen=True)
class EdgeAgreement:
    """How well an outline fits the image."""

    agreement: float
    """Mean over the outline of (edge at the outline) / (strongest edge nearby), 0-1."""
    weakest_side: float
    """The same over the quarter of directions in which it is least."""
    straight: float
    """Least mean agreement over a level or upright stretch of the outline that is straight, and beyond
    which the image's edges go on, 0-1.

    1 without such a stretch. A mask cut off in the middle of the product has one: there is no edge along it,
    and the product's own edges do not end with it."""
    shift_gain: float
    """Edge strength under the outline at its best displacement over that where it is, 1 or more."""
    shift: tuple[int, int]
    """That displacement (rows, columns)."""


def measure_edges(pixels: Pixels, mask: Matte, settings: EdgeSettings) -> EdgeAgreement | None:
    """How well the outline of ``mask`` (H, W), 1 = product, fits the edges of ``pixels`` (H, W, 3).

    None where the mask has no outline inside the frame. Invariant: a displaced outline's ``shift`` leads back
    to the edge it was taken from, as long as that lies within ``shift_share``.
    """
    rows, columns, normals = _trace_outline(mask >= 0.5, settings)
    if len(rows) == 0:
        return None
    across = _Across(pixels)
    offsets = range(-settings.reach, settings.reach + 1)
    places = [(rows + normals[:, 0] * step, columns + normals[:, 1] * step) for step in offsets]
    profile = np.stack([across.sample(*place, normals) for place in places])
    middle = settings.reach
    here = profile[middle - settings.tolerance : middle + settings.tolerance + 1].max(axis=0)
    support = np.minimum(1.0, here / np.maximum(profile.max(axis=0), settings.faint))
    gain, shift = _find_shift(across, rows, columns, normals, min(mask.shape), settings)
    return EdgeAgreement(
        float(support.mean()),
        _find_weakest(support, normals),
        _find_straight(across, mask >= 0.5, support, (rows, columns, normals), settings),
        gain,
        shift,
    )


class _Across:
    """Edge strength across a direction, sampled at the nearest pixel."""

    def __init__(self, pixels: Pixels) -> None:
        lab = to_lab(pixels)
        self.down = ndimage.gaussian_filter(lab, (1, 1, 0), order=(1, 0, 0))
        turned = ndimage.gaussian_filter(lab.swapaxes(0, 1), (1, 1, 0), order=(1, 0, 0))
        self.right = np.ascontiguousarray(turned.swapaxes(0, 1))

    def sample(self, rows: Plane, columns: Plane, normals: Plane) -> Plane:
        """(…, N) L*a*b* units per pixel along ``normals`` (N, 2) at (…, N) positions; 0 beyond the frame."""
        height, width = self.down.shape[:2]
        y, x = np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        place = np.clip(y, 0, height - 1) * width + np.clip(x, 0, width - 1)
        down, right = (np.take(edges.reshape(-1, 3), place, axis=0) for edges in (self.down, self.right))
        slope = down * normals[:, :1] + right * normals[:, 1:]
        strength: Plane = np.where(inside, np.linalg.norm(slope, axis=-1), 0).astype(np.float32)
        return strength


def _trace_outline(solid: Flags, settings: EdgeSettings) -> tuple[Plane, Plane, Plane]:
    """Rows, columns (N,) and unit normals (N, 2) of outline points that lie inside the frame."""
    outline = solid & ~ndimage.binary_erosion(solid, border_value=1)
    smooth = ndimage.gaussian_filter(solid.astype(np.float32), 2.0, mode="nearest")
    slope = np.stack([ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)], axis=-1)
    rows, columns = np.nonzero(outline)
    step = max(1, len(rows) // settings.points)
    rows, columns = rows[::step], columns[::step]
    length = np.linalg.norm(slope[rows, columns], axis=1)
    rows, columns, length = (values[length > 1e-6] for values in (rows, columns, length))
    normals = slope[rows, columns] / length[:, None]
    return rows.astype(np.float32), columns.astype(np.float32), normals.astype(np.float32)


def _find_weakest(support: Plane, normals: Plane) -> float:
    """The least mean ``support`` over four groups of directions that hold a tenth of the outline or more."""
    angle = np.arctan2(normals[:, 0], normals[:, 1])
    group = np.floor((angle / (np.pi / 2) + 0.5) % 4).astype(int)
    means = [float(support[group == i].mean()) for i in range(4) if (group == i).sum() >= 0.1 * len(support)]
    return min(means, default=float(support.mean()))


def _find_straight(
    across: _Across, solid: Flags, support: Plane, outline: tuple[Plane, Plane, Plane], settings: EdgeSettings
) -> float:
    """The least mean ``support`` over straight stretches beyond which edges go on; 1 if there is none."""
    rows, columns, normals = outline
    least = max(6.0, settings.straight_share * len(support))
    means = [1.0]
    for places, others, along, mask, slope in (
        (rows, columns, normals[:, 0], solid, across.right),
        (columns, rows, normals[:, 1], solid.T, across.down.swapaxes(0, 1)),
    ):
        level = np.abs(along) > 0.97
        index = places[level].astype(np.intp)
        lines = np.flatnonzero(np.bincount(index) >= least)
        if not len(lines):
            continue
        strength = ndimage.maximum_filter1d(np.linalg.norm(slope, axis=2), 2 * _SLACK + 1, axis=1)
        for line in lines:
            here = index == line
            ends = others[level][here]
            inward = 1 if along[level][here].mean() > 0 else -1
            both = (int(ends.min()), int(ends.max()))
            going_on = _measure_continuation(strength, mask, int(line), both, inward, settings.faint)
            if going_on >= settings.continues:
                means.append(float(support[level][here].mean()))
    return min(means)


def _measure_continuation(
    strength: Plane, solid: Flags, line: int, ends: tuple[int, int], inward: int, faint: float
) -> float:
    """How far the product's edges go on beyond the level end of a mask, 0 or more.

    The edge beside the mask, in the rows just inside ``line``, is followed into the rows just outside:
    straight on, and mirrored, as a round product's goes; the share of its ``strength`` found there counts, of
    both ``ends`` the lesser. An end whose own edge is fainter than ``faint`` tells nothing.
    """
    shares = []
    for end in ends:
        rows = [line + inward * step for step in _STEPS]
        others = [line - inward * step for step in _STEPS]
        places = [place for row in rows if (place := _find_boundary(solid, row, end)) is not None]
        if len(places) < len(rows) or min(others) < 0 or max(others) >= len(solid):
            return 0.0
        slope, start = np.polyfit(_STEPS, places, 1)
        straight = np.rint(start - slope * np.array(_STEPS)).astype(int)
        if straight.min() < 0 or straight.max() >= solid.shape[1]:
            return 0.0
        inner = float(strength[rows, places].mean())
        outer = float(np.maximum(strength[others, straight], strength[others, places]).mean())
        if inner >= faint:
            shares.append(outer / inner)
    return min(shares, default=0.0)


def _find_boundary(solid: Flags, row: int, near: int) -> int | None:
    """The column in ``row`` where the mask begins or ends closest to ``near``; None if it does nowhere."""
    if not 0 <= row < len(solid):
        return None
    places = np.flatnonzero(solid[row, 1:] != solid[row, :-1]).tolist()
    closest: int | None = min(places, key=lambda place: abs(place - near), default=None)
    return closest if closest is not None and abs(closest - near) <= _FARTHEST else None


def _find_shift(
    across: _Across, rows: Plane, columns: Plane, normals: Plane, side: int, settings: EdgeSettings
) -> tuple[float, tuple[int, int]]:
    reach = max(2, round(settings.shift_share * side))
    few = slice(None, None, max(1, len(rows) // 200))
    rows, columns, normals = rows[few], columns[few], normals[few]

    def measure(downs: range, rights: range) -> Plane:
        """Mean strength under the outline at every displacement, (downs, rights)."""
        places = columns + np.array(rights, np.float32)[:, None]
        values = [np.minimum(across.sample(rows + down, places, normals), 12.0) for down in downs]
        return np.stack([value.mean(axis=1) for value in values])

    # the outline is drawn on the inner side of its edge
    here = float(measure(range(-1, 2), range(-1, 2)).max())
    steps = range(-reach, reach + 1, 2)
    found = measure(steps, steps)
    best = float(found.max())
    if best <= here:
        return 1.0, (0, 0)
    down, right = np.argwhere(found == best)[-1]
    return best / max(here, 0.1), (steps[down], steps[right])


def measure_blocks(mask: Matte) -> int:
    """Least side, in pixels, of the squares that ``mask`` (H, W) is made of; 1 for a smooth outline.

    A mask enlarged from a coarse grid steps only at its lines, which never lie side by side. Straight,
    upright products do so too but have few different steps: fewer than four tell nothing.
    """
    steps = _find_steps(mask)
    if min(map(len, steps)) < _MANY:
        return 1
    side = min(int(np.diff(places).min()) for places in steps)
    return side if side >= _FINEST else 1


def is_box(mask: Matte) -> bool:
    """Whether ``mask`` (H, W) steps at fewer than four places each way: a rectangle, or little more."""
    return max(map(len, _find_steps(mask))) < _MANY


def _find_steps(mask: Matte) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The columns and the rows at which the outline steps."""
    solid = mask >= 0.5
    across, down = (np.diff(solid, axis=axis).any(axis=1 - axis) for axis in (1, 0))
    return np.flatnonzero(across) + 1, np.flatnonzero(down) + 1
