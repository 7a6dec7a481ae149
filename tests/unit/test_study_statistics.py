"""The study's numbers against hand-computed values and SciPy; intervals against their definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from cyclorama.lab.study.rank_statistics import (
    average_blocks,
    compute_agreement,
    compute_concordance,
    compute_interval,
    compute_tau,
    correct_holm,
    run_friedman,
    run_wilcoxon,
    sample_means,
)


def rank_at_random(raters: int, pairs: int, methods: int, seed: int, pull: float = 0.0) -> np.ndarray:
    """Rank scores of raters who see noise plus ``pull`` times the method's number."""
    random = np.random.default_rng(seed)
    seen = random.normal(size=(raters, pairs, methods)) + pull * np.arange(methods)
    return stats.rankdata(seen, axis=2)


def test_concordance_by_hand() -> None:
    blocks = np.array([[1, 2, 3, 4], [1, 3, 2, 4], [2, 2, 3, 3.0]])
    ranks = np.array([[1, 2, 3, 4], [1, 3, 2, 4], [1.5, 1.5, 3.5, 3.5]])
    assert ranks.sum(axis=0).tolist() == [3.5, 6.5, 8.5, 11.5]
    spread = (4.0**2) + 1**2 + 1**2 + 4.0**2  # around 7.5
    ties = 2 * (2**3 - 2)
    assert compute_concordance(blocks) == pytest.approx(12 * spread / (9 * (64 - 4) - 3 * ties))


def test_concordance_at_its_ends() -> None:
    assert compute_concordance(np.tile([3.0, 1, 2], (4, 1))) == pytest.approx(1)
    assert compute_concordance(np.array([[1.0, 2], [2, 1]])) == pytest.approx(0)
    assert compute_concordance(np.ones((3, 4))) is None
    assert compute_concordance(np.array([[1.0, 2, 3]])) is None


def test_concordance_and_friedman_belong_together() -> None:
    blocks = np.round(np.random.default_rng(3).normal(size=(12, 5)), 1)  # with ties
    found = run_friedman(blocks)
    expected = stats.friedmanchisquare(*blocks.T)
    assert found is not None
    assert (found.chi_square, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.chi_square == pytest.approx(12 * (5 - 1) * found.concordance)
    assert run_friedman(blocks[:, :2]) is None


def test_wilcoxon_by_hand() -> None:
    # six differences of one sign: both tails hold one of 2**6 sign patterns each
    first = np.array([1.1, 2.2, 3.3, 4.4, 5.5, 6.6])
    assert run_wilcoxon(first, np.zeros(6)) == pytest.approx(2 / 2**6)
    assert run_wilcoxon(first, first + 1e-12) == 1.0
    assert run_wilcoxon(first[:1], np.zeros(1)) is None


def test_wilcoxon_counts_sign_patterns_with_ties_too() -> None:
    differences = np.array([0.3, -0.3, 1.9, 1.9, -0.1, 3.0, 0.3, -1.9])
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(ranks))]
    tail = min(np.mean([s >= observed for s in sums]), np.mean([s <= observed for s in sums]))
    assert run_wilcoxon(differences, np.zeros(8)) == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize("count", [9, 40])
def test_wilcoxon_agrees_with_scipy_where_scipy_is_exact(count: int) -> None:
    first, second = np.random.default_rng(count).normal(size=(2, count))
    expected = stats.wilcoxon(first + 0.4, second, method="exact").pvalue
    assert run_wilcoxon(first + 0.4, second) == pytest.approx(expected, rel=1e-9)


def test_wilcoxon_of_many_is_continued_by_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0.08, 1, 501)
    exact, normal = run_wilcoxon(values[:500], np.zeros(500)), run_wilcoxon(values, np.zeros(501))
    assert exact == pytest.approx(stats.wilcoxon(values[:500], method="asymptotic").pvalue, rel=0.01)
    assert normal == pytest.approx(stats.wilcoxon(values, method="asymptotic").pvalue)


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04: times 4, 3, 2, 1, never falling
    assert correct_holm([0.03, 0.01, None, 0.04, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert correct_holm([0.5, 0.6]) == [1.0, 1.0]


def test_tau_by_hand() -> None:
    assert compute_tau("abcd", "abcd") == pytest.approx(1)
    assert compute_tau("abcd", "dcba") == pytest.approx(-1)
    assert compute_tau("abcd", "badc") == pytest.approx((4 - 2) / 6)


def test_agreement_of_guessing_raters_is_that_of_chance() -> None:
    found = compute_agreement(rank_at_random(6, 400, 5, 1))
    assert found is not None
    assert found[1] == pytest.approx(1 / 6)
    assert found[0] == pytest.approx(1 / 6, abs=0.015)  # standard error 0.005
    strong = compute_agreement(rank_at_random(6, 400, 5, 1, pull=3))
    assert strong is not None
    assert strong[0] > 0.85


def test_missing_rankings_are_left_out_everywhere() -> None:
    scores = rank_at_random(3, 4, 3, 0)
    scores[0, 1] = scores[:, 2] = np.nan
    kept = [scores[r, p] for r in range(3) for p in range(4) if (r, p) != (0, 1) and p != 2]
    assert np.nanmean(scores, axis=(0, 1)) == pytest.approx(np.mean(kept, axis=0))
    by_pair = average_blocks(scores, "pairs")
    assert by_pair.shape == (3, 3)
    assert by_pair[1] == pytest.approx(scores[1:, 1].mean(axis=0), abs=1e-9)
    assert average_blocks(scores, "raters").shape == (3, 3)
    assert sample_means(scores, 0).sum(axis=1) == pytest.approx(1 + 2 + 3)


def test_bootstrap_draws_raters_and_pairs() -> None:
    """Variance of crossed means: rater, pair and single noise add up (Owen 2007, about)."""
    random = np.random.default_rng(5)
    raters, pairs = 12, 15
    scores = np.zeros((raters, pairs, 1))
    scores += random.normal(size=(raters, 1, 1)) + random.normal(size=(1, pairs, 1))
    between_raters = scores.mean(axis=1).var() / raters
    between_pairs = scores.mean(axis=0).var() / pairs
    samples = sample_means(scores, 0)
    assert samples.shape == (2000, 1)
    assert samples.var() == pytest.approx(between_raters + between_pairs, rel=0.1)
    assert samples.mean() == pytest.approx(scores.mean(), abs=0.05)
    low, high = compute_interval(samples[:, 0], scores.shape)
    assert (low, high) == tuple(np.percentile(samples, [2.5, 97.5]))


def test_one_rater_leaves_the_bootstrap_over_pairs() -> None:
    scores = rank_at_random(1, 30, 4, 2)
    expected = scores[0, :, 0].var() / 30
    assert sample_means(scores, 0)[:, 0].var() == pytest.approx(expected, rel=0.1)


def test_one_ranking_has_no_interval() -> None:
    scores = rank_at_random(1, 1, 4, 2)
    assert compute_interval(sample_means(scores, 0)[:, 0], scores.shape) == (None, None)


def test_intervals_cover_the_truth() -> None:
    """Of 60 studies with equal methods, about 95 % of the intervals hold the true mean of 2."""
    held = 0
    for seed in range(60):
        low, high = compute_interval(sample_means(rank_at_random(5, 12, 3, seed), seed)[:, 0], (5, 12, 3))
        held += low <= 2 <= high
    assert held >= 54
