"""What training minimises (noise in, squared error out: arXiv 2312.13309, Eq. 1), and its weights' average.

Noising, velocity, signal-to-noise ratio and average are diffusers'. Knows a callable, never a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.training_utils import EMAModel, compute_snr
from torch import Tensor, nn

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


class WeightAverage(EMAModel):
    """Exponential moving average of named parameters, on their device.

    After update n the decay is ``min(decay, n / (9 + n))``, 0 at the first: the random start does not linger.
    Invariant: a function of the sequence of weights, so that loaded averages go on bit-equal.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        super().__init__(parameters.values(), decay=decay, foreach=True)
        self.parameters = parameters

    def update(self) -> None:
        """Take in the weights as they are."""
        self.step(self.parameters.values())

    def get_values(self) -> dict[str, Tensor]:
        """The averages by name."""
        return dict(zip(self.parameters, self.shadow_params, strict=True))

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor], updates: int) -> None:
        """Replace the averages by ``values``, which took in ``updates`` updates."""
        self.optimization_step = updates
        for name, average in self.get_values().items():
            average.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While open, the parameters hold the averages; afterwards their own values again, bit for bit."""
        self.store(self.parameters.values())
        self.copy_to(self.parameters.values())
        try:
            yield
        finally:
            self.restore(self.parameters.values())
