"""A product before a plain light background is found, with its white parts and without its shadow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.transforms import resize_pixels

SIZE = (160, 160)
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]


def paint(mask: np.ndarray, colour: tuple[int, int, int], on: np.ndarray | None = None) -> np.ndarray:
    canvas = np.full((*SIZE, 3), 255.0) if on is None else on.astype(float)
    soft = np.clip(ndimage.gaussian_filter(mask.astype(float), 0.6), 0, 1)[..., None]
    return np.rint(canvas * (1 - soft) + soft * np.array(colour)).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int = 85) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def overlap(matte: np.ndarray | None, truth: np.ndarray) -> float:
    assert matte is not None
    found = matte >= 0.5
    return float((found & truth).sum() / (found | truth).sum())


BOX = (Y >= 30) & (Y < 140) & (X >= 50) & (X < 110)
BALL = np.hypot(Y - 80, X - 80) < 45


@pytest.mark.parametrize("colour", [(200, 30, 20), (20, 20, 25), (250, 220, 60), (240, 242, 244)])
def test_products_of_any_colour_through_jpeg(colour: tuple[int, int, int]) -> None:
    keyed = key_studio_background(jpeg(paint(BALL, colour)))
    assert overlap(keyed.matte, BALL) > 0.97
    assert keyed.matte is not None and keyed.matte[:20].max() == 0


def test_white_pack_with_prints_is_kept_whole() -> None:
    pack = paint(BOX, (246, 246, 247))
    label = (Y > 60) & (Y < 85) & (X > 60) & (X < 109)
    pixels = jpeg(paint(label, (10, 40, 160), pack))
    keyed = key_studio_background(pixels)
    assert overlap(keyed.matte, BOX) > 0.95
    assert keyed.matte is not None and keyed.matte[BOX & ~label][200:-200].mean() > 0.97


def test_white_label_inside_a_dark_product_is_no_background() -> None:
    label = np.hypot(Y - 80, X - 80) < 20
    pixels = paint(label, (251, 251, 250), paint(BALL, (30, 60, 40)))
    keyed = key_studio_background(pixels)
    assert keyed.matte is not None and keyed.matte[label].min() == 1


def test_soft_shadow_is_background() -> None:
    shadow = 110 * np.exp(-(((Y - 140) / 7.0) ** 2) - ((X - 105) / 30.0) ** 2)
    ground = np.repeat((255 - shadow)[..., None], 3, axis=2)
    pixels = jpeg(paint(BOX, (40, 110, 180), np.rint(ground)))
    keyed = key_studio_background(pixels)
    assert overlap(keyed.matte, BOX) > 0.95
    kept = key_studio_background(pixels, KeyingConfig(shadows=False))
    assert overlap(kept.matte, BOX) < 0.9


def test_a_large_hole_is_seen_through() -> None:
    radius = np.hypot(Y - 80, X - 80)
    ring = (radius < 55) & (radius > 30)
    keyed = key_studio_background(jpeg(paint(ring, (212, 160, 40))))
    assert overlap(keyed.matte, ring) > 0.95
    assert keyed.matte is not None and keyed.matte[75:85, 75:85].max() == 0


def test_uneven_and_noisy_backgrounds() -> None:
    light = 246 - 10 * ((X - 80) / 80.0) ** 2 - 6 * ((Y - 80) / 80.0) ** 2
    noise = np.random.default_rng(5).normal(0, 1.2, (*SIZE, 3))
    pixels = paint(BALL, (150, 30, 90), np.clip(light[..., None] + noise, 0, 255))
    assert overlap(key_studio_background(pixels).matte, BALL) > 0.96


def test_rim_is_soft_and_follows_coverage() -> None:
    fine_y, fine_x = np.mgrid[:640, :640]
    fine = (np.hypot(fine_y - 320, fine_x - 320) < 180).astype(np.float32)
    coverage = fine.reshape(160, 4, 160, 4).mean(axis=(1, 3))
    mixed = coverage[..., None] * np.array([200, 30, 20]) + (1 - coverage[..., None]) * 255
    keyed = key_studio_background(np.rint(mixed).astype(np.uint8))
    assert keyed.matte is not None and np.abs(keyed.matte - coverage).max() < 0.15
    rim = (coverage > 0.2) & (coverage < 0.8)
    assert np.abs(keyed.matte[rim] - coverage[rim]).mean() < 0.08


def test_large_images_give_the_same_outline() -> None:
    pixels = paint(BALL, (200, 30, 20))
    large = resize_pixels(pixels, (480, 480))
    keyed = key_studio_background(large, KeyingConfig(working_side=160))
    truth = np.repeat(np.repeat(BALL, 3, axis=0), 3, axis=1)
    assert overlap(keyed.matte, truth) > 0.97


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((*SIZE, 3), 60, np.uint8), "0% of the border"),
        (np.full((*SIZE, 3), 255, np.uint8), "0.0% of the image differs"),
        (np.random.default_rng(0).integers(150, 256, (*SIZE, 3)).astype(np.uint8), "border"),
    ],
)
def test_what_cannot_be_keyed_says_why(pixels: np.ndarray, reason: str) -> None:
    keyed = key_studio_background(pixels)
    assert keyed.matte is None and reason in keyed.reason


def test_a_pale_pocket_in_a_coloured_product_is_background() -> None:
    """Compression leaves narrow gaps a little darker than the ground; beside strong colours they are none."""
    pixels = np.full((160, 160, 3), 255, np.uint8)
    pixels[40:140, 30:130] = (190, 30, 40)
    pixels[40:54, 78:82] = 240
    matte = key_studio_background(pixels).matte
    assert matte is not None and (matte[42:50, 79:81] < 0.2).all() and (matte[60:130, 40:120] == 1).all()


def test_parts_below_a_hundredth_are_no_product() -> None:
    pixels = np.full((200, 200, 3), 255, np.uint8)
    pixels[50:150, 60:140] = (40, 60, 160)
    pixels[170:176, 100:106] = (40, 60, 160)  # 36 of 8,000 pixels
    matte = key_studio_background(pixels).matte
    assert matte is not None and matte[160:].max() == 0 and matte[60:140, 70:130].min() == 1
    pixels[165:181, 100:116] = (40, 60, 160)  # 256
    matte = key_studio_background(pixels).matte
    assert matte is not None and matte[173, 108] == 1


@pytest.mark.parametrize("noise", [0.0, 0.6, 2.0])
def test_a_photo_of_nothing_gives_a_reason(noise: float) -> None:
    ground = np.random.default_rng(0).normal(245, noise, (*SIZE, 1)).repeat(3, axis=2)
    keyed = key_studio_background(np.clip(np.rint(ground), 0, 255).astype(np.uint8))
    assert keyed.matte is None and "differs from its border" in keyed.reason


@pytest.mark.parametrize("colour", [(235, 190, 40), (120, 220, 130), (30, 60, 170)])
def test_blocks_of_strong_compression_are_no_product(colour: tuple[int, int, int]) -> None:
    matte = key_studio_background(jpeg(paint(BALL, colour), 25)).matte
    assert overlap(matte, BALL) > 0.93  # 0.91 at most without their measure, and hundreds of pixels outside
    assert matte is not None and (matte[np.hypot(Y - 80, X - 80) > 49] < 0.5).all()


def test_how_coarse_the_blocks_are_is_measured() -> None:
    from cyclorama.imaging.colour import to_lab
    from cyclorama.imaging.keying import _measure_blocks

    found = []
    for quality in (92, 60, 20):
        distance = np.sqrt(
            ((to_lab(jpeg(paint(BALL, (40, 90, 60)), quality)) - [100, 0, 0]) ** 2).sum(axis=2)
        )
        found.append(_measure_blocks(distance, ndimage.maximum_filter(distance, 17)))
    assert found[0] < 0.3 < found[2] and found == sorted(found)
    assert _measure_blocks(np.zeros((20, 20)), np.zeros((20, 20))) == 0


def test_a_hole_before_an_uneven_background_is_seen_through() -> None:
    radius = np.hypot(Y - 80, X - 80)
    ring = (radius < 55) & (radius > 30)
    uneven = np.repeat((255 - 26 * (Y / 160) ** 2 - 14 * radius / 160)[..., None], 3, axis=2)
    matte = key_studio_background(jpeg(paint(ring, (160, 90, 40), uneven), 92)).matte
    assert overlap(matte, ring) > 0.95


def test_a_shadow_in_a_hole_is_background_and_a_dark_lens_is_not() -> None:
    frame = BOX & ~((Y >= 45) & (Y < 125) & (X >= 62) & (X < 98))
    shadow = 90 * np.exp(-(((Y - 125) / 8.0) ** 2))[..., None]
    matte = key_studio_background(jpeg(paint(frame, (40, 60, 170), 255 - shadow), 92)).matte
    assert matte is not None and (matte[60:118, 68:92] < 0.2).mean() > 0.95
    lens = np.hypot(Y - 105, X - 80) < 26
    white = jpeg(paint(lens, (34, 34, 38), paint(BOX, (236, 236, 234))), 92)
    matte = key_studio_background(white).matte
    assert matte is not None and matte[lens].mean() > 0.97


@pytest.mark.parametrize(("quality", "most"), [(50, 15), (75, 3)])
def test_a_narrow_corner_between_two_products_is_not_filled(quality: int, most: int) -> None:
    lying, leaning = abs(Y - 80) < 12, (abs(Y - 80 + 0.45 * (X - 80)) < 11) & (X > 25) & (X < 135)
    both = (lying & (X > 20) & (X < 140)) | leaning
    keyed = key_studio_background(jpeg(paint(both, (222, 110, 20)), quality))
    assert keyed.matte is not None
    far = ndimage.distance_transform_edt(~both) > 1.5
    assert int((keyed.matte[far] >= 0.25).sum()) <= most  # 106 and 11 where the corners were filled
    assert overlap(keyed.matte, both) > 0.985
