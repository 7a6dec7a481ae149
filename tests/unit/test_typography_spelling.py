"""The proof of spelling: it passes what is whole, in twelve scripts, and sees what is lost."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.errors import CycloramaError, MissingGlyphError, SpellingError
from cyclorama.typography.fitting import SetText, fit_text
from cyclorama.typography.fonts import find_faces
from cyclorama.typography.proof import check_spelling, find_reachable, read_back
from cyclorama.typography.records import TextBlock, TypeStyle
from cyclorama.typography.shaping import Glyph, shape_text
from phrases import CJK, FONTS, NEEDED, NOTO, list_texts

CANVAS = (1350, 1080)
needs_fonts = pytest.mark.skipif(not (NOTO.is_dir() and CJK.is_file()), reason=NEEDED)


def _fit(words: str, language: str = "en", font: str = "sans") -> SetText:
    block = TextBlock(words=words, language=language, style=TypeStyle(fonts=(font,), min_x_height=0.001))
    return fit_text(block, (90, 80, 990, 430), CANVAS)


@needs_fonts
@pytest.mark.parametrize("script", FONTS)
def test_every_text_is_proved(script: str) -> None:
    """40 a script here; 10,000 by ``benchmarks/typography.py spelling``."""
    language, font = FONTS[script]
    for words in list_texts(script, 40):
        text = _fit(words, language, str(font))  # proves it, or raises
        assert read_back(text.lines, text.block.text) == text.block.text


def _replace_run(text: SetText, glyphs: list[Glyph]) -> tuple:
    (run,) = text.lines[0].runs
    return (replace(text.lines[0], runs=(replace(run, glyphs=tuple(glyphs)),)),)


def test_a_lost_glyph_a_strange_one_and_a_box_are_seen() -> None:
    text = _fit("Sale")
    glyphs = list(text.lines[0].runs[0].glyphs)
    check_spelling(text.block, _replace_run(text, glyphs))
    other = _fit("O").lines[0].runs[0].glyphs[0].number
    for wrong, error in (
        (glyphs[1:], SpellingError),
        ([], SpellingError),
        (glyphs[:1] + glyphs[2:], SpellingError),
        (glyphs[:-1], SpellingError),
        ([glyphs[0]._replace(number=other), *glyphs[1:]], SpellingError),
        ([glyphs[0]._replace(number=0), *glyphs[1:]], MissingGlyphError),
        ([glyphs[1], glyphs[0], *glyphs[2:]], SpellingError),
    ):
        with pytest.raises(error):
            check_spelling(text.block, _replace_run(text, wrong))


def test_a_lost_line_is_seen() -> None:
    text = _fit("one\ntwo\nthree")
    for lines in (text.lines[:2], text.lines[1:], (text.lines[0], text.lines[2])):
        with pytest.raises(SpellingError, match="do not give back"):
            check_spelling(text.block, lines)


def test_glyphs_come_from_the_letters_of_their_cluster() -> None:
    (serif, _) = find_faces(("serif",), 400)
    number = serif.font.get_nominal_glyph
    assert number(ord("f")) in find_reachable(serif, "ffi")
    assert number(ord("g")) not in find_reachable(serif, "ffi")
    assert number(ord(")")) in find_reachable(serif, "(")
    ligature = _fit("ffi", font="serif").lines[0].runs[0].glyphs
    assert len(ligature) == 1
    assert ligature[0].number in find_reachable(serif, "ffi")
    assert ligature[0].number not in find_reachable(serif, "fl")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF), min_size=1, max_size=12))
def test_any_text_is_proved_or_refused_by_name(words: str) -> None:
    try:
        text = _fit(words)
    except CycloramaError:
        return
    assert read_back(text.lines, text.block.text) == text.block.text
    assert len(text.ink) == 4


@needs_fonts
def test_an_incomplete_syllable_is_refused() -> None:
    with pytest.raises(SpellingError, match=r"U\+093F.*incomplete syllable"):
        _fit("ि क", "hi", str(FONTS["devanagari"][1]))


@needs_fonts
def test_a_variation_that_the_font_does_not_have_is_no_silent_loss() -> None:
    with pytest.raises(MissingGlyphError, match="U\\+FE02|U\\+E01"):
        _fit("春\U000e01ee", "ja", str(CJK))


@needs_fonts
def test_glyph_runs_equal_hb_shape() -> None:
    """200 texts of twelve scripts against HarfBuzz's own command."""
    command = shutil.which("hb-shape")
    if command is None:
        pytest.skip("hb-shape is not installed (Debian: libharfbuzz-bin)")
    for number, (script, (language, font)) in enumerate(FONTS.items()):
        texts = list(list_texts(script, 200 // len(FONTS) + (number < 200 % len(FONTS)), seed=1))
        (face, *_) = find_faces((str(font),), 400)
        rtl = script in ("hebrew", "arabic")
        tag = face_script(texts)
        options = [f"--direction={'rtl' if rtl else 'ltr'}", f"--script={tag}", f"--language={language}"]
        done = subprocess.run(
            [command, str(font), *options, "--no-glyph-names"],
            input="\n".join(texts), capture_output=True, text=True, check=True,
        )  # fmt: skip
        for text, line in zip(texts, done.stdout.splitlines(), strict=True):
            shaped = shape_text(face, text, (0, len(text)), (rtl, tag, language))
            assert "[" + "|".join(_write(*glyph) for glyph in shaped) + "]" == line, text


def _write(number: int, cluster: int, advance: int, dx: int, dy: int) -> str:
    place = f"@{dx},{dy}" if dx or dy else ""
    return f"{number}={cluster}{place}+{advance}"


def face_script(texts: list[str]) -> str:
    from cyclorama.typography.itemise import find_scripts

    return max(scripts := find_scripts("".join(texts)), key=scripts.count)
