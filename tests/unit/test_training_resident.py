"""Batches made on the accelerator: equal where they must be, the same effect where chance decides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama.config import build_config
from cyclorama.data.augment import HintConfig, PerturbConfig, compress, dilate_mask, resize_mask, shift_mask
from cyclorama.errors import ConfigError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.perceptual import PerceptualDistance
from cyclorama.models.scratch import BaseShape, build_base
from cyclorama.scenes.features import open_trunk
from cyclorama.tensors import to_image
from cyclorama.training import resident
from cyclorama.training.batch import BatchBuilder, BatchNeeds, DrawSettings, sample_draws
from cyclorama.training.config import DataConfig, TrainConfig
from cyclorama.training.dataset import PromptTable
from cyclorama.training.resident import ResidentBatchBuilder, ResidentImages, augment_hints, perturb_batch
from cyclorama.training.stages import crop_batch

CPU = torch.device("cpu")
SIDE = 64


class Shown:
    """Five images with a disc each as product."""

    def __len__(self):
        return 5

    def load(self, index):
        rng = np.random.default_rng(index)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        mask = ((rows - 30) ** 2 + (columns - 20 - 4 * index) ** 2 < 12**2).astype(np.float32)
        return rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), mask

    def category(self, index):
        return "ab"[index % 2]


@pytest.fixture(scope="module")
def builders():
    data = Shown()
    images = ResidentImages.load(data, CPU, 2)
    vae = PatchAutoencoder(patch=8, latent_channels=2, widths=(8, 8), blocks=(1, 1))
    latents = images.encode(vae, True, 2)
    prompts = PromptTable(np.arange(7 * 4 * 3, dtype=np.float32).reshape(7, 4, 3), ("a", "b"))
    needs = BatchNeeds(product=True, hint=True, reference=True)
    parts = (data, latents, prompts, needs, PerturbConfig(), None, 5)
    return vae, BatchBuilder(*parts), ResidentBatchBuilder(*parts, images, 1.0, vae)


def draw(first, count):
    settings = DrawSettings(5, (2, 8, 8), 1000, flip=True, prompt_dropout=0.3)
    return [sample_draws(n, n % 5, settings) for n in range(first, first + count)]


def test_what_is_not_drawn_on_the_accelerator_is_equal(builders):
    vae, plain, moved = builders
    draws = draw(40, 8)
    expected = plain.build(draws)
    found = moved.place(moved.build(draws), CPU)
    names = ("latents", "timesteps", "product_prompt", "background_prompt", "full_prompt", "dropped")
    for name in (*names, "product_mask", "hint_mask"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.image, expected.image, rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(
            found.latents, vae.encode(found.image).latent_dist.mode(), atol=2e-2, rtol=0
        )


def test_zoomed_samples_are_parts_of_their_images(builders):
    vae, _, moved = builders
    zoomed = dataclasses.replace(moved, zoom=0.5)
    draws = draw(40, 12)
    found = zoomed.place(zoomed.build(draws), CPU)
    whole = moved.place(moved.build(draws), CPU)
    share = (found.product_mask.sum((1, 2, 3)) / whole.product_mask.sum((1, 2, 3))) ** -0.5
    assert float(share.min()) > 0.4 and float(share.max()) < 1.6 and float(share.std()) > 0.05
    with torch.no_grad():
        torch.testing.assert_close(found.latents, vae.encode(found.image).latent_dist.mode())
    ramp = torch.linspace(-1, 1, SIDE).expand(12, 3, SIDE, SIDE)
    image, mask = resident.zoom_in(ramp, ramp[:, :1], 0.5, torch.Generator().manual_seed(0))
    slopes = (image[:, 0, 0, 40] - image[:, 0, 0, 20]) / (ramp[0, 0, 0, 40] - ramp[0, 0, 0, 20])
    assert 0.5 <= float(slopes.min()) < 0.65 and 0.85 < float(slopes.max()) <= 1
    assert torch.equal(image[:, :1], mask)


def test_zoom_needs_images_on_the_accelerator():
    with pytest.raises(ConfigError, match="resident"):
        build_config(DataConfig, {"source": {"path": "x"}, "zoom": 0.5})


def test_settings_that_resident_images_ignore_are_refused():
    data = {"source": {"path": "x"}, "resident": True}
    with pytest.raises(ConfigError, match=r"cache_dtype float32 .* resident"):
        build_config(DataConfig, {**data, "cache_dtype": "float32"})
    recipe = {"data": data, "model": {"base": "b"}, "steps": 1}
    with pytest.raises(ConfigError, match=r"perturb\.shape rect .* data\.resident"):
        build_config(TrainConfig, {**recipe, "perturb": {"shape": "rect"}})
    assert build_config(TrainConfig, recipe).perturb.shape == "elliptical"


def test_a_batch_is_a_function_of_seed_and_first_number(builders):
    _, _, moved = builders
    again = [moved.place(moved.build(draw(40, 4)), CPU).reference_mask for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(again[0], moved.place(moved.build(draw(45, 4)), CPU).reference_mask)


def make_masks(count=6):
    pixels, masks = zip(*(Shown().load(i % 5) for i in range(count)), strict=True)
    image = torch.cat([to_image(p) for p in pixels])
    return image, torch.from_numpy(np.stack(masks))[:, None]


def test_dilation_and_shift_are_those_of_the_paper():
    _, masks = make_masks()
    radius = 50 / 2 * SIDE / 512 * 4  # of a kernel of 200 pixels, wide enough for the cells
    grown, expected = resident._dilate(masks, radius), dilate_mask(masks, 200.0)
    union = torch.maximum(grown, expected).sum()
    assert float(torch.minimum(grown, expected).sum() / union) > 0.8
    assert bool((grown >= masks - 1e-6).all())
    shifts = torch.tensor([[0, 0], [3, -5], [-8, 2], [60, 0], [0, -63], [1, 1]])
    for moved, mask, (dy, dx) in zip(resident._shift(masks, shifts), masks, shifts.tolist(), strict=True):
        assert torch.equal(moved, shift_mask(mask, dy, dx))


def test_perturbation_hides_the_product_and_mixes_as_told():
    image, masks = make_masks(40)
    other = torch.zeros_like(image)
    config = PerturbConfig(translate=False, boxes=False)
    mixed, hidden = perturb_batch(image, masks, other, config, torch.Generator().manual_seed(0))
    assert bool((hidden >= masks).all())
    sigma = (mixed * image).sum((1, 2, 3)) / image.square().sum((1, 2, 3))
    assert float(sigma.min()) >= 0.75 and float(sigma.max()) <= 0.95 and float(sigma.std()) > 0.03
    config = PerturbConfig(dilate=False, translate=False, mix=False, box_min_px=256, box_max_px=256)
    same, boxed = perturb_batch(
        image, torch.zeros_like(masks), other, config, torch.Generator().manual_seed(0)
    )
    assert torch.equal(same, image)
    assert {round(float(area)) for area in boxed.sum((1, 2, 3))} >= {0, 32 * 32}


def test_hints_do_not_see_the_background():
    image, masks = make_masks(12)
    elsewhere = torch.where(masks > 0, image, -image)
    hints = [
        augment_hints(x, masks, HintConfig(), torch.Generator().manual_seed(3)) for x in (image, elsewhere)
    ]
    assert torch.equal(hints[0][0], hints[1][0])
    still = HintConfig(probability=0.0)
    plain, mask = augment_hints(image, masks, still, torch.Generator().manual_seed(3))
    assert torch.equal(mask, masks)
    torch.testing.assert_close(plain * masks, image * masks, rtol=0, atol=1e-5)


def test_masks_grow_and_shrink_by_whole_pixels():
    _, masks = make_masks(5)
    steps = torch.tensor([0.0, 1, -1, 3, -3])[:, None, None, None]
    for found, mask, step in zip(
        resident._resize_masks(masks, steps, 3), masks, steps.flatten(), strict=True
    ):
        expected = torch.from_numpy(resize_mask(mask[0].numpy(), float(step)))
        assert float(torch.minimum(found[0], expected).sum() / torch.maximum(found[0], expected).sum()) > 0.95


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_compression_loses_what_jpeg_loses(quality):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.stack([128 + 90 * np.sin(rows / 5), 128 + 60 * np.cos(columns / 7), rows * 3 % 256], 2)
    image = Image.fromarray(pixels.astype(np.uint8))
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    ours = resident.compress_batch(values, torch.full((1, 1, 1, 1), float(quality)))
    theirs = torch.from_numpy(np.array(compress(image, quality))).permute(2, 0, 1)[None] / 255
    lost = [float((x - values).square().mean() ** 0.5) for x in (ours, theirs)]
    assert lost[0] == pytest.approx(lost[1], rel=0.6)
    assert float((ours - theirs).abs().mean()) < 1.2 * lost[1] + 0.003


def test_the_perceptual_distance_reads_the_network_as_onnxruntime_does():
    generator = torch.Generator().manual_seed(0)
    image, other = torch.rand(2, 1, 3, 64, 96, generator=generator) * 2 - 1
    network = PerceptualDistance()
    expected = open_trunk().run(None, {"image": ((image + 1) / 2 * 255).numpy() / 128 - 127 / 128})
    for found, wanted in zip(network.describe(image), expected, strict=True):
        torch.testing.assert_close(found, torch.from_numpy(wanted), rtol=1e-3, atol=1e-3)
    assert float(network(image, image)) == 0 and float(network(image, other)) > 0.5
    assert not list(network.parameters())


def test_crops_are_encoded_anew(builders):
    vae = builders[0]
    batch = builders[1].build(draw(0, 6))
    cut = crop_batch(batch, 24, vae, seed=1)
    assert cut.image.shape == (6, 3, 24, 24) and cut.noise.shape == cut.latents.shape == (6, 2, 3, 3)
    with torch.no_grad():
        torch.testing.assert_close(cut.latents, vae.encode(cut.image).latent_dist.mode())
    windows = batch.image.unfold(2, 24, 1).unfold(3, 24, 1)
    for whole, part in zip(windows, cut.image, strict=True):
        assert bool((whole.permute(1, 2, 0, 3, 4) == part).flatten(2).all(2).any())


def test_crops_are_the_same_however_a_batch_is_divided(builders):
    vae, plain, _ = builders
    whole = crop_batch(plain.build(draw(3, 8)), 24, vae, seed=1)
    parts = [crop_batch(plain.build(draw(first, 4)), 24, vae, seed=1) for first in (3, 7)]
    for name in ("image", "latents", "noise"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_fine_resolutions_may_go_without_attention():
    shape = BaseShape(
        unet_channels=(16, 16), attention_from=1, norm_groups=8, image_size=64, decoder_widths=(8, 8)
    )
    unet = build_base(shape, ["a"]).unet
    kinds = [getattr(b, "has_cross_attention", False) for b in (*unet.down_blocks, *unet.up_blocks)]
    assert kinds == [False, True, True, False]
