"""Pixels to tensors and back without a bit lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cyclorama.errors import SettingsError
from cyclorama.imaging.transforms import to_image, to_mask_tensor, to_pixels


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
