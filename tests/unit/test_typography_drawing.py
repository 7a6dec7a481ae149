"""Pixels and outlines of a set text, against an independent filler of polygons and against each other."""

from __future__ import annotations

import re

import numpy as np
import pytest
from skimage.draw import polygon

from cyclorama.types import Pixels
from cyclorama.typography.drawing import draw_coverage, draw_text, lay_over, write_svg
from cyclorama.typography.fitting import SetText, fit_text
from cyclorama.typography.records import TextBlock, TypeStyle

CANVAS = (60, 100)
FINE = 16


def _fit(words: str, **style: object) -> SetText:
    block = TextBlock(words=words, style=TypeStyle(min_x_height=0.001, **style))
    return fit_text(block, (4.3, 3.7, 95.0, 56.0), CANVAS)


def _fill(svg: str) -> np.ndarray:
    """Coverage (H, W) of the paths of ``svg`` at FINE × FINE places a pixel: in an odd number of contours."""
    path = re.search(r'<path d="([^"]*)"', svg)
    assert path is not None
    inside = np.zeros((CANVAS[0] * FINE, CANVAS[1] * FINE), bool)
    for contour in path[1].replace("Z", "Z|").split("|"):
        points: list[np.ndarray] = []
        for command, numbers in re.findall(r"([MLQC])([^MLQCZ]*)", contour):
            ends = np.array(numbers.split(), float).reshape(-1, 2)
            if command in "ML":
                points.append(ends[0])
                continue
            curve = np.vstack([points[-1], ends])
            for t in np.linspace(0, 1, 17)[1:]:
                steps = curve
                while len(steps) > 1:
                    steps = (1 - t) * steps[:-1] + t * steps[1:]
                points.append(steps[0])
        if points:
            x, y = np.array(points).T * FINE - 0.5  # centres of places are whole numbers
            rows, columns = polygon(y, x, inside.shape)
            inside[rows, columns] ^= True
    return inside.reshape(CANVAS[0], FINE, CANVAS[1], FINE).mean((1, 3))


@pytest.mark.parametrize(("words", "font"), [("Bag & 38%", "sans"), ("fjord\nQueen", "serif")])
def test_pixels_are_the_share_that_the_outlines_cover(words: str, font: str) -> None:
    text = _fit(words, fonts=(font,))
    drawn = draw_text(text, (10, 20, 30), CANVAS).expand(CANVAS)[..., 3] / 255
    filled = _fill(write_svg(text, (10, 20, 30)))
    assert filled.mean() > 0.05
    assert np.abs(drawn - filled).max() < 0.1  # the filler's own grid is 1/16 of a pixel
    assert abs(drawn.mean() - filled.mean()) < 0.002


def test_a_rectangle_is_covered_exactly() -> None:
    text = _fit("l", max_size=50.0)  # a bar
    ink = text.ink
    left, top, coverage = draw_coverage(text, CANVAS)
    area = (ink[2] - ink[0]) * (ink[3] - ink[1])
    assert coverage.sum() / 255 == pytest.approx(area, rel=5e-3)
    assert coverage[coverage.shape[0] // 2, 0] == pytest.approx(255 * (left + 1 - ink[0]), abs=1.5)
    assert coverage[0, 1] == pytest.approx(255 * (top + 1 - ink[1]), abs=1.5)


def test_a_layer_over_the_image_is_the_flat_image() -> None:
    pixels: Pixels = np.random.default_rng(1).integers(0, 256, (*CANVAS, 3)).astype(np.uint8)
    patch = draw_text(_fit("Sale"), (250, 5, 100), CANVAS)
    rgba = patch.expand(CANVAS).astype(float)
    alpha = rgba[..., 3:] / 255
    assert (lay_over(pixels, [patch]) == np.rint(alpha * rgba[..., :3] + (1 - alpha) * pixels)).all()
    assert patch.name == "Sale"
    assert (rgba[rgba[..., 3] == 0] == 0).all()


def test_an_svg_says_its_words() -> None:
    svg = write_svg(_fit('Fish & "chips"'), (255, 0, 16))
    assert 'aria-label="Fish &amp; &quot;chips&quot;"' in svg
    assert "<title>Fish &amp; &quot;chips&quot;</title>" in svg
    assert 'fill="#ff0010"' in svg
