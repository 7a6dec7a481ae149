"""Erasing at any size: what lies outside the hole is never touched, what lies in it never shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cyclorama.erasing import erase as lama_erase
from cyclorama.erasing.erase import EraseConfig, erase, fill, shrink
from cyclorama.erasing.files import LamaModel
from cyclorama.erasing.network import LamaGenerator, LamaShape
from cyclorama.errors import MaskSizeError, SettingsError
from cyclorama.lab.baselines.lama import LamaBaseline

TINY = LamaShape(width=4, downsamplings=3, blocks=1)


@pytest.fixture(scope="module")
def model() -> LamaModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        generator = LamaGenerator(TINY)
        generator(torch.rand(2, 4, 32, 32))
    generator.eval().requires_grad_(False)
    return LamaModel(generator, Path("random"), "0" * 16, 256)


class MeanColour(nn.Module):
    """Stands in for a perfect generator on flat images: the mean of what it is shown."""

    shape = TINY

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.sizes: list[tuple[int, int]] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(inputs.shape[-2:]))
        known = 1 - inputs[:, 3:]
        assert (inputs[:, :3] * inputs[:, 3:] == 0).all()
        mean = inputs[:, :3].sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
        return mean.expand(-1, -1, *inputs.shape[-2:])


def build_mean() -> LamaModel:
    return LamaModel(MeanColour(), Path("mean"), "0" * 16, 256)  # type: ignore[arg-type]


def paint(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (37, 53), (8, 90), (5, 5), (1, 9)])
def test_outside_the_hole_nothing_changes_and_inside_all_is_new(size, model):
    pixels, hole = paint(*size), np.zeros(size, dtype=bool)
    hole[: max(1, size[0] // 2), : size[1] // 2] = True
    before = pixels.copy()
    output = erase(pixels, hole, model)
    assert (pixels == before).all()
    assert output.dtype == np.uint8 and (output[~hole] == pixels[~hole]).all()
    assert (output[hole] != pixels[hole]).any()
    other = np.where(hole[..., None], paint(*size, seed=1), pixels)
    assert (erase(other, hole, model) == output).all()


@pytest.mark.parametrize("side", [96, 200])
def test_large_images_too_keep_their_outside_and_hide_their_inside(side, model):
    config = EraseConfig(max_side=64, min_context=8)
    pixels, hole = paint(side, 2 * side), np.zeros((side, 2 * side), dtype=bool)
    hole[10:14, 20:60] = hole[12:20, 70:75] = hole[40:90, 100:190] = True
    hole[0, 0] = hole[-1, -1] = True
    output = erase(pixels, hole, model, config)
    assert (output[~hole] == pixels[~hole]).all()
    other = np.where(hole[..., None], paint(side, 2 * side, seed=1), pixels)
    assert (erase(other, hole, model, config) == output).all()


def test_windows_take_their_colour_from_their_own_surroundings():
    pixels = np.empty((100, 400, 3), dtype=np.uint8)
    pixels[:, :200], pixels[:, 200:] = (10, 200, 30), (250, 0, 90)
    hole = np.zeros((100, 400), dtype=bool)
    hole[45:55, 90:110] = hole[45:55, 290:310] = hole[20:24, 300:304] = True
    dirty = np.where(hole[..., None], 255, pixels).astype(np.uint8)
    mean = build_mean()
    output = erase(dirty, hole, mean, EraseConfig(max_side=96, min_context=16))
    assert (output == pixels).all()
    assert len(mean.generator.sizes) == 3 and max(max(size) for size in mean.generator.sizes) <= 96


def test_a_hole_that_a_window_cuts_waits_for_its_own():
    pixels = np.full((64, 300, 3), 90, dtype=np.uint8)
    hole = np.zeros((64, 300), dtype=bool)
    hole[30:34, 100:110] = True
    hole[30:34, 118:200] = True  # its start lies in the first one's window
    mean = build_mean()
    output = erase(
        np.where(hole[..., None], 255, pixels).astype(np.uint8),
        hole,
        mean,
        EraseConfig(max_side=64, context=1, min_context=16),
    )
    assert (output == 90).all()
    assert len(mean.generator.sizes) == 2


def test_a_large_hole_is_worked_out_reduced():
    pixels = np.full((300, 300, 3), (20, 130, 240), dtype=np.uint8)
    hole = np.zeros((300, 300), dtype=np.uint8)
    hole[50:250, 40:260] = 255
    mean = build_mean()
    output = erase(
        np.where(hole[..., None] > 0, 0, pixels).astype(np.uint8), hole, mean, EraseConfig(max_side=64)
    )
    assert (output == pixels).all()
    assert mean.generator.sizes == [(64, 64)]


def test_unless_told_the_network_sees_twice_its_training_size():
    pixels, hole = np.full((300, 300, 3), 70, dtype=np.uint8), np.zeros((300, 300), dtype=bool)
    hole[50:250, 40:260] = True
    for side, seen in ((64, 128), (256, 304)):
        mean = replace(build_mean(), image_size=side)
        assert (erase(pixels, hole, mean) == pixels).all()
        assert mean.generator.sizes == [(seen, seen)]


def test_shrinking_leaves_the_hole_out_of_the_mean():
    image = torch.tensor([[0.0, 9.0], [4.0, 2.0]]).repeat(1, 3, 2, 2)
    hole = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).repeat(1, 1, 2, 2)
    hole[..., 2:, 2:] = 1
    small, small_hole = shrink(image, hole, (2, 2))
    assert torch.allclose(small[0, 0, 0], torch.tensor([2.0, 2.0]))
    assert small_hole[0, 0].tolist() == [[0, 0], [0, 1]]
    assert small[0, :, 1, 1].tolist() == [0, 0, 0]


def test_padding_reflects_up_to_the_multiple(monkeypatch, model):
    seen = {}

    def note(generator, image, hole):
        seen["image"] = image
        return image

    monkeypatch.setattr(lama_erase, "predict_fill", note)
    image = torch.arange(3 * 34 * 41, dtype=torch.float32).reshape(1, 3, 34, 41)
    result = fill(image, torch.zeros(1, 1, 34, 41), model)
    assert torch.equal(result, image)
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (0, 6), (0, 7)), mode="reflect")
    assert (seen["image"].numpy() == padded).all()


def test_an_empty_hole_changes_nothing_and_asks_no_network():
    mean = build_mean()
    for size in ((40, 40), (40, 900)):
        pixels = paint(*size)
        assert (erase(pixels, np.zeros(size, dtype=bool), mean) == pixels).all()
    assert mean.generator.sizes == []


def test_bad_inputs_are_refused(model):
    pixels = paint(16, 16)
    with pytest.raises(SettingsError, match="whole image"):
        erase(pixels, np.ones((16, 16), dtype=bool), model)
    with pytest.raises(MaskSizeError, match=r"\(16, 17\)"):
        erase(pixels, np.ones((16, 17), dtype=bool), model)
    with pytest.raises(SettingsError, match="float64"):
        erase(pixels / 255, np.ones((16, 16), dtype=bool), model)
    with pytest.raises(SettingsError, match="max_side"):
        EraseConfig(max_side=8)
    with pytest.raises(SettingsError, match="context: must be .* 0, got -0.5"):
        EraseConfig(context=-0.5)
    with pytest.raises(SettingsError, match="min_context: must be greater than 0, got 0"):
        EraseConfig(min_context=0)
    assert EraseConfig(context=0, min_context=1).context == 0  # the limits themselves are allowed


def test_the_fill_takes_on_the_colours_around_the_hole_if_asked():
    """The mean of an image of two halves is neither's colour: matched, it becomes the one around the hole."""
    pixels = np.full((64, 64, 3), 200, np.uint8)
    pixels[:, 32:] = 40
    hole = np.zeros((64, 64), bool)
    hole[24:40, 8:24] = True
    plain = erase(pixels, hole, build_mean(), EraseConfig(match=False))
    matched = erase(pixels, hole, build_mean())
    assert abs(int(plain[32, 16, 0]) - 115) < 5
    assert abs(int(matched[32, 16, 0]) - 200) <= 1


def test_the_baseline_hides_everything_but_the_product(model):
    baseline = LamaBaseline(model)
    assert (baseline.image_size, baseline.image_multiple, baseline.registry.resolve("anything").name) == (
        256,
        8,
        "anything",
    )
    random = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 40, 32, generator=random) * 2 - 1
    mask = torch.zeros(2, 1, 40, 32)
    mask[:, :, 8:24, 8:20] = 1
    mask[:, :, 24, 8:20] = 0.5
    generators = [random, random]
    output = baseline(image, mask, ["a", "b"], generators)
    opaque = (mask == 1).expand_as(image)
    assert torch.equal(output[opaque], image[opaque])
    other = torch.where(opaque, image, torch.zeros_like(image))
    assert torch.equal(baseline(other, mask, ["a", "b"], generators), output)
    single = baseline(image[1:], mask[1:], ["b"], generators[1:])
    assert (single - output[1:]).abs().max() < 1e-5
    with pytest.raises(SettingsError, match="multiples of 8"):
        baseline(image[..., :30], mask[..., :30], ["a", "b"], generators)
