"""What is a category?  A product family, a scene grammar, a range of styles and three brands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style


@dataclass(frozen=True)
class Framing:
    """How the photographer stands; ranges are (lowest, highest).

    Attributes:
        share: the product's larger side (height, or 0.8 of its width) as a share of the image.
        elevation: camera's angle above the product's middle, degrees.
        turn: the product's turn about its upright axis, degrees.
        fov: full angle of view, degrees.
        offset: largest shift of the product from the middle of the image, as a share of the image.
    """

    share: tuple[float, float] = (0.52, 0.68)
    elevation: tuple[float, float] = (6.0, 11.0)
    turn: tuple[float, float] = (-18.0, 18.0)
    fov: float = 27.0
    offset: float = 0.07


@dataclass(frozen=True)
class Category:
    """One product category of the set.

    Attributes:
        name: the category's name as prompts use it.
        brands: three narrow styles.
        sample_style: draws an unbranded style from the category's whole range.
        build_product: a product standing on z = 0 about the origin; any size (it is scaled to 1).
        dress: puts surfaces, props and lights around a product of size 1 that stands at the origin.
        framing: camera.
    """

    name: str
    brands: tuple[Style, Style, Style]
    sample_style: Callable[[np.random.Generator], Style]
    build_product: Callable[[np.random.Generator], list[Part]]
    dress: Callable[[Stage, np.random.Generator, Style], None]
    framing: Framing = Framing()


def pick(rng: np.random.Generator, items: tuple[str, ...], count: int) -> tuple[str, ...]:
    """``count`` different entries of ``items``."""
    return tuple(items[int(k)] for k in rng.choice(len(items), size=min(count, len(items)), replace=False))
