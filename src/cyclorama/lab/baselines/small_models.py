"""How the small versions are trained: networks, loss and model folder of each method, for the one loop.

Each class is what :class:`cyclorama.training.stages.Method` describes. All start from the same base, see the
same images in the same order with the same noise as our generators' stages, and differ in their networks
alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from cyclorama.lab.baselines.background_features import load_background_features
from cyclorama.lab.baselines.controlnet import PART as CONTROLNET
from cyclorama.lab.baselines.controlnet import ControlNetBaseline, build_hint
from cyclorama.lab.baselines.inpaint import InpaintBaseline, build_inpaint_condition, widen_unet
from cyclorama.lab.baselines.latent import NoiseSchedule
from cyclorama.lab.baselines.paint_by_example import (
    FeatureEncoder,
    PaintByExampleBaseline,
    build_example_channels,
    build_feature_encoder,
)
from cyclorama.lab.baselines.protocol import BaselineOptions, OpenRegistry
from cyclorama.models.base import compute_vae_scale, load_base, load_part, save_base
from cyclorama.models.generators import Branch, predict_noise
from cyclorama.models.registry import CategoryRegistry, save_registry

Networks = tuple[dict[str, nn.Module], dict[str, nn.Module]]
"""(trained, frozen) by name."""


class InpaintMethod:
    """Stable Diffusion in-painting: the whole UNet learns, its new input channels from zero weights."""

    name: Literal["inpaint"] = "inpaint"
    needs_reference = False

    def build_networks(self, start: Path, base: Any, config: Any) -> Networks:
        """The start's UNet with room for mask and image; an in-painting start is trained on."""
        return {"unet": _build_unet(base, config)}, {
            "vae": base.vae,
            "schedule": NoiseSchedule(base.scheduler),
        }

    def compute_loss(
        self, trained: Mapping[str, Any], frozen: Mapping[str, Any], batch: Any, config: Any
    ) -> Tensor:
        """Eq. 1 over the whole latent, the full prompt as condition."""
        condition = build_inpaint_condition(frozen["vae"], batch.hint_image, batch.hint_mask)
        predict = _build_wide_prediction(trained["unet"], condition, batch.full_prompt)
        return _compute_loss(frozen, predict, batch, config)

    def save_model(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        folder: Path,
    ) -> None:
        """A folder in the layout of StableDiffusionInpaintPipeline."""
        save_base(replace(load_base(start), unet=trained["unet"]), folder)
        save_registry(registry, folder)
        _rename_index(folder, "StableDiffusionInpaintPipeline", {})

    def build_pipeline(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        config: Any,
    ) -> InpaintBaseline:
        """The method around the networks as they are (shared, not copied)."""
        base = _load_texts(start, frozen["vae"], trained["unet"].eval())
        return InpaintBaseline(base, OpenRegistry(registry.categories), BaselineOptions())


class ControlNetMethod:
    """A plain ControlNet on the frozen base: our category generator without mask-guided attention."""

    name: Literal["controlnet"] = "controlnet"
    needs_reference = False

    def build_networks(self, start: Path, base: Any, config: Any) -> Networks:
        """The start's ControlNet, or a copy of its encoder behind zero convolutions."""
        if (start / CONTROLNET).is_dir() and not config.model.fresh:
            controlnet: Any = load_part(Branch, start / CONTROLNET, torch.float32)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                controlnet = Branch.from_base(
                    base.unet,
                    compute_vae_scale(base.vae),
                    config.model.condition_mask_channel,
                    config.model.open_hint,
                )
        if config.gradient_checkpointing:
            controlnet.enable_gradient_checkpointing()
            base.unet.enable_gradient_checkpointing()
        return {CONTROLNET: controlnet}, {"unet": base.unet, "schedule": NoiseSchedule(base.scheduler)}

    def compute_loss(
        self, trained: Mapping[str, Any], frozen: Mapping[str, Any], batch: Any, config: Any
    ) -> Tensor:
        """Eq. 1 over the whole latent; hint as the category generator's, full prompt for both networks."""
        controlnet = trained[CONTROLNET]
        hint = controlnet.encode_hint(
            build_hint(batch.hint_image, batch.hint_mask, 0.0, controlnet.with_mask)
        )

        def predict(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
            residuals = controlnet(noisy_latents, timesteps, batch.full_prompt, hint)
            return predict_noise(frozen["unet"], noisy_latents, timesteps, batch.full_prompt, residuals)

        return _compute_loss(frozen, predict, batch, config)

    def save_model(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        folder: Path,
    ) -> None:
        """A folder in the layout of StableDiffusionControlNetPipeline."""
        save_base(load_base(start), folder)
        save_registry(registry, folder)
        trained[CONTROLNET].save_pretrained(folder / CONTROLNET, safe_serialization=True)
        index = {CONTROLNET: ["diffusers", "ControlNetModel"]}
        _rename_index(folder, "StableDiffusionControlNetPipeline", index)

    def build_pipeline(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        config: Any,
    ) -> ControlNetBaseline:
        """The method around the networks as they are (shared, not copied)."""
        base = _load_texts(start, None, frozen["unet"])
        own = OpenRegistry(registry.categories)
        return ControlNetBaseline(base, trained[CONTROLNET].eval(), own, BaselineOptions(), 0.0)


class PaintByExampleMethod:
    """Paint-by-Example: UNet and vector learn to paint an image after its own perturbed background."""

    name: Literal["paint-by-example"] = "paint-by-example"
    needs_reference = True

    def build_networks(self, start: Path, base: Any, config: Any) -> Networks:
        """The start's UNet widened, and a projection of the bundled feature network's features."""
        features = load_background_features("cyclorama")
        place = start / "image_encoder"
        if place.is_dir() and not config.model.fresh:
            encoder: Any = load_part(FeatureEncoder, place, torch.float32)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                encoder = FeatureEncoder(
                    features.dimensions, int(base.unet.config.cross_attention_dim), features.weights_hash
                )
        frozen = {"vae": base.vae, "features": features, "schedule": NoiseSchedule(base.scheduler)}
        return {"unet": _build_unet(base, config), "image_encoder": encoder}, frozen

    def compute_loss(
        self, trained: Mapping[str, Any], frozen: Mapping[str, Any], batch: Any, config: Any
    ) -> Tensor:
        """Eq. 1 over the whole latent; the example is the image's own background, perturbed as PG's."""
        encoder = trained["image_encoder"]
        condition = encoder(frozen["features"](batch.reference, batch.reference_mask))
        condition = torch.where(batch.dropped[:, None, None], encoder.unconditional, condition)
        channels = build_example_channels(frozen["vae"], batch.hint_image, batch.hint_mask)
        predict = _build_wide_prediction(trained["unet"], channels, condition)
        return _compute_loss(frozen, predict, batch, config)

    def save_model(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        folder: Path,
    ) -> None:
        """The base's layout with the UNet as trained and ``image_encoder/``; texts stay for a later start."""
        save_base(replace(load_base(start), unet=trained["unet"]), folder)
        save_registry(registry, folder)
        trained["image_encoder"].save_pretrained(folder / "image_encoder", safe_serialization=True)
        index = {"image_encoder": ["cyclorama", "FeatureEncoder"]}
        _rename_index(folder, "PaintByExamplePipeline", index)

    def build_pipeline(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        config: Any,
    ) -> PaintByExampleBaseline:
        """The method around the networks as they are (shared, not copied)."""
        encode = build_feature_encoder(trained["image_encoder"].eval(), frozen["features"])
        scheduler = load_base(start).scheduler
        own = OpenRegistry(registry.categories)
        return PaintByExampleBaseline(trained["unet"].eval(), frozen["vae"], scheduler, encode, own)


def _build_unet(base: Any, config: Any) -> Any:
    channels = int(base.unet.config.out_channels)
    narrow = int(base.unet.config.in_channels) == channels
    unet: Any = widen_unet(base.unet, channels + 1) if narrow else base.unet
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    return unet


def _build_wide_prediction(
    unet: Any, channels: Tensor, condition: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The prediction of a UNet that sees ``channels`` beside the noisy latents, under ``condition``."""

    def predict(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        wide = torch.cat([noisy_latents, channels.to(noisy_latents.dtype)], dim=1)
        return predict_noise(unet, wide, timesteps, condition)

    return predict


def _compute_loss(frozen: Mapping[str, Any], predict: Any, batch: Any, config: Any) -> Tensor:
    loss: Tensor = frozen["schedule"].compute_loss(predict, batch, config)
    return loss


def _load_texts(start: Path, vae: Any, unet: UNet2DConditionModel) -> Any:
    """The start's base with ``unet`` (and ``vae``) in its place, all on ``unet``'s device."""
    base = load_base(start)
    base.unet = unet
    base.vae = base.vae.to(unet.device) if vae is None else vae
    base.text_encoder = base.text_encoder.to(unet.device)
    return base


def _rename_index(folder: Path, class_name: str, parts: Mapping[str, list[str]]) -> None:
    path = folder / "model_index.json"
    index = {**json.loads(path.read_text(encoding="utf-8")), "_class_name": class_name, **parts}
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
