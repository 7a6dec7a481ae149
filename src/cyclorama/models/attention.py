"""Mask-guided cross attention, and keys and values of prompts computed once per generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

LayerMasks = dict[int, Tensor]
"""Product mask (B, N, 1) of every resolution, keyed by its number of positions N = h * w."""


def iter_attention(module: nn.Module, kind: str) -> Iterator[Attention]:
    """The ``attn1`` (self) or ``attn2`` (cross) layers of ``module``, in order."""
    for name, layer in module.named_modules():
        if isinstance(layer, Attention) and name.endswith(kind):
            yield layer


def compute_layer_masks(product_mask: Tensor, latent_size: tuple[int, int], levels: int) -> LayerMasks:
    """``M`` area-averaged to each of ``levels`` resolutions of the encoder (Eq. 3's ``M_l``).

    ``product_mask`` (B, 1, H, W) in [0, 1], 1 = product. Each level halves the size, rounding up, as
    a stride-2 convolution with padding 1 does. Invariant: constant masks stay constant.
    """
    masks: LayerMasks = {}
    height, width = latent_size
    for _ in range(levels):
        pooled = F.adaptive_avg_pool2d(product_mask, (height, width))
        masks[height * width] = pooled.flatten(2).transpose(1, 2)
        height, width = (height + 1) // 2, (width + 1) // 2
    return masks


class SelfAttnProcessor(AttnProcessor2_0):
    """diffusers' own self attention, which accepts (and does not use) the layer masks."""

    def __call__(  # noqa: D102
        self, attn: Attention, hidden_states: Tensor, *args: Any, layer_masks: Any = None, **kwargs: Any
    ) -> Tensor:
        out: Tensor = super().__call__(attn, hidden_states, *args, **kwargs)
        return out


class CachedCrossAttnProcessor:
    """Plain cross attention that keeps the keys and values of its prompts while ``keeps`` is set.

    It holds the tensor they were computed from: a different tensor object means a new computation, so
    another prompt can never read old values.
    """

    def __init__(self) -> None:
        self.keeps = False
        self._source: Tensor | None = None
        self._projected: tuple[Tensor, Tensor] | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        layer_masks: LayerMasks | None = None,
    ) -> Tensor:
        """Hidden states (B, N, C), prompt embeddings (B, L, D), masks by N; returns (B, N, C)."""
        query, keys, values = self._project(attn, hidden_states, encoder_hidden_states, attention_mask)
        mixed = self._attend(query, keys, values, layer_masks)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(-2)))
        return out / attn.rescale_output_factor if attn.rescale_output_factor != 1 else out

    def clear(self) -> None:
        """Forget everything and stop keeping."""
        self.keeps, self._source, self._projected = False, None, None

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, layer_masks: LayerMasks | None) -> Tensor:
        return F.scaled_dot_product_attention(query, keys, values)

    def _project(
        self, attn: Attention, hidden_states: Tensor, prompts: Tensor | None, attention_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, heads, N, d), and keys and values (B, heads, L, d) of the prompts."""
        if prompts is None or attention_mask is not None:
            raise ValueError("cross attention takes prompt embeddings and no attention mask")
        if self._projected is None or self._source is not prompts:
            projected = _split_heads(attn.to_k(prompts), attn), _split_heads(attn.to_v(prompts), attn)
            if self.keeps:
                self._source, self._projected = prompts, projected
        else:
            projected = self._projected
        return _split_heads(attn.to_q(hidden_states), attn), *projected


class MaskedCrossAttnProcessor(CachedCrossAttnProcessor):
    """Mask-guided cross attention (arXiv 2312.13309, Eq. 3).

    ``CA(x, P_fg) ⊗ M_l + CA(x, P_bg) ⊗ (1 − M_l)``; the block around it adds ``x``. The prompt
    embeddings hold product and background prompt one after the other along the tokens (B, 2L, D).
    One query projection serves both terms, and because the two weights sum to one, so does one
    output projection (bias included). Invariant: equal to two full cross attentions, mixed.
    """

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, layer_masks: LayerMasks | None) -> Tensor:
        if layer_masks is None:
            raise ValueError("masked cross attention takes layer masks")
        length = keys.shape[2] // 2
        product = F.scaled_dot_product_attention(query, keys[:, :, :length], values[:, :, :length])
        background = F.scaled_dot_product_attention(query, keys[:, :, length:], values[:, :, length:])
        mask = layer_masks[query.shape[2]].to(query.dtype).unsqueeze(1)
        return product * mask + background * (1 - mask)


def _split_heads(x: Tensor, attn: Attention) -> Tensor:
    """(B, N, heads * d) to (B, heads, N, d)."""
    return x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)


@contextmanager
def cached_prompts(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While open, cross attentions of ``modules`` project each prompt tensor once and keep it.

    diffusers' plain processors are replaced by ours and put back on leaving, also after an error: nothing is
    left behind.
    """
    layers = [layer for module in modules for layer in iter_attention(module, "attn2")]
    before = [layer.processor for layer in layers]
    try:
        for layer in layers:
            if isinstance(layer.processor, AttnProcessor2_0):
                layer.processor = CachedCrossAttnProcessor()
            if isinstance(layer.processor, CachedCrossAttnProcessor):
                layer.processor.keeps = True
        yield
    finally:
        for layer, processor in zip(layers, before, strict=True):
            if isinstance(processor, CachedCrossAttnProcessor):
                processor.clear()
            layer.processor = processor
