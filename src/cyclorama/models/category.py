"""Category-Wise Generator: the product as hint, the category's style from its identifier."""

from __future__ import annotations

import functools
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor

from cyclorama.models.attention import (
    MaskedCrossAttnProcessor,
    SelfAttnProcessor,
    compute_layer_masks,
    iter_attention,
)
from cyclorama.models.branch import Branch, Residuals


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
        prompts = join_prompts(product_embeds, background_embeds)
        masks = self.compute_masks(product_mask, noisy_latents)
        residuals: Residuals = self(noisy_latents, timesteps, prompts, hint, masks)
        return residuals

    def compute_masks(self, product_mask: Tensor, latents: Tensor) -> dict[int, Tensor]:
        """``M_l`` for every resolution that occurs in this network on ``latents`` (B, c, h, w)."""
        height, width = latents.shape[-2:]
        return compute_layer_masks(product_mask, (height, width), len(self.down_blocks))


def join_prompts(product_embeds: Tensor, background_embeds: Tensor) -> Tensor:
    """Product and background prompt (B, L, D) one after the other: (B, 2L, D)."""
    return torch.cat([product_embeds, background_embeds], dim=1)
