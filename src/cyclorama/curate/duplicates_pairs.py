"""Which pairs of a large set are worth a closer look as near-duplicates, and do they show one image?

Pairs are found without looking at all of them, by two indexes, as each misses what the other finds. Hashes
are cut into bands: rows whose hash of the whole image shares a band with the hash of a part of another, or of
all of it, come together, which survives colour, compression, size and crops. Feature vectors are whitened and
sorted into cells round centres taken from the set; each row's nearest are searched in the cells nearest to
it, which survives text over the image.

A crop, resize or change of aspect maps one thumbnail's frame to a rectangle of the other's. From a rough
rectangle the right one is found by small moves; then the thumbnails are compared block by block, each block
on its own and only the better half counted, so that a text over some of them does not hide that the others
agree. Images that only look alike agree roughly everywhere, copies agree closely wherever nothing was laid
over.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.curate.summary import HASH_SIDE, THUMBNAIL_SIDE, WHOLE, Window
from cyclorama.seeding import build_numpy_generator

Pairs = npt.NDArray[np.int64]
"""(P, 2) row numbers, the smaller first, sorted, each pair once."""

BITS = HASH_SIDE * HASH_SIDE
BUCKET = 200
"""Rows that one value of a band should hold; bands get as many bits as this needs."""
_BUCKET_LIMIT = 4096
"""A band's value with more rows tells nothing (flat or empty parts) and is passed over."""
_CELL = 256
_CELLS_SEARCHED = 8
_SAMPLE = 65536
_SHRINKAGE = 0.1
_BLOCK = 1024


def build_windows() -> list[Window]:
    """The whole image, and 3 × 3 parts of 0.9 and of 0.8 of its sides."""
    windows: list[Window] = [WHOLE]
    for scale in (0.9, 0.8):
        offsets = [(1 - scale) * share for share in (0.0, 0.5, 1.0)]
        windows += [(top, left, top + scale, left + scale) for top in offsets for left in offsets]
    return windows


def find_hash_pairs(hashes: npt.NDArray[np.uint64], distance: int) -> Pairs:
    """Pairs of which one's whole hash differs from some hash of the other in at most ``distance`` bits.

    ``hashes`` uint64 (N, V), column 0 of the whole image. Only pairs that share a band are looked at: all
    within a few bits, and most within ``distance``.
    """
    count, views = hashes.shape
    bits = int(np.clip(math.ceil(math.log2(max(2, count * views / BUCKET))), 8, 16))
    entries = hashes.ravel()
    owners = np.repeat(np.arange(count), views)
    found = []
    for start in range(0, BITS - bits + 1, bits):
        keys = (entries >> np.uint64(start)) & np.uint64(2**bits - 1)
        order = np.argsort(keys, kind="stable")
        sizes = np.bincount(keys[order].astype(np.intp), minlength=2**bits)
        ends = np.cumsum(sizes)
        asked = ((hashes[:, 0] >> np.uint64(start)) & np.uint64(2**bits - 1)).astype(np.intp)
        for begin in range(0, count, _BLOCK):
            rows = np.arange(begin, min(count, begin + _BLOCK))
            rows = rows[sizes[asked[rows]] <= max(_BUCKET_LIMIT, BUCKET)]
            lengths = sizes[asked[rows]]
            firsts = ends[asked[rows]] - lengths
            queries = np.repeat(rows, lengths)
            steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            places = order[np.repeat(firsts, lengths) + steps]
            near = np.bitwise_count(hashes[queries, 0] ^ entries[places]) <= distance
            found.append(_sort_pairs(queries[near], owners[places[near]]))
    return join_pairs(found)


def find_embedding_pairs(embeddings: npt.NDArray[np.float32], neighbours: int) -> Pairs:
    """Pairs of a row and one of its ``neighbours`` nearest by the cosine of whitened ``embeddings`` (N, D).

    Whitening takes out what all the set's images have in common. Up to a few thousand rows are searched
    exactly, more by cells. The result is the same on every run.
    """
    count = len(embeddings)
    wanted = min(neighbours, count - 1)
    if wanted < 1:
        return np.zeros((0, 2), np.int64)
    vectors = whiten(embeddings)
    cells = max(1, count // _CELL)
    if cells > _CELLS_SEARCHED:
        nearest = _find_cells(vectors, _find_centres(vectors, cells), _CELLS_SEARCHED)
        members = [np.flatnonzero(nearest[:, 0] == cell) for cell in range(cells)]
    else:
        members = [np.arange(begin, min(count, begin + _BLOCK)) for begin in range(0, count, _BLOCK)]
        nearest = np.tile(np.arange(len(members)), (count, 1))
    found = []
    for rows in filter(len, members):
        others = np.concatenate([members[cell] for cell in np.unique(nearest[rows])])
        likeness = vectors[rows] @ vectors[others].T
        likeness[rows[:, None] == others[None, :]] = -2
        kept = min(wanted, len(others) - 1)
        if kept < 1:
            continue
        best = np.argpartition(-likeness, kept - 1, axis=1)[:, :kept]
        found.append(_sort_pairs(np.repeat(rows, kept), others[best].ravel()))
    return join_pairs(found)


def whiten(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Unit vectors (N, D) of ``embeddings`` without their mean and, mostly, their correlations."""
    sample = embeddings
    if len(embeddings) > _SAMPLE:
        chance = build_numpy_generator(0, len(embeddings), "whitening")
        sample = embeddings[np.sort(chance.choice(len(embeddings), _SAMPLE, replace=False))]
    mean = sample.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    floor = max(_SHRINKAGE * float(values.mean()), 1e-12)
    scaled = (embeddings - mean) @ (axes / np.sqrt(np.maximum(values, 0) + floor))
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.maximum(lengths, 1e-12), np.float32)


def join_pairs(parts: list[Pairs]) -> Pairs:
    """All pairs of ``parts``, each once, none of a row with itself."""
    if not parts:
        return np.zeros((0, 2), np.int64)
    pairs = np.concatenate(parts)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _sort_pairs(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Pairs:
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    return np.unique(pairs, axis=0)


def _find_centres(vectors: npt.NDArray[np.float32], cells: int) -> npt.NDArray[np.float32]:
    """Unit centres (cells, D): some rows, moved once to the mean of the sample's rows nearest to them."""
    chance = build_numpy_generator(0, cells, "cells")
    sample = vectors[np.sort(chance.choice(len(vectors), min(len(vectors), cells * 32), replace=False))]
    centres = sample[np.sort(chance.choice(len(sample), cells, replace=False))]
    nearest = _find_cells(sample, centres, 1)[:, 0]
    sums = np.zeros_like(centres)
    np.add.at(sums, nearest, sample)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centres).astype(np.float32)


def _find_cells(
    vectors: npt.NDArray[np.float32], centres: npt.NDArray[np.float32], count: int
) -> npt.NDArray[np.int64]:
    """(N, count): the centres nearest to each vector, nearest first."""
    result = np.empty((len(vectors), count), np.int64)
    for begin in range(0, len(vectors), _BLOCK):
        likeness = vectors[begin : begin + _BLOCK] @ centres.T
        best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, best, axis=1), axis=1, kind="stable")
        result[begin : begin + _BLOCK] = np.take_along_axis(best, order, axis=1)
    return result


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
    of them is moved and stretched by each of ``steps`` (pixels of a whole thumbnail) in turn as long as that
    improves the fit, which is the mean correlation of the better matching blocks.
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
    for moves in (_MOVES * step / THUMBNAIL_SIDE for step in steps):
        for _ in range(_ROUNDS):
            tried = np.stack([score(windows + move) for move in moves], axis=1)
            move = tried.argmax(axis=1)
            found = tried[np.arange(len(tried)), move]
            better = found > best + _GAIN
            if not better.any():
                break
            windows = np.where(better[:, None], windows + moves[move], windows)
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
