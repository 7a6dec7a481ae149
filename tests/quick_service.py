"""``cyclorama`` with flat grounds in place of rendered sets: for tests of all but the drawing.

Worker processes run this file's first lines, too, so that they draw the same.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from cyclorama.generation.scenes import SceneModel


def draw_flat(
    model: SceneModel, product: Any, category: str, seed: int, *settings: Any, **more: Any
) -> np.ndarray:
    """One colour, which follows from the seed."""
    time.sleep(0.03)  # so that it can be stopped between two images
    colour = np.random.default_rng(seed).integers(100, 250, 3)
    if more.get("look"):
        more["look"](np.full((32, 32, 3), colour, np.uint8))
    return np.full((*product.size, 3), colour, np.uint8)


if __name__ in ("__main__", "__mp_main__"):
    SceneModel.draw = draw_flat  # type: ignore[method-assign]

if __name__ == "__main__":
    from cyclorama.cli import main

    sys.exit(main(sys.argv[1:]))
