"""Paint-by-Example: in-painting whose only condition is the embedding of an example image.

arXiv 2211.13227, as published in diffusers' layout: the UNet sees latents, latents of the image with the
part to paint neutral grey, and the mask with 1 = keep; its cross attention reads one vector of the example.
Here the example is the reference with its own product hidden. The small version takes the vector from our
feature network instead of CLIP.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, DDIMScheduler, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError, SettingsError
from cyclorama.lab.baselines.background_features import BackgroundFeatures, load_background_features
from cyclorama.lab.baselines.folders import build_handle, check_parts, find_weights
from cyclorama.lab.baselines.inpaint import build_inpaint_condition, check_input_channels
from cyclorama.lab.baselines.latent import LatentBaseline, Predictor, guide, see_channels
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import BaselineHandle, Inputs
from cyclorama.models.base import load_part, load_vae
from cyclorama.models.files import load_json
from cyclorama.models.registry import CategoryRegistry

PARTS = ("unet", "vae", "scheduler", "image_encoder")
REMEDY = (
    "give a folder or hub id with --model: published Paint-by-Example in diffusers' layout "
    "(Fantasy-Studio/Paint-by-Example), or DIR/model of `cyclorama lab train paint-by-example --config "
    "recipes/baselines/paint-by-example.yaml --out DIR`"
)

Encoder = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""(example (B, 3, H, W) in [-1, 1], product mask or None) -> (condition (B, 1, D), of none (1, 1, D))."""


class FeatureEncoder(ModelMixin, ConfigMixin):
    """The vector of an example from its features: norm, linear layer; and the vector of no example."""

    @register_to_config
    def __init__(self, features: int = 256, width: int = 64, features_hash: str = "") -> None:
        """``features_hash`` names the feature network's weights it was trained with."""
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.projection = nn.Linear(features, width)
        self.unconditional = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, features: Tensor) -> Tensor:
        """Condition (B, 1, D) of ``features`` (B, F)."""
        condition: Tensor = self.projection(self.norm(features.to(self.projection.weight.dtype)))
        return condition[:, None]


class PaintByExampleBaseline(LatentBaseline):
    """Paint-by-Example, published or small; ``encode`` turns examples into conditions."""

    name = "paint-by-example"

    def __init__(
        self, unet: Any, vae: Any, scheduler: Any, encode: Encoder, registry: CategoryRegistry
    ) -> None:
        super().__init__(unet, vae, scheduler, registry)
        self.encode = encode

    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Predictor:
        """The in-painting UNet under the example's vector. Raises SettingsError without a reference."""
        if inputs.reference is None:
            raise SettingsError(
                "paint-by-example paints after an example alone; give a reference (--reference, or the "
                "manifest's column of that name)"
            )
        guided = settings.guidance_scale > 1
        embeds, empty = self.encode(inputs.reference, inputs.reference_mask)
        if guided:
            embeds = torch.cat([empty.expand_as(embeds), embeds])
        embeds = embeds.to(self.unet.dtype)
        extra = build_example_channels(self.vae, inputs.image, inputs.mask)
        extra = extra.repeat(2 if guided else 1, 1, 1, 1)
        return guide(see_channels(self.unet, extra, embeds), settings.guidance_scale)


def build_example_channels(vae: Any, image: Tensor, product_mask: Tensor) -> Tensor:
    """The extra channels (B, c + 1, h, w): latents of the product alone, then the mask with 1 = keep.

    The other way round than :func:`cyclorama.lab.baselines.inpaint.build_inpaint_condition`, as published.
    """
    condition = build_inpaint_condition(vae, image, product_mask)
    return torch.cat([condition[:, 1:], 1 - condition[:, :1]], dim=1)


def build_feature_encoder(encoder: Any, features: BackgroundFeatures) -> Encoder:
    """The small version's: features of the reference's background, projected."""

    def encode(example: Tensor, product_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        return encoder(features(example, product_mask)), encoder.unconditional

    return encode


def build_published_encoder(folder: Path, dtype: torch.dtype, device: str) -> Encoder:
    """The published image encoder (CLIP with a mapper) of a model folder; the example is squeezed square."""
    cls = _get_encoder_class()
    place = folder / "image_encoder"
    try:
        network = cls.from_pretrained(place, dtype=dtype, use_safetensors=True).eval().to(device)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelFormatError(f"cannot load {cls.__name__} from {place}: {error}") from error
    check_parts(folder, ["feature_extractor"], REMEDY)
    prepared = load_json(folder / "feature_extractor" / "preprocessor_config.json")
    features = BackgroundFeatures(
        _ClipVector(network),
        int(network.config.image_size),
        "clip",
        "",
        int(network.proj_size),
        tuple(prepared["image_mean"]),
        tuple(prepared["image_std"]),
    ).to(device)

    def encode(example: Tensor, product_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        return features(example, product_mask)[:, None], network.uncond_vector

    return encode


class _ClipVector(nn.Module):
    """The image encoder as a feature network, (B, D)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.inner = network

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The mapped vector (B, D) of prepared pixels."""
        vector: Tensor = self.inner(pixel_values.to(self.inner.dtype))[:, 0]
        return vector


def _get_encoder_class() -> Any:
    """diffusers' image encoder; its module moved between releases, next to the pipeline's."""
    from diffusers import PaintByExamplePipeline

    room = PaintByExamplePipeline.__module__.rpartition(".")[0]
    return import_module(f"{room}.image_encoder").PaintByExampleImageEncoder


def _load(
    folder: Path, registry: CategoryRegistry, features: BackgroundFeatures | None, device: str, dtype: str
) -> PaintByExampleBaseline:
    kind = getattr(torch, dtype)
    if features is None:
        encode = build_published_encoder(folder, kind, device)
    else:
        encoder = load_part(FeatureEncoder, folder / "image_encoder", kind).to(device)
        encode = build_feature_encoder(encoder, features.to(device))
    return PaintByExampleBaseline(
        load_part(UNet2DConditionModel, folder / "unet", kind).to(device),
        load_vae(folder / "vae", kind).to(device),
        DDIMScheduler.from_pretrained(folder / "scheduler"),
        encode,
        registry,
    )


def open_method(model: str | None, options: BaselineOptions) -> BaselineHandle:
    """The handle of a Paint-by-Example model. Raises ModelNotFoundError, ModelFormatError."""
    folder = find_weights(model, "paint-by-example", PARTS, REMEDY)
    check_input_channels(folder, REMEDY)
    features, settings = None, {}
    card = load_json(folder / "image_encoder" / "config.json")
    if card.get("_class_name") == FeatureEncoder.__name__:  # the small version, which takes our features
        features = load_background_features(options.features)
        wanted = card.get("features_hash")
        if features.weights_hash != wanted:
            raise ModelFormatError(
                f"{folder} was trained with the feature network {wanted}, --features {options.features} is "
                f"{features.weights_hash}; name the one it was trained with"
            )
        settings = {"features": f"{features.name}-{features.weights_hash}"}
    return build_handle(
        "paint-by-example", model, folder, PARTS, _load, features, settings=settings, needs_reference=True
    )
