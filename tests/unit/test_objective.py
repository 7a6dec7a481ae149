"""The objective against diffusers' schedulers and against the equations written out."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from cyclorama.diffusion.objective import (
    add_noise,
    compute_loss,
    compute_snr,
    compute_snr_weights,
    compute_target,
)

TIMESTEPS = torch.tensor([0, 1, 250, 999])


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 7, generator=generator), torch.randn(4, 3, 5, 7, generator=generator)


@pytest.mark.parametrize("scheduler_class", [DDIMScheduler, DDPMScheduler])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_noise_and_velocity_equal_the_schedulers(pair, scheduler_class, schedule):
    latents, noise = pair
    scheduler = scheduler_class(beta_schedule=schedule)
    alphas = scheduler.alphas_cumprod
    noisy = add_noise(latents, noise, TIMESTEPS, alphas)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, TIMESTEPS), rtol=0, atol=1e-6)
    velocity = compute_target(latents, noise, TIMESTEPS, alphas, "v_prediction")
    torch.testing.assert_close(velocity, scheduler.get_velocity(latents, noise, TIMESTEPS), rtol=0, atol=1e-6)
    assert torch.equal(compute_target(latents, noise, TIMESTEPS, alphas, "epsilon"), noise)


def test_snr_is_signal_power_over_noise_power():
    alphas = torch.tensor([0.9, 0.5, 0.2])
    snr = compute_snr(torch.tensor([0, 1, 2]), alphas)
    torch.testing.assert_close(snr, torch.tensor([9.0, 1.0, 0.25]))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_min_snr_weights_equal_the_literal_fractions(prediction_type, gamma):
    alphas = DDPMScheduler(beta_schedule="scaled_linear").alphas_cumprod
    weights = compute_snr_weights(TIMESTEPS, alphas, gamma, prediction_type)
    for t, weight in zip(TIMESTEPS.tolist(), weights.tolist(), strict=True):
        snr = float(alphas[t]) / (1 - float(alphas[t]))
        literal = min(snr, gamma) / (snr if prediction_type == "epsilon" else snr + 1)
        assert weight == pytest.approx(literal, rel=1e-4)


def test_weighted_errors_of_both_targets_weigh_the_clean_latents_alike(pair):
    """An error in the clean latents costs min(snr, gamma) per unit, whichever target stands for them."""
    latents, noise = pair
    alphas = DDPMScheduler(beta_schedule="scaled_linear").alphas_cumprod.double()
    latents, noise = latents.double(), noise.double()
    noisy = add_noise(latents, noise, TIMESTEPS, alphas)
    wrong = latents + 0.01
    signal = alphas[TIMESTEPS].sqrt().view(-1, 1, 1, 1)
    sigma = (1 - alphas[TIMESTEPS]).sqrt().view(-1, 1, 1, 1)
    implied_noise = (noisy - signal * wrong) / sigma
    errors = {
        "epsilon": implied_noise - noise,
        "v_prediction": (signal * implied_noise - sigma * wrong)
        - compute_target(latents, noise, TIMESTEPS, alphas, "v_prediction"),
    }
    snr = compute_snr(TIMESTEPS, alphas)
    for prediction_type, error in errors.items():
        weights = compute_snr_weights(TIMESTEPS, alphas, 5.0, prediction_type)
        cost = weights * error.square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(cost.float(), (snr.clamp(max=5.0) * 1e-4).float(), rtol=1e-3, atol=0)


def test_zero_terminal_snr_gives_finite_weights():
    alphas = torch.tensor([0.9, 0.0])
    steps = torch.tensor([0, 1])
    assert compute_snr_weights(steps, alphas, 5.0, "epsilon").tolist() == pytest.approx([5 / 9, 1.0])
    assert compute_snr_weights(steps, alphas, 5.0, "v_prediction").tolist() == pytest.approx([0.5, 0.0])


def test_loss_is_the_mean_square_over_the_whole_latent(pair):
    latents, noise = pair
    alphas = DDPMScheduler().alphas_cumprod
    seen = {}

    def predict(noisy_latents, timesteps):
        seen["noisy"], seen["timesteps"] = noisy_latents, timesteps
        return noise + 0.5

    loss = compute_loss(predict, latents, noise, TIMESTEPS, alphas)
    assert float(loss) == pytest.approx(0.25, rel=1e-5)
    assert torch.equal(seen["noisy"], add_noise(latents, noise, TIMESTEPS, alphas))
    assert torch.equal(seen["timesteps"], TIMESTEPS)
    weighted = compute_loss(predict, latents, noise, TIMESTEPS, alphas, snr_gamma=5.0)
    expected = 0.25 * compute_snr_weights(TIMESTEPS, alphas, 5.0).mean()
    assert float(weighted) == pytest.approx(float(expected), rel=1e-5)


def test_bad_settings_are_refused():
    alphas = torch.tensor([0.9, 0.5])
    with pytest.raises(ValueError, match="'sample'"):
        compute_target(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.tensor([0]), alphas, "sample")
    with pytest.raises(ValueError, match="gamma must be above 0, got 0"):
        compute_snr_weights(torch.tensor([0]), alphas, 0)
