"""The same images, faster: nothing is computed twice, other memory order, compiled blocks.

The guided batch holds every image twice, once with the empty prompt and once with its own. Until the first
cross attention the two halves are equal, so that part is computed for one half only. All images of a batch
are at the same timestep, so its embedding is computed for one row. A reference is encoded once for all the
images that follow it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn


def list_prompt_free_layers(network: Any) -> list[nn.Module]:
    """The costly layers of a UNet's or ControlNet's encoder that come before its first cross attention."""
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

    def halve(value: Any) -> Any:
        halved = isinstance(value, Tensor) and value.ndim > 1 and value.shape[0] > 1
        return value[: value.shape[0] // 2] if halved else value  # one row serves every image

    def take_half(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return tuple(map(halve, args)), {name: halve(value) for name, value in kwargs.items()}

    handles = []
    for layer in layers:
        handles.append(layer.register_forward_pre_hook(take_half, with_kwargs=True))
        handles.append(layer.register_forward_hook(lambda _, args, output: torch.cat([output, output])))
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

    def take_row(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(a[:1] if isinstance(a, Tensor) else a for a in args)

    handles = [network.time_embedding.register_forward_pre_hook(take_row) for network in networks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def lent_encoder(unet: Any, answers: dict[Any, Any]) -> Iterator[None]:
    """While open, what ``unet`` has before its decoder fills the empty ``answers``, or gives what is there.

    The encoder changes little from step to step, the decoder much (Faster Diffusion, arXiv 2312.09608).
    Nothing is left behind on leaving, also after an error.
    """
    blocks = [block for block in (*unet.down_blocks, unet.mid_block) if block is not None]
    own, handles = {block: vars(block).get("forward") for block in blocks}, []  # an offloaded block has one
    for block in blocks:
        if answers:
            block.forward = lambda *_, answer=answers[block], **__: answer
        else:
            handles.append(block.register_forward_hook(lambda b, _, answer: answers.update({b: answer})))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for block, forward in own.items():
            vars(block).pop("forward", None)
            vars(block).update({} if forward is None else {"forward": forward})


class EncodingCache:
    """The encodings used last, by content, up to ``megabytes`` (2**20 bytes; 0 keeps nothing).

    The key must name all that an encoding depends on: digest of the input, weights, dtype, device. A
    reference takes 2.6 MB in bfloat16 at Stable Diffusion's size.
    """

    def __init__(self, megabytes: float = 256) -> None:
        self.megabytes = megabytes
        self.computed = 0
        """How many encodings have been computed."""
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """What ``compute`` gives, from an earlier call with an equal ``key`` if it is still kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self.computed += 1
        value = compute()
        self._kept[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.megabytes * 2**20:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.nbytes
        return value


def compute_digest(tensor: Tensor) -> bytes:
    """A digest of the values, shape and dtype of ``tensor``, wherever it is."""
    values = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tuple(values.shape)} {values.dtype}".encode())
    digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def get_weights_state(module: nn.Module) -> tuple[tuple[int, int], ...]:
    """Changes whenever a weight of ``module`` is changed or moved: places in memory and torch's versions."""
    return tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters())


def tune_network(network: nn.Module, *, channels_last: bool = False, compile: bool = False) -> None:
    """Change ``network``, a UNet or a generator, in place: other speed, predictions equal up to rounding.

    ``channels_last``: weights of convolutions in NHWC order, which their outputs then follow.
    ``compile``: ``torch.compile`` for residual blocks and feed-forward layers, at their first call; needs a
    C++ compiler on a CPU and Triton on a GPU. Only these whole blocks between attentions: around them work
    hooks and caches of this call alone, and a compiled graph would keep those that it was traced with.
    """
    if channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not compile:
        return
    known = inspect.signature(torch.compile).parameters
    # Each block counts its own shapes; with one count for all of a class, most would be left as they are.
    own_count: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in known else {}
    for block in network.modules():
        if isinstance(block, ResnetBlock2D | FeedForward):
            block.forward = torch.compile(block.forward, dynamic=False, **own_count)
