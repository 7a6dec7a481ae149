"""Frames and seams (``cyclorama.curate.borders``) on L*a*b* values that lie on the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.curate import borders
from cyclorama.curate.borders import Frame, find_frame, find_seam

TWO, FOUR, EIGHT = 2.0, 4.0, 8.0
"""What one colour may vary, a step, a strip's step."""


@pytest.fixture(autouse=True)
def values_are_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders, "to_lab", lambda values: np.asarray(values, np.float32))


def draw(height: int, width: int, seed: int = 0, depth: int = 3) -> Any:
    values = np.random.default_rng(seed).uniform(20, 80, (height, width, depth)).astype(np.float32)
    values[..., 3:] = 0
    return values


def find_strip(values: Any, max_share: float = 0.25, min_cover: float = 0.7) -> int:
    return borders._find_strip(values, max_share, min_cover)


def build_strip(width: int, height: int = 80) -> Any:
    """(height, 120, 4): rows of zeros, then 20 units off."""
    values = np.zeros((height, 120, 4), np.float32)
    values[width:, :, 0] = 20
    return values


def test_shares_are_of_the_side_that_a_strip_narrows() -> None:
    assert Frame(2, 0, 0, 5).measure_shares(10, 20) == {"top": 0.2, "right": 0.25}


def test_a_strip_is_at_most_its_share_wide() -> None:
    assert [find_strip(build_strip(width)) for width in (0, 1, 4, 19, 20, 21)] == [0, 1, 4, 19, 20, 0]
    assert [find_strip(build_strip(width), 0.01) for width in (2, 3)] == [2, 0]  # two rows are always allowed
    assert find_strip(build_strip(4, 6), 0.9) == 4


def test_a_strip_ends_where_three_in_ten_step_and_seven_in_ten_jump() -> None:
    values = build_strip(6)
    values[5, :36, 0] = FOUR
    assert find_strip(values) == 5
    values[5, 35, 0] = 0
    assert find_strip(values) == 6
    for jump, count, found in ((EIGHT, 70, 5), (EIGHT, 69, 0), (7.9, 70, 0)):
        values = build_strip(5)
        values[8, :, 0] = 0
        values[8, 10 : 10 + count, 0] = jump  # 10 at either end may be corners
        assert find_strip(values) == found
    values = build_strip(5)
    values[8, :40, 0] = 0  # 70 of the 100 between the corners, whatever these show
    assert find_strip(values) == 5


def test_a_strip_that_ends_at_the_products_outline_is_none() -> None:
    for value, count, found in ((0.5, 50, 5), (0.5, 51, 0), (0.49, 100, 5)):
        values = build_strip(5)
        values[8, 10 : 10 + count, 3] = value
        assert find_strip(values) == found
    values = build_strip(5)
    values[9, :, 3] = 1  # a fifth row on
    assert find_strip(values) == 5


def test_a_strip_is_plain_but_for_a_block_before_its_step() -> None:
    values = build_strip(20)
    values[4, :60, 0] = 3
    assert find_strip(values) == 20
    values[3, :60, 0] = 3
    assert find_strip(values) == 0
    values[3, :60, 0] = TWO
    assert find_strip(values) == 20
    assert borders._is_plain(np.full((2, 50), TWO)).tolist() == [True, True]
    assert not borders._is_plain(np.full(50, 2.01))


def test_surroundings_are_three_or_four_plain_sides_of_one_colour() -> None:
    values = np.full((200, 200, 3), 50, np.float32)
    sides, colour = borders._find_surroundings(values)
    assert sides == ["top", "bottom", "left", "right"] and colour.tolist() == [50] * 3
    values[-1, :, 0] += FOUR
    assert borders._find_surroundings(values)[0] == ["top", "left", "right"]
    values[-1, :, 0] += 40
    values[:, -1, 0] += FOUR
    assert borders._find_surroundings(values)[0] == []
    values[:, -1, 0] -= 0.01
    assert borders._find_surroundings(values)[0] == ["top", "left", "right"]
    values[0, :30] = 20
    assert borders._find_surroundings(values)[0] == []


def test_what_lies_between_bars_is_looked_at_by_itself() -> None:
    """A strip at the left that only the rows between two bars of a quarter show."""
    values = draw(192, 160)
    values[:, :9] = 50
    values[:48], values[-48:] = 5, 95
    assert find_frame(values) == Frame(48, 48, 9, 0)
    assert find_frame(values.swapaxes(0, 1)) == Frame(9, 0, 48, 48)
    assert find_frame(values[:, ::-1]) == Frame(48, 48, 0, 9)


def test_a_frame_of_one_colour_is_at_most_a_twelfth_wide() -> None:
    for width, found in ((20, Frame(20, 20, 20, 20)), (21, Frame())):
        values = np.full((240, 240, 3), 50, np.float32)
        values[width:-width, width:-width] = draw(240 - 2 * width, 240 - 2 * width) + 60
        assert find_frame(values) == found


def test_a_single_strip_beside_a_plain_colour_is_a_wall() -> None:
    def build(plain: int, near: int, height: int = 60) -> Any:
        values = draw(height, 100) + 100
        values[:6] = 30
        row = min(9, height - 1)
        values[row] = np.linspace(200, 300, 100)[:, None]
        values[row, :plain] = 250
        values[row, plain : plain + near] = [250 + FOUR, 250, 250]
        return values

    for plain, near, found in ((60, 0, 6), (61, 0, 0), (60, 10, 6), (55, 5, 6)):
        assert find_frame(build(plain, near)) == Frame(top=found), (plain, near)
    assert find_frame(build(60, 0, 8), max_share=0.9).top == 6


def build_step(row: int, height: int = 50, by: float = FOUR) -> Any:
    values = np.zeros((height, 40, 4), np.float32)
    values[row + 1 :, :, 0] = by
    return values


def test_a_line_is_a_step_of_four_half_again_as_high_as_those_near_it() -> None:
    assert borders._find_line(build_step(19), 0.12) == (20, 1)
    assert borders._find_line(build_step(19, by=3.99), 0.12) == (1, 0)
    for near, found in ((4.0, (20, 1)), (4.01, (1, 0))):
        values = build_step(19, by=near + 6)
        values[18:20, :, 0] = near
        assert borders._find_line(values, 0.12) == found
        assert borders._find_line(near + 6 - values[::-1], 0.12) == ((30, 1) if found[1] else (1, 0))


def test_lines_near_a_side_are_passed_over() -> None:
    rows = (5, 6, 43, 44)
    assert [borders._find_line(build_step(row), 0.12)[1] for row in rows] == [0, 1, 1, 0]
    assert [borders._find_line(build_step(row), 0.0)[1] for row in (0, 1)] == [0, 1]


def test_a_line_along_the_outline_is_none_from_more_than_half_on() -> None:
    for columns, found in ((19, (20, 1)), (20, (1, 0))):  # seen one column further
        values = build_step(19)
        values[20:, :columns, 3] = 0.5
        assert borders._find_line(values, 0.12) == found
    values = build_step(19)
    values[20:, :, 3] = 0.49
    assert borders._find_line(values, 0.12) == (20, 1)


def measure_likeness(values: Any, row: int) -> float:
    above, below = values[max(0, row - 2) : row + 1].mean(0), values[row + 1 : row + 4].mean(0)
    smooth = [ndimage.gaussian_filter1d(line.astype(float), 1.0, axis=0) for line in (above, below)]
    first, second = (line[1:] - line[:-1] for line in smooth)
    return float(abs((first * second).sum()) / np.sqrt((first**2).sum() * (second**2).sum()))


def median_off(colours: Any) -> float:
    return float(np.median(np.linalg.norm(colours - np.median(colours, axis=0), axis=1)))


def measure_variety(values: Any, row: int) -> tuple[float, float]:
    above, below = values[max(0, row - 2) : row + 1].mean(0), values[row + 1 : row + 4].mean(0)
    usual = np.linalg.norm(np.median(below - above, axis=0))
    step = median_off(below - above) / max(0.6 * usual, 4)
    return min(1.0, step), min(1.0, min(median_off(above), median_off(below)) / 6)


@pytest.mark.parametrize("row", [1, 10])
def test_likeness_and_variety_by_their_definition(row: int) -> None:
    values = draw(24, 60, row)
    values[: row + 1] += 10 * np.sin(np.arange(60) / 3)[:, None]
    values[row + 1 :] += 15 * np.sin(np.arange(60) / 3)[:, None]
    likeness = borders._measure_likeness(values, row)
    assert likeness == pytest.approx(measure_likeness(values, row), rel=1e-4) and 0.05 < likeness < 0.95
    assert borders._measure_likeness(np.zeros((9, 5, 3), np.float32), 4) == 0
    for scale, by in ((0.2, 40.0), (0.2, 1.0), (0.05, 0.0), (1.0, 0.0), (1.0, 200.0)):
        scaled = scale * values
        scaled[row + 1 :] += by
        expected = measure_variety(scaled, row)
        found = borders._measure_variety(scaled, row)
        assert found == pytest.approx(expected[0] * expected[1], rel=1e-4), (scale, by, expected)
    assert borders._measure_spread(values[0]) == pytest.approx(median_off(values[0]), rel=1e-5)


def test_a_score_is_the_cover_less_the_likeness() -> None:
    values = draw(50, 60, 3, 4)
    values[:] = values[:1]
    values[20:, :, :3] = 0.6 * values[:1, :, :3] + 0.4 * draw(1, 60, 4) + 100
    place, score = borders._find_line(values, 0.12)
    likeness = measure_likeness(values[..., :3], 19)
    assert place == 20 and 0.2 < likeness < 0.98 and score == pytest.approx(1 - likeness, rel=1e-4)
    seam = find_seam(values[..., :3])
    step, plainer = measure_variety(values[..., :3], 19)
    assert (seam.upright, seam.place) == (False, 20)
    assert seam.score == pytest.approx((1 - likeness) * step * plainer, rel=1e-4)
    turned = find_seam(values[..., :3].swapaxes(0, 1))
    assert (turned.upright, turned.place) == (True, 20)
    assert turned.score == pytest.approx(1 - likeness, rel=1e-4)


def test_what_stands_before_a_plain_backdrop_has_an_outline_and_no_seam() -> None:
    values = np.full((200, 200, 3), 50, np.float32)
    values[10:190, 60:120, 0] += FOUR
    assert find_seam(values).score == 0
    values[10:190, 60:120, 0] -= 0.01
    assert find_seam(values).score == 0  # nor is there a step
    values[10:190, 60:120, 0] += 20
    assert find_seam(values).score == 0
    assert find_seam(values, np.zeros((200, 200), np.float32)).score == pytest.approx(0.9)
