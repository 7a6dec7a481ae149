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
        ("39.00 USD", ("A$ {whole}", "$ {whole}"), "$ 39"),
        ("$39.00", ("C$ {whole}", "$ {whole}"), "$ 39"),
        ("CA$ 39.00", ("A$ {whole}", "C$ {whole}"), "C$ 39"),
        ("CA$ 39.00", ("{whole},{cents} {currency}",), "39,00 CA$"),
        ("US$39.00", ("{whole},{cents} {currency}",), "39,00 US$"),
        ("NZ$39.00", ("{whole} {currency}",), "39 NZ$"),
        ("$ 39.00 CAD", ("$ {whole}", "{currency} {whole}"), "C$ 39"),
        ("39A$", ("A$ {whole}",), "A$ 39"),
        ("39.00 SEK", ("{whole} kr",), "39 kr"),
        ("kr. 39,00", ("{whole} kr",), "39 kr"),
        ("39 €", ("{whole} EUR",), "39 EUR"),
        ("39 Euro", EUROS, "€ 39"),
        ("39.00 ALL", ("{whole} {currency}",), "39 ALL"),
        ("TOP 39 €", EUROS, "TOP € 39"),
        ("EUR39.00", EUROS, "€ 39"),
        ("39EUR", EUROS, "€ 39"),
        ("€  39", EUROS, "€ 39"),
        ("39,- €", EUROS, "€ 39"),
        ("CHF 39.-", ("{currency} {whole}",), "CHF 39"),
        ("39,–", EUROS, "€ 39"),
        ("39,--", ("{whole},- €",), "39,- €"),
        ("from EUR 39.00", ("from € {whole}",), "from € 39"),
        ("20% off", EUROS, "20% off"),
        ("-20,5 %", EUROS, "-20,5 %"),
        ("39 € (-20 %)", EUROS, "€ 39 (-20 %)"),
        ("1 299,5 %", EUROS, "1 299,5 %"),
        ("39", ("only {currency} {whole} each",), "only 39 each"),
        ("A4", EUROS, "A4"),
        ("50ml", EUROS, "50ml"),
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


@given(
    st.sampled_from(["", "from ", "TOP ", "nur "]),
    st.sampled_from(["", "€", "EUR", "EUR ", "$", "US$", "C$ ", "A$", "R$ ", "kr. ", "XY$", "KWD ", "¥"]),
    st.sampled_from(["39", "39.00", "1,299.95", "1 299,5", "0.99", "39,-", "39.–"]),
    st.sampled_from(["", " €", "€", " EUR", " USD", "CAD", " kr", " zł", " Euro", " ALL", " %", " ml"]),
    st.sampled_from(["", " each", " (-20 %)"]),
    st.lists(
        st.sampled_from(
            [
                "€ {whole}", "€ {whole}.{cents}", "{whole},{cents} {currency}", "{currency}{whole}",
                "{whole},- €", "from $ {whole}", "C${whole}", "{whole} kr", "only {currency} {whole} each",
            ]
        ),
        min_size=1,
        max_size=3,
    ),
)  # fmt: skip
def test_what_is_written_stays(
    start: str, before: str, number: str, after: str, end: str, patterns: list[str]
) -> None:
    try:
        written = write_price(start + before + number + after + end, patterns)
    except SettingsError:
        return
    assert write_price(written, patterns) == written


@pytest.mark.parametrize(
    ("given", "patterns"),
    [
        *((given, EUROS) for given in ("$5", "5 USD", "39.95 SEK", "5 GBP", "39 kr")),
        *((given, EUROS) for given in ("39.00 KWD", "39.00 PKR", "39.00 ALL", "₡ 39", "XY$39", "EUR 39 $")),
        ("39.00 USD", ("C$ {whole}",)),
        ("39.00 CAD", ("$ {whole}",)),
        ("$39", ("A$ {whole}",)),
        ("¥ 39", ("CN¥ {whole}",)),
        ("39 kr", ("{whole} SEK",)),
        ("EUR 39 $", ("{currency} {whole}",)),
    ],
)
def test_another_currency_is_refused(given: str, patterns: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"the price {given!r} cannot be written")):
        write_price(given, patterns)


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
