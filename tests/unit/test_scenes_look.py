"""Light side, rim, contrast, walls and accent: what a cut-out tells its set."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import lab2rgb, rgb2lab

from cyclorama.scenes import look
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


@pytest.mark.parametrize("alpha", [0.51, 0.6, 0.8, 0.9])
def test_what_is_translucent_all_over_has_a_rim(alpha: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[20:100, 20:100] = 1
    rim = measure_rim(image, matte)
    assert len(rim) > 300
    assert np.array_equal(measure_rim(image, matte * np.float32(alpha)), rim)


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


def test_a_leafs_green_is_no_products_colour() -> None:
    red = np.broadcast_to(np.array([200, 20, 20], np.uint8), (SIZE, SIZE, 3))
    leaf, lime = (build_style(0.3).replace(accent=colorsys.hsv_to_rgb(0.3, 0.5, v)) for v in (0.6, 0.7))
    assert relate_accent(leaf, red, SOLID) == leaf
    assert relate_accent(lime, red, SOLID) != lime


def test_grey_and_many_coloured_products_leave_the_accent_alone() -> None:
    style = build_style(0.3)
    assert relate_accent(style, np.full((SIZE, SIZE, 3), 128, np.uint8), SOLID) == style
    rainbow = [colorsys.hsv_to_rgb(k / SIZE, 1, 1) for k in range(SIZE)]
    image = np.broadcast_to(np.array(rainbow) * 255, (SIZE, SIZE, 3)).astype(np.uint8)
    assert relate_accent(style, image, SOLID) == style


def draw_row(levels: list[int], rows: int = 12) -> NDArray[np.uint8]:
    """Equal rows of greys."""
    return np.broadcast_to(np.array(levels, np.uint8)[None, :, None], (rows, len(levels), 3)).copy()


LIT = [9, 200, 60, 60, *[120] * 4, 200, 200, 60, 9]
"""Of the three pixels beside each end the right ones are lighter, though the outermost are darker."""


def test_twelve_rows_and_columns_tell_the_side_and_fewer_do_not() -> None:
    solid = np.ones((12, 12), np.float32)
    assert estimate_light_side(draw_row(LIT), solid) == 1
    assert estimate_light_side(draw_row(LIT[::-1]), solid) == -1
    assert estimate_light_side(draw_row(LIT, 11), solid[:11]) is None
    framed = draw_row([255, 255, *LIT, 0, 0])
    soft = np.pad(solid, ((0, 0), (2, 2)), constant_values=0.9)  # a rim is not the product
    assert estimate_light_side(framed, soft) == 1


def test_seven_rows_in_ten_must_agree() -> None:
    image, solid = draw_row(LIT, 20), np.ones((20, 12), np.float32)
    image[:6] = draw_row(LIT[::-1], 6)
    assert estimate_light_side(image, solid) == 1
    image[:7] = draw_row(LIT[::-1], 7)
    assert estimate_light_side(image, solid) is None


def test_noise_in_black_is_no_light() -> None:
    solid = np.ones((12, 12), np.float32)
    assert estimate_light_side(draw_row([0] * 6 + [3] * 6), solid) is None
    assert estimate_light_side(draw_row([0] * 6 + [6] * 6), solid) == 1


def test_rim_is_three_hundredths_of_the_side_wide_and_ends_at_three_quarters() -> None:
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[5:115, 5:115] = 0.9
    matte[10:110, 10:110] = 1
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    assert len(measure_rim(image, matte)) == 3 * 100 + 71 * 6  # rows 10 to 83, three pixels from three sides


@pytest.mark.parametrize(
    ("level", "lightness"),
    [(0.1, [62, 74, 28, 14, 68, 24]), (0.9, [34, 22, 68, 82, 28, 72])],
)
def test_walls_move_in_lightness_then_in_hue(level: float, lightness: list[float]) -> None:
    wall = tuple(float(v) for v in lab2rgb(np.array([48.0, 6.0, 8.0])))
    walls = list_walls(wall, rgb2lab(np.full((3, 3), level)))  # type: ignore[arg-type]
    found = rgb2lab(np.array(walls))
    assert found[:, 0] == pytest.approx(lightness, abs=0.05)
    turned = [6 * 0.5 - 8 * 0.75**0.5, 6 * 0.75**0.5 + 8 * 0.5]  # by 60 degrees
    colours = np.array([[6, 8]] * 4 + [turned, [-6, -8]])
    more = [max(1, (100 - value) / (100 - 48)) for value in lightness]  # a darker wall has more of its paint
    assert found[:, 1:] == pytest.approx(colours * np.array(more)[:, None], abs=0.1)


@pytest.mark.parametrize("wall", [(0.98, 0.92, 0.88), (0.9, 0.95, 1.0), (0.93, 0.97, 0.92)])
def test_a_pale_wall_gets_darker_as_a_colour_and_not_grey(wall: tuple[float, float, float]) -> None:
    """Its chroma grows with what it loses of white, up to that of a clear colour; grey and white stay so."""
    rim = np.tile([98.0, 2.0, 2.0], (4, 1))
    pale, darker = (rgb2lab(np.array(w))[1:] for w in (wall, list_walls(wall, rim)[1]))
    assert 20 < np.hypot(*darker) <= 30.5
    assert float(pale @ darker) == pytest.approx(np.hypot(*pale) * np.hypot(*darker), rel=1e-3)
    for grey in ((0.93, 0.93, 0.93), (1, 1, 1)):
        assert np.ptp(np.array(list_walls(grey, rim)[:4]), axis=1) == pytest.approx(0, abs=0.01)


def test_walls_of_the_products_own_lightness_become_lighter_and_none_is_black_or_white() -> None:
    grey = (0.4, 0.4, 0.4)
    rim = np.tile(rgb2lab(np.array(grey)), (3, 1))
    own = float(rim[0, 0])
    assert rgb2lab(np.array(list_walls(grey, rim)[0]))[0] == pytest.approx(own + 14, abs=0.1)
    found = [rgb2lab(np.array(list_walls((v,) * 3, rim)))[:, 0] for v in (0.0, 1.0)]
    assert (found[0].min(), found[1].max()) == pytest.approx((8, 96), abs=0.05)


def test_the_first_wall_that_shows_the_product_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, rim, seen = (0.5, 0.5, 0.5), rgb2lab(np.full((3, 3), 0.2)), []

    def choose(*contrasts: float) -> tuple[tuple[float, float, float], float]:
        given = iter(contrasts)
        monkeypatch.setattr(look, "measure_contrast", lambda rim, behind: next(given))
        seen.clear()
        return look.choose_wall(wall, rim, lambda tried: seen.append(tried) or np.zeros((1, 3), np.uint8))

    others = list_walls(wall, rim)
    assert choose(DISTINCT) == (wall, DISTINCT)
    assert seen == [wall]
    assert choose(3, 17, DISTINCT) == (others[1], DISTINCT)
    assert choose(3, 3, 9, 9, 1, 3, 3) == (others[1], 9)  # none shows it: the best, the earlier of equals
    assert seen == [wall, *others]


def test_dull_products_and_their_rims_have_no_hue_and_strong_colours_count_more() -> None:
    style = build_style(0.3)

    def relate(*pixels: tuple[float, float, float], alpha: float = 1.0) -> float:
        row = np.rint(np.array([colorsys.hsv_to_rgb(*p) for p in pixels]) * 255).astype(np.uint8)
        matte = np.ones((1, len(pixels)), np.float32)
        matte[0, 1:] = alpha
        return float(colorsys.rgb_to_hsv(*relate_accent(style, row[None], matte).accent)[0])

    assert relate((0.1, 0.2, 0.5)) == pytest.approx(0.3)  # saturation times value is less than 0.12
    assert relate((0.1, 0.5, 0.5)) == pytest.approx(0.1, abs=0.01)
    assert relate((0.1, 1, 1), (0.6, 1, 1), alpha=0.9) == pytest.approx(0.1, abs=0.01)
    strong, dull = 0.8 * 1.0, 0.4 * 0.5
    mean = np.angle(strong * np.exp(0.2j * np.pi) + dull * np.exp(0.6j * np.pi)) / (2 * np.pi)
    assert relate((0.1, 0.8, 1.0), (0.3, 0.4, 0.5)) == pytest.approx(mean, abs=0.005)
