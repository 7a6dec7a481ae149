"""How the small versions are trained: networks, loss and model folder of each, as stages for the one loop.

All start from the same base, see the same images in the same order with the same noise as our generators'
stages, and differ in their networks alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from cyclorama.lab.baselines.background_features import load_background_features
from cyclorama.lab.baselines.controlnet import PART as CONTROLNET
from cyclorama.lab.baselines.controlnet import ControlNetBaseline, build_hint
from cyclorama.lab.baselines.inpaint import InpaintBaseline, build_inpaint_condition, widen_unet
from cyclorama.lab.baselines.lama_training import LAMA
from cyclorama.lab.baselines.latent import see_channels
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.paint_by_example import (
    FeatureEncoder,
    PaintByExampleBaseline,
    build_example_channels,
    build_feature_encoder,
)
from cyclorama.lab.baselines.protocol import OpenRegistry
from cyclorama.models.base import BaseModel, compute_vae_scale, load_base, load_part, save_base
from cyclorama.models.generators import Branch, predict_noise
from cyclorama.models.registry import save_registry
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.stage import StageNetworks, Start, TrainStage
from cyclorama.training.stages import compute_noise_loss, show_generated, state_prompt

Networks = tuple[dict[str, nn.Module], dict[str, nn.Module]]
"""(trained, frozen) by name."""


def build_inpaint_networks(start: Start, base: BaseModel) -> Networks:
    """In-painting: the whole UNet learns, its new input channels from zero; an in-painting start goes on."""
    return {"unet": _build_unet(base)}, {"vae": base.vae}


def compute_inpaint_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """Eq. 1 over the whole latent, the run's kind of prompt as condition."""
    condition = build_inpaint_condition(networks["vae"], *_get_hint(batch))
    prompt = batch.get_base_prompt(networks.start.config.prompt)
    predict = see_channels(networks["unet"], condition, prompt)
    return compute_noise_loss(networks, batch, predict)


def open_inpaint(networks: StageNetworks) -> InpaintBaseline:
    """The method around the networks as they are (shared, not copied)."""
    base = _load_texts(networks, networks["vae"])
    return InpaintBaseline(base, OpenRegistry(networks.start.registry.categories), BaselineOptions())


def _open_part(start: Start, cls: Any, name: str, build: Callable[[], Any]) -> Any:
    """Part ``name`` of the start, to go on from; without one, or if asked for, a fresh one of the seed."""
    if (start.folder / name).is_dir() and not start.config.model.fresh:
        return load_part(cls, start.folder / name, torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start.config.seed)
        return build()


def build_controlnet_networks(start: Start, base: BaseModel) -> Networks:
    """A plain ControlNet, our category generator without mask-guided attention, on the frozen base."""
    settings = start.config.model
    options = (compute_vae_scale(base.vae), settings.condition_mask_channel, settings.open_hint)
    controlnet = _open_part(start, Branch, CONTROLNET, lambda: Branch.from_base(base.unet, *options))
    return {CONTROLNET: controlnet}, {"unet": base.unet}


def compute_controlnet_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """Eq. 1 over the whole latent; hint as the category generator's, one prompt for both networks."""
    controlnet = networks[CONTROLNET]
    hint = controlnet.encode_hint(build_hint(*_get_hint(batch), 0.0, controlnet.with_mask))
    prompt = batch.get_base_prompt(networks.start.config.prompt)

    def predict(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        residuals = controlnet(noisy_latents, timesteps, prompt, hint)
        return predict_noise(networks["unet"], noisy_latents, timesteps, prompt, residuals)

    return compute_noise_loss(networks, batch, predict)


def open_controlnet(networks: StageNetworks) -> ControlNetBaseline:
    """The method around the networks as they are (shared, not copied)."""
    registry = OpenRegistry(networks.start.registry.categories)
    controlnet = networks[CONTROLNET].eval()
    return ControlNetBaseline(_load_texts(networks), controlnet, registry, BaselineOptions(), 0.0)


def build_example_networks(start: Start, base: BaseModel) -> Networks:
    """Paint-by-Example: the start's UNet widened, and a projection of the bundled network's features."""
    features = load_background_features("cyclorama")
    sizes = (features.dimensions, int(base.unet.config.cross_attention_dim), features.weights_hash)
    encoder = _open_part(start, FeatureEncoder, "image_encoder", lambda: FeatureEncoder(*sizes))
    return {"unet": _build_unet(base), "image_encoder": encoder}, {"vae": base.vae, "features": features}


def compute_example_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """Eq. 1 over the whole latent; the example is the image's own background, perturbed as PG's."""
    encoder = networks["image_encoder"]
    assert batch.dropped is not None
    condition = encoder(networks["features"](batch.reference, batch.reference_mask))
    condition = torch.where(batch.dropped[:, None, None], encoder.unconditional, condition)
    channels = build_example_channels(networks["vae"], *_get_hint(batch))
    return compute_noise_loss(networks, batch, see_channels(networks["unet"], channels, condition))


def open_example(networks: StageNetworks) -> PaintByExampleBaseline:
    """The method around the networks as they are (shared, not copied)."""
    encode = build_feature_encoder(networks["image_encoder"].eval(), networks["features"])
    scheduler = load_base(networks.start.folder).scheduler
    registry = OpenRegistry(networks.start.registry.categories)
    return PaintByExampleBaseline(networks["unet"].eval(), networks["vae"], scheduler, encode, registry)


def _get_hint(batch: TrainBatch) -> tuple[Tensor, Tensor]:
    assert batch.hint_image is not None and batch.hint_mask is not None
    return batch.hint_image, batch.hint_mask


def _build_unet(base: BaseModel) -> Any:
    channels = int(base.unet.config.out_channels)
    narrow = int(base.unet.config.in_channels) == channels
    return widen_unet(base.unet, channels + 1) if narrow else base.unet


def _load_texts(networks: StageNetworks, vae: Any = None) -> BaseModel:
    """The start's base with the stage's UNet (and ``vae``) in its place, all on the UNet's device; it says
    which kind of prompt the stage has learnt."""
    base, unet = load_base(networks.start.folder), networks["unet"].eval()
    state_prompt(base, networks.start.config.prompt)
    base.unet = unet
    base.vae = base.vae.to(unet.device) if vae is None else vae
    base.text_encoder = base.text_encoder.to(unet.device)
    return base


def _build_stage(
    name: str,
    build: Any,
    loss: Any,
    open_method: Any,
    class_name: str,
    parts: Mapping[str, list[str]] = MappingProxyType({}),
    reference: bool = False,
) -> TrainStage:
    """The stage whose model is saved in the layout of diffusers' ``class_name`` with trained ``parts``."""

    def save(networks: StageNetworks, folder: Path) -> None:
        save_base(_load_texts(networks), folder)
        save_registry(networks.start.registry, folder)
        for part in parts:
            networks[part].save_pretrained(folder / part, safe_serialization=True)
        path = folder / "model_index.json"
        index = {**json.loads(path.read_text(encoding="utf-8")), "_class_name": class_name, **parts}
        path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def show(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
        return show_generated(networks, batch, open_method(networks))

    return TrainStage(name, build, loss, save, show, BatchNeeds(product=True, hint=True, reference=reference))


_STAGES = (
    _build_stage(
        "inpaint",
        build_inpaint_networks,
        compute_inpaint_loss,
        open_inpaint,
        "StableDiffusionInpaintPipeline",
    ),
    _build_stage(
        "controlnet",
        build_controlnet_networks,
        compute_controlnet_loss,
        open_controlnet,
        "StableDiffusionControlNetPipeline",
        {CONTROLNET: ["diffusers", "ControlNetModel"]},
    ),
    _build_stage(
        "paint-by-example",
        build_example_networks,
        compute_example_loss,
        open_example,
        "PaintByExamplePipeline",
        {"image_encoder": ["cyclorama", "FeatureEncoder"]},
        reference=True,
    ),
    LAMA,
)
STAGES = {stage.name: stage for stage in _STAGES}
"""The baselines whose small versions the training loop can make; Blended Diffusion trains nothing."""
