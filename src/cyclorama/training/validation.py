"""Images sampled while training: hint, generated, composited, truth, one column each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclorama.diffusion.sampling import sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.base import decode_latents, encode_prompts, load_base
from cyclorama.models.generators import build_condition_image, predict_noise
from cyclorama.models.speed import combine_guidance
from cyclorama.prompts import EMPTY_PROMPT
from cyclorama.seeding import build_generator
from cyclorama.training.batch import BatchBuilder, TrainBatch
from cyclorama.training.draws import Draws
from cyclorama.training.log import RunLog
from cyclorama.training.stage import StageNetworks

if TYPE_CHECKING:
    from cyclorama.types import Pixels


@torch.no_grad()
def validate(networks: StageNetworks, shown: BatchBuilder, step: int, out: Path, log: RunLog) -> None:
    """Show the images of ``shown`` with the networks as they are: ``validation/step-N.png``, and logged."""
    batch = build_validation_batch(shown).to(next(networks.parameters()).device)
    columns, scalars = networks.stage.show(networks, batch)
    networks.train()
    sheet = build_sheet(columns)
    folder = out / "validation"
    folder.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(folder / f"step-{step:08d}.png")
    log.add_sheet(step, sheet)
    if scalars:
        log.add_scalars(step, scalars)


def build_validation_batch(shown: BatchBuilder) -> TrainBatch:
    """The images shown at every validation, the same each time; unflipped, with their prompts."""
    noise = np.zeros(shown.latents.shape[2:], dtype=np.float32)
    return shown.build(
        [Draws(i, i, flip=False, drop_prompt=False, timestep=0, noise=noise) for i in range(len(shown.data))]
    )


def show_decoded(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """Autoencoder: decoded without and with the refiner, beside the truth."""
    vae = networks["vae"]
    assert batch.image is not None
    latents = batch.latents / vae.config.scaling_factor
    linear = vae.decode_linear(latents).clamp(-1, 1)
    decoded = vae.decode(latents).sample.float().clamp(-1, 1)
    pair = {"psnr": decoded, "psnr_linear": linear}
    scalars = {name: compute_psnr(image, batch.image) for name, image in pair.items()}
    return [linear, decoded, batch.image], scalars


def compute_psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images in [-1, 1]."""
    return float(-10 * torch.log10((image - truth).square().mean() / 4))


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


def build_sheet(columns: list[Tensor]) -> Pixels:
    """Pixels uint8 of images (B, 3, H, W) in [-1, 1]: one row per image, one column per entry."""
    rows = torch.cat([column.float().cpu() for column in columns], dim=3)
    stacked = torch.cat(list(rows), dim=1)
    pixels: Pixels = ((stacked.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels
