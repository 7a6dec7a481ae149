"""Spill is measured, alpha stays exact where it is certain, and large images are upsampled along edges."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from cyclorama.imaging.matting import (
    MattingConfig,
    _upsample_guided,
    estimate_foreground,
    estimate_matte,
    measure_spill,
    solve_matte,
)
from cyclorama.imaging.product import Product

OWN = np.array([180, 60, 40])


def scene(side: int, softness: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side]
    alpha = np.clip((0.3 * side - np.hypot(y - side / 2, x - side / 2)) / softness + 0.5, 0, 1)
    mixed = alpha[..., None] * OWN + (1 - alpha[..., None]) * np.array([240, 240, 250])
    return np.rint(mixed).astype(np.uint8), alpha.astype(np.float32)


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_spill_strength_is_recovered(amount: float) -> None:
    _, alpha = scene(96, 5.0)
    old = (1 - alpha[..., None]) * amount
    pixels = np.rint(OWN * (1 - old) + 255 * old).astype(np.uint8)
    strength, explained = measure_spill(pixels, alpha)
    assert strength == pytest.approx(amount, abs=0.1)
    assert (explained > 0.9) is (amount > 0)
    product = Product(pixels, alpha)  # keeps the rim's colours below a strength of 0.4
    assert np.array_equal(product.foreground, pixels) is (amount == 0)


def test_matte_is_exact_away_from_the_outline() -> None:
    pixels, alpha = scene(96, 2.0)
    matte = estimate_matte(pixels, (alpha > 0.5).astype(np.float32), MattingConfig(rim_share=0.03))
    y, x = np.mgrid[:96, :96]
    away = np.abs(np.hypot(y - 48, x - 48) - 0.3 * 96) > 6
    assert np.array_equal(matte[away], alpha[away])
    assert np.abs(matte - alpha).max() < 0.2
    band = (alpha > 0.97) & ~away
    assert band.any() and matte[band].mean() > 0.97  # no veil is left over the product


def test_reduced_solution_is_upsampled_along_the_edge() -> None:
    pixels, alpha = scene(192, 5.0)
    config = MattingConfig(rim_share=0.03, working_side=64)
    matte = estimate_matte(pixels, (alpha > 0.5).astype(np.float32), config)
    assert np.abs(matte - alpha).mean() < 0.01
    assert np.abs(matte - alpha).max() < 0.3


def test_a_product_thinner_than_the_band_keeps_its_mask() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[:, 30:32] = 1
    assert np.array_equal(estimate_matte(np.zeros((64, 64, 3), np.uint8), mask), mask)


def test_a_guess_draws_the_outline_where_colours_do_not_and_gives_way_where_they_do() -> None:
    pixels, alpha = scene(96, 2.0)
    away = np.hypot(*(np.mgrid[:96, :96] - 48)) - 0.3 * 96
    trimap = np.where(np.abs(away) < 8, 0.5, alpha > 0.5).astype(np.float32)
    guesses = [(away < -6).astype(np.float32), None, (away < 6).astype(np.float32)]
    alike = [solve_matte(np.full_like(pixels, 128), trimap, guess=guess).sum() for guess in guesses]
    assert alike[0] < alike[1] - 20 and alike[2] > alike[1] + 20
    told = [solve_matte(pixels, trimap, guess=guess) for guess in guesses]
    assert max(np.abs(matte - alpha).mean() for matte in told) < 0.02  # a guess is off by 0.12


def test_foreground_is_the_input_except_in_the_rim() -> None:
    pixels, alpha = scene(64, 4.0)
    foreground = estimate_foreground(pixels, alpha)
    soft = (alpha > 0) & (alpha < 1)
    assert np.array_equal(foreground[~soft], pixels[~soft])
    assert np.abs(foreground[soft & (alpha > 0.3)].astype(int) - OWN).max() <= 12


def test_importing_the_package_does_not_import_the_matting_library() -> None:
    heavy = ("pymatting", "numba", "torch")
    code = f"import sys, cyclorama.imaging.product; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_colours_do_not_jump_between_tiles() -> None:
    pixels, alpha = scene(700, 6.0)  # the rim crosses the border of two tiles
    foreground = estimate_foreground(pixels, alpha)
    seen = (alpha > 0.3) & (alpha < 1)
    assert np.abs(foreground[seen].astype(int) - OWN).max() <= 12


@pytest.mark.parametrize("first", ["torch", "matting"])
def test_matting_leaves_the_number_of_threads_alone(first: str) -> None:
    """numba's pool would set torch's; then images made after a cut-out would differ from ones made before."""
    cut = (
        "import numpy as np\nfrom cyclorama.imaging.matting import estimate_foreground\n"
        "estimate_foreground(np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 0.5, np.float32))\n"
    )
    code = "import torch\n" * (first == "torch") + cut + "import torch\nprint(torch.get_num_threads())"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "1"


def test_upsampling_is_the_guided_filter_of_the_literature() -> None:
    """At equal size: linear regression with a ridge in every 5 x 5 window, its coefficients then averaged."""
    rng = np.random.default_rng(0)
    guide = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    alpha = rng.random((10, 12)).astype(np.float32)
    colour = np.pad(guide / 255.0, ((2, 2), (2, 2), (0, 0)), mode="edge")
    known = np.pad(alpha.astype(float), 2, mode="edge")
    slope, offset = np.empty((10, 12, 3)), np.empty((10, 12))
    for y, x in np.ndindex(10, 12):
        own, wanted = colour[y : y + 5, x : x + 5].reshape(25, 3), known[y : y + 5, x : x + 5].ravel()
        covariance = np.cov(own.T, bias=True) + 1e-4 * np.eye(3)
        slope[y, x] = np.linalg.solve(covariance, (own - own.mean(0)).T @ (wanted - wanted.mean()) / 25)
        offset[y, x] = wanted.mean() - slope[y, x] @ own.mean(0)
    window = np.pad(np.dstack([slope, offset]), ((2, 2), (2, 2), (0, 0)), mode="edge")
    mean = np.array([[window[y : y + 5, x : x + 5].mean((0, 1)) for x in range(12)] for y in range(10)])
    expected = np.clip((mean[..., :3] * guide / 255).sum(axis=2) + mean[..., 3], 0, 1)
    assert np.abs(_upsample_guided(alpha, guide, guide, alpha >= 0) - expected).max() < 1e-3
