"""Directions, scripts, faces and breaks of a paragraph, against FriBidi and known cases of Unicode."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
from pathlib import Path
from random import Random

import pytest

from cyclorama.errors import EmojiError, FontFileError, MissingGlyphError, SettingsError, TextError
from cyclorama.typography import fonts
from cyclorama.typography.fonts import find_faces
from cyclorama.typography.itemise import (
    check_text,
    choose_faces,
    find_breaks,
    find_direction,
    find_scripts,
    order_characters,
)
from cyclorama.typography.records import Span, TextBlock


def _show(text: str, rtl: bool) -> str:
    ranks = [rank for rank, _ in order_characters(text, rtl)]
    return "".join(text[ranks.index(rank)] for rank in range(len(text)))


@pytest.mark.parametrize(
    ("text", "rtl", "shown"),
    [
        ("abc", False, "abc"),
        ("אבג", False, "גבא"),
        ("abc אבג def", False, "abc גבא def"),
        ("abc אבג def", True, "def גבא abc"),
        ("מחיר 1,299.50", True, "1,299.50 ריחמ"),
        ("אב (גד)", True, ")דג( בא"),  # the renderer mirrors the brackets
        ("a (בג) d", False, "a (גב) d"),
        ("خصم 50%", True, "%50 مصخ"),
    ],
)
def test_order_of_known_texts(text: str, rtl: bool, shown: str) -> None:
    assert _show(text, rtl) == shown


def test_direction_of_each_character() -> None:
    assert [odd for _, odd in order_characters("a אב 12", False)] == [
        False,
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_order_equals_fribidi() -> None:
    name = ctypes.util.find_library("fribidi")
    if name is None:
        pytest.skip("FriBidi is not installed (Debian: libfribidi0)")
    fribidi = ctypes.CDLL(name)
    chance = Random(3)
    pool = "abאבגخصم012 ,.()[]%€-+/\u200f\u200e"
    for number in range(400):
        isolated = number % 2 == 1
        text = (
            "".join(
                chance.choice(pool + "\u2067\u2068\u2069" * isolated) for _ in range(chance.randint(1, 24))
            )
            + "b" * isolated
        )  # spaces at the end, which lines do not draw, are not compared beside isolates
        rtl = chance.random() < 0.5
        codes = (ctypes.c_uint32 * len(text))(*map(ord, text))
        base = ctypes.c_uint32(0x111 if rtl else 0x110)  # FRIBIDI_PAR_RTL, FRIBIDI_PAR_LTR
        places = (ctypes.c_int * len(text))()
        levels = (ctypes.c_int8 * len(text))()
        fribidi.fribidi_log2vis(codes, len(text), ctypes.byref(base), None, places, None, levels)
        seen = [index for index, letter in enumerate(text) if letter not in "\u2067\u2068\u2069"]
        ours = order_characters(text, rtl)
        assert [ours[i][1] for i in seen] == [bool(levels[i] % 2) for i in seen], (text, rtl)
        assert sorted(seen, key=lambda i: ours[i][0]) == sorted(seen, key=lambda i: places[i]), (text, rtl)


@pytest.mark.parametrize(
    ("words", "language", "direction", "rtl"),
    [
        ("Sale", "ar", "auto", False),
        ("39 € خصم", "en", "auto", True),
        ("39 €", "ar", "auto", True),
        ("39 €", "de", "auto", False),
        ("Sale", "en", "rtl", True),
    ],
)
def test_direction_of_a_block(words: str, language: str, direction: str, rtl: bool) -> None:
    assert find_direction(TextBlock(words=words, language=language, direction=direction)) is rtl


def test_scripts_of_common_characters_are_their_neighbours() -> None:
    assert find_scripts("5 Bé, да!") == ["Latn"] * 6 + ["Cyrl"] * 3
    assert find_scripts("12") == ["Zyyy", "Zyyy"]


@pytest.mark.parametrize(
    ("text", "language", "pieces"),
    [
        ("Slow evenings", "en", ["Slow ", "evenings"]),
        ("well-made 24/7 €\u00a039", "en", ["well-", "made ", "24/7 ", "€\u00a039"]),
        ("Donau\u00addampf", "de", ["Donau\u00ad", "dampf"]),
        ("限时特惠。今日", "zh", ["限", "时", "特", "惠。", "今", "日"]),
        ("「特別」な", "ja", ["「特", "別」", "な"]),
        ("오늘만 할인", "ko", ["오늘만 ", "할인"]),
        ("ลดราคา\u200bวันนี้", "th", ["ลดราคา\u200b", "วันนี้"]),
        ("", "en", [""]),
    ],
)
def test_where_lines_may_break(text: str, language: str, pieces: list[str]) -> None:
    ends = find_breaks(text, language)
    assert [text[a:b] for a, b in zip((0, *ends), ends, strict=False)] == pieces


@pytest.mark.parametrize(
    "text", ["hot 🔥", "ok ❤\ufe0f", "1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea", "👩\u200d🍳"]
)
def test_emoji_are_refused_by_name(text: str) -> None:
    with pytest.raises(EmojiError, match=r"U\+[0-9A-F]+ .*take it out"):
        check_text(text)


@pytest.mark.parametrize("text", ["© 2026 ™ ®", "5 × 3 → ✓", "№ 5 ‰"])
def test_signs_are_no_emoji(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize("text", ["a\tb", "a\x00", "\ud800", "\ue000", "\uffff"])
def test_what_is_no_character_is_refused(text: str) -> None:
    with pytest.raises(TextError, match=r"U\+"):
        check_text(text)


def test_a_text_that_shows_nothing_is_refused() -> None:
    with pytest.raises(TextError, match="shows nothing"):
        check_text("\u200e \u2069")


@pytest.mark.parametrize("mark", ["\u202a", "\u202b", "\u202d", "\u202e", "\u202c", "\u2066", "\u2069"])
def test_direction_marks_are_followed_or_refused(mark: str) -> None:
    for text in (f"{mark}", f"a{mark}אב{mark}1", f"{mark}{mark}ab 12", f"אב, {mark}c\u202c{mark}"):
        for rtl in (False, True):
            try:
                order = order_characters(text, rtl)
            except TextError as error:
                assert "direction marks" in str(error)
            else:
                assert sorted(rank for rank, _ in order) == list(range(len(text)))


def test_a_missing_letter_is_named_with_the_fonts_tried() -> None:
    faces = find_faces(("sans",), 400)
    with pytest.raises(
        MissingGlyphError, match=r"U\+0E01 'ก' THAI CHARACTER KO KAI \(tried Noto Sans Regular\)"
    ):
        choose_faces("aก", [faces] * 2)


def test_faces_are_asked_in_order_and_signs_stay() -> None:
    serif, sans = find_faces(("serif",), 700)
    assert (serif.name, sans.name) == ("Noto Serif Bold", "Noto Sans Bold")
    assert choose_faces("a 1", [(serif, sans)] * 3) == [serif] * 3


def test_fonts_that_are_none_are_refused(tmp_path) -> None:
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    for source, problem in ((tmp_path / "bad.ttf", "no TrueType"), (tmp_path / "x.ttf", "no such file")):
        with pytest.raises(FontFileError, match=problem):
            find_faces((str(source),), 400)
    with pytest.raises(FontFileError, match="no font with outlines"):
        find_faces((str(tmp_path),), 400)


def test_blocks_are_checked() -> None:
    for words, problem in ((" \n", "the text is empty"), ("a" * 2001, "2001 characters")):
        with pytest.raises(SettingsError, match=problem):
            TextBlock(words=words)


def test_the_text_is_composed_and_its_line_ends_alike() -> None:
    assert TextBlock(words="Cafe\u0301\r\nb\u2028c").text == "Café\nb\nc"
    assert TextBlock(words=(Span(text="39"), Span(text="99", scale=0.5))).text == "3999"


def test_a_file_alone_says_how_heavy_the_letters_it_lacks_are(tmp_path) -> None:
    bold = Path(fonts.__file__).parents[1] / "weights" / "fonts" / "NotoSerif-Bold.ttf"
    assert [face.name for face in find_faces((str(bold),), 400)] == ["Noto Serif Bold", "Noto Sans Bold"]


def test_files_of_one_family_given_singly_are_one_family(tmp_path) -> None:
    source = Path(fonts.__file__).parents[1] / "weights" / "fonts"
    given = ("sans", str(source / "NotoSerif-Regular.ttf"), str(source / "NotoSerif-Bold.ttf"))
    for sources in (given, (given[0], given[2], given[1])):
        assert [face.name for face in find_faces(sources, 700)] == ["Noto Sans Bold", "Noto Serif Bold"]
        assert [face.name for face in find_faces(sources, 400)] == ["Noto Sans Regular", "Noto Serif Regular"]


def test_of_a_folder_the_families_named_like_the_first_come_first(tmp_path) -> None:
    source = Path(fonts.__file__).parents[1] / "weights" / "fonts"
    for name in ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf", "NotoSerif-Bold.ttf", "PROVENANCE.md"):
        shutil.copy(source / name, tmp_path / name)
    (tmp_path / "broken.ttf").write_bytes(b"no font")  # left out, for it was not asked for by name
    found = [face.name for face in find_faces((str(tmp_path),), 800)]
    assert found == ["Noto Sans Bold", "Noto Serif Bold", "Noto Sans Bold"]


def test_the_systems_fonts_come_after_the_bundled_sans() -> None:
    try:
        found = find_faces(("system",), 400)
    except FontFileError:
        pytest.skip("this machine has no fonts of its own")
    assert found[0].name == "Noto Sans Regular"
