"""The training objective: noise in, squared error out (arXiv 2312.13309, Eq. 1).

Plain functions of tensors and of a schedule's ``alphas_cumprod`` (1-D, one value per timestep, falling
from near 1 to near 0). They know a callable, never a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]

PredictNoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy_latents (B, c, h, w), timesteps (B,)) -> prediction (B, c, h, w)."""


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The noisy latents ``sqrt(a) latents + sqrt(1 - a) noise`` with ``a = alphas_cumprod[timesteps]``.

    ``latents`` and ``noise`` (B, c, h, w), ``timesteps`` int64 (B,). Invariant: equal to ``add_noise`` of
    the diffusers schedulers with the same ``alphas_cumprod``.
    """
    signal, sigma = _compute_signal_and_sigma(latents, timesteps, alphas_cumprod)
    return signal * latents + sigma * noise


def compute_target(
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: PredictionType = "epsilon",
) -> Tensor:
    """What the network should answer: the noise, or the velocity ``sqrt(a) noise - sqrt(1 - a) latents``.

    Raises ValueError for another ``prediction_type``.
    """
    _check_prediction_type(prediction_type)
    if prediction_type == "epsilon":
        return noise
    signal, sigma = _compute_signal_and_sigma(latents, timesteps, alphas_cumprod)
    return signal * noise - sigma * latents


def compute_snr(timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Signal-to-noise ratio ``a / (1 - a)`` of each timestep, float32 (B,)."""
    alpha = alphas_cumprod.to(timesteps.device)[timesteps].float()
    return alpha / (1.0 - alpha)


def compute_snr_weights(
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    gamma: float,
    prediction_type: PredictionType = "epsilon",
) -> Tensor:
    """Min-SNR-gamma loss weight of each timestep, float32 (B,) (arXiv 2303.09556, 3.4).

    ``min(snr, gamma) / snr`` for epsilon, ``min(snr, gamma) / (snr + 1)`` for velocity, so that both weigh
    the error of the predicted clean latents by ``min(snr, gamma)``. A timestep without signal (snr 0, of a
    zero-terminal-SNR schedule) has weight 1 for epsilon, the limit of the fraction.
    """
    _check_prediction_type(prediction_type)
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0, got {gamma}")
    snr = compute_snr(timesteps, alphas_cumprod)
    if prediction_type == "epsilon":
        return torch.clamp(gamma / snr, max=1.0)
    return torch.clamp(snr, max=gamma) / (snr + 1.0)


def compute_loss(
    predict_noise: PredictNoise,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: PredictionType = "epsilon",
    snr_gamma: float | None = None,
) -> Tensor:
    """The loss of Eq. 1 for one batch: squared error over the whole latent, mean over the batch, float32 ().

    ``snr_gamma`` weighs each image's error by :func:`compute_snr_weights` (differs from the paper, which
    weighs all timesteps alike; None gives the paper's loss).
    """
    noisy_latents = add_noise(latents, noise, timesteps, alphas_cumprod)
    target = compute_target(latents, noise, timesteps, alphas_cumprod, prediction_type)
    prediction = predict_noise(noisy_latents, timesteps)
    error = (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))
    if snr_gamma is not None:
        error = error * compute_snr_weights(timesteps, alphas_cumprod, snr_gamma, prediction_type)
    return error.mean()


def _compute_signal_and_sigma(
    latents: Tensor, timesteps: Tensor, alphas_cumprod: Tensor
) -> tuple[Tensor, Tensor]:
    alpha = alphas_cumprod.to(device=latents.device, dtype=latents.dtype)[timesteps.to(latents.device)]
    alpha = alpha.view(-1, *([1] * (latents.ndim - 1)))
    return alpha.sqrt(), (1.0 - alpha).sqrt()


def _check_prediction_type(prediction_type: str) -> None:
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type must be 'epsilon' or 'v_prediction', got {prediction_type!r}")
