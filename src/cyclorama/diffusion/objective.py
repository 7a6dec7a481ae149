"""The training objective: noise in, squared error out (arXiv 2312.13309, Eq. 1).

Noising, velocity and signal-to-noise ratio are those of diffusers' schedulers. Knows a callable, never a
model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.training_utils import compute_snr
from torch import Tensor

PredictNoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy_latents (B, c, h, w), timesteps (B,)) -> prediction (B, c, h, w)."""


def compute_target(scheduler: Any, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the network should answer: the noise, or the velocity ``sqrt(a) noise - sqrt(1 - a) latents``.

    Raises ValueError for a scheduler that predicts anything else.
    """
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type must be 'epsilon' or 'v_prediction', got {kind!r}")
    target: Tensor = noise if kind == "epsilon" else scheduler.get_velocity(latents, noise, timesteps)
    return target


def compute_snr_weights(scheduler: Any, timesteps: Tensor, gamma: float) -> Tensor:
    """Min-SNR-gamma loss weight of each timestep, float32 (B,) (arXiv 2303.09556, 3.4).

    ``min(snr, gamma) / snr`` for epsilon, ``min(snr, gamma) / (snr + 1)`` for velocity, so that both weigh
    the error of the predicted clean latents by ``min(snr, gamma)``. A timestep without signal (snr 0, of a
    zero-terminal-SNR schedule) has weight 1 for epsilon, the limit of the fraction.
    """
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0, got {gamma}")
    snr: Tensor = compute_snr(scheduler, timesteps)
    if scheduler.config.prediction_type == "epsilon":
        return torch.clamp(gamma / snr, max=1.0)
    return torch.clamp(snr, max=gamma) / (snr + 1.0)


def compute_loss(
    predict_noise: PredictNoise,
    scheduler: Any,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    snr_gamma: float | None = None,
) -> Tensor:
    """The loss of Eq. 1 for one batch: squared error over the whole latent, mean over the batch, float32 ().

    ``latents`` and ``noise`` (B, c, h, w), ``timesteps`` int64 (B,). ``snr_gamma`` weighs each image's error
    by :func:`compute_snr_weights` (differs from the paper, which weighs all timesteps alike; None gives the
    paper's loss).
    """
    noisy_latents = scheduler.add_noise(latents, noise, timesteps)
    target = compute_target(scheduler, latents, noise, timesteps)
    error = (predict_noise(noisy_latents, timesteps).float() - target.float()).square().mean(dim=(1, 2, 3))
    if snr_gamma is not None:
        error = error * compute_snr_weights(scheduler, timesteps, snr_gamma)
    return error.mean()
