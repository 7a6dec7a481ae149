"""Copies of a product are found wherever they show, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.errors import ImageSizeError
from cyclorama.generation.gate_copies import compute_copied, compute_doubled

SIDE = 128


def paint_scene(seed: int) -> np.ndarray:
    """A wall and a floor with a few round props, uint8 (128, 128, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    scene = np.empty((SIDE, SIDE, 3))
    scene[:] = random.uniform(90, 220, 3) + 20 * rows[..., None] / SIDE
    scene[rows > 84] = random.uniform(90, 220, 3)
    for _ in range(5):
        row, column, radius = [*random.uniform(10, 118, 2).tolist(), random.uniform(4, 12)]
        scene[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = random.uniform(30, 255, 3)
    return scene.clip(0, 255).astype(np.uint8)


def paint_product(seed: int, left: int, top: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, mask) of a box with a striped label, 34 wide and 56 high."""
    random = np.random.default_rng(1000 + seed)
    box = np.empty((56, 34, 3))
    box[:] = random.uniform(30, 230, 3)
    box[12:40:4, 5:29] = random.uniform(30, 230, 3)
    box[18:26, 8:20] = random.uniform(30, 230, 3)
    pixels, mask = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.float32)
    pixels[top : top + 56, left : left + 34] = box.astype(np.uint8)
    mask[top : top + 56, left : left + 34] = 1
    return pixels, mask


def lay(plate: np.ndarray, pixels: np.ndarray, mask: np.ndarray, share: float = 1.0) -> np.ndarray:
    """``pixels`` laid over ``plate`` where ``mask`` is 1."""
    weight = (share * mask)[..., None]
    return np.rint(plate * (1 - weight) + pixels * weight).astype(np.uint8)


def double(seed: int, down: int, right: int, blur: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A scene in which the product peeks out from behind itself."""
    product, mask = paint_product(seed, 46)
    ghost, place = np.roll(product, (down, right), (0, 1)), np.roll(mask, (down, right), (0, 1))
    plate = lay(paint_scene(seed), ghost, place)
    return lay(ndimage.gaussian_filter(plate, (blur, blur, 0)), product, mask), mask


@pytest.mark.parametrize(("down", "right"), [(0, 12), (-8, -10), (-6, 14)])
def test_every_double_stands_above_every_clean_scene(down: int, right: int):
    clean = [compute_doubled(*double(seed, 0, 0)) for seed in range(8)]
    doubled = [compute_doubled(*double(seed, down, right)) for seed in range(8)]
    soft = [compute_doubled(*double(seed, down, right, 1.0)) for seed in range(8)]
    assert max(clean) < 0.15
    assert min(doubled) > 0.3
    assert np.median(soft) > 0.2


def test_a_double_is_looked_for_within_reach_alone():
    product, mask = paint_product(3, 8)
    far, place = np.roll(product, 70, 1), np.roll(mask, 70, 1)
    assert compute_doubled(lay(lay(paint_scene(3), far, place), product, mask), mask) < 0.15


def copy_reference(seed: int, shift: int, share: float = 1.0, left: int = 80) -> float:
    """The value of an image into which the reference's product was copied, ``shift`` pixels aside."""
    reference_product, reference_mask = paint_product(100 + seed, left)
    reference = lay(paint_scene(50 + seed), reference_product, reference_mask)
    moved, place = np.roll(reference_product, shift, 1), np.roll(reference_mask, shift, 1)
    plate = lay(paint_scene(seed), moved, place, share)
    product, mask = paint_product(seed, 30)
    value = compute_copied(lay(plate, product, mask), mask, reference, reference_mask)
    assert value is not None
    return value


def test_a_leak_is_found_in_place_moved_and_half_transparent():
    clean = [copy_reference(seed, 0, 0.0) for seed in range(6)]
    assert max(clean) < 0.1
    assert min(copy_reference(seed, 0) for seed in range(6)) > 0.6
    assert min(copy_reference(seed, 10) for seed in range(6)) > 0.4  # not in place: less what is accident
    assert np.median([copy_reference(seed, 0, 0.8) for seed in range(6)]) > 0.4


def test_a_leak_shows_in_the_strip_that_the_product_leaves_in_sight():
    for seed in range(4):
        assert copy_reference(seed, 0, 1.0, left=42) > 0.4  # 12 of its 34 columns are in sight
        assert copy_reference(seed, 0, 0.0, left=42) < 0.2


def test_a_leak_behind_the_product_is_no_fault_and_a_reference_without_product_no_measurement():
    assert copy_reference(1, 0, 1.0, left=30) < 0.2
    product, mask = paint_product(1, 30)
    image = lay(paint_scene(1), product, mask)
    assert compute_copied(image, mask, image, np.zeros_like(mask)) is None


def test_sizes_have_to_agree():
    image, mask = double(1, 0, 0)
    with pytest.raises(ImageSizeError):
        compute_doubled(image, mask[:-1])
    with pytest.raises(ImageSizeError):
        compute_copied(image, mask, image, mask[:-1])


@pytest.mark.parametrize(
    ("rows", "columns", "seen"),
    [(0, 32, True), (0, -32, True), (32, 0, True), (-32, 0, True), (0, 33, False), (-33, 0, False)],
)
def test_copies_of_the_product_are_looked_for_up_to_32_units_away(rows, columns, seen):
    product = np.random.default_rng(3).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    pixels = np.full((256, 256, 3), 128, np.uint8)
    mask = np.zeros((256, 256), np.float32)
    for top, left in ((100 + rows, 100 + columns), (100, 100)):
        pixels[top : top + 30, left : left + 30] = product
    mask[100:130, 100:130] = 1
    assert (compute_doubled(pixels, mask) > 0.8) is seen
