"""One image to make, and what may draw its ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from cyclorama.generation.scenes import SceneModel
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.styles import FittedStyle
from cyclorama.imaging.product import Product, Reference
from cyclorama.imaging.transforms import choose_model_size
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.scenes.calm import CalmBox
from cyclorama.types import Size


class Pipeline(Protocol):
    """What the engine needs of a pipeline."""

    registry: CategoryRegistry

    @property
    def image_size(self) -> int:
        """Native side in pixels."""

    @property
    def image_multiple(self) -> int:
        """Height and width must be multiples of this."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Images (B, 3, H, W) in [-1, 1]; of the rendered sets :meth:`SceneModel.draw` is asked instead."""


Model: TypeAlias = Pipeline | SceneModel
"""What draws grounds."""


@dataclass(frozen=True, eq=False)
class Task:
    """One image to make."""

    product: Product
    """On the image's canvas (:meth:`cyclorama.imaging.layout.CanvasLayout.place`)."""
    category: Category
    seed: int
    reference: Reference | None = None
    style: FittedStyle | None = None
    """For the rendered sets, in place of what would be fitted to a reference."""
    name: str = ""
    calm: tuple[CalmBox, ...] = ()
    """Boxes of the canvas that a rendered set's props keep out of, where words will stand."""
    frame: Size | None = None
    """(height, width) that decides the model's shape, before the canvas grew; None: the product's canvas."""


def compute_model_shape(pipeline: Model, size: Size, settings: GenerateConfig) -> Size:
    """The model's (height, width) for an input of ``size``, or for the size that is asked for."""
    return choose_model_size(settings.canvas_size or size, pipeline.image_size, pipeline.image_multiple)
