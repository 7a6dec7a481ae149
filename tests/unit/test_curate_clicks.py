"""Lower bounds against closed forms and SciPy; products by impressions; images by bound, not ratio."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cyclorama.curate.records import Record, Verdict
from cyclorama.curate.stated import ClicksRule, ClicksSettings, choose_products, compute_lower_bound
from cyclorama.errors import ConfigError, SettingsError


def row(key: str, impressions: int | None, clicks: int | None, **more: str) -> Record:
    return Record(key, f"{key}.png", impressions=impressions, clicks=clicks, **more)


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(3, 10, 0.95), (2000, 10_000, 0.99), (1, 1, 0.9), (7, 900, 0.5)]
)
def test_wilson_solves_its_defining_equation(k: int, n: int, confidence: float) -> None:
    """(rate - p)² = z² p (1 - p) / n holds at the bound p, which lies below the rate."""
    p = compute_lower_bound(k, n, "wilson", confidence)
    z = stats.norm.ppf(1 - (1 - confidence) / 2)
    assert p < k / n
    assert (k / n - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / n, rel=1e-9)
    assert p == pytest.approx(stats.binomtest(k, n).proportion_ci(confidence, "wilson").low, rel=1e-9)


def test_beta_is_the_quantile_of_jeffreys_posterior() -> None:
    for k, n in ((1, 4), (3, 10), (250, 9000)):
        expected = stats.beta.ppf(0.025, k + 0.5, n - k + 0.5)
        assert compute_lower_bound(k, n, "beta") == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(2, 50), st.sampled_from(["wilson", "beta"]))
def test_more_of_the_same_rate_is_more_certain(k: int, misses: int, times: int, interval: str) -> None:
    n = k + misses
    few = float(compute_lower_bound(k, n, interval))
    many = float(compute_lower_bound(k * times, n * times, interval))
    assert 0 < few < many < k / n


def test_nothing_seen_or_clicked_bounds_at_zero_and_nonsense_is_refused() -> None:
    for n, interval in itertools.product((0, 1000), ("wilson", "beta")):
        assert compute_lower_bound(0, n, interval) == 0
    with pytest.raises(SettingsError, match="clicks must be"):
        compute_lower_bound(11, 10)
    with pytest.raises(SettingsError, match="confidence"):
        compute_lower_bound(1, 10, confidence=1.0)


def test_products_are_taken_by_their_sum_until_the_total_is_reached() -> None:
    rows = [
        row("a", 300, None, product_id="small images"),
        row("b", 300, None, product_id="small images"),
        row("c", 500, None, product_id="one big"),
        row("d", 400, None, product_id="too late"),
        row("e", None, None, product_id="unknown"),
    ]
    assert choose_products(rows, 1100) == {"small images", "one big"}
    assert choose_products(rows, 601) == {"small images", "one big"}  # the one that reaches it is taken
    assert choose_products(rows, 600) == {"small images"}
    assert choose_products(rows, 10**9) is None
    verdicts = [f.verdict for f in ClicksRule(ClicksSettings(impressions_total=600)).judge_all(rows)]
    assert verdicts == [Verdict.KEEP, Verdict.KEEP, Verdict.DROP, Verdict.DROP, Verdict.KEEP]


def test_a_high_ratio_of_few_impressions_is_not_a_high_rate() -> None:
    lucky, sure, low, silent = ClicksRule(ClicksSettings(minimum_rate=0.15)).judge_all(
        [row("lucky", 10, 3), row("sure", 10_000, 2000), row("low", 10_000, 1000), row("silent", None, None)]
    )
    assert (lucky.verdict, sure.verdict, low.verdict) == (Verdict.DROP, Verdict.KEEP, Verdict.DROP)
    assert lucky.numbers["rate"] > sure.numbers["rate"]
    assert lucky.numbers["lower_bound"] < 0.15 <= sure.numbers["lower_bound"]
    assert "30.000%" in lucky.reason and "15.000%" in lucky.reason
    assert silent.verdict == Verdict.KEEP and not silent.numbers


def test_images_are_held_to_their_own_category() -> None:
    """A rate that is poor among lipsticks is fine among washing machines."""
    rows = [row(f"l{n}", 50_000, 5000, category="Lipstick") for n in range(5)]
    rows += [row(f"w{n}", 50_000, 500, category="washing machine") for n in range(5)]
    rows += [row("poor", 50_000, 500, category="lipstick"), row("few", 900, 20, category="kettle")]
    findings = ClicksRule().judge_all(rows)
    assert [f.verdict for f in findings[:10]] == [Verdict.KEEP] * 10
    assert findings[10].verdict == Verdict.DROP
    pooled = (25_000 + 2500 + 500 + 20) / (250_000 + 250_000 + 50_000 + 900)
    assert findings[11].numbers["bar"] == pytest.approx(0.8 * pooled)  # too few kettles: the set's rate
    by_set = ClicksRule(ClicksSettings(peers="set")).judge_all(rows)
    assert by_set[5].verdict == Verdict.DROP


def test_impossible_counts_go_to_review_and_do_not_shift_the_bar() -> None:
    good = [row(f"g{n}", 10_000, 500) for n in range(3)]
    broken, negative, *others = ClicksRule().judge_all([row("b", 10, 11), row("n", -5, None), *good])
    assert broken.verdict == negative.verdict == Verdict.REVIEW
    assert "11 clicks of 10" in broken.reason and "-5" in negative.reason
    assert others[0].numbers["bar"] == pytest.approx(0.8 * 0.05)


@pytest.mark.parametrize(
    "values",
    [
        {"confidence": 0.0},
        {"impressions_total": 0},
        {"minimum_rate": 1.1},
        {"interval": "wald"},
        {"relative": -1},
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        ClicksSettings(**values)  # type: ignore[arg-type]


def test_every_image_may_be_clicked_each_time_but_not_more_often() -> None:
    all_, more, negative = ClicksRule().judge_all([row("a", 9, 9), row("b", 9, 10), row("c", -1, None)])
    assert "cannot be" not in all_.reason
    assert more.reason.startswith("10 clicks of 9 impressions cannot be")
    assert negative.reason == "impressions is -1; a count cannot be negative"
