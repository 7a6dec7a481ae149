"""Which category does an item show?  All of them in turn, or by a long-tailed law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.compose import derive

TAIL_EXPONENT = 1.5
"""The category in place r of the list has a share proportional to r ** -1.5 (Zipf's law).

With 27 categories and 841 images, 31 a category as in BG60k (arXiv 2312.13309, section 4.2), it gives
that set's shares: about 6 % of the categories above 100 images, over half of them below 10.
"""

_GOLDEN = (5**0.5 - 1) / 2


def compute_tail_shares(count: int) -> NDArray[np.float64]:
    """Shares (count,) of the categories in the order of their list; they fall and sum to 1."""
    weights: NDArray[np.float64] = np.arange(1, count + 1, dtype=np.float64) ** -TAIL_EXPONENT
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def place_item(seed: int, index: int, count: int, long_tail: bool) -> tuple[int, int]:
    """(place in the list of ``count`` categories, number of earlier items in that place) of item ``index``.

    With ``long_tail`` the items take the points of the golden-ratio sequence, whose every stretch is spread
    evenly over [0, 1): the first n items of any run hold each category's share of n to within a few items.
    """
    if not long_tail:
        return index % count, index // count
    start = derive("tail", seed) / 2**63
    points = (start + _GOLDEN * np.arange(index + 1)) % 1.0
    ends = np.cumsum(compute_tail_shares(count))
    places = np.minimum(np.searchsorted(ends, points, side="right"), count - 1)
    return int(places[-1]), int((places[:-1] == places[-1]).sum())
