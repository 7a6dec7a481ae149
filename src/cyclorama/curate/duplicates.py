"""Which images show the same as another one of the set, and which of them is the best to keep?

Near-duplicates: the same image cropped, resized, compressed again, shifted in colour or with something laid
over it, also under another product's name. Candidates come from two indexes, never from all
pairs; each is aligned and compared block by block (``duplicates_pairs``), which tells copies from images
of one series that merely look alike. Copies of copies form one group, of which one image is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import log2
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt
from scipy import sparse
from scipy.sparse import csgraph

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.duplicates_pairs import (
    Pairs,
    align,
    build_windows,
    compute_likeness,
    find_embedding_pairs,
    find_hash_pairs,
    invert,
    join_pairs,
    smooth,
)
from cyclorama.curate.records import Finding, Record, Summary, Verdict
from cyclorama.curate.summary import THUMBNAIL_SIDE, compute_hashes
from cyclorama.errors import SettingsError

_BLOCK = 512
_EVEN = 4.0
"""Grey levels (standard deviation) below which a product is of one luminance."""
_STARTS = 2
"""Windows with the nearest hashes that an alignment starts from, in each direction."""
_SEARCH = ((4.0, 0.45), (2.0, 0.6), (1.0, 0.75), (0.5, 0.8))
"""(step in pixels of the thumbnail, least fit after it to go on) of the rough search, at half size."""
_FINE_STEPS = (0.75, 0.4, 0.2)


class DuplicatesSettings(Settings):
    """What counts as a copy, and how hard copies are looked for."""

    ordered: ClassVar[Order] = (("doubtful", "likeness"), ("hash_distance", "gate"))
    likeness: Annotated[float, Field(gt=0, le=1)] = 0.984
    """Correlation of the better half of the aligned blocks from which two images are copies, 0-1."""
    product_likeness: Share = 0.85
    """Likeness of the products (:func:`compute_product_likeness`), 0-1, below which images are no copies:
    another product in the same scene."""
    doubtful: Annotated[float, Field(gt=0, le=1)] | None = None
    """Likeness from which the lesser image goes to review; None: nothing does."""
    neighbours: NonNegativeInt = 12
    """Nearest images by feature vector that each image is compared with."""
    hash_distance: Annotated[int, Field(ge=0, le=64)] = 10
    """Differing bits (of 64) up to which images that share a hash band are compared."""
    gate: Annotated[int, Field(ge=0, le=64)] = 20
    """Differing bits beyond which no candidate is looked at closely."""
    least_blocks: Annotated[int, Field(ge=1, le=64)] = 8
    """Blocks (of 64) with something to see that a comparison needs; emptier images are only held equal
    byte by byte."""

    @property
    def least_likeness(self) -> float:
        """From which likeness on an image is at least doubted."""
        return self.likeness if self.doubtful is None else self.doubtful


class DuplicatesRule:
    """Keeps the best image of every group of copies and drops the others."""

    name = "duplicates"
    needs_images = True

    def __init__(self, settings: DuplicatesSettings | None = None) -> None:
        self.settings = settings or DuplicatesSettings()

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        """One finding per row: numbers ``likeness`` (to its nearest copy) and ``copies`` (size of its group).

        A dropped row's values name the kept one (``kept``). Does not depend on the order of ``rows``.
        Raises SettingsError (rows without summary or thumbnail).
        """
        summaries = _check(rows)
        ordered = sorted(summaries, key=lambda summary: summary.record.key)
        pairs, likeness = find_copies(ordered, self.settings)
        nearest: dict[int, float] = defaultdict(float)
        links: list[tuple[int, int]] = []
        doubts: dict[int, int] = {}
        scores = [compute_rank(summary) for summary in ordered]
        for (first, second), value in zip(pairs.tolist(), likeness.tolist(), strict=True):
            if value < self.settings.least_likeness:
                continue
            if compute_product_likeness(ordered[first], ordered[second]) < self.settings.product_likeness:
                continue
            nearest[first], nearest[second] = max(nearest[first], value), max(nearest[second], value)
            if value >= self.settings.likeness:
                links.append((first, second))
            else:
                lesser, better = sorted((first, second), key=lambda place: scores[place])
                doubts.setdefault(lesser, better)
        kept_by = _choose_kept(links, scores)
        sizes: dict[int, int] = defaultdict(int)
        for kept in kept_by.values():
            sizes[kept] += 1
        found: dict[int, Finding] = {}
        for place, summary in enumerate(ordered):
            kept = kept_by.get(place, place)
            doubt = ordered[doubts[place]] if place in doubts else None
            numbers = {"likeness": nearest[place], "copies": float(sizes.get(kept, 1))}
            found[id(summary)] = self._judge(summary, ordered[kept], doubt, numbers)
        return [found[id(summary)] for summary in summaries]

    def _judge(
        self, row: Summary, kept: Summary, doubt: Summary | None, numbers: dict[str, float]
    ) -> Finding:
        other = kept if kept is not row else doubt
        if other is None:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        product = row.record.product_id != other.record.product_id
        where = f" of product {other.record.product_id}" if product and other.record.product_id else ""
        verdict = Verdict.DROP if other is kept else Verdict.REVIEW
        what = "shows the same as" if verdict is Verdict.DROP else "may show the same as"
        reason = f"{what} {other.record.key}{where}, which is kept; likeness {numbers['likeness']:.3f}"
        return Finding(self.name, verdict, reason, numbers, values={"kept": other.record.key})


def find_copies(
    rows: Sequence[Summary], settings: DuplicatesSettings
) -> tuple[Pairs, npt.NDArray[np.float32]]:
    """(P, 2) candidate pairs of ``rows`` and their likeness (P); equal files have likeness 1."""
    same = _find_same_files(rows)
    if len(rows) < 2:
        return same, np.ones(len(same), np.float32)
    thumbnails = np.stack([row.thumbnail for row in rows if row.thumbnail is not None])
    windows = build_windows()
    hashes = compute_hashes(thumbnails, windows)
    parts = [find_hash_pairs(hashes, settings.hash_distance)]
    if settings.neighbours:
        parts.append(find_embedding_pairs(np.stack([row.embedding for row in rows]), settings.neighbours))
    pairs = join_pairs(parts)
    known, numbers = (some[:, 0] * len(rows) + some[:, 1] for some in (same, pairs))
    pairs = pairs[~np.isin(numbers, known)]
    views = np.array(windows)
    likeness = [
        _compare(thumbnails, hashes, views, pairs[start : start + _BLOCK], settings)
        for start in range(0, len(pairs), _BLOCK)
    ]
    return np.concatenate([same, pairs]), np.concatenate([np.ones(len(same), np.float32), *likeness])


def compute_product_likeness(first: Summary, second: Summary) -> float:
    """How alike the products of two images are, 0-1: the lesser of two shares; 1 where a mask is missing.

    One is the silhouettes' intersection over union, each centred and brought to one size; the other the
    correlation of their luminance where both are product, 1 where both are nearly of one luminance.
    """
    one, other = first.mask_shape, second.mask_shape
    if one is None or other is None or first.product is None or second.product is None:
        return 1.0
    both = np.minimum(one, other)
    shape = float(both.sum()) / max(float(np.maximum(one, other).sum()), 1e-6)
    weight = both / max(float(both.sum()), 1e-6)
    a, b = (product.astype(np.float32) for product in (first.product, second.product))
    a, b = a - (a * weight).sum(), b - (b * weight).sum()
    spread = [max(float((plane * plane * weight).sum()), _EVEN**2) for plane in (a, b)]
    even = max(spread) == _EVEN**2
    pattern = 1.0 if even else float((a * b * weight).sum()) / float(np.sqrt(spread[0] * spread[1]))
    return max(0.0, min(shape, pattern))


def compute_rank(row: Summary) -> tuple[float, float, str]:
    """The worth of an image among its copies, the greatest is kept: verdict so far, quality, then its key.

    An image that no rule found fault with goes before others. Quality sums, as powers of two, the detail
    (pixels times sharpness, which both enlarging and shrinking lessen), half the JPEG quality, steps at
    coding blocks, and clicks.
    """
    numbers = row.numbers
    severity = max((finding.verdict.severity for finding in row.findings), default=0)
    pixels = max(1.0, numbers.get("height", 1.0) * numbers.get("width", 1.0))
    detail = log2(pixels) + log2(1 + numbers.get("sharpness", 0.0))
    compression = 0.5 * log2(max(1.0, numbers.get("quality.jpeg_quality", 100.0)))
    blocks = max(0.0, numbers.get("quality.blockiness", 1.0) - 1)
    quality = detail + compression - blocks + 0.1 * log2(1 + (row.record.clicks or 0))
    return -float(severity), quality, row.record.key


def _check(rows: Sequence[Record | Summary]) -> list[Summary]:
    summaries = []
    for row in rows:
        if not isinstance(row, Summary) or row.thumbnail is None:
            raise SettingsError("duplicates are found in summaries with thumbnails; run the images first")
        if row.thumbnail.shape != (THUMBNAIL_SIDE, THUMBNAIL_SIDE):
            side = f"{THUMBNAIL_SIDE} pixels square"
            raise SettingsError(f"{row.record.key}: thumbnail is {row.thumbnail.shape}, must be {side}")
        summaries.append(row)
    return summaries


def _find_same_files(rows: Sequence[Summary]) -> Pairs:
    """Each row paired with the first of the same bytes."""
    first: dict[str, int] = {}
    found = [
        (first[row.digest], place)
        for place, row in enumerate(rows)
        if row.digest and first.setdefault(row.digest, place) != place
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def _compare(
    thumbnails: npt.NDArray[np.uint8],
    hashes: npt.NDArray[np.uint64],
    views: npt.NDArray[np.float64],
    pairs: Pairs,
    settings: DuplicatesSettings,
) -> npt.NDArray[np.float32]:
    """Likeness (P) of each pair; 0 where a rough look already shows that there is none."""
    likeness = np.zeros(len(pairs), np.float32)
    forth = np.bitwise_count(hashes[pairs[:, 0], :1] ^ hashes[pairs[:, 1]])
    back = np.bitwise_count(hashes[pairs[:, 1], :1] ^ hashes[pairs[:, 0]])
    going = np.flatnonzero(np.minimum(forth.min(axis=1), back.min(axis=1)) <= settings.gate)
    if not len(going):
        return likeness
    rows, numbers = np.unique(pairs[going], return_inverse=True)
    numbers = numbers.reshape(-1, 2)
    half, full = smooth(thumbnails[rows], halve=True), smooth(thumbnails[rows])
    near = views[np.argsort(forth[going], axis=1, kind="stable")[:, :_STARTS]]
    around = invert(views[np.argsort(back[going], axis=1, kind="stable")[:, :_STARTS]])
    starts = np.concatenate([np.tile(views[0], (len(going), 1, 1)), near, around], axis=1)
    for step, least in _SEARCH:
        windows, fit = align(half[numbers[:, 0]], half[numbers[:, 1]], starts, (step,), samples=24)
        good = fit >= least
        going, numbers, starts = going[good], numbers[good], windows[good][:, None]
        if not len(going):
            return likeness
    first, second = full[numbers[:, 0]], full[numbers[:, 1]]
    windows, _ = align(first, second, starts, _FINE_STEPS, samples=32)
    likeness[going] = compute_likeness(first, second, windows, settings.least_blocks)
    return likeness


def _choose_kept(
    links: Sequence[tuple[int, int]], scores: Sequence[tuple[float, float, str]]
) -> dict[int, int]:
    """Row to the kept row of its group, the best of it, for every row that has a copy."""
    if not links:
        return {}
    first, second = np.array(links).T
    graph = sparse.coo_matrix((np.ones(len(links)), (first, second)), shape=(len(scores),) * 2)
    _, labels = csgraph.connected_components(graph, directed=False)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in np.unique(links).tolist():
        groups[int(labels[place])].append(place)
    return {place: max(group, key=lambda one: scores[one]) for group in groups.values() for place in group}
