"""Classifier-free guidance without computing the same thing twice.

The guided batch holds every picture twice, once with the empty prompt and once with its own. Until
the first cross attention the two halves are equal, so that part is computed for one half only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def list_prompt_free_layers(network: Any) -> list[nn.Module]:
    """The layers of a UNet's or ControlNet's encoder that come before its first cross attention.

    Cheap ones in between (norms, projections) are left out.
    """
    layers: list[nn.Module] = []
    for block in network.down_blocks:
        attentions = getattr(block, "attentions", None)
        if attentions:
            return [*layers, block.resnets[0], attentions[0].transformer_blocks[0].attn1]
        layers += [*block.resnets, *(block.downsamplers or [])]
    return layers


def combine_guidance(prediction: Tensor, guidance_scale: float) -> Tensor:
    """``ε_∅ + g (ε_p − ε_∅)`` from the stacked halves (2B, c, h, w); returns (B, c, h, w)."""
    empty, full = prediction.chunk(2)
    return empty + guidance_scale * (full - empty)


@contextmanager
def shared_halves(layers: Iterable[nn.Module]) -> Iterator[None]:
    """While open, ``layers`` compute the first half of their batch and repeat the result for the second.

    Only right where both halves are equal. Hooks are removed on leaving, also after an error.
    Invariant: the output is what the layers give without it.
    """
    handles = []
    for layer in layers:
        handles.append(layer.register_forward_pre_hook(_take_first_half, with_kwargs=True))
        handles.append(layer.register_forward_hook(_repeat))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _halve(value: Any) -> Any:
    return value[: value.shape[0] // 2] if isinstance(value, Tensor) and value.ndim > 1 else value


def _take_first_half(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(_halve(a) for a in args), {k: _halve(v) for k, v in kwargs.items()}


def _repeat(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return torch.cat([output, output])
