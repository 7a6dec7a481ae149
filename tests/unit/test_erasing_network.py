"""LaMa's generator: Fourier convolutions against a literal reading, the published layout by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from cyclorama.erasing.network import (
    BIG_LAMA,
    SMALL_LAMA,
    Channels,
    FourierConvolution,
    FourierUnit,
    LamaGenerator,
    LamaShape,
    Normalisation,
    Signal,
    count_parameters,
    predict_fill,
)
from cyclorama.errors import ConfigError

TINY = LamaShape(width=4, downsamplings=2, blocks=2)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """All weights and statistics random, none at its resting value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.endswith("running_var") or (value.dim() == 1 and name.endswith("weight")):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            else:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return module


def normalise(values: np.ndarray, layer: Normalisation) -> np.ndarray:
    """Batch normalisation by the running statistics, of (C, H, W), written out."""
    mean, var, weight, bias = (
        getattr(layer, name).detach().numpy()[:, None, None]
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (values - mean) / np.sqrt(var + layer.eps) * weight + bias


def transform_literally(values: np.ndarray, unit: FourierUnit) -> np.ndarray:
    """The Fourier unit on (C, H, W) by the transform's definition: sums over all pixels, whole spectrum."""
    channels, height, width = values.shape
    rows = np.exp(-2j * np.pi * np.outer(np.arange(height), np.arange(height)) / height)
    columns = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(width)) / width)
    spectrum = np.einsum("kh,chw,lw->ckl", rows, values, columns) / math.sqrt(height * width)
    half = spectrum[:, :, : width // 2 + 1]
    planes = np.empty((2 * channels, *half.shape[1:]))
    planes[0::2], planes[1::2] = half.real, half.imag
    mixing = unit.conv_layer.weight.detach().numpy()[:, :, 0, 0]
    planes = np.maximum(normalise(np.einsum("oi,ihw->ohw", mixing, planes), unit.bn), 0)
    mixed = planes[0::2] + 1j * planes[1::2]
    return np.fft.irfft2(mixed, s=(height, width), norm="ortho")


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 5)])
def test_fourier_unit_is_the_literal_transform(size):
    unit = randomise(FourierUnit(3)).double().eval()
    values = np.random.default_rng(1).normal(size=(3, *size))
    found = unit(torch.from_numpy(values)[None])[0].detach().numpy()
    assert found.shape == values.shape
    np.testing.assert_allclose(found, transform_literally(values, unit), atol=1e-12)


def test_inner_columns_of_the_output_spectrum_are_what_the_convolution_made():
    unit = randomise(FourierUnit(2)).double().eval()
    values = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 2, 8, 8)))
    output = unit(values).detach()
    full = torch.fft.fft2(output)
    mirrored = full.flip(-1, -2).roll((1, 1), (-1, -2)).conj()
    assert torch.allclose(full, mirrored, atol=1e-12)  # a real image's spectrum is its own mirror image
    spectrum = torch.view_as_real(torch.fft.rfft2(values, norm="ortho")).permute(0, 1, 4, 2, 3).flatten(1, 2)
    made = torch.relu(unit.bn(unit.conv_layer(spectrum))).detach()
    inner = torch.fft.rfft2(output, norm="ortho")[..., 1:4]
    assert torch.allclose(inner.real, made[:, 0::2, :, 1:4], atol=1e-12)
    assert torch.allclose(inner.imag, made[:, 1::2, :, 1:4], atol=1e-12)


def test_fourier_unit_without_mixing_keeps_a_spike_and_drops_a_negative_one():
    unit = FourierUnit(1).double().eval()
    with torch.no_grad():
        unit.conv_layer.weight.copy_(torch.eye(2)[..., None, None])
    spike = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    spike[..., 0, 0] = 1  # its spectrum is one positive number everywhere
    assert torch.allclose(unit(spike), spike / math.sqrt(1 + 1e-5), atol=1e-12)
    assert unit(-spike).abs().max() == 0


def test_a_flat_image_stays_flat_in_the_fourier_unit():
    unit = randomise(FourierUnit(2)).eval()
    with torch.no_grad():
        unit.bn.bias.zero_()
        unit.bn.running_mean.zero_()
        unit.conv_layer.weight.abs_()
    output = unit(torch.tensor([0.7, 1.3])[None, :, None, None].expand(1, 2, 16, 12))
    assert (output - output.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-6
    assert output.abs().max() > 0.1


def convolve(values: np.ndarray, weight: torch.Tensor) -> np.ndarray:
    """3 × 3 convolution with reflected borders, written out; (C, H, W)."""
    kernel, (_, height, width) = weight.detach().numpy(), values.shape
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    return sum(
        np.einsum("oi,ihw->ohw", kernel[:, :, y, x], padded[:, y : y + height, x : x + width])
        for y in range(3)
        for x in range(3)
    )


def test_fourier_convolution_adds_its_four_ways():
    layer = randomise(FourierConvolution(Channels(2, 4), Channels(3, 6), 3, 1, 1)).double().eval()
    random = np.random.default_rng(3)
    local, wide = random.normal(size=(2, 8, 8)), random.normal(size=(4, 8, 8))
    found = layer(Signal(torch.from_numpy(local)[None], torch.from_numpy(wide)[None]))
    expected_local = convolve(local, layer.convl2l.weight) + convolve(wide, layer.convg2l.weight)
    spectral = layer.convg2g
    narrow = np.einsum("oi,ihw->ohw", spectral.conv1[0].weight.detach().numpy()[:, :, 0, 0], wide)
    narrow = np.maximum(normalise(narrow, spectral.conv1[1]), 0)
    inner = narrow + transform_literally(narrow, spectral.fu)
    expected_wide = convolve(local, layer.convl2g.weight)
    expected_wide = expected_wide + np.einsum(
        "oi,ihw->ohw", spectral.conv2.weight.detach().numpy()[:, :, 0, 0], inner
    )
    np.testing.assert_allclose(found.local[0].detach().numpy(), expected_local, atol=1e-12)
    np.testing.assert_allclose(found.wide[0].detach().numpy(), expected_wide, atol=1e-12)


def test_every_output_pixel_depends_on_every_input_pixel():
    layer = randomise(FourierConvolution(Channels(2, 2), Channels(2, 4), 3, 1, 1)).eval()
    wide = torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    layer(Signal(torch.zeros(1, 2, 12, 12), wide)).wide[0, :, 11, 11].sum().backward()
    assert (wide.grad[0].abs().sum(0) > 0).all()


def test_normalisation_is_torchs_and_learns_its_statistics():
    ours, theirs = Normalisation(3), nn.BatchNorm2d(3)
    for seed in range(3):
        values = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 2 + 1
        assert torch.equal(ours(values), theirs(values))
    assert torch.equal(ours.running_mean, theirs.running_mean) and ours.running_mean.abs().min() > 0
    assert torch.equal(ours.running_var, theirs.running_var)
    ours.eval(), theirs.eval()
    assert torch.equal(ours(values), theirs(values))


def list_published(width: int, downsamplings: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published layout, three quarters of the channels global."""
    table: dict[str, tuple[int, ...]] = {}

    def add_norm(prefix: str, channels: int) -> None:
        table.update(
            {f"{prefix}.{n}": (channels,) for n in ("weight", "bias", "running_mean", "running_var")}
        )

    deep = width * 2**downsamplings
    wide = deep * 3 // 4
    local = deep - wide
    table["model.1.ffc.convl2l.weight"] = (width, 4, 7, 7)
    add_norm("model.1.bn_l", width)
    for level in range(downsamplings):
        name, inputs = f"model.{2 + level}", width * 2**level
        if level < downsamplings - 1:
            table[f"{name}.ffc.convl2l.weight"] = (2 * inputs, inputs, 3, 3)
            add_norm(f"{name}.bn_l", 2 * inputs)
        else:
            table[f"{name}.ffc.convl2l.weight"] = (local, inputs, 3, 3)
            table[f"{name}.ffc.convl2g.weight"] = (wide, inputs, 3, 3)
            add_norm(f"{name}.bn_l", local)
            add_norm(f"{name}.bn_g", wide)
    for block in range(blocks):
        for convolution in ("conv1", "conv2"):
            name = f"model.{2 + downsamplings + block}.{convolution}"
            table[f"{name}.ffc.convl2l.weight"] = (local, local, 3, 3)
            table[f"{name}.ffc.convl2g.weight"] = (wide, local, 3, 3)
            table[f"{name}.ffc.convg2l.weight"] = (local, wide, 3, 3)
            table[f"{name}.ffc.convg2g.conv1.0.weight"] = (wide // 2, wide, 1, 1)
            add_norm(f"{name}.ffc.convg2g.conv1.1", wide // 2)
            table[f"{name}.ffc.convg2g.fu.conv_layer.weight"] = (wide, wide, 1, 1)
            add_norm(f"{name}.ffc.convg2g.fu.bn", wide)
            table[f"{name}.ffc.convg2g.conv2.weight"] = (wide, wide // 2, 1, 1)
            add_norm(f"{name}.bn_l", local)
            add_norm(f"{name}.bn_g", wide)
    first = 2 + downsamplings + blocks + 1  # one entry joins the two parts
    for level in range(downsamplings):
        name, inputs = first + 3 * level, deep // 2**level
        table[f"model.{name}.weight"] = (inputs, inputs // 2, 3, 3)
        table[f"model.{name}.bias"] = (inputs // 2,)
        add_norm(f"model.{name + 1}", inputs // 2)
    last = first + 3 * downsamplings + 1
    table[f"model.{last}.weight"] = (3, width, 7, 7)
    table[f"model.{last}.bias"] = (3,)
    return table


@pytest.mark.parametrize(
    ("shape", "published"),
    [(BIG_LAMA, (64, 3, 18)), (SMALL_LAMA, (24, 3, 6)), (TINY, (4, 2, 2))],
    ids=["big", "small", "tiny"],
)
def test_names_and_shapes_are_the_published_layouts(shape, published):
    with torch.device("meta"):
        generator = LamaGenerator(shape)
    found = {
        name: tuple(value.shape)
        for name, value in generator.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert found == list_published(*published)


def test_big_lama_has_its_published_size_and_the_small_one_stays_below_three_million():
    with torch.device("meta"):
        assert round(count_parameters(LamaGenerator(BIG_LAMA)) / 1e6) == 51  # "51M", section 3 of the paper
        assert 2_000_000 < count_parameters(LamaGenerator(SMALL_LAMA)) <= 3_000_000


def test_what_the_hole_hides_has_no_influence_and_the_rest_has():
    generator = randomise(LamaGenerator(TINY)).eval()
    random = torch.Generator().manual_seed(5)
    image = torch.rand(1, 3, 24, 32, generator=random) * 2 - 1
    hole = torch.zeros(1, 1, 24, 32)
    hole[..., 4:14, 6:20] = 1
    other = torch.where(hole > 0, torch.rand(image.shape, generator=random), image)
    with torch.no_grad():
        filled, again = predict_fill(generator, image, hole), predict_fill(generator, other, hole)
        moved = predict_fill(generator, image.flip(-1), hole)
    assert filled.shape == image.shape and filled.min() >= -1 and filled.max() <= 1
    assert torch.equal(filled, again)
    assert not torch.equal(filled, moved)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"downsamplings": 0},
        {"blocks": 0},
        {"global_share": 1.0},
        {"width": 1, "downsamplings": 1},
    ],
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(ConfigError):
        LamaShape(**wrong)
