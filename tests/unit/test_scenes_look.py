"""Light side, rim, contrast, walls and accent: what a cut-out tells its set."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from cyclorama.scenes.look import (
    DISTINCT,
    estimate_light_side,
    list_walls,
    measure_contrast,
    measure_rim,
    relate_accent,
)
from cyclorama.scenes.surface import Style

SIZE = 120


def draw_cylinder(side: float, colour: tuple[float, float, float] = (0.7, 0.5, 0.4)) -> NDArray[np.uint8]:
    """An upright cylinder lit from ``side`` (-1 left, 1 right, 0 front), Lambert's law and some fill."""
    u = np.linspace(-0.98, 0.98, SIZE)
    normal = np.stack([u, np.sqrt(1 - u**2)])
    lamp = np.array([0.7 * side, 1.0]) / np.hypot(0.7 * side, 1.0)
    light = 0.25 + np.clip(lamp @ normal, 0, 1)
    linear = np.array(colour) ** 2.2 * light[:, None]
    return np.broadcast_to(np.clip(linear, 0, 1) ** (1 / 2.2) * 255, (SIZE, SIZE, 3)).astype(np.uint8)


SOLID = np.ones((SIZE, SIZE), np.float32)


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("colour", [(0.7, 0.5, 0.4), (0.15, 0.15, 0.2), (0.9, 0.9, 0.9)])
def test_lit_side_is_found(side: float, colour: tuple[float, float, float]) -> None:
    assert estimate_light_side(draw_cylinder(side, colour), SOLID) == side
    flipped = np.ascontiguousarray(draw_cylinder(side, colour)[:, ::-1])
    assert estimate_light_side(flipped, SOLID) == -side


def test_light_from_the_front_tells_no_side() -> None:
    assert estimate_light_side(draw_cylinder(0.0), SOLID) is None


def test_two_colours_are_no_light() -> None:
    image = draw_cylinder(0.0)
    image[:, 60:] = draw_cylinder(0.0, (0.3, 0.5, 0.9))[:, 60:]  # a label's other half
    assert estimate_light_side(image, SOLID) is None


def test_rows_that_disagree_tell_no_side() -> None:
    image = draw_cylinder(1.0)
    image[::2] = draw_cylinder(-1.0)[::2]
    assert estimate_light_side(image, SOLID) is None


def test_too_small_a_product_tells_no_side() -> None:
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[50:60, 50:61] = 1  # eleven pixels a row
    assert estimate_light_side(draw_cylinder(1.0), matte) is None


def test_rim_is_the_outline_and_not_the_middle() -> None:
    image = np.full((SIZE, SIZE, 3), 250, np.uint8)
    image[30:90, 30:90] = (200, 30, 30)
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[20:100, 20:100] = 1
    white = rgb2lab(np.array([250, 250, 250]) / 255.0)
    assert measure_rim(image, matte) == pytest.approx(np.broadcast_to(white, measure_rim(image, matte).shape))


def test_contrast_is_cie76() -> None:
    rim = rgb2lab(np.array([[255, 255, 255]] * 3) / 255.0)
    assert measure_contrast(rim, np.zeros((5, 3), np.uint8)) == pytest.approx(100, abs=0.01)
    grey = np.full((4, 3), 200, np.uint8)
    assert measure_contrast(rgb2lab(grey / 255.0), grey) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [250, 235, 20])
def test_walls_leave_the_products_colour(level: int) -> None:
    """White on white and black on black: some wall is distinct, and the first ones keep the hue."""
    rim = rgb2lab(np.full((10, 3), level, np.uint8) / 255.0)
    wall = (level / 255,) * 3
    distances = [float(np.linalg.norm(rgb2lab(np.array(w)) - rim[0])) for w in list_walls(wall, rim)]
    assert max(distances) >= DISTINCT
    assert all(0 <= v <= 1 for w in list_walls(wall, rim) for v in w)
    coloured = list_walls((0.5, 0.2, 0.2), rim)
    hues = [colorsys.rgb_to_hsv(*w)[0] for w in coloured[:2]]
    assert [(h + 0.5) % 1 for h in hues] == pytest.approx([0.5, 0.5], abs=0.04)


def build_style(hue: float) -> Style:
    grey = (0.5, 0.5, 0.5)
    return Style(wall=grey, floor=grey, prop=grey, accent=colorsys.hsv_to_rgb(hue, 0.8, 0.9), elements=())


@pytest.mark.parametrize(
    ("accent", "product", "expected"),
    [
        (0.30, 0.10, 0.10),  # unrelated, nearer to the product's own hue
        (0.50, 0.10, 0.60),  # unrelated, nearer to its opposite
        (0.15, 0.10, 0.15),  # a neighbour stays
        (0.58, 0.10, 0.58),  # the opposite stays
    ],
)
def test_accent_is_related_to_the_product(accent: float, product: float, expected: float) -> None:
    colour = np.array(colorsys.hsv_to_rgb(product, 0.9, 0.8)) * 255
    image = np.broadcast_to(colour, (SIZE, SIZE, 3)).astype(np.uint8)
    found = colorsys.rgb_to_hsv(*relate_accent(build_style(accent), image, SOLID).accent)
    assert found == pytest.approx((expected, 0.8, 0.9), abs=0.01)


def test_grey_and_many_coloured_products_leave_the_accent_alone() -> None:
    style = build_style(0.3)
    assert relate_accent(style, np.full((SIZE, SIZE, 3), 128, np.uint8), SOLID) == style
    rainbow = [colorsys.hsv_to_rgb(k / SIZE, 1, 1) for k in range(SIZE)]
    image = np.broadcast_to(np.array(rainbow) * 255, (SIZE, SIZE, 3)).astype(np.uint8)
    assert relate_accent(style, image, SOLID) == style
