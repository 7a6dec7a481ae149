"""Rendered sets without rendering: an even ground whose level is the seed's."""

from __future__ import annotations

from typing import Any

import numpy as np

from cyclorama.generation.scenes import SceneModel
from cyclorama.types import Pixels


class FlatScenes(SceneModel):
    """Draws an even ground."""

    def draw(self, product: Any, category: str, seed: int, preset: str, *rest: Any, **options: Any) -> Pixels:
        """A ground of 200 to 239 levels."""
        return np.full((*product.size, 3), 200 + seed % 40, np.uint8)


def load_flat(handle: Any, device: str, dtype: str) -> FlatScenes:
    """The model of a job, in any process."""
    return FlatScenes()
