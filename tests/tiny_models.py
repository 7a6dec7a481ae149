"""Tiny random models with Stable Diffusion's classes and layout, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from cyclorama.models.base import BaseModel
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.scratch import BaseShape, build_base


def build_tiny_base(
    *,
    levels: Literal[3, 4] = 3,
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon",
    seed: int = 0,
) -> BaseModel:
    """A tiny random base with exactly Stable Diffusion's classes and block layout (64 px, 8 px a latent).

    ``levels`` 4 is the UNet of SD 1.x/2.x (the last level without attention); 3 is the shorter kind.
    """
    widths = (8, 16, 16, 16)[:levels]
    shape = BaseShape(text_width=16, text_layers=1, prediction_type=prediction_type)
    base = build_base(shape, ["A photo of a thing, in the background of sks 0 1 2 3 4 5 6 7 8 9"], seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        cross = ("CrossAttnDownBlock2D",) * (levels - 1)
        base.unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=widths,
            layers_per_block=2 if levels == 4 else 1,
            down_block_types=(*cross, "DownBlock2D"),
            up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * (levels - 1)),
            attention_head_dim=2,
            norm_num_groups=4,
            cross_attention_dim=16,
            use_linear_projection=levels == 4,
        )
        vae: Any = AutoencoderKL(
            block_out_channels=(4, 4, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=2,
            latent_channels=4,
            sample_size=64,
        )
        base.vae = vae
    base.unet.eval()
    base.vae.eval()
    return base


def build_tiny_pipeline(
    categories: Sequence[str] = ("perfume", "fruit"), *, seed: int = 0, trained: bool = True, **kwargs: Any
) -> CycloramaPipeline:
    """A tiny random pipeline (64 px). ``trained`` fills the zero convolutions, so that the generators act."""
    registry = CategoryRegistry()
    for name in categories:
        registry.add(name)
    pipeline = CycloramaPipeline.from_base(build_tiny_base(seed=seed, **kwargs), registry=registry)
    if trained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 2)
            for generator in (pipeline.category_generator, pipeline.personality_generator):
                convs = [*generator.controlnet_down_blocks, generator.controlnet_mid_block]
                convs.append(generator.controlnet_cond_embedding.conv_out)
                for conv in convs:
                    torch.nn.init.normal_(conv.weight, std=0.2)
    return pipeline
