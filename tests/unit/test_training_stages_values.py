"""What stages measure and show, against the formulas written out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.discriminator import PatchDiscriminator
from cyclorama.training.batch import TrainBatch
from cyclorama.training.stages import (
    compute_autoencoder_loss,
    compute_reconstruction_loss,
    show_decoded,
    show_generated,
)


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 8, 8, generator=generator) * 2 - 1
    mask = (torch.rand(2, 1, 8, 8, generator=generator) > 0.5).float()
    torch.manual_seed(1)
    vae = PatchAutoencoder(patch=4, latent_channels=2, widths=(8, 8), blocks=(1, 1), scaling_factor=0.5)
    last = next(layer for layer in reversed(list(vae.refiner)) if isinstance(layer, torch.nn.Conv2d))
    torch.nn.init.normal_(last.weight, std=0.1)
    noise = torch.randn(2, 2, 2, 2, generator=generator)
    batch = TrainBatch(
        (0, 1), (0, 1), ("a", "b"), 0.5 * vae.analysis(image).detach(), noise, torch.tensor([0, 0]),
        image=image, product_mask=mask, reference=image.flip(3), reference_mask=mask.flip(3),
    )  # fmt: skip
    return vae, batch


class Networks(dict):
    def __init__(self, config, **networks):
        super().__init__(networks)
        self.start = SimpleNamespace(config=config)
        self.scheduler = SimpleNamespace(config=SimpleNamespace(num_train_timesteps=1000))

    def __call__(self, batch):
        return batch.timesteps.float().mean() + 1000 * (batch.noise.std() > 0)


def test_decoded_images_are_measured_in_decibels_of_their_whole_range(drawn):
    vae, batch = drawn
    with torch.no_grad():
        columns, scalars = show_decoded(Networks(None, vae=vae), batch)
    for column, name in zip(columns, ("psnr_linear", "psnr"), strict=False):
        error = np.mean((column.numpy() - batch.image.numpy()) ** 2)
        assert scalars[name] == pytest.approx(10 * np.log10(2**2 / error), abs=1e-3)
    assert torch.equal(columns[2], batch.image)
    with torch.no_grad():
        torch.testing.assert_close(columns[0], vae.decode_linear(batch.latents * 2).clamp(-1, 1))


def test_the_decoder_learns_pixels_and_edges_from_jittered_latents(drawn):
    vae, batch = drawn
    config = SimpleNamespace(latent_jitter=0.3, crop=None, perceptual=0.0, discriminator=None)
    with torch.no_grad():
        loss = float(compute_autoencoder_loss(Networks(config, vae=vae), batch))
        decoded = vae.decode((batch.latents + 0.3 * batch.noise) / 0.5).sample.numpy()
    error = decoded - batch.image.numpy()
    edges = [np.abs(np.diff(error, axis=axis)).mean() for axis in (2, 3)]
    assert loss == pytest.approx(np.abs(error).mean() + sum(edges), rel=1e-5)


def test_both_sides_losses_are_added_where_there_is_a_discriminator(drawn):
    vae, batch = drawn
    torch.manual_seed(2)
    discriminator = PatchDiscriminator((4, 4), 1.0)
    weights = SimpleNamespace(adversarial=0.7, feature_matching=1.3)
    config = SimpleNamespace(latent_jitter=0.3, crop=None, perceptual=0.0, discriminator=weights)
    networks = Networks(config, vae=vae, discriminator=discriminator)
    loss = compute_autoencoder_loss(networks, batch)
    with torch.no_grad():
        decoded = vae.decode((batch.latents + 0.3 * batch.noise) / 0.5).sample
        own = compute_reconstruction_loss(decoded, batch.image)
        (false, maps), (true, true_maps) = discriminator(decoded), discriminator(batch.image)
        matching = np.mean([float((a - b).square().mean()) for a, b in zip(maps, true_maps, strict=True)])
        generator = 0.7 * torch.log1p(torch.exp(-false)).mean() + 1.3 * matching
        judge = torch.log1p(torch.exp(-true)).mean() + torch.log1p(torch.exp(false)).mean()
    assert loss.item() == pytest.approx(float(own + generator + judge), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in discriminator.parameters())


def test_a_sheet_shows_hint_reference_generated_composited_and_truth(drawn):
    _, batch = drawn
    made = torch.full((2, 3, 8, 8), 0.25)
    seen = {}

    class Pipeline:
        def set_progress_bar_config(self, disable):
            assert disable

        def __call__(self, *positional, **named):
            seen.update(named)
            return made

    validation = SimpleNamespace(num_inference_steps=3, guidance_scale=4.0)
    config = SimpleNamespace(validation=validation, seed=5)
    columns, scalars = show_generated(Networks(config), batch, Pipeline())
    image, mask = batch.image.numpy(), batch.product_mask.numpy()
    expected = [
        np.where(mask == 1, image, -1),
        np.where(mask[..., ::-1] == 1, -1, image[..., ::-1]),
        made.numpy(),
        np.where(mask == 1, image, 0.25),
        image,
    ]
    timesteps = (62, 187, 312, 437, 562, 687, 812, 937)
    assert scalars == {"validation_loss": pytest.approx(1000 + np.mean(timesteps))} and len(columns) == 5
    for column, wanted in zip(columns, expected, strict=True):
        np.testing.assert_allclose(column.numpy(), wanted, atol=1e-6)
    assert (seen["settings"].num_inference_steps, seen["settings"].guidance_scale) == (3, 4.0)
