"""Tiny random parts for training tests: images in memory, bases of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclorama.data.examples import SourceConfig
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.scratch import BaseShape, build_base
from cyclorama.training.config import (
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    ValidationConfig,
)
from cyclorama.training.state import TrainState, find_checkpoint, load_checkpoint

SIZE = 32
TINY_SHAPE = BaseShape(
    image_size=SIZE,
    patch=4,
    latent_channels=4,
    unet_channels=(8, 16),
    attention_heads=2,
    norm_groups=4,
    text_width=8,
    text_layers=1,
    decoder_widths=(8, 8),
)


class TinyData:
    """``count`` random images of two categories, a square product in each."""

    def __init__(self, count: int = 7, size: int = SIZE, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        coarse = generator.integers(0, 256, (count, size // 8, size // 8, 3), dtype=np.uint8)
        self._pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)
        self._masks = np.zeros((count, size, size), dtype=np.float32)
        self._masks[:, size // 4 : size // 2, size // 4 : 3 * size // 4] = 1.0

    def __len__(self) -> int:
        return len(self._pixels)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._pixels[index], self._masks[index]

    def category(self, index: int) -> str:
        return ("perfume", "fruit")[index % 2]


def build_config(base: str | None = None, **changes: Any) -> TrainConfig:
    """A config of a few steps without validation, from ``base`` or else from scratch."""
    model = ModelConfig(build=TINY_SHAPE, train_text_encoder=True) if base is None else ModelConfig(base=base)
    values: dict[str, Any] = {
        "data": DataConfig(source=SourceConfig(path=Path("in-memory")), image_size=SIZE),
        "model": model,
        "optimiser": OptimiserConfig(learning_rate=1e-3, warm_up_steps=3),
        "batch_size": 4,
        "steps": 4,
        "ema_decay": 0.9,
        "validation": ValidationConfig(every_steps=None, images=3, num_inference_steps=2),
        "log_every_steps": 1,
    }
    return TrainConfig(**{**values, **changes})


def save_tiny_model(folder: Path, seed: int = 1) -> Path:
    """A whole tiny model in ``folder`` whose generators are not silent."""
    registry = CategoryRegistry()
    for name in ("fruit", "perfume"):
        registry.add(name)
    base = build_base(TINY_SHAPE, ["A photo of fruit, in the background of sks 0"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = CycloramaPipeline.from_base(base, registry=registry)
        for generator in (pipeline.category_generator, pipeline.personality_generator):
            for conv in (*generator.controlnet_down_blocks, generator.controlnet_mid_block):
                torch.nn.init.normal_(conv.weight, std=0.2)
            torch.nn.init.normal_(generator.controlnet_cond_embedding.conv_out.weight, std=0.2)
    pipeline.save_pretrained(folder)
    return folder


def load_state(out: Path) -> TrainState:
    """The newest checkpoint of the run in ``out``."""
    found = find_checkpoint(out / "checkpoints")
    assert found is not None
    return load_checkpoint(found)
