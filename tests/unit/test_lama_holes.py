"""Holes for LaMa's training: areas, determinism, kinds."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.errors import ConfigError
from cyclorama.lab.baselines.lama_training import (
    HoleConfig,
    draw_boxes,
    draw_strokes,
    sample_hole,
)
from cyclorama.seeding import build_numpy_generator

SIZE = (256, 256)
NOTHING = np.zeros(SIZE, dtype=np.float32)


def sample(config: HoleConfig, count: int, mask: np.ndarray = NOTHING) -> np.ndarray:
    return np.stack([sample_hole(mask, config, build_numpy_generator(0, n, "test")) for n in range(count)])


def build_product() -> np.ndarray:
    mask = NOTHING.copy()
    mask[80:200, 100:180] = 1
    mask[79, 100:180] = 0.5
    return mask


@pytest.mark.parametrize(
    ("kind", "mean", "spread"),
    [("strokes", (0.38, 0.46), (0.16, 0.22)), ("boxes", (0.22, 0.28), (0.10, 0.14))],
)
def test_areas_lie_in_the_stated_ranges(kind, mean, spread):
    other = "boxes" if kind == "strokes" else "strokes"
    config = HoleConfig(**{other: 0.0})
    areas = sample(config, 300).mean(axis=(1, 2))
    assert areas.min() >= config.min_area and areas.max() <= config.max_area
    assert mean[0] < areas.mean() < mean[1]
    assert spread[0] < areas.std() < spread[1]


def test_holes_fall_everywhere_alike():
    share = sample(HoleConfig(boxes=0.0), 300).mean(axis=0)
    quarters = [share[y : y + 128, x : x + 128].mean() for y in (0, 128) for x in (0, 128)]
    assert max(quarters) / min(quarters) < 1.25


def test_a_hole_is_a_function_of_its_generator_alone():
    config = HoleConfig()
    first, second = sample(config, 4), sample(config, 4)
    assert (first == second).all()
    assert len({hole.tobytes() for hole in first}) == 4


def test_lengths_scale_with_the_resolution():
    config = HoleConfig()
    for draw in (draw_strokes, draw_boxes):
        small = draw((256, 256), config, np.random.default_rng(7))
        large = draw((512, 512), config, np.random.default_rng(7))
        assert abs(small.mean() - large.mean()) < 0.02


def test_boxes_keep_the_margin_and_their_sides():
    config = HoleConfig(max_boxes=1)
    for seed in range(50):
        hole = draw_boxes(SIZE, config, np.random.default_rng(seed))
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert min(rows[0], columns[0]) >= 10 and max(rows[-1], columns[-1]) < 246
        assert 30 <= len(rows) <= 150 and 30 <= len(columns) <= 150


def test_one_straight_stroke_has_its_width_and_round_ends():
    config = HoleConfig(max_chains=1, max_segments=1, segment_px=(80, 80), stroke_px=(20, 20))
    areas = [draw_strokes(SIZE, config, np.random.default_rng(seed)).sum() for seed in range(200)]
    whole = 80 * 20 + np.pi * 10**2
    assert max(areas) == pytest.approx(whole, rel=0.03)


def test_the_background_kind_is_all_but_the_product():
    config = HoleConfig(background=1e9)
    hole = sample_hole(build_product(), config, np.random.default_rng(0))
    assert not hole[80:200, 100:180].any()
    assert hole.sum() == 256 * 256 - 120 * 80  # the half covered row shows the old background: hidden
    assert (hole == (build_product() < 0.95)).all()


@pytest.mark.parametrize("mask", [NOTHING, np.ones(SIZE, dtype=np.float32)], ids=["none", "all"])
def test_images_without_product_or_background_get_another_kind(mask):
    config = HoleConfig(background=1e9, boxes=0.0)
    holes = sample(config, 20, mask)
    assert 0.1 < holes.mean() < 0.6


def test_kinds_come_by_their_weights():
    config = HoleConfig(strokes=1, boxes=0, background=3)
    product = build_product()
    wanted = product < 0.95
    shares = np.mean([(hole == wanted).all() for hole in sample(config, 400, product)])
    assert 0.68 < shares < 0.82


@pytest.mark.parametrize(
    "wrong",
    [
        {"strokes": 0.0, "boxes": 0.0},
        {"boxes": -1.0},
        {"box_px": (0.0, 5.0)},
        {"stroke_px": (9.0, 5.0)},
        {"min_area": 0.5, "max_area": 0.5},
        {"max_chains": 0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        HoleConfig(**wrong)


def test_areas_that_cannot_be_met_are_named():
    config = HoleConfig(strokes=0.0, box_px=(1, 2), max_boxes=1, min_area=0.5)
    with pytest.raises(ConfigError, match=r"256 boxes lay outside 0.5 to 0.75"):
        sample_hole(NOTHING, config, np.random.default_rng(0))
