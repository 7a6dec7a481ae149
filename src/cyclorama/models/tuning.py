"""Faster arithmetic for the same images up to rounding: channels-last memory and compiled blocks.

Only whole blocks between attentions are compiled. Around them work the hooks of
:mod:`cyclorama.models.guidance` and the caches of :mod:`cyclorama.models.attention`, which come and go with
every call; a compiled graph would keep those that it was traced with.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

_BLOCKS = (ResnetBlock2D, FeedForward)


def tune_network(network: nn.Module, *, channels_last: bool = False, compile: bool = False) -> None:
    """Change ``network``, a UNet or a generator, in place.

    ``channels_last``: weights of convolutions in NHWC order, which their outputs then follow.
    ``compile``: ``torch.compile`` for residual blocks and feed-forward layers, at their first call; needs a
    C++ compiler on a CPU and Triton on a GPU. Invariant: predictions differ by rounding only.
    """
    if channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not compile:
        return
    known = inspect.signature(torch.compile).parameters
    # Each block counts its own shapes; with one count for all of a class, most would be left as they are.
    own_count: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in known else {}
    for block in network.modules():
        if isinstance(block, _BLOCKS):
            block.forward = torch.compile(block.forward, dynamic=False, **own_count)
