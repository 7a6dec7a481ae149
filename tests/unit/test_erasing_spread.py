"""Filling a hole from its surroundings: bounds, flat and sloping images, the exact membrane."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cyclorama.erasing.erase import match_surroundings
from cyclorama.erasing.files import is_prefilled, load_lama, save_lama
from cyclorama.erasing.network import LamaGenerator, LamaShape, predict_fill, spread_known

SHAPE = LamaShape(width=4, downsamplings=2, blocks=1, prefilled=True)


def _scene(seed: int = 0, size: tuple[int, int] = (64, 80)) -> tuple[torch.Tensor, torch.Tensor]:
    """A soft image (2, 3, H, W) in [0, 1] and two holes, one at the border."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(2, 3, 5, 6, generator=generator)
    hole = torch.zeros(2, 1, *size)
    hole[0, :, 20:40, 15:60] = 1
    hole[1, :, :25, 50:] = 1
    return torch.nn.functional.interpolate(values, size, mode="bilinear"), hole


def test_known_values_stay_and_the_hole_keeps_within_them() -> None:
    values, hole = _scene()
    filled = spread_known(values, hole)
    assert torch.equal(filled[hole.expand_as(values) == 0], values[hole.expand_as(values) == 0])
    for image, where, result in zip(values, hole, filled):
        known = torch.where(where > 0, torch.nan, image)
        low, high = (float(np.nanmin(known)), float(np.nanmax(known)))
        assert low <= float(result.min()) and float(result.max()) <= high
    assert torch.equal(spread_known(torch.where(hole > 0, 7.0, values), hole), filled)
    assert not spread_known(values, torch.ones_like(hole)).any()
    assert torch.equal(spread_known(values, torch.zeros_like(hole)), values)


def test_a_flat_image_is_filled_exactly_and_a_slope_nearly() -> None:
    _, hole = _scene()
    flat = torch.full((2, 3, 64, 80), 0.3)
    assert torch.allclose(spread_known(flat, hole), flat, atol=1e-6)
    slope = (torch.arange(80.0) / 80).expand(2, 3, 64, 80)
    assert float((spread_known(slope, hole) - slope)[:1].abs().max()) < 0.03


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_close_to_the_membrane(seed: int) -> None:
    values, hole = _scene(seed)
    filled = spread_known(values, hole)
    for image, where, result in zip(values, hole[:, 0].numpy() > 0, filled):
        empty = np.where(where[..., None], 0, image.permute(1, 2, 0).numpy()).astype(np.float32)
        exact = match_surroundings(empty, where)[where]
        error = np.abs(result.permute(1, 2, 0).numpy()[where] - exact).mean()
        assert error < 0.15 * np.abs(exact - empty[~where].mean(axis=0)).mean()


def test_an_untrained_prefilled_generator_gives_the_surroundings(tmp_path) -> None:
    values, hole = _scene(3)
    generator = LamaGenerator(SHAPE).eval()
    filled = predict_fill(generator, values * 2 - 1, hole)
    assert torch.allclose((filled + 1) / 2, spread_known(values, hole), atol=1e-6)
    with torch.no_grad():
        generator.model[-2].bias.fill_(0.2)
    save_lama(generator, tmp_path / "made", {})
    loaded = load_lama(tmp_path / "made")
    assert loaded.generator.shape == SHAPE and is_prefilled(loaded.path)
    moved = predict_fill(loaded.generator, values * 2 - 1, hole)
    assert torch.equal(moved, predict_fill(generator, values * 2 - 1, hole)) and not torch.equal(
        moved, filled
    )
    other = LamaGenerator(LamaShape(width=4, downsamplings=2, blocks=1))
    save_lama(other, tmp_path / "plain", {})
    assert not is_prefilled(load_lama(tmp_path / "plain").path)
