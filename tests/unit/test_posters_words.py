"""The words of a texts' file and of a brand's are what stands there, and all else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclorama.errors import ConfigError, SettingsError
from cyclorama.posters.words import PosterBrand, check_wordings, read_brand, read_wordings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "mapping"),
        ({"headline": ""}, "say nothing"),
        ({"en": {"head": "x"}}, "no roles"),
        ({"english!": {"headline": "x"}}, "neither a role"),
        ({"en": {"headline": "x"}, "de": {"price": "x"}}, "say different things"),
        ({"en": "x"}, "roles with their words"),
    ],
)
def test_words_that_are_none_are_refused(values: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        check_wordings(values)
    path = tmp_path / "texts.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(SettingsError, match="texts.yaml"):
        read_wordings(path)


@pytest.mark.parametrize(
    ("text", "wordings"),
    [
        ("headline: Yes\nprice: 39.90", {"en": {"headline": "Yes", "price": "39.90"}}),
        ("headline: 12:30\nprice: 1_000", {"en": {"headline": "12:30", "price": "1_000"}}),
        ("no:\n  headline: No", {"no": {"headline": "No"}}),
        ("language: no\nheadline: On\nlegal: 2024-05-01", {"no": {"headline": "On", "legal": "2024-05-01"}}),
        ("de: &same\n  price: 0x10\nen: *same", {"de": {"price": "0x10"}, "en": {"price": "0x10"}}),
        ("de: &same\n  price: 007\nen:\n  <<: *same", {"de": {"price": "007"}, "en": {"price": "007"}}),
        ('{"headline": "true", "price": 1.50}', {"en": {"headline": "true", "price": "1.50"}}),
    ],
)
def test_words_are_taken_as_they_are_written(text: str, wordings: Any, tmp_path: Path) -> None:
    (tmp_path / "texts.yaml").write_text(text)
    assert read_wordings(tmp_path / "texts.yaml") == wordings


@pytest.mark.parametrize("nothing", ["", "~", "null", "''", "' '"])
def test_what_is_empty_in_a_file_still_says_nothing(nothing: str, tmp_path: Path) -> None:
    (tmp_path / "texts.yaml").write_text(f"headline: {nothing}")
    with pytest.raises(SettingsError, match=r"\['headline'\] say nothing"):
        read_wordings(tmp_path / "texts.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"headline": ["Slow", "evenings"]}, r"texts: en: headline is \['Slow', 'evenings'\]; give .* text"),
        ({"headline": {"a b": "Slow"}}, r"headline is \{'a b': 'Slow'\}; give its words as one text"),
        (
            {"headline": {"en": "Slow", "de": "Ruhig"}},
            r"headline holds languages \(en, de\); languages stand above roles",
        ),
        ({"de": {"headline": "Ruhig", "price": 39.9}}, r"de: price is 39.9; give its words as one text"),
        ({"headline": True}, "headline is True"),
        ({"headline": 0}, "headline is 0"),
        ({"headline": "Slow", "language": 3}, "3 is neither a role"),
        ({False: {"headline": "Slow"}}, "False is neither a role"),
    ],
)
def test_words_that_are_no_text_are_refused(values: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_wordings(values)


def test_a_brands_words_are_taken_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "brand.yaml").write_text("avoid: [no, 1.50, 100]\naccent: ~\nlogo:\nprice: '{whole}'\n")
    brand = read_brand(tmp_path / "brand.yaml")
    assert brand == PosterBrand(avoid=("no", "1.50", "100"), price="{whole}")
    (tmp_path / "brand.yaml").write_text("panel: [1, 2, 3]\nprice: 39\n")
    with pytest.raises(ConfigError, match="a pattern such as"):
        read_brand(tmp_path / "brand.yaml")
    (tmp_path / "brand.yaml").write_text("panel: [1, 2, 3]\n")
    assert read_brand(tmp_path / "brand.yaml").panel == (1, 2, 3)


@pytest.mark.parametrize("name", ["fonts", "headline_fonts"])
def test_a_brands_fonts_lie_beside_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shop, outside = tmp_path / "shop", tmp_path / "outside"
    (shop / "faces").mkdir(parents=True)
    outside.mkdir()
    for file in (shop / "own.ttf", outside / "other.ttf"):
        file.write_bytes(b"font")
    (shop / "brand.yaml").write_text(
        f"{name}: [own.ttf, faces, serif, system, sans, {outside / 'other.ttf'}]"
    )
    expected = [str(Path("shop/own.ttf")), str(Path("shop/faces")), "serif", "system", "sans"]
    assert getattr(read_brand(Path("shop/brand.yaml")), name) == (*expected, str(outside / "other.ttf"))
    (tmp_path / "here.ttf").write_bytes(b"font")
    (shop / "brand.yaml").write_text(f"{name}: [own.ttf, here.ttf, {outside / 'gone.ttf'}]")
    with pytest.raises(SettingsError) as caught:
        read_brand(Path("shop/brand.yaml"))
    missing = f"{Path('shop/here.ttf')}, {outside / 'gone.ttf'}"
    assert str(caught.value).startswith(f"{Path('shop/brand.yaml')}: {missing} is not there; paths are rel")


@pytest.mark.parametrize("name", ["logo", "style"])
def test_a_file_of_a_brand_that_is_missing_is_refused(name: str, tmp_path: Path) -> None:
    for value in ("gone.png", str(tmp_path / "gone.png")):
        (tmp_path / "brand.yaml").write_text(f"{name}: {value}")
        with pytest.raises(SettingsError, match=r"gone.png is not there"):
            read_brand(tmp_path / "brand.yaml")
