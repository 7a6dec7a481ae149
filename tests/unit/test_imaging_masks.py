"""Masks are read with one polarity, checked, and refused when they mark the background."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cyclorama.errors import InvertedMaskError, MaskSizeError
from cyclorama.imaging.masks import (
    check_mask,
    detect_inversion,
    dilate,
    erode,
    is_soft,
    iterate_tiles,
    load_mask,
)

SIZE = (60, 80)


def disc(size: tuple[int, int] = SIZE, radius: float = 20.0) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.hypot(y - size[0] / 2, x - size[1] / 2) < radius


def encode(array: np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, file_format, **options)
    return buffer.getvalue()


def test_white_means_product_and_the_other_polarity_is_turned_once() -> None:
    mask = disc()
    white = encode(mask.astype(np.uint8) * 255)
    black = encode((~mask).astype(np.uint8) * 255)
    assert np.array_equal(load_mask(white, SIZE), mask.astype(np.float32))
    assert np.array_equal(load_mask(black, SIZE, means="background"), mask.astype(np.float32))


@pytest.mark.parametrize(("means", "named"), [("product", "background"), ("background", "product")])
def test_an_inverted_mask_is_refused_naming_the_flag(means, named) -> None:
    wrong = (~disc() if means == "product" else disc()).astype(np.uint8) * 255
    with pytest.raises(InvertedMaskError, match=f"--mask-means {named}"):
        load_mask(encode(wrong), SIZE, means=means)
    assert load_mask(encode(wrong), SIZE, means=means, allow_inverted=True).mean() > 0.5


def test_honest_large_products_are_not_taken_for_backgrounds() -> None:
    sofa = np.zeros(SIZE, np.float32)
    sofa[12:] = 1  # fills the bottom and most of both sides
    bottle = np.zeros(SIZE, np.float32)
    bottle[:, 30:55] = 1  # touches top and bottom
    for mask in (sofa, bottle):
        assert not detect_inversion(mask)[0]
        assert detect_inversion(1 - bottle)[0]
    assert detect_inversion(bottle)[1] == pytest.approx(50 / (2 * (60 + 80) - 4))


def test_alpha_is_the_mask_where_it_says_something() -> None:
    mask = disc()
    white = np.full((*SIZE, 3), 255, np.uint8)
    rgba = np.dstack([white, mask.astype(np.uint8) * 255])
    assert np.array_equal(load_mask(encode(rgba), SIZE), mask.astype(np.float32))
    opaque = np.dstack([np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), np.full(SIZE, 255, np.uint8)])
    assert np.array_equal(load_mask(encode(opaque), SIZE), mask.astype(np.float32))


def test_exif_turns_the_mask_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = disc()
    mask[5:10, 5:20] = True
    stored = np.rot90(mask.astype(np.uint8) * 255)  # turned left; orientation 6 turns it right again
    assert np.array_equal(load_mask(encode(np.ascontiguousarray(stored), exif=exif), SIZE), mask)


def test_another_size_of_the_same_aspect_is_area_averaged() -> None:
    mask = disc((120, 160), 40)
    expected = mask.reshape(60, 2, 80, 2).mean(axis=(1, 3))
    assert np.allclose(load_mask(encode(mask.astype(np.uint8) * 255), SIZE), expected, atol=1e-6)
    small = load_mask(encode(disc((30, 40), 10).astype(np.uint8) * 255), SIZE)
    assert small.shape == SIZE and abs(small.mean() - disc().mean()) < 0.01
    with pytest.raises(MaskSizeError, match="turned by 90 degrees"):
        load_mask(encode(disc((80, 60)).astype(np.uint8) * 255), SIZE)


def test_compression_noise_is_snapped_but_soft_values_stay() -> None:
    clean = disc(SIZE, 24)
    noisy = load_mask(encode(clean.astype(np.uint8) * 255, "JPEG", quality=90), SIZE)
    far = np.abs(ndimage.distance_transform_edt(clean) - ndimage.distance_transform_edt(~clean)) > 9
    assert np.array_equal(noisy[far], clean[far].astype(np.float32))
    soft = np.clip(ndimage.gaussian_filter(clean.astype(np.float32), 2), 0, 1)
    assert np.array_equal(load_mask(soft, SIZE), soft)
    assert is_soft(soft) and not is_soft(clean.astype(np.float32))


def test_erode_and_dilate_are_euclidean_and_ignore_the_frame() -> None:
    mask = np.zeros((21, 21), bool)
    mask[10, 10] = True
    grown = dilate(mask, 4)
    y, x = np.mgrid[:21, :21]
    assert np.array_equal(grown, np.hypot(y - 10, x - 10) <= 4)
    half = np.zeros((20, 20), bool)
    half[:, 10:] = True
    assert np.array_equal(np.nonzero(erode(half, 3)[0])[0], np.arange(13, 20))


@pytest.mark.parametrize("radius", [1, 2**0.5, 2.5, 4, 9, 60])
def test_erode_and_dilate_equal_distances(radius: float) -> None:
    chance = np.random.default_rng(3)
    for shape, share in (((31, 23), 0.01), ((1, 40), 0.2), ((40, 2), 0.95), ((17, 17), 0.6)):
        mask = chance.random(shape) < share
        mask[0, 0], mask[-1, -1] = True, False
        assert np.array_equal(dilate(mask, radius), ndimage.distance_transform_edt(~mask) <= radius)
        assert np.array_equal(erode(mask, radius), ndimage.distance_transform_edt(mask) > radius)
    assert not dilate(np.zeros((5, 5), bool), radius).any() and erode(np.ones((5, 5), bool), radius).all()


def test_check_mask_accepts_the_smallest_usable_product() -> None:
    mask = np.zeros((100, 100), np.float32)
    mask[:8, :8] = 1
    check_mask(mask)


def test_tiles_hold_a_mask_once_and_no_more_than_they_need() -> None:
    mask = np.random.default_rng(0).random((150, 210)) > 0.998
    mask[:, 60:120] = False
    seen = np.zeros(mask.shape, int)
    for tile in iterate_tiles(mask, 50):
        seen[tile] += 1
        part = mask[tile]
        assert max(part.shape) <= 50
        assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
    assert (seen[mask] == 1).all() and seen.max() == 1 and not seen[:, 60:100].any()
    assert list(iterate_tiles(np.zeros((4, 4), bool))) == []
