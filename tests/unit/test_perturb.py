"""Perturbation (Eq. 5, 6) against literal readings, and that its parts do not disturb each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.data.augment import (
    PerturbConfig,
    dilate_binary,
    dilate_mask,
    perturb,
    sample_boxes,
    sample_shift,
    shift_mask,
)
from cyclorama.errors import ConfigError, SettingsError

NOTHING = PerturbConfig(dilate=False, translate=False, boxes=False, mix=False)
SIZE = 64
SCALED = PerturbConfig().replace(reference_resolution=128)
"""Lengths as at 128 px, so that they are whole and large enough at 64."""


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.rand((2, 3, SIZE, SIZE), generator=seeded(0)) * 2 - 1
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 20:45, 25:40] = 1
    mask[:, 19, 25:40] = 0.25
    return images[0], mask, images[1]


def dilate_literally(plane: np.ndarray, radius: float, shape: str) -> np.ndarray:
    """Every pixel looks at every pixel."""
    on = np.argwhere(plane)
    grown = np.zeros_like(plane)
    for y, x in np.ndindex(*plane.shape):
        for v, u in on:
            dy, dx = abs(y - v), abs(x - u)
            inside = dy * dy + dx * dx <= radius * radius if shape == "elliptical" else max(dy, dx) <= radius
            if inside:
                grown[y, x] = True
                break
    return grown


@given(
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=9),
    st.floats(0, 7),
    st.sampled_from(["elliptical", "rect"]),
)
@settings(max_examples=60, deadline=None)
def test_dilation_equals_brute_force(rows: list[list[bool]], radius: float, shape: str) -> None:
    plane = np.array(rows)
    expected = dilate_literally(plane, radius, shape)
    assert np.array_equal(dilate_binary(plane, radius, shape), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [3, 12.5, 25])
def test_a_dilated_point_is_a_disc(radius: float) -> None:
    plane = np.zeros((71, 63), bool)
    plane[40, 30] = True
    y, x = np.mgrid[:71, :63]
    assert np.array_equal(dilate_binary(plane, radius), (y - 40) ** 2 + (x - 30) ** 2 <= radius**2)


@pytest.mark.parametrize("size", [(64, 64), (64, 100), (128, 128)])
def test_the_kernel_scales_with_the_shorter_side(size: tuple[int, int]) -> None:
    mask = torch.zeros(1, *size)
    mask[0, 32, 32] = 1
    grown = dilate_mask(mask, kernel_px=64, reference_resolution=512)
    radius = 32 * min(size) // 512
    row = grown[0, 32] > 0
    assert row.nonzero().flatten().tolist() == list(range(32 - radius, 33 + radius))


def test_soft_rims_survive_outside_the_kernel_and_the_input_stays() -> None:
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, 0, 10, 10] = 0.5
    mask[1, 0, 3, 3] = 0.49
    before = mask.clone()
    grown = dilate_mask(mask, kernel_px=4, reference_resolution=32)
    assert torch.equal(mask, before)
    assert grown[0].sum() == 13  # disc of radius 2
    assert grown[0, 0, 10, 12] == 1
    assert torch.equal(grown[1], mask[1])
    assert torch.equal(dilate_mask(mask, kernel_px=0), mask)


def test_huge_kernels_are_refused() -> None:
    with pytest.raises(SettingsError, match="above 250 px"):
        dilate_mask(torch.ones(1, 600, 600), kernel_px=600)


@given(st.integers(-9, 9), st.integers(-9, 9))
@settings(max_examples=40, deadline=None)
def test_shift_equals_its_definition(dy: int, dx: int) -> None:
    mask = torch.rand((1, 6, 7), generator=seeded(1))
    shifted = shift_mask(mask, dy, dx)
    for y, x in itertools.product(range(6), range(7)):
        inside = 0 <= y - dy < 6 and 0 <= x - dx < 7
        assert shifted[0, y, x] == (mask[0, y - dy, x - dx] if inside else 0)


def test_nothing_on_changes_nothing_but_draws_one_number() -> None:
    image, mask, _ = make_inputs()
    generators = [seeded(3), seeded(3)]
    same_image, same_mask = perturb(image, mask, None, NOTHING, generators[0])
    assert torch.equal(same_image, image)
    assert torch.equal(same_mask, mask)
    perturb(image, mask, image, PerturbConfig(), generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_the_whole_equals_its_parts_in_the_stated_order() -> None:
    """mask_aug = max(shift(dilate(M)), boxes), with each part's draw taken from a run of that part alone."""
    image, mask, other = make_inputs()
    for seed in range(12):
        got_image, got_mask = perturb(image, mask, other, SCALED, seeded(seed))
        dilated = dilate_mask(mask, SCALED.kernel_px, "elliptical", 128)
        _, alone = perturb(
            image, dilated, None, SCALED.replace(dilate=False, boxes=False, mix=False), seeded(seed)
        )
        empty = torch.zeros_like(mask)
        _, boxes = perturb(
            image, empty, None, NOTHING.replace(boxes=True, reference_resolution=128), seeded(seed)
        )
        mixed, _ = perturb(image, mask, other, NOTHING.replace(mix=True), seeded(seed))
        assert torch.equal(got_mask, torch.maximum(alone, boxes))
        assert torch.equal(got_image, mixed)


def test_switching_one_part_off_leaves_the_others_draws() -> None:
    image, mask, other = make_inputs()
    seed = 0  # one whose draw has boxes
    full_image, full_mask = perturb(image, mask, other, SCALED, seeded(seed))
    for off in ("dilate", "translate", "boxes"):
        changed, changed_mask = perturb(image, mask, other, SCALED.replace(**{off: False}), seeded(seed))
        assert torch.equal(changed, full_image)
        assert not torch.equal(changed_mask, full_mask)
    plain, same_mask = perturb(image, mask, other, SCALED.replace(mix=False), seeded(seed))
    assert torch.equal(plain, image)
    assert torch.equal(same_mask, full_mask)


def test_without_translation_the_product_is_always_hidden() -> None:
    image, mask, other = make_inputs()
    bands = 0
    for seed in range(40):
        _, still = perturb(image, mask, other, SCALED.replace(translate=False), seeded(seed))
        assert (still >= mask).all()
        _, covered = perturb(image, mask, other, SCALED.replace(keep_covered=True), seeded(seed))
        assert (covered >= dilate_mask(mask, SCALED.kernel_px, "elliptical", 128)).all()
        _, moved = perturb(image, mask, other, SCALED, seeded(seed))
        assert (covered >= moved).all()
        bands += int((moved < mask).any())
    assert 0 < bands < 40  # the paper's shift does show the product at times


def test_shifts_cover_the_whole_range_evenly() -> None:
    generator = seeded(0)
    draws = np.array([sample_shift(6.3, generator) for _ in range(4000)])
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == list(range(-6, 7))
    assert counts.min() > 0.85 * draws.size / 13
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.05


def test_boxes_have_the_stated_number_and_sides() -> None:
    config = PerturbConfig()
    drawn = [sample_boxes((256, 384), config, seeded(seed)) for seed in range(800)]
    counts = np.bincount([len(boxes) for boxes in drawn])
    assert len(counts) == 4
    assert counts.min() > 150
    boxes = np.array([box for found in drawn for box in found])
    assert (boxes[:, :2].min(), boxes[:, 2].max(), boxes[:, 3].max()) == (0, 256, 384)
    sides = np.concatenate([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]])
    assert (sides.min(), sides.max()) == (16, 80)
    assert sides.mean() == pytest.approx(48, abs=1.5)
    huge = config.replace(box_min_px=4000, box_max_px=5000, max_boxes=1)
    assert {tuple(b) for seed in range(9) for b in sample_boxes((8, 9), huge, seeded(seed))} == {(0, 0, 8, 9)}


def test_mixing_equals_the_equation_and_keeps_its_range() -> None:
    image, mask, other = make_inputs()
    sigmas = []
    for seed in range(200):
        mixed, _ = perturb(image, mask, other, NOTHING.replace(mix=True), seeded(seed))
        sigma = float(((mixed - other) * (image - other)).sum() / ((image - other) ** 2).sum())
        assert torch.allclose(mixed, sigma * image + (1 - sigma) * other, atol=1e-5)
        sigmas.append(sigma)
    assert min(sigmas) >= 0.75 - 1e-6
    assert max(sigmas) <= 0.95 + 1e-6
    assert np.mean(sigmas) == pytest.approx(0.85, abs=0.01)
    assert min(sigmas) < 0.76 < 0.94 < max(sigmas)


def test_results_are_bit_equal_for_one_seed_and_leave_the_inputs_alone() -> None:
    image, mask, other = make_inputs()
    copies = image.clone(), mask.clone(), other.clone()
    first, second, third = (perturb(image, mask, other, SCALED, seeded(s)) for s in (8, 8, 9))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], third[0])
    assert all(torch.equal(a, b) for a, b in zip((image, mask, other), copies, strict=True))
    for tensor, low in zip(first, (-1, 0), strict=True):
        assert tensor.dtype == torch.float32
        assert low <= float(tensor.min())
        assert float(tensor.max()) <= 1


def test_bad_requests_are_refused() -> None:
    image, mask, other = make_inputs()
    with pytest.raises(SettingsError, match="no other_image"):
        perturb(image, mask, None, PerturbConfig(), seeded(0))
    with pytest.raises(SettingsError, match="they must agree"):
        perturb(image, mask, other[:, 1:], PerturbConfig(), seeded(0))
    with pytest.raises(SettingsError, match="mask"):
        perturb(image, mask[0], other, PerturbConfig(), seeded(0))
    for change, message in [
        ({"kernel_px": -1.0}, "kernel_px: must be at least 0"),
        ({"box_min_px": 200.0}, "box_min_px is 200.0, box_max_px is 160.0; use box_min_px <= box_max_px"),
        ({"mix_max": 1.5}, "mix_max: must be from 0 to 1, got 1.5"),
        ({"reference_resolution": 0}, "reference_resolution"),
        ({"shape": "star"}, "shape"),
    ]:
        with pytest.raises(ConfigError, match=message):
            PerturbConfig().replace(**change)
