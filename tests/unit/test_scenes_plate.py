"""Proves of shared plates: who shares one, that nobody is moved, that no image depends on what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.scenes.card import solve_camera
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.model import CutOut
from cyclorama.scenes.plate import (
    STEP,
    Bucket,
    Plates,
    ProductSet,
    _narrow,
    _widen,
    change_plate,
    choose_set,
    render_alone,
    render_whole,
)
from cyclorama.scenes.ratio import Change, add_product, find_foot_window, predict_fault, shrink, spread
from cyclorama.scenes.render import render_mask, tone_map
from cyclorama.scenes.stage import Framing, project

PERFUME = load_category("perfume")


def cut(top: int, left: int, tall: int, wide: int, side: int = 64, colour: int = 120) -> CutOut:
    """A plain upright box."""
    matte = np.zeros((side, side), np.float32)
    matte[top : top + tall, left : left + wide] = 1
    pixels = np.full((side, side, 3), colour, np.uint8)
    return CutOut(pixels, matte, (top, left, tall, wide))


def choose(cutout: CutOut) -> ProductSet:
    return choose_set(cutout, PERFUME, PERFUME, 2, PERFUME.brands[0])


def test_products_of_about_one_size_and_place_share_a_bucket() -> None:
    bucket = Bucket.of(cut(120, 200, 290, 100, 512))
    assert bucket == Bucket.of(cut(126, 190, 282, 96, 512))
    assert bucket != Bucket.of(cut(180, 200, 230, 100, 512))
    assert bucket != Bucket.of(cut(60, 200, 290, 100, 512))
    assert bucket.size[0] >= 290
    assert bucket.size[1] >= 100
    assert bucket.film == (512 + 2 * 21, 512 + 2 * 21)


def test_a_shift_is_told_against_the_buckets_foot_and_fits_into_the_margin() -> None:
    for top in range(20, 60):
        bucket = Bucket.of(cut(top, 30, 60, 20, 128))
        down, right = bucket.find_shift(cut(top, 30, 60, 20, 128))
        assert (bucket.foot[0] + down, bucket.foot[1] + right) == (top + 60, 40)
        assert max(abs(down), abs(right)) <= bucket.margin


@pytest.mark.parametrize("canvas", [(120, 80), (80, 120), (100, 100)])
def test_a_narrower_film_sees_what_the_wide_one_sees_pixel_for_pixel(canvas: tuple[int, int]) -> None:
    camera = solve_camera(canvas, (20, 20, 50, 20), Framing(), 8.0)
    bucket = Bucket(canvas, (50, 20), (70, 30))
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3)) + np.array([0, 0, 0.4])
    wide = project(points, _widen(camera, bucket)) * bucket.film[::-1] - bucket.margin
    alone = project(points, camera) * canvas[::-1]
    assert wide == pytest.approx(alone, abs=1e-6)
    moved = project(points, _narrow(_widen(camera, bucket), bucket, (3, -2))) * canvas[::-1]
    assert moved == pytest.approx(alone + np.array([-2, 3]), abs=1e-6)


def test_a_product_beside_its_buckets_foot_is_not_moved() -> None:
    cutout = cut(22, 27, 33, 12)
    shown = choose(cutout)
    assert shown.bucket.find_shift(cutout) != (0, 0)
    stage = shown.place(replace(shown.build(), product=[]), cutout)
    mask, solid = render_mask(stage, 64, 16, 0) > 127, cutout.matte > 0.5
    assert (mask & solid).sum() / (mask | solid).sum() >= 0.98


def test_a_shared_set_has_a_view_up_to_the_upper_edge() -> None:
    """A camera that looks up on a product saw over the sky: a grey band, 70 levels apart."""
    category, cutout = load_category("camera"), cut(25, 14, 23, 36)
    for brand in category.brands:
        empty = Plates().draw_empty(cutout, choose_set(cutout, category, category, 2, brand, 4.5), 4)
        sky = empty[:12].astype(float).mean(1)
        assert np.abs(np.diff(sky, axis=0)).max() < 10


def test_a_ratio_is_spread_along_the_edges_of_the_set() -> None:
    """Left half dark and unchanged, right half light and halved: no pixel takes from over the edge."""
    light = np.full((32, 32, 3), 0.05, np.float32)
    light[:, 18:] = 0.8  # not where four pixels make one
    before = shrink(light, (8, 8))
    ratio = np.ones((8, 8, 3), np.float32)
    ratio[:, 5:] = 0.5
    ratio[:, 4] = (2 * 0.05 * 1 + 2 * 0.8 * 0.5) / (2 * 0.05 + 2 * 0.8)
    found = spread(Change(ratio, before, np.ones((8, 8), bool)), light)
    assert found[:, :16] == pytest.approx(np.ones((32, 16, 3)), abs=0.01)
    assert found[:, 19:] == pytest.approx(np.full((32, 13, 3), 0.5), abs=0.03)
    even = Change(np.full((8, 8, 3), 0.7, np.float32), before, np.ones((8, 8), bool))
    assert spread(even, light) == pytest.approx(np.full((32, 32, 3), 0.7), abs=1e-5)


def test_a_change_that_is_too_fine_is_predicted() -> None:
    before, seen = np.full((32, 32, 3), 0.4, np.float32), np.ones((32, 32), bool)
    smooth = np.broadcast_to(np.linspace(0.5, 1, 32, dtype=np.float32)[None, :, None], (32, 32, 3))
    assert predict_fault(Change(smooth, before, seen), 1.0) < 0.02
    stripes = np.where(np.arange(32) % 2 > 0, 0.5, 1.0).astype(np.float32)[None, :, None]
    assert predict_fault(Change(np.broadcast_to(stripes, (32, 32, 3)), before, seen), 1.0) > 0.9


def test_the_window_lies_round_the_foot() -> None:
    left, top, wide, tall = find_foot_window(cut(20, 30, 70, 25, 128).matte)
    assert (left, left + wide) == (30 - 6, 55 + 6)
    assert (top, top + tall) == (89 - 7, 90 + 6)
    assert find_foot_window(cut(20, 0, 108, 128, 128).matte) == (0, 116, 128, 12)


def test_a_plate_with_its_product_is_near_the_full_render() -> None:
    cutout = cut(24, 26, 32, 12)
    shown, plates = choose(cutout), Plates()
    plate = plates.get(shown, 32)
    light, _ = change_plate(plate, cutout, shown)
    whole = render_whole(plate, cutout, shown, 32)
    seen = cutout.matte <= 0
    a, b = (tone_map(each, plate.stage.exposure).astype(int)[seen] for each in (light, whole))
    assert np.abs(a - b).mean() < 3
    alone = render_alone(cutout, shown, 32).astype(int)
    assert np.abs(alone[seen] - b).mean() < 1
    empty = tone_map(plate.light.astype(np.float32), plate.stage.exposure)
    assert empty.shape == (*shown.bucket.film, 3)
    foot = ndimage.binary_dilation(~seen, iterations=2) & seen
    foot[:54] = False
    part = plates.draw_empty(cutout, shown, 32).astype(int)
    dark = part[foot].mean() - tone_map(light, plate.stage.exposure)[foot].mean()
    true = part[foot].mean() - tone_map(whole, plate.stage.exposure)[foot].mean()
    assert dark == pytest.approx(true, abs=max(4, 0.25 * true))


def test_ice_is_clear_round_a_product_whoever_holds_its_shapes() -> None:
    cutout, can = cut(24, 26, 32, 12), load_category("drink can")
    shown = choose_set(cutout, can, can, 0, can.brands[0])
    plate, seen = Plates().get(shown, 16), cutout.matte <= 0
    assert "cubes" in can.brands[0].elements
    whole = tone_map(render_whole(plate, cutout, shown, 16), plate.stage.exposure).astype(int)
    alone = render_alone(cutout, shown, 16).astype(int)
    assert np.abs(alone - whole)[seen].mean() < 1


@pytest.mark.parametrize("tall", [26, 27, 28, 29, 30, 31])
def test_a_set_is_neither_larger_nor_smaller_than_its_products_by_more_than_half_a_step(tall: int) -> None:
    cutout = cut(56 - tall, 26, tall, 12)
    stage = choose(cutout).build()
    foot, head = project(np.array([[0.0, 0, 0], [0, 0, 1]]), stage.camera)
    film = choose(cutout).bucket.film[0]
    assert (foot - head)[1] * film / tall == pytest.approx(1, abs=STEP**0.5 - 1 + 0.03)


def test_what_a_plate_measured_small_is_what_each_product_would_measure() -> None:
    cutout = cut(22, 27, 33, 12)
    shown = choose(cutout)
    plate = Plates().get(shown, 1)
    stage = replace(shown.place(plate.stage, cutout), camera=plate.stage.camera)
    light, albedo = plate.light.astype(np.float32), plate.albedo.astype(np.float32)
    matte = shown.widen(cutout.matte, cutout)
    assert np.array_equal(shown.crop(matte, cutout), cutout.matte)
    values = (light, stage, plate.shapes, albedo, matte, shown.arrangement)
    assert np.array_equal(add_product(*values)[0], add_product(*values, plate.small)[0])


def test_a_product_darkens_the_ground_at_its_foot() -> None:
    cutout = cut(20, 26, 30, 12, colour=60)
    shown = choose(cutout)
    plate = Plates().get(shown, 4)
    empty = shown.crop(plate.light, cutout)
    foot = np.s_[50:52, 26:38]
    for light in (change_plate(plate, cutout, shown)[0], render_whole(plate, cutout, shown, 16)):
        assert light[foot].mean() < 0.85 * empty[foot].mean()


def test_an_image_does_not_depend_on_the_plates_that_are_kept() -> None:
    first, second = cut(25, 26, 31, 11, colour=90), cut(26, 25, 30, 11, colour=90)
    assert choose(first) == choose(second)
    alone = Plates().draw(second, choose(second), 1)
    both = Plates()
    both.draw(first, choose(first), 1)
    assert np.array_equal(both.draw(second, choose(second), 1), alone)
    none = Plates(kept_bytes=0)
    none.draw(first, choose(first), 1)
    none.draw(cut(4, 26, 32, 12), choose(cut(4, 26, 32, 12)), 1)
    assert len(none._kept) == 1
    assert np.array_equal(none.draw(second, choose(second), 1), alone)
