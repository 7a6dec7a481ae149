"""Hint augmentation: switches, determinism, and that the true background cannot leak."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.data.augment import (
    HintConfig,
    augment_hint,
    compress,
    dilate_binary,
    jitter_colour,
    resize_mask,
)
from cyclorama.errors import ConfigError

ALWAYS = HintConfig(probability=1.0, reference_resolution=64)
PARTS = ("colour", "blur", "sharpen", "jpeg", "mask")
OFF = ALWAYS.replace(**dict.fromkeys(PARTS, False))


def make_inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[18:46, 20:44] = 1
    mask[17, 20:44] = 0.5
    return pixels, mask


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_with_every_part_off_the_product_lies_unchanged_on_a_plate() -> None:
    pixels, mask = make_inputs()
    plates = []
    for seed in range(60):
        hint, same = augment_hint(pixels, mask, OFF, rng(seed))
        assert np.array_equal(same, mask)
        assert np.array_equal(hint[mask == 1], pixels[mask == 1])
        levels = np.unique(hint[mask == 0])
        assert len(levels) == 1
        plates.append(int(levels[0]))
    assert 18 < plates.count(255) < 42
    assert min(plates) >= 40


def test_background_pixels_never_matter() -> None:
    pixels, mask = make_inputs()
    other = np.where(mask[..., None] > 0, pixels, 255 - pixels)
    for seed in range(8):
        for first, second in zip(
            augment_hint(pixels, mask, ALWAYS, rng(seed)),
            augment_hint(other, mask, ALWAYS, rng(seed)),
            strict=True,
        ):
            assert np.array_equal(first, second)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_acts_alone_and_is_deterministic(part: str) -> None:
    pixels, mask = make_inputs()
    config = OFF.replace(**{part: True})
    base = augment_hint(pixels, mask, OFF, rng(1))
    one, two = (augment_hint(pixels, mask, config, rng(1)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert np.array_equal(one[0], base[0]) == (part == "mask")
    assert np.array_equal(one[1], base[1]) == (part != "mask")
    never = augment_hint(pixels, mask, config.replace(probability=0.0), rng(1))
    assert np.array_equal(never[0], base[0])
    assert np.array_equal(never[1], base[1])


def test_switching_the_mask_off_leaves_the_pixels_as_they_were() -> None:
    pixels, mask = make_inputs()
    full, _ = augment_hint(pixels, mask, ALWAYS, rng(4))
    without, same = augment_hint(pixels, mask, ALWAYS.replace(mask=False), rng(4))
    assert np.array_equal(full, without)
    assert np.array_equal(same, mask)


def test_colour_changes_stay_within_their_limits() -> None:
    pixels, mask = make_inputs()
    values = pixels.astype(np.float32)
    only = OFF.replace(colour=True, contrast=0.0, saturation=0.0, white_balance=0.0, brightness=0.3)
    factors = []
    for seed in range(60):
        changed = jitter_colour(values, mask, only, rng(seed))
        factor = float(changed.sum() / values.sum())
        assert np.allclose(changed, values * factor, rtol=1e-4, atol=1e-2)
        factors.append(factor)
    assert 0.7 - 1e-4 <= min(factors) < 0.78
    assert 1.22 < max(factors) <= 1.3 + 1e-4
    grey = np.repeat(values.mean(axis=2, keepdims=True), 3, axis=2)
    saturated = jitter_colour(
        grey, mask, OFF.replace(brightness=0.0, contrast=0.0, white_balance=0.0), rng(0)
    )
    assert np.allclose(saturated, grey, atol=1e-2)


def test_colour_changes_equal_their_steps_one_by_one() -> None:
    pixels, mask = make_inputs()
    values = pixels.astype(np.float32)
    for seed in range(6):
        changed = jitter_colour(values, mask, ALWAYS, rng(seed))
        draws = rng(seed)
        limits = (ALWAYS.brightness, ALWAYS.contrast, ALWAYS.saturation)
        exposure, contrast, saturation = (1 + draws.uniform(-limit, limit) for limit in limits)
        expected = values * exposure * (1 + draws.uniform(-ALWAYS.white_balance, ALWAYS.white_balance, 3))
        mean = (expected.mean(axis=2) * mask).sum() / mask.sum()
        expected = (expected - mean) * contrast + mean
        grey = expected.mean(axis=2, keepdims=True)
        expected = grey + (expected - grey) * saturation
        assert changed.dtype == np.float32
        assert np.allclose(changed, expected, atol=0.01)


def test_masks_grow_and_shrink_by_a_disc() -> None:
    mask = np.zeros((40, 50), np.float32)
    mask[10:30, 15:35] = 1
    assert np.array_equal(resize_mask(mask, 3.2) == 1, dilate_binary(mask == 1, 3))
    assert np.array_equal(resize_mask(mask, -2.0) == 0, dilate_binary(mask == 0, 2))
    assert resize_mask(mask, -2.0).sum() == 16 * 16
    assert np.array_equal(resize_mask(mask, 0.4), mask)
    assert np.array_equal(resize_mask(mask, -15.0), mask)  # would leave nothing


def test_compression_is_coarser_at_lower_quality() -> None:
    from PIL import Image

    y, x = np.mgrid[:64, :64]
    pixels = np.dstack([x * 4, y * 4, (x + y) * 2]).astype(np.uint8)
    errors = [
        np.abs(np.asarray(compress(Image.fromarray(pixels), quality)).astype(int) - pixels).mean()
        for quality in (95, 40, 5)
    ]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert errors[0] < 3


def test_bad_settings_are_refused() -> None:
    for change, message in [
        ({"probability": 1.5}, "probability: must be from 0 to 1, got 1.5"),
        ({"saturation": 1.0}, "saturation: must be"),
        ({"max_blur_px": -1.0}, "max_blur_px: must be at least 0"),
        ({"min_quality": 99}, "min_quality is 99, max_quality is 95; use min_quality <= max_quality"),
        ({"reference_resolution": 0}, "reference_resolution"),
    ]:
        with pytest.raises(ConfigError, match=message):
            HintConfig().replace(**change)


def test_without_product_pixels_the_contrast_turns_around_black() -> None:
    values = np.full((4, 4, 3), 100, np.float32)
    config = HintConfig(brightness=0.0, saturation=0.0, white_balance=0.0, contrast=0.5)
    changed = jitter_colour(values, np.zeros((4, 4), np.float32), config, np.random.default_rng(3))
    factor = float(changed[0, 0, 0]) / 100
    assert 0.5 <= factor <= 1.5
    assert factor != 1
    assert np.allclose(changed, 100 * factor)
