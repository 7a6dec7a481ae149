"""A fill takes on the colours around its hole and keeps its structure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.erasing.erase import match_surroundings

SIDE = 48
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE


def _hole(kind: str) -> np.ndarray:
    return {
        "disc": np.hypot(ROWS - 0.5, COLUMNS - 0.45) < 0.3,
        "corner": (ROWS < 0.4) & (COLUMNS < 0.5),
        "two": (abs(ROWS - 0.5) < 0.2) & (abs(COLUMNS - 0.5) > 0.2) & (abs(COLUMNS - 0.5) < 0.4),
    }[kind]


def _scene() -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE, 3)), (4, 4, 0))
    return (smooth / abs(smooth).max()).astype(np.float32)


@pytest.mark.parametrize("kind", ["disc", "corner", "two"])
def test_a_fill_in_the_wrong_colour_becomes_the_image(kind: str) -> None:
    """Up to what the scene itself changes from one pixel to the next."""
    scene, hole = _scene(), _hole(kind)
    filled = scene + hole[..., None] * np.float32([0.3, -0.2, 0.1])
    matched = match_surroundings(filled, hole)
    assert np.array_equal(matched[~hole], scene[~hole])
    assert abs(matched - scene).max() < 0.12 and abs(matched - scene).mean() < 0.02
    flat = np.full((SIDE, SIDE, 3), 0.25, np.float32)
    assert np.allclose(match_surroundings(flat + hole[..., None] * np.float32(0.4), hole), flat, atol=1e-5)


def test_the_correction_is_the_membrane_over_the_rim() -> None:
    """Against the same equation solved by plain relaxation."""
    hole = _hole("disc")
    filled = np.where(hole, 0, COLUMNS + 0.5 * ROWS)[..., None].astype(np.float32)
    solved = match_surroundings(filled, hole)[..., 0]
    rim = ndimage.binary_dilation(hole, np.ones((3, 3))) & ~hole
    values = np.where(rim, filled[..., 0], 0.0)  # the fill is 0, so these are the steps
    surface = ndimage.gaussian_filter(values, 1.5) / np.maximum(
        ndimage.gaussian_filter(rim.astype(float), 1.5), 1e-9
    )
    step = surface.copy()
    for _ in range(4000):
        mean = sum(np.roll(surface, shift, axis) for shift in (1, -1) for axis in (0, 1)) / 4
        surface = np.where(hole, mean, surface)
    assert abs(solved - surface)[hole].max() < 1e-4
    assert solved[hole].min() >= step[rim].min() - 1e-6 and solved[hole].max() <= step[rim].max() + 1e-6


def test_structure_inside_the_hole_stays() -> None:
    hole = _hole("disc")
    inner = np.hypot(ROWS - 0.5, COLUMNS - 0.45) < 0.1
    filled = np.where(inner, 0.9, np.where(hole, 0.6, 0.1))[..., None].astype(np.float32)
    matched = match_surroundings(filled, hole)
    assert np.allclose(matched[inner], 0.4, atol=1e-5) and np.allclose(matched[hole & ~inner], 0.1, atol=1e-5)


def test_no_hole_and_no_rim_change_nothing() -> None:
    scene = _scene()
    assert np.array_equal(match_surroundings(scene, np.zeros((SIDE, SIDE), bool)), scene)
    assert np.array_equal(match_surroundings(scene, np.ones((SIDE, SIDE), bool)), scene)
