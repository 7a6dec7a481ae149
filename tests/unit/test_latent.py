"""What latent diffusion baselines share (``cyclorama.lab.baselines.latent``), by its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.lab.baselines.latent import TextBaseline, guide, see_channels
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import Inputs, OpenRegistry
from cyclorama.models.base import BaseModel, decode_latents, encode_prompts
from cyclorama.models.generators import predict_noise
from tiny_models import build_tiny_base


class Still(TextBaseline):
    """Predicts no noise; on a grey start if ``start`` is given."""

    name = "inpaint"
    start: torch.Tensor | None = None

    def build_predictor(self, inputs: Inputs, settings: SamplingConfig) -> Any:
        return lambda latents, timestep: torch.zeros_like(latents)

    def build_start_image(self, inputs: Inputs) -> torch.Tensor | None:
        return self.start


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return build_tiny_base()


def build(base: BaseModel, prompt: str | None = None) -> Still:
    return Still(base, OpenRegistry(), BaselineOptions(prompt=prompt))


def test_sides_are_those_of_the_base(base: BaseModel) -> None:
    method = build(base)
    assert (method.image_size, method.image_multiple) == (64, 32)  # 8 px a latent, three levels
    levels = build_tiny_base(levels=4)
    assert build(levels).image_multiple == 64
    assert method.networks == [base.unet] and method.device.type == "cpu"


@pytest.mark.parametrize(("scale", "weight"), [(0.5, None), (1.0, None), (1.5, 1.5), (3.0, 3.0)])
def test_guidance_asks_twice_above_one_and_goes_beyond_the_condition(
    scale: float, weight: float | None
) -> None:
    asked = []

    def network(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        asked.append(len(latents))
        if len(latents) == 2:
            return latents + 1
        return torch.cat([latents[:2] + 10, latents[2:] + 14])  # without the condition, with it

    latents = torch.arange(8.0).reshape(2, 1, 2, 2)
    found = guide(network, scale)(latents, torch.tensor(3))
    expected = latents + 1 if weight is None else latents + 10 + weight * 4
    torch.testing.assert_close(found, expected)
    assert asked == [2 if weight is None else 4]


def test_prompts_of_categories_and_the_empty_ones_before_them(base: BaseModel) -> None:
    method = build(base)
    categories = [OpenRegistry().resolve(name) for name in ("vase", "lamp", "vase")]
    texts = ["A photo of vase", "A photo of lamp", "A photo of vase"]

    def encode(texts: list[str]) -> torch.Tensor:
        return torch.cat([encode_prompts(base.tokenizer, base.text_encoder, [text]) for text in texts])

    with torch.no_grad():
        assert torch.equal(method.encode_categories(categories, False), encode(texts))
        assert torch.equal(method.encode_categories(categories, True), encode(["", "", "", *texts]))
        own = build(base, "{category} in sks 1")
        assert torch.equal(own.encode_categories(categories[:1], False), encode(["vase in sks 1"]))


def test_a_network_sees_its_channels_after_the_latents(base: BaseModel) -> None:
    latents, extra = torch.randn(2, 2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    condition = encode_prompts(base.tokenizer, base.text_encoder, ["a", "b"])
    with torch.no_grad():
        found = see_channels(base.unet, extra, condition)(latents, torch.tensor(500))
        expected = predict_noise(base.unet, torch.cat([latents, extra], 1), torch.tensor(500), condition)
    assert torch.equal(found, expected)


def test_a_sample_is_the_decoded_last_latent_of_its_own_start(base: BaseModel) -> None:
    """With no noise predicted DDIM scales by the signal's share alone."""
    method = build(base)
    registry = OpenRegistry()
    image = torch.zeros(1, 3, 64, 96)
    inputs = Inputs(image, torch.zeros(1, 1, 64, 96), (registry.resolve("vase"),), None, None)
    settings = SamplingConfig(num_inference_steps=2)
    found = method.paint(inputs, [torch.Generator().manual_seed(5)], settings)
    noise = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    scheduler = base.scheduler
    scheduler.set_timesteps(2)
    first = scheduler.alphas_cumprod[int(scheduler.timesteps[0])]
    end = scheduler.final_alpha_cumprod
    expected = decode_latents(base.vae, noise * (end / first) ** 0.5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (1, 3, 64, 96)
    assert torch.equal(method.build_start(inputs, scheduler, noise, settings), noise)
    method.start = image
    started = method.build_start(inputs, scheduler, noise, settings)
    assert not torch.equal(started, noise)
    assert torch.equal(
        method.build_start(inputs, scheduler, noise, SamplingConfig(initial_latent=False)), noise
    )
