"""Texts in boxes: as large as they can be, whole, and refused by name where they cannot."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.errors import MissingGlyphError, TextFitError, UnbreakableWordError
from cyclorama.typography.fitting import STEP, SetText, fit_text, measure_widths
from cyclorama.typography.records import Span, TextBlock, TypeStyle

CANVAS = (1350, 1080)
WORDS = ("Slow", "evenings", "für", "größte", "Άλφα", "Скидка", "39", "€", "fjord")
BOX = (100.0, 80.0, 700.0, 330.0)


def _fit(
    words: object, box: tuple[float, float, float, float] = BOX, language: str = "en", **style: object
) -> SetText:
    return fit_text(TextBlock(words=words, language=language, style=TypeStyle(**style)), box, CANVAS)


def _lines(text: SetText) -> list[str]:
    return [line.text for line in text.lines]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=9),
    st.integers(60, 900),
    st.integers(30, 700),
    st.sampled_from(["start", "centre", "end"]),
    st.sampled_from(["top", "middle", "bottom"]),
)
def test_a_text_is_whole_inside_its_box_and_as_large_as_it_can_be(
    words, width, height, align, anchor
) -> None:
    text, box = " ".join(words), (50.0, 40.0, 50.0 + width, 40.0 + height)
    style = {"align": align, "anchor": anchor, "min_x_height": 0.001}
    try:
        done = _fit(text, box, **style)
    except TextFitError:
        return
    left, top, right, bottom = done.ink
    assert box[0] - 1e-3 <= left <= right <= box[2] + 1e-3
    assert box[1] - 1e-3 <= top <= bottom <= box[3] + 1e-3
    assert " ".join(_lines(done)) == text
    assert done.size % STEP == 0
    larger = _fit(text, (0, 0, 10 * width, 10 * height), **style, max_size=done.size + STEP)
    assert larger.size == done.size + STEP
    with pytest.raises(TextFitError):  # at the next half pixel it would leave the box
        _fit(text, box, **{**style, "min_x_height": (done.size + STEP / 2) * 0.536 / min(CANVAS)})


def test_lines_are_even_and_no_word_stands_alone() -> None:
    box = (0.0, 0.0, 11.5 * 40, 300.0)  # four words fit the first line, so that the fifth would stand alone
    assert _lines(_fit("nnnn nnnn nnnn nnnn nnnn", box, max_size=40.0)) == ["nnnn nnnn nnnn", "nnnn nnnn"]


def test_line_ends_of_the_text_are_kept() -> None:
    assert _lines(_fit("Slow\nevenings")) == ["Slow", "evenings"]
    assert _lines(_fit("Slow\n\nevenings")) == ["Slow", "", "evenings"]


@pytest.mark.parametrize(
    ("align", "direction", "side"),
    [("start", "ltr", 0), ("end", "ltr", 2), ("start", "rtl", 2), ("end", "rtl", 0)],
)
def test_outlines_stand_on_the_side_they_are_aligned_to(align: str, direction: str, side: int) -> None:
    block = TextBlock(words="Nine\nTy", direction=direction, style=TypeStyle(align=align, max_size=40.0))
    text = fit_text(block, BOX, CANVAS)
    for line, (x, _) in zip(text.lines, text.origins, strict=True):
        assert line.ink is not None
        assert x + line.ink[side] * text.size == pytest.approx(BOX[side])


def test_centred_and_anchored() -> None:
    text = _fit("HH", align="centre", anchor="bottom", max_size=40.0)
    left, top, right, bottom = text.ink
    assert (left + right) / 2 == pytest.approx((BOX[0] + BOX[2]) / 2)
    assert bottom == pytest.approx(BOX[3])
    assert bottom - top == pytest.approx(0.714 * 40)


def test_lines_do_not_touch() -> None:
    text = _fit("gggg\nÂÅÂÅ\ngggg", line_height=0.8, max_size=60.0)
    ends = [
        (y + line.ink[1] * 60, y + line.ink[3] * 60)
        for line, (_, y) in zip(text.lines, text.origins, strict=True)
        if line.ink is not None
    ]
    assert all(below[0] - above[1] >= 0.03 * 60 for above, below in pairwise(ends))


def test_a_soft_hyphen_shows_only_where_a_line_breaks() -> None:
    word = "Donaudampf\u00adschifffahrt"
    assert _lines(_fit(word, (0, 0, 300, 200), "de", max_size=40.0)) == ["Donaudampf-", "schifffahrt"]
    whole = _fit(word, (0, 0, 600, 60), "de", max_size=40.0)
    plain = _fit("Donaudampfschifffahrt", (0, 0, 600, 60), "de", max_size=40.0)
    assert whole.lines[0].advance == plain.lines[0].advance


def test_the_cents_of_a_price_are_small_and_end_with_the_capitals() -> None:
    text = _fit((Span(text="39"), Span(text="99", scale=0.5, raised=True)), max_size=100.0)
    large, small = text.lines[0].runs
    assert (large.scale, small.scale) == (1, 0.5)
    assert small.glyphs[0].y == pytest.approx(-0.714 / 2)


def test_kerning_and_ligatures_are_the_fonts() -> None:
    pair, one, other = (_fit(words, max_size=40.0).lines[0].advance for words in ("AV", "A", "V"))
    assert pair < one + other - 0.02
    assert len(_fit("office", fonts=("serif",)).lines[0].runs[0].glyphs) < len("office")


def test_a_text_that_is_too_long_says_what_fits() -> None:
    with pytest.raises(TextFitError, match=r"the text has 199 characters, \d+ fit a box of 300 x 60 pixels"):
        _fit("word " * 39 + "last", (0, 0, 300, 60))


def test_a_word_that_is_too_wide_is_named() -> None:
    with pytest.raises(
        UnbreakableWordError, match=r"'Donaudampfschifffahrt' is \d+ pixels wide.*soft hyphen"
    ):
        _fit("die Donaudampfschifffahrt", (0, 0, 120, 400))


def test_a_box_that_is_too_low_is_named() -> None:
    with pytest.raises(TextFitError, match="not one line"):
        _fit("Sale", (0, 0, 300, 5))


def test_a_missing_letter_is_named() -> None:
    with pytest.raises(MissingGlyphError, match=r"U\+6625 '春'"):
        _fit("Spring 春")


@pytest.mark.parametrize(
    "words", ["Slow evenings", "Single malt whisky, aged twelve years", "€ 39", "a b c d e f g"]
)
def test_widths_are_those_of_the_best_of_all_ways_to_break(words: str) -> None:
    parts = words.split()

    def measure(line: str) -> float:
        return measure_widths(TextBlock(words=line), 1)[0]

    found = measure_widths(TextBlock(words=words), 4)
    for count, width in enumerate(found, 1):
        ways = itertools.combinations(range(1, len(parts)), min(count, len(parts)) - 1)
        best = min(
            max(measure(" ".join(parts[a:b])) for a, b in itertools.pairwise((0, *way, len(parts))))
            for way in ways
        )
        assert width == pytest.approx(best, rel=2e-3), count
    assert list(found) == sorted(set(found), reverse=True)


def test_widths_keep_line_ends_of_the_text_and_long_texts_are_quick() -> None:
    assert measure_widths(TextBlock(words="two\nlines of text"), 2)[0] == math.inf
    long = measure_widths(TextBlock(words="many words " * 60), 3)
    assert long[2] < long[0] / 2.8


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            "Whole milk, never homogenised",
            ["Whole milk,", "never", "homogenised"],
        ),  # as narrow as the other way
        ("Small, quiet, always with you", ["Small, quiet,", "always with you"]),
        ("Fig, a long walk home", ["Fig, a long", "walk home"]),  # a pause is not worth a line of one word
    ],
)
def test_lines_end_at_a_pause_where_they_are_as_wide(words: str, lines: list[str]) -> None:
    block = TextBlock(words=words)  # type: ignore[arg-type]
    wide = measure_widths(block, 3)[len(lines) - 1]
    found = fit_text(block, (0, 0, 40 * wide + 1, 40 * 1.5 * len(lines)), (600, 600))
    assert [words[line.start : line.end].strip() for line in found.lines] == lines
