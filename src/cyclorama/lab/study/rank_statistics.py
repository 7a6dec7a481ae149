"""How sure are mean ranks, how far do raters agree, and which methods differ?

Everywhere ``scores`` is float64 (raters, pairs, methods): n for the first of n places, 1 for the last, NaN
where a rater did not rank a pair.

Tests and correlations are SciPy's. Ours are: the bootstrap over raters and pairs together and Kendall's W
(SciPy has neither), Wilcoxon's exact distribution with ties (SciPy tries the sign patterns one by one) and
Holm's correction (eight lines; statsmodels would bring pandas).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from cyclorama.evaluation.compare import CONFIDENCE, RESAMPLES
from cyclorama.seeding import build_numpy_generator

Array = npt.NDArray[np.float64]
Unit = Literal["pairs", "raters"]
_MOST_EXACT = 500
_DECIMALS = 9  # block means that are equal on paper must be equal here


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over blocks, corrected for ties; ``concordance`` is Kendall's W of the same blocks."""

    blocks: int
    chi_square: float
    p: float
    concordance: float


def sample_means(scores: Array, seed: int) -> Array:
    """Bootstrap means (B, K): raters and pairs are both drawn with replacement, independently.

    Rankings of one rater, or of one pair, are not independent, so drawing single rankings would give
    intervals that are too narrow. Invariant: with one rater it is the bootstrap over pairs.
    """
    raters, pairs, _ = scores.shape
    given = ~np.isnan(scores[:, :, 0])
    filled = np.where(given[:, :, None], scores, 0.0)
    random = build_numpy_generator(seed, raters * pairs, "study bootstrap")
    rater_weights = random.multinomial(raters, np.full(raters, 1 / raters), RESAMPLES).astype(np.float64)
    pair_weights = random.multinomial(pairs, np.full(pairs, 1 / pairs), RESAMPLES).astype(np.float64)
    by_rater = np.tensordot(rater_weights, filled, axes=1)  # (B, P, K)
    sums = np.einsum("bp,bpk->bk", pair_weights, by_rater)
    counts = np.einsum("bp,bp->b", pair_weights, rater_weights @ given)
    kept = counts > 0  # a draw of raters and pairs that never met says nothing
    return np.asarray(sums[kept] / counts[kept, None])


def compute_interval(samples: Array, shape: tuple[int, ...]) -> tuple[float, float] | tuple[None, None]:
    """The percentile interval of bootstrap ``samples`` (B,) of scores of ``shape``.

    (None, None) for one rater with one pair, or if no draw met a ranking: they say nothing of others.
    """
    if max(shape[:2]) < 2 or len(samples) == 0:
        return None, None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def average_blocks(scores: Array, unit: Unit) -> Array:
    """(blocks, methods): each pair's mean over its raters, or each rater's mean over the pairs.

    Blocks nobody ranked are left out.
    """
    axis = 0 if unit == "pairs" else 1
    given = (~np.isnan(scores[:, :, 0])).any(axis=axis)
    chosen = scores[:, given] if unit == "pairs" else scores[given]
    return np.asarray(np.round(np.nanmean(chosen, axis=axis), _DECIMALS))


def compute_concordance(blocks: Array) -> float | None:
    """Kendall's W, 0 to 1, of ``blocks`` (judges, items), corrected for ties (Kendall 1948).

    None if there are fewer than two judges or items, or every judge has all items tied. By chance alone it is
    1 / judges on average.
    """
    judges, items = blocks.shape
    if judges < 2 or items < 2:
        return None
    ranks = stats.rankdata(blocks, axis=1)
    spread = float(((ranks.sum(axis=0) - judges * (items + 1) / 2) ** 2).sum())
    counts = [np.unique(row, return_counts=True)[1] for row in ranks]
    ties = sum(float((count**3 - count).sum()) for count in counts)
    most = judges**2 * (items**3 - items) - judges * ties
    return None if most <= 0 else 12 * spread / most


def compute_agreement(scores: Array) -> tuple[float, float] | None:
    """(mean Kendall's W among the raters of one pair, its mean by chance), over pairs with two raters."""
    found, chance = [], []
    for pair in range(scores.shape[1]):
        blocks = scores[:, pair]
        blocks = blocks[~np.isnan(blocks[:, 0])]
        concordance = compute_concordance(blocks)
        if concordance is not None:
            found.append(concordance)
            chance.append(1 / len(blocks))
    return (float(np.mean(found)), float(np.mean(chance))) if found else None


def run_friedman(blocks: Array) -> Friedman | None:
    """Do the methods differ at all?  ``blocks`` (blocks, methods); None below 2 blocks or 3 methods.

    The p-value is the chi-square approximation, which is rough below about 10 blocks.
    """
    concordance = compute_concordance(blocks)
    if concordance is None or blocks.shape[1] < 3:
        return None
    result = stats.friedmanchisquare(*blocks.T)
    return Friedman(len(blocks), float(result.statistic), float(result.pvalue), concordance)


def run_wilcoxon(first: Array, second: Array) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test of paired values (n,); zero differences are dropped.

    Exact also with ties, which block means often have: all sign patterns of the midranks are counted, where
    SciPy tries them one by one or takes the normal distribution. Above 500 differences, the normal
    distribution. None below two pairs, 1 if nothing differs.
    """
    differences = np.round(first - second, _DECIMALS)
    if len(differences) < 2:
        return None
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    if len(differences) > _MOST_EXACT:
        return float(stats.wilcoxon(differences, method="asymptotic").pvalue)
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # midranks are halves
    shares = np.zeros(int(doubled.sum()) + 1)  # of the sign patterns, by twice their sum of positive ranks
    shares[0] = 1.0
    for rank in doubled:
        shares[rank:] = (shares[rank:] + shares[:-rank]) / 2
        shares[:rank] /= 2
    observed = int(doubled[differences > 0].sum())
    return min(1.0, 2 * float(min(shares[: observed + 1].sum(), shares[observed:].sum())))


def correct_holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number by Holm's step-down procedure; None stays and does not count."""
    known = sorted((p, n) for n, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for step, (p, n) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - step) * p))
        corrected[n] = largest
    return corrected


def compute_tau(first: Sequence[str], second: Sequence[str]) -> float:
    """Kendall's tau, -1 to 1, between two rankings of the same names."""
    places = {name: place for place, name in enumerate(second)}
    return float(stats.kendalltau(range(len(first)), [places[name] for name in first]).statistic)
