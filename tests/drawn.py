"""Products and references that the tests draw: noise, so that every pixel counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_product(size: tuple[int, int] = (72, 64), seed: int = 0, soft: bool = True) -> Image.Image:
    """A noisy ellipse with a soft rim on transparency, RGBA, (height, width) ``size``.

    A process that meets a hard rim alone starts faster: it need not load what solves soft ones.
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - height / 2) / (height * 0.3), (columns - width / 2) / (width * 0.3))
    alpha = np.clip((1.05 - distance) * 12, 0, 1) if soft else distance < 1
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(np.dstack([pixels, np.rint(alpha * 255)]).astype(np.uint8))


def save_product(path: Path, seed: int, size: tuple[int, int] = (72, 64), soft: bool = True) -> None:
    """Save :func:`draw_product` at ``path``, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_product(size, seed, soft).save(path)


def draw_reference(seed: int = 0) -> np.ndarray:
    """Noise, uint8 (80, 100, 3)."""
    return np.random.default_rng(100 + seed).integers(0, 256, (80, 100, 3), dtype=np.uint8)
