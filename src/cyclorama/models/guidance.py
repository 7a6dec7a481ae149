"""Classifier-free guidance without computing the same thing twice.

The guided batch holds every image twice, once with the empty prompt and once with its own. Until
the first cross attention the two halves are equal, so that part is computed for one half only. And
all images of a batch are at the same timestep, so its embedding is computed for one row only.
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


@contextmanager
def shared_timestep(networks: Iterable[Any]) -> Iterator[None]:
    """While open, UNets and ControlNets embed the timestep of the first image for the whole batch.

    Only right where all images are at one timestep; everything after broadcasts the one row. It saves
    little time. Its point: a matrix product of few rows may round a row by its place in the batch
    (seen with two threads and AVX-512), and then an image would depend on the order.
    Hooks are removed on leaving, also after an error.
    """
    handles = [n.time_embedding.register_forward_pre_hook(_take_first_row) for n in networks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _take_first_row(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a[:1] if isinstance(a, Tensor) else a for a in args)


def _halve(value: Any) -> Any:
    halved = isinstance(value, Tensor) and value.ndim > 1 and value.shape[0] > 1
    return value[: value.shape[0] // 2] if halved else value  # one row serves every image


def _take_first_half(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(_halve(a) for a in args), {k: _halve(v) for k, v in kwargs.items()}


def _repeat(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return torch.cat([output, output])
