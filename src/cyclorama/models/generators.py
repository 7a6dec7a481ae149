"""Both generators, ControlNet copies of the base's encoder, and how the base adds what they give."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor

from cyclorama.models.attention import (
    LayerMasks,
    MaskedCrossAttnProcessor,
    SelfAttnProcessor,
    compute_layer_masks,
    iter_attention,
)


@dataclass(frozen=True)
class Residuals:
    """What a ControlNet adds to the base decoder's skips (``down``) and to its middle block (``mid``)."""

    down: tuple[Tensor, ...]
    mid: Tensor

    def __add__(self, other: Residuals) -> Residuals:
        down = tuple(a + b for a, b in zip(self.down, other.down, strict=True))
        return Residuals(down, self.mid + other.mid)

    def scale(self, factor: float) -> Residuals:
        """All residuals times ``factor``; the same object for 1."""
        if factor == 1:
            return self
        return Residuals(tuple(x * factor for x in self.down), self.mid * factor)

    def mask(self, product_mask: Tensor) -> Residuals:
        """All residuals times ``1 − M_l`` (Eq. 4), ``M`` (B, 1, H, W) area-averaged; 0 where it is 1."""

        def hide(residual: Tensor) -> Tensor:
            height, width = residual.shape[-2:]
            mask = torch.nn.functional.adaptive_avg_pool2d(product_mask, (height, width))
            return residual * (1 - mask).to(residual.dtype)

        return Residuals(tuple(map(hide, self.down)), hide(self.mid))


def build_condition_image(image: Tensor, visible: Tensor, with_mask: bool = False) -> Tensor:
    """The ControlNet hint: ``image`` where ``visible`` is 1, black elsewhere (method, 8).

    ``image`` (B, 3, H, W) in [-1, 1]; ``visible`` (B, 1, H, W) in [0, 1], for CG the product mask, for
    PG ``1 − M_aug``. Returns (B, 3, H, W) in [0, 1], or (B, 4, H, W) with ``visible`` as last channel.
    """
    condition = (image * 0.5 + 0.5) * visible
    return torch.cat([condition, visible], dim=1) if with_mask else condition


class Branch(ControlNetModel):
    """A ControlNet in diffusers' layout whose hint is encoded once per generation.

    ``forward`` is diffusers' own computation (same submodules, same order), split so that the
    hint's features, which do not depend on the step, are not computed again at every step.
    """

    @classmethod
    def from_base(
        cls, unet: UNet2DConditionModel, vae_scale: int, with_mask: bool = False, open_hint: bool = False
    ) -> Branch:
        """A trainable copy of ``unet``'s encoder with zero convolutions, its hint ``vae_scale`` times finer.

        ``open_hint`` differs from ControlNet, which closes the hint with a zero convolution, too: with two in
        a row a short training learns nothing for long. Open, the hint reaches the copy from the first step.
        Invariant: until trained, its residuals are exactly 0 and the base's output is unchanged.
        """
        halvings = vae_scale.bit_length() - 1
        widths = (16, 32, 96, 256) if halvings == 3 else tuple(min(8 * 2**i, 64) for i in range(halvings + 1))
        branch: Branch = cls.from_unet(
            unet, conditioning_embedding_out_channels=widths, conditioning_channels=4 if with_mask else 3
        )
        if open_hint:
            for layer in branch.controlnet_cond_embedding.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        return branch

    @property
    def with_mask(self) -> bool:
        """Whether the hint has a fourth channel holding the mask."""
        return int(self.config.conditioning_channels) == 4

    def encode_hint(self, condition_image: Tensor) -> Tensor:
        """Features (B, C0, h, w) of a hint (B, 3 or 4, H, W) in [0, 1]; the same at every step."""
        hook = getattr(self, "_hf_hook", None)
        if hook is not None:  # model offload moves a module when it is called; this is a call, too
            hook.pre_forward(self)
        features: Tensor = self.controlnet_cond_embedding(condition_image.to(self.dtype))
        return features

    def forward(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        hint: Tensor,
        layer_masks: LayerMasks | None = None,
    ) -> Residuals:
        """Residuals for noisy latents (B, c, h, w), timesteps (B,) or (), prompts (B, L, D), encoded hint."""
        timesteps = timesteps.to(noisy_latents.device).expand(noisy_latents.shape[0])
        temb = self.time_embedding(self.time_proj(timesteps).to(noisy_latents.dtype))
        masks = {} if layer_masks is None else {"layer_masks": layer_masks}
        prompts = {"encoder_hidden_states": prompt_embeds, "cross_attention_kwargs": masks}

        def run(block: Any, sample: Tensor) -> Any:
            return block(sample, temb, **(prompts if getattr(block, "has_cross_attention", False) else {}))

        sample = self.conv_in(noisy_latents) + hint
        skips: tuple[Tensor, ...] = (sample,)
        for block in self.down_blocks:
            sample, outputs = run(block, sample)
            skips += tuple(outputs)
        if self.mid_block is not None:
            sample = run(self.mid_block, sample)
        down = tuple(conv(x) for conv, x in zip(self.controlnet_down_blocks, skips, strict=True))
        return Residuals(down, self.controlnet_mid_block(sample))


class CategoryGenerator(Branch):
    """ControlNet copy of the base encoder with mask-guided cross attention in every cross layer.

    arXiv 2312.13309, 3.2. Sees ``I ⊗ M`` as hint; product prompt inside the mask, background prompt
    with the category's identifier outside.
    """

    @functools.wraps(ControlNetModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for layer in iter_attention(self, "attn1"):
            layer.processor = SelfAttnProcessor()
        for layer in iter_attention(self, "attn2"):
            layer.processor = MaskedCrossAttnProcessor()

    def predict_residuals(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        product_embeds: Tensor,
        background_embeds: Tensor,
        hint: Tensor,
        product_mask: Tensor,
    ) -> Residuals:
        """Residuals of CG.

        Noisy latents (B, c, h, w), timesteps (B,) or (), both prompts' embeddings (B, L, D) each, hint
        features from :meth:`encode_hint`, ``product_mask`` (B, 1, H, W) in [0, 1] at any resolution.
        """
        prompts = torch.cat([product_embeds, background_embeds], dim=1)
        residuals: Residuals = self(
            noisy_latents, timesteps, prompts, hint, self.compute_masks(product_mask, noisy_latents)
        )
        return residuals

    def compute_masks(self, product_mask: Tensor, latents: Tensor) -> LayerMasks:
        """``M_l`` for every resolution that occurs in this network on ``latents`` (B, c, h, w)."""
        height, width = latents.shape[-2:]
        return compute_layer_masks(product_mask, (height, width), len(self.down_blocks))


class PersonalityGenerator(Branch):
    """ControlNet copy of the base encoder whose residuals are zero on the product.

    arXiv 2312.13309, 3.3. Sees the reference's background ``I_aug ⊗ (1 − M_aug)`` (method, 5: the
    paper's ``I_aug ⊗ M_aug`` is a slip) and the full prompt.
    """

    def predict_residuals(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        hint: Tensor,
        product_mask: Tensor,
    ) -> Residuals:
        """Residuals of PG, multiplied by ``1 − M_l`` after the zero convolutions (Eq. 4).

        ``product_mask`` (B, 1, H, W) in [0, 1] is that of the *target* product. Invariant: every
        residual is exactly 0 where ``M_l`` = 1.
        """
        residuals: Residuals = self(noisy_latents, timesteps, prompt_embeds, hint)
        return residuals.mask(product_mask)


GENERATORS: dict[str, type[CategoryGenerator | PersonalityGenerator]] = {
    "category_generator": CategoryGenerator,
    "personality_generator": PersonalityGenerator,
}


def predict_noise(
    unet: UNet2DConditionModel,
    noisy_latents: Tensor,
    timesteps: Tensor,
    full_embeds: Tensor,
    residuals: Residuals | None = None,
) -> Tensor:
    """What the base predicts (noise or velocity, as its scheduler says), shape (B, c, h, w).

    With ``residuals`` they are added to the encoder's skips and to the middle block (Eq. 2). The
    encoder itself never sees them: with a frozen base no gradient is kept for it.
    """
    prediction: Tensor = unet(
        noisy_latents,
        timesteps,
        encoder_hidden_states=full_embeds,
        down_block_additional_residuals=None if residuals is None else residuals.down,
        mid_block_additional_residual=None if residuals is None else residuals.mid,
        return_dict=False,
    )[0]
    return prediction
