"""Into the model's shape and tensors, and back: no bit is lost, nothing bleeds out of transparency."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.imaging.transforms import (
    choose_model_size,
    fit_reference,
    fit_to_model,
    resize_pixels,
    resize_plane,
    resize_rgba,
)
from cyclorama.tensors import to_image, to_mask_tensor, to_pixels

sides = st.integers(20, 220)


def test_halving_is_the_mean_of_four() -> None:
    plane = np.random.default_rng(0).random((20, 32)).astype(np.float32)
    assert np.allclose(
        resize_plane(plane, (10, 16)), plane.reshape(10, 2, 16, 2).mean(axis=(1, 3)), atol=1e-6
    )


def test_enlarging_follows_pillows_bicubic() -> None:
    pixels = np.random.default_rng(1).integers(90, 160, (12, 16, 3), dtype=np.uint8)  # no clipping
    reference = np.asarray(Image.fromarray(pixels).resize((40, 30), Image.Resampling.BICUBIC))
    assert np.abs(resize_pixels(pixels, (30, 40)).astype(int) - reference).max() <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 255), st.integers(0, 2**31), st.sampled_from([(9, 13), (40, 50)]))
def test_colour_under_transparency_has_no_influence(hidden: int, seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    alpha = (rng.random((24, 30)) > 0.5).astype(np.float32)
    pixels = np.full((24, 30, 3), 90, np.uint8)
    pixels[alpha == 0] = hidden
    out, out_alpha = resize_rgba(pixels, alpha, size)
    seen = out_alpha > 0.05
    assert np.abs(out[seen].astype(int) - 90).max(initial=0) <= 1
    assert np.array_equal(out_alpha, resize_rgba(pixels * 0, alpha, size)[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 5000), st.integers(10, 5000), st.sampled_from([(256, 16), (512, 8), (512, 64)]))
def test_model_size_keeps_area_and_aspect(height: int, width: int, model: tuple[int, int]) -> None:
    native, multiple = model
    h, w = choose_model_size((height, width), native, multiple)
    assert h % multiple == 0 and w % multiple == 0
    assert 1 / 1.1 <= h * w / native**2 <= 1.1 and 0.5 <= w / h <= 2
    wanted = min(max(width / height, 0.5), 2)
    assert abs(np.log(w / h / wanted)) < 0.15
    assert choose_model_size((height, height), native, multiple) == (native, native)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_a_marker_comes_back_to_its_place(height: int, width: int, fy: float, fx: float) -> None:
    size = (height, width)
    row, column = int(fy * height), int(fx * width)
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[row, column] = 255
    fit = fit_to_model(size, choose_model_size(size, 256, 16))
    back = fit.undo(fit.apply_rgba(pixels, np.ones(size, np.float32))[0])
    assert back.shape == pixels.shape
    y, x = np.mgrid[:height, :width]
    weight = back[..., 0].astype(np.float64) ** 2
    assert abs((y * weight).sum() / weight.sum() - row) <= 1
    assert abs((x * weight).sum() / weight.sum() - column) <= 1


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_without_resampling_the_way_back_is_bit_exact(h: int, w: int, seed: int) -> None:
    size = (16 * h, 16 * w)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    model_size = (max(size), max(size))
    fit = fit_to_model(size, model_size)
    assert fit.inner == size
    inside = fit.apply_rgba(pixels, np.ones(size, np.float32))[0]
    assert inside.shape[:2] == model_size and np.array_equal(fit.undo(inside), pixels)


def test_padding_is_background_and_repeats_the_edge() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    fit = fit_to_model((32, 64), (64, 64))
    assert (fit.inner, fit.offset) == ((32, 64), (16, 0))
    foreground, mask = fit.apply_rgba(pixels, np.ones((32, 64), np.float32))
    assert mask[:16].max() == 0 and mask[48:].max() == 0 and mask[16:48].min() == 1
    assert np.array_equal(foreground[3], pixels[0]) and np.array_equal(foreground[16:48], pixels)


def test_reference_is_cropped_in_its_centre() -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 200
    mask = np.zeros((40, 100), np.float32)
    mask[:, 50:] = 1
    fitted, fitted_mask = fit_reference(pixels, mask, (40, 40))
    assert fitted.shape == (40, 40, 3) and fitted.min() == 200
    assert fitted_mask is not None and fitted_mask.mean() == 0.5


def test_the_smallest_image_fits_and_an_empty_one_does_not() -> None:
    assert fit_to_model((1, 5), (8, 8)).inner == (2, 8)
    with pytest.raises(SettingsError, match=r"at least 1 pixel, got \(0, 5\)"):
        fit_to_model((0, 5), (8, 8))


def test_a_fit_refuses_another_size() -> None:
    fit = fit_to_model((30, 40), (64, 64))
    with pytest.raises(ValueError, match=r"\(30, 41\).*\(30, 40\)"):
        fit.apply_rgba(np.zeros((30, 41, 3), np.uint8), np.zeros((30, 41), np.float32))


def test_all_levels_survive_and_land_where_they_should() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    pixels[..., 1] = pixels[::-1, :, 0]
    image = to_image(pixels)
    assert image.shape == (1, 3, 16, 16) and image.dtype == torch.float32
    assert image[0, 0, 0, 0] == -1 and image[0, 0, 15, 15] == 1 and image[0, 1, 15, 15] < -0.8
    assert np.array_equal(to_pixels(image), pixels)
    assert np.array_equal(to_pixels(image[0]), pixels)


def test_values_outside_are_clipped_and_bad_ones_refused() -> None:
    image = torch.tensor([-7.0, 0.0, 9.0]).reshape(1, 3, 1, 1)
    assert to_pixels(image).tolist() == [[[0, 128, 255]]]  # 127.5 rounds to the even 128
    with pytest.raises(SettingsError, match="1 values"):
        to_pixels(torch.tensor([0.0, float("nan"), 0.0]).reshape(1, 3, 1, 1))
    with pytest.raises(SettingsError, match=r"\(2, 3, 1, 1\)"):
        to_pixels(torch.zeros(2, 3, 1, 1))


def test_mask_tensor() -> None:
    mask = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    tensor = to_mask_tensor(mask)
    assert tensor.shape == (1, 1, 5, 7) and np.array_equal(tensor[0, 0].numpy(), mask)


def test_an_enlarged_hard_outline_is_smooth_and_soft_and_thin_parts_stay() -> None:
    fine_y, fine_x = np.mgrid[:400, :400]
    truth = (np.hypot(fine_y - 200, fine_x - 200) < 120).astype(np.float32)
    coarse = (resize_plane(truth, (50, 50)) >= 0.5).astype(np.float32)  # in steps of 8
    photo = np.full((50, 50, 3), 255, np.uint8)
    photo[coarse > 0] = (180, 30, 40)
    pixels, alpha = resize_rgba(photo, coarse, (400, 400))
    plain = np.clip(resize_plane(coarse, (400, 400)), 0, 1)
    steps = [int(((found >= 0.5) != (truth > 0)).sum()) for found in (alpha, plain)]
    assert steps[0] < 0.7 * steps[1]
    assert alpha[130:270, 130:270].min() == 1 and alpha[:60].max() == 0
    assert np.abs(pixels[alpha > 0.02].astype(int) - (180, 30, 40)).max() <= 2
    thin, veil = np.zeros((50, 50), np.float32), np.full((50, 50), 0.4, np.float32)
    thin[:, 25] = 1
    for alpha in (thin, veil):
        found = resize_rgba(photo, alpha, (400, 400))[1]
        assert np.array_equal(found, np.clip(resize_plane(alpha, (400, 400)), 0, 1))
