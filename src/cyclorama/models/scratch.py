"""Bases built from scratch, by default of the compact bundled shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from pydantic import Field, model_validator
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cyclorama.config import Settings
from cyclorama.errors import ConfigError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.base import BaseModel

Count = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=8, multiple_of=8)]

PROMPT_LENGTH = 32
"""Tokens of a prompt in bases built here (Stable Diffusion's have 77)."""


class BaseShape(Settings):
    """Sizes of a base built from scratch."""

    image_size: Count = 256
    """Native side in pixels."""
    patch: Count = 16
    """Pixels per latent position along a side; a multiple of 2 ** (number of ``decoder_widths`` - 1)."""
    latent_channels: Count = 8
    """At most the 3 x patch x patch values of a patch."""
    unet_channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (96, 160)
    """Channels per resolution, fine to coarse, multiples of ``norm_groups``."""
    unet_layers: Count = 1
    """Residual blocks per resolution."""
    attention_from: Annotated[int, Field(ge=0)] = 0
    """First resolution, fine to coarse, whose blocks attend to the prompt and to themselves."""
    attention_heads: Count = 4
    """At most the channels of a resolution that attends."""
    norm_groups: Count = 16
    text_width: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    text_layers: Count = 2
    decoder_widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (192, 128, 96, 48)
    """Channels of the autoencoder's refiner, coarse to fine."""
    whitening: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the latents' spectrum that is levelled; see PatchAutoencoder."""
    prediction_type: Literal["epsilon", "v_prediction"] = "v_prediction"

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        channels = self.unet_channels
        if any(count % self.norm_groups for count in channels):
            raise ConfigError(
                f"unet_channels {list(channels)} must be multiples of norm_groups {self.norm_groups}"
            )
        narrowest = min((*channels[self.attention_from :], channels[-1]))
        if self.attention_heads > narrowest:
            raise ConfigError(
                f"attention_heads {self.attention_heads} are more than the {narrowest} channels that attend"
            )
        return self

    def check_autoencoder(self) -> None:
        """Raise ConfigError if no autoencoder of these sizes can be fitted to images."""
        widths = len(self.decoder_widths)
        if self.patch % 2 ** (widths - 1):
            raise ConfigError(
                f"patch {self.patch} cannot be halved for each of {widths} decoder_widths; give fewer, or a "
                f"multiple of {2 ** (widths - 1)}"
            )
        if self.latent_channels > 3 * self.patch**2:
            raise ConfigError(
                f"latent_channels {self.latent_channels} are more than a patch's {3 * self.patch**2} values"
            )


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
    tokens = [*alphabet, *(a + "</w>" for a in alphabet), *learned["vocab"], *specials]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
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
        levels = range(len(shape.unet_channels))
        down = tuple("CrossAttnDownBlock2D" if k >= shape.attention_from else "DownBlock2D" for k in levels)
        unet = UNet2DConditionModel(
            sample_size=shape.image_size // shape.patch,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            block_out_channels=shape.unet_channels,
            layers_per_block=shape.unet_layers,
            down_block_types=down,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
            attention_head_dim=shape.attention_heads,
            norm_num_groups=shape.norm_groups,
            cross_attention_dim=shape.text_width,
        )
        vae = PatchAutoencoder(
            patch=shape.patch,
            latent_channels=shape.latent_channels,
            widths=shape.decoder_widths,
            blocks=(3, *(2,) * (len(shape.decoder_widths) - 2), 1)[: len(shape.decoder_widths)],
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
