"""Eq. 3 against its literal two-pass reading, and the masks it uses."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor

from cyclorama.models.attention import (
    CachedCrossAttnProcessor,
    MaskedCrossAttnProcessor,
    cached_prompts,
    compute_layer_masks,
    iter_attention,
)
from tiny_models import build_tiny_pipeline


def _attention(bias: bool = False) -> Attention:
    torch.manual_seed(0)
    layer = Attention(query_dim=12, cross_attention_dim=10, heads=3, dim_head=4, bias=bias)
    return layer.double().eval()


def _literal_cross_attention(layer: Attention, x: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v with explicit loops over batch and heads."""
    query, key, value = layer.to_q(x), layer.to_k(prompt), layer.to_v(prompt)
    d = query.shape[-1] // layer.heads
    out = torch.zeros_like(query)
    for b in range(x.shape[0]):
        for h in range(layer.heads):
            columns = slice(h * d, (h + 1) * d)
            scores = query[b, :, columns] @ key[b, :, columns].T / d**0.5
            out[b, :, columns] = torch.softmax(scores, dim=-1) @ value[b, :, columns]
    return layer.to_out[0](out)


def test_masked_attention_equals_the_literal_equation_in_float64() -> None:
    layer = _attention()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 6 * 5, 12, dtype=torch.float64, generator=generator)
    product = torch.randn(2, 7, 10, dtype=torch.float64, generator=generator)
    background = torch.randn(2, 7, 10, dtype=torch.float64, generator=generator)
    mask = torch.rand(2, 1, 6, 5, dtype=torch.float64, generator=generator)
    mask[0, 0, :2], mask[1, 0, 3:] = 1, 0
    weights = mask.flatten(2).transpose(1, 2)
    expected = (
        x
        + _literal_cross_attention(layer, x, product) * weights
        + _literal_cross_attention(layer, x, background) * (1 - weights)
    )
    layer.processor = MaskedCrossAttnProcessor()
    prompts = torch.cat([product, background], dim=1)
    actual = x + layer(x, encoder_hidden_states=prompts, layer_masks={30: weights})
    assert (actual - expected).abs().max() < 1e-12


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_masks_give_plain_cross_attention_of_one_prompt(value: float) -> None:
    layer = _attention(bias=True)
    x = torch.randn(1, 4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    prompts = torch.randn(1, 6, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    chosen = prompts[:, :3] if value == 1 else prompts[:, 3:]
    layer.processor = AttnProcessor()
    expected = layer(x, encoder_hidden_states=chosen)
    layer.processor = MaskedCrossAttnProcessor()
    masks = {4: torch.full((1, 4, 1), value, dtype=torch.float64)}
    actual = layer(x, encoder_hidden_states=prompts, layer_masks=masks)
    assert (actual - expected).abs().max() < 1e-12


def test_changing_the_mask_changes_the_generators_output() -> None:
    pipeline = build_tiny_pipeline()
    generator = pipeline.category_generator
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 8, 8, generator=g)
    product, background = torch.randn(2, 1, 32, 16, generator=g)
    hint = torch.zeros(1, 8, 8, 8)
    left, right = torch.zeros(2, 1, 1, 64, 64)
    left[..., :32], right[..., 32:] = 1, 1
    with torch.no_grad():
        a = generator.predict_residuals(latents, torch.tensor(5), product, background, hint, left)
        b = generator.predict_residuals(latents, torch.tensor(5), product, background, hint, right)
    assert (a.mid - b.mid).abs().max() > 1e-5


def test_layer_masks_are_area_averages_at_every_level() -> None:
    mask = torch.zeros(1, 1, 16, 8)
    mask[..., :3] = 1
    masks = compute_layer_masks(mask, (8, 4), 3)
    assert sorted(masks) == [2, 8, 32]
    assert masks[32].reshape(8, 4)[0].tolist() == [1, 0.5, 0, 0]
    assert masks[8].reshape(4, 2)[0].tolist() == [0.75, 0]
    assert masks[2].reshape(2, 1)[:, 0].tolist() == [0.375, 0.375]


def test_odd_latent_sizes_round_up_as_strided_convolutions_do() -> None:
    masks = compute_layer_masks(torch.ones(1, 1, 72, 40), (9, 5), 3)
    assert sorted(masks) == [3 * 2, 5 * 3, 9 * 5]
    assert all(bool((m == 1).all()) for m in masks.values())


def test_keys_and_values_are_projected_once_while_the_prompts_are_cached() -> None:
    pipeline = build_tiny_pipeline()
    layer = next(iter(iter_attention(pipeline.unet, "attn2")))
    calls: list[int] = []
    handle = layer.to_k.register_forward_hook(lambda *_: calls.append(1))
    prompt = torch.randn(1, 32, 16, generator=torch.Generator().manual_seed(0))
    other = prompt.clone() + 1
    x = torch.randn(1, 4, layer.query_dim, generator=torch.Generator().manual_seed(1))
    plain = layer(x, encoder_hidden_states=prompt), layer(x, encoder_hidden_states=other)
    calls.clear()
    with cached_prompts([pipeline.unet]):
        first, again = layer(x, encoder_hidden_states=prompt), layer(x, encoder_hidden_states=prompt)
        assert len(calls) == 1
        assert torch.equal(first, again)
        changed = layer(x, encoder_hidden_states=other)  # another prompt is never answered from the cache
        assert len(calls) == 2
    handle.remove()
    torch.testing.assert_close(first, plain[0])
    torch.testing.assert_close(changed, plain[1])


def test_caching_leaves_no_trace_also_after_an_error() -> None:
    pipeline = build_tiny_pipeline()
    networks = [pipeline.unet, pipeline.category_generator, pipeline.personality_generator]
    before = [layer.processor for n in networks for layer in iter_attention(n, "attn2")]
    with pytest.raises(KeyError), cached_prompts(networks):
        inside = [layer.processor for n in networks for layer in iter_attention(n, "attn2")]
        assert any(type(p) is CachedCrossAttnProcessor for p in inside)
        raise KeyError
    after = [layer.processor for n in networks for layer in iter_attention(n, "attn2")]
    assert all(a is b for a, b in zip(before, after, strict=True))
    masked = [p for p in after if isinstance(p, MaskedCrossAttnProcessor)]
    assert masked and all(p._source is None and not p.keeps for p in masked)


def test_masked_attention_refuses_a_call_without_masks() -> None:
    layer = _attention()
    layer.processor = MaskedCrossAttnProcessor()
    with pytest.raises(ValueError, match="layer masks"):
        layer(
            torch.zeros(1, 4, 12, dtype=torch.float64), encoder_hidden_states=torch.zeros(1, 2, 10).double()
        )
