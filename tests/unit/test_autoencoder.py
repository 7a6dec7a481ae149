"""The patch autoencoder against principal components computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cyclorama.models.autoencoder import PatchAutoencoder


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Smooth random images: sums of a few waves, so that few components carry most."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:32, 0:32] / 32
    out = []
    for _ in range(24):
        waves = [
            rng.normal(0, 0.3, 3)[:, None, None] * np.sin(rng.uniform(0, 4) * x + rng.uniform(0, 4) * y)
            for _ in "ab"
        ]
        out.append(sum(waves) + rng.normal(0, 0.2, 3)[:, None, None])
    return torch.tensor(np.array(out), dtype=torch.float32).clamp(-1, 1)


def _model(channels: int) -> PatchAutoencoder:
    torch.manual_seed(0)
    return PatchAutoencoder(patch=8, latent_channels=channels, widths=(16, 8), blocks=(1, 1))


def test_linear_decoding_is_the_best_low_rank_reconstruction(images: torch.Tensor) -> None:
    model = _model(6)
    model.fit(images)
    latents = model.encode(images).latent_dist.mode()
    assert latents.shape == (24, 6, 4, 4)
    rows = images.numpy().reshape(24, 3, 4, 8, 4, 8).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 192)
    centre = np.repeat(rows.reshape(-1, 3, 64).mean((0, 2)), 64)
    _, _, components = np.linalg.svd(rows - centre, full_matrices=False)
    expected = (rows - centre) @ components[:6].T @ components[:6] + centre
    decoded = model.decode_linear(latents).detach().numpy()
    decoded_rows = decoded.reshape(24, 3, 4, 8, 4, 8).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 192)
    np.testing.assert_allclose(decoded_rows, expected, atol=2e-4)


def test_latents_are_white_and_the_spectrum_falls(images: torch.Tensor) -> None:
    model = _model(4)
    spectrum = model.fit(images)
    assert bool((spectrum.diff() <= 1e-9).all())
    flat = model.encode(images).latent_dist.mode().transpose(0, 1).reshape(4, -1)
    second_moment = flat @ flat.T / flat.shape[1]
    torch.testing.assert_close(second_moment, torch.eye(4), atol=2e-3, rtol=0)


@pytest.mark.parametrize("whitening", [0.0, 0.5])
def test_partly_whitened_latents_keep_their_share_of_the_spectrum(
    images: torch.Tensor, whitening: float
) -> None:
    model = PatchAutoencoder(patch=8, latent_channels=4, widths=(16, 8), blocks=(1, 1), whitening=whitening)
    spectrum = model.fit(images)[:4].float()
    flat = model.encode(images).latent_dist.mode().detach().transpose(0, 1).reshape(4, -1)
    variances = flat.square().mean(1)
    assert float(variances.mean()) == pytest.approx(1, abs=2e-3)
    torch.testing.assert_close(
        variances / variances[0], (spectrum / spectrum[0]) ** (1 - whitening), rtol=5e-3, atol=0
    )
    plain = _model(4)
    plain.fit(images)
    expected = plain.decode_linear(plain.encode(images).latent_dist.mode())
    torch.testing.assert_close(model.decode_linear(model.encode(images).latent_dist.mode()), expected)


def test_an_untrained_refiner_changes_nothing_and_alone_is_trained(images: torch.Tensor) -> None:
    model = _model(4)
    model.fit(images)
    latents = model.encode(images[:2]).latent_dist.sample()
    assert torch.equal(model.decode(latents).sample, model.decode_linear(latents))
    assert torch.equal(model.decode(latents, return_dict=False)[0], model.decode_linear(latents))
    trained = {id(p) for p in model.refiner.parameters()}
    assert all((id(p) in trained) == n.startswith("refiner.") for n, p in model.named_parameters())


def test_fit_does_not_depend_on_the_run(images: torch.Tensor) -> None:
    a, b = _model(4), _model(4)
    a.fit(images)
    b.fit(images)
    assert torch.equal(a.analysis.weight, b.analysis.weight)
