"""The product's stages: what each trains, on what, its loss, its validation sheet and its model folder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cyclorama.diffusion.objective import PredictNoise, compute_loss
from cyclorama.diffusion.sampling import sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ConfigError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.base import (
    BaseModel,
    decode_latents,
    encode_image,
    encode_prompts,
    load_base,
    load_part,
    save_base,
)
from cyclorama.models.discriminator import (
    PatchDiscriminator,
    compute_discriminator_loss,
    compute_generator_loss,
)
from cyclorama.models.generators import (
    GENERATORS,
    CategoryGenerator,
    Residuals,
    build_condition_image,
    predict_noise,
)
from cyclorama.models.perceptual import PerceptualDistance
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import save_registry
from cyclorama.models.speed import combine_guidance
from cyclorama.prompts import EMPTY_PROMPT, PRODUCT_PROMPT
from cyclorama.tensors import build_generator
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.config import TrainConfig
from cyclorama.training.stage import StageNetworks, Start, TrainStage

Networks = tuple[dict[str, nn.Module], dict[str, nn.Module]]
CG, PG = GENERATORS
_LEVELS = 8
"""Timesteps at which the validation loss is taken."""


def build_base_networks(start: Start, base: BaseModel) -> Networks:
    """The base's UNet and, built from scratch, its text encoder."""
    trained: dict[str, nn.Module] = {"unet": base.unet}
    if start.config.model.train_text_encoder:
        trained["text_encoder"] = base.text_encoder
    return trained, {}


def build_generator_networks(
    start: Start, base: BaseModel, trains: tuple[str, ...], needs: tuple[str, ...] = ()
) -> Networks:
    """The generators that the stage ``trains`` on the frozen base, and those it ``needs`` trained already.

    Raises ConfigError.
    """
    if start.config.prompt != "full":
        raise ConfigError(
            f"prompt is {start.config.prompt!r}, but with our generators the base takes the full prompt; "
            "leave it out"
        )
    for name in needs:
        if not (start.folder / name).is_dir():
            raise ConfigError(
                f"this stage needs a trained {name.replace('_', ' ')}, but {start.folder} has none; run "
                f"stage {name.removesuffix('_generator')!r} first and set model.base to its OUT/model"
            )
    fresh = start.config.model.fresh
    trained = {name: open_generator(name, start.folder, base, start.config, fresh) for name in trains}
    frozen = {name: open_generator(name, start.folder, base, start.config) for name in needs}
    return trained, {"unet": base.unet, **frozen}


def open_generator(name: str, folder: Path, base: BaseModel, config: TrainConfig, fresh: bool = False) -> Any:
    """The generator ``name`` in ``folder``; if none or ``fresh``, an untrained one drawn from the seed."""
    if (folder / name).is_dir() and not fresh:
        return load_part(GENERATORS[name], folder / name, torch.float32)
    model = config.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return GENERATORS[name].from_base(
            base.unet, base.vae_scale, model.condition_mask_channel, model.open_hint
        )


def predict(networks: StageNetworks, noisy_latents: Tensor, timesteps: Tensor, batch: TrainBatch) -> Tensor:
    """The base's prediction with the residuals of the generators that the stage has (Eq. 2)."""
    prompt = batch.get_base_prompt(networks.start.config.prompt)
    if "text_encoder" in networks:
        ids, rows = torch.unique(prompt, dim=0, return_inverse=True)
        prompt = networks["text_encoder"](ids)[0][rows]
    residuals: Residuals | None = None
    for name in GENERATORS:
        if name in networks:
            with torch.set_grad_enabled(torch.is_grad_enabled() and name in networks.trained):
                own = predict_residuals(networks[name], noisy_latents, timesteps, batch)
            residuals = own if residuals is None else residuals + own
    return predict_noise(networks["unet"], noisy_latents, timesteps, prompt, residuals)


def predict_residuals(
    generator: Any, noisy_latents: Tensor, timesteps: Tensor, batch: TrainBatch
) -> Residuals:
    """A generator's residuals.

    CG: product on black as hint, product and background prompt (Eq. 3). PG: the perturbed background as hint
    (Eq. 5, 6), full prompt, zero on the product (Eq. 4).
    """
    values: Any = batch  # what a stage asks for is there
    if isinstance(generator, CategoryGenerator):
        condition, visible, mask = values.hint_image, values.hint_mask, values.hint_mask
        prompts = [values.product_prompt, values.background_prompt]
    else:
        condition, visible, mask = values.reference, 1 - values.reference_mask, values.product_mask
        prompts = [values.full_prompt]
    hint = generator.encode_hint(build_condition_image(condition, visible, generator.with_mask))
    residuals: Residuals = generator.predict_residuals(noisy_latents, timesteps, *prompts, hint, mask)
    return residuals


def compute_noise_loss(networks: StageNetworks, batch: TrainBatch, predict_noise: PredictNoise) -> Tensor:
    """Eq. 1 over the whole latent for a batch's own noise and timesteps."""
    gamma = networks.start.config.min_snr_gamma
    scheduler = networks.scheduler
    return compute_loss(predict_noise, scheduler, batch.latents, batch.noise, batch.timesteps, gamma)


def compute_diffusion_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """Eq. 1 of :func:`predict`."""
    return compute_noise_loss(networks, batch, lambda noisy, t: predict(networks, noisy, t, batch))


def build_autoencoder_networks(start: Start, base: BaseModel) -> Networks:
    """The autoencoder, only its decoder's refiner to be moved, and the discriminator if one is set."""
    if not isinstance(base.vae, PatchAutoencoder):
        raise ConfigError(
            f"stage 'autoencoder' trains a PatchAutoencoder, but {start.folder} has a "
            f"{type(base.vae).__name__}; use model.build, or a base made by it"
        )
    start.config.check_crop(base.vae_scale)
    base.vae.requires_grad_(False)
    base.vae.refiner.requires_grad_(True)
    trained: dict[str, nn.Module] = {"vae": base.vae}
    settings = start.config.discriminator
    if settings is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(start.config.seed)
            trained["discriminator"] = PatchDiscriminator(settings.widths, settings.rate)
    return trained, {"perceptual": PerceptualDistance()} if start.config.perceptual > 0 else {}


def compute_autoencoder_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """L1 of pixels and edges of the decoded image; with a discriminator, both sides' losses too.

    Latents are jittered, so that the decoder forgives what a sampler leaves imperfect.
    """
    vae, config = networks["vae"], networks.start.config
    if config.crop is not None:
        batch = crop_batch(batch, config.crop, vae, config.seed)
    assert batch.image is not None
    latents = batch.latents + config.latent_jitter * batch.noise
    decoded = vae.decode(latents / vae.config.scaling_factor).sample.float()
    loss = compute_reconstruction_loss(decoded, batch.image)
    if config.perceptual > 0:
        loss = loss + config.perceptual * networks["perceptual"](decoded, batch.image)
    if config.discriminator is None:
        return loss
    discriminator, settings = networks["discriminator"], config.discriminator
    loss = loss + compute_generator_loss(
        discriminator, decoded, batch.image, settings.adversarial, settings.feature_matching
    )
    hole = torch.ones_like(decoded[:, :1])  # all of it
    return loss + compute_discriminator_loss(discriminator, decoded, batch.image, hole, r1=0.0)


def crop_batch(batch: TrainBatch, side: int, vae: Any, seed: int) -> TrainBatch:
    """The batch's images cut to a square of ``side`` pixels each, encoded anew.

    A sample's place is drawn from ``seed`` and its number: it is the same in any batch.
    """
    assert batch.image is not None
    height, width = batch.image.shape[-2:]
    places = torch.stack([torch.rand(2, generator=build_generator(seed, n, "crop")) for n in batch.numbers])
    tops, lefts = (places * torch.tensor([height - side + 1, width - side + 1])).long().T.tolist()
    image = torch.stack(
        [x[:, y : y + side, z : z + side] for x, y, z in zip(batch.image, tops, lefts, strict=True)]
    )
    latents = encode_image(vae, image)
    noise = batch.noise[..., : latents.shape[2], : latents.shape[3]]
    return replace(batch, image=image, latents=latents, noise=noise)


def compute_reconstruction_loss(decoded: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of pixels plus that of horizontal and vertical differences, both (B, 3, H, W)."""
    error = decoded - image
    across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + across + down


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


def compute_validation_loss(networks: StageNetworks, batch: TrainBatch) -> dict[str, float]:
    """``validation_loss``: the mean loss of ``batch`` at evenly spread timesteps, with fixed noise."""
    generators = _build_generators(networks, batch)
    total, last = 0.0, int(networks.scheduler.config.num_train_timesteps)
    for level in range(_LEVELS):
        noise = sample_noise(batch.latents.shape[1:], generators).to(batch.latents.device)
        timesteps = torch.full_like(batch.timesteps, (2 * level + 1) * last // (2 * _LEVELS))
        total += float(networks(replace(batch, noise=noise, timesteps=timesteps)))
    return {"validation_loss": total / _LEVELS}


def show_base(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """Base: generated from the prompt alone beside the truth as the autoencoder gives it back."""
    start = networks.start
    base, settings, device = load_base(start.folder), start.config.validation, batch.latents.device
    text_encoder = networks["text_encoder"] if "text_encoder" in networks else base.text_encoder.to(device)
    prompts = [start.registry.resolve(name).prompts for name in batch.categories]
    texts = [p.full if start.config.prompt == "full" else p.product for p in prompts]
    embeds = encode_prompts(base.tokenizer, text_encoder, [EMPTY_PROMPT] * len(texts) + texts)

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        both = predict_noise(networks["unet"], noisy_latents.repeat(2, 1, 1, 1), timestep, embeds)
        return combine_guidance(both, settings.guidance_scale)

    base.scheduler.set_timesteps(settings.num_inference_steps, device=device)
    noise = sample_noise(batch.latents.shape[1:], _build_generators(networks, batch)).to(device)
    latents = sample_latents(predict, base.scheduler, noise)
    vae = base.vae.to(device)
    shown = [decode_latents(vae, latents), decode_latents(vae, batch.latents)]
    return shown, compute_validation_loss(networks, batch)


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
    columns += [generated, mask * batch.image + (1 - mask) * generated, batch.image]
    return columns, compute_validation_loss(networks, batch)


def _build_generators(networks: StageNetworks, batch: TrainBatch) -> list[torch.Generator]:
    seed = networks.start.config.seed
    return [build_generator(seed, index, "validation") for index in batch.indices]


def save_base_parts(networks: StageNetworks, folder: Path) -> None:
    """The start with the trained parts of its base in their places; a discriminator stays behind."""
    base = load_base(networks.start.folder)
    for name, network in networks.trained.items():
        if name != "discriminator":
            setattr(base, name, network)
    if "unet" in networks.trained:
        state_prompt(base, networks.start.config.prompt)
    save_base(base, folder)
    save_registry(networks.start.registry, folder)


def state_prompt(base: BaseModel, kind: Literal["full", "product"]) -> None:
    """Write into the text encoder's configuration which kind of prompt ``base`` has learnt."""
    base.text_encoder.config.prompt = PRODUCT_PROMPT if kind == "product" else None


def build_pipeline(networks: StageNetworks) -> CycloramaPipeline:
    """The whole pipeline around the stage's networks (shared, not copied), in evaluation mode."""
    start = networks.start
    base = load_base(start.folder)
    generators = {
        name: networks[name] if name in networks else open_generator(name, start.folder, base, start.config)
        for name in GENERATORS
    }
    base.unet = networks["unet"]
    pipeline = CycloramaPipeline.from_parts(base, start.registry, **generators)
    moved: CycloramaPipeline = pipeline.to(next(networks.parameters()).device)
    return moved


def _build_generator_stage(name: str, trains: tuple[str, ...], needs: tuple[str, ...] = ()) -> TrainStage:
    return TrainStage(
        name,
        partial(build_generator_networks, trains=trains, needs=needs),
        compute_diffusion_loss,
        lambda networks, folder: build_pipeline(networks).save_pretrained(folder),
        lambda networks, batch: show_generated(networks, batch, build_pipeline(networks)),
        BatchNeeds(product=True, hint=CG in trains, reference=PG in trains),
    )


_ALL = (
    TrainStage(
        "autoencoder", build_autoencoder_networks, compute_autoencoder_loss, save_base_parts, show_decoded,
        BatchNeeds(prompts=False, product=True), from_scratch=True,
    ),
    TrainStage(
        "base", build_base_networks, compute_diffusion_loss, save_base_parts, show_base,
        BatchNeeds(), from_scratch=True,
    ),
    _build_generator_stage("category", (CG,)),
    _build_generator_stage("personality", (PG,), needs=(CG,)),
    _build_generator_stage("joint", (CG, PG)),
)  # fmt: skip
STAGES = {stage.name: stage for stage in _ALL}
