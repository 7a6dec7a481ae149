"""Numbers that follow from a base, its latents and its sizes from scratch."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_log

from cyclorama.errors import ConfigError
from cyclorama.models.base import (
    compute_vae_scale,
    decode_latents,
    encode_image,
    encode_prompts,
    no_bars,
    tokenize,
)
from cyclorama.models.scratch import BaseShape, build_base

SHAPE = BaseShape(
    image_size=64, patch=8, latent_channels=3, unet_channels=(8, 16), attention_heads=2, norm_groups=4,
    text_width=8, text_layers=1, decoder_widths=(8, 16, 8),
)  # fmt: skip


@pytest.fixture(scope="module")
def base():
    return build_base(SHAPE, ["A photo of perfume"], seed=5)


def test_sizes_follow_from_the_parts(base):
    assert (base.latent_channels, base.vae_scale, base.image_multiple, base.image_size) == (3, 8, 16, 64)
    kl = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    assert compute_vae_scale(kl) == 8


def test_a_base_from_scratch_has_the_sizes_asked_for(base):
    unet, text, vae = base.unet.config, base.text_encoder.config, base.vae.config
    assert (unet.sample_size, unet.in_channels, unet.out_channels) == (8, 3, 3)
    assert list(unet.block_out_channels) == [8, 16]
    assert unet.down_block_types == ("CrossAttnDownBlock2D",) * 2
    assert unet.up_block_types == ("CrossAttnUpBlock2D",) * 2
    assert (unet.layers_per_block, unet.cross_attention_dim, unet.norm_num_groups) == (1, 8, 4)
    assert (text.hidden_size, text.intermediate_size, text.num_hidden_layers) == (8, 16, 1)
    assert text.vocab_size == len(base.tokenizer) and text.max_position_embeddings == 32
    assert (list(vae.widths), list(vae.blocks), vae.patch) == ([8, 16, 8], [3, 2, 1], 8)
    again = build_base(SHAPE, ["A photo of perfume"], seed=5)
    other = build_base(SHAPE, ["A photo of perfume"], seed=6)
    assert torch.equal(base.unet.conv_in.weight, again.unet.conv_in.weight)
    assert not torch.equal(base.unet.conv_in.weight, other.unet.conv_in.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_widths": (20, 12)}, "decoder_widths"),
        ({"decoder_widths": ()}, "decoder_widths"),
        ({"decoder_widths": (8,) * 5}, r"patch 8 .* 5 decoder_widths; .* 16"),
        ({"patch": 3}, r"patch 3 .* 3 decoder_widths; .* 4"),
        ({"latent_channels": 193}, "latent_channels 193 .* 192"),
        ({"unet_channels": (8, 18)}, r"unet_channels \[8, 18\] .* norm_groups 4"),
        ({"unet_channels": ()}, "unet_channels"),
        ({"attention_heads": 9}, "attention_heads 9 .* 8"),
        ({"attention_heads": 17, "attention_from": 1}, "attention_heads 17 .* 16"),
        ({"text_width": 7}, "text_width"),
    ],
)
def test_sizes_that_no_layer_takes_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SHAPE.replace(**changes).check_autoencoder()


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder_widths": (8,)},
        {"decoder_widths": (8,) * 4},
        {"patch": 12},
        {"latent_channels": 192},
        {"unet_channels": (4,), "attention_heads": 4},
        {"attention_heads": 16, "attention_from": 1},
        {"attention_from": 9},
        {"text_width": 2},
    ],
)
def test_sizes_at_the_limit_are_built_fitted_and_run(changes):
    shape = SHAPE.replace(**changes)
    shape.check_autoencoder()
    base = build_base(shape, ["a"])
    image = torch.rand(2, 3, 8 * shape.patch, 8 * shape.patch, generator=torch.Generator().manual_seed(0))
    base.vae.fit(2 * image - 1)
    latents = encode_image(base.vae, 2 * image - 1)
    assert latents.shape == (2, shape.latent_channels, 8, 8)
    assert decode_latents(base.vae, latents).shape == image.shape
    prompts = encode_prompts(base.tokenizer, base.text_encoder, ["a", "b"])
    assert base.unet(latents, 1, prompts).sample.shape == latents.shape
    assert base.vae.config.blocks[0] == 3 and len(base.vae.config.blocks) == len(shape.decoder_widths)


def test_prompts_are_cut_and_padded_and_any_text_can_be_encoded(base):
    texts = ["A photo of perfume", "香水 " * 40, ""]
    ids = tokenize(base.tokenizer, texts)
    assert (tuple(ids.shape), ids.dtype) == ((3, 32), torch.int64)
    start, end = base.tokenizer.bos_token_id, base.tokenizer.eos_token_id
    assert ids[:, 0].tolist() == [start] * 3 and ids[1, -1] == end and ids[2, 1] == end
    assert base.tokenizer.decode(ids[0], skip_special_tokens=True).strip() == "a photo of perfume"
    assert encode_prompts(base.tokenizer, base.text_encoder, texts).shape == (3, 32, 8)


def test_latents_are_scaled_and_each_image_stands_alone(base):
    base.vae.register_to_config(scaling_factor=0.25)
    images = torch.rand(3, 3, 16, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = encode_image(base.vae, images)
    torch.testing.assert_close(latents, 0.25 * base.vae.analysis(images).detach())
    sampled = encode_image(base.vae, images, torch.Generator().manual_seed(1))
    torch.testing.assert_close(sampled, latents)  # this autoencoder has no spread
    assert all(torch.equal(latents[i : i + 1], encode_image(base.vae, images[i : i + 1])) for i in range(3))
    decoded = decode_latents(base.vae, latents * 40)
    expected = base.vae.decode(latents * 160).sample.clamp(-1, 1).detach()
    torch.testing.assert_close(decoded, expected, atol=1e-4, rtol=1e-4)
    assert float(decoded.abs().max()) == 1.0 and decoded.dtype == torch.float32


def test_bars_come_back_also_after_an_error():
    shown = diffusers_log.is_progress_bar_enabled()
    diffusers_log.enable_progress_bar()
    with pytest.raises(ZeroDivisionError), no_bars():
        assert not diffusers_log.is_progress_bar_enabled()
        raise ZeroDivisionError
    assert diffusers_log.is_progress_bar_enabled()
    if not shown:
        diffusers_log.disable_progress_bar()
