"""Amounts as a brand writes them; nothing of an amount is lost, and no currency changes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclorama.errors import SettingsError
from cyclorama.posters.prices import SYMBOLS, write_price
from cyclorama.posters.words import PosterBrand, settle_words

EUROS = ("€ {whole}", "€ {whole}.{cents}")


@pytest.mark.parametrize(
    ("given", "patterns", "written"),
    [
        ("39.00 EUR", EUROS, "€ 39"),
        ("39,95 €", EUROS, "€ 39.95"),
        ("EUR 1,299.00", EUROS, "€ 1,299"),
        ("€39.5", EUROS, "€ 39.50"),
        ("from 749 € a seat", EUROS, "from € 749 a seat"),
        ("0.99 EUR", EUROS, "€ 0.99"),
        ("39.00 USD", ("{whole},{cents} {currency}",), "39,00 $"),
        ("R$ 12,5", ("{currency} {whole},{cents}",), "R$ 12,50"),
        ("100 SEK", ("{whole} {currency}",), "100 SEK"),
        ("1\u202f299,00 zł", ("{whole} {currency}",), "1\u202f299 zł"),
        ("39", ("{currency} {whole}",), "39"),
        ("39.00 EUR", ("{whole},- €",), "39,- €"),
        ("39.00 kr", ("{whole} kr",), "39 kr"),
        ("39.00 clams", ("{whole} clams",), "39 clams"),
        ("59 € FOR TWO", EUROS, "€ 59 FOR TWO"),
        ("CHF 12.90", ("{currency} {whole}.{cents}",), "CHF 12.90"),
        ("Free", EUROS, "Free"),
        ("2 for 5 €", EUROS, "2 for 5 €"),
        ("39.00 EUR", (), "39.00 EUR"),
    ],
)
def test_a_price_is_written_as_the_brand_writes_it(
    given: str, patterns: tuple[str, ...], written: str
) -> None:
    assert write_price(given, patterns) == written
    assert write_price(written, patterns) == written, "once written, it stays"


@given(st.integers(0, 10**7), st.integers(0, 99), st.sampled_from(sorted(SYMBOLS)))
def test_no_amount_is_lost(whole: int, cents: int, code: str) -> None:
    patterns = ("{currency} {whole}", "{currency} {whole}.{cents}")
    written = write_price(f"{whole}.{cents:02d} {code}", patterns)
    sign, amount = written.rsplit(" ", 1)
    assert sign == SYMBOLS[code]
    assert round(float(amount) * 100) == whole * 100 + cents


@pytest.mark.parametrize("given", ["$5", "5 USD", "39.95 SEK", "5 GBP", "39 kr"])
def test_another_currency_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"the price {given!r} cannot be written")):
        write_price(given, EUROS)


def test_cents_that_no_pattern_says_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"add a pattern with \{cents\}"):
        write_price("39.95 EUR", ("€ {whole}",))


@pytest.mark.parametrize("pattern", ["€", "{amount} €", "{cents}", "{whole} {}"])
def test_a_pattern_must_be_one(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"a pattern such as '€ \{whole\}'"):
        PosterBrand(price=pattern)


def test_the_words_of_a_poster_hold_the_brands_price_in_every_language() -> None:
    words = {
        "en": {"headline": "Slow", "price": "59.00 EUR"},
        "de": {"headline": "Ruhig", "price": "59,00 €"},
    }
    settled = settle_words(words, PosterBrand(price="{whole} €"))
    assert settled == {
        "en": {"headline": "Slow", "price": "59 €"},
        "de": {"headline": "Ruhig", "price": "59 €"},
    }
    bare = {"en": {"headline": "Slow"}}
    assert settle_words(bare, PosterBrand(price="{whole} €")) == bare
