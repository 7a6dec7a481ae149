"""Steps that share an encoder's answer: which do, what they compute, and that nothing of it stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from cyclorama.diffusion.sampling import plan_encoders
from cyclorama.diffusion.settings import LEAST_REUSED, PRESETS, SamplingConfig
from cyclorama.errors import SettingsError
from cyclorama.generation.settings import GenerateConfig
from cyclorama.models.generators import Residuals, predict_noise
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.speed import lent_encoder
from tiny_models import build_tiny_pipeline


@pytest.fixture(scope="module")
def pipeline() -> CycloramaPipeline:
    built = build_tiny_pipeline()
    built.set_progress_bar_config(disable=True)
    return built


def sample(pipeline: CycloramaPipeline, **values: Any) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 64, generator=draw) * 2 - 1
    masks = torch.zeros(2, 1, 64, 64)
    masks[:, :, 16:48, 20:40] = 1
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    settings = SamplingConfig(**values)
    return pipeline(images, masks, ["fruit", "perfume"], generators, images.flip(0), settings=settings)


def test_which_steps_encode() -> None:
    shown = {
        every: "".join("x" if dense else "." for dense in plan_encoders(10, every)) for every in (1, 2, 3)
    }
    assert shown == {1: "xxxxxxxxxx", 2: "xx.x.x.x.x", 3: "xx..x..x.x"}
    assert plan_encoders(1, 1) == [True]


def test_a_lent_answer_meets_the_new_timestep_in_the_decoder_alone(pipeline: CycloramaPipeline) -> None:
    """Against the decoder run by hand; the network keeps no trace, not even after an error."""
    unet, draw = pipeline.unet, torch.Generator().manual_seed(3)
    before, after = torch.randn(2, 2, 4, 8, 8, generator=draw)
    early, late = torch.tensor(700), torch.tensor(300)
    embeds = pipeline._encode_prompt("a photo", torch.device("cpu")).expand(2, -1, -1)
    skips, middle = encode_by_hand(unet, before, early, embeds)
    drawn = [torch.randn(part.shape, generator=draw) for part in (*skips, middle)]
    residuals = Residuals(tuple(drawn[:-1]), drawn[-1])
    answers: dict[Any, Any] = {}
    with torch.no_grad():
        plain = predict_noise(unet, before, early, embeds, residuals)
        fresh = predict_noise(unet, after, late, embeds, residuals)
        with lent_encoder(unet, answers):
            assert torch.equal(predict_noise(unet, before, early, embeds, residuals), plain)
        with lent_encoder(unet, answers):
            lent = predict_noise(unet, after, late, embeds, residuals)
        skips = [unet.conv_in(after), *skips[1:]]
        expected = decode_by_hand(unet, skips, middle, late, embeds, residuals)
        with pytest.raises(RuntimeError), lent_encoder(unet, answers):
            predict_noise(unet, after[:, :1], late, embeds, residuals)
        assert torch.equal(predict_noise(unet, after, late, embeds, residuals), fresh)
    torch.testing.assert_close(lent, expected, rtol=1e-5, atol=1e-5)
    assert (lent - fresh).abs().max() > 1e-3
    assert not any("forward" in vars(block) or block._forward_hooks for block in unet.down_blocks)


@torch.no_grad()
def encode_by_hand(
    unet: Any, latents: torch.Tensor, step: torch.Tensor, embeds: torch.Tensor
) -> tuple[list[Any], Any]:
    time = unet.time_embedding(unet.time_proj(step.expand(len(latents))))
    skips = [hidden := unet.conv_in(latents)]
    for block in unet.down_blocks:
        words = {"encoder_hidden_states": embeds} if getattr(block, "has_cross_attention", False) else {}
        hidden, found = block(hidden, time, **words)
        skips += found
    return skips, unet.mid_block(hidden, time, encoder_hidden_states=embeds)


def decode_by_hand(
    unet: Any, skips: list[Any], middle: Any, step: torch.Tensor, embeds: torch.Tensor, residuals: Residuals
) -> torch.Tensor:
    time = unet.time_embedding(unet.time_proj(step.expand(len(middle))))
    skips = [skip + more for skip, more in zip(skips, residuals.down, strict=True)]
    hidden = middle + residuals.mid
    for block in unet.up_blocks:
        count = len(block.resnets)
        words = {"encoder_hidden_states": embeds} if getattr(block, "has_cross_attention", False) else {}
        hidden = block(hidden, tuple(skips[-count:]), time, **words)
        skips = skips[:-count]
    made: torch.Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
    return made


@pytest.mark.parametrize(("every", "encoded"), [(1, 8), (2, 5), (3, 4)])
def test_encoders_run_as_often_as_planned(pipeline: CycloramaPipeline, every: int, encoded: int) -> None:
    counts: Counter[str] = Counter()
    parts = {
        "cg": pipeline.category_generator,
        "pg": pipeline.personality_generator,
        "encoder": pipeline.unet.down_blocks[0].resnets[0],
        "decoder": pipeline.unet.up_blocks[0].resnets[0],
    }
    handles = [
        p.register_forward_hook(lambda *_, name=name: counts.update([name])) for name, p in parts.items()
    ]
    sample(pipeline, num_inference_steps=8, encoder_every=every)
    for handle in handles:
        handle.remove()
    assert counts == {"cg": encoded, "pg": encoded, "encoder": encoded, "decoder": 8}


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_shared_answers_change_images_and_no_later_call(pipeline: CycloramaPipeline, guidance: float) -> None:
    values = {"num_inference_steps": 8, "guidance_scale": guidance}
    plain = sample(pipeline, **values)
    shared = sample(pipeline, **values, encoder_every=2)
    assert torch.equal(sample(pipeline, **values, encoder_every=2), shared)
    assert torch.equal(sample(pipeline, **values), plain)
    assert (shared - plain).abs().max() > 0


def test_too_few_steps_share_nothing() -> None:
    with pytest.raises(SettingsError, match="encoder_every is 2, but 7 steps differ too much"):
        SamplingConfig(num_inference_steps=7, encoder_every=2)
    fast = PRESETS["fast"]
    assert fast.steps >= LEAST_REUSED
    assert GenerateConfig(preset="fast").build_sampling().encoder_every == fast.encoder_every == 3
    assert GenerateConfig(preset="fast", steps=7).build_sampling().encoder_every == 1
    assert GenerateConfig(preset="fast", encoder_every=1).build_sampling().encoder_every == 1
    assert GenerateConfig(encoder_every=3).describe()["encoder_every"] == 3
    assert "encoder_every" not in GenerateConfig().describe()
