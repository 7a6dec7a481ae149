"""Contrast of a text on what is behind it: WCAG's own numbers, the order of remedies, and that they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.errors import ContrastError
from cyclorama.types import Pixels
from cyclorama.typography.contrast import (
    choose_limit,
    compute_ratio,
    find_behind,
    get_luminance,
    make_legible,
    measure_contrast,
)
from cyclorama.typography.drawing import lay_over
from cyclorama.typography.fitting import SetText, fit_text
from cyclorama.typography.records import TextBlock, TypeStyle

CANVAS = (160, 200)
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 0, 0)


def _fit(size: float = 30.0, weight: int = 400) -> SetText:
    style = TypeStyle(max_size=size, weight=weight, anchor="middle", align="centre", min_x_height=0.001)
    return fit_text(TextBlock(words="Sale", style=style), (20, 20, 180, 140), CANVAS)


def _plain(colour: tuple[int, int, int]) -> Pixels:
    return np.full((*CANVAS, 3), colour, np.uint8)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        (WHITE, BLACK, 21.0),
        (WHITE, (119, 119, 119), 4.478),
        (WHITE, (118, 118, 118), 4.542),
        (RED, WHITE, 6.0766),
    ],
)
def test_ratios_are_wcags(one: tuple, other: tuple, ratio: float) -> None:
    assert compute_ratio(get_luminance(one), get_luminance(other)) == pytest.approx(ratio, abs=6e-4)
    assert compute_ratio(get_luminance(other), get_luminance(one)) == pytest.approx(ratio, abs=6e-4)


def test_the_worst_pixels_count_and_only_those_behind_the_text() -> None:
    pixels = _plain(BLACK)
    text = _fit()
    behind = find_behind(text, CANVAS)
    assert measure_contrast(pixels, behind, WHITE) == 21
    pixels[~behind] = 255
    assert measure_contrast(pixels, behind, WHITE) == 21
    rows, columns = np.nonzero(behind)
    few = rng_pick(len(rows), 0.05)
    pixels[rows[few], columns[few]] = 255
    assert measure_contrast(pixels, behind, WHITE) == pytest.approx(1, abs=0.1)


def rng_pick(count: int, share: float) -> np.ndarray:
    return np.random.default_rng(0).choice(count, int(np.ceil(share * count)), replace=False)


def test_what_is_behind_is_two_pixels_wider_than_the_glyphs() -> None:
    text = _fit()
    rows, columns = np.nonzero(find_behind(text, CANVAS))
    ink = text.ink
    assert (columns.min(), rows.min()) == (np.floor(ink[0]) - 2, np.floor(ink[1]) - 2)
    assert (columns.max(), rows.max()) == (np.ceil(ink[2]) + 1, np.ceil(ink[3]) + 1)


def test_large_text_needs_less() -> None:
    assert [choose_limit(_fit(size, weight), 160) for size, weight in ((10, 400), (11, 400), (9, 700))] == [
        4.5,
        3,
        3,
    ]


def test_remedies_come_in_order() -> None:
    text = _fit()
    assert make_legible(_plain((20, 20, 20)), text, [WHITE]).remedy == "none"
    changed = make_legible(_plain((240, 240, 240)), text, [WHITE, RED])
    assert (changed.remedy, changed.colour) == ("colour", RED)
    half = _plain((20, 20, 20))
    half[:, 100:] = (150, 150, 150)
    veiled = make_legible(half, text, [WHITE], limit=4.5)
    assert (veiled.remedy, veiled.colour) == ("scrim", WHITE)
    assert 0 < veiled.strength <= 0.35
    half[:, 100:] = 255
    plated = make_legible(half, text, [WHITE, RED], limit=4.5)
    assert (plated.remedy, plated.colour) == ("plate", WHITE)
    assert tuple(plated.patches[0].rgba[30, 30, :3]) == RED


def test_a_scrim_is_no_stronger_than_it_must_be_and_fades_out() -> None:
    half = _plain((20, 20, 20))
    half[:, 100:] = (150, 150, 150)
    found = make_legible(half, _fit(), [WHITE], limit=4.5)
    assert 4.5 <= found.ratio < 4.6
    alpha = found.patches[0].expand(CANVAS)[..., 3].astype(int)
    assert alpha.max() == round(255 * found.strength)
    assert np.abs(np.diff(alpha, axis=1)).max() <= 12
    assert alpha[0].max() == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([3.0, 4.5, 7.0, 15.0]))
def test_the_limit_holds_on_the_finished_image(seed: int, limit: float) -> None:
    chance = np.random.default_rng(seed)
    low, high = sorted(chance.integers(0, 256, 2))
    pixels = chance.integers(low, high + 1, (*CANVAS, 3)).astype(np.uint8)
    text = _fit()
    found = make_legible(pixels, text, [tuple(map(int, chance.integers(0, 256, 3)))], limit)
    below = lay_over(pixels, found.patches[:-1])
    ratio = measure_contrast(below, find_behind(text, CANVAS), found.colour)
    assert ratio == pytest.approx(found.ratio, rel=1e-6)
    assert ratio >= limit


def test_a_limit_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(ContrastError, match="21"):
        make_legible(_plain((128, 128, 128)), _fit(), [], limit=22)
