"""What is a category?  A product family, a scene grammar, a range of styles and three brands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from cyclorama.config import Settings
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style


def _check_order(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("(lowest, highest) in this order")
    return value


Share = Annotated[float, Field(gt=0, lt=1)]
Angle = Annotated[float, Field(ge=-180, le=180)]
Elevation = Annotated[float, Field(ge=0, le=80)]


class Framing(Settings):
    """How the photographer stands; ranges are (lowest, highest)."""

    share: Annotated[tuple[Share, Share], AfterValidator(_check_order)] = (0.52, 0.68)
    """The product's larger side (height, or 0.8 of its width) as a share of the image."""
    elevation: Annotated[tuple[Elevation, Elevation], AfterValidator(_check_order)] = (6.0, 11.0)
    """Camera's angle above the product's middle, degrees."""
    turn: Annotated[tuple[Angle, Angle], AfterValidator(_check_order)] = (-18.0, 18.0)
    """The product's turn about its upright axis, degrees."""
    fov: Annotated[float, Field(ge=5, le=90)] = 27.0
    """Full angle of view, degrees."""
    offset: Annotated[float, Field(ge=0, le=0.2)] = 0.07
    """Largest shift of the product from the middle of the image, as a share of the image."""


@dataclass(frozen=True)
class Category:
    """One product category of the set, as its file gives it.

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
    framing: Framing
