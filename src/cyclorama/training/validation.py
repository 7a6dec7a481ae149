"""Images sampled while training: hint, generated, composited, truth, one column each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclorama.diffusion.sampling import sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.imaging.transforms import to_pixels
from cyclorama.models.base import decode_latents, encode_prompts, load_base
from cyclorama.models.generators import build_condition_image, predict_noise
from cyclorama.models.speed import combine_guidance
from cyclorama.prompts import EMPTY_PROMPT
from cyclorama.seeding import build_generator
from cyclorama.training.batch import BatchBuilder, Draws, TrainBatch
from cyclorama.training.log import RunLog
from cyclorama.training.stage import StageNetworks


@torch.no_grad()
def validate(networks: StageNetworks, shown: BatchBuilder, step: int, out: Path, log: RunLog) -> None:
    """Show the images of ``shown`` with the networks as they are: ``validation/step-N.png``, and logged.

    The same each time, unflipped, with their prompts: a row per image, a column per entry.
    """
    noise = np.zeros(shown.latents.shape[2:], dtype=np.float32)
    draws = [Draws(i, i, False, drop_prompt=False, timestep=0, noise=noise) for i in range(len(shown.data))]
    batch = shown.build(draws).to(next(networks.parameters()).device)
    columns, scalars = networks.stage.show(networks, batch)
    networks.train()
    rows = torch.cat([column.float().cpu() for column in columns], dim=3)
    sheet = to_pixels(torch.cat(list(rows), dim=1).nan_to_num())
    path = out / "validation" / f"step-{step:08d}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(path)
    log.add_sheet(step, sheet)
    if scalars:
        log.add_scalars(step, scalars)


def show_decoded(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """Autoencoder: decoded without and with the refiner, beside the truth; their PSNR in dB."""
    vae = networks["vae"]
    assert batch.image is not None
    latents = batch.latents / vae.config.scaling_factor
    linear = vae.decode_linear(latents).clamp(-1, 1)
    decoded = vae.decode(latents).sample.float().clamp(-1, 1)
    errors = {"psnr": decoded - batch.image, "psnr_linear": linear - batch.image}
    scalars = {name: float(-10 * torch.log10(e.square().mean() / 4)) for name, e in errors.items()}
    return [linear, decoded, batch.image], scalars


def show_base(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """Base: generated from the prompt alone beside the truth as the autoencoder gives it back."""
    start = networks.start
    base, settings, device = load_base(start.folder), start.config.validation, batch.latents.device
    text_encoder = networks["text_encoder"] if "text_encoder" in networks else base.text_encoder.to(device)
    texts = [start.registry.resolve(name).prompts.full for name in batch.categories]
    embeds = encode_prompts(base.tokenizer, text_encoder, [EMPTY_PROMPT] * len(texts) + texts)

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        both = predict_noise(networks["unet"], noisy_latents.repeat(2, 1, 1, 1), timestep, embeds)
        return combine_guidance(both, settings.guidance_scale)

    base.scheduler.set_timesteps(settings.num_inference_steps, device=device)
    noise = sample_noise(batch.latents.shape[1:], _build_generators(networks, batch)).to(device)
    latents = sample_latents(predict, base.scheduler, noise)
    vae = base.vae.to(device)
    return [decode_latents(vae, latents), decode_latents(vae, batch.latents)], {}


def show_generated(
    networks: StageNetworks, batch: TrainBatch, pipeline: Any
) -> tuple[list[Tensor], dict[str, float]]:
    """Hint, reference, generated, composited and truth; ``pipeline`` is called like CycloramaPipeline."""
    assert batch.image is not None and batch.product_mask is not None
    pipeline.set_progress_bar_config(disable=True)
    settings = networks.start.config.validation
    generated = pipeline(
        batch.image,
        batch.product_mask,
        batch.categories,
        _build_generators(networks, batch),
        reference_image=batch.reference,
        reference_mask=batch.reference_mask,
        settings=SamplingConfig(
            num_inference_steps=settings.num_inference_steps, guidance_scale=settings.guidance_scale
        ),
    )
    mask = batch.product_mask
    columns = [build_condition_image(batch.image, mask) * 2 - 1]
    if batch.reference is not None and batch.reference_mask is not None:
        columns.append(build_condition_image(batch.reference, 1 - batch.reference_mask) * 2 - 1)
    return [*columns, generated, mask * batch.image + (1 - mask) * generated, batch.image], {}


def _build_generators(networks: StageNetworks, batch: TrainBatch) -> list[torch.Generator]:
    seed = networks.start.config.seed
    return [build_generator(seed, index, "validation") for index in batch.indices]
