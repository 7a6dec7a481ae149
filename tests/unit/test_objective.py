"""The objective on diffusers' schedulers against the equations written out."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from cyclorama.diffusion.objective import compute_loss, compute_snr_weights, compute_target

TIMESTEPS = torch.tensor([0, 1, 250, 999])
KINDS = ["epsilon", "v_prediction"]


def build_scheduler(kind: str = "epsilon", **settings) -> DDPMScheduler:
    return DDPMScheduler(prediction_type=kind, **settings)


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 7, generator=generator), torch.randn(4, 3, 5, 7, generator=generator)


def get_powers(scheduler, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Signal and noise amplitude of TIMESTEPS, (4, 1, 1, 1)."""
    alphas = scheduler.alphas_cumprod.to(dtype)[TIMESTEPS].view(-1, 1, 1, 1)
    return alphas.sqrt(), (1 - alphas).sqrt()


@pytest.mark.parametrize("scheduler_class", [DDIMScheduler, DDPMScheduler])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_noise_and_velocity_are_those_of_the_equations(pair, scheduler_class, schedule):
    latents, noise = pair
    scheduler = scheduler_class(beta_schedule=schedule, prediction_type="v_prediction")
    signal, sigma = get_powers(scheduler)
    seen = {}
    compute_loss(
        lambda noisy, steps: seen.update(noisy=noisy, steps=steps) or noisy, scheduler, *pair, TIMESTEPS
    )
    torch.testing.assert_close(seen["noisy"], signal * latents + sigma * noise, rtol=0, atol=1e-6)
    assert torch.equal(seen["steps"], TIMESTEPS)
    velocity = compute_target(scheduler, latents, noise, TIMESTEPS)
    torch.testing.assert_close(velocity, signal * noise - sigma * latents, rtol=0, atol=1e-6)
    assert torch.equal(compute_target(build_scheduler(), latents, noise, TIMESTEPS), noise)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_min_snr_weights_equal_the_literal_fractions(kind, gamma):
    scheduler = build_scheduler(kind, beta_schedule="scaled_linear")
    weights = compute_snr_weights(scheduler, TIMESTEPS, gamma)
    for t, weight in zip(TIMESTEPS.tolist(), weights.tolist(), strict=True):
        alpha = float(scheduler.alphas_cumprod[t])
        snr = alpha / (1 - alpha)
        literal = min(snr, gamma) / (snr if kind == "epsilon" else snr + 1)
        assert weight == pytest.approx(literal, rel=1e-4)


def test_weighted_errors_of_both_targets_weigh_the_clean_latents_alike(pair):
    """An error in the clean latents costs min(snr, gamma) per unit, whichever target stands for them."""
    latents, noise = (x.double() for x in pair)
    for kind in KINDS:
        scheduler = build_scheduler(kind, beta_schedule="scaled_linear")
        signal, sigma = get_powers(scheduler, torch.float64)
        noisy, wrong = signal * latents + sigma * noise, latents + 0.01
        implied_noise = (noisy - signal * wrong) / sigma
        velocity = signal * implied_noise - sigma * wrong - (signal * noise - sigma * latents)
        error = implied_noise - noise if kind == "epsilon" else velocity
        cost = compute_snr_weights(scheduler, TIMESTEPS, 5.0) * error.square().mean(dim=(1, 2, 3))
        snr = (signal / sigma).square().flatten()
        torch.testing.assert_close(cost.float(), (snr.clamp(max=5.0) * 1e-4).float(), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("kind", "weights"), [("epsilon", [5 / 9, 1.0]), ("v_prediction", [0.5, 0.0])])
def test_zero_terminal_snr_gives_finite_weights(kind, weights):
    scheduler = build_scheduler(kind)
    scheduler.alphas_cumprod = torch.tensor([0.9, 0.0])
    assert compute_snr_weights(scheduler, torch.tensor([0, 1]), 5.0).tolist() == pytest.approx(weights)


def test_loss_is_the_mean_square_over_the_whole_latent(pair):
    latents, noise = pair
    scheduler = build_scheduler()
    loss = compute_loss(lambda noisy, steps: noise + 0.5, scheduler, latents, noise, TIMESTEPS)
    assert float(loss) == pytest.approx(0.25, rel=1e-5)
    weighted = compute_loss(
        lambda noisy, steps: noise + 0.5, scheduler, latents, noise, TIMESTEPS, snr_gamma=5.0
    )
    expected = 0.25 * compute_snr_weights(scheduler, TIMESTEPS, 5.0).mean()
    assert float(weighted) == pytest.approx(float(expected), rel=1e-5)


def test_bad_settings_are_refused(pair):
    with pytest.raises(ValueError, match="'sample'"):
        compute_target(build_scheduler("sample"), *pair, TIMESTEPS)
    with pytest.raises(ValueError, match="gamma must be above 0, got 0"):
        compute_snr_weights(build_scheduler(), TIMESTEPS, 0)
