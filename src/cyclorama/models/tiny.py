"""Bases built from scratch: the compact bundled shape, and tiny random ones for tests and trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from pydantic import Field
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cyclorama.config import Settings
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.base import BaseModel
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry

Count = Annotated[int, Field(ge=1)]

PROMPT_LENGTH = 32
"""Tokens of a prompt in bases built here (Stable Diffusion's have 77)."""


class BaseShape(Settings):
    """Sizes of a base built from scratch."""

    image_size: Count = 256
    """Native side in pixels."""
    patch: Count = 16
    """Pixels per latent position along a side, a power of two."""
    latent_channels: Count = 8
    unet_channels: tuple[Count, ...] = (96, 160)
    unet_layers: Count = 1
    """Residual blocks per resolution."""
    attention_heads: Count = 4
    norm_groups: Count = 16
    text_width: Count = 64
    text_layers: Count = 2
    decoder_widths: tuple[Count, ...] = (192, 128, 96, 48)
    """Channels of the autoencoder's refiner, coarse to fine."""
    whitening: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the latents' spectrum that is levelled; see PatchAutoencoder."""
    prediction_type: Literal["epsilon", "v_prediction"] = "v_prediction"


def build_tokenizer(texts: Sequence[str], length: int = PROMPT_LENGTH) -> CLIPTokenizer:
    """A CLIP tokenizer (byte-level BPE), its vocabulary learned from ``texts``; any text can be encoded."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|startoftext|>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=specials, initial_alphabet=alphabet)
    bpe.train_from_iterator(list(texts), trainer)
    learned = json.loads(bpe.to_str())["model"]
    vocab: dict[str, int] = {}
    for token in [*alphabet, *(a + "</w>" for a in alphabet), *learned["vocab"], *specials]:
        if token not in specials or token not in vocab:
            vocab.setdefault(token, len(vocab))
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=length)


def build_base(shape: BaseShape, texts: Sequence[str], seed: int = 0) -> BaseModel:
    """A base with random weights (reproducible from ``seed``) in Stable Diffusion's classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = build_tokenizer(texts)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=shape.text_width,
                intermediate_size=2 * shape.text_width,
                projection_dim=shape.text_width,
                num_hidden_layers=shape.text_layers,
                num_attention_heads=2,
                max_position_embeddings=PROMPT_LENGTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
        unet = UNet2DConditionModel(
            sample_size=shape.image_size // shape.patch,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            block_out_channels=shape.unet_channels,
            layers_per_block=shape.unet_layers,
            down_block_types=("CrossAttnDownBlock2D",) * len(shape.unet_channels),
            up_block_types=("CrossAttnUpBlock2D",) * len(shape.unet_channels),
            attention_head_dim=shape.attention_heads,
            norm_num_groups=shape.norm_groups,
            cross_attention_dim=shape.text_width,
        )
        vae = PatchAutoencoder(
            patch=shape.patch,
            latent_channels=shape.latent_channels,
            widths=shape.decoder_widths,
            blocks=(3, *(2,) * (len(shape.decoder_widths) - 2), 1),
            whitening=shape.whitening,
        )
    return BaseModel(unet, vae, text_encoder.eval(), tokenizer, build_ddim(shape.prediction_type))


def build_ddim(prediction_type: str) -> DDIMScheduler:
    """DDIM with Stable Diffusion's schedule, whose terminal signal-to-noise ratio is not zero."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


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
