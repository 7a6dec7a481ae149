"""Do two thumbnails show one image, once the crop between them is undone and what was laid over is ignored?

A crop, resize or change of aspect maps one thumbnail's frame to a rectangle of the other's. From a rough
rectangle the right one is found by small moves; then the thumbnails are compared block by block, each block
on its own and only the better half counted, so that a text over some of them does not hide that the others
agree. Images that only look alike agree roughly everywhere, copies agree closely wherever nothing was laid
over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Planes = npt.NDArray[np.float32]
"""(P, S, S): smoothed thumbnails, or samples or blocks of them."""
Windows = npt.NDArray[np.float64]
"""(P, 4): top, left, bottom, right in shares of the sides; may reach outside 0 to 1."""

SAMPLES = 64
"""Samples per side at which aligned thumbnails are compared."""
PARTS = 8
"""Blocks per side, of SAMPLES / PARTS samples."""
COUNTED = 0.5
"""Share of the blocks, the best matching ones, that decide."""
_SEARCH_PARTS = 4
_SEARCH_COUNTED = 0.6
_ROUNDS = 4
_GAIN = 1e-4
"""A move is made if the fit improves by more than this."""
_FLOOR = 4.0
"""Standard deviation, in grey levels, below which a block is flat and says nothing about likeness."""
_MOVES = np.array(
    [(sign * dy, sign * dx, sign * (dy + gy), sign * (dx + gx))
     for sign in (-1, 1)
     for dy, dx, gy, gx in ((1, 0, 0, 0), (0, 1, 0, 0), (-.5, 0, 1, 0), (0, -.5, 0, 1), (-.5, -.5, 1, 1))],
    np.float64,
)  # fmt: skip
"""Shifts down and right; growth about the middle in height, in width and in both."""


def smooth(thumbnails: npt.NDArray[np.uint8], halve: bool = False) -> Planes:
    """The thumbnails (N, S, S) slightly blurred, so that sampling between pixels is harmless.

    With ``halve`` they are averaged down to half their side first.
    """
    values = thumbnails.astype(np.float32)
    if halve:
        count, side = len(values), values.shape[1] // 2
        values = values.reshape(count, side, 2, side, 2).mean(axis=(2, 4))
    blurred: Planes = ndimage.gaussian_filter(values, (0, 0.75, 0.75))
    return blurred


def sample_windows(planes: Planes, windows: Windows, samples: int) -> tuple[Planes, npt.NDArray[np.bool_]]:
    """((P, samples, samples) values, whether inside) of each window of ``planes`` (P, S, S), bilinear."""
    side = planes.shape[1]
    cells = (np.arange(samples) + 0.5) / samples
    rows = (windows[:, 0:1] + (windows[:, 2:3] - windows[:, 0:1]) * cells) * side - 0.5
    columns = (windows[:, 1:2] + (windows[:, 3:4] - windows[:, 1:2]) * cells) * side - 0.5
    last = side - 1
    rows_inside = (rows >= -0.5) & (rows <= last + 0.5)
    columns_inside = (columns >= -0.5) & (columns <= last + 0.5)
    rows, columns = np.clip(rows, 0, last), np.clip(columns, 0, last)
    y, x = np.minimum(rows.astype(np.intp), last - 1), np.minimum(columns.astype(np.intp), last - 1)
    fy = (rows - y).astype(np.float32)[:, :, None]
    fx = (columns - x).astype(np.float32)[:, None, :]
    flat = planes.reshape(len(planes), -1)
    base = (y[:, :, None] * side + x[:, None, :]).reshape(len(planes), -1)

    def take(offset: int) -> Planes:
        return np.take_along_axis(flat, base + offset, axis=1).reshape(-1, samples, samples)

    upper = take(0) * (1 - fx) + take(1) * fx
    lower = take(side) * (1 - fx) + take(side + 1) * fx
    return upper * (1 - fy) + lower * fy, rows_inside[:, :, None] & columns_inside[:, None, :]


def align(
    first: Planes, second: Planes, starts: npt.NDArray[np.float64], steps: tuple[float, ...], samples: int
) -> tuple[Windows, npt.NDArray[np.float32]]:
    """(P, 4) windows of ``second`` that ``first`` shows, and how well they fit (P), -1 to 1.

    ``first`` and ``second`` are smoothed thumbnails (P, S, S), ``starts`` (P, K, 4) rough windows: the best
    of them is moved and stretched by each of ``steps`` (shares of the side) in turn as long as that improves
    the fit, which is the mean correlation of the better matching blocks.
    """
    frame = _cut(sample_windows(first, _get_whole(len(first)), samples)[0], _SEARCH_PARTS)
    usable = frame.var(axis=2) > _FLOOR**2
    counted = np.maximum(np.ceil(usable.sum(axis=1) * _SEARCH_COUNTED), 1)

    def score(windows: Windows) -> npt.NDArray[np.float32]:
        values, inside = sample_windows(second, windows, samples)
        weight = _cut(inside.astype(np.float32), _SEARCH_PARTS)
        likeness = _correlate(frame, _cut(values, _SEARCH_PARTS), weight)
        ranked = -np.sort(-np.where(usable, likeness, -1), axis=1)
        within = np.arange(ranked.shape[1]) < counted[:, None]
        return np.asarray((ranked * within).sum(axis=1) / counted, np.float32)

    scores = np.stack([score(starts[:, k]) for k in range(starts.shape[1])], axis=1)
    pick = scores.argmax(axis=1)
    windows = starts[np.arange(len(starts)), pick]
    best = scores[np.arange(len(starts)), pick]
    for step in steps:
        for _ in range(_ROUNDS):
            tried = np.stack([score(windows + step * move) for move in _MOVES], axis=1)
            move = tried.argmax(axis=1)
            found = tried[np.arange(len(tried)), move]
            better = found > best + _GAIN
            if not better.any():
                break
            windows = np.where(better[:, None], windows + step * _MOVES[move], windows)
            best = np.where(better, found, best)
    return windows, best


def compute_likeness(
    first: Planes, second: Planes, windows: Windows, least_blocks: int
) -> npt.NDArray[np.float32]:
    """(P): mean correlation, -1 to 1, of the better half of the blocks that ``first`` and ``windows`` show.

    Blocks that are flat in both, or mostly outside, do not count; fewer than ``least_blocks`` others give 0:
    nothing much is seen. Invariant: brightness and contrast of either thumbnail do not matter.
    """
    a = _cut(sample_windows(first, _get_whole(len(first)), SAMPLES)[0], PARTS)
    values, inside = sample_windows(second, windows, SAMPLES)
    b, weight = _cut(values, PARTS), _cut(inside.astype(np.float32), PARTS)
    usable = (np.maximum(a.var(axis=2), b.var(axis=2)) > _FLOOR**2) & (weight.mean(axis=2) >= 0.5)
    ranked = -np.sort(-np.where(usable, _correlate(a, b, weight), -2), axis=1)
    blocks = usable.sum(axis=1)
    counted = np.maximum(np.ceil(blocks * COUNTED), 1)
    within = np.arange(ranked.shape[1]) < counted[:, None]
    return np.where(blocks >= least_blocks, (ranked * within).sum(axis=1) / counted, 0).astype(np.float32)


def invert(windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The windows (…, 4) of the first image that the second shows, for windows of the second."""
    height, width = windows[..., 2] - windows[..., 0], windows[..., 3] - windows[..., 1]
    top, left = -windows[..., 0] / height, -windows[..., 1] / width
    return np.stack([top, left, top + 1 / height, left + 1 / width], axis=-1)


def _get_whole(count: int) -> Windows:
    return np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (count, 1))


def _correlate(first: Planes, second: Planes, weight: Planes) -> Planes:
    """(P, blocks) correlations of the samples (P, blocks, samples) that count; 0 if less than half do.

    A spread below half the floor counts as half the floor: noise does not correlate.
    """
    count = np.maximum(weight.sum(axis=2, keepdims=True), 1)
    a = (first - (first * weight).sum(axis=2, keepdims=True) / count) * weight
    b = (second - (second * weight).sum(axis=2, keepdims=True) / count) * weight
    floor = (_FLOOR / 2) ** 2 * count[..., 0]
    scale = np.sqrt(np.maximum((a * a).sum(axis=2), floor) * np.maximum((b * b).sum(axis=2), floor))
    enough = weight.sum(axis=2) >= weight.shape[2] / 2
    return np.where(enough, (a * b).sum(axis=2) / scale, 0).astype(np.float32)


def _cut(values: Planes, parts: int) -> Planes:
    """(P, parts², samples): the blocks of (P, S, S)."""
    side = values.shape[1] // parts
    cut = values.reshape(len(values), parts, side, parts, side).swapaxes(2, 3)
    return cut.reshape(len(values), parts * parts, side * side)
