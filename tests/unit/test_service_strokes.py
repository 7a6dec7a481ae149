"""Strokes on a matte, beside other libraries' drawing of the same shapes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk, polygon2mask

from cyclorama.service.schemas import Stroke
from cyclorama.service.strokes import cover_area, cover_line, draw_strokes

SIZE = (80, 120)
PIXELS = np.zeros((*SIZE, 3), np.uint8)
EMPTY = np.zeros(SIZE, np.float32)


def paint(stroke: Stroke) -> npt.NDArray[np.float32]:
    """Where the stroke covers an image of SIZE."""
    cover, window = (cover_area if stroke.tool == "lasso" else cover_line)(stroke, SIZE)
    whole = EMPTY.copy()
    whole[window] = cover
    return whole


def measure_by_hand(points: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """The distance of each pixel's middle to the line, by complex numbers: real part along a piece, imaginary
    part across it."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    middles = columns + 1j * rows
    corners = [complex(*point) for point in points]
    found = [np.abs(middles - corner) for corner in corners]
    for a, b in pairwise(corners):
        if abs(b - a) > 1e-9:  # a shorter piece is its corners
            turned = (middles - a) / (b - a)
            beside = (turned.real > 0) & (turned.real < 1)
            found.append(np.where(beside, np.abs(turned.imag) * abs(b - a), np.inf))
    return np.asarray(np.min(found, axis=0))


def test_a_dot_is_a_disk() -> None:
    found = paint(Stroke(tool="add", radius=20, points=[(60.5, 40.5)]))
    inside = np.zeros(SIZE, bool)
    inside[disk((40, 60), 20, shape=SIZE)] = True
    assert ((found > 0.5) == inside).all()
    assert found.sum() == pytest.approx(math.pi * 20**2, rel=0.002)
    assert set(np.unique(found[38:43, 58:63])) == {1}


@pytest.mark.parametrize("hardness", [0.0, 0.5, 1.0])
def test_a_line_falls_off_with_its_distance(hardness: float) -> None:
    points = [(10.0, 15.0), (70.0, 60.0), (100.0, 20.0)]
    found = paint(Stroke(tool="add", radius=9, hardness=hardness, points=points))
    inner = min(9 * hardness, 8.5)
    expected = np.clip((max(9, inner + 1) - measure_by_hand(points)) / (max(9, inner + 1) - inner), 0, 1)
    assert np.abs(found - expected).max() < 0.02


@settings(max_examples=25, deadline=None)
@given(points=st.lists(st.tuples(st.floats(-20, 140), st.floats(-20, 100)), min_size=3, max_size=9))
def test_a_lasso_encloses_what_a_polygon_does(points: list[tuple[float, float]]) -> None:
    found = paint(Stroke(tool="lasso", points=points))
    corners = np.array([(y - 0.5, x - 0.5) for x, y in points])
    expected = polygon2mask(SIZE, corners)
    sure = measure_by_hand([*points, points[0]]) > 0.75
    assert ((found > 0.5) == expected)[sure].all()


def test_a_lasso_covers_its_area() -> None:
    found = paint(Stroke(tool="lasso", points=[(10.25, 10.5), (50.75, 10.5), (50.75, 40.25), (10.25, 40.25)]))
    assert found.sum() == pytest.approx(40.5 * 29.75, rel=0.002)
    assert found[20, 10] == pytest.approx(0.75)


def test_add_and_erase() -> None:
    line = [(20.0, 40.0), (100.0, 40.0)]
    added, notes = draw_strokes(EMPTY, PIXELS, [Stroke(tool="add", radius=8, points=line)])
    assert notes == ()
    assert EMPTY.max() == 0, "what is given stays"
    erased, _ = draw_strokes(added, PIXELS, [Stroke(tool="erase", radius=8, points=line)])
    assert erased[added == 1].max() == 0
    assert ((erased > 0) <= ((added > 0) & (added < 1))).all()
    half, _ = draw_strokes(added, PIXELS, [Stroke(tool="erase", radius=20, points=[(20.0, 40.0)])])
    assert (half[:, 42:] == added[:, 42:]).all(), "nothing changes out of reach"


def test_strokes_over_each_other_only_add() -> None:
    rng = np.random.default_rng(5)
    given_matte = rng.random(SIZE, dtype=np.float32)
    strokes = [
        Stroke(tool="add", radius=r, hardness=0, points=[tuple(p) for p in rng.uniform(0, 80, (5, 2))])
        for r in (3, 30)
    ]
    found, _ = draw_strokes(given_matte, PIXELS, strokes)
    assert (found >= given_matte).all()
    assert found.max() <= 1
    again, _ = draw_strokes(given_matte, PIXELS, strokes)
    assert found.tobytes() == again.tobytes()


@pytest.mark.parametrize("tool", ["add", "erase", "lasso", "refine"])
def test_outside_of_the_image_is_said(tool: str) -> None:
    stroke = Stroke(tool=tool, radius=5, points=[(-90.0, -90.0), (-80.0, -90.0), (-85.0, -80.0)])
    found, notes = draw_strokes(EMPTY, PIXELS, [stroke])
    assert (found == EMPTY).all()
    assert notes == ("stroke 1 lies outside of the image",)


def test_refining_finds_the_edge_again() -> None:
    """A disk whose matte was drawn too large: matting under a stroke along the edge puts it right there."""
    rows, columns = np.mgrid[:160, :160] + 0.5
    truth = np.clip(50.5 - np.hypot(rows - 80, columns - 80), 0, 1).astype(np.float32)
    rng = np.random.default_rng(1)
    pixels = np.rint(
        truth[..., None] * [200, 40, 30]
        + (1 - truth[..., None]) * [40, 90, 160]
        + rng.normal(0, 2, (160, 160, 3))
    )
    wrong = np.clip(55.5 - np.hypot(rows - 80, columns - 80), 0, 1).astype(np.float32)
    arc = [(80 + 52 * math.cos(a), 80 + 52 * math.sin(a)) for a in np.linspace(-1, 1, 30)]
    found, notes = draw_strokes(
        wrong, pixels.clip(0, 255).astype(np.uint8), [Stroke(tool="refine", radius=10, points=arc)]
    )
    assert notes == ()
    right = columns > 120
    assert np.abs(found - truth)[right].mean() < 0.2 * np.abs(wrong - truth)[right].mean()
    assert (found[:, :80] == wrong[:, :80]).all()


def test_refining_away_from_any_edge_is_said() -> None:
    found, notes = draw_strokes(EMPTY, PIXELS, [Stroke(tool="refine", radius=5, points=[(60.0, 40.0)])])
    assert (found == EMPTY).all()
    assert "refines nothing" in notes[0]
