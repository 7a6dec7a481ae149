"""Channels-last memory and compiled blocks change the speed, and images by rounding only."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.pipeline import CycloramaPipeline
from tiny_models import build_tiny_pipeline


def sample(pipeline: CycloramaPipeline, guidance: float) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 64, generator=draw) * 2 - 1
    masks = torch.zeros(2, 1, 64, 64)
    masks[:, :, 16:48, 20:40] = 1
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    settings = SamplingConfig(num_inference_steps=2, guidance_scale=guidance)
    return pipeline(images, masks, ["fruit", "perfume"], generators, images.flip(0), settings=settings)


@pytest.fixture(scope="module")
def pipeline() -> CycloramaPipeline:
    built = build_tiny_pipeline()
    built.set_progress_bar_config(disable=True)
    return built


@pytest.fixture(scope="module")
def plain(pipeline: CycloramaPipeline) -> dict[float, torch.Tensor]:
    """Images with and without guidance before anything is tuned; tests below go in order of this file."""
    return {guidance: sample(pipeline, guidance) for guidance in (2.0, 1.0)}


def test_channels_last_turns_convolutions_and_keeps_images(
    pipeline: CycloramaPipeline, plain: dict[float, torch.Tensor]
) -> None:
    networks = (pipeline.unet, pipeline.category_generator, pipeline.personality_generator)
    pipeline.tune(channels_last=True)
    try:
        for network in networks:
            kernels = [m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
            assert all(w.is_contiguous(memory_format=torch.channels_last) for w in kernels)
        assert (sample(pipeline, 2.0) - plain[2.0]).abs().max() < 1e-4
    finally:
        for network in networks:
            network.to(memory_format=torch.contiguous_format)


def test_compiled_blocks_heed_the_hooks_of_every_call(
    pipeline: CycloramaPipeline, plain: dict[float, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced without code generation. Guided calls share halves by hooks; the next, unguided one must not."""
    compiled: list[Any] = []
    original = torch.compile

    def trace(function: Any, **options: Any) -> Any:
        compiled.append(function.__self__)
        return partial(original, backend="eager")(function, **options)

    monkeypatch.setattr(torch, "compile", trace)
    pipeline.tune(compile=True)
    networks = (pipeline.unet, pipeline.category_generator, pipeline.personality_generator)
    kinds = (ResnetBlock2D, FeedForward)
    blocks = [block for network in networks for block in network.modules() if isinstance(block, kinds)]
    assert {id(block) for block in compiled} == {id(block) for block in blocks}
    for guidance in (2.0, 1.0, 2.0):
        assert (sample(pipeline, guidance) - plain[guidance]).abs().max() < 1e-5
