"""Blended Diffusion in latent space: the base paints round the product, drawn to the reference's background.

arXiv 2111.14818 (guidance by the gradient of a feature distance; the known region put back at the right noise
level after every step) on latents as in arXiv 2206.02779. Differs from both: what guides is the distance of
background features to the reference's, not to a text, as the comparison in arXiv 2312.13309 has it; and the
known region is noised with the image's starting noise. It needs no training of its own: any base and any
feature network will do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclorama.bundled import find_bundled
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.lab.baselines.background_features import BackgroundFeatures, load_background_features
from cyclorama.lab.baselines.folders import build_handle, find_prompt, find_weights, load_base_on
from cyclorama.lab.baselines.latent import OnStep, Predictor, TextBaseline, guide
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import BaselineHandle, Inputs
from cyclorama.models.base import BaseModel, encode_image
from cyclorama.models.files import BASE_PARTS
from cyclorama.models.generators import predict_noise
from cyclorama.models.registry import CategoryRegistry

REMEDY = (
    "give a base with --model, a folder in diffusers' layout or a hub id such as "
    "stable-diffusion-v1-5/stable-diffusion-v1-5, and with --features clip=FOLDER_OR_HUB_ID its guide"
)


class BlendedBaseline(TextBaseline):
    """Blended (latent) Diffusion."""

    name = "blended"

    def __init__(
        self,
        base: BaseModel,
        features: BackgroundFeatures,
        registry: CategoryRegistry,
        options: BaselineOptions,
    ) -> None:
        super().__init__(base, registry, options)
        self.features = features

    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Predictor:
        """The base's guided prediction, moved towards the reference's background features."""
        embeds = self.encode_categories(inputs.categories, settings.guidance_scale > 1)

        def network(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
            return predict_noise(self.unet, noisy_latents.to(self.unet.dtype), timestep, embeds)

        predict = guide(network, settings.guidance_scale)
        if inputs.reference is None or self.options.guide_strength == 0:
            return predict
        wanted = self.features(inputs.reference, inputs.reference_mask)

        def measure(latents: Tensor) -> Tensor:
            image = self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample
            return 1 - torch.cosine_similarity(self.features(image, inputs.mask), wanted)

        return build_guided(predict, measure, self.scheduler, self.options.guide_strength)

    def build_on_step(self, inputs: Inputs, scheduler: Any, noise: Tensor) -> OnStep:
        """The product's latents, at the noise level just reached, over those of the step."""
        product = encode_image(self.vae, inputs.pasted).float()
        mask = torch.nn.functional.adaptive_avg_pool2d(inputs.mask, (noise.shape[-2], noise.shape[-1]))
        timesteps = scheduler.timesteps

        def blend(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
            known = product
            if index + 1 < len(timesteps):
                following = timesteps[index + 1].expand(noise.shape[0])
                known = scheduler.add_noise(product, noise, following)
            mixed = mask * known + (1 - mask) * latents.float()
            return mixed.to(latents.dtype)

        return blend


def build_guided(
    predict: Predictor, measure: Callable[[Tensor], Tensor], scheduler: Any, strength: float
) -> Predictor:
    """``predict`` moved down the gradient of a distance of the clean latents it implies.

    ``measure`` maps clean latents (B, c, h, w) to distances (B,). As classifier guidance (arXiv 2105.05233,
    Alg. 2): ``ε̂ = ε + s sqrt(1 − ᾱ) ∇ distance``. Invariant: with strength 0 it is ``predict``.
    """
    prediction_type = scheduler.config.prediction_type

    def guided(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        alpha = scheduler.alphas_cumprod[int(timestep)].to(noisy_latents.device)
        with torch.enable_grad():
            latents = noisy_latents.detach().float().requires_grad_()
            prediction = predict(latents, timestep).float()
            clean, noise = split_prediction(latents, prediction, alpha, prediction_type)
            (gradient,) = torch.autograd.grad(measure(clean).sum(), latents)
        moved = noise.detach() + strength * (1 - alpha).sqrt() * gradient
        return join_prediction(latents.detach(), moved, alpha, prediction_type).to(noisy_latents.dtype)

    return guided


def split_prediction(
    noisy_latents: Tensor, prediction: Tensor, alpha: Tensor, prediction_type: str
) -> tuple[Tensor, Tensor]:
    """(clean latents, noise) that a prediction means at ``alphas_cumprod`` ``alpha`` ()."""
    signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
    if prediction_type == "epsilon":
        return (noisy_latents - sigma * prediction) / signal, prediction
    return signal * noisy_latents - sigma * prediction, sigma * noisy_latents + signal * prediction


def join_prediction(noisy_latents: Tensor, noise: Tensor, alpha: Tensor, prediction_type: str) -> Tensor:
    """The prediction that means ``noise``. Inverse of :func:`split_prediction`."""
    if prediction_type == "epsilon":
        return noise
    signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
    clean = (noisy_latents - sigma * noise) / signal
    return signal * noise - sigma * clean


def _load(
    folder: Path,
    registry: CategoryRegistry,
    features: BackgroundFeatures,
    options: BaselineOptions,
    device: str,
    dtype: str,
) -> BlendedBaseline:
    base = load_base_on(folder, device, dtype)
    for network in (base.unet, base.vae):
        network.requires_grad_(False)
    return BlendedBaseline(base, features.to(device), registry, options)


def open_method(model: str | None, options: BaselineOptions) -> BaselineHandle:
    """The handle of a base (None: the bundled one) with its guide.

    Raises ModelNotFoundError, ModelFormatError, SettingsError (features that cannot guide).
    """
    folder = find_weights(find_bundled("model") if model is None else model, "blended", BASE_PARTS, REMEDY)
    features = load_background_features(options.features)
    settings = {
        "prompt": find_prompt(folder, options.prompt),
        "features": f"{features.name}-{features.weights_hash}",
        "guide_strength": options.guide_strength,
    }
    return build_handle("blended", model, folder, BASE_PARTS, _load, features, options, settings=settings)
