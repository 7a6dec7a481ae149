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


class KeyValueCache:
    """Keys and values of one cross-attention layer, kept while one generation lasts.

    The cache knows the tensor it was filled from and holds it, so another prompt can never read
    stale values: a different tensor object means a new computation.
    """

    def __init__(self) -> None:
        self.enabled = False
        self._source: Tensor | None = None
        self._projected: tuple[Tensor, Tensor] | None = None

    def project(self, attn: Attention, prompt_embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, L, d) of ``prompt_embeds`` (B, L, D)."""
        if self._projected is not None and self._source is prompt_embeds:
            return self._projected
        keys = split_heads(attn.to_k(prompt_embeds), attn.heads)
        values = split_heads(attn.to_v(prompt_embeds), attn.heads)
        if self.enabled:
            self._source, self._projected = prompt_embeds, (keys, values)
        return keys, values

    def clear(self) -> None:
        """Forget everything and stop keeping."""
        self.enabled = False
        self._source = self._projected = None


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, heads * d) to (B, heads, N, d)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, N, d) to (B, N, heads * d)."""
    return x.transpose(1, 2).flatten(-2)


class SelfAttnProcessor(AttnProcessor2_0):
    """diffusers' own self attention, which accepts (and does not use) the layer masks."""

    def __call__(  # noqa: D102
        self, attn: Attention, hidden_states: Tensor, *args: Any, layer_masks: Any = None, **kwargs: Any
    ) -> Tensor:
        out: Tensor = super().__call__(attn, hidden_states, *args, **kwargs)
        return out


class CachedCrossAttnProcessor:
    """Plain cross attention whose keys and values come from a :class:`KeyValueCache`."""

    def __init__(self) -> None:
        self.cache = KeyValueCache()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """``CA(x, P)``: hidden states (B, N, C) attend to prompt embeddings (B, L, D)."""
        if encoder_hidden_states is None or attention_mask is not None:
            raise ValueError("cross attention takes prompt embeddings and no attention mask")
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        keys, values = self.cache.project(attn, encoder_hidden_states)
        return _project_out(attn, merge_heads(F.scaled_dot_product_attention(query, keys, values)))


class MaskedCrossAttnProcessor:
    """Mask-guided cross attention (arXiv 2312.13309, Eq. 3).

    ``CA(x, P_fg) ⊗ M_l + CA(x, P_bg) ⊗ (1 − M_l)``; the block around it adds ``x``. The prompt
    embeddings hold product and background prompt one after the other along the tokens (B, 2L, D).
    One query projection serves both terms, and because the two weights sum to one, so does one
    output projection (bias included). Invariant: equal to two full cross attentions, mixed.
    """

    def __init__(self) -> None:
        self.cache = KeyValueCache()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        layer_masks: LayerMasks | None = None,
    ) -> Tensor:
        """Hidden states (B, N, C), prompt embeddings (B, 2L, D), masks by N; returns (B, N, C)."""
        if encoder_hidden_states is None or layer_masks is None or attention_mask is not None:
            raise ValueError("masked cross attention takes prompt embeddings, layer masks, no attention mask")
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        keys, values = self.cache.project(attn, encoder_hidden_states)
        length = keys.shape[2] // 2
        product = F.scaled_dot_product_attention(query, keys[:, :, :length], values[:, :, :length])
        background = F.scaled_dot_product_attention(query, keys[:, :, length:], values[:, :, length:])
        mask = layer_masks[hidden_states.shape[1]].to(query.dtype).unsqueeze(1)
        mixed = product * mask + background * (1 - mask)
        return _project_out(attn, merge_heads(mixed))


def _project_out(attn: Attention, hidden_states: Tensor) -> Tensor:
    out: Tensor = attn.to_out[1](attn.to_out[0](hidden_states))
    return out / attn.rescale_output_factor if attn.rescale_output_factor != 1 else out


@contextmanager
def cached_prompts(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While open, cross attentions of ``modules`` project each prompt tensor once and keep it.

    Layers with a processor of ours use their own cache; diffusers' plain processors are replaced
    and put back on leaving, also after an error: nothing is left behind.
    """
    layers = [layer for module in modules for layer in iter_attention(module, "attn2")]
    before = [layer.processor for layer in layers]
    try:
        for layer in layers:
            if isinstance(layer.processor, AttnProcessor2_0):
                layer.processor = CachedCrossAttnProcessor()
            if isinstance(layer.processor, CachedCrossAttnProcessor | MaskedCrossAttnProcessor):
                layer.processor.cache.enabled = True
        yield
    finally:
        for layer, processor in zip(layers, before, strict=True):
            if isinstance(processor, CachedCrossAttnProcessor | MaskedCrossAttnProcessor):
                processor.cache.clear()
            layer.processor = processor
