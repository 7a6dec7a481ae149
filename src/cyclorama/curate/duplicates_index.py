"""Which pairs of a large set are worth a closer look as near-duplicates? Found without looking at all pairs.

Two indexes, as each misses what the other finds. Hashes are cut into bands: rows whose hash of the whole
image shares a band with the hash of a part of another, or of all of it, come together, which survives
colour, compression, size and crops. Feature vectors are whitened and sorted into cells round centres taken
from the set; each row's nearest are searched in the cells nearest to it, which survives text over the
image.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cyclorama.curate.summary import HASH_SIDE, WHOLE, Window
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
    spread = (sample - mean).T @ (sample - mean) / max(1, len(sample) - 1)
    values, axes = np.linalg.eigh(spread)
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
