"""Limits of masks and composites, at the bound and one step beyond.

Of cyclorama.imaging.masks, cyclorama.imaging.compositing and cyclorama.scenes.render.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import (
    EmptyMaskError,
    FullMaskError,
    MaskError,
    MaskSizeError,
    ProductTooSmallError,
    SettingsError,
)
from cyclorama.imaging import masks
from cyclorama.imaging.compositing import apply_shadow, composite, compute_contact_shadow
from cyclorama.imaging.product import Product
from cyclorama.scenes.render import to_linear


def plane(height: int, width: int, ones: int, value: float = 1.0) -> np.ndarray:
    mask = np.zeros(height * width, np.float32)
    mask[:ones] = value
    return mask.reshape(height, width)


def test_a_product_has_so_many_pixels_and_such_a_share() -> None:
    for height, width, least in ((80, 80, 64), (250, 256, 64), (250, 400, 100)):
        masks.check_mask(plane(height, width, least))
        masks.check_mask(plane(height, width, least, 0.5))
        with pytest.raises(ProductTooSmallError, match=rf"marks {least - 1} pixels \("):
            masks.check_mask(plane(height, width, least - 1))
    masks.check_mask(plane(100, 100, 500), least_share=0.05)
    with pytest.raises(ProductTooSmallError, match=r"499 pixels \(4.990%\).*64 pixels and 5.0%"):
        masks.check_mask(plane(100, 100, 499), least_share=0.05)
    with pytest.raises(EmptyMaskError, match=r"0 of 100 pixels as product \(largest value 0.490 of 1\)"):
        masks.check_mask(plane(10, 10, 100, 0.49))


def test_a_background_has_such_a_share() -> None:
    masks.check_mask(1 - plane(100, 100, 20))
    masks.check_mask(1 - plane(100, 100, 20, 0.51))
    with pytest.raises(FullMaskError, match=r"leaves 19 of 10000 pixels \(0.19%\).*the least is 0.2%"):
        masks.check_mask(1 - plane(100, 100, 19))


def test_alpha_has_a_shape_where_enough_of_it_is_not_opaque() -> None:
    bound = np.float32(0.99)
    assert not masks.has_shape(None) and not masks.has_shape(np.full((10, 10), bound))
    assert masks.has_shape(np.full((10, 10), np.nextafter(bound, np.float32(0))))
    assert not masks.has_shape(1 - plane(20, 50, 1)) and masks.has_shape(1 - plane(20, 50, 2))


@pytest.mark.parametrize("height", [60, 149, 150, 200])
def test_a_background_covers_the_corners_and_most_of_the_border(height: int) -> None:
    """The corners are squares of a fiftieth of the shorter side, half covered or more."""
    side = max(1, height // 50)
    mask = np.ones((height, 300), np.float32)
    mask[20:-20, 20:-20] = 0
    assert masks.detect_inversion(mask) == (True, 1.0)
    for rows in (slice(side), slice(-side, None)):
        for columns in (slice(side), slice(-side, None)):
            corner = mask.copy()
            part = corner[rows, columns]
            part.flat[: part.size // 2] = 0
            assert masks.detect_inversion(corner)[0]
            part.flat[part.size // 2] = 0
            assert not masks.detect_inversion(corner)[0]


def test_six_tenths_of_the_border_are_most_of_it() -> None:
    mask = np.ones((26, 26), np.float32)  # 100 pixels of border
    mask[0, 1:25] = 0
    mask[25, 1:17] = 0
    assert masks.detect_inversion(mask) == (True, 0.6)
    mask[25, 17] = 0
    assert masks.detect_inversion(mask) == (False, 0.59)
    mask[:] = 0.5
    assert masks.detect_inversion(mask) == (True, 1.0)


def test_a_soft_mask_has_values_between_on_more_than_a_fifth_of_its_outline() -> None:
    mask = np.zeros((12, 12), np.float32)
    mask[:, 6:] = 1  # outline: columns 5 and 6, 24 pixels
    assert not masks.is_soft(mask)
    soft = mask.copy()
    soft[:4, 5] = 0.3
    assert not masks.is_soft(soft)  # 4 of 24
    soft[4, 5] = 0.3
    assert masks.is_soft(soft)
    for value, expected in ((0.02, False), (0.021, True), (0.979, True), (0.98, False)):
        soft = mask.copy()
        soft[:, 5 if value < 0.5 else 6] = value
        assert masks.is_soft(soft) is expected
    fifth = np.zeros((10, 12), np.float32)
    fifth[:, 6:] = 1
    fifth[:4, 5] = 0.3
    assert not masks.is_soft(fifth)  # 4 of 20
    assert not masks.is_soft(np.ones((4, 4), np.float32))


def test_growth_reaches_its_radius_and_no_further() -> None:
    mask = np.zeros((11, 11), bool)
    mask[5, 5] = True
    assert masks.dilate(mask, 1).sum() == 5 and masks.dilate(mask, 0.9).sum() == 1
    assert masks.dilate(mask, 2).sum() == 13
    block = np.zeros((11, 11), bool)
    block[3:8, 3:8] = True
    assert masks.erode(block, 1).sum() == 9 and masks.erode(block, 0).sum() == 25
    assert masks.erode(np.ones((5, 5), bool), 3).all() and not masks.dilate(np.zeros((5, 5), bool), 3).any()
    grown = masks.grow_mask(np.pad(np.ones((1, 1), np.float32), 62))
    assert grown.shape == (125, 125) and grown.sum() == 5  # 0.008 of 125
    assert masks.grow_mask(np.pad(np.full((1, 1), 0.5, np.float32), 63)).sum() == 13  # 1.016: two pixels


def test_the_filled_region_is_grey_and_its_rim_too() -> None:
    pixels = np.full((125, 125, 3), 10, np.uint8)
    mask = np.zeros((125, 125), np.float32)
    mask[60:64, 60:64] = 1
    mask[0, 0] = 0.25
    filled = masks.fill_product(pixels, mask)
    assert (filled[59:65, 60:64] == 128).all() and (filled[59, 59] == 10).all()
    assert (filled[0, 0] == 40).all()  # 10 · 3/4 + 128 / 4 = 39.5, rounded to the even 40


def test_windows_are_widened_and_cut_at_the_start() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:7, 10:12] = True
    assert masks.find_window(mask, 0) == (slice(4, 7), slice(10, 12))
    assert masks.find_window(mask, 5) == (slice(0, 12), slice(5, 17))


def test_mattes_are_floats_from_0_to_1() -> None:
    given = plane(4, 5, 3)
    assert masks.check_matte(given, (4, 5), "m") is given
    assert masks.check_matte(given > 0, None, "m").dtype == np.float32
    assert masks.check_matte(np.zeros((0, 5)), None, "m").shape == (0, 5)
    for matte, size, kind, message in (
        ([[0.0]], None, MaskError, "m is list; give a float array"),
        (np.zeros((4, 5), np.uint8), None, MaskError, "m is uint8; give a float array"),
        (np.zeros((4, 5, 1)), None, MaskError, r"m has shape \(4, 5, 1\)"),
        (given, (5, 4), MaskSizeError, r"m has size \(4, 5\), the pixels \(5, 4\)"),
        (np.full((2, 2), np.nan), None, MaskError, "m: 4 values are not finite"),
        (np.full((2, 2), -1e-6), None, MaskError, "m goes from -1e-06 to -1e-06"),
        (np.full((2, 2), 1.001), None, MaskError, "m goes from 1.001 to 1.001"),
    ):
        with pytest.raises(kind, match=message):
            masks.check_matte(matte, size, "m")


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def test_masks_are_grey() -> None:
    levels = np.zeros((20, 50), np.uint8)
    levels[5:15, 10:40] = 200
    levels[0, :3] = 1
    read = masks.load_mask(rgb(levels), (20, 50))
    np.testing.assert_array_equal(read, levels.astype(np.float32) / np.float32(255))
    tinted = rgb(levels)
    tinted[:, :, 0] = np.where(levels == 200, 224, tinted[:, :, 0])  # 24 levels apart: grey still
    luminance = np.float32(0.299 * 224 + 0.701 * 200) / np.float32(255)
    assert masks.load_mask(tinted, (20, 50))[8, 20] == pytest.approx(luminance, abs=1e-6)
    few = rgb(levels)
    few[0, :5, 0] = 100  # 5 of 1000 pixels are coloured
    assert masks.load_mask(few, (20, 50)).shape == (20, 50)
    few[0, 5, 0] = 100
    with pytest.raises(MaskError, match=r"0.6% of its pixels are coloured"):
        masks.load_mask(few, (20, 50))
    faint = rgb(levels)
    faint[faint > 1] = 2
    with pytest.raises(EmptyMaskError, match="holds only values 0 to 2 of 255"):
        masks.load_mask(faint, (20, 50))
    faint[faint == 2] = 3
    with pytest.raises(EmptyMaskError, match="marks 0 of 1000 pixels"):
        masks.load_mask(faint, (20, 50))


def test_the_aspect_may_differ_by_a_hundredth() -> None:
    mask = np.zeros((100, 101), np.float32)
    mask[20:80, 20:80] = 1
    assert masks.load_mask(mask, (50, 50)).shape == (50, 50)
    assert masks.load_mask(np.ascontiguousarray(mask.T), (50, 50)).shape == (50, 50)
    wider = np.pad(mask, ((0, 0), (0, 1)))
    for wrong in (wider, np.ascontiguousarray(wider.T)):
        with pytest.raises(MaskSizeError, match="the aspect may differ by at most 1 %") as caught:
            masks.load_mask(wrong, (50, 50))
        assert "turned" not in str(caught.value)
    with pytest.raises(MaskSizeError, match="has 40 x 80 pixels, its image 80 x 40; it looks turned"):
        masks.load_mask(np.zeros((80, 40), np.float32), (40, 80))


def test_noise_of_lossy_files_is_snapped_at_twelve_levels(tmp_path) -> None:
    levels = np.repeat(np.array([[0, 12, 13, 242, 243, 255]], np.uint8), 16, axis=0).repeat(8, axis=1)
    for name, options in (("a.webp", {"lossless": True}), ("a.png", {})):
        Image.fromarray(rgb(levels)).save(tmp_path / name, **options)
    read = masks.load_mask(tmp_path / "a.webp", levels.shape)
    assert [round(float(v) * 255) for v in read[0, ::8]] == [0, 0, 13, 242, 255, 255]
    read = masks.load_mask(tmp_path / "a.png", levels.shape)
    assert [round(float(v) * 255) for v in read[0, ::8]] == [0, 12, 13, 242, 243, 255]


def build_product(matte: np.ndarray) -> Product:
    square = np.zeros((32, 32), np.float32)
    square[8:24, 8:24] = 1
    whole = Product(np.zeros((32, 32, 3), np.uint8), square)
    pixels = np.full((*matte.shape, 3), 200, np.uint8)
    return whole.derive(pixels=pixels, matte=matte, foreground=np.full_like(pixels, 100))


def test_only_what_is_opaque_shows_the_pixels_and_only_what_is_soft_is_mixed() -> None:
    tiny = np.nextafter(np.float32(0), np.float32(1))
    below = np.nextafter(np.float32(1), np.float32(0))
    product = build_product(np.array([[0, tiny, 0.25, 0.5, below, 1]], np.float32))
    background = np.full((1, 6, 3), 20, np.uint8)
    assert composite(background, product)[0, :, 0].tolist() == [20, 20, 40, 60, 100, 200]
    assert (background == 20).all()
    assert composite(np.full((1, 6, 3), -3.0), product)[0, :, 0].tolist() == [0, 0, 23, 48, 100, 200]
    with pytest.raises(SettingsError, match="bring it to the product's size first"):
        composite(background[:, :5], product)


def test_a_shadow_is_a_multiplication() -> None:
    shadow = np.array([[0, 51, 204, 255]], np.uint8)
    dark = apply_shadow(np.full((1, 4, 3), 200.0), shadow)
    assert dark.dtype == np.float32
    np.testing.assert_allclose(dark[0, :, 0], [200, 160, 40, 0], atol=1e-4)


def test_the_contact_is_what_stands_near_the_lowest_row() -> None:
    """A foot that ends at most 0.06 of the height above the lowest is in contact."""
    feet = {}
    for gap in (12, 13):
        matte = np.zeros((400, 500), np.float32)
        matte[100:300, 200:220] = matte[100 : 300 - gap, 280:300] = matte[100:120, 200:300] = 1
        shadow = compute_contact_shadow(matte, 0.5)
        feet[gap] = bool(shadow[300 - gap, 290] > 40)
        assert shadow.max() == 127 and shadow[:250].max() == 0
    assert feet == {12: True, 13: False}
    edge = np.zeros((60, 60), np.float32)
    edge[20:60, 0:30] = 1
    inner = np.pad(edge, 40)
    assert np.array_equal(
        compute_contact_shadow(edge, 0.5), compute_contact_shadow(inner, 0.5)[40:-40, 40:-40]
    )


def test_linear_light_of_dark_colours_is_a_straight_line_up_to_its_bound() -> None:
    above = np.nextafter(0.04045, 1)
    found = to_linear([0.0, 0.02, 0.04045, above, 0.5, 1.0])
    expected = [0, 0.02 / 12.92, 0.04045 / 12.92, *(((c + 0.055) / 1.055) ** 2.4 for c in (above, 0.5, 1.0))]
    assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=0)
