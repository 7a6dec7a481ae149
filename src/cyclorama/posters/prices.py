"""Prices as a brand writes them: "39.00 EUR" of a shop's feed becomes "€ 39"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclorama.errors import SettingsError

SYMBOLS = {
    "AUD": "A$", "BRL": "R$", "CAD": "C$", "CNY": "¥", "EUR": "€", "GBP": "£", "INR": "₹", "JPY": "¥",
    "KRW": "₩", "PLN": "zł", "RUB": "₽", "TRY": "₺", "UAH": "₴", "USD": "$", "VND": "₫",
}  # fmt: skip
"""ISO 4217 codes that are written as a sign."""
CODES = [
    "AED", "BGN", "CHF", "CLP", "COP", "CZK", "DKK", "EGP", "HKD", "HUF", "IDR", "ILS", "ISK",
    "KES", "MAD", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "QAR", "RON", "RSD", "SAR",
    "SEK", "SGD", "THB", "TWD", "ZAR",
]  # fmt: skip
"""Those that stay codes."""
SHORT = ["kr", "Kč", "Ft", "lei"]
"""Signs of several of them."""
_PARTS = ("whole", "cents", "currency")
_SIGN = "|".join(
    [
        rf"(?:{'|'.join([*SYMBOLS, *CODES])})\b",
        *map(re.escape, sorted(set(SYMBOLS.values()), key=len)[::-1]),
        rf"(?:{'|'.join(SHORT)})\b",
    ]
)
_NUMBER = r"(?<![\d.,])\d+(?:[.,'’\u00a0\u202f ]\d{3})*(?:[.,]\d{1,2})?(?![\d.,]*\d)"
_AMOUNT = re.compile(rf"(?:(?P<before>{_SIGN})\s?)?(?P<number>{_NUMBER})(?:\s?(?P<after>{_SIGN}))?")


def check_pattern(pattern: str) -> str:
    """``pattern`` itself. Raises ValueError if it is no way to write a price."""
    unknown = sorted(set(re.findall(r"\{([^}]*)\}", pattern)) - set(_PARTS))
    if unknown or "{whole}" not in pattern:
        raise ValueError("a pattern such as '€ {whole}' or '{whole},{cents} {currency}'")
    return pattern


def write_price(text: str, patterns: Sequence[str]) -> str:
    """``text`` with its amount in the first of ``patterns`` that says all of it; the words round it stay.

    What holds no amount or several ("free", "2 for 5 €") stays as it is. Raises SettingsError if every
    pattern would leave cents out or name another currency.
    """
    found = list(_AMOUNT.finditer(text))
    if not patterns or len(found) != 1:
        return text
    [amount] = found
    split = re.fullmatch(r"(.*)[.,](\d{1,2})", amount["number"])
    whole, cents = (split[1], split[2].ljust(2, "0")) if split else (amount["number"], "00")
    code = amount["before"] or amount["after"] or ""
    values = {"whole": whole, "cents": cents, "currency": SYMBOLS.get(code, code)}
    for pattern in patterns:
        named = "{currency}" in pattern or values["currency"] in pattern
        if named and ("{cents}" in pattern or cents == "00"):
            written = re.sub(r"\{(\w+)\}", lambda part: values[part[1]], pattern).strip()
            head, tail = pattern[: pattern.index("{")], pattern[pattern.rindex("}") + 1 :]
            before, after = text[: amount.start()].removesuffix(head), text[amount.end() :].removeprefix(tail)
            return before + written + after
    raise SettingsError(
        f"the price {text!r} cannot be written as the brand writes prices ({', '.join(patterns)}); "
        "add a pattern with {cents} or {currency}"
    )
