"""Images sampled while training: hint, generated, composited, truth, one column each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cyclorama.diffusion.sampling import sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.base import decode_latents, encode_prompts, load_base
from cyclorama.models.generators import build_condition_image, predict_noise
from cyclorama.prompts import EMPTY_PROMPT
from cyclorama.seeding import build_generator
from cyclorama.training.batch import Batch
from cyclorama.training.config import TrainConfig
from cyclorama.training.draws import Draws
from cyclorama.training.export import build_validation_pipeline
from cyclorama.training.log import RunLog
from cyclorama.training.prepare import Prepared
from cyclorama.training.stages import Stage

if TYPE_CHECKING:
    from cyclorama.types import Pixels


@torch.no_grad()
def validate(prepared: Prepared, config: TrainConfig, step: int, out: Path, log: RunLog) -> None:
    """Sample images with the networks as they are, write ``validation/step-N.png``, log them."""
    from PIL import Image

    batch = build_validation_batch(prepared)
    stage = prepared.stage
    if stage.name == "autoencoder":
        columns, scalars = _decode(stage, batch)
    elif stage.name == "base":
        columns, scalars = _sample_base(prepared, config, batch), {}
    else:
        columns, scalars = _sample_generators(prepared, config, batch), {}
    stage.train()
    sheet = build_sheet(columns)
    folder = out / "validation"
    folder.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(folder / f"step-{step:08d}.png")
    log.add_sheet(step, sheet)
    if scalars:
        log.add_scalars(step, scalars)


def build_validation_batch(prepared: Prepared) -> Batch:
    """The images shown at every validation, the same each time; unflipped, with their prompts."""
    noise = np.zeros(prepared.latent_shape, dtype=np.float32)
    draws = [
        Draws(
            number=index,
            index=index,
            flip=False,
            drop_prompt=False,
            timestep=0,
            noise=noise,
        )
        for index in range(len(prepared.shown.data))
    ]
    batch = prepared.shown.build(draws)
    return batch.to(next(prepared.stage.parameters()).device)


def _decode(stage: Stage, batch: Batch) -> tuple[list[Tensor], dict[str, float]]:
    vae: Any = stage.trained["vae"]
    assert batch.image is not None
    latents = batch.latents / vae.config.scaling_factor
    linear = vae.decode_linear(latents).clamp(-1, 1)
    decoded = vae.decode(latents).sample.float().clamp(-1, 1)
    scalars = {
        "psnr": compute_psnr(decoded, batch.image),
        "psnr_linear": compute_psnr(linear, batch.image),
    }
    return [linear, decoded, batch.image], scalars


def compute_psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images in [-1, 1]."""
    return float(-10 * torch.log10((image - truth).square().mean() / 4))


def _build_generators(config: TrainConfig, batch: Batch) -> list[torch.Generator]:
    return [build_generator(config.seed, index, "validation") for index in batch.indices]


def _sample_base(prepared: Prepared, config: TrainConfig, batch: Batch) -> list[Tensor]:
    """Base: generated from the prompt alone beside the truth as the autoencoder gives it back."""
    base = load_base(prepared.start)
    trained: Any = prepared.stage.trained
    device = batch.latents.device
    text_encoder = trained["text_encoder"] if "text_encoder" in trained else base.text_encoder.to(device)
    names = [prepared.shown.data.category(index) for index in batch.indices]
    texts = [prepared.registry.resolve(name).prompts.full for name in names]
    count = len(texts)
    embeds = encode_prompts(base.tokenizer, text_encoder, [EMPTY_PROMPT] * count + texts)
    guidance = config.validation.guidance_scale

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        both = predict_noise(trained["unet"], noisy_latents.repeat(2, 1, 1, 1), timestep, embeds)
        empty, full = both.chunk(2)
        return empty + guidance * (full - empty)

    scheduler = base.scheduler
    scheduler.set_timesteps(config.validation.num_inference_steps, device=device)
    start = sample_noise(prepared.latent_shape, _build_generators(config, batch)).to(device)
    latents = sample_latents(predict, scheduler, start)
    vae = base.vae.to(device)
    return [decode_latents(vae, latents), decode_latents(vae, batch.latents)]


def _sample_generators(prepared: Prepared, config: TrainConfig, batch: Batch) -> list[Tensor]:
    assert batch.image is not None and batch.product_mask is not None
    pipeline = build_validation_pipeline(prepared, config)
    pipeline.set_progress_bar_config(disable=True)
    generated = pipeline(
        batch.image,
        batch.product_mask,
        [prepared.shown.data.category(index) for index in batch.indices],
        _build_generators(config, batch),
        reference_image=batch.reference,
        reference_mask=batch.reference_mask,
        settings=SamplingConfig(
            num_inference_steps=config.validation.num_inference_steps,
            guidance_scale=config.validation.guidance_scale,
        ),
    )
    mask = batch.product_mask
    columns = [build_condition_image(batch.image, mask) * 2 - 1]
    if batch.reference is not None and batch.reference_mask is not None:
        columns.append(build_condition_image(batch.reference, 1 - batch.reference_mask) * 2 - 1)
    return [
        *columns,
        generated,
        mask * batch.image + (1 - mask) * generated,
        batch.image,
    ]


def build_sheet(columns: list[Tensor]) -> Pixels:
    """Pixels uint8 of images (B, 3, H, W) in [-1, 1]: one row per image, one column per entry."""
    rows = torch.cat([column.float().cpu() for column in columns], dim=3)
    stacked = torch.cat(list(rows), dim=1)
    pixels: Pixels = ((stacked.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels
