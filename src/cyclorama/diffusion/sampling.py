"""The sampler: starting noise of its own for every image, the noised-reference start, the steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from cyclorama.diffusion.settings import find_scheduler_name
from cyclorama.errors import SettingsError


def build_scheduler(own: Any, name: str | None) -> Any:
    """A fresh scheduler for one generation: the model's ``own`` class, or ``name`` with its config.

    PNDM runs without its Runge-Kutta warm-up, as Stable Diffusion's own configs have it.
    """
    cls: Any = type(own) if name is None else getattr(diffusers, find_scheduler_name(name))
    pndm = {"skip_prk_steps": True} if name is not None and cls is diffusers.PNDMScheduler else {}
    return cls.from_config(own.config, **pndm)


def sample_noise(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise (B, c, h, w), float32 on the CPU, one generator per image.

    Invariant: an image's noise is bit for bit the same alone, in any batch and in any order.
    """
    return torch.stack([torch.randn(shape, generator=g, dtype=torch.float32) for g in generators])


def build_start(scheduler: Any, noise: Tensor, reference_latents: Tensor | None) -> Tensor:
    """Starting latents ``z_T`` (method, 7): noise alone, or the noised latent of the reference.

    Raises SettingsError for a schedule without signal at its first timestep together with a
    reference: nothing of it would be left.
    """
    if reference_latents is None:
        return noise * float(scheduler.init_noise_sigma)
    alphas = getattr(scheduler, "alphas_cumprod", None)
    first = scheduler.timesteps[:1]
    if alphas is not None and float(alphas[min(int(first[0]), len(alphas) - 1)]) < 1e-6:
        raise SettingsError(
            f"{type(scheduler).__name__} has zero terminal signal-to-noise ratio, so a noised reference "
            f"carries nothing; set initial_latent=False (--no-initial-latent) or use another schedule"
        )
    start: Tensor = scheduler.add_noise(reference_latents, noise, first.expand(noise.shape[0]))
    return start


def plan_encoders(steps: int, every: int) -> list[bool]:
    """For each of ``steps``, whether encoders run or what they last gave serves, for ``every`` steps in all.

    They run at both first steps and at the last, where the image changes most.
    """
    return [step < 2 or step == steps - 1 or (step - 1) % every == 0 for step in range(steps)]


def sample_latents(
    predict_noise: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any,
    start: Tensor,
    *,
    eta: float = 0.0,
    generators: Sequence[torch.Generator] | None = None,
    on_step: Callable[[int, Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Run ``scheduler`` from ``start`` (B, c, h, w) to clean latents.

    ``predict_noise(noisy_latents, timestep)`` is called with the scheduler-scaled latents; guidance
    happens inside it. ``on_step(index, timestep, latents)`` may return other latents.
    Raises SettingsError if ``eta`` is set for a scheduler that has none.
    """
    accepted = inspect.signature(scheduler.step).parameters
    extra: dict[str, Any] = {}
    if "eta" in accepted:
        extra["eta"] = eta
    elif eta > 0:
        raise SettingsError(f"eta={eta} has no meaning for {type(scheduler).__name__}; use 0")
    if "generator" in accepted and generators is not None:
        extra["generator"] = list(generators) if len(generators) > 1 else generators[0]
    latents = start
    for index, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(latents, timestep)
        prediction = predict_noise(model_input, timestep)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False, **extra)[0]
        if on_step is not None:
            latents = on_step(index, timestep, latents)
    return latents
