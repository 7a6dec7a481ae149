"""ControlNet in-painting: a plain ControlNet sees the product, the base paints from the full prompt.

arXiv 2302.05543. Against our category generator it lacks the mask-guided cross attention and nothing else.
With a reference it starts from the noised reference, as the paper's baseline does.

Removed pixels of the hint: published in-painting ControlNets were trained with -1 there (the product in
[0, 1]), ours with 0 (black), which is the hint range of plain ControlNets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclorama.bundled import find_bundled
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError
from cyclorama.lab.baselines.folders import (
    build_handle,
    check_parts,
    find_prompt,
    find_weights,
    load_base_on,
)
from cyclorama.lab.baselines.latent import Predictor, TextBaseline, guide
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import BaselineHandle, Inputs
from cyclorama.models.base import BaseModel, load_part
from cyclorama.models.files import BASE_PARTS, load_json
from cyclorama.models.generators import Branch, build_condition_image, predict_noise
from cyclorama.models.registry import CategoryRegistry

PART = "controlnet"
REMEDY = (
    "give --model DIR/model of `cyclorama lab train controlnet --config recipes/baselines/controlnet.yaml "
    "--out DIR`, or a base with --model and a published in-painting ControlNet with --weights (such as "
    "lllyasviel/control_v11p_sd15_inpaint with stable-diffusion-v1-5/stable-diffusion-v1-5)"
)


class ControlNetBaseline(TextBaseline):
    """A plain ControlNet on the base."""

    name = "controlnet"

    def __init__(
        self,
        base: BaseModel,
        controlnet: Branch,
        registry: CategoryRegistry,
        options: BaselineOptions,
        hint_fill: float,
    ) -> None:
        super().__init__(base, registry, options)
        self.controlnet, self.hint_fill = controlnet, hint_fill
        self.networks.append(controlnet)

    def build_start_image(self, inputs: Inputs) -> Tensor | None:
        """The reference."""
        return inputs.reference

    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Predictor:
        """The base's prediction with the ControlNet's residuals, both under the full prompt."""
        guided = settings.guidance_scale > 1
        embeds = self.encode_categories(inputs.categories, guided)
        condition = build_hint(inputs.image, inputs.mask, self.hint_fill, self.controlnet.with_mask)
        hint = self.controlnet.encode_hint(condition).repeat(2 if guided else 1, 1, 1, 1)

        def network(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
            latents = noisy_latents.to(self.unet.dtype)
            residuals = self.controlnet(latents, timestep, embeds, hint)
            return predict_noise(self.unet, latents, timestep, embeds, residuals)

        return guide(network, settings.guidance_scale)


def build_hint(image: Tensor, product_mask: Tensor, fill: float, with_mask: bool = False) -> Tensor:
    """The hint (B, 3 or 4, H, W): the product in [0, 1] and ``fill`` (0 or -1) where it is not.

    ``image`` (B, 3, H, W) in [-1, 1], ``product_mask`` (B, 1, H, W), 1 = product. With fill 0 the rim is
    soft, as in :func:`cyclorama.models.generators.build_condition_image`; with -1 the mask is cut at 0.5,
    as in the published models.
    """
    if fill == 0:
        return build_condition_image(image, product_mask, with_mask)
    kept = (product_mask >= 0.5).to(image.dtype)
    hint = (image * 0.5 + 0.5) * kept + fill * (1 - kept)
    return torch.cat([hint, kept], dim=1) if with_mask else hint


def _load(
    folder: Path,
    registry: CategoryRegistry,
    place: Path,
    options: BaselineOptions,
    fill: float,
    device: str,
    dtype: str,
) -> ControlNetBaseline:
    branch = load_part(Branch, place, getattr(torch, dtype)).to(device)
    return ControlNetBaseline(load_base_on(folder, device, dtype), branch, registry, options, fill)


def open_method(model: str | None, options: BaselineOptions) -> BaselineHandle:
    """The handle of a base with a ControlNet: in its own folder, or ``options.weights``.

    Raises ModelNotFoundError, ModelFormatError.
    """
    source = find_bundled("model") if model is None and options.weights is not None else model
    folder = find_weights(source, "controlnet", BASE_PARTS, REMEDY)
    if options.weights is None:
        place = folder / PART
        check_parts(folder, [PART], REMEDY)
    else:
        place = find_weights(options.weights, "controlnet", (), REMEDY)
    card = load_json(place / "config.json")
    _check_fits(load_json(folder / "unet" / "config.json"), card, folder, place)
    trained_with = 0.0 if card.get("_class_name") == Branch.__name__ else -1.0
    fill = trained_with if options.hint_fill is None else options.hint_fill
    source, parts = options.weights or model, (*BASE_PARTS, place.absolute())
    settings = {"prompt": find_prompt(folder, options.prompt), "hint_fill": fill}
    return build_handle("controlnet", source, folder, parts, _load, place, options, fill, settings=settings)


def _check_fits(base: dict[str, Any], own: dict[str, Any], folder: Path, place: Path) -> None:
    for key in ("in_channels", "block_out_channels", "cross_attention_dim"):
        if base.get(key) != own.get(key):
            raise ModelFormatError(
                f"the ControlNet in {place} has {key} {own.get(key)}, the base in {folder} {base.get(key)}; "
                f"use the ControlNet with the base it was trained on"
            )
