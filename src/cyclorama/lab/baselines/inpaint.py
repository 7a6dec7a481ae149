"""Stable Diffusion in-painting: a UNet that also sees the mask and the product's latents.

arXiv 2112.10752, 4.5, as published in diffusers' layout: input channels are noisy latents, mask (1 = paint
here), latents of the image with the part to paint neutral grey. With a reference it starts, as the paper's
baseline does, from the noised reference with the product pasted on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError
from cyclorama.lab.baselines.folders import build_handle, find_prompt, find_weights, load_base_on
from cyclorama.lab.baselines.latent import Predictor, TextBaseline, guide, see_channels
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import BaselineHandle, Inputs
from cyclorama.models.base import encode_image
from cyclorama.models.files import BASE_PARTS, load_json
from cyclorama.models.registry import CategoryRegistry

REMEDY = (
    "give a folder or hub id with --model: a published in-painting model in diffusers' layout (such as "
    "stable-diffusion-v1-5/stable-diffusion-inpainting), or DIR/model of `cyclorama lab train inpaint "
    "--config recipes/baselines/inpaint.yaml --out DIR`"
)


class InpaintBaseline(TextBaseline):
    """Stable Diffusion in-painting."""

    name = "inpaint"

    def build_start_image(self, inputs: Inputs) -> Tensor | None:
        """The reference with the product pasted on it."""
        return None if inputs.reference is None else inputs.pasted

    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Predictor:
        """The in-painting UNet under the prompt."""
        guided = settings.guidance_scale > 1
        embeds = self.encode_categories(inputs.categories, guided)
        condition = build_inpaint_condition(self.vae, inputs.image, inputs.mask)
        condition = condition.repeat(2 if guided else 1, 1, 1, 1)
        return guide(see_channels(self.unet, condition, embeds), settings.guidance_scale)


def build_inpaint_condition(vae: Any, image: Tensor, product_mask: Tensor) -> Tensor:
    """The extra channels (B, 1 + c, h, w): mask with 1 = paint here, then latents of the product alone.

    ``image`` (B, 3, H, W) in [-1, 1], ``product_mask`` (B, 1, H, W), 1 = product. As in the published models
    the mask is hard, its latent form takes the nearest pixel, and what is hidden is neutral grey (0).
    Invariant: what lies outside the product has no influence.
    """
    kept = (product_mask >= 0.5).to(image.dtype)
    latents = encode_image(vae, image * kept).float()
    hole = torch.nn.functional.interpolate(1 - kept, size=latents.shape[-2:])
    return torch.cat([hole.float(), latents], dim=1)


def widen_unet(unet: Any, extra: int) -> Any:
    """A copy of ``unet`` with ``extra`` more input channels whose weights are 0.

    Invariant: its output is ``unet``'s, whatever the new channels hold.
    """
    old = int(unet.config.in_channels)
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    wide: Any = UNet2DConditionModel.from_config({**config, "in_channels": old + extra})
    weights = dict(unet.state_dict())
    kernel = weights["conv_in.weight"]
    zeros = torch.zeros(kernel.shape[0], extra, *kernel.shape[2:], dtype=kernel.dtype)
    weights["conv_in.weight"] = torch.cat([kernel, zeros], dim=1)
    wide.load_state_dict(weights)
    return wide.eval()


def _load(
    folder: Path, registry: CategoryRegistry, options: BaselineOptions, device: str, dtype: str
) -> InpaintBaseline:
    return InpaintBaseline(load_base_on(folder, device, dtype), registry, options)


def open_method(model: str | None, options: BaselineOptions) -> BaselineHandle:
    """The handle of an in-painting model. Raises ModelNotFoundError, ModelFormatError."""
    folder = find_weights(model, "inpaint", BASE_PARTS, REMEDY)
    check_input_channels(folder, REMEDY)
    settings = {"prompt": find_prompt(folder, options.prompt)}
    return build_handle("inpaint", model, folder, BASE_PARTS, _load, options, settings=settings)


def check_input_channels(folder: Path, remedy: str) -> None:
    """Raise ModelFormatError unless the UNet in ``folder`` takes mask and image beside the latents."""
    config = load_json(folder / "unet" / "config.json")
    given, latents = int(config.get("in_channels", 4)), int(config.get("out_channels", 4))
    if given != 2 * latents + 1:
        raise ModelFormatError(
            f"{folder}: the UNet takes {given} channels, an in-painting one {2 * latents + 1} (latents, "
            f"mask, latents of the image); {remedy}"
        )
