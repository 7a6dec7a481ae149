"""Is the image framed, or made of several images?

Frames and bars are strips of one colour along the sides that end in a straight step over their whole length.
A collage has a straight step from side to side within the image. So has a tiled floor or the edge of a
table; but along those what changes on one side changes on the other too, and two images know nothing of
each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.imaging.colour import to_lab
from cyclorama.types import Matte, Pixels

Lab = npt.NDArray[np.float32]

_STEP = 4.0  # L*a*b* units; a smaller step is no edge
_RINGING = 16  # rows; a JPEG block of subsampled colour before the step may ring
_PLAIN = 2.0  # L*a*b* units; what a strip of one colour may vary, compression included
_WALL = 0.6  # share of the line beyond a strip that is of one colour on a bare wall or floor
_CORNER = 12  # a twelfth of a strip's length at either end may belong to round corners


@dataclass(frozen=True)
class Frame:
    """Plain strips along the sides, in pixels; 0 where there is none."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def measure_shares(self, height: int, width: int) -> dict[str, float]:
        """Side to its strip's width as a share of an image's ``height`` or ``width``; only sides with one."""
        lengths = {"top": height, "bottom": height, "left": width, "right": width}
        return {side: getattr(self, side) / full for side, full in lengths.items() if getattr(self, side)}


@dataclass(frozen=True)
class Seam:
    """The line that most looks like a border between two images."""

    upright: bool
    place: int
    """Column (upright) or row at which the second image begins."""
    score: float
    """Share of the line with a step, less how far both sides change alike along it, 0-1."""


def find_frame(
    pixels: Pixels, product: Matte | None = None, max_share: float = 0.25, min_cover: float = 0.7
) -> Frame:
    """The plain strips along the sides of ``pixels`` (H, W, 3), at most ``max_share`` of a side wide.

    A strip's inner end must be a step along ``min_cover`` of its length. A plain backdrop is no frame: where
    one colour surrounds the image, only strips both ways, narrower than a twelfth of a side, are; a strip
    that ends at the outline of ``product`` (H, W), 1 = product, is none, nor a single one beside another
    plain colour: a floor below a wall.
    """
    lab = _add_plane(to_lab(pixels), product)
    height, width = pixels.shape[:2]
    sides = {"top": lab, "bottom": lab[::-1], "left": lab.swapaxes(0, 1), "right": lab.swapaxes(0, 1)[::-1]}
    widths = {side: _find_strip(turned, max_share, min_cover) for side, turned in sides.items()}
    # beside a bar at the top, the left strip's end is seen only below that bar
    for turned, ends, others in (
        (lab, ("top", "bottom"), ("left", "right")),
        (lab.swapaxes(0, 1), ("left", "right"), ("top", "bottom")),
    ):
        first, last = (widths[side] for side in ends)
        if first or last:
            inner = turned[first : len(turned) - last].swapaxes(0, 1)
            for side, view in zip(others, (inner, inner[::-1]), strict=True):
                widths[side] = widths[side] or _find_strip(view, max_share, min_cover)
    frame = Frame(**widths)
    shares = frame.measure_shares(height, width)
    both_ways = bool({"top", "bottom"} & set(shares)) and bool({"left", "right"} & set(shares))
    if _find_surroundings(lab)[0] and (max(shares.values(), default=0) * _CORNER > 1 or not both_ways):
        return Frame()  # a plain backdrop
    if len(shares) == 1:
        (side,) = shares
        beyond = sides[side][min(widths[side] + 3, len(sides[side]) - 1), :, :3]
        off = np.linalg.norm(beyond - np.median(beyond, axis=0), axis=1)
        if (off < _STEP).mean() > _WALL:
            return Frame()  # a wall above a floor
    return frame


def _add_plane(lab: Lab, plane: npt.NDArray[Any] | None) -> Lab:
    """(H, W, 4): ``lab`` and a fourth value, so that both are turned together; 0 where ``plane`` is None."""
    return np.dstack([lab, np.zeros(lab.shape[:2]) if plane is None else plane]).astype(np.float32)


def _find_surroundings(lab: Lab) -> tuple[list[str], Lab]:
    """The sides, three or four, along which ``lab`` shows one plain colour, and that colour."""
    lines = {"top": lab[0], "bottom": lab[-1], "left": lab[:, 0], "right": lab[:, -1]}
    colours = {side: np.median(line[:, :3], axis=0) for side, line in lines.items()}
    plain = [s for s, line in lines.items() if _is_plain(np.linalg.norm(line[:, :3] - colours[s], axis=1))]
    for middle in colours.values():
        alike = [side for side in plain if np.linalg.norm(colours[side] - middle) < _STEP]
        if len(alike) >= 3:
            return alike, middle
    return [], np.zeros(3, np.float32)


def _is_plain(off: Lab) -> npt.NDArray[np.bool_]:
    """Whether distances ``off`` (…, N) from the usual colour are those of one colour."""
    return np.asarray(np.quantile(off, 0.98, axis=-1) <= _PLAIN)


def _find_strip(lab: Lab, max_share: float, min_cover: float) -> int:
    """Rows of one colour from the top, if they end in a step over nearly their whole length."""
    limit = max(2, round(max_share * lab.shape[0]))
    colour = np.median(lab[0, :, :3], axis=0)
    off = np.linalg.norm(lab[: limit + 4, :, :3] - colour, axis=2)
    ended = (off >= _STEP).mean(axis=1) >= 0.3
    width = int(ended.argmax())
    if not ended.any() or not 1 <= width <= limit:
        return 0
    corner = lab.shape[1] // _CORNER  # a round frame's corners
    along = slice(corner, lab.shape[1] - corner)
    step = off[min(width + 3, len(off) - 1), along] >= 2 * _STEP
    outline = lab[width : width + 4, along, 3].max(axis=0) >= 0.5
    if step.mean() < min_cover or outline[step].mean() > 0.5:
        return 0
    return width if _is_plain(off[: max(0, width - _RINGING)]).all() else 0


def find_seam(pixels: Pixels, product: Matte | None = None, edge_share: float = 0.12) -> Seam:
    """The likeliest border between two images in ``pixels`` (H, W, 3).

    Lines within ``edge_share`` of a side, as a share of the image, are not looked at. The outline of
    ``product`` (H, W), 1 = product, is no border; without it, nor is that of what stands before a plain
    backdrop.
    """
    lab = to_lab(pixels)
    surrounding, colour = _find_surroundings(lab)
    if product is None and surrounding:
        product = np.linalg.norm(lab - colour, axis=2) >= _STEP
    lab = _add_plane(lab, product)
    found = []
    for upright, turned in ((True, lab.swapaxes(0, 1)), (False, lab)):
        place, score = _find_line(turned, edge_share)
        if not upright:  # table edges and floors are level; they keep their colours along the line
            score *= _measure_variety(turned[..., :3], place - 1)
        found.append(Seam(upright, place, score))
    return max(found, key=lambda seam: seam.score)


def _find_line(lab: Lab, edge_share: float) -> tuple[int, float]:
    """(row at which the lower image begins, score) of the likeliest border between two images."""
    height = lab.shape[0]
    low, high = max(1, round(edge_share * height)), round((1 - edge_share) * height)
    step = np.linalg.norm(lab[1:, :, :3] - lab[:-1, :, :3], axis=2)  # step[i]: from row i to i + 1
    calm = np.maximum(ndimage.shift(step, (2, 0), order=0), ndimage.shift(step, (-2, 0), order=0))
    solid = lab[..., 3] >= 0.5
    outline = ndimage.maximum_filter(solid[1:] != solid[:-1], (5, 3))
    stepped = (step >= _STEP) & (step >= 1.5 * calm)
    cover = np.where((stepped & outline).sum(axis=1) > 0.5 * stepped.sum(axis=1), 0, stepped.mean(axis=1))
    cover[:low] = cover[high:] = 0
    row = int(cover.argmax())
    return row + 1, float(cover[row]) * (1 - _measure_likeness(lab[..., :3], row))


def _measure_likeness(lab: Lab, row: int) -> float:
    """How far the changes of colour along both sides of the line after ``row`` go together, 0-1.

    They do on an edge within one image (or go opposite ways, on tiles), not on two images.
    """
    above, below = (
        np.diff(ndimage.gaussian_filter1d(lab[rows].mean(axis=0), 1.0, axis=0), axis=0)
        for rows in (slice(max(0, row - 2), row + 1), slice(row + 1, row + 4))
    )
    power = float((above**2).sum() * (below**2).sum())
    likeness: float = abs(float((above * below).sum())) / max(power**0.5, 1e-6)
    return likeness


def _measure_variety(lab: Lab, row: int) -> float:
    """How much the step across the line after ``row`` changes along it, against the step itself, 0-1.

    Little where one side keeps its colour, as a wall above a tiled floor.
    """
    above = lab[max(0, row - 2) : row + 1].mean(axis=0)
    below = lab[row + 1 : row + 4].mean(axis=0)
    spread, plainer = _measure_spread(below - above), min(_measure_spread(above), _measure_spread(below))
    usual = np.median(below - above, axis=0)
    return min(1.0, spread / max(0.6 * float(np.linalg.norm(usual)), 4.0)) * min(1.0, plainer / 6.0)


def _measure_spread(colours: Lab) -> float:
    """Median distance of ``colours`` (N, 3) from their median, in L*a*b* units."""
    return float(np.median(np.linalg.norm(colours - np.median(colours, axis=0), axis=1)))
