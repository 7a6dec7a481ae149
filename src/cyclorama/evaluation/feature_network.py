"""Cyclorama's own feature network: a compact CNN that names category, brand and palette of a background.

It works offline, where the usual networks (Inception, CLIP) cannot be had. Its numbers compare sets scored
with the same weights; they say nothing beside numbers of another network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cyclorama.config import Settings, build_config, to_plain
from cyclorama.errors import ConfigError, ModelFormatError, ModelNotFoundError

ARCHITECTURE = "cyclorama-features-1"
INPUT_SIDE = 128
"""Pixels; the input is square."""
DIMENSIONS = 256
"""Length of the pooled feature vector."""
PALETTE_VALUES = 12
"""Four sRGB colours (wall, floor, prop, accent), each channel in [-1, 1]."""
WEIGHTS_NAME = "network.safetensors"
CARD_NAME = "network.json"


class FeatureNetworkConfig(Settings):
    """What fixes the network's layers."""

    categories: tuple[str, ...]
    """Class names, in the order of the outputs."""
    brands: tuple[str, ...] = ()
    widths: tuple[int, int, int, int] = (24, 48, 96, 144)
    """Channels of the stem and of the stages at 32, 16 and 8 pixels; the last stage has DIMENSIONS."""


class FeatureBlock(nn.Module):
    """Two 3 × 3 convolutions with normalisation, halving the sides; the short cut averages 2 × 2 pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, outputs, H / 2, W / 2) of (B, inputs, H, W)."""
        inner = torch.relu(self.norm1(self.conv1(values)))
        inner = self.norm2(self.conv2(inner))
        short = self.shortcut(nn.functional.avg_pool2d(values, 2))
        return torch.relu(inner + short)


class FeatureNetwork(nn.Module):
    """Pooled features, the maps on the way, and three heads (category, brand, palette).

    Input: ``image`` float (B, 3, 128, 128) in [-1, 1], the product filled with neutral grey.
    """

    def __init__(self, config: FeatureNetworkConfig) -> None:
        super().__init__()
        self.config = config
        first, *rest = (*config.widths, DIMENSIONS)
        self.stem = nn.Sequential(nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        channels = [first, *rest]
        self.stages = nn.ModuleList(FeatureBlock(inputs, outputs) for inputs, outputs in pairwise(channels))
        self.category_head = nn.Linear(DIMENSIONS, len(config.categories))
        self.brand_head = nn.Linear(DIMENSIONS, len(config.brands)) if config.brands else None
        self.palette_head = nn.Linear(DIMENSIONS, PALETTE_VALUES)

    def compute_maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of stem and stages: (B, C_k, 64 / 2**k, 64 / 2**k), k = 0 … 4."""
        maps = [self.stem(image)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The pooled features (B, 256), 0 or more."""
        return self.compute_maps(image)[-1].mean(dim=(2, 3))


def compute_tensor_hash(tensors: dict[str, torch.Tensor]) -> str:
    """16 hex digits over names, dtypes, shapes and bytes; equal for any file format or order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save_network(network: FeatureNetwork, folder: Path, notes: dict[str, Any] | None = None) -> str:
    """Write weights and card into ``folder``; the weights' hash.

    Convolutions and heads are stored as float16 (half the size; what is loaded is what was stored), the
    normalisation's statistics as float32. ``notes`` (training, held-out accuracy) go into the card.
    """
    card = {
        "config": to_plain(network.config),
        "input": f"RGB {INPUT_SIDE} x {INPUT_SIDE} in [-1, 1], product filled with neutral grey",
        **(notes or {}),
    }
    return save_weights(network.state_dict(), folder / WEIGHTS_NAME, {"architecture": ARCHITECTURE, **card})


def save_weights(tensors: Mapping[str, torch.Tensor], path: Path, card: Mapping[str, Any]) -> str:
    """Write ``tensors`` to ``path`` and ``card`` beside it (``.json``, with the hash); the hash.

    Whatever has more than one dimension is stored as float16, the rest as it is.
    """
    from safetensors.torch import save_file

    small = {
        name: value.detach().cpu().contiguous().to(torch.float16 if value.dim() > 1 else value.dtype)
        for name, value in tensors.items()
    }
    weights_hash = compute_tensor_hash(small)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(small, path)
    path.chmod(0o644)  # safetensors makes files for the owner's eyes only
    text = json.dumps({**card, "weights_hash": weights_hash}, indent=1, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    return weights_hash


def load_card(folder: Path) -> dict[str, Any]:
    """The card of a saved network. Raises ModelNotFoundError, ModelFormatError."""
    path = folder / CARD_NAME
    if not path.is_file() or not (folder / WEIGHTS_NAME).is_file():
        raise ModelNotFoundError(
            f"no feature network at {folder}: it needs {WEIGHTS_NAME} and {CARD_NAME}; train one with "
            f"cyclorama lab features SHARDS --out {folder}"
        )
    return read_card(path, ARCHITECTURE)


def read_card(path: Path, architecture: str) -> dict[str, Any]:
    """The card in ``path``. Raises ModelFormatError: missing, no card, or of another ``architecture``."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        found = card["architecture"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(
            f"{path} is missing or no card of a network ({error}); use the card and weights of one training"
        ) from error
    if found != architecture:
        raise ModelFormatError(f"{path} describes {found!r}; this version reads {architecture!r}")
    return dict(card)


def check_weights(path: Path, tensors: dict[str, torch.Tensor], card: Mapping[str, Any] | None) -> str:
    """The hash of ``tensors``. Raises ModelFormatError if it is not the one that the ``card`` states."""
    weights_hash = compute_tensor_hash(tensors)
    if card is not None and weights_hash != card.get("weights_hash"):
        raise ModelFormatError(
            f"{path} has the hash {weights_hash}, its card says {card.get('weights_hash')}; use the card and "
            "weights of one training"
        )
    return weights_hash


def load_network(folder: Path) -> tuple[FeatureNetwork, str]:
    """The network in ``folder`` in float32, ready to score, and its weights' hash.

    Raises ModelNotFoundError, ModelFormatError (weights that do not fit the card or its hash).
    """
    from safetensors.torch import load_file

    card = load_card(folder)
    try:
        config = build_config(FeatureNetworkConfig, card["config"])
        tensors = load_file(folder / WEIGHTS_NAME)
        network = FeatureNetwork(config)
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        )
    except (RuntimeError, TypeError, KeyError, ValueError, OSError, ConfigError) as error:
        raise ModelFormatError(
            f"{folder}: weights and card do not fit: {str(error)[:200]}; use both of one training"
        ) from error
    weights_hash = check_weights(folder / WEIGHTS_NAME, tensors, card)
    network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last), weights_hash  # type: ignore[call-overload]
