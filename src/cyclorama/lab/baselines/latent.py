"""What the latent diffusion baselines share: prompts, start, guidance and one sampler, ours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cyclorama.diffusion.sampling import build_scheduler, build_start, sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import Baseline, Inputs
from cyclorama.models.base import BaseModel, compute_vae_scale, decode_latents, encode_image, encode_prompts
from cyclorama.models.generators import predict_noise
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.models.speed import combine_guidance, shared_timestep
from cyclorama.prompts import EMPTY_PROMPT

Predictor = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[int, Tensor, Tensor], Tensor]


class LatentBaseline(Baseline):
    """A method that samples latents of ``vae`` with ``unet`` under ``scheduler``'s noise schedule."""

    def __init__(self, unet: Any, vae: Any, scheduler: Any, registry: CategoryRegistry) -> None:
        self.unet, self.vae, self.scheduler, self.registry = unet, vae, scheduler, registry
        self.networks = [unet]
        """Those that embed a timestep."""
        scale = compute_vae_scale(vae)
        self.image_size = int(unet.config.sample_size) * scale
        self.image_multiple = int(scale * 2 ** (len(unet.config.block_out_channels) - 1))
        self.device: torch.device = unet.device

    @torch.no_grad()
    def paint(
        self, inputs: Inputs, generators: Sequence[torch.Generator], settings: SamplingConfig
    ) -> Tensor:
        """Decoded samples. Invariant: an image's noise is its generator's alone."""
        scheduler = build_scheduler(self.scheduler, settings.scheduler)
        scheduler.set_timesteps(settings.num_inference_steps, device=self.device)
        scale = compute_vae_scale(self.vae)
        height, width = (side // scale for side in inputs.image.shape[-2:])
        shape = (int(self.unet.config.out_channels), height, width)
        noise = sample_noise(shape, generators).to(self.device)
        start = self.build_start(inputs, scheduler, noise, settings).to(self.unet.dtype)
        predict = self.build_predictor(inputs, settings)
        on_step = self.build_on_step(inputs, scheduler, noise)
        with shared_timestep(self.networks):
            latents = sample_latents(
                predict, scheduler, start, eta=settings.eta, generators=generators, on_step=on_step
            )
        return decode_latents(self.vae, latents)

    def build_start(self, inputs: Inputs, scheduler: Any, noise: Tensor, settings: SamplingConfig) -> Tensor:
        """``z_T`` (B, c, h, w): noise, or the noised latent of :meth:`build_start_image` if there is one."""
        image = self.build_start_image(inputs) if settings.initial_latent else None
        return build_start(scheduler, noise, None if image is None else encode_image(self.vae, image).float())

    def build_start_image(self, inputs: Inputs) -> Tensor | None:
        """What the start is the noised latent of, (B, 3, H, W) in [-1, 1]; None starts from noise."""
        return None

    @abstractmethod
    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Predictor:
        """Guided prediction as a function of noisy latents and timestep; all else is prepared here, once."""

    def build_on_step(self, inputs: Inputs, scheduler: Any, noise: Tensor) -> OnStep | None:
        """What happens to the latents after each step; None for nothing."""
        return None


class TextBaseline(LatentBaseline):
    """A latent diffusion baseline on a text-to-image base."""

    def __init__(self, base: BaseModel, registry: CategoryRegistry, options: BaselineOptions) -> None:
        super().__init__(base.unet, base.vae, base.scheduler, registry)
        self.tokenizer, self.text_encoder = base.tokenizer, base.text_encoder
        self.options = options
        self._embeds: dict[str, Tensor] = {}

    def encode_categories(self, categories: Sequence[Category], guided: bool) -> Tensor:
        """Embeddings (B, L, D) of the categories' prompts; (2B, L, D), empty prompts first, if ``guided``."""
        template = self.options.prompt or getattr(self.text_encoder.config, "prompt", None)
        texts = [
            category.prompts.full if template is None else template.replace("{category}", category.name)
            for category in categories
        ]
        texts = ([EMPTY_PROMPT] * len(texts) if guided else []) + texts
        for text in texts:
            if text not in self._embeds:  # encoded alone, so the batch cannot change its bits
                self._embeds[text] = encode_prompts(self.tokenizer, self.text_encoder, [text])[0]
        return torch.stack([self._embeds[text] for text in texts])


def see_channels(unet: Any, channels: Tensor, condition: Tensor) -> Predictor:
    """The prediction of a UNet that sees ``channels`` beside the noisy latents, under ``condition``."""
    channels = channels.to(unet.dtype)

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        wide = torch.cat([noisy_latents.to(unet.dtype), channels], dim=1)
        return predict_noise(unet, wide, timestep, condition)

    return predict


def guide(network: Callable[[Tensor, Tensor], Tensor], scale: float) -> Predictor:
    """``network`` with classifier-free guidance: asked for the latents twice, unless ``scale`` is 1.

    ``network`` must hold its conditions for (2B) rows then, the unconditional ones first.
    """
    if scale <= 1:
        return network

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        return combine_guidance(network(noisy_latents.repeat(2, 1, 1, 1), timestep), scale)

    return predict
