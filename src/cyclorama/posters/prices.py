"""Prices as a brand writes them: "39.00 EUR" of a shop's feed becomes "€ 39"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclorama.errors import SettingsError

CODES = (
    "AED AFN AMD AOA ARS AUD AWG AZN BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GHS GIP GMD GNF GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL "
    "LYD MAD MDL MGA MKD MMK MNT MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP "
    "PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SRD SSP STN SYP SZL THB TJS TMT TND "
    "TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG "
)
"""ISO 4217's codes."""
SYMBOLS = {
    "AUD": "A$", "BRL": "R$", "CAD": "C$", "CNY": "¥", "EUR": "€", "GBP": "£", "INR": "₹", "JPY": "¥",
    "KRW": "₩", "PLN": "zł", "RUB": "₽", "TRY": "₺", "UAH": "₴", "USD": "$", "VND": "₫",
}  # fmt: skip
"""Those of them that are written as a sign."""
WORDS = ["ALL", "BAM", "CUP", "GEL", "MOP", "SOS", "TOP"]
"""Codes that are words as well; they count at a text's end."""
SIGNS = {
    "A$": ["AUD"], "AU$": ["AUD"], "R$": ["BRL"], "C$": ["CAD"], "CA$": ["CAD"], "HK$": ["HKD"],
    "MX$": ["MXN"], "Mex$": ["MXN"], "NZ$": ["NZD"], "S$": ["SGD"], "SG$": ["SGD"], "NT$": ["TWD"],
    "$": ["USD"], "US$": ["USD"], "¥": ["CNY", "JPY"], "CN¥": ["CNY"], "JP¥": ["JPY"], "€": ["EUR"],
    "£": ["GBP"], "₪": ["ILS"], "₹": ["INR"], "₩": ["KRW"], "₦": ["NGN"], "₱": ["PHP"], "₽": ["RUB"],
    "฿": ["THB"], "₺": ["TRY"], "₴": ["UAH"], "₫": ["VND"],
}  # fmt: skip
"""What a sign says; one with other letters before it is a currency of its own."""
SHORT = {
    "kr": ["DKK", "ISK", "NOK", "SEK"], "Kč": ["CZK"], "Ft": ["HUF"], "lei": ["MDL", "RON"], "zł": ["PLN"],
    "Euro": ["EUR"], "EURO": ["EUR"], "euro": ["EUR"], "euros": ["EUR"],
}  # fmt: skip
"""What a sign of letters says."""
_SAID = SIGNS | SHORT
_PARTS = ("whole", "cents", "currency")
_LETTER = r"[^\W\d_]"
_SIGN = (
    rf"(?:(?<!{_LETTER})(?:{'|'.join([*CODES.split(), *SHORT])})(?!{_LETTER})"
    rf"|(?<!{_LETTER})(?:{'|'.join(WORDS)})(?=\s*$)"
    rf"|(?:(?<!{_LETTER})[A-Za-z]{{1,3}})?[$£¤¥֏؋৳฿៛﷼\u20a0-\u20cf])"
)
_NUMBER = r"(?<![\d.,])\d+(?:[.,'’\u00a0\u202f ]\d{3})*(?:[.,]\d{1,2})?(?![\d.,]*\d)"
_ROUND = r"(?:[.,][-–—]{1,2})?"
_AMOUNT = re.compile(
    rf"(?:(?P<before>{_SIGN})\.?\s*|(?<!{_LETTER}))(?P<number>(?>{_NUMBER})){_ROUND}"
    rf"(?:\s*(?P<after>{_SIGN})|(?!{_LETTER}))(?!\s*[%‰])"
)


def check_pattern(pattern: str) -> str:
    """``pattern`` itself. Raises ValueError if it is no way to write a price."""
    unknown = sorted(set(re.findall(r"\{([^}]*)\}", pattern)) - set(_PARTS))
    if unknown or "{whole}" not in pattern:
        raise ValueError("a pattern such as '€ {whole}' or '{whole},{cents} {currency}'")
    return pattern


def write_price(text: str, patterns: Sequence[str]) -> str:
    """``text`` with its amount in the first of ``patterns`` that says all of it; the words round it stay.

    What holds no amount or several ("free", "20 % off", "2 for 5 €") stays as it is. Raises SettingsError if
    every pattern would leave cents out or name another currency.
    """
    found = list(_AMOUNT.finditer(text))
    if not patterns or len(found) != 1:
        return text
    [amount] = found
    split = re.fullmatch(r"(.*)[.,](\d{1,2})", amount["number"])
    whole, cents = (split[1], split[2].ljust(2, "0")) if split else (amount["number"], "00")
    currency, said = _read_currency([sign for sign in (amount["before"], amount["after"]) if sign])
    values = {"whole": whole, "cents": cents, "currency": currency}
    for pattern in patterns:
        signs = re.findall(_SIGN, re.sub(r"\{\w+\}", " ", pattern))
        says = "{currency}" in pattern or said <= {code for sign in signs for code in _SAID.get(sign, [sign])}
        if (not currency or (said and says)) and ("{cents}" in pattern or cents == "00"):
            if not currency:
                pattern = re.sub(r"\{currency\}\s?", "", pattern)
            written = re.sub(r"\{(\w+)\}", lambda part: values[part[1]], pattern).strip()
            head = re.sub(rf"{_SIGN}\.?\s*$", "", pattern[: pattern.index("{")])
            tail = re.sub(rf"^{_ROUND}\s*{_SIGN}", "", pattern[pattern.rindex("}") + 1 :])
            before, after = text[: amount.start()].removesuffix(head), text[amount.end() :].removeprefix(tail)
            return before + written + after
    raise SettingsError(
        f"the price {text!r} cannot be written as the brand writes prices ({', '.join(patterns)}); "
        "add a pattern with {cents} or {currency}"
    )


def _read_currency(signs: Sequence[str]) -> tuple[str, set[str]]:
    """What an amount's currency is written as, and the codes it may mean: none, if its ``signs`` differ."""
    if not signs:
        return "", set()
    if len(signs) == 1:
        said = set(_SAID.get(signs[0], signs))
    else:  # "$ 39 CAD": the sign of several
        may = [{code for other in _SAID if other.endswith(sign) for code in _SAID[other]} for sign in signs]
        said = set.intersection(*(codes or {sign} for codes, sign in zip(may, signs, strict=True)))
    name = next((sign for sign in signs if sign in CODES.split()), signs[0])
    return SYMBOLS.get(name, name), said
